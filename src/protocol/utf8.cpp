// SPDX-License-Identifier: MIT
// UTF-8 validation (RFC 3629). Table 3-7 of the Unicode standard as ranges: only the byte behind
// E0, ED, F0 and F4 has a narrower one, which keeps out overlong forms, surrogates and everything
// above U+10FFFF.
#include "protocol/utf8.hpp"

#include <cstring>

namespace nopoll::protocol {

namespace {

constexpr std::uint64_t kTopBits = 0x8080808080808080U;

// Size of the ASCII run at the start, found 16 bytes a step. It may stop up to 15 bytes early.
std::size_t ascii_blocks(const unsigned char* at, std::size_t left) {
    std::size_t taken = 0;
    while (left - taken >= 16) {
        std::uint64_t low = 0;
        std::uint64_t high = 0;
        std::memcpy(&low, at + taken, sizeof low);
        std::memcpy(&high, at + taken + 8, sizeof high);
        if (((low | high) & kTopBits) != 0) break;
        taken += 16;
    }
    return taken;
}

bool continues(unsigned char byte) {
    return (byte & 0xC0U) == 0x80U;
}

bool in_range(unsigned byte, unsigned low, unsigned high) {
    return byte >= low && byte <= high;
}

// The size of the non-ASCII character at `at`, 0 when it is bad. Four bytes can be read.
std::size_t character(const unsigned char* at) {
    const unsigned lead = at[0];
    const unsigned second = at[1];
    if (lead < 0xE0) return lead >= 0xC2 && continues(at[1]) ? 2 : 0;
    if (lead < 0xF0) {
        const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = lead == 0xED ? 0x9F : 0xBF;
        return in_range(second, low, high) && continues(at[2]) ? 3 : 0;
    }
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
    return lead <= 0xF4 && in_range(second, low, high) && continues(at[2]) && continues(at[3]) ? 4
                                                                                               : 0;
}

}  // namespace

void Utf8Validator::begin_character(unsigned lead) {
    low_ = 0x80;
    high_ = 0xBF;
    if (lead < 0x80) return;
    if (lead < 0xC2 || lead > 0xF4) {
        failed_ = true;
    } else if (lead < 0xE0) {
        missing_ = 1;
    } else if (lead < 0xF0) {
        missing_ = 2;
        if (lead == 0xE0) low_ = 0xA0;
        if (lead == 0xED) high_ = 0x9F;
    } else {
        missing_ = 3;
        if (lead == 0xF0) low_ = 0x90;
        if (lead == 0xF4) high_ = 0x8F;
    }
}

std::size_t Utf8Validator::finish_character(std::span<const std::byte> bytes) {
    std::size_t taken = 0;
    while (missing_ > 0 && taken < bytes.size()) {
        const unsigned byte = std::to_integer<unsigned>(bytes[taken]);
        if (!in_range(byte, low_, high_)) {
            failed_ = true;
            break;
        }
        low_ = 0x80;
        high_ = 0xBF;
        --missing_;
        ++taken;
    }
    return taken;
}

bool Utf8Validator::feed(std::span<const std::byte> bytes) {
    if (failed_) return false;
    std::size_t at = finish_character(bytes);
    const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
    while (!failed_ && at < bytes.size()) {
        if (data[at] < 0x80) {
            const std::size_t blocks = ascii_blocks(data + at, bytes.size() - at);
            at += blocks > 0 ? blocks : 1;
        } else if (bytes.size() - at >= 4) {
            const std::size_t size = character(data + at);
            if (size == 0) failed_ = true;
            at += size;
        } else {
            begin_character(data[at++]);
            if (!failed_) at += finish_character(bytes.subspan(at));
        }
    }
    return !failed_;
}

bool is_valid_utf8(std::string_view text) {
    Utf8Validator validator;
    validator.feed(std::as_bytes(std::span(text)));
    return validator.complete();
}

bool is_valid_utf8_plain(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const unsigned lead = static_cast<unsigned char>(text[at++]);
        std::size_t more = 0;
        std::uint32_t code_point = 0;
        if (lead < 0x80) {
            continue;
        } else if ((lead & 0xE0U) == 0xC0) {
            more = 1;
            code_point = lead & 0x1FU;
        } else if ((lead & 0xF0U) == 0xE0) {
            more = 2;
            code_point = lead & 0x0FU;
        } else if ((lead & 0xF8U) == 0xF0) {
            more = 3;
            code_point = lead & 0x07U;
        } else {
            return false;
        }
        if (text.size() - at < more) return false;
        for (std::size_t i = 0; i < more; ++i) {
            const auto byte = static_cast<unsigned char>(text[at++]);
            if (!continues(byte)) return false;
            code_point = (code_point << 6) | (byte & 0x3FU);
        }
        const std::uint32_t smallest = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
        if (code_point < smallest || code_point > 0x10FFFF) return false;
        if (code_point >= 0xD800 && code_point <= 0xDFFF) return false;
    }
    return true;
}

}  // namespace nopoll::protocol
