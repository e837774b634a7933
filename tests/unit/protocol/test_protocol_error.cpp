// SPDX-License-Identifier: MIT
// Opcodes, and the close code of each violation (RFC 6455 5.2, 7.4.1).
#include "protocol/protocol_error.hpp"

#include <cstring>
#include <set>
#include <string>

#include "protocol/opcode.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

void opcodes(void**) {
    for (unsigned raw = 0; raw < 256; ++raw) {
        const bool known = raw == 0 || raw == 1 || raw == 2 || raw == 8 || raw == 9 || raw == 10;
        CHECK_ROW_EQUAL(raw, is_known_opcode(static_cast<std::uint8_t>(raw)), known);
        if (!known) continue;
        const auto opcode = static_cast<Opcode>(raw);
        CHECK_ROW_EQUAL(raw, is_control(opcode), raw >= 8);
        CHECK_ROW_EQUAL(raw, is_data(opcode), raw < 8);
    }
}

void close_codes(void**) {
    constexpr Violation all[] = {
        Violation::reserved_bits,
        Violation::unknown_opcode,
        Violation::unmasked_frame,
        Violation::masked_frame,
        Violation::control_fragmented,
        Violation::control_too_long,
        Violation::length_top_bit,
        Violation::frame_too_big,
        Violation::unexpected_continuation,
        Violation::unfinished_message,
        Violation::invalid_utf8,
    };
    std::set<std::string> texts{describe(Violation::none)};
    for (const Violation violation : all) {
        const std::uint16_t expected = violation == Violation::frame_too_big  ? 1009
                                       : violation == Violation::invalid_utf8 ? 1007
                                                                              : 1002;
        CHECK_ROW_EQUAL(describe(violation), close_code_of(violation), expected);
        CHECK_ROW(describe(violation), std::strlen(describe(violation)) > 0);
        CHECK_ROW(describe(violation), texts.insert(describe(violation)).second);
    }
    CHECK_EQUAL(close_code_of(Violation::none), 1000);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(opcodes),
        cmocka_unit_test(close_codes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
