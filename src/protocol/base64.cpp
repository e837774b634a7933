// SPDX-License-Identifier: MIT
// Base64 with the standard alphabet and padding (RFC 4648 4).
#include "protocol/base64.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace nopoll::protocol {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kLineLength = 64;

constexpr std::uint8_t kNotInAlphabet = 0xFF;

constexpr std::array<std::uint8_t, 256> make_values() {
    std::array<std::uint8_t, 256> values{};
    values.fill(kNotInAlphabet);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
        values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    }
    return values;
}

constexpr std::array<std::uint8_t, 256> kValues = make_values();

constexpr bool is_skipped(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

constexpr std::size_t group_count(std::size_t byte_count) {
    return byte_count / 3 + (byte_count % 3 != 0 ? 1 : 0);
}

// Up to three bytes to four characters.
std::array<char, 4> encode_group(std::span<const std::byte> bytes) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
        bits = (bits << 8) | (i < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i]) : 0);
    }
    std::array<char, 4> group{};
    for (std::size_t i = 0; i < 4; ++i)
        group[i] = kAlphabet[(bits >> (18 - 6 * i)) & 0x3FU];
    for (std::size_t i = bytes.size() + 1; i < 4; ++i)
        group[i] = '=';
    return group;
}

// Of a text that base64_decoded_size() has accepted; writes out.size() bytes at most.
template <class Byte>
void decode(std::string_view text, std::span<Byte> out) {
    std::uint32_t bits = 0;
    unsigned bit_count = 0;
    std::size_t written = 0;
    for (const char c : text) {
        if (written == out.size() || c == '=') return;
        if (is_skipped(c)) continue;
        bits = (bits << 6) | kValues[static_cast<unsigned char>(c)];
        bit_count += 6;
        if (bit_count < 8) continue;
        bit_count -= 8;
        out[written++] = static_cast<Byte>((bits >> bit_count) & 0xFFU);
    }
}

}  // namespace

std::string base64_encode(std::span<const std::byte> bytes) {
    std::string text;
    text.reserve(4 * group_count(bytes.size()));
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const auto group =
            encode_group(bytes.subspan(at, std::min<std::size_t>(3, bytes.size() - at)));
        text.append(group.data(), group.size());
    }
    return text;
}

std::optional<std::size_t> base64_decoded_size(std::string_view text) {
    std::size_t characters = 0;
    std::size_t padding = 0;
    for (const char c : text) {
        if (is_skipped(c)) continue;
        ++characters;
        if (c == '=') {
            ++padding;
        } else if (padding > 0 || kValues[static_cast<unsigned char>(c)] == kNotInAlphabet) {
            return std::nullopt;
        }
    }
    if (characters % 4 != 0 || padding > 2) return std::nullopt;
    return characters / 4 * 3 - padding;
}

std::optional<std::vector<std::byte>> base64_decode(std::string_view text) {
    const auto size = base64_decoded_size(text);
    if (!size) return std::nullopt;
    std::vector<std::byte> bytes(*size);
    decode(text, std::span(bytes));
    return bytes;
}

std::size_t base64_lines_size(std::size_t byte_count) {
    // One line feed for every 16 groups but behind the last one, and the terminating 0: together
    // one byte for each line begun.
    const std::size_t groups = group_count(byte_count);
    const std::size_t lines = groups / 16 + (groups % 16 != 0 ? 1 : 0);
    if (groups > (SIZE_MAX - lines) / 4) return SIZE_MAX;
    return std::max<std::size_t>(groups * 4 + lines, 1);
}

bool base64_encode_lines(std::span<const std::byte> bytes, std::span<char> out) {
    if (out.size() < base64_lines_size(bytes.size())) return false;
    std::size_t written = 0;
    std::size_t column = 0;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        if (column == kLineLength) {
            out[written++] = '\n';
            column = 0;
        }
        const auto group =
            encode_group(bytes.subspan(at, std::min<std::size_t>(3, bytes.size() - at)));
        for (const char c : group)
            out[written++] = c;
        column += group.size();
    }
    out[written] = '\0';
    return true;
}

std::optional<std::size_t> base64_decode_into(std::string_view text, std::span<char> out) {
    const auto size = base64_decoded_size(text);
    if (!size || *size == 0 || out.size() < 2) {
        if (!out.empty()) out[0] = '\0';
        return std::nullopt;
    }
    const std::size_t count = std::min(*size, out.size() - 1);
    decode(text, out.first(count));
    out[count] = '\0';
    return count;
}

}  // namespace nopoll::protocol
