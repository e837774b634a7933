// SPDX-License-Identifier: MIT
// nopoll_io.h and the exported handlers of the select engine (spec: context-and-loop.md section 9).
#include "core/c_enum.hpp"
#include "core/face.hpp"
#include "core/io_engine.hpp"
#include "undeclared.hpp"

using namespace nopoll;

extern "C" {

noPollIoEngine* nopoll_io_get_engine(noPollCtx* ctx, noPollIoEngineType engine_type) {
    return core::make_io_engine(ctx, core::number_of(engine_type));
}

void nopoll_io_release_engine(noPollIoEngine* engine) {
    core::release_io_engine(engine);
}

noPollPtr nopoll_io_wait_select_create(noPollCtx* ctx) {
    return core::select_handlers::create(ctx);
}

void nopoll_io_wait_select_destroy(noPollCtx* ctx, noPollPtr set) {
    core::select_handlers::destroy(ctx, set);
}

void nopoll_io_wait_select_clear(noPollCtx* ctx, noPollPtr set) {
    core::select_handlers::clear(ctx, set);
}

int nopoll_io_wait_select_wait(noPollCtx* ctx, noPollPtr set) {
    return core::select_handlers::wait(ctx, set);
}

nopoll_bool nopoll_io_wait_select_add_to(int fds, noPollCtx* ctx, noPollConn* conn, noPollPtr set) {
    return core::select_handlers::add_to(fds, ctx, conn, set);
}

nopoll_bool nopoll_io_wait_select_is_set(noPollCtx* ctx, int fds, noPollPtr set) {
    return core::select_handlers::is_set(ctx, fds, set);
}

}  // extern "C"
