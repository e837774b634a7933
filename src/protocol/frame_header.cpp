// SPDX-License-Identifier: MIT
// Frame headers to bytes and back (RFC 6455 5.2).
#include "protocol/frame_header.hpp"

#include <cstring>

#include "protocol/close_code.hpp"

namespace nopoll::protocol {

namespace {

constexpr unsigned kFinBit = 0x80;
constexpr unsigned kReservedBits = 0x70;
constexpr unsigned kOpcodeBits = 0x0F;
constexpr unsigned kMaskBit = 0x80;
constexpr unsigned kLengthBits = 0x7F;
constexpr unsigned kLength16 = 126;
constexpr unsigned kLength64 = 127;
constexpr unsigned kTopBit = 0x80;

constexpr std::size_t extended_length_bytes(unsigned length7) {
    return length7 == kLength64 ? 8 : length7 == kLength16 ? 2 : 0;
}

HeaderResult need(std::size_t bytes) {
    HeaderResult result;
    result.status = HeaderResult::Status::need_more;
    result.size = bytes;
    return result;
}

HeaderResult violated(Violation violation, std::size_t bytes_seen) {
    HeaderResult result;
    result.status = HeaderResult::Status::violation;
    result.size = bytes_seen;
    result.violation = violation;
    return result;
}

}  // namespace

std::size_t encode_frame_header(const FrameHeader& header,
                                std::span<std::byte, kMaxFrameHeader> out) {
    out[0] =
        static_cast<std::byte>((header.fin ? kFinBit : 0U) | static_cast<unsigned>(header.opcode));
    const unsigned length7 = header.payload_size <= 125 ? static_cast<unsigned>(header.payload_size)
                             : header.payload_size <= 0xFFFF ? kLength16
                                                             : kLength64;
    out[1] = static_cast<std::byte>((header.masked ? kMaskBit : 0U) | length7);
    std::size_t size = 2;
    for (std::size_t left = extended_length_bytes(length7); left > 0; --left) {
        out[size++] = static_cast<std::byte>((header.payload_size >> (8 * (left - 1))) & 0xFFU);
    }
    if (header.masked) {
        std::memcpy(out.data() + size, header.key.data(), header.key.size());
        size += header.key.size();
    }
    return size;
}

Violation check_first_byte(std::byte first) {
    const unsigned bits = std::to_integer<unsigned>(first);
    if ((bits & kReservedBits) != 0) return Violation::reserved_bits;
    const auto raw = static_cast<std::uint8_t>(bits & kOpcodeBits);
    if (!is_known_opcode(raw)) return Violation::unknown_opcode;
    if (is_control(static_cast<Opcode>(raw)) && (bits & kFinBit) == 0) {
        return Violation::control_fragmented;
    }
    return Violation::none;
}

HeaderResult decode_frame_header(std::span<const std::byte> in, Role our_role,
                                 std::uint64_t max_payload) {
    const std::size_t shortest = our_role == Role::server ? 6 : 2;  // clients always send a key
    if (in.empty()) return need(shortest);
    if (const Violation first = check_first_byte(in[0]); first != Violation::none) {
        return violated(first, 1);
    }
    if (in.size() < 2) return need(shortest);

    const unsigned bits = std::to_integer<unsigned>(in[0]);
    HeaderResult result;
    FrameHeader& header = result.header;
    header.fin = (bits & kFinBit) != 0;
    header.opcode = static_cast<Opcode>(bits & kOpcodeBits);

    const unsigned second = std::to_integer<unsigned>(in[1]);
    header.masked = (second & kMaskBit) != 0;
    if (our_role == Role::server && !header.masked) return violated(Violation::unmasked_frame, 2);
    if (our_role == Role::client && header.masked) return violated(Violation::masked_frame, 2);

    const unsigned length7 = second & kLengthBits;
    if (is_control(header.opcode) && length7 > kMaxControlPayload) {
        return violated(Violation::control_too_long, 2);
    }

    const std::size_t extended = extended_length_bytes(length7);
    const std::size_t size = 2 + extended + (header.masked ? header.key.size() : 0);
    if (extended == 0) {
        header.payload_size = length7;
        if (length7 > max_payload) return violated(Violation::frame_too_big, 2);
    }
    // Most significant byte first, so what is there is a lower bound: too big shows at once.
    for (std::size_t i = 0; i < extended; ++i) {
        if (2 + i == in.size()) return need(size);
        const std::uint64_t byte = std::to_integer<std::uint64_t>(in[2 + i]);
        if (extended == 8 && i == 0 && (byte & kTopBit) != 0) {
            return violated(Violation::length_top_bit, 3);
        }
        header.payload_size |= byte << (8 * (extended - 1 - i));
        if (header.payload_size > max_payload) return violated(Violation::frame_too_big, 3 + i);
    }
    if (in.size() < size) return need(size);
    if (header.masked) {
        std::memcpy(header.key.data(), in.data() + size - header.key.size(), header.key.size());
    }
    result.status = HeaderResult::Status::complete;
    result.size = size;
    return result;
}

}  // namespace nopoll::protocol
