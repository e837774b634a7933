// SPDX-License-Identifier: MIT
// Close status codes and the body of Close frames, both ways (RFC 6455 5.5.1 and 7.4).
#include "protocol/close_code.hpp"

#include <cstring>

#include "protocol/utf8.hpp"

namespace nopoll::protocol {

namespace {

// No character of UTF-8 has more than three continuation bytes, and the text is valid: stepping
// back over them finds the boundary.
std::size_t cut_at_character(std::string_view text, std::size_t most) {
    if (text.size() <= most) return text.size();
    std::size_t end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
        --end;
    return end;
}

}  // namespace

bool is_sendable(long code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 1016 && code <= 4999);
}

bool is_valid_from_peer(std::uint16_t code) {
    return is_sendable(code) && (code < 1016 || code >= 3000);
}

CloseFrame parse_close(std::span<const std::byte> body) {
    CloseFrame close;
    if (body.empty()) return close;
    if (body.size() == 1) {
        close.answer = close_code::protocol_error;
        close.fault = "close frame with a body of one byte";
        return close;
    }
    close.code = static_cast<std::uint16_t>((std::to_integer<unsigned>(body[0]) << 8) |
                                            std::to_integer<unsigned>(body[1]));
    close.answer = close.code;
    const auto rest = body.subspan(2);
    const std::string_view reason(reinterpret_cast<const char*>(rest.data()), rest.size());
    if (is_valid_utf8(reason)) {
        close.reason = reason;
    } else {
        close.answer = close_code::invalid_payload;
        close.fault = "close reason is not UTF-8";
    }
    if (!is_valid_from_peer(close.code)) {
        close.answer = close_code::protocol_error;
        close.fault = "close code that must not be sent";
    }
    return close;
}

std::size_t encode_close(std::span<std::byte, kMaxControlPayload> out, std::uint16_t code,
                         std::string_view reason) {
    if (!is_sendable(code)) return 0;
    out[0] = static_cast<std::byte>(code >> 8);
    out[1] = static_cast<std::byte>(code & 0xFFU);
    if (reason.empty() || !is_valid_utf8(reason)) return 2;
    const std::size_t size = cut_at_character(reason, kMaxCloseReason);
    std::memcpy(out.data() + 2, reason.data(), size);
    return 2 + size;
}

}  // namespace nopoll::protocol
