// SPDX-License-Identifier: MIT
// A connection's turn in a loop: what the wait has to watch, and what is done when it is ready.
#include "core/connection.hpp"

#include <limits>
#include <new>

#include "core/c_enum.hpp"
#include "core/log.hpp"

namespace nopoll::core {
namespace {

// TLS bytes that are decrypted already are read on without waiting, up to this many times a turn.
constexpr int kTlsReadsPerTurn = 64;
// Control frames alone must not keep the loop with one connection.
constexpr int kControlFramesPerTurn = 256;

}  // namespace

bool Connection::read_elsewhere() {
    const ThreadToken reader = reader_.load();
    if (reader == nullptr || reader == this_thread_token()) return false;
    // Say so first, then look again: the reader's end will wake us.
    contended_.store(true);
    return reader_.load() != nullptr;
}

// Not while a handler runs elsewhere, because the registry's may be the last reference, nor inside
// a close, which unregisters by itself.
bool Connection::may_be_dropped() {
    return !is_ok() && closes_running_.load() == 0 && !read_elsewhere();
}

Connection::Wish Connection::wish() {
    Wish wish;
    if (!is_ok()) return wish;
    const bool elsewhere = read_elsewhere();
    const Phase now = phase();
    if (now == Phase::listening) {
        wish.read = true;
        return wish;
    }
    if (now == Phase::connecting) return wish;
    wish.write = wants_write_.load();
    if (elsewhere || in_own_handshake_handler()) return wish;
    if (now == Phase::replying) {
        wish.now = !wish.write;  // a call of the program has written the rest of the reply
        return wish;
    }
    if (input_over_.load()) return wish;
    const bool tls_write = tls_wants_write_.load();
    wish.write = wish.write || tls_write;
    wish.read = !tls_write;
    // A wait inside one of its handlers: what its turn has read ahead is at hand.
    wish.now = input_at_hand_.load() ||
               (reader_.load() == this_thread_token() && buffered_frame_complete());
    return wish;
}

std::int64_t Connection::handshake_deadline_us() const {
    const std::int64_t limit = context_.handshake_timeout_us.load(std::memory_order_relaxed);
    if (role != NOPOLL_ROLE_LISTENER || limit <= 0 || is_open() || !is_ok()) return 0;
    if (limit > std::numeric_limits<std::int64_t>::max() - accepted_at_us_) return 0;
    return accepted_at_us_ + limit;
}

void Connection::pause_accepts(std::int64_t until_us) {
    freed_at_pause_.store(context_.freed_count());
    accept_paused_until_us_.store(until_us);
}

bool Connection::accepts_paused(std::int64_t now_us) const {
    return now_us < accept_paused_until_us_.load() &&
           context_.freed_count() == freed_at_pause_.load();
}

// The connection's handler, else the context's; without either the message is dropped.
void Connection::deliver(Message* message) {
    struct Given {
        Message* message;
        ~Given() { message->unref(); }
    };
    const Given given{message};
    MessageHandler handler;
    {
        const std::lock_guard guard(mutex_);
        handler = {on_msg, on_msg_data};
    }
    if (!handler) handler = context_.handler(context_.on_msg, context_.on_msg_data);
    if (handler) handler.call(&context_, this, message, handler.data);
}

void Connection::write_pending() {
    const ConnectionPin pin(*this);
    Lock lock(mutex_);
    if (is_ok()) outbox_.add_credit(flush_locked(lock).program_payload);
}

void Connection::dispatch(bool writable, std::uint64_t stops_at_start) {
    const ConnectionPin pin(*this);
    if (role != NOPOLL_ROLE_LISTENER && role != NOPOLL_ROLE_CLIENT) {  // the program has written it
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "role %d is none to be served",
                        number_of(role));
        shutdown();
        return;
    }
    // Writing needs no claim: a thread that waits for input may wait for the answer to these bytes.
    if (writable) write_pending();
    const ReaderClaim claim(*this);
    if (!claim) {
        contended_.store(true);
        if (reader_.load() == nullptr) contended_.store(false);
        context_.changed();
        return;
    }
    if (!is_ok() || in_own_handshake_handler()) return;
    struct EndOfTurn {  // also when a handler throws
        Connection& connection;
        ~EndOfTurn() {
            connection.finish_batch();
            // In a nested wait the outer turn goes on afterwards.
            if (connection.reader_depth_ == 1 && !connection.is_ok())
                connection.input_.drop(connection.context_.input_buffers());
            connection.input_at_hand_.store(false);  // so that what is left is a change
            connection.note_input_state();
        }
    };
    const EndOfTurn end_of_turn{*this};
    try {
        const bool read_ahead = !direct_reader_;
        const bool was_open = is_open();
        if (ready_to_read(read_ahead) != Progress::done) return;
        // on_ready may have said that it is enough for now.
        if (was_open || turn_goes_on(stops_at_start)) take_turn(read_ahead, stops_at_start);
    } catch (const std::bad_alloc&) {
        out_of_memory();
    }
}

// A handler that closes or unregisters the connection, or stops the loop, is the last of its turn.
bool Connection::turn_goes_on(std::uint64_t stops_at_start) const {
    return is_ok() && registrations_.load() > 0 && context_.stop_count() == stops_at_start;
}

void Connection::take_turn(bool read_ahead, std::uint64_t stops_at_start) {
    if (read_ahead && context_.cork.load(std::memory_order_relaxed)) {
        const std::lock_guard guard(mutex_);
        batching_ = true;
    }
    ReadMode mode;
    mode.read_ahead = read_ahead;
    mode.receives_left = 1;
    int tls_reads_left = kTlsReadsPerTurn;
    int control_frames_left = kControlFramesPerTurn;
    for (;;) {
        switch (advance(mode)) {
        case Got::piece:
        case Got::partial: {
            Message* const message = Message::from_piece(decoder_.take_piece());
            // A wait inside the handler serves what is at hand without asking the socket.
            const bool at_hand = buffered_frame_complete() || decrypted_bytes() > 0;
            input_at_hand_.store(at_hand);
            more_follows_.store(at_hand && read_ahead && ssl == nullptr, std::memory_order_relaxed);
            handler_held_back_ = false;
            deliver(message);
            if (!turn_goes_on(stops_at_start) || direct_reader_) return;
            break;
        }
        case Got::control:
            if (--control_frames_left == 0 && input_.empty()) return;
            break;
        case Got::nothing:
            if (!read_ahead || decrypted_bytes() == 0 || tls_reads_left-- == 0) return;
            mode.receives_left = 1;
            break;
        case Got::ended: return;
        }
    }
}

}  // namespace nopoll::core
