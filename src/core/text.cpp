// SPDX-License-Identifier: MIT
//
// String rules, see text.hpp.
#include "core/text.hpp"

#include <cstring>

namespace nopoll::core {

bool has_equal_prefix(const char* first, const char* second, std::size_t bytes) {
    return strnlen(first, bytes) == bytes && std::strncmp(first, second, bytes) == 0;
}

std::size_t trim_in_place(char* text) {
    const std::size_t length = std::strlen(text);
    std::size_t begin = 0;
    while (begin < length && is_white(text[begin])) {
        ++begin;
    }
    std::size_t end = length;
    while (end > begin && is_white(text[end - 1])) {
        --end;
    }
    std::memmove(text, text + begin, end - begin);
    text[end - begin] = '\0';
    return length - (end - begin);
}

BinaryDigits binary_digits(int value) {
    const auto bits = static_cast<unsigned>(value);
    BinaryDigits digits{};
    for (std::size_t i = 0; i < digits.size(); ++i) {
        digits[i] = ((bits >> (digits.size() - 1 - i)) & 1U) != 0 ? '1' : '0';
    }
    return digits;
}

}  // namespace nopoll::core
