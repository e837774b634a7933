// SPDX-License-Identifier: MIT
// Close status codes and the body of Close frames, both ways (RFC 6455 5.5.1 and 7.4).
// Deciding whether and when to answer is not done here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace nopoll::protocol {

namespace close_code {
inline constexpr std::uint16_t normal = 1000;
inline constexpr std::uint16_t going_away = 1001;
inline constexpr std::uint16_t protocol_error = 1002;
inline constexpr std::uint16_t unsupported_data = 1003;
inline constexpr std::uint16_t no_status = 1005;  // never on the wire
inline constexpr std::uint16_t abnormal = 1006;   // never on the wire
inline constexpr std::uint16_t invalid_payload = 1007;
inline constexpr std::uint16_t policy_violation = 1008;
inline constexpr std::uint16_t too_big = 1009;
inline constexpr std::uint16_t missing_extension = 1010;
inline constexpr std::uint16_t internal_error = 1011;
inline constexpr std::uint16_t service_restart = 1012;
inline constexpr std::uint16_t try_again_later = 1013;
inline constexpr std::uint16_t bad_gateway = 1014;
inline constexpr std::uint16_t tls_failure = 1015;  // never on the wire
}  // namespace close_code

// A Close frame has the room of any control frame: 125 bytes, two of them for the code.
inline constexpr std::size_t kMaxControlPayload = 125;
inline constexpr std::size_t kMaxCloseReason = kMaxControlPayload - 2;

// Whether we put this code on the wire: 1000-1003, 1007-1014, 1016-4999. The codes 1016-2999 are
// reserved by the RFC, but programs send them and expect to see them arrive.
bool is_sendable(long code);

// Whether a peer may send this code: as is_sendable, without 1016-2999 (RFC 6455 7.4.2).
bool is_valid_from_peer(std::uint16_t code);

// What a received Close frame says and what is to be said in return.
struct CloseFrame {
    std::uint16_t code = close_code::no_status;  // as received; 1005 without one (also: one byte)
    std::optional<std::string_view> reason;      // view into the body; none: no code, or not UTF-8
    std::optional<std::uint16_t> answer;         // code to answer with; none: an empty Close
    const char* fault = nullptr;                 // why the frame was invalid, for the log
};

[[nodiscard]] CloseFrame parse_close(std::span<const std::byte> body);

// Writes the body of a Close frame and returns its size. A code that is not sendable gives an
// empty body. The reason is cut to 123 bytes at a character boundary; one that is not UTF-8 is
// dropped.
std::size_t encode_close(std::span<std::byte, kMaxControlPayload> out, std::uint16_t code,
                         std::string_view reason);

}  // namespace nopoll::protocol
