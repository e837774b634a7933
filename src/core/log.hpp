// SPDX-License-Identifier: MIT
//
// The log of a context (spec: messages-logging-utils.md section 2): a handler of the program, or
// lines on stdout. errno survives every call, a record that cannot be formatted for lack of memory
// is dropped, and no lock of the library is held while the handler runs.
#pragma once

#include "core/atomic_field.hpp"
#include "core/face.hpp"

#include <string>
#include <string_view>

namespace nopoll::core {

// Somebody listens: a handler is set or the console log is on. ctx may be nullptr.
[[nodiscard]] inline bool log_wanted(const noPollCtx* ctx) {
    return ctx != nullptr &&
           (load_field(ctx->log_handler) != nullptr || load_field(ctx->debug_enabled) != 0);
}

// Handler and data are stored and read as a pair: no handler ever sees another one's data.
void set_log_handler(noPollCtx& ctx, noPollLogHandler handler, noPollPtr data);

// One record. ctx may be nullptr (nothing happens); a nullptr format reads "(null)".
void log_write(noPollCtx* ctx, int level, const char* file, int line, const char* format, ...)
    __attribute__((format(printf, 5, 6)));
void log_write_list(noPollCtx* ctx, int level, const char* file, int line, const char* format,
                    va_list arguments) __attribute__((format(printf, 5, 0)));

// Text of a peer for the log: everything but printable ASCII becomes \n, \r, \t, \\ or \xHH.
[[nodiscard]] std::string printable(std::string_view text);

// The part behind the last slash.
[[nodiscard]] constexpr const char* short_file_name(const char* path) {
    const char* name = path;
    for (const char* at = path; *at != '\0'; ++at) {
        if (*at == '/') {
            name = at + 1;
        }
    }
    return name;
}

}  // namespace nopoll::core

// Costs two loads when nobody listens: the arguments are not evaluated then.
#define NOPOLL_LOG(ctx, level, ...)                                                                \
    do {                                                                                           \
        noPollCtx* const nopoll_log_ctx_ = (ctx);                                                  \
        if (::nopoll::core::log_wanted(nopoll_log_ctx_)) {                                         \
            constexpr const char* nopoll_log_file_ = ::nopoll::core::short_file_name(__FILE__);    \
            ::nopoll::core::log_write(nopoll_log_ctx_, (level), nopoll_log_file_, __LINE__,        \
                                      __VA_ARGS__);                                                \
        }                                                                                          \
    } while (false)
