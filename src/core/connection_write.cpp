// SPDX-License-Identifier: MIT
// Sending: frames of the program and of the library, what stays pending, and who is told what.
// RFC 6455 5. A frame goes out whole: what the socket does not take waits in the outbox, and
// nothing is ever written before it.
#include "core/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <sys/socket.h>

#include "core/io_entries.hpp"
#include "core/log.hpp"
#include "core/memory.hpp"
#include "core/time_value.hpp"
#include "net/plain_transport.hpp"
#include "net/readiness.hpp"
#include "net/socket_options.hpp"
#include "net/tls_transport.hpp"
#include "protocol/frame_header.hpp"
#include "protocol/masking.hpp"

namespace nopoll::core {
namespace {

using net::IoResult;
using protocol::FrameHeader;
using protocol::MaskingKey;
using protocol::Opcode;

// How soon a send that waits sees that a loop runs again.
constexpr std::int64_t kLoopLookUs = 20'000;
// Frames up to this size are put together on the stack where they have to be copied at all.
constexpr std::size_t kStackFrame = 16 * 1024;
// One TLS record.
constexpr std::size_t kTlsRecord = 16 * 1024;
// A flush is given at least this long: programs pass 2000 and live from the rest.
constexpr std::int64_t kShortestFlushUs = 100'000;
// Of the answers that are gathered in corked mode.
constexpr std::size_t kLargestBatch = 64 * 1024;
// Bytes of control frames that wait for a peer that does not read, before pings are refused.
constexpr std::size_t kMostUnsentPings = 16 * 1024;

int clamp_int(std::size_t value) {
    return static_cast<int>(std::min<std::size_t>(value, std::numeric_limits<int>::max()));
}

}  // namespace

// Header and payload as they are written: two spans where the payload goes out as it is, one where
// it had to be copied (masked).
struct Connection::FrameBytes {
    std::span<const std::byte> head;  // header; with a copied payload behind it
    std::span<const std::byte> body;  // payload in the program's memory
    std::size_t header_size = 0;
    std::size_t payload_size = 0;
    std::size_t sent = 0;

    std::size_t size() const { return head.size() + body.size(); }
    std::span<const std::byte> head_left() const {
        return head.subspan(std::min(sent, head.size()));
    }
    std::span<const std::byte> body_left() const {
        return body.subspan(sent > head.size() ? sent - head.size() : 0);
    }
    std::size_t header_left() const { return header_size - std::min(sent, header_size); }
    std::size_t payload_sent() const { return sent > header_size ? sent - header_size : 0; }
};

// Somebody is inside a frame with the lock let go: another thread, or this one, whose send function
// has called back.
bool Connection::others_write() const {
    return exclusive_writer_ != nullptr;
}

bool Connection::custom_send() const {
    const noPollRead function = load_field(send);
    return function != plain_send_entry && function != tls_send_entry;
}

// One write of some of the bytes. Never waits.
IoResult Connection::write_locked(Lock& lock, std::span<const std::byte> head,
                                  std::span<const std::byte> body, bool more) {
    if (!is_ok()) return IoResult::failure(EBADF);
    if (custom_send()) return write_custom(lock, head, body);
    if (ssl != nullptr) {
        const IoResult result = write_tls(head, body);
        // The caller learns errno; the details are not left for other users of OpenSSL to trip
        // over.
        if (result.status == IoResult::Status::failed) (void)net::drain_error_queue();
        return result;
    }
    // A program has given a new descriptor to a connection whose TLS has ended: not in clear text.
    if (load_field(send) == tls_send_entry) return IoResult::failure(EBADF);
    const IoResult result = net::send(descriptor(), head, body, more);
    if (result.ok()) kernel_holds_ = more;
    return result;
}

// A record carries header and payload together; what follows goes in records of its own.
IoResult Connection::write_tls(std::span<const std::byte> head, std::span<const std::byte> body) {
    if (head.empty()) return net::tls_send(ssl, body);
    if (body.empty()) return net::tls_send(ssl, head);
    std::array<std::byte, kTlsRecord> record;
    const std::size_t first = std::min(head.size(), record.size());
    const std::size_t rest = std::min(body.size(), record.size() - first);
    std::memcpy(record.data(), head.data(), first);
    std::memcpy(record.data() + first, body.data(), rest);
    return net::tls_send(ssl, std::span(record).first(first + rest));
}

// The program's own function is user code: it runs without the lock, on a copy, while everybody
// else who wants to write has to come back later.
IoResult Connection::write_custom(Lock& lock, std::span<const std::byte> head,
                                  std::span<const std::byte> body) {
    std::size_t size = std::min<std::size_t>(head.size() + body.size(), 1U << 30);
    // Where there is no memory it goes out in smaller steps: the end of a connection writes too.
    std::array<char, 4096> small;
    MallocPtr<char[]> large;
    if (size > small.size()) large.reset(static_cast<char*>(std::malloc(size)));
    if (!large) size = std::min(size, small.size());
    char* const copy = large ? large.get() : small.data();
    const std::size_t first = std::min(head.size(), size);
    if (first > 0) std::memcpy(copy, head.data(), first);
    if (size > first) std::memcpy(copy + first, body.data(), size - first);
    const noPollRead function = load_field(send);
    struct Exclusive {
        Connection& connection;
        Lock& lock;
        ThreadToken before;
        ~Exclusive() {
            lock.lock();
            connection.exclusive_writer_ = before;
        }
    };
    int result = 0;
    int error = 0;
    {
        const Exclusive exclusive{*this, lock, exclusive_writer_};
        exclusive_writer_ = this_thread_token();
        lock.unlock();
        errno = 0;
        result = function(this, copy, static_cast<int>(size));
        error = errno;
    }
    if (result > 0) return IoResult::moved(std::min(static_cast<std::size_t>(result), size));
    if (result == -2 || error == EWOULDBLOCK || error == EINTR) return IoResult::blocked(true);
    return IoResult::failure(error == 0 ? EPIPE : error);
}

void Connection::update_write_interest() {
    const bool wanted = is_ok() && !outbox_.empty();
    if (wants_write_.exchange(wanted) != wanted) context_.changed();
}

Connection::FlushResult Connection::flush_locked(Lock& lock) {
    FlushResult result;
    if (others_write()) {
        result.state = outbox_.empty() ? Flush::empty : Flush::blocked;
        return result;
    }
    for (;;) {
        const std::span<const std::byte> bytes = outbox_.next();
        if (bytes.empty()) break;
        const IoResult wrote = write_locked(lock, bytes, {}, !outbox_.last_segment());
        if (wrote.ok()) {
            result.program_payload += outbox_.written(wrote.bytes);
            continue;
        }
        if (wrote.status == IoResult::Status::would_block) {
            result.state = Flush::blocked;
        } else {
            result.state = Flush::failed;
            result.error = wrote.error == 0 ? EIO : wrote.error;
            outbox_.clear();
            break_off_locked();
        }
        break;
    }
    if (outbox_.queued_bytes() == 0) queue_full_logged_ = false;
    update_write_interest();
    return result;
}

// Slow readers: while a loop runs, a send on an accepted plain connection in blocking mode does
// not wait for its peer.
bool Connection::queue_applies_locked() const {
    return role == NOPOLL_ROLE_LISTENER && ssl == nullptr && context_.loop_running() &&
           context_.send_queue_limit.load(std::memory_order_relaxed) > 0 && is_ok() &&
           net::is_blocking(descriptor());
}

bool Connection::queue_has_room_locked(std::size_t bytes) {
    const auto limit = static_cast<std::size_t>(context_.send_queue_limit.load());
    return outbox_.queued_bytes() + bytes <= limit;
}

// Corked: small answers wait for the end of the turn, to be written together.
bool Connection::gathers_locked(std::size_t bytes) {
    return batching_ && outbox_.queued_bytes() + bytes <= kLargestBatch &&
           queue_has_room_locked(bytes) && !outbox_.has(Account::program);
}

int Connection::refuse_send_locked() const {
    if (is_listener()) return EOPNOTSUPP;
    if (!is_ok()) return EBADF;
    if (close_sent_) return EPIPE;
    const Phase now = phase();
    const bool client_may = is_client() && now != Phase::connecting;
    if (!client_may && now != Phase::notifying && now != Phase::open) return ENOTCONN;
    return others_write() ? EWOULDBLOCK : 0;
}

// Strict mode: a text message must be UTF-8 as a whole. `text` is the state after this frame.
bool Connection::strict_refuses_locked(const SendRequest& request, bool continues,
                                       protocol::Utf8Validator& text) const {
    if (!strict_ || request.raw) return false;
    const bool is_text = continues ? message_is_text_ : request.opcode == Opcode::text;
    if (!is_text) return false;
    return !text.feed(request.payload) || (request.fin && !text.complete());
}

std::optional<MaskingKey> Connection::next_mask_key() {
    if (!mask_keys_) mask_keys_ = std::make_unique<net::MaskKeys>();
    return mask_keys_->next();
}

CallResult Connection::send_frame(const SendRequest& request) {
    const ConnectionPin pin(*this);
    std::array<std::byte, kStackFrame> stack;
    MallocPtr<char[]> heap;
    bool log_full_queue = false;
    CallResult result;
    {
        Lock lock(mutex_);
        if (const int error = refuse_send_locked(); error != 0) return {-1, error};
        const bool is_message = protocol::is_data(request.opcode);
        const bool continues = is_message && message_started_;
        protocol::Utf8Validator text = continues ? sent_text_ : protocol::Utf8Validator();
        if (is_message && strict_refuses_locked(request, continues, text)) return {-1, EILSEQ};

        if (!gathers_locked(request.payload.size() + protocol::kMaxFrameHeader)) {
            const FlushResult flushed = flush_locked(lock);
            if (flushed.state == Flush::failed) return {-1, flushed.error};
        }
        if (!is_ok()) return {-1, EBADF};
        if (outbox_.has(Account::program)) return {-1, EWOULDBLOCK};
        outbox_.forget_credit();

        FrameHeader header;
        header.fin = request.fin;
        header.opcode = continues && !request.raw ? Opcode::continuation : request.opcode;
        header.masked = request.raw ? request.masked.value_or(false) : is_client();
        header.payload_size = request.payload.size();
        if (header.masked) {
            const std::optional<MaskingKey> key = next_mask_key();
            if (!key) return {-1, EIO};
            header.key = *key;
        }
        std::array<std::byte, protocol::kMaxFrameHeader> header_bytes;
        FrameBytes frame;
        frame.header_size = protocol::encode_frame_header(header, header_bytes);
        frame.payload_size = request.payload.size();
        if (!header.masked) {
            frame.head = std::span(header_bytes).first(frame.header_size);
            frame.body = request.payload;
        } else {
            const std::size_t size = frame.header_size + frame.payload_size;
            std::byte* bytes = stack.data();
            if (size > stack.size()) {
                heap = allocate_bytes(size);
                bytes = reinterpret_cast<std::byte*>(heap.get());
            }
            std::memcpy(bytes, header_bytes.data(), frame.header_size);
            protocol::copy_masked(bytes + frame.header_size, request.payload, header.key, 0);
            frame.head = {bytes, size};
        }

        const int stop_after = load_field(__force_stop_after_header);
        if (stop_after > 0 && static_cast<std::size_t>(stop_after) < frame.size())
            result = write_pausing(lock, frame, static_cast<std::size_t>(stop_after), 5'000'000);
        else if (request.pause_us > 0)
            result = write_pausing(lock, frame, frame.header_size, request.pause_us);
        else
            result = write_frame(lock, frame);

        const bool taken = result.value >= 0 || result.value == -2;
        if (taken && is_message) {
            if (!continues) message_is_text_ = request.opcode == Opcode::text;
            message_started_ = !request.fin;
            sent_text_ = text;
        }
        if (taken && request.opcode == Opcode::close) close_sent_ = true;
        if (!taken && outbox_.queued_bytes() > 0 && !queue_full_logged_)
            queue_full_logged_ = log_full_queue = true;
    }
    if (log_full_queue)
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_WARNING,
                        "the peer does not read: send queue is full, frames are refused");
    return result;
}

CallResult Connection::write_frame(Lock& lock, FrameBytes& frame) {
    if (gathers_locked(frame.size())) {
        outbox_.append(Account::queued, frame.head, frame.body, 0);
        handler_held_back_ = true;
        return {clamp_int(frame.payload_size), kKeepErrno};
    }
    if (!outbox_.empty()) return keep_rest(lock, frame);
    const bool more = holds_back();
    if (more) handler_held_back_ = true;
    while (frame.sent < frame.size()) {
        const IoResult wrote = write_locked(lock, frame.head_left(), frame.body_left(), more);
        if (wrote.ok()) {
            frame.sent += wrote.bytes;
            continue;
        }
        if (wrote.status == IoResult::Status::would_block) return keep_rest(lock, frame);
        return frame_failed(frame, wrote);
    }
    return {clamp_int(frame.payload_size), kKeepErrno};
}

CallResult Connection::frame_failed(const FrameBytes& frame, const IoResult& wrote) {
    if (frame.sent > 0 || ssl != nullptr) break_off_locked();
    return {-1, wrote.error == 0 ? EIO : wrote.error};
}

// Half a frame is out and its other half will not come (no memory, a TLS error): whatever was sent
// next would be taken for it. A failed send does not shut the connection down, reading finds out;
// but where the socket itself has no fault, it has to be given one.
void Connection::break_off_locked() const {
    if (is_ok()) ::shutdown(descriptor(), SHUT_RDWR);
}

// The socket takes no more now, or other bytes have to go first.
CallResult Connection::keep_rest(Lock& lock, const FrameBytes& frame) {
    if (!is_ok()) return {-1, EPIPE};  // the send function has closed the connection
    const std::size_t left = frame.size() - frame.sent;
    const int whole = clamp_int(frame.payload_size);
    if (queue_applies_locked()) {
        // A frame that is begun has to be finished, whatever the limit says.
        if (frame.sent == 0 && !queue_has_room_locked(left)) return {-1, EWOULDBLOCK};
        append_rest(Account::queued, frame, 0);
        update_write_interest();
        return {whole, kKeepErrno};
    }
    if (net::is_blocking(descriptor())) {
        const std::uint64_t ticket = append_rest(Account::waiting, frame, 0);
        update_write_interest();
        return wait_until_out(lock, ticket, frame.payload_size);
    }
    append_rest(Account::program, frame, frame.header_left());
    update_write_interest();
    const std::size_t payload_sent = frame.payload_sent();
    return {payload_sent > 0 ? clamp_int(payload_sent) : -2, EWOULDBLOCK};
}

std::uint64_t Connection::append_rest(Account account, const FrameBytes& frame,
                                      std::size_t header_bytes) {
    // A TLS write that has to be repeated may have made a record of the bytes already.
    const bool begun = frame.sent > 0 || (ssl != nullptr && outbox_.empty());
    try {
        return outbox_.append(account, frame.head_left(), frame.body_left(), header_bytes);
    } catch (const std::bad_alloc&) {
        if (begun) break_off_locked();
        throw;
    }
}

// A send in blocking mode: others may write behind it meanwhile, and close. A program that calls
// nopoll_loop_wait again and again runs no loop for moments: from when it does again nobody waits.
// No descriptor tells when that is, hence the slices.
CallResult Connection::wait_until_out(Lock& lock, std::uint64_t ticket, std::size_t payload_size) {
    struct Abandon {  // the waiting thread may be cancelled
        Connection& connection;
        Lock& lock;
        std::uint64_t ticket;
        ~Abandon() {
            if (!lock.owns_lock()) lock.lock();
            connection.outbox_.stop_waiting(ticket, Account::library);
        }
    };
    const Abandon abandon{*this, lock, ticket};
    for (;;) {
        const FlushResult flushed = flush_locked(lock);
        if (flushed.state == Flush::failed) return {-1, flushed.error};
        if (!is_ok() || outbox_.is_lost(ticket)) return {-1, EPIPE};
        if (outbox_.is_out(ticket)) return {clamp_int(payload_size), kKeepErrno};
        if (queue_applies_locked()) {
            outbox_.stop_waiting(ticket, Account::queued);
            update_write_interest();
            return {clamp_int(payload_size), kKeepErrno};
        }
        lock.unlock();
        (void)await_descriptor(false, true, net::Deadline::after_us(kLoopLookUs));
        lock.lock();
    }
}

// Header, pause, payload: for programs that test their peers. Nobody writes in between.
CallResult Connection::write_pausing(Lock& lock, FrameBytes& frame, std::size_t first,
                                     long pause_us) {
    if (!outbox_.empty()) return keep_rest(lock, frame);
    while (frame.sent < first) {
        const std::size_t left = first - frame.sent;
        const std::span<const std::byte> head = frame.head_left();
        const std::span<const std::byte> body = frame.body_left();
        const std::size_t from_head = std::min(left, head.size());
        const IoResult wrote =
            write_locked(lock, head.first(from_head), body.first(left - from_head), false);
        if (wrote.status == IoResult::Status::would_block) return keep_rest(lock, frame);
        if (!wrote.ok()) return frame_failed(frame, wrote);
        frame.sent += wrote.bytes;
    }
    struct Exclusive {
        Connection& connection;
        Lock& lock;
        ~Exclusive() {
            if (!lock.owns_lock()) lock.lock();
            connection.exclusive_writer_ = nullptr;
        }
    };
    {
        const Exclusive exclusive{*this, lock};
        exclusive_writer_ = this_thread_token();
        lock.unlock();
        sleep_us(pause_us);
    }
    if (!is_ok()) return {-1, EPIPE};
    while (frame.sent < frame.size()) {
        const IoResult wrote = write_locked(lock, frame.head_left(), frame.body_left(), false);
        if (wrote.status == IoResult::Status::would_block) return keep_rest(lock, frame);
        if (!wrote.ok()) return frame_failed(frame, wrote);
        frame.sent += wrote.bytes;
    }
    flush_locked(lock);  // control frames that came up meanwhile
    return {clamp_int(frame.payload_size), kKeepErrno};
}

// Pongs, Close frames and the like: never wait, never count in results.
bool Connection::send_library_frame_locked(Lock& lock, Opcode opcode,
                                           std::span<const std::byte> payload, AskedBy asked_by) {
    FrameHeader header;
    header.opcode = opcode;
    header.masked = is_client();
    header.payload_size = payload.size();
    if (header.masked) {
        const std::optional<MaskingKey> key = next_mask_key();
        if (!key) return false;
        header.key = *key;
    }
    std::array<std::byte, protocol::kMaxFrameHeader + protocol::kMaxControlPayload> bytes;
    const std::size_t head =
        protocol::encode_frame_header(header, std::span(bytes).first<protocol::kMaxFrameHeader>());
    if (header.masked)
        protocol::copy_masked(bytes.data() + head, payload, header.key, 0);
    else if (!payload.empty())
        std::memcpy(bytes.data() + head, payload.data(), payload.size());
    std::span<const std::byte> left = std::span(bytes).first(head + payload.size());

    if (!others_write() && !gathers_locked(left.size())) {
        // The program knows nothing of a pong; of a ping of its own it does.
        const FlushResult flushed = flush_locked(lock);
        if (asked_by == AskedBy::library) outbox_.add_credit(flushed.program_payload);
    }
    const bool direct = outbox_.empty() && !others_write();
    while (direct && !left.empty()) {
        const bool more = holds_back() && opcode != Opcode::close;
        const IoResult wrote = write_locked(lock, left, {}, more);
        if (wrote.status == IoResult::Status::would_block) break;
        if (!wrote.ok()) {
            if (left.size() < head + payload.size() || ssl != nullptr) break_off_locked();
            return false;
        }
        left = left.subspan(wrote.bytes);
    }
    if (left.empty()) return true;
    const bool untouched = left.size() == head + payload.size();
    // Peers that ping and do not read must not make the queue grow: beyond its limit only the
    // latest pong is kept.
    const bool queue_is_full = outbox_.queued_bytes() > 0 && !queue_has_room_locked(left.size());
    const bool replaceable = opcode == Opcode::pong && untouched;
    // Nor programs that ping them.
    if (asked_by == AskedBy::program && untouched && !replaceable &&
        (queue_is_full || outbox_.library_bytes() > kMostUnsentPings))
        return false;
    try {
        if (replaceable && queue_is_full)
            outbox_.append_pong(left, Account::queued);
        else if (outbox_.queued_bytes() > 0 || (opcode == Opcode::close && queue_applies_locked()))
            outbox_.append(Account::queued, left, {}, 0);
        else if (replaceable)
            outbox_.append_pong(left);
        else
            outbox_.append(Account::library, left, {}, 0);
    } catch (const std::bad_alloc&) {
        if (!untouched || (ssl != nullptr && direct)) break_off_locked();
        throw;
    }
    update_write_interest();
    return true;
}

bool Connection::send_control(Opcode opcode, std::span<const std::byte> payload) {
    const ConnectionPin pin(*this);
    Lock lock(mutex_);
    const int error = refuse_send_locked();
    if (error != 0 && error != EWOULDBLOCK) return false;
    return send_library_frame_locked(lock, opcode, payload, AskedBy::program);
}

int Connection::pending_write_bytes() {
    const std::lock_guard guard(mutex_);
    return clamp_int(outbox_.pending_bytes());
}

CallResult Connection::complete_pending_write() {
    const ConnectionPin pin(*this);
    Lock lock(mutex_);
    if (!is_ok() || outbox_.pending_bytes() == 0) return {0, kKeepErrno};
    const std::size_t credit = outbox_.take_credit();
    const FlushResult flushed = flush_locked(lock);
    if (flushed.state == Flush::failed) return {-1, flushed.error};
    const std::size_t written = credit + flushed.program_payload;
    if (written > 0) return {clamp_int(written), kKeepErrno};
    if (outbox_.pending_bytes() > 0) return {-1, EWOULDBLOCK};
    return {0, kKeepErrno};
}

CallResult Connection::flush_writes(long timeout_us, int previous) {
    const ConnectionPin pin(*this);
    std::size_t written = previous > 0 ? static_cast<std::size_t>(previous) : 0;
    if (timeout_us <= 0) return {clamp_int(written), kKeepErrno};
    const net::Deadline deadline =
        net::Deadline::after_us(std::max<std::int64_t>(timeout_us, kShortestFlushUs));
    for (;;) {
        {
            Lock lock(mutex_);
            if (!is_ok()) return {clamp_int(written), kKeepErrno};
            written += outbox_.take_credit();
            const FlushResult flushed = flush_locked(lock);
            written += flushed.program_payload;
            if (flushed.state == Flush::failed) return {clamp_int(written), flushed.error};
            push_locked();
            if (flushed.state == Flush::empty) return {clamp_int(written), kKeepErrno};
            // Only the queue of a slow reader is left: while a loop runs nobody waits for that.
            if (outbox_.pending_bytes() == 0 && queue_applies_locked())
                return {clamp_int(written), kKeepErrno};
        }
        if (deadline.passed() || await_descriptor(false, true, deadline) == net::Ready::failed)
            return {clamp_int(written), EWOULDBLOCK};
    }
}

void Connection::push_locked() {
    if (!kernel_holds_) return;
    kernel_holds_ = false;
    if (is_ok()) net::push_tcp(descriptor());
}

// Other threads are no part of the batch, and do not know how long the handler takes.
bool Connection::holds_back() const {
    return more_follows_.load(std::memory_order_relaxed) && read_by_this_thread();
}

// A handler that asks for the descriptor may be about to wait on it, for the answer to what it has
// just sent. One that asks before it sends costs the batch nothing.
int Connection::descriptor_to_watch() {
    if (handler_held_back_.load(std::memory_order_relaxed) && read_by_this_thread()) {
        const ConnectionPin pin(*this);
        finish_batch();
    }
    return descriptor();
}

// The end of a loop's turn, or a handler that begins to wait for an answer.
void Connection::finish_batch() {
    more_follows_.store(false, std::memory_order_relaxed);
    handler_held_back_ = false;
    Lock lock(mutex_);
    if (batching_) {
        batching_ = false;
        outbox_.add_credit(flush_locked(lock).program_payload);
    }
    push_locked();
}

}  // namespace nopoll::core
