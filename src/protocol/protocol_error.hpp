// SPDX-License-Identifier: MIT
// Everything a peer can do wrong in a frame, with the close code that answers it (RFC 6455 7.4.1).
#pragma once

#include <cstdint>

namespace nopoll::protocol {

enum class Violation {
    none,
    reserved_bits,            // RSV1-3 without an extension (5.2)
    unknown_opcode,           // 3-7, 11-15 (5.2)
    unmasked_frame,           // from a client (5.1)
    masked_frame,             // from a server (5.1)
    control_fragmented,       // control frame without FIN (5.5)
    control_too_long,         // control frame above 125 bytes (5.5)
    length_top_bit,           // 64-bit length of 2^63 or more (5.2)
    frame_too_big,            // above the limit of the connection
    unexpected_continuation,  // no message was started (5.4)
    unfinished_message,       // text or binary inside a message (5.4), strict mode only
    invalid_utf8,             // text (8.1), strict mode only
};

std::uint16_t close_code_of(Violation violation);

// One phrase for the log, without full stop.
const char* describe(Violation violation);

}  // namespace nopoll::protocol
