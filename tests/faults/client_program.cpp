// SPDX-License-Identifier: MIT
// See client_program.hpp.
#include "faults/client_program.hpp"

#include <poll.h>

#include <chrono>
#include <cstring>
#include <string_view>

#include "faults/call.hpp"

namespace nopoll::faults {

namespace {

using Clock = std::chrono::steady_clock;

class Patience {
public:
    [[nodiscard]] bool over() const { return Clock::now() > end_; }

private:
    Clock::time_point end_ = Clock::now() + std::chrono::milliseconds(kPatienceMs);
};

// Until there is something to read, or for a moment: TLS has bytes that no poll() shows.
void wait_for_input(noPollConn* conn) {
    pollfd waited{nopoll_conn_socket(conn), POLLIN, 0};
    (void)::poll(&waited, 1, nopoll_conn_read_pending(conn) > 0 ? 0 : 50);
}

std::string_view text_of(noPollMsg* message) {
    return {reinterpret_cast<const char*>(nopoll_msg_get_payload(message)),
            static_cast<std::size_t>(nopoll_msg_get_payload_size(message))};
}

}  // namespace

noPollConnOpts* ClientProgram::make_options() {
    const auto options = call([] { return nopoll_conn_opts_new(); });
    if (!succeeded(options, options.value != nullptr, "nopoll_conn_opts_new", findings_))
        return nullptr;
    // Without memory these two leave out what they should add, and the exchange goes on.
    in_library([&] {
        nopoll_conn_opts_set_cookie(options.value, "theme=dark");
        nopoll_conn_opts_set_extra_headers(options.value, "X-Real-IP: 192.0.2.1");
        return 0;
    });
    nopoll_conn_opts_set_max_frame_size(options.value, kLarge);
    if (tls_ == nullptr) return options.value;
    nopoll_conn_opts_ssl_peer_verify(options.value, nopoll_true);
    const auto stored = call([&] {
        return nopoll_conn_opts_set_ssl_certs(options.value, nullptr, nullptr, nullptr,
                                              tls_->authority.c_str());
    });
    if (succeeded(stored, stored.value != 0, "nopoll_conn_opts_set_ssl_certs", findings_))
        return options.value;
    nopoll_conn_opts_free(options.value);
    return nullptr;
}

noPollConn* ClientProgram::connect(int port) {
    if (ctx_ == nullptr) {
        const auto made = call([] { return nopoll_ctx_new(); });
        if (!succeeded(made, made.value != nullptr, "nopoll_ctx_new", findings_)) return nullptr;
        ctx_ = made.value;
        nopoll_log_set_handler(ctx_, on_log, this);
    }
    noPollConnOpts* const options = make_options();
    if (options == nullptr) return nullptr;
    char number[8];
    std::snprintf(number, sizeof number, "%d", port);
    const auto made = call([&] {
        return tls_ != nullptr
                   ? nopoll_conn_tls_new(ctx_, options, "127.0.0.1", number, "localhost", "/faults",
                                         "first, second", nullptr)
                   : nopoll_conn_new_opts(ctx_, options, "127.0.0.1", number, "localhost",
                                          "/faults", "first, second", nullptr);
    });
    succeeded(made, made.value != nullptr, "nopoll_conn_new_opts", findings_);
    const int expected = made.value != nullptr ? 1 : 0;
    if (nopoll_ctx_conns(ctx_) != expected)
        findings_.add("client: %d connections behind a creating call, not %d",
                      nopoll_ctx_conns(ctx_), expected);
    return made.value;
}

bool ClientProgram::talk_to(int port) {
    noPollConn* const conn = connect(port);
    if (conn == nullptr) return false;
    const bool complete = nopoll_conn_is_ok(conn) != nopoll_false && say_everything(conn);
    if (complete)
        in_library([&] {
            nopoll_conn_close_ext(conn, 1000, "done", 4);
            return 0;
        });
    else
        in_library([&] {
            nopoll_conn_close(conn);
            return 0;
        });
    if (nopoll_ctx_conns(ctx_) != 0)
        findings_.add("client: a closed connection is still registered");
    return complete;
}

bool ClientProgram::say_everything(noPollConn* conn) {
    const auto ready =
        call([&] { return nopoll_conn_wait_until_connection_ready(conn, kPatienceMs / 1000); });
    if (ready.value == nopoll_false) {
        if (nopoll_conn_is_ok(conn) != nopoll_false) findings_.add("client: never ready");
        return false;
    }
    const std::string large(kLarge, 'L');
    make_send_buffer_small(conn);
    return send(conn, nopoll_conn_send_text, "hello") && expect_message(conn, "hello") &&
           in_library([&] { return nopoll_conn_send_ping(conn); }) != nopoll_false &&
           send(conn, nopoll_conn_send_text_fragment, "part one, ") &&
           send(conn, nopoll_conn_send_text, "part two") &&
           expect_message(conn, "part one, part two") &&
           send(conn, nopoll_conn_send_binary, large) && expect_in_loop(conn, large) &&
           send(conn, nopoll_conn_send_text, "stream") && expect_stream(conn, "one,two");
}

bool ClientProgram::send(noPollConn* conn, int (*how)(noPollConn*, const char*, long),
                         std::string_view bytes) {
    const auto size = static_cast<long>(bytes.size());
    const auto sent = call([&] { return how(conn, bytes.data(), size); });
    if (sent.value == size) return true;
    // In part: the rest goes out when the socket takes it.
    if (sent.value >= 0 || sent.value == -2) {
        const Patience patience;
        while (nopoll_conn_pending_write_bytes(conn) > 0 && !patience.over()) {
            const auto flushed = call([&] { return nopoll_conn_flush_writes(conn, 100000, 0); });
            if (nopoll_conn_is_ok(conn) == nopoll_false || flushed.value < 0) return false;
        }
        return !patience.over();
    }
    if (sent.memory_short && !says_no_memory(sent.error))
        findings_.add("client: a send had no memory, but errno is %d", sent.error);
    return false;
}

bool ClientProgram::expect_message(noPollConn* conn, std::string_view bytes) {
    const Patience patience;
    while (!patience.over()) {
        wait_for_input(conn);
        const auto got = call([&] { return nopoll_conn_get_msg(conn); });
        if (got.value != nullptr) {
            const bool right = text_of(got.value) == bytes;
            if (!right) findings_.add("client: another message than was expected");
            nopoll_msg_unref(got.value);
            return right;
        }
        if (nopoll_conn_is_ok(conn) != nopoll_false) continue;
        if (got.error == EWOULDBLOCK) findings_.add("client: EWOULDBLOCK from a dead connection");
        return false;
    }
    findings_.add("client: no message came");
    return false;
}

void ClientProgram::on_message(noPollCtx* ctx, noPollConn*, noPollMsg* message, noPollPtr data) {
    auto* const self = static_cast<ClientProgram*>(data);
    nopoll_msg_ref(message);
    self->from_loop_ = message;
    nopoll_loop_stop(ctx);
}

void ClientProgram::on_close(noPollCtx* ctx, noPollConn*, noPollPtr) {
    nopoll_loop_stop(ctx);  // nothing more will come
}

bool ClientProgram::expect_in_loop(noPollConn* conn, std::string_view bytes) {
    nopoll_conn_set_on_msg(conn, on_message, this);
    nopoll_conn_set_on_close(conn, on_close, nullptr);
    const Patience patience;
    int failures = 0;
    while (from_loop_ == nullptr && nopoll_conn_is_ok(conn) != nopoll_false && !patience.over()) {
        const auto waited = call([&] { return nopoll_loop_wait(ctx_, 1000000); });
        if (waited.value == 0 || waited.value == -3) continue;
        succeeded(waited, waited.value != -4, "nopoll_loop_wait", findings_);
        if (++failures == kLoopTries) break;
    }
    nopoll_conn_set_on_msg(conn, nullptr, nullptr);
    if (from_loop_ == nullptr) {
        if (patience.over()) findings_.add("client: no message came in the loop");
        return false;
    }
    const bool right = text_of(from_loop_) == bytes;
    if (!right) findings_.add("client: another message than was expected in the loop");
    nopoll_msg_unref(from_loop_);
    from_loop_ = nullptr;
    return right;
}

bool ClientProgram::expect_stream(noPollConn* conn, std::string_view bytes) {
    char buffer[16] = {};
    const auto got = call([&] {
        return nopoll_conn_read(conn, buffer, static_cast<int>(bytes.size()), nopoll_true,
                                kPatienceMs);
    });
    if (got.value == static_cast<int>(bytes.size()) && bytes == buffer) return true;
    if (nopoll_conn_is_ok(conn) != nopoll_false) findings_.add("client: no stream came");
    return false;
}

void ClientProgram::on_log(noPollCtx*, noPollDebugLevel, const char* text, noPollPtr data) {
    auto* const self = static_cast<ClientProgram*>(data);
    take_record("client", text, self->findings_);
}

void ClientProgram::finish() {
    if (ctx_ == nullptr) return;
    if (nopoll_ctx_ref_count(ctx_) != 1)
        findings_.add("client: %d references of the context", nopoll_ctx_ref_count(ctx_));
    nopoll_ctx_unref(ctx_);
}

}  // namespace nopoll::faults
