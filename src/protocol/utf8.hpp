// SPDX-License-Identifier: MIT
// UTF-8 validation (RFC 3629, wanted by RFC 6455 8.1): incremental, so that text fails at its first
// bad byte wherever the input was cut, and fast over ASCII.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace nopoll::protocol {

// Copy it to try something and go back: the state is four bytes.
class Utf8Validator {
public:
    // False from the first bad byte on.
    bool feed(std::span<const std::byte> bytes);

    // Nothing bad so far and not inside a character.
    [[nodiscard]] bool complete() const { return !failed_ && missing_ == 0; }

    void reset() { *this = Utf8Validator{}; }

private:
    // Takes single bytes until the character begun earlier is over; the number taken.
    std::size_t finish_character(std::span<const std::byte> bytes);
    void begin_character(unsigned lead);

    std::uint8_t missing_ = 0;  // continuation bytes still to come
    std::uint8_t low_ = 0x80;   // range of the next one: narrower behind E0, ED, F0, F4
    std::uint8_t high_ = 0xBF;
    bool failed_ = false;
};

[[nodiscard]] bool is_valid_utf8(std::string_view text);

// The definition, by code points: what the fast one is tested against.
[[nodiscard]] bool is_valid_utf8_plain(std::string_view text);

}  // namespace nopoll::protocol
