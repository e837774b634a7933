// SPDX-License-Identifier: MIT
// What interrupts the library from inside the process: signals in every wait, threads that are
// cancelled while they wait, handlers that throw or end their thread, handlers that fork.
// Afterwards the same context goes on working and nothing is left over.
#include <nopoll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "faults/raw_peer.hpp"

// AddressSanitizer, where it is built in: on the real stack it takes what the unwinding of a
// cancelled thread has left for an overflow of its own.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
    return "detect_stack_use_after_return=1";
}

namespace nopoll::faults {
namespace {

using stress::idle_us;
using stress::now_us;

constexpr noPollIoEngineType kEngines[] = {NOPOLL_IO_ENGINE_SELECT, NOPOLL_IO_ENGINE_POLL,
                                           NOPOLL_IO_ENGINE_EPOLL};

// More than both sockets take.
constexpr int kSmallBuffer = 65'536;
constexpr std::size_t kMuch = 1'000'000;

// --- signals -------------------------------------------------------------------------------------

std::atomic<int> signals_seen{0};

extern "C" void on_tick(int) {
    ++signals_seen;
}

void handle_signals(int flags) {
    struct sigaction action {};
    action.sa_handler = on_tick;
    action.sa_flags = flags;
    REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
}

// Hits all threads of a list, again and again.
class Tormentor {
public:
    explicit Tormentor(std::vector<pthread_t> victims)
        : victims_(std::move(victims)), thread_([this] {
              while (!done_) {
                  for (const pthread_t victim : victims_)
                      ::pthread_kill(victim, SIGUSR1);
                  idle_us(200);
              }
          }) {}
    ~Tormentor() {
        done_ = true;
        thread_.join();
    }
    Tormentor(const Tormentor&) = delete;
    Tormentor& operator=(const Tormentor&) = delete;

private:
    std::vector<pthread_t> victims_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

void signals(noPollIoEngineType engine, int flags) {
    handle_signals(flags);
    signals_seen = 0;
    EchoServer::Settings settings;
    settings.engine = engine;
    settings.start = false;
    EchoServer server(settings);
    std::atomic<bool> done{false};
    std::thread loop([&] {
        while (!done)
            REQUIRE(nopoll_loop_wait(server.ctx(), 300'000) != -4);
    });
    long echoes = 0;
    {
        const Tormentor tormentor({loop.native_handle(), ::pthread_self()});
        noPollCtx* const ctx = nopoll_ctx_new();
        const std::string port = std::to_string(server.port());
        for (int round = 0; round < 20; ++round) {
            noPollConn* const conn =
                nopoll_conn_new(ctx, "127.0.0.1", port.c_str(), nullptr, nullptr, nullptr, nullptr);
            REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 20));
            std::string text(100'000, 'i');
            for (int i = 0; i < 10; ++i, ++echoes) {
                const int sent =
                    nopoll_conn_send_binary(conn, text.data(), static_cast<long>(text.size()));
                REQUIRE(sent > 0 || sent == -2);
                while (nopoll_conn_pending_write_bytes(conn) > 0)
                    (void)nopoll_conn_flush_writes(conn, 1'000'000, 0);
                std::string back(text.size(), '\0');
                REQUIRE(nopoll_conn_read(conn, back.data(), static_cast<int>(back.size()),
                                         nopoll_true, 20'000) == static_cast<int>(back.size()));
                REQUIRE(back == text);
            }
            nopoll_conn_close(conn);
        }
        nopoll_ctx_unref(ctx);
        // A wait with nothing to do takes its time, whatever hits it.
        const std::int64_t start = now_us();
        noPollCtx* const idle = nopoll_ctx_new();
        REQUIRE(nopoll_ctx_set_io_engine(idle, engine));
        REQUIRE(nopoll_loop_wait(idle, 200'000) == -3);
        REQUIRE(now_us() - start >= 200'000);
        nopoll_ctx_unref(idle);
    }
    REQUIRE(server.becomes_idle());
    done = true;
    nopoll_loop_stop(server.ctx());
    loop.join();
    std::printf("signals %s SA_RESTART: %d hit the waits, %ld echoes of 100 kB\n",
                (flags & SA_RESTART) != 0 ? "with" : "without", signals_seen.load(), echoes);
    REQUIRE(signals_seen > 100);
}

// --- cancelled threads ---------------------------------------------------------------------------

enum class Cancelled { loop, read, get_ready, send, flush };
constexpr Cancelled kCancelled[] = {Cancelled::loop, Cancelled::read, Cancelled::get_ready,
                                    Cancelled::send, Cancelled::flush};

struct Victim {
    Cancelled what;
    noPollCtx* ctx;
    noPollConn* conn;
    std::atomic<bool> started{false};
};

void* be_cancelled(void* data) {
    auto& victim = *static_cast<Victim*>(data);
    const std::string much(kMuch, 'c');
    char byte = 0;
    victim.started = true;
    for (;;) {
        switch (victim.what) {
        case Cancelled::loop: (void)nopoll_loop_wait(victim.ctx, 0); break;
        case Cancelled::read: (void)nopoll_conn_read(victim.conn, &byte, 1, nopoll_true, 0); break;
        case Cancelled::get_ready:
            (void)nopoll_conn_wait_until_connection_ready(victim.conn, 30);
            break;
        case Cancelled::send:
            (void)nopoll_conn_send_binary(victim.conn, much.data(), static_cast<long>(much.size()));
            break;
        case Cancelled::flush:
            (void)nopoll_conn_send_binary(victim.conn, much.data(), static_cast<long>(much.size()));
            (void)nopoll_conn_flush_writes(victim.conn, 30'000'000, 0);
            break;
        }
        ::pthread_testcancel();
    }
}

// An accepted, blocking connection whose peer neither reads nor writes; or a client that waits for
// the reply of its handshake.
void cancel_one(Cancelled what, noPollIoEngineType engine, stress::Random& random) {
    EchoServer::Settings settings;
    settings.engine = engine;
    settings.send_buffer = kSmallBuffer;
    settings.start = false;
    EchoServer server(settings);
    RawSocket peer;
    noPollConn* conn = nullptr;
    noPollCtx* const client_ctx = nopoll_ctx_new();
    if (what == Cancelled::get_ready) {
        conn = nopoll_conn_new(client_ctx, "127.0.0.1", std::to_string(server.port()).c_str(),
                               nullptr, nullptr, nullptr, nullptr);
        REQUIRE(nopoll_conn_is_ok(conn));
    } else {
        peer = RawSocket::connect(server.port(), kSmallBuffer);
        REQUIRE(peer.send(kRequest));
        conn = nopoll_conn_accept(server.ctx(), server.listener());
        REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 20));
        REQUIRE(peer.receive_head().starts_with("HTTP/1.1 101"));
        REQUIRE(nopoll_conn_ref(conn) && nopoll_conn_ref(conn));
        if (what == Cancelled::flush)
            nopoll_conn_set_sock_block(nopoll_conn_socket(conn), nopoll_false);
    }
    Victim victim{what, server.ctx(), conn, {}};
    pthread_t thread{};
    REQUIRE(::pthread_create(&thread, nullptr, be_cancelled, &victim) == 0);
    REQUIRE(eventually([&] { return victim.started.load(); }));
    idle_us(static_cast<std::int64_t>(random.below(3000)));
    REQUIRE(::pthread_cancel(thread) == 0);
    void* result = nullptr;
    REQUIRE(::pthread_join(thread, &result) == 0);
    REQUIRE(result == PTHREAD_CANCELED);

    // The same objects go on.
    server.start();
    if (what == Cancelled::get_ready) {
        REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 20));
        REQUIRE(nopoll_conn_send_text(conn, "after", 5) == 5);
        char back[5];
        REQUIRE(nopoll_conn_read(conn, back, 5, nopoll_true, 20'000) == 5 &&
                std::memcmp(back, "after", 5) == 0);
        nopoll_conn_close(conn);
    } else {
        // Whole frames, whatever the cancelled thread was about to send. While such a frame is
        // pending the server may not be able to answer: it is asked again.
        for (;;) {
            REQUIRE(peer.send(frame(0x81, "after")));
            const RawFrame got = receive_frame(peer);
            if (got.first_byte == 0x81 && got.payload == "after") break;
            REQUIRE(got.first_byte == 0x82 && got.payload == std::string(kMuch, 'c'));
        }
        peer.leave(Leave::fin);
        nopoll_conn_close(conn);
        nopoll_conn_unref(conn);
    }
    nopoll_ctx_unref(client_ctx);
}

// --- closed by another thread --------------------------------------------------------------------

// The waiting thread comes back at once, though its peer neither reads nor closes.
std::int64_t close_under(Cancelled what, bool gracefully, stress::Random& random) {
    EchoServer::Settings settings;
    settings.send_buffer = kSmallBuffer;
    settings.start = false;
    EchoServer server(settings);
    const RawSocket peer = RawSocket::connect(server.port(), kSmallBuffer);
    noPollConn* const conn = nopoll_conn_accept(server.ctx(), server.listener());
    REQUIRE(nopoll_conn_is_ok(conn) && nopoll_conn_ref(conn) && nopoll_conn_ref(conn));
    if (what != Cancelled::get_ready) {
        REQUIRE(peer.send(kRequest));
        REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 20));
    }
    if (what == Cancelled::flush)
        nopoll_conn_set_sock_block(nopoll_conn_socket(conn), nopoll_false);
    std::atomic<bool> started{false};
    std::int64_t back_us = 0;
    std::thread waiting([&] {
        const std::string much(kMuch, 'w');
        const auto size = static_cast<long>(much.size());
        char byte = 0;
        started = true;
        switch (what) {
        case Cancelled::read: REQUIRE(nopoll_conn_read(conn, &byte, 1, nopoll_true, 0) == 0); break;
        case Cancelled::get_ready:
            REQUIRE(!nopoll_conn_wait_until_connection_ready(conn, 60));
            break;
        case Cancelled::send:
            REQUIRE(nopoll_conn_send_binary(conn, much.data(), size) == -1);
            break;
        default:
            REQUIRE(nopoll_conn_send_binary(conn, much.data(), size) != size);
            (void)nopoll_conn_flush_writes(conn, 60'000'000, 0);
            break;
        }
        back_us = now_us();
    });
    REQUIRE(eventually([&] { return started.load(); }));
    idle_us(static_cast<std::int64_t>(5000 + random.below(20'000)));
    const std::int64_t closed_us = now_us();
    if (gracefully)
        nopoll_conn_close_ext(conn, 1000, "over", 4);
    else
        nopoll_conn_shutdown(conn);
    waiting.join();
    if (!gracefully) nopoll_conn_close(conn);
    nopoll_conn_unref(conn);
    server.start();
    return back_us - closed_us;
}

// --- handlers that throw -------------------------------------------------------------------------

enum class Thrower { accept, open, ready, message, close, log };
constexpr Thrower kThrowers[] = {Thrower::accept,  Thrower::open,  Thrower::ready,
                                 Thrower::message, Thrower::close, Thrower::log};

struct Bomb {
    std::atomic<bool> armed{false};
    bool exits = false;  // pthread_exit instead of an exception
    std::atomic<long> exploded{0};
    void explode() {
        if (!armed.exchange(false)) return;
        ++exploded;
        if (exits) ::pthread_exit(nullptr);
        throw std::runtime_error("thrown by a handler");
    }
};

nopoll_bool throwing_action(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr data) {
    static_cast<Bomb*>(data)->explode();
    return nopoll_true;
}

void throwing_message(noPollCtx* /*ctx*/, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    static_cast<Bomb*>(data)->explode();
    (void)nopoll_conn_send_text(conn, reinterpret_cast<const char*>(nopoll_msg_get_payload(msg)),
                                nopoll_msg_get_payload_size(msg));
}

void throwing_close(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr data) {
    static_cast<Bomb*>(data)->explode();
}

void throwing_log(noPollCtx* /*ctx*/, noPollDebugLevel /*level*/, const char* /*text*/,
                  noPollPtr data) {
    static_cast<Bomb*>(data)->explode();
}

nopoll_bool set_throwing_close(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    nopoll_conn_set_on_close(conn, throwing_close, data);
    return nopoll_true;
}

void run_until_done(noPollCtx* ctx, const std::atomic<bool>& done) {
    while (!done) {
        try {
            REQUIRE(nopoll_loop_wait(ctx, 100'000) != -4);
        } catch (const std::runtime_error&) {
            // What a C++ program does with it; then it waits again.
        }
    }
}

struct LoopThread {
    noPollCtx* ctx;
    std::atomic<bool> done{false};
};

// A thread that a handler may end; the next one takes over.
void* run_and_exit(void* data) {
    auto& loop = *static_cast<LoopThread*>(data);
    run_until_done(loop.ctx, loop.done);
    return nullptr;
}

void throwing(Thrower thrower, noPollIoEngineType engine, bool exits) {
    noPollCtx* const ctx = nopoll_ctx_new();
    REQUIRE(nopoll_ctx_set_io_engine(ctx, engine));
    Bomb bomb;
    bomb.exits = exits;
    nopoll_ctx_set_on_msg(ctx, throwing_message, &bomb);
    if (thrower == Thrower::accept) nopoll_ctx_set_on_accept(ctx, throwing_action, &bomb);
    if (thrower == Thrower::open) nopoll_ctx_set_on_open(ctx, throwing_action, &bomb);
    if (thrower == Thrower::ready) nopoll_ctx_set_on_ready(ctx, throwing_action, &bomb);
    if (thrower == Thrower::close) nopoll_ctx_set_on_ready(ctx, set_throwing_close, &bomb);
    if (thrower == Thrower::log) nopoll_log_set_handler(ctx, throwing_log, &bomb);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const int port = port_of(listener);
    LoopThread loop{ctx, {}};
    const auto start = [&loop](pthread_t& thread) {
        REQUIRE(::pthread_create(&thread, nullptr, run_and_exit, &loop) == 0);
    };
    pthread_t thread{};
    start(thread);
    {
        const RawSocket good = open_client(port);
        (void)echo(good, "before");
        bomb.armed = true;
        RawSocket peer = RawSocket::connect(port);
        REQUIRE(peer.send(std::string(kRequest) + frame(0x81, "boom") + frame(0x88, "")));
        REQUIRE(eventually([&] { return bomb.exploded == 1; }));
        if (exits) {
            REQUIRE(::pthread_join(thread, nullptr) == 0);
            start(thread);
        }
        (void)echo(good, "after");
        // In the end the connection is over, whoever threw.
        REQUIRE(peer.ends_within(20'000));
        (void)echo(good, "still");
    }
    REQUIRE(eventually([&] { return nopoll_ctx_conns(ctx) == 1; }));
    loop.done = true;
    REQUIRE(eventually([&] {
        nopoll_loop_stop(ctx);
        return ::pthread_tryjoin_np(thread, nullptr) == 0;
    }));
    nopoll_conn_close(listener);
    REQUIRE(nopoll_ctx_conns(ctx) == 0);
    REQUIRE(nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
}

// --- handlers that fork --------------------------------------------------------------------------

// The child serves one message on its own copy of everything, then leaves; the parent goes on.
void forking_message(noPollCtx* /*ctx*/, noPollConn* conn, noPollMsg* /*msg*/, noPollPtr data) {
    auto& children = *static_cast<std::vector<pid_t>*>(data);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child > 0) {
        children.push_back(child);
        return;
    }
    noPollCtx* const ctx = nopoll_conn_ctx(conn);
    nopoll_ctx_set_on_msg(ctx, nullptr, nullptr);
    REQUIRE(nopoll_conn_send_text(conn, "child", 5) == 5);
    // What the peer sends next is for the parent. Its wait must not notice that we let go.
    nopoll_ctx_unregister_conn(ctx, conn);
    REQUIRE(nopoll_loop_wait(ctx, 50'000) == -3);
    nopoll_loop_stop(ctx);
}

void forks(noPollIoEngineType engine) {
    std::vector<pid_t> children;
    noPollCtx* const ctx = nopoll_ctx_new();
    REQUIRE(nopoll_ctx_set_io_engine(ctx, engine));
    nopoll_ctx_set_on_msg(ctx, forking_message, &children);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const pid_t parent = ::getpid();
    RawSocket peer = RawSocket::connect(port_of(listener));
    REQUIRE(peer.send(kRequest));
    while (nopoll_ctx_conns(ctx) < 2)
        (void)nopoll_loop_wait(ctx, 10'000);
    while (peer.receive(1, 0).empty())
        (void)nopoll_loop_wait(ctx, 10'000);
    (void)peer.receive_head();
    for (int i = 0; i < 5; ++i) {
        REQUIRE(peer.send(frame(0x81, "fork")));
        while (children.size() <= static_cast<std::size_t>(i)) {
            (void)nopoll_loop_wait(ctx, 10'000);
            if (::getpid() != parent) ::_exit(0);
        }
        REQUIRE(receive_frame(peer).payload == "child");
    }
    for (const pid_t child : children) {
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    // The children's ends have not taken anything away from the parent.
    REQUIRE(peer.send(frame(0x89, "parent")));
    std::string pong;
    while ((pong = peer.receive(100, 0)).empty())
        (void)nopoll_loop_wait(ctx, 10'000);
    REQUIRE(pong == frame(0x8a, "parent", false));
    peer.leave(Leave::fin);
    while (nopoll_ctx_conns(ctx) > 1)
        (void)nopoll_loop_wait(ctx, 10'000);
    nopoll_conn_close(listener);
    REQUIRE(nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
}

}  // namespace
}  // namespace nopoll::faults

int main(int argc, char** argv) {
    using namespace nopoll::faults;
    using namespace nopoll::stress;
    limit_run_time(110);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    Random random(choose_seed(std::span(argv, static_cast<std::size_t>(argc))));
    const std::size_t descriptors = open_descriptors();
    for (const noPollIoEngineType engine : kEngines)
        forks(engine);
    std::printf("handlers that fork: 15 children with the context of their parent\n");
    long thrown = 0;
    for (const noPollIoEngineType engine : kEngines)
        for (const Thrower thrower : kThrowers)
            for (const bool exits : {false, true}) {
                throwing(thrower, engine, exits);
                ++thrown;
            }
    std::printf("handlers that threw or ended their thread: %ld, the context went on each time\n",
                thrown);
    long cancelled = 0;
    for (int round = 0; round < 5; ++round)
        for (const Cancelled what : kCancelled) {
            cancel_one(what, kEngines[round % 3], random);
            ++cancelled;
        }
    std::printf("threads cancelled in a wait: %ld, frames stayed whole, the objects went on\n",
                cancelled);
    std::int64_t slowest = 0;
    for (const Cancelled what :
         {Cancelled::read, Cancelled::get_ready, Cancelled::send, Cancelled::flush})
        for (const bool gracefully : {false, true})
            for (int i = 0; i < 3; ++i)
                slowest = std::max(slowest, close_under(what, gracefully, random));
    std::printf("waits ended by another thread's close: 24, the slowest came back after %.1f ms\n",
                static_cast<double>(slowest) / 1e3);
    REQUIRE(slowest < 5'000'000);
    signals(NOPOLL_IO_ENGINE_SELECT, 0);
    signals(NOPOLL_IO_ENGINE_POLL, SA_RESTART);
    signals(NOPOLL_IO_ENGINE_EPOLL, 0);
    REQUIRE(eventually([&] { return open_descriptors() == descriptors; }));
    return 0;
}
