// SPDX-License-Identifier: MIT
// Bytes to frames (RFC 6455 5): a state machine over header, payload and "waits to be taken".
#include "protocol/frame_decoder.hpp"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <utility>

#include "protocol/masking.hpp"

namespace nopoll::protocol {

FrameDecoder::State FrameDecoder::state() const {
    switch (phase_) {
    case Phase::data_ready: return State::data_frame;
    case Phase::control_ready: return State::control_frame;
    case Phase::failed: return State::failed;
    case Phase::header:
    case Phase::data_payload:
    case Phase::control_payload: break;
    }
    return State::need_more;
}

FrameDecoder::Step FrameDecoder::feed(std::span<const std::byte> input, std::uint64_t max_payload) {
    std::size_t consumed = 0;
    while (consumed < input.size() && state() == State::need_more) {
        const auto rest = input.subspan(consumed);
        switch (phase_) {
        case Phase::header: consumed += take_header(rest, max_payload); break;
        case Phase::data_payload: consumed += take_data(rest); break;
        case Phase::control_payload: consumed += take_control(rest); break;
        case Phase::data_ready:
        case Phase::control_ready:
        case Phase::failed: break;
        }
    }
    return {state(), consumed};
}

// What the first byte says in the light of the frames before. Kept apart from the stateless checks
// of the header, and made before those of the second byte: the first bad byte decides.
Violation FrameDecoder::check_sequence(std::byte first) const {
    const auto opcode = static_cast<Opcode>(std::to_integer<unsigned>(first) & 0x0FU);
    if (is_control(opcode)) return Violation::none;
    if (opcode == Opcode::continuation) {
        return message_open_ ? Violation::none : Violation::unexpected_continuation;
    }
    // Released noPoll programs repeat the opcode in every fragment: taken unless strict.
    return message_open_ && strict_ ? Violation::unfinished_message : Violation::none;
}

std::size_t FrameDecoder::take_header(std::span<const std::byte> input, std::uint64_t max_payload) {
    if (header_taken_ == 0) {
        Violation violation = check_first_byte(input[0]);
        if (violation == Violation::none) violation = check_sequence(input[0]);
        if (violation != Violation::none) {
            fail(violation);
            return 1;
        }
    }
    // In one part it is decoded where it is; otherwise behind the part that came before.
    const std::size_t before = header_taken_;
    std::span<const std::byte> bytes = input;
    if (before > 0) {
        const std::size_t count = std::min(input.size(), header_bytes_.size() - before);
        std::memcpy(header_bytes_.data() + before, input.data(), count);
        bytes = std::span(header_bytes_).first(before + count);
    }
    const HeaderResult result = decode_frame_header(bytes, role_, max_payload);
    switch (result.status) {
    case HeaderResult::Status::complete: begin_frame(result.header); break;
    case HeaderResult::Status::violation: fail(result.violation); break;
    case HeaderResult::Status::need_more:
        if (before == 0) std::memcpy(header_bytes_.data(), input.data(), input.size());
        header_taken_ = static_cast<std::uint8_t>(bytes.size());
        header_needed_ = static_cast<std::uint8_t>(result.size);
        return input.size();
    }
    // The limit may have been lowered since the earlier part came: then no new byte is needed.
    return std::max(result.size, before) - before;
}

void FrameDecoder::begin_frame(const FrameHeader& header) {
    header_ = header;
    header_taken_ = 0;
    header_needed_ = 0;
    received_ = 0;
    if (is_control(header.opcode)) {
        control_.opcode = header.opcode;
        control_.size = static_cast<std::size_t>(header.payload_size);
        phase_ = control_.size == 0 ? Phase::control_ready : Phase::control_payload;
        return;
    }
    in_pieces_ = false;
    inside_message_ = message_open_;
    message_open_ = !header.fin;
    // The validator needs no reset: a text that did not end between characters has failed.
    if (header.opcode != Opcode::continuation) message_is_text_ = header.opcode == Opcode::text;
    phase_ = Phase::data_payload;
    end_frame_if_complete();
}

std::size_t FrameDecoder::take_data(std::span<const std::byte> input) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), payload_outstanding()));
    const std::span<std::byte> room = payload_.room_for(count, payload_total());
    if (header_.masked) {
        copy_masked(room.data(), input.first(count), header_.key, received_ % 4);
    } else {
        std::memcpy(room.data(), input.data(), count);
    }
    payload_.commit(count);
    accept_data(room);
    return count;
}

std::size_t FrameDecoder::take_control(std::span<const std::byte> input) {
    const auto already = static_cast<std::size_t>(received_);
    const std::size_t count = std::min(input.size(), control_.size - already);
    std::memcpy(control_.payload.data() + already, input.data(), count);
    received_ += count;
    if (received_ == control_.size) {
        if (header_.masked) apply_mask({control_.payload.data(), control_.size}, header_.key, 0);
        phase_ = Phase::control_ready;
    }
    return count;
}

void FrameDecoder::accept_data(std::span<const std::byte> unmasked) {
    received_ += unmasked.size();
    if (strict_ && message_is_text_ && !utf8_.feed(unmasked)) {
        fail(Violation::invalid_utf8);
        return;
    }
    end_frame_if_complete();
}

void FrameDecoder::end_frame_if_complete() {
    if (received_ != header_.payload_size) return;
    if (strict_ && message_is_text_ && header_.fin && !utf8_.complete()) {
        fail(Violation::invalid_utf8);
        return;
    }
    phase_ = Phase::data_ready;
}

void FrameDecoder::fail(Violation violation) {
    phase_ = Phase::failed;
    violation_ = violation;
    payload_.clear();
}

std::uint64_t FrameDecoder::wanted() const {
    switch (phase_) {
    case Phase::header: {
        // Nothing taken yet: ask the header decoder for the shortest one of this role.
        if (header_taken_ == 0) return decode_frame_header({}, role_, 0).size;
        return header_needed_ - header_taken_;
    }
    case Phase::data_payload:
    case Phase::control_payload: return header_.payload_size - received_;
    case Phase::data_ready:
    case Phase::control_ready:
    case Phase::failed: break;
    }
    return 0;
}

std::uint64_t FrameDecoder::payload_outstanding() const {
    return phase_ == Phase::data_payload ? header_.payload_size - received_ : 0;
}

// What payload_ will hold at the end of the frame. The limit has been checked; the cut matters only
// where a limit above the address space was given, and ends in bad_alloc there.
std::size_t FrameDecoder::payload_total() const {
    const std::uint64_t total = payload_.size() + payload_outstanding();
    return static_cast<std::size_t>(std::min<std::uint64_t>(total, SIZE_MAX));
}

std::span<std::byte> FrameDecoder::payload_room(std::size_t most) {
    assert(payload_outstanding() > 0);
    return payload_.room(most, payload_total());
}

FrameDecoder::State FrameDecoder::commit(std::size_t count) {
    assert(count <= payload_outstanding());
    const std::span<std::byte> fresh(payload_.data() + payload_.size(), count);
    if (header_.masked) apply_mask(fresh, header_.key, received_ % 4);
    payload_.commit(count);
    accept_data(fresh);
    return state();
}

bool FrameDecoder::has_partial() const {
    return phase_ == Phase::data_payload && !payload_.empty();
}

std::uint64_t FrameDecoder::frame_size() const {
    return phase_ == Phase::data_payload || phase_ == Phase::data_ready ? header_.payload_size : 0;
}

Piece FrameDecoder::take_piece() {
    const bool complete = phase_ == Phase::data_ready;
    assert(complete || has_partial());
    Piece piece;
    piece.opcode = in_pieces_ ? Opcode::continuation : header_.opcode;
    piece.fin = header_.fin;
    piece.fragment = !complete || !header_.fin || in_pieces_ || inside_message_;
    piece.masked = header_.masked;
    piece.key = header_.key;
    piece.outstanding = payload_outstanding();
    piece.payload = std::move(payload_);
    in_pieces_ = true;
    if (complete) phase_ = Phase::header;
    return piece;
}

void FrameDecoder::control_done() {
    assert(phase_ == Phase::control_ready);
    phase_ = Phase::header;
}

bool FrameDecoder::between_frames() const {
    return phase_ == Phase::header && header_taken_ == 0;
}

}  // namespace nopoll::protocol
