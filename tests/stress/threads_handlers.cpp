// SPDX-License-Identifier: MIT
// Handlers of the thread stress. Each makes sure that no lock is held around it, by asking the hook
// books and by calling functions that need those locks.
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "stress/hooks.hpp"
#include "stress/payload.hpp"
#include "stress/threads_world.hpp"

namespace nopoll::stress {
namespace {

// Deadlocks, or is told off by an error-checking mutex, when a lock is held.
void inside_handler(noPollCtx* ctx, noPollConn* conn) {
    REQUIRE(hooks_held() == 0);
    REQUIRE(nopoll_ctx_conns(ctx) >= 0);
    (void)nopoll_ctx_find_certificate(ctx, "nobody.test", nullptr, nullptr, nullptr);
    if (conn == nullptr) return;
    REQUIRE(nopoll_conn_ctx(conn) == ctx);
    REQUIRE(nopoll_conn_ref_count(conn) > 0);
    (void)nopoll_conn_pending_write_bytes(conn);
    nopoll_conn_set_hook(conn, nopoll_conn_get_hook(conn));
}

nopoll_bool accepting(noPollCtx* ctx, noPollConn* conn) {
    inside_handler(ctx, conn);
    REQUIRE(nopoll_conn_is_ready(conn) == nopoll_false);
    ++world->tallies.accepted;
    const bool refuse = thread_random().one_in(64);
    if (refuse) ++world->tallies.refused;
    return refuse ? nopoll_false : nopoll_true;
}

nopoll_bool opening(noPollCtx* ctx, noPollConn* conn) {
    inside_handler(ctx, conn);
    REQUIRE(nopoll_conn_is_ready(conn) == nopoll_false);
    REQUIRE(std::strcmp(nopoll_conn_get_requested_url(conn), "/stress") == 0);
    nopoll_conn_set_accepted_protocol(conn, "first.test");
    nopoll_conn_set_accepted_protocol(conn, "second.test");
    Random& random = thread_random();
    if (random.one_in(64)) nopoll_conn_shutdown(conn);
    return random.one_in(64) ? nopoll_false : nopoll_true;
}

nopoll_bool ready(noPollCtx* ctx, noPollConn* conn) {
    inside_handler(ctx, conn);
    Random& random = thread_random();
    if (nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER) {
        world->accepted.put(conn);
        change_conn_handlers(conn, random, true);
        if (random.one_in(8)) {
            const std::string hello = write_note({1, 0, 10});
            (void)nopoll_conn_send_text(conn, hello.data(), static_cast<long>(hello.size()));
        }
    }
    return random.one_in(64) ? nopoll_false : nopoll_true;
}

void keep_message(noPollMsg* msg) {
    REQUIRE(nopoll_msg_ref(msg));
    const std::lock_guard guard(world->kept_mutex);
    world->kept.push_back(msg);
}

void misbehave(noPollCtx* ctx, noPollConn* conn, Random& random) {
    switch (random.below(200)) {
    case 0: nopoll_conn_shutdown(conn); break;
    case 1: nopoll_ctx_unregister_conn(ctx, conn); break;
    case 2: nopoll_loop_stop(ctx); break;
    case 3: (void)nopoll_loop_wait(ctx, 10'000); break;
    case 4:
        REQUIRE(nopoll_conn_ref(conn) && nopoll_conn_ref(conn));
        close_and_release(conn);
        break;
    case 5: {
        noPollMsg* const next = nopoll_conn_get_msg(conn);
        if (next == nullptr) break;
        check_message(next);
        nopoll_msg_unref(next);
        break;
    }
    default: break;
    }
}

void message_to_server(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg) {
    inside_handler(ctx, conn);
    check_message(msg);
    Random& random = thread_random();
    (void)nopoll_conn_send_text(conn, reinterpret_cast<const char*>(nopoll_msg_get_payload(msg)),
                                nopoll_msg_get_payload_size(msg));
    if (random.one_in(4)) keep_message(msg);
    misbehave(ctx, conn, random);
}

void message_to_client(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg) {
    inside_handler(ctx, conn);
    check_message(msg);
    if (thread_random().one_in(8)) keep_message(msg);
}

void closing(noPollCtx* ctx, noPollConn* conn) {
    inside_handler(ctx, conn);
    REQUIRE(nopoll_conn_is_ok(conn));
    if (thread_random().one_in(4)) (void)nopoll_conn_send_text(conn, "0 0 0:", 6);
    ++world->tallies.closed;
}

int tls_verify(int /*ok*/, X509_STORE_CTX* /*store*/) {
    // Code of the program too, inside of a handshake.
    inside_handler(world->server, nullptr);
    inside_handler(world->looped, nullptr);
    return 1;
}

noPollPtr make_tls_context(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* /*options*/,
                           nopoll_bool is_client, noPollPtr data) {
    REQUIRE(is_client && data == world);
    inside_handler(ctx, conn);
    SSL_CTX* const tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, tls_verify);
    return tls;
}

nopoll_bool tls_check(noPollCtx* ctx, noPollConn* conn, noPollPtr tls_context, noPollPtr ssl,
                      noPollPtr data) {
    REQUIRE(data == world && tls_context != nullptr && ssl != nullptr);
    inside_handler(ctx, conn);
    return thread_random().one_in(64) ? nopoll_false : nopoll_true;
}

// The pair of a handler and its data, in two variants.
template <const char& tag>
struct Variant {
    static void check(noPollPtr data) { REQUIRE(data == data_of(tag)); }
    static nopoll_bool on_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
        check(data);
        return accepting(ctx, conn);
    }
    static nopoll_bool on_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
        check(data);
        return opening(ctx, conn);
    }
    static nopoll_bool on_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
        check(data);
        return ready(ctx, conn);
    }
    static void to_server(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
        check(data);
        message_to_server(ctx, conn, msg);
    }
    static void to_client(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
        check(data);
        message_to_client(ctx, conn, msg);
    }
    static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
        check(data);
        closing(ctx, conn);
    }
    static void log(noPollCtx* ctx, noPollDebugLevel /*level*/, const char* text, noPollPtr data) {
        check(data);
        REQUIRE(std::strlen(text) > 0);
        inside_handler(ctx, nullptr);
        ++world->tallies.log_records;
    }
    static void set_on_server(noPollCtx* ctx) {
        nopoll_ctx_set_on_accept(ctx, on_accept, data_of(tag));
        nopoll_ctx_set_on_open(ctx, on_open, data_of(tag));
        nopoll_ctx_set_on_ready(ctx, on_ready, data_of(tag));
        nopoll_ctx_set_on_msg(ctx, to_server, data_of(tag));
        nopoll_log_set_handler(ctx, log, data_of(tag));
    }
    static void set_on_client(noPollCtx* ctx) {
        nopoll_ctx_set_on_ready(ctx, on_ready, data_of(tag));
        nopoll_ctx_set_on_msg(ctx, to_client, data_of(tag));
        nopoll_log_set_handler(ctx, log, data_of(tag));
    }
    static void set_on_conn(noPollConn* conn, bool server_side) {
        nopoll_conn_set_on_msg(conn, server_side ? to_server : to_client, data_of(tag));
        nopoll_conn_set_on_close(conn, on_close, data_of(tag));
    }
};

}  // namespace

void check_message(noPollMsg* msg) {
    Note note;
    const auto* const payload = reinterpret_cast<const char*>(nopoll_msg_get_payload(msg));
    REQUIRE(nopoll_msg_is_final(msg));
    REQUIRE(read_note({payload, static_cast<std::size_t>(nopoll_msg_get_payload_size(msg))}, note));
    ++world->tallies.messages;
}

void set_server_handlers(World& w) {
    Variant<tag_a>::set_on_server(w.server);
    nopoll_ctx_set_post_ssl_check(w.server, tls_check, &w);
}

void set_client_handlers(World& w) {
    nopoll_ctx_set_ssl_context_creator(w.looped, make_tls_context, &w);
    nopoll_ctx_set_post_ssl_check(w.looped, tls_check, &w);
    Variant<tag_a>::set_on_client(w.looped);
    Variant<tag_a>::set_on_client(w.loopless);
}

void change_handlers(World& w, Random& random) {
    switch (random.below(4)) {
    case 0: Variant<tag_a>::set_on_server(w.server); break;
    case 1: Variant<tag_b>::set_on_server(w.server); break;
    case 2: Variant<tag_a>::set_on_client(w.looped); break;
    default: Variant<tag_b>::set_on_client(w.looped); break;
    }
}

void change_conn_handlers(noPollConn* conn, Random& random, bool server_side) {
    if (random.one_in(2))
        Variant<tag_a>::set_on_conn(conn, server_side);
    else
        Variant<tag_b>::set_on_conn(conn, server_side);
}

}  // namespace nopoll::stress
