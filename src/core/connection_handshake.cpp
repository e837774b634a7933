// SPDX-License-Identifier: MIT
// The opening handshake of both sides, step by step as bytes arrive (RFC 6455 4), with the TLS
// handshake of accepted connections before it. Order of events and handlers: docs/architecture.md.
#include "core/connection.hpp"

#include <array>
#include <cerrno>
#include <new>
#include <poll.h>

#include "core/c_string.hpp"
#include "core/io_entries.hpp"
#include "core/log.hpp"
#include "net/plain_transport.hpp"
#include "net/readiness.hpp"
#include "net/tls_transport.hpp"
#include "net/tls_verify.hpp"

namespace nopoll::core {
namespace {

using net::IoResult;
using protocol::HeadEvent;
using protocol::LineReader;

constexpr std::size_t kHeadChunk = 4096;

}  // namespace

bool Connection::in_own_handshake_handler() const {
    // The flags are the reader's, so who reads comes first. Inside OpenSSL callbacks of a context
    // that the program made may run.
    return reader_.load() == this_thread_token() &&
           (handshake_handler_running_ || receive_running_ || tls_handshaking_);
}

bool Connection::origin_needed() const {
    return accept_options_ == nullptr || !accept_options_->skips_origin_check();
}

bool Connection::is_ready() {
    const ConnectionPin pin(*this);
    if (!is_ok() || is_listener()) return false;
    if (is_open()) return true;
    const ReaderClaim claim(*this);
    if (!claim || in_own_handshake_handler()) return false;
    const bool ready = handshake_step(false) == Progress::done && is_ok();
    if (ready) note_input_state();  // frames that came with the head, decrypted already
    return ready;
}

void Connection::complete_handshake() {
    (void)is_ready();
}

bool Connection::wait_until_ready(int seconds) {
    const ConnectionPin pin(*this);
    const net::Deadline deadline = net::Deadline::after_us(std::int64_t{seconds} * 1'000'000);
    for (;;) {
        if (is_ready()) return true;
        if (!is_ok() || is_listener() || deadline.passed()) return false;
        const ThreadToken reader = reader_.load();
        if (reader == this_thread_token()) return false;  // from inside its own handler
        if (reader != nullptr) {
            ::poll(nullptr, 0, 1);  // a loop in another thread is at it: no descriptor tells when
            continue;
        }
        const bool for_writing = tls_wants_write_.load() || phase() == Phase::replying;
        (void)await_descriptor(!for_writing, for_writing, deadline);
    }
}

Connection::Progress Connection::handshake_step(bool read_ahead) {
    if (in_own_handshake_handler()) return Progress::waiting;
    try {
        for (;;) {
            if (!is_ok() || input_over_.load()) return Progress::ended;
            if (handshake_abandoned_) {
                NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL,
                                "a handler of the opening handshake did not return");
                end_of_input(Ending::abrupt);
                return Progress::ended;
            }
            Progress progress = Progress::waiting;
            switch (phase()) {
            case Phase::open: return Progress::done;
            case Phase::tls_accepting:
                progress = tls_accept_step();
                if (progress != Progress::done) return progress;
                set_phase(Phase::awaiting_head);
                // Bytes that are decrypted already are shown by no select().
                if (decrypted_bytes() == 0) return Progress::waiting;
                break;
            case Phase::awaiting_head:
                progress = read_head(read_ahead);
                return progress == Progress::done ? finish_head() : progress;
            case Phase::replying: return finish_reply();
            default: return Progress::waiting;
            }
        }
    } catch (const std::bad_alloc&) {
        out_of_memory();
        return Progress::ended;
    }
}

void Connection::log_tls_failure() {
    const std::string found = net::handshake_failure(ssl);
    const std::string& why = tls_note_.empty() ? found : tls_note_;
    NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "TLS handshake with %s failed: %s",
                    host != nullptr ? host : "?", why.c_str());
}

// Without the lock: callbacks of an SSL_CTX that the program made are its own code. Nobody else
// uses the object meanwhile, and a descriptor that is given up stays open until the step is over.
net::TlsStep Connection::tls_handshake_step(net::TlsStep (*step)(SSL*)) {
    {
        const std::lock_guard guard(mutex_);
        if (!is_ok() || ssl == nullptr) return net::TlsStep::failed;
        tls_handshaking_ = true;
    }
    struct Over {
        Connection& connection;
        ~Over() {
            net::UniqueFd ended;
            const std::lock_guard guard(connection.mutex_);
            connection.tls_handshaking_ = false;
            ended = std::move(connection.ended_in_handshake_);
        }
    };
    const Over over{*this};
    return step(ssl);
}

Connection::Progress Connection::tls_accept_step() {
    const net::TlsStep step = tls_handshake_step(net::tls_accept);
    if (!is_ok()) return Progress::ended;
    const bool wants_write = step == net::TlsStep::want_write;
    if (tls_wants_write_.exchange(wants_write) != wants_write) context_.changed();
    if (step == net::TlsStep::want_read || step == net::TlsStep::want_write)
        return Progress::waiting;
    if (step == net::TlsStep::failed) {
        context_.tls_contexts().distrust();
        log_tls_failure();
        end_of_input(Ending::graceful);  // so that the alert is not lost over unread input
        return Progress::ended;
    }
    store_field(pending_ssl_accept, 0);
    const SslPostCheck check =
        context_.handler(context_.post_ssl_check, context_.post_ssl_check_data);
    const bool accepted = !check || inside_handshake_handler([&] {
        return check.call(&context_, this, SSL_get_SSL_CTX(ssl), ssl, check.data) != 0;
    });
    if (!accepted) {
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "refused by the program's TLS check");
        end_of_input(Ending::abrupt);
        return Progress::ended;
    }
    return is_ok() ? Progress::done : Progress::ended;
}

// --- reading the head --------------------------------------------------------------------------

// Brings bytes of the head without taking more than the head from where it cannot be put back:
// a loop reads ahead, others look first (plain, TLS) or go byte by byte (functions of the program).
IoResult Connection::head_bytes(bool read_ahead, std::span<std::byte> scratch,
                                std::span<const std::byte>& bytes) {
    if (input_.empty() && read_ahead && !custom_receive()) {
        const IoResult got = receive_bytes(input_.room(context_.input_buffers()));
        if (got.ok())
            input_.filled(got.bytes);
        else
            input_.drop(context_.input_buffers());
        if (!got.ok()) return got;
    }
    if (!input_.empty()) {
        bytes = input_.bytes();
        return IoResult::moved(bytes.size());
    }
    IoResult got;
    if (custom_receive()) {
        got = receive_bytes(scratch.first(1));
    } else if (ssl != nullptr) {
        const std::lock_guard guard(mutex_);
        if (!is_ok()) return IoResult::failure(EBADF);
        got = net::tls_peek(ssl, scratch);
        const bool wants_write = got.status == IoResult::Status::would_block && got.want_write;
        if (tls_wants_write_.exchange(wants_write) != wants_write) context_.changed();
    } else {
        got = peek_bytes(scratch);
    }
    if (got.ok()) bytes = scratch.first(got.bytes);
    return got;
}

bool Connection::consume_head_bytes(std::size_t count) {
    if (!input_.empty()) {
        input_.consume(count);
        if (input_.empty()) input_.settle(context_.input_buffers());
        return true;
    }
    if (custom_receive()) return true;
    std::array<std::byte, kHeadChunk> scratch;
    while (count > 0) {
        const IoResult taken = receive_bytes(std::span(scratch).first(count));
        if (!taken.ok()) return false;
        count -= taken.bytes;
    }
    return true;
}

Connection::Progress Connection::read_head(bool read_ahead) {
    std::array<std::byte, kHeadChunk> scratch;
    int receives_left = 16;  // a loop has other connections to serve
    for (;;) {
        if (input_.empty() && read_ahead && receives_left-- == 0) return Progress::waiting;
        std::span<const std::byte> bytes;
        const IoResult got = head_bytes(read_ahead, scratch, bytes);
        if (got.status == IoResult::Status::would_block) return Progress::waiting;
        if (!got.ok() || bytes.empty()) {
            ReadMode mode;
            (void)no_bytes(mode, got);
            return Progress::ended;
        }
        std::size_t consumed = 0;
        const Progress progress = feed_head(bytes, consumed);
        if (!consume_head_bytes(consumed)) return Progress::ended;
        if (progress == Progress::ended)
            return is_client() ? finish_client_head() : refuse_request();
        if (progress == Progress::done) return progress;
    }
}

// waiting: more is needed; done: the head is complete; ended: refused.
Connection::Progress Connection::feed_head(std::span<const std::byte> bytes,
                                           std::size_t& consumed) {
    Opening& opening = *opening_;
    while (consumed < bytes.size()) {
        const LineReader::Step step = opening.lines.feed(bytes.subspan(consumed));
        consumed += step.consumed;
        if (step.status == LineReader::Status::need_more) {
            if (opening.server && opening.lines.lines() == 0 &&
                !opening.server->take_partial_line(opening.lines.held()))
                return Progress::ended;
            continue;
        }
        if (step.status != LineReader::Status::line) {
            if (opening.server) {
                opening.server->refuse_for_size(step.status, opening.lines.held());
            } else {
                NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL,
                                "the server's reply head is too long");
                end_of_input(Ending::abrupt);
            }
            return Progress::ended;
        }
        const std::string_view line = opening.lines.line();
        const protocol::HeadStep head =
            opening.server ? opening.server->take_line(line) : opening.client->take_line(line);
        apply_head_step(head);
        opening.lines.next();
        if (head.event == HeadEvent::end) return Progress::done;
        if (head.event == HeadEvent::refused) return Progress::ended;
    }
    return Progress::waiting;
}

void Connection::apply_head_step(const protocol::HeadStep& step) {
    char** field = nullptr;
    switch (step.event) {
    case HeadEvent::target: field = &get_url; break;
    case HeadEvent::host: field = &host_name; break;
    case HeadEvent::origin: field = &origin; break;
    case HeadEvent::protocols: field = &protocols; break;
    case HeadEvent::cookie: field = &cookie_; break;
    case HeadEvent::x_real_ip: field = &x_real_ip_address; break;
    case HeadEvent::accepted_protocol: field = &accepted_protocol; break;
    default: return;
    }
    const std::lock_guard guard(mutex_);
    replace_text(*field, step.value);
}

// One line handed in by a program through the exported internals.
bool Connection::take_head_line(std::string_view line) {
    const ConnectionPin pin(*this);
    const ReaderClaim claim(*this);
    if (!claim || !is_ok() || !opening_ || line.empty() || in_own_handshake_handler()) return false;
    const protocol::HeadStep head =
        opening_->server
            ? opening_->server->take_line(line)
            : (opening_->client ? opening_->client->take_line(line) : protocol::HeadStep{});
    apply_head_step(head);
    if (head.event == HeadEvent::refused)
        (void)(is_client() ? finish_client_head() : refuse_request());
    return head.event != HeadEvent::end && head.event != HeadEvent::refused;
}

bool Connection::check_head() {
    const ConnectionPin pin(*this);
    const ReaderClaim claim(*this);
    if (!claim || !is_ok() || !opening_ || phase() != Phase::awaiting_head) return false;
    if (in_own_handshake_handler()) return false;
    return finish_head() == Progress::done;
}

// --- judging it --------------------------------------------------------------------------------

Connection::HandlerScope::HandlerScope(Connection& running) : connection(running) {
    connection.handshake_handler_running_ = true;
}

Connection::HandlerScope::~HandlerScope() {
    connection.handshake_handler_running_ = false;
    if (returned) return;
    // It has not said yes. The end runs a handler too, so it has to wait for the next turn.
    connection.handshake_abandoned_ = true;
    connection.note_input_state();
}

bool Connection::run_handshake_handler(const ActionHandler& handler) {
    if (!handler) return true;
    return inside_handshake_handler(
        [&] { return handler.call(&context_, this, handler.data) != 0; });
}

Connection::Progress Connection::finish_head() {
    return is_client() ? finish_client_head() : finish_server_head();
}

Connection::Progress Connection::finish_server_head() {
    protocol::ServerHandshake& server = *opening_->server;
    if (!server.check(load_field(context_.protocol_version), origin_needed()))
        return refuse_request();
    program_wrote_ = false;
    const bool accepted =
        run_handshake_handler(context_.handler(context_.on_open, context_.on_open_data));
    if (!is_ok()) return Progress::ended;
    if (!accepted) {
        server.refuse({403, "refused by the program", !program_wrote_});
        return refuse_request();
    }
    {
        Lock lock(mutex_);
        std::optional<std::string_view> chosen;
        if (accepted_protocol != nullptr) chosen = accepted_protocol;
        const std::string reply = server.reply(chosen);
        outbox_.append(Account::library, std::as_bytes(std::span(reply)), {}, 0);
    }
    set_phase(Phase::replying);
    return finish_reply();
}

Connection::Progress Connection::finish_reply() {
    FlushResult flushed;
    {
        Lock lock(mutex_);
        flushed = flush_locked(lock);
    }
    if (flushed.state == Flush::blocked) return Progress::waiting;
    if (flushed.state == Flush::failed || !is_ok()) {
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_WARNING, "the handshake reply cannot be written: %s",
                        ::strerror(flushed.error));
        end_of_input(Ending::abrupt);
        return Progress::ended;
    }
    return become_open();
}

// An HTTP error, as far as it can be written without waiting; then the end.
Connection::Progress Connection::refuse_request() {
    const protocol::ServerHandshake& server = *opening_->server;
    const protocol::Refusal& refusal = server.refusal();
    NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "handshake of %s refused (%d): %s",
                    host != nullptr ? host : "?", refusal.status, refusal.reason);
    bool said = program_wrote_;
    if (refusal.answer && !program_wrote_) {
        const std::string reply = server.refusal_reply(load_field(context_.protocol_version));
        Lock lock(mutex_);
        outbox_.append(Account::library, std::as_bytes(std::span(reply)), {}, 0);
        said = flush_locked(lock).state == Flush::empty;
    }
    end_of_input(said ? Ending::refused : Ending::abrupt);
    return Progress::ended;
}

Connection::Progress Connection::finish_client_head() {
    if (!is_ok()) return Progress::ended;
    protocol::ClientHandshake& client = *opening_->client;
    if (!client.check()) {
        const char* const fault = client.fault();
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "the server's handshake reply is refused: %s",
                        fault != nullptr ? fault : "?");
        end_of_input(Ending::abrupt);
        return Progress::ended;
    }
    return become_open();
}

Connection::Progress Connection::become_open() {
    opening_.reset();
    set_phase(Phase::notifying);
    if (!run_on_ready() || !is_ok()) return Progress::ended;
    set_phase(Phase::open);
    store_field(handshake_ok, 1);
    NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_DEBUG, "ready");
    return Progress::done;
}

bool Connection::run_on_ready() {
    const ConnectionPin pin(*this);
    const ReaderClaim claim(*this);
    if (!claim) return false;
    ActionHandler handler;
    {
        const std::lock_guard guard(mutex_);
        handler = {on_ready, on_ready_data};
    }
    if (!handler) handler = context_.handler(context_.on_ready, context_.on_ready_data);
    if (run_handshake_handler(handler)) return true;
    input_over_.store(true);
    if (is_ok()) fail(protocol::close_code::policy_violation, "refused by the program's on_ready");
    return false;
}

}  // namespace nopoll::core
