// SPDX-License-Identifier: MIT
// nopoll_loop.h, and the exported parts of the loop.
#include "boundary.hpp"
#include "core/log.hpp"
#include "core/loop_runner.hpp"
#include "result.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using core::CallResult;
using core::Connection;
using core::Context;

extern "C" {

int nopoll_loop_wait(noPollCtx* ctx, long timeout) {
    if (ctx == nullptr) return core::kLoopBadArguments;
    if (timeout < 0) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "negative timeout %ld", timeout);
        return core::kLoopBadArguments;
    }
    Context& context = Context::from(*ctx);
    const core::ContextPin pin(context);
    const CallResult result = compat::boundary(CallResult{core::kLoopFailed, ENOMEM}, [&] {
        core::LoopRunner runner(context);
        return runner.run(timeout);
    });
    return compat::to_c(result);
}

void nopoll_loop_stop(noPollCtx* ctx) {
    if (ctx != nullptr) Context::from(*ctx).stop();
}

void nopoll_loop_init(noPollCtx* ctx) {
    if (ctx != nullptr) core::loop_steps::init(Context::from(*ctx));
}

nopoll_bool nopoll_loop_register(noPollCtx* ctx, noPollConn* conn, noPollPtr /*user_data*/) {
    if (ctx == nullptr || conn == nullptr) return nopoll_false;
    Context& context = Context::from(*ctx);
    Connection& connection = Connection::from(*conn);
    if (connection.is_ok())
        core::loop_steps::add_to_engine(context, connection);
    else
        context.unregister_connection(connection);
    return nopoll_false;  // as a foreach function: go on
}

nopoll_bool nopoll_loop_process(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data) {
    if (ctx == nullptr || conn == nullptr) return nopoll_false;
    int* const left = static_cast<int*>(user_data);
    const bool served =
        core::loop_steps::serve_if_ready(Context::from(*ctx), Connection::from(*conn));
    if (served && left != nullptr) --*left;
    return compat::to_bool(left != nullptr && *left <= 0);
}

void nopoll_loop_process_data(noPollCtx* ctx, noPollConn* conn) {
    if (ctx != nullptr && conn != nullptr)
        compat::boundary(
            [&] { core::loop_steps::serve(Context::from(*ctx), Connection::from(*conn)); });
}

}  // extern "C"
