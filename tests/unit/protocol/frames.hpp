// SPDX-License-Identifier: MIT
// Frames as literal bytes, right and wrong ones, written without the encoder under test; and a
// decoder run that records what came out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/frame_decoder.hpp"
#include "unit/unit_test.hpp"

namespace nopoll::test {

inline constexpr protocol::MaskingKey kKey{std::byte{0x37}, std::byte{0xFA}, std::byte{0x21},
                                           std::byte{0x3D}};

struct FrameSpec {
    int opcode = 1;
    std::string payload{};
    bool fin = true;
    int rsv = 0;
    int length_bytes = -1;  // 0, 2 or 8 force a form of the length; -1: the shortest
    std::optional<std::uint64_t> claimed_size{};
};

inline Bytes frame(const FrameSpec& spec, bool masked) {
    const std::uint64_t size = spec.claimed_size.value_or(spec.payload.size());
    int form = spec.length_bytes;
    if (form < 0) form = size > 0xFFFF ? 8 : size > 125 ? 2 : 0;
    const int length7 = form == 8 ? 127 : form == 2 ? 126 : static_cast<int>(size);
    Bytes bytes = bytes_of(
        {(spec.fin ? 0x80 : 0) | (spec.rsv << 4) | spec.opcode, (masked ? 0x80 : 0) | length7});
    for (int i = form - 1; i >= 0; --i)
        bytes.push_back(static_cast<std::byte>((size >> (8 * i)) & 0xFFU));
    if (masked) bytes.insert(bytes.end(), kKey.begin(), kKey.end());
    for (std::size_t i = 0; i < spec.payload.size(); ++i) {
        const auto plain = static_cast<std::byte>(spec.payload[i]);
        bytes.push_back(masked ? plain ^ kKey[i % 4] : plain);
    }
    return bytes;
}

// What goes to this role: clients get unmasked frames, servers masked ones.
inline Bytes frame_to(protocol::Role role, const FrameSpec& spec) {
    return frame(spec, role == protocol::Role::server);
}

inline std::string line_of(const protocol::Piece& piece) {
    std::string line = "data " + std::to_string(static_cast<int>(piece.opcode));
    line += piece.fin && piece.outstanding == 0 ? " fin" : "";
    line += piece.fragment ? " fragment" : "";
    line += piece.masked ? " masked" : "";
    if (piece.outstanding > 0) line += " outstanding " + std::to_string(piece.outstanding);
    return line + " '" + text_of(piece.payload.bytes()) + "'";
}

inline std::string line_of(const protocol::ControlFrame& control) {
    return "control " + std::to_string(static_cast<int>(control.opcode)) + " '" +
           text_of(control.bytes()) + "'";
}

// Feeds the parts, takes each frame as it is complete, and says what came out: one line each, a
// violation last. Checks on the way what must hold at any moment.
inline std::vector<std::string> run(protocol::FrameDecoder& decoder,
                                    const std::vector<std::span<const std::byte>>& parts,
                                    std::uint64_t max_payload = 1U << 24) {
    using State = protocol::FrameDecoder::State;
    std::vector<std::string> lines;
    for (auto part : parts) {
        while (!part.empty()) {
            const auto wanted = decoder.wanted();
            const auto step = decoder.feed(part, max_payload);
            CHECK(step.state == decoder.state());
            if (step.state != State::failed) CHECK(wanted > 0 && step.consumed > 0);
            part = part.subspan(step.consumed);
            if (step.state == State::need_more) {
                CHECK(part.empty() && decoder.wanted() > 0 && !decoder.between_frames());
                continue;
            }
            CHECK_EQUAL(decoder.wanted(), 0U);
            CHECK_EQUAL(decoder.payload_outstanding(), 0U);
            CHECK(!decoder.has_partial() && !decoder.between_frames());
            const auto again = decoder.feed(part, max_payload);
            CHECK(again.state == step.state && again.consumed == 0);
            if (step.state == State::failed) {
                CHECK(decoder.violation() != protocol::Violation::none);
                lines.push_back(std::string("failed ") + describe(decoder.violation()));
                return lines;
            }
            if (step.state == State::data_frame) {
                lines.push_back(line_of(decoder.take_piece()));
            } else {
                lines.push_back(line_of(decoder.control()));
                decoder.control_done();
            }
            CHECK(decoder.between_frames() && decoder.violation() == protocol::Violation::none);
        }
    }
    return lines;
}

inline std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += line + "\n";
    return text;
}

// Every split of the input must give these lines.
inline void expect_lines(std::string_view label, protocol::Role role, bool strict,
                         const Bytes& input, const std::vector<std::string>& expected,
                         std::uint64_t max_payload = 1U << 24) {
    for_every_split(input, [&](const auto& parts) {
        protocol::FrameDecoder decoder(role, strict);
        CHECK_ROW_EQUAL(label, joined(run(decoder, parts, max_payload)), joined(expected));
    });
}

}  // namespace nopoll::test
