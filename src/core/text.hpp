// SPDX-License-Identifier: MIT
//
// Rules of the string functions of nopoll.h (spec: messages-logging-utils.md sections 3 and 6).
// "White" is space, \n, \t and \r only.
#pragma once

#include <array>
#include <cstddef>

namespace nopoll::core {

[[nodiscard]] constexpr bool is_white(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// The first `bytes` bytes are equal and both texts have that many. Reads no byte past a terminator.
[[nodiscard]] bool has_equal_prefix(const char* first, const char* second, std::size_t bytes);

// Removes white characters at both ends in place; the number of bytes removed.
std::size_t trim_in_place(char* text);

// The 32 binary digits of the value (two's complement), most significant first, no terminator.
using BinaryDigits = std::array<char, 32>;
[[nodiscard]] BinaryDigits binary_digits(int value);

}  // namespace nopoll::core
