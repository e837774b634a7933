// SPDX-License-Identifier: MIT
// The close code and the wording of each violation (RFC 6455 7.4.1).
#include "protocol/protocol_error.hpp"

#include "protocol/close_code.hpp"

namespace nopoll::protocol {

std::uint16_t close_code_of(Violation violation) {
    switch (violation) {
    case Violation::none: return close_code::normal;
    case Violation::frame_too_big: return close_code::too_big;
    case Violation::invalid_utf8: return close_code::invalid_payload;
    case Violation::reserved_bits:
    case Violation::unknown_opcode:
    case Violation::unmasked_frame:
    case Violation::masked_frame:
    case Violation::control_fragmented:
    case Violation::control_too_long:
    case Violation::length_top_bit:
    case Violation::unexpected_continuation:
    case Violation::unfinished_message: break;
    }
    return close_code::protocol_error;
}

const char* describe(Violation violation) {
    switch (violation) {
    case Violation::none: return "no violation";
    case Violation::reserved_bits: return "reserved bit set without an extension";
    case Violation::unknown_opcode: return "reserved opcode";
    case Violation::unmasked_frame: return "frame from a client is not masked";
    case Violation::masked_frame: return "frame from a server is masked";
    case Violation::control_fragmented: return "control frame in fragments";
    case Violation::control_too_long: return "control frame longer than 125 bytes";
    case Violation::length_top_bit: return "top bit of the payload length set";
    case Violation::frame_too_big: return "frame longer than the limit";
    case Violation::unexpected_continuation: return "continuation of no message";
    case Violation::unfinished_message: return "new message inside an unfinished one";
    case Violation::invalid_utf8: return "text is not UTF-8";
    }
    return "unknown violation";
}

}  // namespace nopoll::protocol
