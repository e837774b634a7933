// SPDX-License-Identifier: MIT
// Exported functions without a declaration that belong to no other file; see undeclared.hpp.
#include "undeclared.hpp"

#include <climits>
#include <cstring>

#include "core/text.hpp"

using namespace nopoll;

extern "C" {

// The caller's list is left alone: it may be used again.
int nopoll_vprintf_len(const char* format, va_list args) {
    if (format == nullptr) return 0;
    va_list copy;
    va_copy(copy, args);
    const int size = vsnprintf(nullptr, 0, format, copy);
    va_end(copy);
    return size < 0 || size == INT_MAX ? 0 : size + 1;
}

// NOLINTNEXTLINE(readability-non-const-parameter): the signature is recorded
nopoll_bool nopoll_is_white_space(char* chunk) {
    return chunk != nullptr && core::is_white(*chunk) ? nopoll_true : nopoll_false;
}

void __nopoll_pack_content(char* buffer, int start, int bytes) {
    if (buffer == nullptr || start < 0 || bytes <= 0) return;
    std::memmove(buffer, buffer + start, static_cast<std::size_t>(bytes));
}

}  // extern "C"
