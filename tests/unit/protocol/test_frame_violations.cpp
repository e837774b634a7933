// SPDX-License-Identifier: MIT
// Every violation with its close code, at the byte that shows it, in both roles and both modes, at
// every split; and what compatible mode lets pass (RFC 6455 5, 7.4.1, 8.1).
#include <string>
#include <vector>

#include "protocol/frame_decoder.hpp"
#include "protocol/frames.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

constexpr Role kRoles[] = {Role::client, Role::server};

// A violation is found at every split, with the same frames before it, and has its close code.
void violations(void**) {
    enum class Mode { both, strict_only };
    struct Row {
        const char* label;
        std::vector<FrameSpec> before;  // good frames
        FrameSpec bad;
        Violation violation;
        std::uint16_t code;
        Mode mode = Mode::both;
    };
    const FrameSpec fragment{1, "a", false};
    const FrameSpec binary_fragment{2, "a", false};
    std::vector<Row> rows{
        {"continuation of nothing", {}, {0, "x"}, Violation::unexpected_continuation, 1002},
        {"continuation, not final", {}, {0, "x", false}, Violation::unexpected_continuation, 1002},
        {"continuation behind a message",
         {{1, "a"}},
         {0, "x"},
         Violation::unexpected_continuation,
         1002},
        {"continuation behind a finished message",
         {fragment, {0, "b"}},
         {0, "x"},
         Violation::unexpected_continuation,
         1002},
        {"text inside a message",
         {fragment},
         {1, "b"},
         Violation::unfinished_message,
         1002,
         Mode::strict_only},
        {"binary inside a message",
         {fragment, {9, ""}},
         {2, "b", false},
         Violation::unfinished_message,
         1002,
         Mode::strict_only},
        {"limit", {{1, "a"}}, {2, std::string(1001, 'x')}, Violation::frame_too_big, 1009},
        {"text not UTF-8",
         {{1, "a"}},
         {1, "b\xff"},
         Violation::invalid_utf8,
         1007,
         Mode::strict_only},
        {"text cut in a character",
         {},
         {1, "b\xe2\x82"},
         Violation::invalid_utf8,
         1007,
         Mode::strict_only},
        {"bad continuation of a text",
         {{1, "ok \xe2", false}},
         {0, "\x28"},
         Violation::invalid_utf8,
         1007,
         Mode::strict_only},
        {"text cut at its empty end",
         {{1, "ok \xe2", false}, {9, "p"}},
         {0, ""},
         Violation::invalid_utf8,
         1007,
         Mode::strict_only},
        {"bad text in a frame without FIN",
         {},
         {1, "\x80", false},
         Violation::invalid_utf8,
         1007,
         Mode::strict_only},
    };
    for (const bool open : {false, true}) {
        const std::vector<FrameSpec> before =
            open ? std::vector{binary_fragment} : std::vector<FrameSpec>{};
        for (int rsv = 1; rsv <= 7; ++rsv) {
            for (const int opcode : {open ? 0 : 1, 9})
                rows.push_back(
                    {"rsv", before, {opcode, "x", true, rsv}, Violation::reserved_bits, 1002});
        }
        for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
            rows.push_back({"opcode", before, {opcode, "x"}, Violation::unknown_opcode, 1002});
        for (const int opcode : {8, 9, 10}) {
            rows.push_back({"control in fragments",
                            before,
                            {opcode, "", false},
                            Violation::control_fragmented,
                            1002});
            rows.push_back({"control of 126",
                            before,
                            {opcode, std::string(126, 'x')},
                            Violation::control_too_long,
                            1002});
            rows.push_back({"control in long form",
                            before,
                            {opcode, "x", true, 0, 2},
                            Violation::control_too_long,
                            1002});
        }
    }
    for (const Row& row : rows) {
        for (const Role role : kRoles) {
            for (const bool strict : {false, true}) {
                Bytes input;
                for (const FrameSpec& spec : row.before)
                    input = input + frame_to(role, spec);
                FrameDecoder first(role, strict);
                std::vector<std::string> lines = run(first, {std::span(input)}, 1000);
                CHECK_ROW_EQUAL(row.label, lines.size(), row.before.size());
                input = input + frame_to(role, row.bad);
                if (row.mode == Mode::both || strict) {
                    CHECK_ROW_EQUAL(row.label, close_code_of(row.violation), row.code);
                    lines.push_back(std::string("failed ") + describe(row.violation));
                    expect_lines(row.label, role, strict, input + bytes_of("more"), lines, 1000);
                } else {
                    FrameDecoder compatible(role, strict);
                    const auto got = run(compatible, {std::span(input)}, 1000);
                    CHECK_ROW_EQUAL(row.label, got.size(), lines.size() + 1);
                    CHECK_ROW(row.label, got.back().starts_with("data"));
                    expect_lines(row.label, role, strict, input, got, 1000);
                }
            }
        }
    }
}

void wrong_masking(void**) {
    for (const bool strict : {false, true}) {
        for (const int opcode : {1, 2, 8, 9, 10}) {
            const FrameSpec spec{opcode, opcode == 8 ? "" : "x"};
            expect_lines("to a server", Role::server, strict, frame(spec, false),
                         {"failed frame from a client is not masked"});
            expect_lines("to a client", Role::client, strict, frame(spec, true),
                         {"failed frame from a server is masked"});
        }
    }
}

// Compatible mode: opcode repeated in each frame, as released noPoll programs send it.
void repeated_opcodes(void**) {
    const Bytes input = frame_to(Role::client, {1, "a", false}) +
                        frame_to(Role::client, {1, "b", false}) + frame_to(Role::client, {9, ""}) +
                        frame_to(Role::client, {2, "c", false}) + frame_to(Role::client, {1, "d"}) +
                        frame_to(Role::client, {1, "e"});
    expect_lines("compatible", Role::client, false, input,
                 {"data 1 fragment 'a'", "data 1 fragment 'b'", "control 9 ''",
                  "data 2 fragment 'c'", "data 1 fin fragment 'd'", "data 1 fin 'e'"});
    expect_lines("strict", Role::client, true, input,
                 {"data 1 fragment 'a'", "failed new message inside an unfinished one"});
}

// Characters cut by frame borders, with controls and binary messages between.
void text_over_frames(void**) {
    for (const Role role : kRoles) {
        const std::string text = "\u20ac\U0001f600";
        Bytes input;
        std::vector<std::string> lines;
        const std::string masked = role == Role::server ? " masked" : "";
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool last = i + 1 == text.size();
            input = input + frame_to(role, {i == 0 ? 1 : 0, text.substr(i, 1), last}) +
                    frame_to(role, {9, "\xff"});
            lines.push_back(std::string("data ") + (i == 0 ? "1" : "0") + (last ? " fin" : "") +
                            " fragment" + masked + " '" + text.substr(i, 1) + "'");
            lines.push_back("control 9 '\xff'");
        }
        input = input + frame_to(role, {2, "\xff\xfe\x80"}) + frame_to(role, {1, "\xc3\xa9"});
        lines.push_back("data 2 fin" + masked + " '\xff\xfe\x80'");
        lines.push_back("data 1 fin" + masked + " '\xc3\xa9'");
        expect_lines("text over frames", role, true, input, lines);
    }
}

// Strict: the bad byte fails the frame although most of it has not come.
void fails_at_the_bad_byte(void**) {
    FrameSpec spec{1, "good \xe2\x28"};
    spec.claimed_size = 1000;
    const Bytes input = frame_to(Role::server, spec);
    FrameDecoder decoder(Role::server, true);
    const auto good = decoder.feed(std::span(input).first(input.size() - 1), 2000);
    CHECK(good.state == FrameDecoder::State::need_more && decoder.has_partial());
    CHECK_EQUAL(decoder.payload_outstanding(), 994U);
    const auto bad = decoder.feed(std::span(input).last(1), 2000);
    CHECK(bad.state == FrameDecoder::State::failed);
    CHECK(decoder.violation() == Violation::invalid_utf8 && !decoder.has_partial());
    CHECK(decoder.wanted() == 0 && decoder.payload_outstanding() == 0 && decoder.frame_size() == 0);
}

// A header fails at the byte that shows it: nothing behind it is waited for.
void fails_early(void**) {
    struct Row {
        const char* label;
        Bytes bytes;
    };
    const Row rows[] = {
        {"rsv", bytes_of({0xC1})},
        {"opcode", bytes_of({0x83})},
        {"ping without FIN", bytes_of({0x09})},
        {"continuation of nothing", bytes_of({0x80})},
        {"not masked", bytes_of({0x81, 0x05})},
        {"ping too long", bytes_of({0x89, 0xFE})},
        {"limit", bytes_of({0x82, 0xFE, 0x10})},
        {"2^63", bytes_of({0x82, 0xFF, 0x80})},
    };
    for (const Row& row : rows) {
        FrameDecoder decoder(Role::server, false);
        for (std::size_t i = 0; i < row.bytes.size(); ++i) {
            const auto step = decoder.feed(std::span(row.bytes).subspan(i, 1), 4095);
            const bool last = i + 1 == row.bytes.size();
            CHECK_ROW_EQUAL(row.label, step.state == FrameDecoder::State::failed, last);
            CHECK_ROW_EQUAL(row.label, step.consumed, 1U);
        }
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(violations),
        cmocka_unit_test(wrong_masking),
        cmocka_unit_test(repeated_opcodes),
        cmocka_unit_test(text_over_frames),
        cmocka_unit_test(fails_at_the_bad_byte),
        cmocka_unit_test(fails_early),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
