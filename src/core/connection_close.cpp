// SPDX-License-Identifier: MIT
// Ending a connection: Close frames of ours, on_close, giving up the descriptor, references.
// RFC 6455 5.5.1 and 7; the peer's Close frame is handled where frames are read.
#include "core/connection.hpp"

#include <array>
#include <fcntl.h>
#include <new>
#include <sys/socket.h>
#include <utility>

#include "core/log.hpp"
#include "net/clock.hpp"
#include "net/no_cancel.hpp"
#include "net/plain_transport.hpp"
#include "net/tls_transport.hpp"
#include "protocol/close_code.hpp"

namespace nopoll::core {
namespace {

using CloseBody = std::array<std::byte, protocol::kMaxControlPayload>;

// For what goes on in private: to the program the descriptor is closed, and its number free again.
net::UniqueFd private_number(const net::UniqueFd& fd) {
    return net::UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

}  // namespace

void Connection::shutdown(Ending ending) {
    const ConnectionPin pin(*this);
    CloseHandler handler;
    {
        const std::lock_guard guard(mutex_);
        // While on_close runs a nested shutdown does nothing.
        if (!is_ok() || ending_.exchange(true)) return;
        handler = {on_close, on_close_data};
    }
    struct GiveUp {  // also when the handler throws or its thread is cancelled
        Connection& connection;
        Ending ending;
        ~GiveUp() { connection.give_up_descriptor(ending); }
    };
    const GiveUp give_up{*this, ending};
    if (handler) handler.call(&context_, this, handler.data);
}

// The socket field is looked at again: on_close may have taken the descriptor away.
void Connection::give_up_descriptor(Ending ending) {
    const net::NoCancel no_cancel;
    net::UniqueFd fd;
    Linger linger;
    {
        Lock lock(mutex_);
        shut_down_.store(true);
        if (is_ok() && ending != Ending::descriptor_lost) {
            if (outbox_.queued_bytes() > 0) flush_locked(lock);
            // A function of the program's would have had to make something else of the bytes.
            if (outbox_.queued_bytes() > 0 && !custom_send() &&
                (ssl == nullptr || SSL_up_ref(ssl) == 1)) {
                // Nobody uses it here any more; what the program has kept of it stays valid.
                linger.ssl.reset(ssl);
                ended_ssl_.reset(exchange_field(ssl, nullptr));
                linger.outbox.swap(outbox_);
            } else if (ssl != nullptr && !tls_handshaking_) {
                net::tls_close_notify(ssl);
            }
        }
        const int number =
            exchange_descriptor_locked(NOPOLL_INVALID_SOCKET, ending != Ending::descriptor_lost);
        if (ending != Ending::descriptor_lost) fd.reset(number);
        outbox_.clear();
        if (fd.valid() && tls_handshaking_) {
            ::shutdown(fd.get(), SHUT_RDWR);
            ended_in_handshake_.reset(fd.release());
        }
        update_write_interest();
        ending_.store(false);
    }
    if (fd.valid() && !linger.outbox.empty()) {
        finish_in_private(std::move(linger), std::move(fd));
    } else if (fd.valid() && ending != Ending::abrupt) {
        end_gracefully(std::move(fd), ending);
    } else if (fd.valid()) {
        ::shutdown(fd.get(), SHUT_RDWR);
        fd.reset();
    }
    context_.descriptor_freed();
    context_.changed();
}

// Closed, as far as the program can see; what the peer has not taken yet is still to be written.
void Connection::finish_in_private(Linger linger, net::UniqueFd fd) {
    linger.fd = private_number(fd);
    if (!linger.fd.valid()) linger.fd = std::move(fd);
    // Bytes of a TLS connection never go out without its encryption.
    if (linger.ssl && !net::take_private(linger.ssl.get(), linger.fd.get())) {
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_WARNING,
                        "its TLS object is the program's: bytes that wait are lost");
        return;
    }
    linger.connection_id = load_field(id);
    linger.give_up_us = net::now_us() + kLingerPatienceUs;
    try {
        context_.adopt_lingering(std::move(linger));
    } catch (const std::bad_alloc&) {
        // What the peer has not read is lost, as the descriptor closes with `linger`.
    }
}

// Our last frame is out. What the peer is still sending must be read away, or a reset destroys the
// frame before it is read; a running loop goes on with that for a while, if the peer is sending.
// Not where the program may watch the descriptor itself, or another thread waits for input on it:
// there it ends now.
void Connection::end_gracefully(net::UniqueFd fd, Ending ending) {
    const ThreadToken reader = reader_.load();
    const bool only_ours = !direct_reader_ && (reader == nullptr || reader == this_thread_token());
    if (!context_.loop_running() || !only_ours) return close_gracefully(std::move(fd));
    Linger linger;
    linger.fd = std::move(fd);
    linger.connection_id = load_field(id);
    const LingerState state = advance_linger(linger, net::now_us());
    const bool more_may_come = ending == Ending::refused || linger.drained >= kDrainStep ||
                               (ending == Ending::graceful && linger.drained > 0);
    if (state == LingerState::waiting && more_may_come) {
        net::UniqueFd own = private_number(linger.fd);
        if (!own.valid()) return close_gracefully(std::move(linger.fd));
        linger.fd = std::move(own);
        try {
            context_.adopt_lingering(std::move(linger));
        } catch (const std::bad_alloc&) {
            // It closes with `linger`.
        }
        return;
    }
    close_drained(std::move(linger.fd));
}

// Never waits, never goes into the middle of another frame. True when a Close frame is out, or is
// certain to go out.
bool Connection::send_close_frame_locked(Lock& lock, std::span<const std::byte> body) {
    if (close_sent_) return true;
    const Phase now = phase();
    if (!is_ok() || (now != Phase::notifying && now != Phase::open)) return false;
    try {
        const FlushResult flushed = flush_locked(lock);
        outbox_.add_credit(flushed.program_payload);  // programs ask in on_close
        if (flushed.state != Flush::empty && outbox_.queued_bytes() == 0 && !queue_applies_locked())
            return false;
        if (!send_library_frame_locked(lock, protocol::Opcode::close, body)) return false;
    } catch (const std::bad_alloc&) {
        return false;  // the end itself must not depend on memory
    }
    close_sent_ = true;
    return outbox_.empty() || outbox_.queued_bytes() > 0;
}

void Connection::close(int status, std::string_view reason) {
    const ConnectionPin pin(*this);
    struct Closing {
        Connection& connection;
        explicit Closing(Connection& closing) : connection(closing) {
            ++connection.closes_running_;
        }
        ~Closing() {
            if (--connection.closes_running_ == 0) connection.context_.changed();
        }
    };
    // What happens to references must not depend on how soon a loop sees that the socket is gone.
    const Closing closing(*this);
    if (is_ok() && !ending_.load()) {
        CloseBody body;
        std::size_t size = 0;
        if (protocol::is_sendable(status))
            size = protocol::encode_close(body, static_cast<std::uint16_t>(status), reason);
        bool said = false;
        {
            Lock lock(mutex_);
            said = send_close_frame_locked(lock, std::span(body).first(size));
        }
        shutdown(said ? Ending::graceful : Ending::abrupt);
    }
    release();
}

void Connection::fail(std::uint16_t close_code, const char* why) {
    NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "%s; closing with code %d", why,
                    static_cast<int>(close_code));
    CloseBody body;
    const std::size_t size = protocol::encode_close(body, close_code, {});
    {
        Lock lock(mutex_);
        send_close_frame_locked(lock, std::span(body).first(size));
    }
    shutdown(Ending::refused);
}

// What nopoll_conn_close does with references (the table in docs/architecture.md): the registry's
// goes, then one of the owners'. A connection that was dropped by the loop, or closed before, and
// is held by a reference the program took itself, stays.
void Connection::release() {
    const ConnectionPin pin(*this);
    context_.tend_lingering();
    const bool was_registered = context_.unregister_connection(*this);
    const int owners = owner_ref_count();
    const bool last_is_programs_own =
        !was_registered && owners == 1 && (closed_before_.load() || role == NOPOLL_ROLE_LISTENER);
    closed_before_.store(true);
    if (owners > 0 && !last_is_programs_own) unref();
}

}  // namespace nopoll::core
