// SPDX-License-Identifier: MIT
// Masking of payloads (RFC 6455 5.3): byte i is combined with key byte (i + offset) mod 4.
// Masking and unmasking are the same operation.
#pragma once

#include <cstddef>
#include <span>

#include "protocol/frame_header.hpp"

namespace nopoll::protocol {

// In place. `offset` is the position of data[0] in the payload; only its value mod 4 matters.
void apply_mask(std::span<std::byte> data, const MaskingKey& key, std::size_t offset);

// From one place to another; `to` has room for from.size() bytes and is either `from` itself or
// does not overlap it.
void copy_masked(std::byte* to, std::span<const std::byte> from, const MaskingKey& key,
                 std::size_t offset);

// The definition, one byte at a time: what the fast ones are tested against.
void apply_mask_plain(std::span<std::byte> data, const MaskingKey& key, std::size_t offset);

}  // namespace nopoll::protocol
