// SPDX-License-Identifier: MIT
// The opcodes of RFC 6455 5.2 and their two families. Reserved values have no enumerator:
// a frame that carries one is a violation and never becomes an Opcode.
#pragma once

#include <cstdint>

namespace nopoll::protocol {

enum class Opcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10
};

// Bit 3 tells the families apart, also for the reserved values.
constexpr bool is_control(Opcode opcode) {
    return (static_cast<unsigned>(opcode) & 0x8U) != 0;
}

constexpr bool is_data(Opcode opcode) {
    return !is_control(opcode);
}

constexpr bool is_known_opcode(std::uint8_t raw) {
    return raw <= 2 || (raw >= 8 && raw <= 10);
}

}  // namespace nopoll::protocol
