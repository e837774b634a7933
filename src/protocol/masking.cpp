// SPDX-License-Identifier: MIT
// Masking of payloads (RFC 6455 5.3), 32 bytes a step. The key is laid out in memory order, so the
// machine's byte order does not matter; memcpy makes the unaligned loads.
#include "protocol/masking.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace nopoll::protocol {

namespace {

std::uint64_t load(const std::byte* from) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}

void store(std::byte* to, std::uint64_t word) {
    std::memcpy(to, &word, sizeof word);
}

}  // namespace

void copy_masked(std::byte* to, std::span<const std::byte> from, const MaskingKey& key,
                 std::size_t offset) {
    std::array<std::byte, 8> pattern{};
    for (std::size_t i = 0; i < pattern.size(); ++i)
        pattern[i] = key[(offset + i) % key.size()];
    const std::uint64_t word = load(pattern.data());

    const std::byte* in = from.data();
    std::size_t left = from.size();
    for (; left >= 32; left -= 32, in += 32, to += 32) {
        const std::uint64_t a = load(in) ^ word;
        const std::uint64_t b = load(in + 8) ^ word;
        const std::uint64_t c = load(in + 16) ^ word;
        const std::uint64_t d = load(in + 24) ^ word;
        store(to, a);
        store(to + 8, b);
        store(to + 16, c);
        store(to + 24, d);
    }
    for (; left >= 8; left -= 8, in += 8, to += 8)
        store(to, load(in) ^ word);
    for (std::size_t i = 0; i < left; ++i)
        to[i] = in[i] ^ pattern[i];
}

void apply_mask(std::span<std::byte> data, const MaskingKey& key, std::size_t offset) {
    copy_masked(data.data(), data, key, offset);
}

void apply_mask_plain(std::span<std::byte> data, const MaskingKey& key, std::size_t offset) {
    for (std::size_t i = 0; i < data.size(); ++i)
        data[i] ^= key[(i + offset % 4) % 4];
}

}  // namespace nopoll::protocol
