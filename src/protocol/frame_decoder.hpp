// SPDX-License-Identifier: MIT
// Bytes to frames (RFC 6455 5): one frame at a time, whatever way the input was cut. Checks
// everything the RFC asks of a receiver; two checks wait for strict mode. Answers nothing itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/close_code.hpp"
#include "protocol/frame_header.hpp"
#include "protocol/opcode.hpp"
#include "protocol/payload_buffer.hpp"
#include "protocol/protocol_error.hpp"
#include "protocol/role.hpp"
#include "protocol/utf8.hpp"

namespace nopoll::protocol {

// A data frame, or a part of one that was taken before the frame was complete.
struct Piece {
    Opcode opcode = Opcode::continuation;  // continuation for all but the first piece of a frame
    bool fin = false;       // FIN bit of the frame; the message ends here if nothing is outstanding
    bool fragment = false;  // not a whole message of one frame
    bool masked = false;    // as on the wire; the payload here is always unmasked
    MaskingKey key{};
    std::uint64_t outstanding = 0;  // payload bytes of the frame that come in later pieces
    PayloadBuffer payload;
};

struct ControlFrame {
    Opcode opcode = Opcode::ping;
    std::size_t size = 0;
    std::array<std::byte, kMaxControlPayload> payload;  // unmasked; only `size` bytes are set
    [[nodiscard]] std::span<const std::byte> bytes() const { return {payload.data(), size}; }
};

class FrameDecoder {
public:
    enum class State { need_more, data_frame, control_frame, failed };
    struct Step {
        State state;
        std::size_t consumed;
    };

    FrameDecoder(Role our_role, bool strict) : role_(our_role), strict_(strict) {}

    // Takes bytes up to the end of the current frame, at most. While a complete frame waits to be
    // taken, and after a failure, it takes nothing and returns that state again. `max_payload` is
    // looked at when the length of a frame is known. Throws std::bad_alloc.
    [[nodiscard]] Step feed(std::span<const std::byte> input, std::uint64_t max_payload);

    // Bytes that surely belong to the current frame and are needed next: of the header what is
    // missing as far as known (at least 1), of the payload all the rest. 0 while a frame waits to
    // be taken and after a failure.
    [[nodiscard]] std::uint64_t wanted() const;

    // Payload bytes of the current data frame still to come; 0 while its header is incomplete and
    // for control frames.
    [[nodiscard]] std::uint64_t payload_outstanding() const;

    // For receiving straight into the payload, only while payload_outstanding() > 0: between 1 and
    // `most` bytes of space. commit() says how many were filled. Throws std::bad_alloc.
    [[nodiscard]] std::span<std::byte> payload_room(std::size_t most);
    State commit(std::size_t count);

    // An incomplete data frame with payload bytes that take_piece() would hand over.
    [[nodiscard]] bool has_partial() const;
    [[nodiscard]] std::size_t partial_size() const { return payload_.size(); }

    // Payload size announced by the current data frame, 0 when there is none.
    [[nodiscard]] std::uint64_t frame_size() const;

    // In state data_frame: the frame, or what is left of it. With has_partial(): the bytes there so
    // far; from then on the frame is in pieces.
    [[nodiscard]] Piece take_piece();

    // In state control_frame; control_done() goes on to the next frame.
    [[nodiscard]] const ControlFrame& control() const { return control_; }
    void control_done();

    [[nodiscard]] State state() const;
    [[nodiscard]] Violation violation() const { return violation_; }

    // No byte of a frame has been taken since the last complete one.
    [[nodiscard]] bool between_frames() const;

private:
    enum class Phase { header, data_payload, control_payload, data_ready, control_ready, failed };

    Violation check_sequence(std::byte first) const;
    std::size_t take_header(std::span<const std::byte> input, std::uint64_t max_payload);
    void begin_frame(const FrameHeader& header);
    std::size_t take_data(std::span<const std::byte> input);
    std::size_t take_control(std::span<const std::byte> input);
    void accept_data(std::span<const std::byte> unmasked);
    void end_frame_if_complete();
    void fail(Violation violation);
    [[nodiscard]] std::size_t payload_total() const;

    Role role_;
    bool strict_;
    Phase phase_ = Phase::header;
    Violation violation_ = Violation::none;

    std::array<std::byte, kMaxFrameHeader> header_bytes_{};  // of a header that came in parts
    std::uint8_t header_taken_ = 0;
    std::uint8_t header_needed_ = 0;  // 0: nothing taken yet

    FrameHeader header_{};
    std::uint64_t received_ = 0;   // payload bytes of the current frame, delivered or not
    bool in_pieces_ = false;       // part of the current frame was delivered already
    bool inside_message_ = false;  // the current data frame continues a message
    bool message_open_ = false;    // the last data frame had FIN 0
    bool message_is_text_ = false;
    Utf8Validator utf8_;
    PayloadBuffer payload_;
    ControlFrame control_;
};

}  // namespace nopoll::protocol
