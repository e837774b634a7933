// SPDX-License-Identifier: MIT
// Frames taken in pieces, and payload received straight into the decoder's buffer: flags, opcodes,
// memory, and the strict checks over the pieces.
#include <algorithm>
#include <cstring>

#include "protocol/frame_decoder.hpp"
#include "protocol/frames.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

using State = FrameDecoder::State;

constexpr Role kRoles[] = {Role::client, Role::server};
constexpr std::uint64_t kLimit = std::uint64_t{1} << 24;

// Bytes of a frame for a decoder, fed from the front.
class Wire {
public:
    explicit Wire(Bytes bytes) : bytes_(std::move(bytes)) {}
    State feed(FrameDecoder& decoder, std::size_t count) {
        const auto step = decoder.feed(std::span(bytes_).subspan(at_, count), kLimit);
        CHECK_EQUAL(step.consumed, count);
        at_ += count;
        return step.state;
    }
    [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

private:
    Bytes bytes_;
    std::size_t at_ = 0;
};

std::size_t header_size(Role role) {
    return role == Role::server ? 6 : 2;
}

std::string expected(std::string_view flags, Role role, std::string_view rest) {
    return "data " + std::string(flags) + (role == Role::server ? " masked" : "") + " " +
           std::string(rest);
}

// The table of pieces: first, next, last; with FIN and without.
void pieces_of_one_frame(void**) {
    for (const Role role : kRoles) {
        for (const bool fin : {true, false}) {
            FrameDecoder decoder(role, true);
            Wire wire(frame_to(role, {1, "abcdefghij", fin}));
            CHECK(wire.feed(decoder, header_size(role)) == State::need_more);
            CHECK(!decoder.has_partial());  // a header alone is nothing
            CHECK_EQUAL(decoder.frame_size(), 10U);
            CHECK(wire.feed(decoder, 3) == State::need_more && decoder.has_partial());
            CHECK_EQUAL(line_of(decoder.take_piece()),
                        expected("1 fragment", role, "outstanding 7 'abc'"));
            CHECK(!decoder.has_partial() && !decoder.between_frames());
            CHECK(wire.feed(decoder, 1) == State::need_more);
            CHECK(wire.feed(decoder, 2) == State::need_more);
            CHECK_EQUAL(line_of(decoder.take_piece()),
                        expected("0 fragment", role, "outstanding 4 'def'"));
            CHECK_EQUAL(decoder.payload_outstanding(), 4U);
            CHECK_EQUAL(decoder.frame_size(), 10U);
            CHECK(wire.feed(decoder, 4) == State::data_frame && !decoder.has_partial());
            CHECK_EQUAL(line_of(decoder.take_piece()),
                        expected(fin ? "0 fin fragment" : "0 fragment", role, "'ghij'"));
            CHECK(decoder.between_frames() && decoder.state() == State::need_more);
        }
    }
}

// Pieces of a continuation have opcode 0 from the first on; the next message is fresh.
void pieces_of_a_continuation(void**) {
    FrameDecoder decoder(Role::client, true);
    Wire wire(frame_to(Role::client, {2, "ab", false}) + frame_to(Role::client, {0, "cdef"}) +
              frame_to(Role::client, {1, "g"}));
    CHECK(wire.feed(decoder, 4) == State::data_frame);
    CHECK_EQUAL(line_of(decoder.take_piece()), "data 2 fragment 'ab'");
    CHECK(wire.feed(decoder, 4) == State::need_more);
    CHECK_EQUAL(line_of(decoder.take_piece()), "data 0 fragment outstanding 2 'cd'");
    CHECK(wire.feed(decoder, 2) == State::data_frame);
    CHECK_EQUAL(line_of(decoder.take_piece()), "data 0 fin fragment 'ef'");
    CHECK(wire.feed(decoder, 3) == State::data_frame);
    CHECK_EQUAL(line_of(decoder.take_piece()), "data 1 fin 'g'");
}

// The last byte makes the frame complete: whatever is taken then is the last piece, and no empty
// one follows.
void byte_by_byte(void**) {
    for (const Role role : kRoles) {
        const std::string text = "piece by piece";
        FrameDecoder decoder(role, true);
        Wire wire(frame_to(role, {1, text}) + frame_to(role, {1, "next"}));
        wire.feed(decoder, header_size(role));
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool last = i + 1 == text.size();
            CHECK((wire.feed(decoder, 1) == State::data_frame) == last);
            CHECK(decoder.has_partial() != last);
            const Piece piece = decoder.take_piece();
            CHECK_EQUAL(text_of(piece.payload.bytes()), text.substr(i, 1));
            CHECK(piece.opcode == (i == 0 ? Opcode::text : Opcode::continuation));
            CHECK(piece.fin && piece.fragment);
            CHECK_EQUAL(piece.outstanding, text.size() - i - 1);
            CHECK(piece.key == (role == Role::server ? kKey : MaskingKey{}));
        }
        CHECK(decoder.between_frames());
        CHECK(wire.feed(decoder, wire.left()) == State::data_frame);
        CHECK_EQUAL(line_of(decoder.take_piece()), expected("1 fin", role, "'next'"));
    }
}

// A header that came alone, and bytes that came in parts, leave no trace in a whole frame.
void parts_without_taking(void**) {
    FrameDecoder decoder(Role::server, false);
    Wire wire(frame_to(Role::server, {2, "abcdef"}));
    for (const std::size_t count : {1U, 1U, 3U, 1U, 2U, 3U})
        CHECK(wire.feed(decoder, count) == State::need_more);
    CHECK(wire.feed(decoder, 1) == State::data_frame);
    CHECK_EQUAL(line_of(decoder.take_piece()), "data 2 fin masked 'abcdef'");
}

// As recv() would: whatever room there is, in steps of any size.
void receive_into_the_payload(void**) {
    Sequence sequence(21);
    for (const Role role : kRoles) {
        for (const std::size_t size : {1U, 5U, 4095U, 4096U, 5000U, 300000U}) {
            for (const std::size_t most : {1U, 3U, 1000U, 1U << 20}) {
                if (most == 1 && size > 5000) continue;
                const std::string payload = text_of(sequence.bytes(size));
                const Bytes bytes = frame_to(role, {2, payload});
                FrameDecoder decoder(role, true);
                std::size_t at = bytes.size() - size;
                (void)decoder.feed(std::span(bytes).first(at), kLimit);
                State state = State::need_more;
                while (decoder.payload_outstanding() > 0) {
                    CHECK_EQUAL(decoder.wanted(), bytes.size() - at);
                    const auto room = decoder.payload_room(most);
                    CHECK(!room.empty() && room.size() <= most);
                    CHECK(room.size() <= decoder.payload_outstanding());
                    const std::size_t count = 1 + sequence.below(room.size());
                    std::memcpy(room.data(), bytes.data() + at, count);
                    at += count;
                    state = decoder.commit(count);
                }
                CHECK(state == State::data_frame && at == bytes.size());
                CHECK(line_of(decoder.take_piece()) ==
                      expected("2 fin", role, "'" + payload + "'"));
            }
        }
    }
}

// commit and feed may alternate, with pieces taken in between.
void mixed_ways(void**) {
    Sequence sequence(22);
    for (int round = 0; round < 200; ++round) {
        const Role role = kRoles[sequence.below(2)];
        const std::string payload(1 + sequence.below(9000), 'm');
        const Bytes bytes = frame_to(role, {1, payload});
        FrameDecoder decoder(role, true);
        std::string got;
        std::size_t at = 0;
        std::size_t pieces = 0;
        while (at < bytes.size()) {
            std::size_t count = 1 + sequence.below(2000);
            if (decoder.payload_outstanding() > 0 && sequence.below(2) == 0) {
                const auto room = decoder.payload_room(count);
                count = std::min(room.size(), bytes.size() - at);
                std::memcpy(room.data(), bytes.data() + at, count);
                decoder.commit(count);
            } else {
                count = std::min(count, bytes.size() - at);
                CHECK_EQUAL(decoder.feed(std::span(bytes).subspan(at, count), kLimit).consumed,
                            count);
            }
            at += count;
            if (decoder.has_partial() && sequence.below(3) == 0) {
                const Piece piece = decoder.take_piece();
                CHECK(piece.opcode == (pieces++ == 0 ? Opcode::text : Opcode::continuation));
                CHECK(piece.fragment && piece.fin && piece.outstanding == bytes.size() - at);
                got += text_of(piece.payload.bytes());
            }
        }
        CHECK(decoder.state() == State::data_frame);
        const Piece last = decoder.take_piece();
        CHECK(last.fin && last.fragment == (pieces > 0) && last.outstanding == 0);
        CHECK(got + text_of(last.payload.bytes()) == payload);
    }
}

// What a header announces costs nothing until bytes come.
void memory_follows_the_bytes(void**) {
    FrameSpec spec{2, "abc"};
    spec.claimed_size = kLimit;
    const Bytes bytes = frame_to(Role::client, spec);
    FrameDecoder decoder(Role::client, false);
    (void)decoder.feed(bytes, kLimit);
    CHECK_EQUAL(decoder.payload_outstanding(), kLimit - 3);
    CHECK(decoder.payload_room(1U << 20).size() <= 4096);
    const Piece piece = decoder.take_piece();
    CHECK(piece.payload.capacity() <= 4096);
    CHECK(decoder.payload_room(1U << 20).size() <= 4096);
}

// A frame that came in one part is held in a block of its size and not more.
void whole_frames_fit(void**) {
    const Bytes bytes = frame_to(Role::client, {2, std::string(100, 'w')});
    FrameDecoder decoder(Role::client, false);
    CHECK(decoder.feed(bytes, kLimit).state == State::data_frame);
    CHECK_EQUAL(decoder.take_piece().payload.capacity(), 101U);
}

// Strict: a character may be cut by pieces; the pieces before a bad byte stand, nothing after.
void strict_text_in_pieces(void**) {
    for (const Role role : kRoles) {
        FrameDecoder decoder(role, true);
        Wire wire(frame_to(role, {1, "\xe2\x82\xac\xc3\x28 more"}));
        wire.feed(decoder, header_size(role) + 1);
        CHECK_EQUAL(line_of(decoder.take_piece()),
                    expected("1 fragment", role, "outstanding 9 '\xe2'"));
        wire.feed(decoder, 2);
        CHECK_EQUAL(line_of(decoder.take_piece()),
                    expected("0 fragment", role, "outstanding 7 '\x82\xac'"));
        wire.feed(decoder, 1);
        CHECK(decoder.has_partial());
        CHECK(wire.feed(decoder, 1) == State::failed);
        CHECK(!decoder.has_partial() && decoder.violation() == Violation::invalid_utf8);
    }
}

void strict_text_by_commit(void**) {
    const Bytes bytes = frame_to(Role::server, {1, "ok\xff"});
    FrameDecoder strict(Role::server, true);
    FrameDecoder compatible(Role::server, false);
    for (FrameDecoder* decoder : {&strict, &compatible}) {
        (void)decoder->feed(std::span(bytes).first(6), kLimit);
        const auto room = decoder->payload_room(100);
        CHECK_EQUAL(room.size(), 3U);
        std::memcpy(room.data(), bytes.data() + 6, 3);
        const State state = decoder->commit(3);
        CHECK(state == (decoder == &strict ? State::failed : State::data_frame));
    }
    CHECK_EQUAL(close_code_of(strict.violation()), 1007);
}

void moved_decoder(void**) {
    FrameDecoder decoder(Role::client, true);
    Wire wire(frame_to(Role::client, {1, "abcdef"}));
    wire.feed(decoder, 5);
    FrameDecoder moved = std::move(decoder);
    CHECK(wire.feed(moved, 3) == State::data_frame);
    CHECK_EQUAL(line_of(moved.take_piece()), "data 1 fin 'abcdef'");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_one_frame),
        cmocka_unit_test(pieces_of_a_continuation),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(parts_without_taking),
        cmocka_unit_test(receive_into_the_payload),
        cmocka_unit_test(mixed_ways),
        cmocka_unit_test(memory_follows_the_bytes),
        cmocka_unit_test(whole_frames_fit),
        cmocka_unit_test(strict_text_in_pieces),
        cmocka_unit_test(strict_text_by_commit),
        cmocka_unit_test(moved_decoder),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
