// SPDX-License-Identifier: MIT
// Base64 with the standard alphabet and padding (RFC 4648 4). Plain functions for the handshake and
// the buffer-filling forms that the C functions nopoll_base64_* are made of.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nopoll::protocol {

// One line, no line breaks.
[[nodiscard]] std::string base64_encode(std::span<const std::byte> bytes);

// White space (space, tab, CR, LF) is skipped anywhere; unused bits under the padding may be set.
// Anything else that is not whole groups of the alphabet, with padding at the very end only, gives
// nothing. An empty text is zero bytes.
[[nodiscard]] std::optional<std::vector<std::byte>> base64_decode(std::string_view text);

// The number of bytes the text stands for; nothing when it is malformed.
[[nodiscard]] std::optional<std::size_t> base64_decoded_size(std::string_view text);

// The form of nopoll_base64_encode: a line feed after every 64 characters except after the last
// group. The size counts the terminating 0 (11 bytes need 17); saturates at SIZE_MAX.
[[nodiscard]] std::size_t base64_lines_size(std::size_t byte_count);

// Writes that form with its terminating 0; false, with `out` untouched, when it does not fit.
[[nodiscard]] bool base64_encode_lines(std::span<const std::byte> bytes, std::span<char> out);

// The form of nopoll_base64_decode: writes the bytes and a 0 behind them, and returns their number.
// More bytes than fit are left away. Nothing when the text is malformed, stands for no byte, or
// when there is no room for one byte and the 0; `out` then begins with a 0 byte if it has room.
[[nodiscard]] std::optional<std::size_t> base64_decode_into(std::string_view text,
                                                            std::span<char> out);

}  // namespace nopoll::protocol
