// SPDX-License-Identifier: MIT
// A connection of any role: listener, accepted, client. The public struct is its first base; live
// fields (docs/architecture.md) are the only storage of their value.
//
// Locking. `mutex_` guards the descriptor's use (every read, write, close), the TLS object, the
// outbox and the strings and handlers of the face; it is never held while user code runs or while
// waiting. The read side (decoder, read-ahead, handshake progress) belongs to one reader at a time:
// whoever holds the ReaderClaim, a loop's dispatch or a direct call. Order: a connection's lock may
// be held when the context's is taken, never the other way round.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.hpp"
#include "core/face.hpp"
#include "core/input_buffer.hpp"
#include "core/memory.hpp"
#include "core/message.hpp"
#include "core/mutex_hooks.hpp"
#include "core/options.hpp"
#include "core/outbox.hpp"
#include "core/thread_token.hpp"
#include "net/clock.hpp"
#include "net/io_result.hpp"
#include "net/random.hpp"
#include "net/readiness.hpp"
#include "net/tls_transport.hpp"
#include "net/unique_fd.hpp"
#include "protocol/client_handshake.hpp"
#include "protocol/frame_decoder.hpp"
#include "protocol/http_head.hpp"
#include "protocol/server_handshake.hpp"
#include "protocol/utf8.hpp"

namespace nopoll::core {

// How far a connection has come. Sending needs `notifying` on accepted connections (the reply is
// out), any phase from `awaiting_head` on clients.
enum class Phase : std::uint8_t {
    listening,
    connecting,     // client: inside the creating call
    tls_accepting,  // accepted: TLS handshake
    awaiting_head,  // request or reply head
    replying,       // accepted: the 101 is not completely out
    notifying,      // on_ready runs
    open,
};

// An int as the C API returns it, and the errno that goes with it (kKeepErrno: leave it alone).
constexpr int kKeepErrno = -1;
struct CallResult {
    int value = 0;
    int error = kKeepErrno;
};

struct MessageResult {
    Message* message = nullptr;
    int error = 0;
};

// How a descriptor is given up.
enum class Ending {
    abrupt,           // nothing more to say
    graceful,         // a Close frame was the last thing written
    refused,          // the same, or an HTTP refusal, and the peer may be in the middle of sending
    answered,         // a Close frame, and the peer has said that it sends nothing more
    descriptor_lost,  // the number is not ours any more: forget it, do not close it
};

// What a program asks to have sent.
struct SendRequest {
    std::span<const std::byte> payload;
    protocol::Opcode opcode = protocol::Opcode::text;
    bool fin = true;
    bool raw = false;            // nopoll_conn_send_frame: opcode and mask as given
    std::optional<bool> masked;  // raw only
    long pause_us = 0;           // between header and payload
};

// Certificate files of a listener, as nopoll_listener_set_certificate stored them.
struct ListenerCertificate {
    std::string certificate;
    std::string private_key;
    std::string chain;
};

class Connection final : public ::_noPollConn {
public:
    static Connection& from(::noPollConn& handle) { return static_cast<Connection&>(handle); }
    // One reference (the caller's); throws std::bad_alloc.
    static Connection* create(Context& context, noPollRole role, bool strict);

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // --- references (connection.cpp) ---
    bool ref() { return increment_if_positive(refs); }
    void unref();
    int ref_count() const { return load_field(refs); }
    bool transient_ref();
    void transient_unref();
    int owner_ref_count() const { return load_field(refs) - load_field(transient_refs); }
    void pin() { holds_.fetch_add(1, std::memory_order_relaxed); }
    void unpin();

    // --- plain facts ---
    Context& context() const { return context_; }
    int descriptor() const { return load_field(session); }
    bool is_ok() const { return descriptor() != NOPOLL_INVALID_SOCKET; }
    // How many descriptors it has had; with the context's lock held.
    unsigned descriptor_number() const { return descriptor_number_; }
    // Its descriptor was given up, by whomever.
    bool was_shut_down() const { return shut_down_.load(); }
    bool is_listener() const { return role == NOPOLL_ROLE_MAIN_LISTENER; }
    bool is_client() const { return role == NOPOLL_ROLE_CLIENT; }
    Phase phase() const { return phase_.load(std::memory_order_acquire); }
    bool is_open() const { return phase() == Phase::open; }
    long frame_limit() const;
    bool strict() const { return strict_; }
    const char* cookie() const { return load_field(cookie_); }
    void set_accepted_protocol(const char* protocol);
    void set_descriptor(int fd);
    void attach_tls(SSL_CTX* tls_context, SSL* tls);  // takes a reference of each
    net::Ready await_descriptor(bool to_read, bool to_write, net::Deadline deadline) const;
    template <class Handler>
    void set_handler(Handler& field, noPollPtr& data_field, Handler handler, noPollPtr data) {
        const std::lock_guard guard(mutex_);
        field = handler;
        data_field = data;
    }
    Connection* accepting_listener() const { return from_face(load_field(listener)); }

    // --- opening handshake (connection_handshake.cpp) ---
    bool is_ready();
    bool wait_until_ready(int seconds);
    void complete_handshake();  // one step
    bool run_on_ready();        // false: refused, the connection is shut down
    // Runs a handler of the program inside the handshake. What it asks about this connection finds
    // nothing; where it does not return (it throws, its thread ends) the next step is the last.
    template <class Call>
    auto inside_handshake_handler(Call call) {
        HandlerScope scope{*this};
        auto result = call();
        scope.returned = true;
        return result;
    }
    // Single lines, for the exported internals.
    bool take_head_line(std::string_view line);
    bool check_head();

    // --- receiving (connection_read.cpp) ---
    MessageResult get_message();
    CallResult read(std::span<char> buffer, bool block, long timeout_ms);
    int read_pending();
    CallResult receive_raw(std::span<char> buffer);
    CallResult read_line(std::span<char> buffer);

    // --- sending (connection_write.cpp) ---
    CallResult send_frame(const SendRequest& request);
    bool send_control(protocol::Opcode opcode, std::span<const std::byte> payload);
    int pending_write_bytes();
    CallResult complete_pending_write();
    CallResult flush_writes(long timeout_us, int previous);
    int descriptor_to_watch();
    CallResult plain_send(std::span<const char> bytes);
    CallResult plain_receive(std::span<char> buffer);
    CallResult tls_send(std::span<const char> bytes);
    CallResult tls_receive(std::span<char> buffer);

    // --- ending (connection_close.cpp) ---
    void shutdown(Ending ending = Ending::abrupt);
    void close(int status, std::string_view reason);
    void fail(std::uint16_t close_code, const char* why);
    void release();  // the reference part of close

    // --- creating (client.cpp, listener.cpp, accept.cpp) ---
    friend class ClientBuilder;
    friend class ListenerBuilder;
    friend class Acceptor;

    // --- TLS certificates (listener.cpp) ---
    bool set_listener_certificate(const char* certificate_file, const char* key_file,
                                  const char* chain_file);
    ListenerCertificate listener_certificate() const;
    // Inside a TLS handshake: the store's entry for this name goes on our SSL object.
    bool present_certificate_for(std::string_view server_name);

    // --- for the loop (connection_dispatch.cpp) ---
    struct Wish {
        bool read = false;
        bool write = false;
        bool now = false;  // input is at hand: dispatch without looking at the socket
    };
    // What a wait of this thread has to watch; nothing to read while another thread does.
    Wish wish();
    // Another thread reads, or runs a handler of this connection. Waits are woken when it is done.
    bool read_elsewhere();
    // It is dead, and a loop may unregister it now.
    bool may_be_dropped();
    // One attempt, without waiting; what it writes of the program's frame becomes its credit.
    void write_pending();
    bool wants_to_write() const { return wants_write_.load(); }
    // What was gathered, or is held back by the kernel, goes out now.
    void finish_batch();
    bool read_by_this_thread() const { return reader_.load() == this_thread_token(); }
    // One turn: writes what is pending, goes on with the handshake, delivers messages.
    void dispatch(bool writable, std::uint64_t stops_at_start);
    // Monotonic time by which the opening handshake must be over; 0: no limit.
    std::int64_t handshake_deadline_us() const;
    // Listeners: no accepts before this moment, unless a descriptor was freed.
    void pause_accepts(std::int64_t until_us);
    bool accepts_paused(std::int64_t now_us) const;
    std::int64_t accept_pause_end_us() const { return accept_paused_until_us_.load(); }

private:
    friend class Context;
    friend class ReaderClaim;

    Connection(Context& context, noPollRole role, bool strict);
    ~Connection();
    static Connection* from_face(::noPollConn* handle) { return static_cast<Connection*>(handle); }
    // Inside a handler of its handshake or its receive function: no reading in this thread.
    bool in_own_handshake_handler() const;
    void replace_text(char*& field, std::string_view value);  // mutex_ held

    // handshake (the reader's)
    enum class Progress { done, waiting, ended };
    Progress handshake_step(bool read_ahead);
    Progress tls_accept_step();
    net::TlsStep tls_handshake_step(net::TlsStep (*step)(SSL*));
    Progress read_head(bool read_ahead);
    net::IoResult head_bytes(bool read_ahead, std::span<std::byte> scratch,
                             std::span<const std::byte>& bytes);
    bool consume_head_bytes(std::size_t count);
    Progress feed_head(std::span<const std::byte> bytes, std::size_t& consumed);
    Progress finish_head();
    Progress finish_server_head();
    Progress finish_client_head();
    Progress finish_reply();
    Progress become_open();
    Progress refuse_request();
    void apply_head_step(const protocol::HeadStep& step);
    struct HandlerScope {
        Connection& connection;
        bool returned = false;
        explicit HandlerScope(Connection& running);
        ~HandlerScope();
        HandlerScope(const HandlerScope&) = delete;
        HandlerScope& operator=(const HandlerScope&) = delete;
    };
    bool run_handshake_handler(const ActionHandler& handler);
    void set_phase(Phase phase) { phase_.store(phase, std::memory_order_release); }
    bool origin_needed() const;
    void log_tls_failure();

    // reading (the reader's)
    enum class Got { piece, partial, control, nothing, ended };
    struct ReadMode {
        bool read_ahead = false;  // a loop's dispatch: take what is there, keep what follows
        bool stream = false;      // nopoll_conn_read: bytes of incomplete frames too
        bool may_wait = false;    // a client whose O_NONBLOCK is off waits for the first byte
        int receives_left = 0;    // read_ahead: socket reads left in this turn
        bool consumed = false;    // set once bytes were taken
        int error = 0;            // errno for the caller, when nothing was got
    };
    Got advance(ReadMode& mode);
    Got take_input(ReadMode& mode);
    Got receive_ahead(ReadMode& mode);
    Got receive_exact(ReadMode& mode);
    Got receive_payload(ReadMode& mode);
    net::IoResult receive_bytes(std::span<std::byte> room);
    net::IoResult receive_scattered(std::span<std::byte> room, std::span<std::byte> more);
    net::IoResult peek_bytes(std::span<std::byte> room);
    template <class Read>
    net::IoResult first_byte(const ReadMode& mode, Read read);
    Got no_bytes(ReadMode& mode, const net::IoResult& result);
    void end_of_input(Ending ending);
    bool partial_is_due(const ReadMode& mode) const;
    bool piece_grows() const;
    Got classify(ReadMode& mode, protocol::FrameDecoder::State state);
    void handle_control();
    void handle_close_frame(std::span<const std::byte> body);
    bool custom_receive() const;
    bool custom_send() const;
    bool buffered_frame_complete() const;
    std::size_t buffered_payload() const;
    void note_input_state();
    std::size_t decrypted_bytes() const;
    Progress ready_to_read(bool read_ahead);
    MessageResult next_message();
    void try_pending();
    CallResult read_once(std::span<char> buffer);
    CallResult read_piece(std::span<char> buffer);
    void out_of_memory();
    std::size_t serve_held(std::span<char> buffer);
    void deliver(Message* message);
    bool turn_goes_on(std::uint64_t stops_at_start) const;
    void take_turn(bool read_ahead, std::uint64_t stops_at_start);

    // writing, all with mutex_ held; the lock is passed where it may be let go meanwhile
    using Lock = std::unique_lock<Mutex>;
    enum class Flush { empty, blocked, failed };
    struct FlushResult {
        Flush state = Flush::empty;
        std::size_t program_payload = 0;
        int error = 0;
    };
    struct FrameBytes;  // header and payload of one frame on its way out
    FlushResult flush_locked(Lock& lock);
    net::IoResult write_locked(Lock& lock, std::span<const std::byte> head,
                               std::span<const std::byte> body, bool more);
    net::IoResult write_custom(Lock& lock, std::span<const std::byte> head,
                               std::span<const std::byte> body);
    net::IoResult write_tls(std::span<const std::byte> head, std::span<const std::byte> body);
    CallResult write_frame(Lock& lock, FrameBytes& frame);
    CallResult write_pausing(Lock& lock, FrameBytes& frame, std::size_t first, long pause_us);
    CallResult keep_rest(Lock& lock, const FrameBytes& frame);
    std::uint64_t append_rest(Account account, const FrameBytes& frame, std::size_t header_bytes);
    CallResult frame_failed(const FrameBytes& frame, const net::IoResult& wrote);
    void break_off_locked() const;
    CallResult wait_until_out(Lock& lock, std::uint64_t ticket, std::size_t payload_size);
    int refuse_send_locked() const;  // errno value, 0: go on
    bool strict_refuses_locked(const SendRequest& request, bool continues,
                               protocol::Utf8Validator& text) const;
    bool queue_applies_locked() const;
    bool queue_has_room_locked(std::size_t bytes);
    bool gathers_locked(std::size_t bytes);
    enum class AskedBy { library, program };
    bool send_library_frame_locked(Lock& lock, protocol::Opcode opcode,
                                   std::span<const std::byte> payload,
                                   AskedBy asked_by = AskedBy::library);
    bool others_write() const;
    std::optional<protocol::MaskingKey> next_mask_key();
    void update_write_interest();
    void push_locked();
    bool holds_back() const;

    // ending
    bool send_close_frame_locked(Lock& lock, std::span<const std::byte> body);
    void give_up_descriptor(Ending ending);
    void finish_in_private(Linger linger, net::UniqueFd fd);
    void end_gracefully(net::UniqueFd fd, Ending ending);
    int exchange_descriptor_locked(int fd, bool old_is_ours = true);

    Context& context_;
    mutable Mutex mutex_;
    std::atomic<int> holds_{1};  // 1 for all visible references, 1 per pin
    std::size_t slot_ = static_cast<std::size_t>(-1);
    std::atomic<int> registrations_{0};
    unsigned descriptor_number_ = 0;  // guarded by the context's lock
    bool holds_context_ = false;      // the context reference of the first registration

    // Options: the face's `opts` on listeners (one reference, or a hidden hold when reused), a
    // hidden hold on the listener's options on accepted connections.
    Options* accept_options_ = nullptr;
    bool options_held_ = false;
    bool strict_ = false;

    std::atomic<std::int64_t> accept_paused_until_us_{0};
    std::atomic<std::uint64_t> freed_at_pause_{0};

    // Listener family tree, with one lock for all contexts (context.cpp).
    Connection* first_child_ = nullptr;
    Connection* next_sibling_ = nullptr;
    Connection* previous_sibling_ = nullptr;

    // Read side: the reader's.
    std::atomic<ThreadToken> reader_{nullptr};
    int reader_depth_ = 0;
    std::atomic<bool> contended_{false};
    std::atomic<Phase> phase_{Phase::awaiting_head};
    std::atomic<bool> input_at_hand_{false};
    bool handshake_handler_running_ = false;
    bool receive_running_ = false;         // the program's function in the place of the socket's
    bool handshake_abandoned_ = false;     // a handler of it threw, or ended its thread
    std::atomic<bool> input_over_{false};  // what the peer may still have sent is nobody's
    std::atomic<bool> direct_reader_{false};
    protocol::FrameDecoder decoder_;
    InputBuffer input_;
    std::string raw_line_;  // of nopoll_conn_readline
    struct Opening {        // gone once the handshake is over
        protocol::LineReader lines;
        std::optional<protocol::ServerHandshake> server;
        std::optional<protocol::ClientHandshake> client;
    };
    std::unique_ptr<Opening> opening_;
    std::int64_t accepted_at_us_ = 0;
    bool bare_host_ = false;  // client without a host name: host_name repeats the address
    char* cookie_ = nullptr;
    std::vector<MallocPtr<char[]>> retired_texts_;  // guarded by mutex_
    protocol::PayloadBuffer held_;                  // bytes that nopoll_conn_read has still to give
    std::size_t held_from_ = 0;
    std::atomic<std::size_t> held_bytes_{0};

    // Write side, guarded by mutex_.
    Outbox outbox_;
    std::atomic<bool> wants_write_{false};
    std::atomic<bool> tls_wants_write_{false};
    bool message_started_ = false;  // a fragmented message of ours is not finished
    bool message_is_text_ = false;
    protocol::Utf8Validator sent_text_;
    ThreadToken exclusive_writer_ = nullptr;  // inside a frame, with the lock let go
    bool batching_ = false;                   // corked: replies are gathered until the turn ends
    bool close_sent_ = false;
    bool queue_full_logged_ = false;
    std::atomic<bool> program_wrote_{false};      // nopoll_conn_default_send during on_open
    std::atomic<bool> more_follows_{false};       // dispatch: another complete frame is at hand
    std::atomic<bool> handler_held_back_{false};  // the handler that runs has sent, not all is out
    bool kernel_holds_ = false;                   // the last write said MSG_MORE
    std::unique_ptr<net::MaskKeys> mask_keys_;    // clients, and raw frames that ask for a mask

    // Ending.
    std::atomic<bool> shut_down_{false};
    std::atomic<bool> ending_{false};  // on_close runs, or the descriptor is being given up
    std::atomic<int> closes_running_{0};
    std::atomic<bool> closed_before_{false};  // nopoll_conn_close was called on it once already
    bool tls_handshaking_ = false;            // the SSL object is in use without the lock
    net::SslPtr ended_ssl_;                   // shared with the private end
    net::UniqueFd ended_in_handshake_;        // given up meanwhile
    std::string tls_note_;                    // why TLS refused, found inside a TLS callback
};

// Keeps a connection alive over a call, unseen by the program.
class ConnectionPin {
public:
    explicit ConnectionPin(Connection& connection) : connection_(connection) { connection_.pin(); }
    ~ConnectionPin() { connection_.unpin(); }
    ConnectionPin(const ConnectionPin&) = delete;
    ConnectionPin& operator=(const ConnectionPin&) = delete;

private:
    Connection& connection_;
};

// Takes over a pin that was made before the connection could be seen by others.
class AdoptedPin {
public:
    explicit AdoptedPin(Connection& connection) : connection_(connection) {}
    ~AdoptedPin() { connection_.unpin(); }
    AdoptedPin(const AdoptedPin&) = delete;
    AdoptedPin& operator=(const AdoptedPin&) = delete;

private:
    Connection& connection_;
};

// The right to use the read side, for a scope. A thread may take it again; others are refused.
class ReaderClaim {
public:
    explicit ReaderClaim(Connection& connection);
    ~ReaderClaim();
    ReaderClaim(const ReaderClaim&) = delete;
    ReaderClaim& operator=(const ReaderClaim&) = delete;
    explicit operator bool() const { return held_; }
    bool outermost() const { return outermost_; }

private:
    Connection& connection_;
    bool held_ = false;
    bool outermost_ = false;
};

// For who makes a connection: from before it is registered until it is done, no loop and no other
// thread reads it.
class MakersClaim {
public:
    void take(Connection& connection) {
        pin_.emplace(connection);
        claim_.emplace(connection);
    }

private:
    std::optional<ConnectionPin> pin_;
    std::optional<ReaderClaim> claim_;
};

// Log records about a connection carry its id.
#define NOPOLL_CONN_LOG(connection, level, format, ...)                                            \
    NOPOLL_LOG(&(connection).context(), level, "connection %d: " format,                           \
               ::nopoll::core::load_field((connection).id) __VA_OPT__(, ) __VA_ARGS__)

}  // namespace nopoll::core
