// SPDX-License-Identifier: MIT
// Frames (RFC 6455 5): the same frames and the same violation whatever way the bytes were cut and
// brought in, pieces that add up to the frames, and frames of our own that are read as written.
#include <vector>

#include "fuzz_input.hpp"
#include "protocol/frame_decoder.hpp"
#include "protocol/masking.hpp"
#include "protocol/utf8.hpp"

using namespace nopoll;
using fuzz::Bytes;
using protocol::FrameDecoder;
using protocol::Role;
using State = FrameDecoder::State;

namespace {

struct Setting {
    Role role = Role::server;
    bool strict = false;
    std::uint64_t limit = 0;
};

// How the bytes come in, and when pieces are taken.
struct Way {
    fuzz::Splitter splitter;
    bool into_room = false;    // through payload_room and commit where that is possible
    bool take_pieces = false;  // of frames that are not complete
};

struct Outcome {
    std::string frames;  // one entry a frame; equal for equal frames
    protocol::Violation violation = protocol::Violation::none;
    std::string partial;  // payload of the last frame, which is not complete
};

std::string text_of(const protocol::PayloadBuffer& payload) {
    return std::string(fuzz::text_of(payload.bytes()));
}

void add_frame(Outcome& outcome, unsigned first_byte, std::string_view payload) {
    outcome.frames += static_cast<char>(first_byte);
    outcome.frames += std::to_string(payload.size());
    outcome.frames += ':';
    outcome.frames += payload;
}

// Pieces of one frame, put together again.
struct Assembly {
    std::string payload;
    bool begun = false;
    unsigned opcode = 0;
    bool message_open = false;  // of the frames before
};

void take_piece(FrameDecoder& decoder, Assembly& assembly, Outcome& outcome, bool complete) {
    const std::uint64_t outstanding = decoder.payload_outstanding();
    protocol::Piece piece = decoder.take_piece();
    FUZZ_CHECK(piece.outstanding == outstanding && (outstanding == 0) == complete);
    if (assembly.begun)
        FUZZ_CHECK(piece.opcode == protocol::Opcode::continuation);
    else
        assembly.opcode = static_cast<unsigned>(piece.opcode);
    // "Not a whole message of one frame".
    FUZZ_CHECK(piece.fragment ==
               (!piece.fin || !complete || assembly.begun || assembly.message_open));
    const std::size_t size = piece.payload.size();
    char* const block = piece.payload.release();
    FUZZ_CHECK(block[size] == '\0');
    assembly.payload.append(block, size);
    std::free(block);
    assembly.begun = true;
    if (!complete) return;
    add_frame(outcome, (piece.fin ? 0x80U : 0U) | assembly.opcode, assembly.payload);
    assembly.payload.clear();
    assembly.begun = false;
    assembly.message_open = !piece.fin;
}

std::size_t bring_in(FrameDecoder& decoder, Bytes part, const Setting& setting, bool into_room) {
    if (into_room && decoder.payload_outstanding() > 0) {
        const std::uint64_t wanted = decoder.wanted();
        const auto room = decoder.payload_room(part.size());
        FUZZ_CHECK(!room.empty() && room.size() <= part.size() && room.size() <= wanted);
        std::copy_n(part.begin(), room.size(), room.begin());
        (void)decoder.commit(room.size());
        return room.size();
    }
    const std::uint64_t wanted = decoder.wanted();
    const FrameDecoder::Step step = decoder.feed(part, setting.limit);
    FUZZ_CHECK(step.state == decoder.state());
    FUZZ_CHECK(step.consumed > 0 && wanted > 0);
    // What is wanted surely belongs to the frame: that much never leads beyond its end.
    if (part.size() <= wanted && step.state != State::failed)
        FUZZ_CHECK(step.consumed == part.size());
    return step.consumed;
}

Outcome decode(Bytes rest, const Setting& setting, Way way) {
    FrameDecoder decoder(setting.role, setting.strict);
    Outcome outcome;
    Assembly assembly;
    FUZZ_CHECK(decoder.between_frames());
    while (!rest.empty()) {
        Bytes part = way.splitter.next(rest);
        while (!part.empty()) {
            part = part.subspan(bring_in(decoder, part, setting, way.into_room));
            switch (decoder.state()) {
            case State::need_more:
                FUZZ_CHECK(decoder.wanted() > 0 && !decoder.between_frames());
                FUZZ_CHECK(decoder.frame_size() <= setting.limit);
                break;
            case State::data_frame:
                FUZZ_CHECK(decoder.wanted() == 0 &&
                           decoder.feed(part, setting.limit).consumed == 0);
                take_piece(decoder, assembly, outcome, true);
                break;
            case State::control_frame: {
                const protocol::ControlFrame& control = decoder.control();
                FUZZ_CHECK(control.size <= protocol::kMaxControlPayload);
                add_frame(outcome, 0x80U | static_cast<unsigned>(control.opcode),
                          fuzz::text_of(control.bytes()));
                decoder.control_done();
                break;
            }
            case State::failed:
                FUZZ_CHECK(decoder.feed(part, setting.limit).consumed == 0);
                FUZZ_CHECK(!decoder.has_partial() && decoder.wanted() == 0);
                outcome.violation = decoder.violation();
                FUZZ_CHECK(outcome.violation != protocol::Violation::none);
                return outcome;
            }
        }
        if (way.take_pieces && decoder.has_partial()) take_piece(decoder, assembly, outcome, false);
    }
    outcome.partial = assembly.payload;
    if (decoder.has_partial()) {
        FUZZ_CHECK(decoder.partial_size() > 0);
        outcome.partial += text_of(decoder.take_piece().payload);
    }
    return outcome;
}

void check_same(const Outcome& a, const Outcome& b) {
    FUZZ_CHECK(a.frames == b.frames);
    FUZZ_CHECK(a.violation == b.violation);
    FUZZ_CHECK(a.partial == b.partial);
}

// The input as a script of frames to be written: all of them must be read back.
void check_round_trip(fuzz::Input input, const Setting& setting, const fuzz::Splitter& splitter) {
    std::vector<std::byte> stream;
    Outcome expected;
    bool open = false;
    while (!input.empty() && stream.size() < 20'000) {
        const unsigned choice = input.byte();
        protocol::FrameHeader header;
        header.fin = (choice & 0x80U) != 0;
        header.masked = setting.role == Role::server;
        for (std::byte& part : header.key)
            part = static_cast<std::byte>(choice * 7 + stream.size());
        std::string payload(input.text(200));
        // Rarely, because it takes time: beyond what has a short length.
        if ((choice & 0x78U) == 0x48 && !payload.empty())
            payload.resize(std::min<std::size_t>(payload.size() * input.number(), 70'000), '!');
        if (choice % 4 == 3) {
            header.fin = true;
            header.opcode = choice % 8 == 3 ? protocol::Opcode::ping : protocol::Opcode::pong;
            payload.resize(std::min(payload.size(), protocol::kMaxControlPayload));
        } else {
            header.opcode = open ? protocol::Opcode::continuation : protocol::Opcode::binary;
        }
        header.payload_size = payload.size();
        std::array<std::byte, protocol::kMaxFrameHeader> head;
        const std::size_t head_size = protocol::encode_frame_header(header, head);
        const auto read = protocol::decode_frame_header(std::span(head).first(head_size),
                                                        setting.role, payload.size());
        FUZZ_CHECK(read.status == protocol::HeaderResult::Status::complete);
        FUZZ_CHECK(read.size == head_size && read.header.payload_size == payload.size());
        FUZZ_CHECK(read.header.fin == header.fin && read.header.opcode == header.opcode);
        FUZZ_CHECK(!header.masked || read.header.key == header.key);

        stream.insert(stream.end(), head.begin(), head.begin() + static_cast<long>(head_size));
        const std::size_t at = stream.size();
        stream.insert(stream.end(), fuzz::bytes_of(payload).begin(), fuzz::bytes_of(payload).end());
        if (header.masked) protocol::apply_mask_plain(std::span(stream).subspan(at), header.key, 0);
        add_frame(expected, (header.fin ? 0x80U : 0U) | static_cast<unsigned>(header.opcode),
                  payload);
        if (protocol::is_data(header.opcode)) open = !header.fin;
    }
    const Setting generous{setting.role, true, UINT64_MAX};
    const fuzz::Splitter parts = stream.size() > 20'000 ? fuzz::Splitter(1021) : splitter;
    check_same(decode(stream, generous, {parts, false, false}), expected);
    check_same(decode(stream, generous, {parts, true, true}), expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const unsigned choice = input.byte();
    Setting setting;
    setting.role = (choice & 1U) != 0 ? Role::client : Role::server;
    setting.strict = (choice & 2U) != 0;
    constexpr std::uint64_t limits[] = {16U << 20, 125, 300, UINT64_MAX};
    setting.limit = limits[(choice >> 2) % 4];
    const fuzz::Splitter splitter(input);
    const Bytes stream = input.rest();

    const Outcome whole = decode(stream, setting, {fuzz::Splitter(size + 1), false, false});
    check_same(decode(stream, setting, {splitter, false, false}), whole);
    check_same(decode(stream, setting, {splitter, true, false}), whole);
    check_same(decode(stream, setting, {fuzz::Splitter(1), (choice & 16U) != 0, false}), whole);
    // Text that is not UTF-8 in a frame taken in pieces: the pieces before it were handed over.
    const Outcome pieces = decode(stream, setting, {splitter, (choice & 32U) != 0, true});
    FUZZ_CHECK(pieces.frames == whole.frames && pieces.violation == whole.violation);

    check_round_trip(input, setting, splitter);
    return 0;
}
