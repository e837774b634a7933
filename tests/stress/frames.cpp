// SPDX-License-Identifier: MIT
// Several threads send on one connection, with the loop, pings and each other in between. The peer,
// a Python websockets program, checks every message. In both roles, plain and TLS.
// usage: stress_frames PEER.py [--hooks] [--messages N] [--connections N]
#include <arpa/inet.h>
#include <nopoll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "stress/certificate.hpp"
#include "stress/child.hpp"
#include "stress/hooks.hpp"
#include "stress/payload.hpp"

namespace nopoll::stress {
namespace {

constexpr unsigned kSenders = 4;

struct Plan {
    std::string python;
    std::string peer;
    unsigned messages = 0;  // of each sender on each connection
    unsigned connections = 0;
    std::uint64_t seed = 0;
};

struct Ready {
    std::atomic<noPollConn*> conn{nullptr};
    std::string answer;
    std::atomic<bool> answered{false};
};

nopoll_bool on_ready(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    REQUIRE(hooks_held() == 0);
    REQUIRE(nopoll_conn_ref(conn));
    static_cast<Ready*>(data)->conn = conn;
    return nopoll_true;
}

void on_answer(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollMsg* msg, noPollPtr data) {
    REQUIRE(hooks_held() == 0);
    auto* const ready = static_cast<Ready*>(data);
    ready->answer.assign(reinterpret_cast<const char*>(nopoll_msg_get_payload(msg)),
                         static_cast<std::size_t>(nopoll_msg_get_payload_size(msg)));
    ready->answered = true;
}

// Until the frame is taken: whole, or in part with the rest in the connection's care.
void send_surely(noPollConn* conn, const std::string& text, bool binary) {
    for (;;) {
        const auto size = static_cast<long>(text.size());
        errno = 0;
        const int result = binary ? nopoll_conn_send_binary(conn, text.data(), size)
                                  : nopoll_conn_send_text(conn, text.data(), size);
        if (result >= 0 || result == -2) return;
        REQUIRE(errno == EWOULDBLOCK);
        (void)nopoll_conn_flush_writes(conn, 100'000, 0);
    }
}

void run_sender(noPollConn* conn, unsigned sender, unsigned messages, std::uint64_t seed) {
    Random random(seed + sender);
    for (unsigned number = 0; number < messages; ++number) {
        const std::size_t most = random.one_in(50) ? 150'000 : (random.one_in(4) ? 3000 : 130);
        const Note note{sender, number, static_cast<unsigned>(random.below(most))};
        send_surely(conn, write_note(note), random.one_in(2));
    }
}

void ping_until(noPollConn* conn, const std::atomic<bool>& done) {
    while (!done) {
        (void)nopoll_conn_send_ping(conn);
        idle_us(500);
    }
}

// All senders on one connection, then the peer's verdict.
void run_connection(const Plan& plan, noPollConn* conn,
                    const std::function<std::string()>& verdict) {
    // So that frames do not fit, and others want to write while one is half out.
    const int small = 32'768;
    REQUIRE(::setsockopt(nopoll_conn_socket(conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) ==
            0);
    std::vector<std::thread> senders;
    for (unsigned sender = 0; sender < kSenders; ++sender)
        senders.emplace_back(run_sender, conn, sender, plan.messages, plan.seed);
    std::atomic<bool> done{false};
    std::thread pinger(ping_until, conn, std::cref(done));
    for (std::thread& sender : senders)
        sender.join();
    done = true;
    pinger.join();
    send_surely(conn, "end", false);
    while (nopoll_conn_pending_write_bytes(conn) > 0)
        (void)nopoll_conn_flush_writes(conn, 1'000'000, 0);
    const std::string answer = verdict();
    const std::string wanted = "checked " + std::to_string(kSenders * plan.messages);
    if (answer != wanted) give_up(__FILE__, __LINE__, "the peer says: " + answer);
}

// A loop in a thread of its own, for as long as the object lives.
class Loop {
public:
    explicit Loop(noPollCtx* ctx)
        : ctx_(ctx), thread_([this] {
              while (!done_)
                  REQUIRE(nopoll_loop_wait(ctx_, 50'000) != -4);
          }) {}
    ~Loop() {
        done_ = true;
        nopoll_loop_stop(ctx_);
        thread_.join();
    }
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

private:
    noPollCtx* ctx_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

template <class Condition>
void wait_until(Condition condition) {
    while (!condition())
        idle_us(500);
}

noPollConn* connect(noPollCtx* ctx, const std::string& port, bool tls) {
    if (!tls)
        return nopoll_conn_new(ctx, "127.0.0.1", port.c_str(), nullptr, nullptr, nullptr, nullptr);
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_ssl_peer_verify(options, nopoll_false);
    return nopoll_conn_tls_new(ctx, options, "127.0.0.1", port.c_str(), nullptr, nullptr, nullptr,
                               nullptr);
}

// Our client, the peer's server.
void as_client(const Plan& plan, bool looped, const TestCertificate* tls) {
    std::vector<std::string> command{plan.python, plan.peer, "listen"};
    if (tls != nullptr) command.insert(command.end(), {tls->certificate(), tls->key()});
    Child peer(command);
    const std::string port = peer.line();
    REQUIRE(!port.empty());
    noPollCtx* const ctx = nopoll_ctx_new();
    for (unsigned i = 0; i < plan.connections; ++i) {
        Ready ready;
        noPollConn* const conn = connect(ctx, port, tls != nullptr);
        REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 30));
        nopoll_conn_set_on_msg(conn, on_answer, &ready);
        {
            std::unique_ptr<Loop> loop;
            if (looped) loop = std::make_unique<Loop>(ctx);
            run_connection(plan, conn, [&] {
                if (looped) {
                    wait_until([&] { return ready.answered.load(); });
                    return ready.answer;
                }
                noPollMsg* msg = nullptr;
                wait_until([&] { return (msg = nopoll_conn_get_msg(conn)) != nullptr; });
                on_answer(ctx, conn, msg, &ready);
                nopoll_msg_unref(msg);
                return ready.answer;
            });
        }
        nopoll_conn_close(conn);
    }
    nopoll_ctx_unref(ctx);
    REQUIRE(peer.finish() == 0);
}

// Our server with its loop, the peer's client.
void as_server(const Plan& plan, const TestCertificate* tls) {
    noPollCtx* const ctx = nopoll_ctx_new();
    Ready ready;
    nopoll_ctx_set_on_ready(ctx, on_ready, &ready);
    nopoll_ctx_set_on_msg(ctx, on_answer, &ready);
    noPollConn* const listener = tls != nullptr ? nopoll_listener_tls_new(ctx, "127.0.0.1", "0")
                                                : nopoll_listener_new(ctx, "127.0.0.1", "0");
    REQUIRE(nopoll_conn_is_ok(listener));
    if (tls != nullptr)
        REQUIRE(nopoll_listener_set_certificate(listener, tls->certificate().c_str(),
                                                tls->key().c_str(), nullptr));
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(nopoll_conn_socket(listener), reinterpret_cast<sockaddr*>(&address),
                          &size) == 0);
    const std::string url = (tls != nullptr ? "wss://127.0.0.1:" : "ws://127.0.0.1:") +
                            std::to_string(ntohs(address.sin_port)) + "/";
    {
        const Loop loop(ctx);
        for (unsigned i = 0; i < plan.connections; ++i) {
            ready.conn = nullptr;
            ready.answered = false;
            Child peer({plan.python, plan.peer, "connect", url});
            wait_until([&] { return ready.conn.load() != nullptr; });
            noPollConn* const conn = ready.conn;
            run_connection(plan, conn, [&] {
                wait_until([&] { return ready.answered.load(); });
                return ready.answer;
            });
            nopoll_conn_close(conn);  // an accepted one: with our reference
            REQUIRE(peer.finish() == 0);
        }
    }
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

}  // namespace
}  // namespace nopoll::stress

int main(int argc, char** argv) {
    using namespace nopoll::stress;
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    REQUIRE(argc > 1);
    Plan plan;
    plan.python = python_with("websockets");
    if (plan.python.empty()) return skip("there is no Python with the websockets module");
    plan.peer = argv[1];
    plan.messages = static_cast<unsigned>(
        number_setting(arguments, "--messages", "NOPOLL_STRESS_MESSAGES", 800));
    plan.connections = static_cast<unsigned>(number_setting(arguments, "--connections", "", 1));
    plan.seed = choose_seed(arguments);
    limit_run_time(60 + plan.messages * plan.connections / 50);
    if (has_flag(arguments, "--hooks")) install_hooks();
    const TestCertificate files;
    const std::int64_t start = now_us();
    for (const TestCertificate* const tls : {static_cast<const TestCertificate*>(nullptr), &files})
        for (const bool looped : {false, true})
            as_client(plan, looped, tls);
    as_server(plan, nullptr);
    as_server(plan, &files);
    const HookBooks books = hook_books();
    REQUIRE(books.created == books.destroyed && books.locked == books.unlocked);
    std::printf("%u messages of %u senders on %u connections were checked by the peer, %.1f s\n",
                6 * kSenders * plan.messages * plan.connections, kSenders, 6 * plan.connections,
                static_cast<double>(now_us() - start) / 1e6);
    return 0;
}
