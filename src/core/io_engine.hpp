// SPDX-License-Identifier: MIT
// The engine object of the C interface (spec: context-and-loop.md section 9): six handlers over a
// set of descriptors. Programs may call them or put an engine of their own into a context.
// Every type gives the select engine here; loops wait on loop::WaitEngine instead.
#pragma once

#include "core/face.hpp"
#include "core/memory.hpp"

namespace nopoll::core {

// The six handlers. `set` is what select_create made; nullptr is an empty set that takes nothing.
// ctx is only logged to and may be nullptr.
namespace select_handlers {
noPollPtr create(noPollCtx* ctx);
void destroy(noPollCtx* ctx, noPollPtr set);
void clear(noPollCtx* ctx, noPollPtr set);
int wait(noPollCtx* ctx, noPollPtr set);  // -1: errno says why
nopoll_bool add_to(int fd, noPollCtx* ctx, noPollConn* conn, noPollPtr set);
nopoll_bool is_set(noPollCtx* ctx, int fd, noPollPtr set);
}  // namespace select_handlers

// malloc'ed, with its set; nullptr when memory is short. An unknown type is logged.
[[nodiscard]] noPollIoEngine* make_io_engine(noPollCtx* ctx, noPollIoEngineType type);

// Calls the destroy handler, if there is one, and frees the object: the program may have made it.
void release_io_engine(noPollIoEngine* engine);

// Made by make_io_engine and still with its own handlers.
[[nodiscard]] bool is_library_engine(const noPollIoEngine& engine);

}  // namespace nopoll::core
