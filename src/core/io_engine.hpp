// SPDX-License-Identifier: MIT
// The engine object of the C interface (spec: context-and-loop.md section 9): six handlers over a
// set of descriptors, for reading only. Programs may call them or put an engine of their own into a
// context. Loops wait on loop::WaitEngine instead.
#pragma once

#include "core/face.hpp"
#include "core/memory.hpp"

namespace nopoll::core {

// The six handlers of the select engine. `set` is what select_create made; nullptr is an empty set
// that takes nothing. ctx is only logged to and may be nullptr.
namespace select_handlers {
noPollPtr create(noPollCtx* ctx);
void destroy(noPollCtx* ctx, noPollPtr set);
void clear(noPollCtx* ctx, noPollPtr set);
int wait(noPollCtx* ctx, noPollPtr set);  // -1: errno says why
nopoll_bool add_to(int fd, noPollCtx* ctx, noPollConn* conn, noPollPtr set);
nopoll_bool is_set(noPollCtx* ctx, int fd, noPollPtr set);
}  // namespace select_handlers

// malloc'ed, with its set; nullptr when memory or descriptors are short. An unknown type is logged
// and gives the select engine.
[[nodiscard]] noPollIoEngine* make_io_engine(noPollCtx* ctx, int type);

// Calls the destroy handler, if there is one, and frees the object: the program may have made it.
void release_io_engine(noPollIoEngine* engine);

}  // namespace nopoll::core
