// SPDX-License-Identifier: MIT
// Frame headers to bytes and back (RFC 6455 5.2). Stateless: what depends on earlier frames
// (continuations) is the business of FrameDecoder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/opcode.hpp"
#include "protocol/protocol_error.hpp"
#include "protocol/role.hpp"

namespace nopoll::protocol {

using MaskingKey = std::array<std::byte, 4>;

struct FrameHeader {
    bool fin = true;
    Opcode opcode = Opcode::continuation;
    bool masked = false;
    MaskingKey key{};  // zero unless masked
    std::uint64_t payload_size = 0;
};

// 2 bytes, 8 of extended length, 4 of masking key.
inline constexpr std::size_t kMaxFrameHeader = 14;

// Writes the header with the shortest length form and returns its size.
std::size_t encode_frame_header(const FrameHeader& header,
                                std::span<std::byte, kMaxFrameHeader> out);

struct HeaderResult {
    enum class Status { complete, need_more, violation };
    Status status = Status::need_more;
    FrameHeader header{};  // whole only when complete
    // complete: bytes of the header; need_more: bytes needed in all, as far as known; violation:
    // bytes up to the one that showed it.
    std::size_t size = 0;
    Violation violation = Violation::none;
};

// What the first byte of a frame alone tells: reserved bits, opcode, FIN of control frames.
[[nodiscard]] Violation check_first_byte(std::byte first);

// Decodes the header at the start of `in`. A violation is reported as soon as the bytes there show
// it, in the order of the bytes, so the result does not depend on how the input was cut. Longer
// length forms than needed are accepted.
[[nodiscard]] HeaderResult decode_frame_header(std::span<const std::byte> in, Role our_role,
                                               std::uint64_t max_payload);

}  // namespace nopoll::protocol
