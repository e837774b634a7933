/* SPDX-License-Identifier: MIT */
/* Making clients (spec: connection.md sections 1 and 2): arguments, sockets that are given, which
 * failures give NULL and which a dead object, what becomes of the options. */
#include "stream_peer.h"

#include <nopoll_private.h>

/* Exported, in no header. */
noPollConn* __nopoll_conn_new_common(noPollCtx* ctx, noPollConnOpts* options,
                                     noPollTransport transport, nopoll_bool enable_tls, int fd,
                                     const char* host_ip, const char* host_port,
                                     const char* host_name, const char* get_url,
                                     const char* protocols, const char* origin);

/* A port on the loopback interface at which nobody listens, as long as the descriptor is open. */
static int closed_port(const char** port) {
    struct sockaddr_in address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr*)&address, sizeof address), 0);
    *port = peer_port(fd);
    return fd;
}

/* --- what a creating function does with options --- */

enum way {
    NO_CONTEXT,
    NO_HOST,
    WRONG_FAMILY,
    NO_SERVICE,
    NO_INTERFACE,
    REFUSED,
    TLS_FAILS,
    MADE,
    MADE_ON_SOCKET,
    ENOUGH
};

static const char* const way_names[] = {"no context", "no host",      "wrong family",
                                        "no service", "no interface", "connection refused",
                                        "TLS fails",  "made",         "made on a given socket"};

static noPollConn* create(enum way way, noPollCtx* ctx, noPollConnOpts* options,
                          const char* open_port, const char* dead_port, int fd) {
    switch (way) {
    case NO_CONTEXT:
        return nopoll_conn_new_opts(NULL, options, "127.0.0.1", open_port, NULL, NULL, NULL, NULL);
    case NO_HOST:
        return nopoll_conn_new_opts(ctx, options, NULL, open_port, NULL, NULL, NULL, NULL);
    case WRONG_FAMILY:
        return nopoll_conn_new_opts(ctx, options, "::1", open_port, NULL, NULL, NULL, NULL);
    case NO_SERVICE:
        return nopoll_conn_new_opts(ctx, options, "127.0.0.1", "no-such-service", NULL, NULL, NULL,
                                    NULL);
    case NO_INTERFACE:
        nopoll_conn_opts_set_interface(options, "no-such-if0");
        return nopoll_conn_new_opts(ctx, options, "127.0.0.1", open_port, NULL, NULL, NULL, NULL);
    case REFUSED:
        return nopoll_conn_new_opts(ctx, options, "127.0.0.1", dead_port, NULL, NULL, NULL, NULL);
    case TLS_FAILS:
        return nopoll_conn_tls_new_with_socket(ctx, options, fd, "h", "1", NULL, NULL, NULL, NULL);
    case MADE:
        return nopoll_conn_new_opts(ctx, options, "127.0.0.1", open_port, NULL, NULL, NULL, NULL);
    case MADE_ON_SOCKET:
        return nopoll_conn_new_with_socket(ctx, options, fd, "h", "1", NULL, NULL, NULL, NULL);
    case ENOUGH: break;
    }
    return NULL;
}

static void check_creation(enum way way, int reuse) {
    const char* const name = way_names[way];
    const char* dead_port = NULL;
    int fds[2];
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConnOpts* const options = nopoll_conn_opts_new();
    const int dead = closed_port(&dead_port);
    peer_socketpair(fds);
    if (way == TLS_FAILS) shutdown(fds[1], SHUT_RDWR);
    nopoll_conn_opts_ref(options);
    nopoll_conn_opts_set_reuse(options, reuse);
    noPollConn* const conn = create(way, ctx, options, test_port(listener), dead_port, fds[0]);
    ROW_CHECK(name, options->refs == (reuse ? 2 : 1));
    ROW_CHECK(name, (conn != NULL) == (way >= REFUSED));
    ROW_CHECK(name, nopoll_conn_is_ok(conn) == (way >= MADE));
    ROW_CHECK(name, nopoll_ctx_conns(ctx) == (conn != NULL ? 2 : 1));
    ROW_CHECK(name, nopoll_ctx_ref_count(ctx) == (conn != NULL ? 3 : 2));
    if (conn != NULL) {
        ROW_CHECK(name, nopoll_conn_ref_count(conn) == 2);
        ROW_CHECK(name, !nopoll_conn_is_ready(conn));
    }
    nopoll_conn_close(conn);
    if (reuse) nopoll_conn_opts_unref(options);
    nopoll_conn_opts_unref(options);
    nopoll_conn_close(listener);
    ROW_CHECK(name, nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
    if (way != TLS_FAILS && way != MADE_ON_SOCKET) {
        ROW_CHECK(name, peer_is_open(fds[0]));
        close(fds[0]);
    }
    close(fds[1]);
    close(dead);
}

static void options_are_consumed_on_every_path(void** state) {
    (void)state;
    for (int way = 0; way < ENOUGH; way++)
        check_creation((enum way)way, 0);
}

static void reused_options_keep_their_count(void** state) {
    (void)state;
    for (int way = 0; way < ENOUGH; way++)
        check_creation((enum way)way, 1);
}

/* The caller's only reference is the one that is consumed: nothing of it is touched later. */
static void handed_over_options_are_gone(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConnOpts* options = nopoll_conn_opts_new();
    assert_null(nopoll_conn_new_opts(NULL, options, "127.0.0.1", "1", NULL, NULL, NULL, NULL));
    options = nopoll_conn_opts_new();
    assert_null(nopoll_conn_tls_new(ctx, options, NULL, "1", NULL, NULL, NULL, NULL));
    options = nopoll_conn_opts_new();
    assert_null(nopoll_conn_tls_new6(ctx, options, NULL, "1", NULL, NULL, NULL, NULL));
    options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_cookie(options, "a=b");
    nopoll_conn_opts_set_max_frame_size(options, 99);
    noPollConn* const conn = nopoll_conn_new_opts(ctx, options, "127.0.0.1", test_port(listener),
                                                  NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_get_max_frame_size(conn) == 99);
    nopoll_conn_close(conn);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* --- arguments --- */

static void missing_arguments_fail(void** state) {
    (void)state;
    int fds[2];
    noPollCtx* const ctx = nopoll_ctx_new();
    peer_socketpair(fds);
    assert_null(nopoll_conn_new(NULL, "127.0.0.1", "1", NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_new(ctx, NULL, "1", NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_new6(NULL, "::1", "1", NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_new6(ctx, NULL, "1", NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_tls_new(NULL, NULL, "127.0.0.1", "1", NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_tls_new6(NULL, NULL, "::1", "1", NULL, NULL, NULL, NULL));
    /* A given socket stays the program's, and open. */
    assert_null(nopoll_conn_new_with_socket(NULL, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_new_with_socket(ctx, NULL, fds[0], NULL, "1", NULL, NULL, NULL, NULL));
    assert_null(
        nopoll_conn_tls_new_with_socket(NULL, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL));
    assert_null(
        nopoll_conn_tls_new_with_socket(ctx, NULL, fds[0], NULL, "1", NULL, NULL, NULL, NULL));
    assert_null(__nopoll_conn_new_common(ctx, NULL, (noPollTransport)0, nopoll_false, fds[0], "h",
                                         "1", NULL, NULL, NULL, NULL));
    assert_null(__nopoll_conn_new_common(ctx, NULL, (noPollTransport)3, nopoll_false, fds[0], "h",
                                         "1", NULL, NULL, NULL, NULL));
    test_send_all(fds[0], "x", 1);
    assert_true(test_readable(fds[1], TEST_LIMIT_MS));
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

/* A number that is too large does not lead to another port. */
static void ports_have_a_range(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    const int listening = peer_listen(4);
    const int port = atoi(peer_port(listening));
    char text[32];
    snprintf(text, sizeof text, "%d", 65536 + port);
    assert_null(nopoll_conn_new(ctx, "127.0.0.1", text, NULL, NULL, NULL, NULL));
    assert_null(nopoll_conn_tls_new(ctx, NULL, "127.0.0.1", text, NULL, NULL, NULL, NULL));
    snprintf(text, sizeof text, "%d", port - 65536);
    assert_null(nopoll_conn_new(ctx, "127.0.0.1", text, NULL, NULL, NULL, NULL));
    assert_false(test_readable(listening, 0));
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    snprintf(text, sizeof text, " %d", port);
    noPollConn* const conn = nopoll_conn_new(ctx, "127.0.0.1", text, NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_is_ok(conn));
    nopoll_conn_close(conn);
    close(listening);
    nopoll_ctx_unref(ctx);
}

/* Programs print strerror (errno) when they get no connection: where there is none the library
 * leaves errno alone. (The system's resolver may not, for names.) */
static void failures_do_not_clear_errno(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    errno = EPERM;
    assert_null(nopoll_conn_new(ctx, "::1", "1", NULL, NULL, NULL, NULL));
    assert_int_equal(errno, EPERM);
    errno = EPERM;
    assert_int_equal(nopoll_listener_sock_listen(ctx, "::1", "0"), -1);
    assert_int_equal(errno, EPERM);
    nopoll_ctx_unref(ctx);
}

static void ports_have_defaults(void** state) {
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        int fds[2];
        noPollCtx* const ctx = nopoll_ctx_new();
        peer_socketpair(fds);
        if (tls) shutdown(fds[1], SHUT_RDWR); /* no handshake to wait for */
        noPollConn* const conn =
            tls ? nopoll_conn_tls_new_with_socket(ctx, NULL, fds[0], "any text", NULL, NULL, NULL,
                                                  NULL, NULL)
                : nopoll_conn_new_with_socket(ctx, NULL, fds[0], "any text", NULL, NULL, NULL, NULL,
                                              NULL);
        assert_non_null(conn);
        assert_string_equal(nopoll_conn_port(conn), tls ? "443" : "80");
        assert_string_equal(nopoll_conn_host(conn), "any text");
        assert_int_equal(nopoll_conn_is_ok(conn), !tls);
        assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
        nopoll_conn_close(conn);
        nopoll_ctx_unref(ctx);
        close(fds[1]);
    }
}

/* --- sockets --- */

static void given_sockets_are_used_as_they_are(void** state) {
    (void)state;
    for (int blocking = 0; blocking < 2; blocking++) {
        int fds[2];
        char head[2048];
        noPollCtx* const ctx = nopoll_ctx_new();
        peer_socketpair(fds);
        if (!blocking) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        const int flags = fcntl(fds[0], F_GETFL);
        noPollConn* const conn = nopoll_conn_new_with_socket(ctx, NULL, fds[0], "10.9.8.7", "4242",
                                                             NULL, NULL, NULL, NULL);
        assert_int_equal(nopoll_conn_is_ok(conn), 1);
        assert_int_equal(nopoll_conn_socket(conn), fds[0]);
        assert_int_equal(fcntl(fds[0], F_GETFL), flags);
        assert_string_equal(nopoll_conn_host(conn), "10.9.8.7");
        assert_string_equal(nopoll_conn_port(conn), "4242");
        test_receive_head(fds[1], head, sizeof head);
        assert_memory_equal(head, "GET / HTTP/1.1\r\nHost: 10.9.8.7\r\n", 32);
        nopoll_conn_close(conn); /* it belongs to the library */
        assert_false(peer_is_open(fds[0]));
        nopoll_ctx_unref(ctx);
        close(fds[1]);
    }
}

static void a_socket_below_zero_means_make_one(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    for (int fd = -3; fd < 0; fd++) {
        noPollConn* const conn = nopoll_conn_new_with_socket(
            ctx, NULL, fd, "127.0.0.1", test_port(listener), NULL, NULL, NULL, NULL);
        assert_int_equal(nopoll_conn_is_ok(conn), 1);
        const int own = nopoll_conn_socket(conn);
        int nodelay = 0;
        socklen_t size = sizeof nodelay;
        assert_true(own >= 3);
        assert_int_not_equal(fcntl(own, F_GETFL) & O_NONBLOCK, 0);
        getsockopt(own, 6 /* IPPROTO_TCP */, 1 /* TCP_NODELAY */, &nodelay, &size);
        assert_int_not_equal(nodelay, 0);
        nopoll_conn_close(conn);
    }
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

static void lost_sockets_give_a_dead_object(void** state) {
    (void)state;
    int fds[2];
    noPollCtx* const ctx = nopoll_ctx_new();
    peer_socketpair(fds);
    close(fds[1]);
    noPollConn* conn =
        nopoll_conn_new_with_socket(ctx, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL);
    assert_non_null(conn);
    assert_int_equal(nopoll_conn_is_ok(conn), 0);
    assert_false(peer_is_open(fds[0]));
    assert_int_equal(nopoll_ctx_conns(ctx), 1); /* until it is closed */
    assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 0);
    nopoll_conn_close(conn);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

static void clients_speak_ipv6(void** state) {
    (void)state;
    if (!peer_has_ipv6()) skip();
    test_pair pair;
    memset(&pair, 0, sizeof pair);
    pair.ctx = nopoll_ctx_new();
    pair.listener = nopoll_listener_new6(pair.ctx, "::1", "0");
    assert_non_null(pair.listener);
    pair.client =
        nopoll_conn_new6(pair.ctx, "::1", test_port(pair.listener), NULL, NULL, NULL, NULL);
    assert_int_equal(nopoll_conn_is_ok(pair.client), 1);
    pair.server = nopoll_conn_accept(pair.ctx, pair.listener);
    assert_string_equal(nopoll_conn_host(pair.server), "::1");
    POLL_UNTIL(nopoll_conn_socket(pair.server), nopoll_conn_is_ready(pair.server));
    POLL_UNTIL(nopoll_conn_socket(pair.client), nopoll_conn_is_ready(pair.client));
    /* The getter tells the argument, the peer got brackets. */
    assert_string_equal(nopoll_conn_get_host_header(pair.client), "::1");
    assert_string_equal(nopoll_conn_get_host_header(pair.server), "[::1]");
    assert_string_equal(nopoll_conn_get_origin(pair.server), "http://[::1]");
    /* Each function keeps to its family. */
    assert_null(nopoll_conn_new(pair.ctx, "::1", test_port(pair.listener), NULL, NULL, NULL, NULL));
    assert_null(
        nopoll_conn_new6(pair.ctx, "127.0.0.1", test_port(pair.listener), NULL, NULL, NULL, NULL));
    test_pair_close(&pair);
}

/* --- nothing runs inside --- */

static int handler_runs;

static nopoll_bool count_action(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)data;
    handler_runs++;
    return nopoll_true;
}

static void no_handler_runs_while_a_client_is_made(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    const int listening = peer_listen(4);
    handler_runs = 0;
    nopoll_ctx_set_on_accept(ctx, count_action, NULL);
    nopoll_ctx_set_on_open(ctx, count_action, NULL);
    nopoll_ctx_set_on_ready(ctx, count_action, NULL);
    noPollConn* const conn =
        nopoll_conn_new(ctx, "127.0.0.1", peer_port(listening), NULL, NULL, NULL, NULL);
    assert_int_equal(handler_runs, 0);
    /* Nothing was read so far: the connection's own handler is in time. */
    int own = 0;
    peer_scene scene = {
        .ctx = ctx, .conn = conn, .fd = peer_accept(listening), .listening = listening};
    test_receive_head(scene.fd, scene.request, sizeof scene.request);
    peer_answer(&scene, "");
    assert_true(test_readable(nopoll_conn_socket(conn), TEST_LIMIT_MS));
    nopoll_conn_set_on_ready(conn, count_action, &own);
    POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
    assert_int_equal(handler_runs, 1); /* one of the two on_ready */
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_consumed_on_every_path),
        cmocka_unit_test(reused_options_keep_their_count),
        cmocka_unit_test(handed_over_options_are_gone),
        cmocka_unit_test(missing_arguments_fail),
        cmocka_unit_test(ports_have_defaults),
        cmocka_unit_test(ports_have_a_range),
        cmocka_unit_test(failures_do_not_clear_errno),
        cmocka_unit_test(given_sockets_are_used_as_they_are),
        cmocka_unit_test(a_socket_below_zero_means_make_one),
        cmocka_unit_test(lost_sockets_give_a_dead_object),
        cmocka_unit_test(clients_speak_ipv6),
        cmocka_unit_test(no_handler_runs_while_a_client_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
