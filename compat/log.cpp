// SPDX-License-Identifier: MIT
//
// nopoll_log.h: the log of a context (spec: messages-logging-utils.md section 2).
#include "core/log.hpp"

#include "core/atomic_field.hpp"
#include "core/c_enum.hpp"
#include "core/face.hpp"

using namespace nopoll;

extern "C" {

void __nopoll_log(noPollCtx* ctx, const char* /*function_name*/, const char* file, int line,
                  noPollDebugLevel level, const char* message, ...) {
    va_list arguments;
    va_start(arguments, message);
    core::log_write_list(ctx, core::number_of(level), file, line, message, arguments);
    va_end(arguments);
}

void nopoll_log_enable(noPollCtx* ctx, nopoll_bool value) {
    if (ctx != nullptr) {
        core::store_field(ctx->debug_enabled, value);
    }
}

nopoll_bool nopoll_log_is_enabled(noPollCtx* ctx) {
    return ctx == nullptr ? nopoll_false : core::load_field(ctx->debug_enabled);
}

void nopoll_log_color_enable(noPollCtx* ctx, nopoll_bool value) {
    if (ctx != nullptr) {
        core::store_field(ctx->debug_color_enabled, value);
    }
}

nopoll_bool nopoll_log_color_is_enabled(noPollCtx* ctx) {
    return ctx == nullptr ? nopoll_false : core::load_field(ctx->debug_color_enabled);
}

void nopoll_log_set_handler(noPollCtx* ctx, noPollLogHandler handler, noPollPtr user_data) {
    if (ctx != nullptr) {
        core::set_log_handler(*ctx, handler, user_data);
    }
}

}  // extern "C"
