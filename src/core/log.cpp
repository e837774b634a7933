// SPDX-License-Identifier: MIT
//
// Records of a context, see log.hpp. Formatting uses malloc and never throws: a log call must not
// make the operation that it reports fail.
#include "core/log.hpp"

#include "core/c_enum.hpp"
#include "core/memory.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <type_traits>

namespace nopoll::core {
namespace {

// Guards the handler/data pairs of all contexts while they are copied. C programs log from exit
// handlers too, so it must need neither construction nor destruction.
constinit std::mutex pair_guard;
static_assert(std::is_trivially_destructible_v<std::mutex>);

struct LogTarget {
    noPollLogHandler handler;
    noPollPtr data;
};

LogTarget target_of(const noPollCtx& ctx) {
    const std::lock_guard guard(pair_guard);
    return {load_field(ctx.log_handler), load_field(ctx.log_user_data)};
}

class ErrnoKeeper {
public:
    ErrnoKeeper() : saved_(errno) {}
    ~ErrnoKeeper() { errno = saved_; }
    ErrnoKeeper(const ErrnoKeeper&) = delete;
    ErrnoKeeper& operator=(const ErrnoKeeper&) = delete;

private:
    int saved_;
};

MallocPtr<char[]> format_list(const char* format, va_list arguments)
    __attribute__((format(printf, 1, 0)));
MallocPtr<char[]> format_text(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Empty when memory is short or the format is broken.
MallocPtr<char[]> format_list(const char* format, va_list arguments) {
    char* text = nullptr;
    if (vasprintf(&text, format, arguments) < 0) {
        return nullptr;
    }
    return MallocPtr<char[]>(text);
}

MallocPtr<char[]> format_text(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    MallocPtr<char[]> text = format_list(format, arguments);
    va_end(arguments);
    return text;
}

struct LevelText {
    const char* plain;
    const char* coloured;
};

LevelText text_of(int level) {
    switch (level) {
    case NOPOLL_LEVEL_DEBUG: return {"(debug)", "(\x1b[1;32mdebug\x1b[0m) "};
    case NOPOLL_LEVEL_WARNING: return {"(warning)", "(\x1b[1;33mwarning\x1b[0m) "};
    case NOPOLL_LEVEL_CRITICAL: return {"(critical) ", "(\x1b[1;31mcritical\x1b[0m) "};
    default: return {"", ""};
    }
}

// One write for the whole line, so that lines of several threads do not mix.
void write_console(int level, bool coloured, const char* file, int line, const char* message) {
    const LevelText level_text = text_of(level);
    char* text = nullptr;
    const int size = asprintf(
        &text, coloured ? "\x1b[1;36m(proc %d)\x1b[0m: %s%s:%d %s\n" : "(proc %d): %s%s:%d %s\n",
        static_cast<int>(getpid()), coloured ? level_text.coloured : level_text.plain, file, line,
        message);
    if (size < 0) {
        return;
    }
    const MallocPtr<char[]> owned(text);
    std::fwrite(text, 1, static_cast<std::size_t>(size), stdout);
    std::fflush(stdout);
}

}  // namespace

void set_log_handler(noPollCtx& ctx, noPollLogHandler handler, noPollPtr data) {
    const std::lock_guard guard(pair_guard);
    store_field(ctx.log_user_data, data);
    store_field(ctx.log_handler, handler);
}

void log_write(noPollCtx* ctx, int level, const char* file, int line, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    // A handler that throws skips va_end, which does nothing on the platforms of this library.
    log_write_list(ctx, level, file, line, format, arguments);
    va_end(arguments);
}

void log_write_list(noPollCtx* ctx, int level, const char* file, int line, const char* format,
                    va_list arguments) {
    if (!log_wanted(ctx)) {
        return;
    }
    const ErrnoKeeper keeper;
    const LogTarget target = target_of(*ctx);
    if (target.handler == nullptr && load_field(ctx->debug_enabled) == 0) {
        return;
    }
    const MallocPtr<char[]> formatted =
        format == nullptr ? nullptr : format_list(format, arguments);
    if (format != nullptr && !formatted) {
        return;
    }
    const char* const message = format == nullptr ? "(null)" : formatted.get();
    const char* const place = file == nullptr ? "(null)" : file;
    if (target.handler == nullptr) {
        write_console(level, load_field(ctx->debug_color_enabled) != 0, place, line, message);
        return;
    }
    const MallocPtr<char[]> record = format_text("%s:%d %s ", place, line, message);
    if (record) {
        target.handler(ctx, enum_of<noPollDebugLevel>(level), record.get(), target.data);
    }
}

std::string printable(std::string_view text) {
    static constexpr std::array<char, 16> kHexDigits = {'0', '1', '2', '3', '4', '5', '6', '7',
                                                        '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c == '\\') {
            out += "\\\\";
        } else if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += kHexDigits[byte >> 4U];
            out += kHexDigits[byte & 0x0fU];
        }
    }
    return out;
}

}  // namespace nopoll::core
