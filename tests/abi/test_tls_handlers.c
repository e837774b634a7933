/* SPDX-License-Identifier: MIT */
/* The program's check after the TLS handshake, on both sides, and what nopoll_conn_is_tls_on says
 * when (spec: connection.md 4, handshake.md 1 and 6.1). */
#include "tls_test.h"

#include <nopoll_private.h>

static int closed;

static void note_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    assert_true(nopoll_conn_is_ok(conn));
    closed++;
}

static nopoll_bool watch_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    nopoll_conn_set_on_close(conn, note_close, NULL);
    return nopoll_true;
}

/* --- post check --- */

struct check {
    int calls;
    int refuse;
    int refs;
    int tls_on;
    int opens_before; /* on_open calls so far */
    int same_ctx;
    noPollConn* conn;
    char peer[128];
};

static int opens;

static nopoll_bool count_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    opens++;
    return nopoll_true;
}

static nopoll_bool check_tls(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                             noPollPtr data) {
    struct check* const check = (struct check*)data;
    X509* const peer = SSL_get1_peer_certificate((SSL*)ssl);
    assert_ptr_equal(nopoll_conn_ctx(conn), ctx);
    assert_ptr_equal(conn->ssl, ssl);
    assert_int_equal(SSL_get_fd((SSL*)ssl), nopoll_conn_socket(conn));
    check->calls++;
    check->conn = conn;
    check->refs = nopoll_conn_ref_count(conn);
    check->tls_on = nopoll_conn_is_tls_on(conn);
    check->opens_before = opens;
    check->same_ctx = SSL_get_SSL_CTX((SSL*)ssl) == ssl_ctx;
    tls_common_name(peer, check->peer, sizeof check->peer);
    X509_free(peer);
    return !check->refuse;
}

static void post_check_of_a_client(void** state) {
    int refuse;
    (void)state;
    for (refuse = 0; refuse <= 1; refuse++) {
        struct check check = {0};
        struct tls_server server;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* conn = NULL;
        check.refuse = refuse;
        nopoll_ctx_set_post_ssl_check(ctx, check_tls, &check);
        tls_server_prepare(&server, "server");
        tls_server_start(&server);
        conn = tls_connect_to(ctx, &server, tls_options(NULL, "ca", 1), "server.test");
        assert_int_equal(check.calls, 1);
        assert_ptr_equal(check.conn, conn);
        assert_int_equal(check.refs, 2);
        assert_int_equal(check.tls_on, 0);
        assert_true(check.same_ctx);
        assert_string_equal(check.peer, "server.test");
        assert_int_equal(nopoll_conn_is_ok(conn), !refuse);
        assert_int_equal(nopoll_conn_is_tls_on(conn), !refuse);
        assert_int_equal(nopoll_conn_ref_count(conn), 2);
        assert_int_equal(nopoll_ctx_conns(ctx), 1);
        nopoll_conn_close(conn);
        tls_server_join(&server);
        assert_int_equal(server.size > 0, !refuse);
        /* Either way the session is over in an orderly manner. */
        assert_true(server.close_notify);
        nopoll_ctx_unref(ctx);
    }
}

/* own_loop: the program accepts and reads by itself. */
static void listener_check(int own_loop, int refuse) {
    struct check check = {0};
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* conn = NULL;
    char head[512];
    check.refuse = refuse;
    opens = closed = 0;
    nopoll_ctx_set_post_ssl_check(ctx, check_tls, &check);
    nopoll_ctx_set_on_open(ctx, count_open, NULL);
    nopoll_ctx_set_on_accept(ctx, watch_close, NULL);
    tls_client_open(&client, listener, "server.test");
    if (own_loop) {
        conn = nopoll_conn_accept(ctx, listener);
        assert_non_null(conn);
        nopoll_conn_ref(conn);
        POLL_UNTIL(nopoll_conn_socket(conn),
                   (tls_client_step(&client), nopoll_conn_is_ready(conn)) ||
                       (refuse && check.calls > 0));
        assert_int_equal(check.refs, 2); /* the registry's and ours */
    } else if (refuse) {
        if (tls_client_handshake(&client, ctx))
            assert_int_equal(tls_client_read(&client, ctx, head, sizeof head, NULL), 0);
        assert_int_equal(check.refs, 2); /* the registry's and the loop's */
    } else {
        assert_true(tls_client_upgrade(&client, ctx));
        assert_int_equal(check.refs, 2);
    }
    assert_int_equal(check.calls, 1);
    assert_int_equal(check.tls_on, 1);
    assert_true(check.same_ctx);
    assert_int_equal(check.opens_before, 0);
    assert_int_equal(opens, !refuse);
    assert_int_equal(closed, refuse);
    if (own_loop) {
        assert_int_equal(nopoll_conn_is_ok(conn), !refuse);
        nopoll_conn_close(conn);
    } else {
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == (refuse ? 1 : 2));
    }
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

static void post_check_of_a_listener(void** state) {
    (void)state;
    listener_check(0, 0);
    listener_check(0, 1);
    listener_check(1, 0);
    listener_check(1, 1);
}

/* --- calls about the same connection from inside --- */

static int creators;
static int checks;

/* All that goes on with a handshake, but for the one that is running. */
static void ask_inside(noPollCtx* ctx, noPollConn* conn) {
    char buffer[4];
    assert_int_equal(nopoll_conn_is_ready(conn), 0);
    nopoll_conn_complete_handshake(conn);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 60), 0);
    errno = 0;
    assert_null(nopoll_conn_get_msg(conn));
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_int_equal(nopoll_conn_read(conn, buffer, 4, nopoll_false, 0), -1);
    assert_int_equal(nopoll_conn_read(conn, buffer, 4, nopoll_true, 60000), 0);
    assert_int_equal(nopoll_loop_wait(ctx, 1), -3);
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
}

static noPollPtr create_asking(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* opts,
                               nopoll_bool is_client, noPollPtr data) {
    (void)opts, (void)is_client, (void)data;
    assert_int_equal(++creators, 1);
    /* What the peer has sent is no request: nobody may look at it yet. */
    assert_true(test_readable(nopoll_conn_socket(conn), TEST_LIMIT_MS));
    ask_inside(ctx, conn);
    return SSL_CTX_new(TLS_server_method());
}

static nopoll_bool check_asking(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                                noPollPtr data) {
    (void)ssl_ctx, (void)ssl, (void)data;
    assert_int_equal(++checks, 1);
    ask_inside(ctx, conn);
    return nopoll_true;
}

static void asking_inside_does_nothing(void** state) {
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* conn = NULL;
    (void)state;
    creators = checks = 0;
    nopoll_ctx_set_ssl_context_creator(ctx, create_asking, NULL);
    nopoll_ctx_set_post_ssl_check(ctx, check_asking, NULL);
    tls_client_open(&client, listener, "server.test");
    tls_client_step(&client); /* its hello is on the way */
    conn = nopoll_conn_accept(ctx, listener);
    assert_non_null(conn);
    assert_true(tls_client_upgrade(&client, ctx));
    assert_int_equal(creators, 1);
    assert_int_equal(checks, 1);
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* --- nopoll_conn_is_tls_on --- */

static int on_in_accept;

static nopoll_bool note_tls_on(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    on_in_accept = nopoll_conn_is_tls_on(conn);
    return nopoll_true;
}

static void tls_on(void** state) {
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* const plain = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConn* conn = NULL;
    (void)state;
    assert_int_equal(nopoll_conn_is_tls_on(NULL), 0);
    assert_int_equal(nopoll_conn_is_tls_on(listener), 1);
    assert_int_equal(nopoll_conn_is_tls_on(plain), 0);
    on_in_accept = -1;
    nopoll_ctx_set_on_accept(ctx, note_tls_on, NULL);
    tls_client_open(&client, listener, NULL);
    conn = nopoll_conn_accept(ctx, listener);
    assert_non_null(conn);
    /* Not in on_accept, but from then on, even before a byte of TLS was seen. */
    assert_int_equal(on_in_accept, 0);
    assert_int_equal(nopoll_conn_is_tls_on(conn), 1);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(fcntl(nopoll_conn_socket(conn), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    nopoll_conn_ref(conn);
    nopoll_conn_shutdown(conn);
    assert_int_equal(nopoll_conn_is_tls_on(conn), 1);
    nopoll_conn_close(conn);
    tls_client_close(&client);
    nopoll_conn_close(listener);
    nopoll_conn_close(plain);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post_check_of_a_client),
        cmocka_unit_test(post_check_of_a_listener),
        cmocka_unit_test(asking_inside_does_nothing),
        cmocka_unit_test(tls_on),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
