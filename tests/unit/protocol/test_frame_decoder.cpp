// SPDX-License-Identifier: MIT
// Whole frames: the RFC's examples, every length, control frames in between, in both roles and both
// modes, at every split (RFC 6455 5).
#include "protocol/frame_decoder.hpp"

#include <algorithm>
#include <string>

#include "protocol/frames.hpp"
#include "protocol/masking.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

constexpr Role kRoles[] = {Role::client, Role::server};

// RFC 6455 5.7, literally.
void rfc_examples(void**) {
    for (const bool strict : {false, true}) {
        expect_lines("unmasked text", Role::client, strict,
                     bytes_of({0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}), {"data 1 fin 'Hello'"});
        expect_lines("masked text", Role::server, strict,
                     bytes_of({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}),
                     {"data 1 fin masked 'Hello'"});
        expect_lines("fragments", Role::client, strict,
                     bytes_of({0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f}),
                     {"data 1 fragment 'Hel'", "data 0 fin fragment 'lo'"});
        expect_lines("ping", Role::client, strict,
                     bytes_of({0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}), {"control 9 'Hello'"});
        expect_lines("pong", Role::server, strict,
                     bytes_of({0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}),
                     {"control 10 'Hello'"});
        const std::string data(256, 'd');
        expect_lines("256 bytes", Role::client, strict,
                     bytes_of({0x82, 0x7E, 0x01, 0x00}) + bytes_of(data),
                     {"data 2 fin '" + data + "'"});
    }
}

void rfc_64_kib(void**) {
    const std::string data(65536, 'd');
    const Bytes input = bytes_of({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}) + bytes_of(data);
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{7}, std::size_t{4096}, input.size()}) {
        std::vector<std::span<const std::byte>> parts;
        for (std::size_t at = 0; at < input.size(); at += step)
            parts.push_back(std::span(input).subspan(at, std::min(step, input.size() - at)));
        FrameDecoder decoder(Role::client, true);
        CHECK_EQUAL(joined(run(decoder, parts)), "data 2 fin '" + data + "'\n");
    }
}

void boundary_lengths(void**) {
    constexpr std::size_t limit = 70000;
    Sequence sequence(11);
    for (const Role role : kRoles) {
        for (const std::size_t size : {0U, 1U, 125U, 126U, 127U, 65535U, 65536U, 70000U}) {
            for (const int form : {-1, 2, 8}) {
                if (form == 2 && size > 65535) continue;
                FrameSpec spec;
                spec.opcode = 2;
                spec.payload = text_of(sequence.bytes(size));
                spec.length_bytes = form;
                const Bytes input = frame_to(role, spec);
                // The header byte by byte, then payload in steps; and everything at once.
                const std::size_t head = input.size() - size;
                std::vector<std::span<const std::byte>> parts;
                for (std::size_t i = 0; i < head; ++i)
                    parts.push_back(std::span(input).subspan(i, 1));
                for (std::size_t at = head; at < input.size(); at += 1013)
                    parts.push_back(std::span(input).subspan(
                        at, std::min<std::size_t>(1013, input.size() - at)));
                const std::string expected = std::string("data 2 fin") +
                                             (role == Role::server ? " masked" : "") + " '" +
                                             spec.payload + "'\n";
                FrameDecoder slow(role, false);
                CHECK_ROW(size, joined(run(slow, parts, limit)) == expected);
                FrameDecoder fast(role, false);
                CHECK_ROW(size, joined(run(fast, {std::span(input)}, limit)) == expected);
            }
        }
        FrameSpec over;
        over.opcode = 2;
        over.claimed_size = limit + 1;
        expect_lines("limit + 1", role, false, frame_to(role, over),
                     {"failed frame longer than the limit"}, limit);
        over.claimed_size = std::uint64_t{1} << 63;
        expect_lines("2^63", role, false, frame_to(role, over),
                     {"failed top bit of the payload length set"}, limit);
        over.claimed_size = (std::uint64_t{1} << 63) - 1;
        expect_lines("2^63 - 1", role, false, frame_to(role, over),
                     {"failed frame longer than the limit"}, limit);
    }
}

// Frame after frame in one input: messages, fragments, controls between them, empty frames.
void sequences(void**) {
    struct Row {
        const char* label;
        std::vector<FrameSpec> frames;
        std::vector<std::string> lines;  // without " masked"
    };
    const Row rows[] = {
        {"three messages",
         {{1, "a"}, {2, std::string("\xff\0", 2)}, {1, "c"}},
         {"data 1 fin 'a'", std::string("data 2 fin '\xff\0'", 15), "data 1 fin 'c'"}},
        {"empty message", {{1, ""}, {2, ""}}, {"data 1 fin ''", "data 2 fin ''"}},
        {"three fragments",
         {{1, "a", false}, {0, "b", false}, {0, "c"}, {1, "d"}},
         {"data 1 fragment 'a'", "data 0 fragment 'b'", "data 0 fin fragment 'c'",
          "data 1 fin 'd'"}},
        {"empty fragments",
         {{2, "", false}, {0, "", false}, {0, ""}},
         {"data 2 fragment ''", "data 0 fragment ''", "data 0 fin fragment ''"}},
        {"controls change nothing",
         {{9, ""},
          {1, "a", false},
          {9, "p"},
          {10, std::string(125, 'q')},
          {0, "b", false},
          {10, ""},
          {0, "c"},
          {9, "z"},
          {1, "d"}},
         {"control 9 ''", "data 1 fragment 'a'", "control 9 'p'",
          "control 10 '" + std::string(125, 'q') + "'", "data 0 fragment 'b'", "control 10 ''",
          "data 0 fin fragment 'c'", "control 9 'z'", "data 1 fin 'd'"}},
        {"close in a message, then more",
         {{2, "a", false},
          {8, "\x03\xe8"
              "bye"},
          {0, "b"}},
         {"data 2 fragment 'a'",
          "control 8 '\x03\xe8"
          "bye'",
          "data 0 fin fragment 'b'"}},
        {"longer length forms",
         {{1, "a", true, 0, 2}, {1, "b", true, 0, 8}, {1, "", true, 0, 8}},
         {"data 1 fin 'a'", "data 1 fin 'b'", "data 1 fin ''"}},
    };
    for (const Role role : kRoles) {
        for (const bool strict : {false, true}) {
            for (const Row& row : rows) {
                Bytes input;
                for (const FrameSpec& spec : row.frames)
                    input = input + frame_to(role, spec);
                std::vector<std::string> lines = row.lines;
                for (std::string& line : lines) {
                    if (role == Role::server && line.starts_with("data"))
                        line.insert(line.find('\'') - 1, " masked");
                }
                expect_lines(row.label, role, strict, input, lines);
            }
        }
    }
}

void wanted_bytes(void**) {
    struct Row {
        Role role;
        Bytes header;
        std::vector<std::uint64_t> wanted;  // before each header byte, then of the payload
    };
    const Row rows[] = {
        {Role::client, bytes_of({0x81, 0x05}), {2, 1, 5}},
        {Role::client, bytes_of({0x82, 0x7E, 0x01, 0x00}), {2, 1, 2, 1, 256}},
        {Role::client,
         bytes_of({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}),
         {2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 65536}},
        {Role::server, bytes_of({0x81, 0x81, 1, 2, 3, 4}), {6, 5, 4, 3, 2, 1, 1}},
        {Role::server,
         bytes_of({0x82, 0xFE, 0x01, 0x00, 1, 2, 3, 4}),
         {6, 5, 6, 5, 4, 3, 2, 1, 256}},
        {Role::server, bytes_of({0x89, 0xFD, 1, 2, 3, 4}), {6, 5, 4, 3, 2, 1, 125}},
    };
    for (const Row& row : rows) {
        FrameDecoder decoder(row.role, false);
        for (std::size_t i = 0; i < row.header.size(); ++i) {
            CHECK_EQUAL(decoder.wanted(), row.wanted[i]);
            CHECK_EQUAL(decoder.payload_outstanding(), 0U);
            CHECK_EQUAL(decoder.frame_size(), 0U);
            CHECK_EQUAL(decoder.between_frames(), i == 0);
            (void)decoder.feed(std::span(row.header).subspan(i, 1), 1U << 20);
        }
        CHECK_EQUAL(decoder.wanted(), row.wanted.back());
        const bool control = (std::to_integer<int>(row.header[0]) & 8) != 0;
        CHECK_EQUAL(decoder.payload_outstanding(), control ? 0 : row.wanted.back());
        CHECK_EQUAL(decoder.frame_size(), control ? 0 : row.wanted.back());
        CHECK(!decoder.between_frames());
    }
}

// The limit of the moment at which the length becomes known counts, also when it is lowered
// between two parts of a header.
void changing_limit(void**) {
    const Bytes input = frame_to(Role::client, {2, std::string(300, 'x')});
    FrameDecoder lowered(Role::client, false);
    (void)lowered.feed(std::span(input).first(3), 1000);
    const auto failed = lowered.feed(std::span(input).subspan(3), 100);
    CHECK(failed.state == FrameDecoder::State::failed);
    CHECK(lowered.violation() == Violation::frame_too_big);
    FrameDecoder later(Role::client, false);
    (void)later.feed(std::span(input).first(10), 1000);
    CHECK(later.feed(std::span(input).subspan(10), 1).state == FrameDecoder::State::data_frame);
}

void no_input(void**) {
    FrameDecoder decoder(Role::server, true);
    const auto step = decoder.feed({}, 100);
    CHECK(step.state == FrameDecoder::State::need_more && step.consumed == 0);
    CHECK(decoder.between_frames() && !decoder.has_partial());
}

// decode(encode(x)) == x for pseudo-random conversations, cut at random.
void round_trips(void**) {
    Sequence sequence(77);
    for (int round = 0; round < 300; ++round) {
        const Role role = kRoles[sequence.below(2)];
        Bytes input;
        std::string expected;
        bool open = false;
        for (std::size_t i = 0; i < 20; ++i) {
            FrameHeader header;
            const bool control = sequence.below(4) == 0;
            header.fin = control || sequence.below(2) == 0;
            header.masked = role == Role::server;
            header.opcode = control ? Opcode::ping : open ? Opcode::continuation : Opcode::binary;
            for (std::byte& byte : header.key)
                byte = sequence.byte();
            Bytes payload = sequence.bytes(sequence.below(control ? 126 : 700));
            header.payload_size = payload.size();
            if (control) {
                expected += "control 9 '" + text_of(payload) + "'\n";
            } else {
                expected += std::string("data ") + (open ? "0" : "2") + (header.fin ? " fin" : "") +
                            (open || !header.fin ? " fragment" : "") +
                            (header.masked ? " masked" : "") + " '" + text_of(payload) + "'\n";
                open = !header.fin;
            }
            std::array<std::byte, kMaxFrameHeader> bytes{};
            const std::size_t size = encode_frame_header(header, bytes);
            input.insert(input.end(), bytes.begin(),
                         bytes.begin() + static_cast<std::ptrdiff_t>(size));
            if (header.masked) apply_mask(payload, header.key, 0);
            input = input + payload;
        }
        std::vector<std::span<const std::byte>> parts;
        for (std::size_t at = 0; at < input.size();) {
            const std::size_t size = std::min(1 + sequence.below(200), input.size() - at);
            parts.push_back(std::span(input).subspan(at, size));
            at += size;
        }
        FrameDecoder decoder(role, true);
        CHECK_EQUAL(joined(run(decoder, parts)), expected);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(rfc_examples),     cmocka_unit_test(rfc_64_kib),
        cmocka_unit_test(boundary_lengths), cmocka_unit_test(sequences),
        cmocka_unit_test(wanted_bytes),     cmocka_unit_test(changing_limit),
        cmocka_unit_test(no_input),         cmocka_unit_test(round_trips),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
