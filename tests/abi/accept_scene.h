/* SPDX-License-Identifier: MIT */
/* A listener, a raw client, and the descriptor that the test has accepted itself. */
#ifndef ABI_ACCEPT_SCENE_H
#define ABI_ACCEPT_SCENE_H

#include "server_request.h"

/* Exported, in no header. */
nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn);

typedef struct {
    noPollCtx* ctx;
    noPollConn* listener;
    int fd;     /* the raw client's */
    int server; /* the descriptor that the test has accepted itself */
} scene;

TEST_UNUSED static void begin(scene* now, noPollConnOpts* options) {
    now->ctx = nopoll_ctx_new();
    now->listener = nopoll_listener_new_opts(now->ctx, options, "127.0.0.1", "0");
    assert_non_null(now->listener);
    now->fd = test_connect(test_port_of(nopoll_conn_socket(now->listener)));
    now->server = nopoll_listener_accept(nopoll_conn_socket(now->listener));
    assert_true(now->server >= 0);
}

TEST_UNUSED static void end(scene* now) {
    peer_close_accepted(now->ctx);
    nopoll_conn_close(now->listener);
    assert_int_equal(nopoll_ctx_conns(now->ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(now->ctx), 1);
    nopoll_ctx_unref(now->ctx);
    close(now->fd);
}

/* The raw client shakes hands with this connection. */
TEST_UNUSED static void check_handshake(const scene* now, noPollConn* conn) {
    char head[512];
    test_send_all(now->fd, TEST_REQUEST, strlen(TEST_REQUEST));
    POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
    test_receive_head(now->fd, head, sizeof head);
    assert_string_equal(head, REPLY_101);
}

TEST_UNUSED static int accepts;
TEST_UNUSED static int accept_result;

TEST_UNUSED static nopoll_bool count_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)data;
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(__nopoll_ctx_conn_is_registered(ctx, conn), 1);
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    accepts++;
    return accept_result;
}

TEST_UNUSED static int reset_accepts(void** state) {
    (void)state;
    accepts = 0;
    accept_result = 1;
    return 0;
}

#define ACCEPT_TEST(name) cmocka_unit_test_setup(name, reset_accepts)

#endif
