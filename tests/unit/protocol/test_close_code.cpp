// SPDX-License-Identifier: MIT
// Bodies of Close frames, both ways (RFC 6455 5.5.1, 7.4).
#include "protocol/close_code.hpp"

#include <array>
#include <optional>

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

Bytes body_of(int code, std::string_view reason = {}) {
    return bytes_of({code >> 8, code & 0xFF}) + bytes_of(reason);
}

// The ranges of the specification, spelled out another way than the code does.
bool expected_sendable(long code) {
    if (code < 1000 || code > 4999) return false;
    return code != 1004 && code != 1005 && code != 1006 && code != 1015;
}

void every_code(void**) {
    for (long code = -1; code <= 65535; ++code)
        CHECK_ROW_EQUAL(code, is_sendable(code), expected_sendable(code));
    CHECK(!is_sendable(65536 + 1000) && !is_sendable(-64536));
    for (unsigned code = 0; code <= 65535; ++code) {
        const bool valid = expected_sendable(code) && !(code >= 1016 && code <= 2999);
        CHECK_ROW_EQUAL(code, is_valid_from_peer(static_cast<std::uint16_t>(code)), valid);
        const Bytes body = body_of(static_cast<int>(code), "bye");
        const CloseFrame close = parse_close(body);
        CHECK_ROW_EQUAL(code, close.code, code);
        CHECK_ROW(code, close.reason && *close.reason == "bye");
        CHECK_ROW_EQUAL(code, close.answer.value(), valid ? code : 1002U);
        CHECK_ROW_EQUAL(code, close.fault == nullptr, valid);
    }
}

void bodies(void**) {
    struct Row {
        const char* label;
        Bytes body;
        std::uint16_t code;
        std::optional<std::string_view> reason;
        std::optional<std::uint16_t> answer;
        bool faulty;
    };
    const Row rows[] = {
        {"empty", {}, 1005, {}, {}, false},
        {"one byte", bytes_of({3}), 1005, {}, 1002, true},
        {"code only", body_of(1000), 1000, "", 1000, false},
        {"code and reason", body_of(1001, "moved"), 1001, "moved", 1001, false},
        {"reason of 123", body_of(1000, std::string(123, 'r')), 1000, {}, 1000, false},
        {"reason with a zero", body_of(1000, {"a\0b", 3}), 1000, std::string_view("a\0b", 3), 1000,
         false},
        {"reason in UTF-8", body_of(3000, "\u00e9\u20ac"), 3000, "\u00e9\u20ac", 3000, false},
        {"reason not UTF-8", body_of(1000, "\xff\xfe"), 1000, {}, 1007, true},
        {"reason cut in a character", body_of(1000, "abc\xe2\x82"), 1000, {}, 1007, true},
        {"bad code and bad reason", body_of(1005, "\xff"), 1005, {}, 1002, true},
        {"code a program uses", body_of(1048, "x"), 1048, "x", 1002, true},
        {"code of zero", body_of(0), 0, "", 1002, true},
    };
    for (const Row& row : rows) {
        const CloseFrame close = parse_close(row.body);
        CHECK_ROW_EQUAL(row.label, close.code, row.code);
        CHECK_ROW(row.label, close.answer == row.answer);
        CHECK_ROW_EQUAL(row.label, close.fault != nullptr, row.faulty);
        if (row.body.size() == 125) {
            CHECK_ROW_EQUAL(row.label, close.reason.value().size(), 123U);
        } else {
            CHECK_ROW(row.label, close.reason == row.reason);
        }
    }
}

void encoding(void**) {
    const std::string long_ascii(200, 'a');
    std::string euros;  // 3 bytes each: 41 of them are 123 bytes
    for (int i = 0; i < 60; ++i)
        euros += "\u20ac";
    struct Row {
        const char* label;
        std::uint16_t code;
        std::string reason;
        std::optional<std::string> expected;  // what follows the code; none: an empty body
    };
    const Row rows[] = {
        {"code only", 1000, "", ""},
        {"with reason", 1001, "gone", "gone"},
        {"codes in the reserved range go out", 1048, "x", "x"},
        {"largest", 4999, "", ""},
        {"no code", 0, "dropped", {}},
        {"not for the wire", 1005, "dropped", {}},
        {"too large", 5000, "dropped", {}},
        {"mod 65536 of -1", 0xFFFF, "dropped", {}},
        {"exactly 123", 1000, std::string(123, 'a'), std::string(123, 'a')},
        {"124", 1000, std::string(124, 'a'), std::string(123, 'a')},
        {"long", 1000, long_ascii, std::string(123, 'a')},
        {"cut between characters", 1000, euros, euros.substr(0, 123)},
        {"cut before a character, 1 over", 1000, "a" + euros, "a" + euros.substr(0, 120)},
        {"cut before a character, 2 over", 1000, "ab" + euros, "ab" + euros.substr(0, 120)},
        {"four byte character on the border", 1000, std::string(120, 'a') + "\U0001f600",
         std::string(120, 'a')},
        {"four byte character that fits", 1000, std::string(119, 'a') + "\U0001f600",
         std::string(119, 'a') + "\U0001f600"},
        {"not UTF-8", 1000, "ab\xff", ""},
        {"not UTF-8 behind the cut", 1000, long_ascii + "\xff", ""},
        {"with a zero", 1000, std::string("a\0b", 3), std::string("a\0b", 3)},
    };
    for (const Row& row : rows) {
        std::array<std::byte, kMaxControlPayload> out{};
        const std::size_t size = encode_close(out, row.code, row.reason);
        const Bytes got(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
        const Bytes wanted = row.expected ? body_of(row.code, *row.expected) : Bytes{};
        CHECK_ROW_EQUAL(row.label, text_of(got), text_of(wanted));
        if (size > 0) CHECK_ROW_EQUAL(row.label, parse_close(got).code, row.code);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(every_code),
        cmocka_unit_test(bodies),
        cmocka_unit_test(encoding),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
