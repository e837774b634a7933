// SPDX-License-Identifier: MIT
// Receiving: from the socket to frames, pieces and bytes. RFC 6455 5.
// Outside a loop's dispatch a plain connection takes from the kernel only what belongs to the frame
// it is working on, so that the program's own select() sees what follows; the loop reads ahead.
#include "core/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>

#include "core/c_string.hpp"
#include "core/io_entries.hpp"
#include "core/log.hpp"
#include "net/plain_transport.hpp"
#include "net/readiness.hpp"
#include "net/socket_options.hpp"
#include "net/tls_transport.hpp"
#include "protocol/close_code.hpp"
#include "protocol/frame_header.hpp"

namespace nopoll::core {
namespace {

using net::IoResult;
using protocol::FrameDecoder;
using protocol::Opcode;

// How much of a frame is looked at before it is taken out of the kernel.
constexpr std::size_t kPeek = 4096;
// The most that is received at once into a payload: the buffer behind it grows with what came.
constexpr std::size_t kReceiveAtOnce = std::size_t{1} << 20;
// A frame that is handed over in pieces waits for this much, unless nothing more is there.
constexpr std::size_t kLargestPiece = std::size_t{1} << 20;
// Below this a rest of payload goes through the read-ahead block with what follows it.
constexpr std::size_t kDirectPayload = 8 * 1024;

}  // namespace

bool Connection::custom_receive() const {
    const noPollRead function = load_field(receive);
    return function != plain_receive_entry && function != tls_receive_entry;
}

std::size_t Connection::decrypted_bytes() const {
    if (load_field(tls_on) == 0) return 0;
    const std::lock_guard guard(mutex_);
    return is_ok() && ssl != nullptr ? net::tls_pending(ssl) : 0;
}

// One read, never waiting. The program's own function may stand in for the socket.
IoResult Connection::receive_bytes(std::span<std::byte> room) {
    if (custom_receive()) {
        const noPollRead function = load_field(receive);
        const int size = static_cast<int>(std::min<std::size_t>(room.size(), 1U << 30));
        struct Running {  // reads from inside it find nothing: they would change what is read into
            bool& flag;
            bool before;
            ~Running() { flag = before; }
        };
        const Running running{receive_running_, receive_running_};
        receive_running_ = true;
        errno = 0;
        const int got = function(this, reinterpret_cast<char*>(room.data()), size);
        const int error = errno;
        if (got > 0) return IoResult::moved(std::min(static_cast<std::size_t>(got), room.size()));
        if (got == 0) return IoResult::ended();
        if (got == -2 || error == EWOULDBLOCK || error == EINTR) return IoResult::blocked(false);
        return IoResult::failure(error == 0 ? EIO : error);
    }
    const std::lock_guard guard(mutex_);
    if (!is_ok()) return IoResult::failure(EBADF);
    if (ssl == nullptr) return net::receive(descriptor(), room);
    const IoResult result = net::tls_receive(ssl, room);
    const bool wants_write = result.status == IoResult::Status::would_block && result.want_write;
    if (tls_wants_write_.exchange(wants_write) != wants_write) context_.changed();
    return result;
}

IoResult Connection::receive_scattered(std::span<std::byte> room, std::span<std::byte> more) {
    if (ssl != nullptr || custom_receive()) return receive_bytes(room);
    const std::lock_guard guard(mutex_);
    if (!is_ok()) return IoResult::failure(EBADF);
    return net::receive_scatter(descriptor(), room, more);
}

IoResult Connection::peek_bytes(std::span<std::byte> room) {
    const std::lock_guard guard(mutex_);
    if (!is_ok()) return IoResult::failure(EBADF);
    return net::peek(descriptor(), room);
}

// The reader has seen the last of its peer's bytes that count. on_close runs with the descriptor
// open, and may ask for more.
void Connection::end_of_input(Ending ending) {
    input_over_.store(true);
    shutdown(ending);
}

// A read brought no bytes: nothing there now, or the end.
Connection::Got Connection::no_bytes(ReadMode& mode, const IoResult& result) {
    if (result.status == IoResult::Status::would_block) {
        mode.error = EWOULDBLOCK;
        return Got::nothing;
    }
    if (result.status == IoResult::Status::end) {
        mode.error = 0;
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_DEBUG, "the peer ended the stream%s",
                        decoder_.between_frames() ? "" : " inside a frame");
        end_of_input(Ending::abrupt);
        return Got::ended;
    }
    const bool lost = result.error == EBADF || result.error == ENOTSOCK;
    mode.error = result.error == EWOULDBLOCK ? EIO : result.error;
    if (is_ok()) {
        const std::string tls_errors = ssl != nullptr ? net::drain_error_queue() : std::string();
        NOPOLL_CONN_LOG(*this, lost ? NOPOLL_LEVEL_WARNING : NOPOLL_LEVEL_DEBUG,
                        "reading failed: %s%s%s",
                        result.error != 0 ? ::strerror(result.error) : "TLS error",
                        tls_errors.empty() ? "" : ": ", tls_errors.c_str());
    }
    end_of_input(lost ? Ending::descriptor_lost : Ending::abrupt);
    return Got::ended;
}

Connection::Got Connection::classify(ReadMode& mode, FrameDecoder::State state) {
    switch (state) {
    case FrameDecoder::State::data_frame: return Got::piece;
    case FrameDecoder::State::control_frame:
        mode.error = 0;
        handle_control();
        return is_ok() ? Got::control : Got::ended;
    case FrameDecoder::State::failed: {
        mode.error = 0;
        const protocol::Violation violation = decoder_.violation();
        input_over_.store(true);
        fail(protocol::close_code_of(violation), protocol::describe(violation));
        return Got::ended;
    }
    default: return Got::nothing;
    }
}

// Frames that are in the read-ahead block already.
Connection::Got Connection::take_input(ReadMode& mode) {
    const FrameDecoder::Step step =
        decoder_.feed(input_.bytes(), static_cast<std::uint64_t>(frame_limit()));
    input_.consume(step.consumed);
    mode.consumed = true;
    if (input_.empty()) input_.settle(context_.input_buffers());
    return classify(mode, step.state);
}

// One frame further: a complete data frame waits in the decoder (piece), a control frame was
// handled (control), there is nothing more for now (nothing), or the connection is over (ended).
Connection::Got Connection::advance(ReadMode& mode) {
    for (;;) {
        if (!is_ok()) {
            mode.error = EBADF;
            return Got::ended;
        }
        if (input_over_.load()) {
            mode.error = 0;
            return Got::ended;
        }
        if (decoder_.state() != FrameDecoder::State::need_more)
            return classify(mode, decoder_.state());
        if (!input_.empty()) {
            const Got got = take_input(mode);
            if (got != Got::nothing || !input_.empty()) return got;
            continue;
        }
        if (mode.read_ahead && mode.receives_left-- <= 0 && !piece_grows()) {
            mode.error = EWOULDBLOCK;
            return partial_is_due(mode) ? Got::partial : Got::nothing;
        }
        const std::uint64_t outstanding = decoder_.payload_outstanding();
        Got got = Got::nothing;
        if (outstanding > 0 && (!mode.read_ahead || outstanding >= kDirectPayload))
            got = receive_payload(mode);
        else if (mode.read_ahead && !custom_receive())
            got = receive_ahead(mode);
        else
            got = receive_exact(mode);
        if (got == Got::nothing && partial_is_due(mode)) return Got::partial;
        if (got != Got::nothing || mode.error != 0) return got;
    }
}

// A frame beyond the usual limit (the program raised it), or any frame for a stream, is handed over
// as it comes: at the latest when nothing more is there, or enough has come together.
bool Connection::partial_is_due(const ReadMode& mode) const {
    if (!decoder_.has_partial()) return false;
    if (!mode.stream && decoder_.frame_size() <= NOPOLL_MAX_FRAME_SIZE_DEFAULT) return false;
    return mode.error != 0 || decoder_.partial_size() >= kLargestPiece;
}

// Of such a frame a piece is begun, and it is not cut where one read of a loop's turn happened to
// end.
bool Connection::piece_grows() const {
    return decoder_.has_partial() && decoder_.frame_size() > NOPOLL_MAX_FRAME_SIZE_DEFAULT &&
           decoder_.partial_size() < kLargestPiece;
}

// One read that, for a client in blocking mode, waits for the first byte of this call.
template <class Read>
IoResult Connection::first_byte(const ReadMode& mode, Read read) {
    IoResult result = read();
    while (result.status == IoResult::Status::would_block && mode.may_wait && !mode.consumed &&
           net::is_blocking(descriptor())) {
        if (await_descriptor(!result.want_write, result.want_write, net::Deadline::never()) ==
            net::Ready::failed)
            break;
        result = read();
    }
    return result;
}

// Straight into the payload, without a copy; what follows in the same call goes to the block.
Connection::Got Connection::receive_payload(ReadMode& mode) {
    mode.error = 0;
    const std::uint64_t outstanding = decoder_.payload_outstanding();
    const std::span<std::byte> room = decoder_.payload_room(
        static_cast<std::size_t>(std::min<std::uint64_t>(outstanding, kReceiveAtOnce)));
    const bool whole_rest = room.size() == outstanding;
    IoResult got;
    if (mode.read_ahead && whole_rest && ssl == nullptr && !custom_receive()) {
        got = receive_scattered(room, input_.room(context_.input_buffers()));
        if (got.ok() && got.bytes > room.size()) input_.filled(got.bytes - room.size());
        if (input_.empty()) input_.settle(context_.input_buffers());
    } else {
        got = first_byte(mode, [&] { return receive_bytes(room); });
    }
    if (!got.ok()) return no_bytes(mode, got);
    mode.consumed = true;
    return classify(mode, decoder_.commit(std::min(got.bytes, room.size())));
}

Connection::Got Connection::receive_ahead(ReadMode& mode) {
    mode.error = 0;
    const IoResult got = receive_bytes(input_.room(context_.input_buffers()));
    if (!got.ok()) {
        input_.drop(context_.input_buffers());
        return no_bytes(mode, got);
    }
    input_.filled(got.bytes);
    return Got::nothing;  // go on with what is in the block now
}

// Not one byte beyond the current frame. On a plain socket: look, then take; elsewhere in steps of
// what is known to be needed.
Connection::Got Connection::receive_exact(ReadMode& mode) {
    mode.error = 0;
    std::array<std::byte, kPeek> scratch;
    const auto limit = static_cast<std::uint64_t>(frame_limit());
    if (ssl != nullptr || custom_receive()) {
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(decoder_.wanted(), scratch.size()));
        const IoResult got =
            first_byte(mode, [&] { return receive_bytes(std::span(scratch).first(wanted)); });
        if (!got.ok()) return no_bytes(mode, got);
        mode.consumed = true;
        return classify(mode, decoder_.feed(std::span(scratch).first(got.bytes), limit).state);
    }
    const IoResult seen = first_byte(mode, [&] { return peek_bytes(scratch); });
    if (!seen.ok() || seen.bytes == 0) return no_bytes(mode, seen);
    const FrameDecoder::Step step = decoder_.feed(std::span(scratch).first(seen.bytes), limit);
    if (step.consumed > 0) {
        const IoResult taken = receive_bytes(std::span(scratch).first(step.consumed));
        if (!taken.ok()) return no_bytes(mode, taken);
    }
    mode.consumed = true;
    return classify(mode, step.state);
}

void Connection::handle_control() {
    const protocol::ControlFrame frame = decoder_.control();
    decoder_.control_done();
    switch (frame.opcode) {
    case Opcode::ping: {
        Lock lock(mutex_);
        if (!close_sent_) send_library_frame_locked(lock, Opcode::pong, frame.bytes());
        break;
    }
    case Opcode::close: handle_close_frame(frame.bytes()); break;
    default: break;  // a pong, asked for or not, wants no answer
    }
}

// RFC 6455 5.5.1: store what the peer said, answer, end. Nothing behind the frame is looked at.
void Connection::handle_close_frame(std::span<const std::byte> body) {
    const protocol::CloseFrame close = protocol::parse_close(body);
    std::array<std::byte, protocol::kMaxControlPayload> answer;
    const std::size_t answer_size =
        close.answer ? protocol::encode_close(answer, *close.answer, {}) : 0;
    {
        Lock lock(mutex_);
        store_field(peer_close_status, static_cast<int>(close.code));
        if (close.reason) replace_text(peer_close_reason, *close.reason);
        send_close_frame_locked(lock, std::span(answer).first(answer_size));
    }
    if (close.fault != nullptr)
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "bad Close frame: %s", close.fault);
    else
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_DEBUG, "closed by the peer with code %d",
                        static_cast<int>(close.code));
    end_of_input(Ending::answered);
}

// --- what the loop read ahead ------------------------------------------------------------------

bool Connection::buffered_frame_complete() const {
    if (decoder_.state() == FrameDecoder::State::data_frame) return true;
    if (input_.empty()) return false;
    const std::span<const std::byte> bytes = input_.bytes();
    if (!decoder_.between_frames()) return bytes.size() >= decoder_.wanted();
    const protocol::HeaderResult head = protocol::decode_frame_header(
        bytes, is_client() ? protocol::Role::client : protocol::Role::server,
        static_cast<std::uint64_t>(frame_limit()));
    if (head.status == protocol::HeaderResult::Status::violation) return true;
    return head.status == protocol::HeaderResult::Status::complete &&
           bytes.size() - head.size >= head.header.payload_size;
}

std::size_t Connection::buffered_payload() const {
    std::size_t total = 0;
    std::span<const std::byte> bytes = input_.bytes();
    for (;;) {
        const protocol::HeaderResult head = protocol::decode_frame_header(
            bytes, is_client() ? protocol::Role::client : protocol::Role::server,
            std::numeric_limits<std::uint64_t>::max());
        if (head.status != protocol::HeaderResult::Status::complete ||
            bytes.size() - head.size < head.header.payload_size)
            return total;
        const auto size = static_cast<std::size_t>(head.header.payload_size);
        if (protocol::is_data(head.header.opcode)) total += size;
        bytes = bytes.subspan(head.size + size);
    }
}

// Tells the loop whether to come back without waiting for the socket.
void Connection::note_input_state() {
    const bool at_hand = is_ok() && !input_over_.load() &&
                         (handshake_abandoned_ ||
                          (is_open() && (buffered_frame_complete() || decrypted_bytes() > 0)));
    if (input_at_hand_.exchange(at_hand) != at_hand && at_hand) context_.changed();
}

// --- direct calls ------------------------------------------------------------------------------

Connection::Progress Connection::ready_to_read(bool read_ahead) {
    if (is_open()) return Progress::done;
    return handshake_step(read_ahead);
}

MessageResult Connection::get_message() {
    const ConnectionPin pin(*this);
    context_.tend_lingering();
    try {
        return next_message();
    } catch (const std::bad_alloc&) {
        out_of_memory();
        return {nullptr, ENOMEM};
    }
}

// What was being read cannot be put back together: RFC or not, the connection is over.
void Connection::out_of_memory() {
    NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "out of memory while reading");
    end_of_input(Ending::abrupt);
}

// What a direct call does for bytes that are still to be written: one attempt.
void Connection::try_pending() {
    Lock lock(mutex_);
    if (!outbox_.empty()) outbox_.add_credit(flush_locked(lock).program_payload);
}

MessageResult Connection::next_message() {
    if (is_listener() || !is_ok()) return {nullptr, EBADF};
    if (load_field(pending_ssl_connect) != 0) return {nullptr, EWOULDBLOCK};
    const ReaderClaim claim(*this);
    if (!claim || in_own_handshake_handler()) return {nullptr, EWOULDBLOCK};
    if (claim.outermost())
        direct_reader_ = true;
    else
        finish_batch();
    switch (ready_to_read(false)) {
    case Progress::waiting: return {nullptr, is_ok() ? EWOULDBLOCK : 0};
    case Progress::ended: return {nullptr, 0};
    case Progress::done: break;
    }
    try_pending();
    ReadMode mode;
    mode.may_wait = is_client();
    for (;;) {
        const Got got = advance(mode);
        if (got == Got::piece || got == Got::partial) {
            Message* const message = Message::from_piece(decoder_.take_piece());
            note_input_state();
            return {message, kKeepErrno};
        }
        // Decrypted bytes are seen by no select(): go on until there is a piece or none are left.
        const bool more_at_hand = !input_.empty() || decrypted_bytes() > 0;
        if (got == Got::control && more_at_hand) continue;
        note_input_state();
        return {nullptr, mode.error};
    }
}

std::size_t Connection::serve_held(std::span<char> buffer) {
    const std::size_t count = std::min(buffer.size(), held_bytes_.load());
    if (count == 0) return 0;
    std::memcpy(buffer.data(), held_.data() + held_from_, count);
    held_from_ += count;
    held_bytes_.fetch_sub(count);
    if (held_bytes_.load() == 0) {
        held_ = protocol::PayloadBuffer();
        held_from_ = 0;
    }
    return count;
}

CallResult Connection::read_once(std::span<char> buffer) {
    try {
        return read_piece(buffer);
    } catch (const std::bad_alloc&) {
        out_of_memory();
        return {-1, ENOMEM};
    }
}

// Bytes of one piece, complete frame or not; what does not fit is held for the next call.
CallResult Connection::read_piece(std::span<char> buffer) {
    if (held_bytes_.load() > 0) return {static_cast<int>(serve_held(buffer)), kKeepErrno};
    if (is_listener() || !is_ok()) return {-1, EBADF};
    if (in_own_handshake_handler()) return {-1, EWOULDBLOCK};
    switch (ready_to_read(false)) {
    case Progress::waiting: return {-1, is_ok() ? EWOULDBLOCK : 0};
    case Progress::ended: return {-1, 0};
    case Progress::done: break;
    }
    try_pending();
    ReadMode mode;
    mode.stream = true;
    for (;;) {
        const Got got = advance(mode);
        if (got == Got::piece || got == Got::partial) {
            protocol::Piece piece = decoder_.take_piece();
            note_input_state();
            if (piece.payload.empty()) continue;  // empty messages say nothing to a stream
            held_bytes_.store(piece.payload.size());
            held_ = std::move(piece.payload);
            held_from_ = 0;
            return {static_cast<int>(serve_held(buffer)), kKeepErrno};
        }
        if (got == Got::control && (!input_.empty() || decrypted_bytes() > 0)) continue;
        note_input_state();
        return {-1, got == Got::control ? EWOULDBLOCK : mode.error};
    }
}

CallResult Connection::read(std::span<char> buffer, bool block, long timeout_ms) {
    const ConnectionPin pin(*this);
    std::memset(buffer.data(), 0, buffer.size());
    const ReaderClaim claim(*this);
    if (!claim) return {-1, EWOULDBLOCK};
    if (claim.outermost())
        direct_reader_ = true;
    else
        finish_batch();
    if (!block || is_listener()) return read_once(buffer);

    const net::Deadline deadline =
        timeout_ms > 0
            ? net::Deadline::after_us(std::min<std::int64_t>(timeout_ms, INT64_MAX / 1000) * 1000)
            : net::Deadline::never();
    std::size_t filled = 0;
    for (;;) {
        const CallResult got = read_once(buffer.subspan(filled));
        if (got.value > 0) filled += static_cast<std::size_t>(got.value);
        if (filled == buffer.size() || (got.value <= 0 && (!is_ok() || input_over_.load()))) break;
        if (got.value > 0) continue;
        if (in_own_handshake_handler() || is_listener() || deadline.passed()) break;
        // errno tells "control frame" from "nothing": both come back here.
        const bool for_writing = tls_wants_write_.load() || phase() == Phase::replying;
        if (await_descriptor(!for_writing, for_writing, deadline) == net::Ready::failed) break;
    }
    return {static_cast<int>(filled), kKeepErrno};
}

int Connection::read_pending() {
    const ConnectionPin pin(*this);
    std::size_t total = held_bytes_.load();
    const ReaderClaim claim(*this);
    // After the end nobody is given what was read ahead: programs read until this is 0.
    if (claim && is_open() && is_ok() && !input_over_.load())
        total += decrypted_bytes() + buffered_payload();
    return static_cast<int>(std::min<std::size_t>(total, std::numeric_limits<int>::max()));
}

// One line with its LF; a part that has no end yet is remembered.
CallResult Connection::read_line(std::span<char> buffer) {
    const ConnectionPin pin(*this);
    const ReaderClaim claim(*this);
    if (!claim || !is_ok()) return {-1, EBADF};
    for (;;) {
        char byte = 0;
        const CallResult got = receive_raw({&byte, 1});
        if (got.value <= 0) {
            if (is_ok()) return {-2, EWOULDBLOCK};
            return {got.value < 0 || !raw_line_.empty() ? -1 : 0, got.error};
        }
        raw_line_.push_back(byte);
        if (byte != '\n' && raw_line_.size() < buffer.size() - 1) continue;
        const std::size_t size = raw_line_.size();
        std::memcpy(buffer.data(), raw_line_.data(), size);
        buffer[size] = '\0';
        raw_line_.clear();
        return {static_cast<int>(size), kKeepErrno};
    }
}

CallResult Connection::receive_raw(std::span<char> buffer) {
    const ConnectionPin pin(*this);
    const ReaderClaim claim(*this);
    if (!is_ok()) return {-1, EBADF};
    if (!claim) return {0, EWOULDBLOCK};
    const std::span<std::byte> room = std::as_writable_bytes(buffer);
    if (!input_.empty()) {
        const std::size_t count = std::min(room.size(), input_.bytes().size());
        std::memcpy(room.data(), input_.bytes().data(), count);
        input_.consume(count);
        if (input_.empty()) input_.settle(context_.input_buffers());
        return {static_cast<int>(count), kKeepErrno};
    }
    const IoResult got = receive_bytes(room);
    if (got.ok()) return {static_cast<int>(got.bytes), kKeepErrno};
    if (got.status == IoResult::Status::would_block) return {0, EWOULDBLOCK};
    const bool ended = got.status == IoResult::Status::end;
    shutdown();
    return {ended ? 0 : -1, ended ? 0 : got.error};
}

}  // namespace nopoll::core
