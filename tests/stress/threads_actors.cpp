// SPDX-License-Identifier: MIT
// What the threads of the thread stress do. All of it is allowed by the contract of the library:
// any function from any thread, one reader of a connection at a time, any number of writers.
#include <cstring>

#include "stress/hooks.hpp"
#include "stress/payload.hpp"
#include "stress/threads_world.hpp"

namespace nopoll::stress {
namespace {

std::atomic<unsigned> next_thread{0};

void pause_a_little(Random& random) {
    idle_us(static_cast<std::int64_t>(random.between(50, 2000)));
}

// What is written counts, not what arrives: the peer may be gone, the socket full.
void send_note(World& w, noPollConn* conn, Random& random) {
    static std::atomic<unsigned> number{0};
    const std::size_t most = random.one_in(20) ? 200'000 : 600;
    const Note note{static_cast<unsigned>(random.below(1000)), ++number,
                    static_cast<unsigned>(random.below(most))};
    const std::string text = write_note(note);
    const auto size = static_cast<long>(text.size());
    const int result = random.one_in(2) ? nopoll_conn_send_text(conn, text.data(), size)
                                        : nopoll_conn_send_binary(conn, text.data(), size);
    if (result == size) {
        ++w.tallies.sent;
    } else if (result > 0 || result == -2) {
        ++w.tallies.sent;
        (void)nopoll_conn_flush_writes(conn, 1, result);
    }
}

noPollConn* connect(World& w, noPollCtx* ctx, Random& random) {
    noPollConnOpts* const options = w.tls || random.one_in(2) ? w.options : nullptr;
    if (w.tls)
        return nopoll_conn_tls_new(ctx, options, "127.0.0.1", w.port.c_str(), nullptr, "/stress",
                                   "first.test, second.test", nullptr);
    return nopoll_conn_new_opts(ctx, options, "127.0.0.1", w.port.c_str(), nullptr, "/stress",
                                "first.test, second.test", nullptr);
}

void read_some(noPollConn* conn, int most) {
    const std::int64_t end = now_us() + 100'000;
    while (most > 0 && nopoll_conn_is_ok(conn) && now_us() < end) {
        noPollMsg* const msg = nopoll_conn_get_msg(conn);
        if (msg == nullptr) {
            idle_us(200);
            continue;
        }
        check_message(msg);
        nopoll_msg_unref(msg);
        --most;
    }
}

// The creator's reference and the connection, in one of the ways that programs have. A closer may
// have closed it before, and a loop dropped it: hence the second reference.
void end_client(noPollConn* conn, Random& random) {
    REQUIRE(nopoll_conn_ref(conn));
    switch (random.below(5)) {
    case 0: nopoll_conn_close(conn); break;
    case 1: nopoll_conn_close_ext(conn, 1001, "going", 5); break;
    case 2:
        nopoll_conn_shutdown(conn);
        nopoll_conn_close(conn);
        break;
    case 3:
        nopoll_conn_set_on_close(conn, nullptr, nullptr);
        nopoll_conn_close(conn);
        break;
    default:
        (void)nopoll_conn_send_frame(conn, nopoll_true, nopoll_true, NOPOLL_CLOSE_FRAME, 0, nullptr,
                                     0);
        nopoll_conn_close(conn);
        break;
    }
    nopoll_conn_unref(conn);
}

// The maker's reference too: it has not kept the pointer.
int close_listener(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr /*data*/) {
    REQUIRE(nopoll_conn_role(conn) == NOPOLL_ROLE_MAIN_LISTENER);
    nopoll_conn_close(conn);
    ++world->tallies.listeners;
    return 0;
}

int look_at(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    auto& random = *static_cast<Random*>(data);
    REQUIRE(hooks_held() == 0);
    const auto length = [](const char* text) { return text == nullptr ? 0 : std::strlen(text); };
    std::size_t sum =
        length(nopoll_conn_host(conn)) + length(nopoll_conn_port(conn)) +
        length(nopoll_conn_get_requested_url(conn)) + length(nopoll_conn_get_origin(conn)) +
        length(nopoll_conn_get_host_header(conn)) +
        length(nopoll_conn_get_accepted_protocol(conn)) +
        length(nopoll_conn_get_requested_protocol(conn)) + length(nopoll_conn_get_cookie(conn)) +
        length(nopoll_conn_get_close_reason(conn));
    sum += static_cast<std::size_t>(nopoll_conn_get_id(conn) + nopoll_conn_get_close_status(conn));
    REQUIRE(sum > 0);
    REQUIRE(nopoll_conn_ref_count(conn) > 0);
    (void)nopoll_conn_is_ready(conn);
    (void)nopoll_conn_is_tls_on(conn);
    (void)nopoll_conn_get_listener(conn);
    (void)nopoll_conn_get_max_frame_size(conn);
    (void)nopoll_conn_read_pending(conn);
    (void)nopoll_conn_pending_write_bytes(conn);
    if (random.one_in(50)) send_note(*world, conn, random);
    if (conn != world->listener && random.one_in(500)) nopoll_conn_shutdown(conn);
    return 0;
}

void register_again(noPollConn* conn, Random& random) {
    noPollCtx* const ctx = nopoll_conn_ctx(conn);
    nopoll_ctx_unregister_conn(ctx, conn);
    if (random.one_in(2)) pause_a_little(random);
    REQUIRE(nopoll_ctx_register_conn(ctx, conn));
}

void change_options(World& w, Random& random) {
    const std::string value = "name=" + std::to_string(random.below(1'000'000));
    nopoll_conn_opts_set_cookie(w.options, value.c_str());
    nopoll_conn_opts_set_extra_headers(w.options, random.one_in(2) ? "\r\nX-Test: 1" : nullptr);
    nopoll_conn_opts_add_origin_header(w.options, nopoll_true);
    nopoll_ctx_set_max_frame_size(w.server, static_cast<long>(random.between(400'000, 900'000)));
    nopoll_conn_connect_timeout(w.looped, static_cast<long>(random.between(5'000'000, 9'000'000)));
    nopoll_ctx_set_handshake_timeout(w.server,
                                     static_cast<long>(random.between(2'000'000, 9'000'000)));
    nopoll_ctx_set_send_queue_limit(w.server, static_cast<long>(random.between(1, 4'000'000)));
    nopoll_ctx_set_cork(w.server, random.one_in(2));
    nopoll_ctx_set_strict(w.server, random.one_in(2));
    (void)nopoll_ctx_set_certificate(w.server, ("host" + std::to_string(random.below(20))).c_str(),
                                     w.certificate.c_str(), w.key.c_str(), nullptr);
    if (w.tls)
        (void)nopoll_listener_set_certificate(w.listener, w.certificate.c_str(), w.key.c_str(),
                                              nullptr);
}

void release_messages(World& w) {
    std::vector<noPollMsg*> messages;
    {
        const std::lock_guard guard(w.kept_mutex);
        messages.swap(w.kept);
    }
    for (noPollMsg* const msg : messages) {
        check_message(msg);
        nopoll_msg_unref(msg);
    }
}

}  // namespace

Random& thread_random() {
    thread_local Random random(world->seed + ++next_thread);
    return random;
}

void run_loop(World& w, noPollCtx* ctx) {
    Random& random = thread_random();
    while (!w.loops_done) {
        const int result = nopoll_loop_wait(
            ctx, random.one_in(4) ? 0 : static_cast<long>(random.between(1, 300'000)));
        REQUIRE(result == 0 || result == -3);
    }
}

void run_clients(World& w) {
    Random& random = thread_random();
    while (!w.done) {
        const bool looped = random.one_in(2);
        noPollConn* const conn = connect(w, looped ? w.looped : w.loopless, random);
        if (conn == nullptr) continue;
        change_conn_handlers(conn, random, false);
        if (nopoll_conn_wait_until_connection_ready(conn, 5)) {
            ++w.tallies.connected;
            if (looped && random.one_in(2)) w.clients.put(conn);
            for (std::size_t i = random.below(20); i > 0; --i)
                send_note(w, conn, random);
            if (looped)
                pause_a_little(random);
            else
                read_some(conn, static_cast<int>(random.below(20)));
        }
        end_client(conn, random);
    }
}

void run_senders(World& w) {
    Random& random = thread_random();
    while (!w.done) {
        const Borrowed conn = (random.one_in(2) ? w.accepted : w.clients).borrow(random);
        if (!conn) {
            pause_a_little(random);
            continue;
        }
        switch (random.below(8)) {
        case 0: (void)nopoll_conn_send_ping(conn.get()); break;
        case 1: (void)nopoll_conn_send_pong(conn.get(), 4, const_cast<char*>("pong")); break;
        case 2: (void)nopoll_conn_complete_pending_write(conn.get()); break;
        case 3: (void)nopoll_conn_flush_writes(conn.get(), 1, 0); break;
        default: send_note(w, conn.get(), random); break;
        }
        if (random.one_in(16)) pause_a_little(random);
    }
}

void run_closers(World& w) {
    Random& random = thread_random();
    while (!w.done) {
        pause_a_little(random);
        Shelf& shelf = random.one_in(2) ? w.accepted : w.clients;
        noPollConn* conn = shelf.take_dead();
        if (conn == nullptr && (random.one_in(8) || shelf.size() > 30)) conn = shelf.take(random);
        if (conn != nullptr) {
            if (random.one_in(2)) nopoll_conn_shutdown(conn);
            close_and_release(conn);
        }
        release_messages(w);
    }
}

void run_changers(World& w) {
    Random& random = thread_random();
    while (!w.done) {
        change_handlers(w, random);
        change_options(w, random);
        const bool server_side = random.one_in(2);
        if (const Borrowed conn = (server_side ? w.accepted : w.clients).borrow(random)) {
            change_conn_handlers(conn.get(), random, server_side);
            if (random.one_in(4)) register_again(conn.get(), random);
        }
        ++w.tallies.changes;
        pause_a_little(random);
    }
}

void run_walkers(World& w) {
    Random& random = thread_random();
    while (!w.done) {
        noPollCtx* const contexts[] = {w.server, w.looped, w.loopless};
        noPollCtx* const ctx = contexts[random.below(3)];
        REQUIRE(nopoll_ctx_ref(ctx));
        (void)nopoll_ctx_foreach_conn(ctx, look_at, &random);
        (void)nopoll_ctx_conns(ctx);
        (void)nopoll_ctx_ref_count(ctx);
        nopoll_ctx_unref(ctx);
        ++w.tallies.walks;
        pause_a_little(random);
    }
}

void run_stoppers(World& w) {
    Random& random = thread_random();
    while (!w.done) {
        nopoll_loop_stop(random.one_in(2) ? w.server : w.looped);
        ++w.tallies.stops;
        idle_us(static_cast<std::int64_t>(random.between(100, 20'000)));
    }
}

// Found by another thread, and gone, before the call that makes it has returned.
void run_listener_makers(World& w) {
    while (!w.done) {
        if (nopoll_ctx_conns(w.listeners) < 20)
            (void)nopoll_listener_new(w.listeners, "127.0.0.1", "0");
        else
            idle_us(100);
    }
}

void run_listener_closers(World& w) {
    while (!w.done) {
        (void)nopoll_ctx_foreach_conn(w.listeners, close_listener, nullptr);
        idle_us(20);  // leaves the others some of the machine
    }
}

}  // namespace nopoll::stress
