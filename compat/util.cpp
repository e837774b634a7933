// SPDX-License-Identifier: MIT
// Support functions of nopoll.h and nopoll_decl.h (spec: messages-logging-utils.md sections 3 to 7,
// context-and-loop.md sections 7 and 10). Bytes in a char are treated as unsigned throughout.
#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "boundary.hpp"
#include "core/c_string.hpp"
#include "core/exported_state.hpp"
#include "core/face.hpp"
#include "core/log.hpp"
#include "core/mutex_hooks.hpp"
#include "core/text.hpp"
#include "core/time_value.hpp"
#include "net/random.hpp"
#include "protocol/base64.hpp"

using namespace nopoll;

namespace {

unsigned byte_at(const char* buffer, std::size_t index) {
    return static_cast<unsigned char>(buffer[index]);
}

void store_big_endian(int value, char* buffer, std::size_t bytes) {
    const auto bits = static_cast<unsigned>(value);
    for (std::size_t i = 0; i < bytes; ++i) {
        buffer[i] = static_cast<char>((bits >> (8 * (bytes - 1 - i))) & 0xffU);
    }
}

constexpr int kIntDigits = 32;

}  // namespace

extern "C" {

// Memory and sockets.

noPollPtr nopoll_calloc(size_t count, size_t size) {
    return std::calloc(count, size);
}

noPollPtr nopoll_realloc(noPollPtr ref, size_t size) {
    return std::realloc(ref, size);
}

void nopoll_free(noPollPtr ref) {
    std::free(ref);
}

nopoll_bool nopoll_socket_is_valid(NOPOLL_SOCKET sock) {
    return sock >= 0 ? nopoll_true : nopoll_false;
}

// Strings.

char* nopoll_strdup(const char* buffer) {
    return compat::boundary<char*>(nullptr, [&] { return core::duplicate(buffer); });
}

char* nopoll_strdup_printfv(const char* chunk, va_list args) {
    char* text = nullptr;
    return chunk == nullptr || vasprintf(&text, chunk, args) < 0 ? nullptr : text;
}

char* nopoll_strdup_printf(const char* chunk, ...) {
    if (chunk == nullptr) return nullptr;
    va_list args;
    va_start(args, chunk);
    char* text = nullptr;
    const int size = vasprintf(&text, chunk, args);
    va_end(args);
    return size < 0 ? nullptr : text;
}

nopoll_bool nopoll_cmp(const char* string1, const char* string2) {
    if (string1 == nullptr || string2 == nullptr) return string1 == string2;
    return std::strcmp(string1, string2) == 0;
}

nopoll_bool nopoll_ncmp(const char* string1, const char* string2, int bytes) {
    if (bytes <= 0) return nopoll_false;
    if (string1 == nullptr || string2 == nullptr) return string1 == string2;
    return core::has_equal_prefix(string1, string2, static_cast<std::size_t>(bytes));
}

void nopoll_trim(char* chunk, int* trimmed) {
    if (chunk == nullptr) return;
    const std::size_t removed = core::trim_in_place(chunk);
    if (trimmed != nullptr) *trimmed = static_cast<int>(std::min<std::size_t>(removed, INT_MAX));
}

// Base64.

nopoll_bool nopoll_base64_encode(const char* content, int length, char* output, int* output_size) {
    if (content == nullptr || length <= 0 || output == nullptr || output_size == nullptr) {
        return nopoll_false;
    }
    const auto bytes = std::as_bytes(std::span(content, static_cast<std::size_t>(length)));
    const auto room = static_cast<std::size_t>(std::max(*output_size, 0));
    if (protocol::base64_encode_lines(bytes, std::span(output, room))) return nopoll_true;
    const std::size_t needed = protocol::base64_lines_size(bytes.size());
    *output_size = static_cast<int>(std::min<std::size_t>(needed, INT_MAX));
    return nopoll_false;
}

nopoll_bool nopoll_base64_decode(const char* content, int length, char* output, int* output_size) {
    if (content == nullptr || length <= 0 || output == nullptr || output_size == nullptr ||
        *output_size <= 0) {
        return nopoll_false;
    }
    const std::string_view text(content, static_cast<std::size_t>(length));
    const std::optional<std::size_t> bytes = protocol::base64_decode_into(
        text, std::span(output, static_cast<std::size_t>(*output_size)));
    *output_size = static_cast<int>(bytes.value_or(0));
    return bytes ? nopoll_true : nopoll_false;
}

// Time and randomness.

void nopoll_sleep(long microseconds) {
    const int saved = errno;
    core::sleep_us(microseconds);
    errno = saved;
}

int nopoll_timeval_substract(struct timeval* a, struct timeval* b, struct timeval* result) {
    if (a == nullptr || b == nullptr || result == nullptr) return 0;
    const core::TimeDifference difference = core::subtract(*a, *b);
    *result = difference.value;
    return difference.negative ? 1 : 0;
}

nopoll_bool nopoll_nonce(char* buffer, int nonce_size) {
    if (buffer == nullptr || nonce_size <= 0) return nopoll_false;
    core::note_nonce_use();
    const std::span<char> nonce(buffer, static_cast<std::size_t>(nonce_size));
    return net::random_bytes(std::as_writable_bytes(nonce)) ? nopoll_true : nopoll_false;
}

// Bits and integers.

int nopoll_get_bit(char value, int position) {
    if (position < 0 || position > 7) return 0;
    return static_cast<int>((static_cast<unsigned char>(value) >> static_cast<unsigned>(position)) &
                            1U);
}

void nopoll_set_bit(char* buffer, int position) {
    if (buffer == nullptr || position < 0 || position > 7) return;
    buffer[0] = static_cast<char>(byte_at(buffer, 0) | (1U << static_cast<unsigned>(position)));
}

int nopoll_get_8bit(const char* buffer) {
    return buffer == nullptr ? 0 : static_cast<int>(byte_at(buffer, 0));
}

int nopoll_get_16bit(const char* buffer) {
    return buffer == nullptr ? 0
                             : static_cast<int>((byte_at(buffer, 0) << 8U) | byte_at(buffer, 1));
}

int nopoll_get_32bit(const char* buffer) {
    if (buffer == nullptr) return 0;
    const unsigned bits = (byte_at(buffer, 0) << 24U) | (byte_at(buffer, 1) << 16U) |
                          (byte_at(buffer, 2) << 8U) | byte_at(buffer, 3);
    return static_cast<int>(bits);
}

void nopoll_set_16bit(int value, char* buffer) {
    if (buffer != nullptr) store_big_endian(value, buffer, 2);
}

void nopoll_set_32bit(int value, char* buffer) {
    if (buffer != nullptr) store_big_endian(value, buffer, 4);
}

// The digits go to the end of the buffer, without a terminator, and the result points one byte
// before them: as the original, spec section 6.
char* nopoll_int2bin(int a, char* buffer, int buf_size) {
    if (buffer == nullptr || buf_size < kIntDigits) return buffer;
    const core::BinaryDigits digits = core::binary_digits(a);
    std::memcpy(buffer + (buf_size - kIntDigits), digits.data(), digits.size());
    return buffer + (buf_size - kIntDigits - 1);
}

void nopoll_int2bin_print(noPollCtx* ctx, int value) {
    const core::BinaryDigits digits = core::binary_digits(value);
    NOPOLL_LOG(ctx, NOPOLL_LEVEL_DEBUG, "%d = %.*s", value, kIntDigits, digits.data());
}

void nopoll_show_byte(noPollCtx* ctx, char value, const char* label) {
    const core::BinaryDigits digits = core::binary_digits(static_cast<unsigned char>(value));
    const char* const d = digits.data() + kIntDigits - 8;
    NOPOLL_LOG(ctx, NOPOLL_LEVEL_DEBUG, "  byte (%s) = %c %c %c %c  %c %c %c %c",
               label == nullptr ? "(null)" : label, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
}

// Threads and process-wide state.

void nopoll_thread_handlers(noPollMutexCreate mutex_create, noPollMutexDestroy mutex_destroy,
                            noPollMutexLock mutex_lock, noPollMutexUnlock mutex_unlock) {
    core::set_mutex_hooks(mutex_create, mutex_destroy, mutex_lock, mutex_unlock);
}

noPollPtr nopoll_mutex_create(void) {
    return core::create_hook_mutex();
}

void nopoll_mutex_destroy(noPollPtr mutex) {
    core::destroy_hook_mutex(mutex);
}

void nopoll_mutex_lock(noPollPtr mutex) {
    core::lock_hook_mutex(mutex);
}

void nopoll_mutex_unlock(noPollPtr mutex) {
    core::unlock_hook_mutex(mutex);
}

// OpenSSL looks after itself; live contexts go on working.
void nopoll_cleanup_library(void) {
    core::forget_tls_use();
}

}  // extern "C"
