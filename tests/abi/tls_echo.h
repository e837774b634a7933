/* SPDX-License-Identifier: MIT */
/* A listener of the library in a thread of its own that sends every message back, for tests with
 * the library at both ends. */
#ifndef ABI_TLS_ECHO_H
#define ABI_TLS_ECHO_H

#include "tls_test.h"

struct tls_echo {
    noPollCtx* ctx; /* set up by the test before tls_echo_start */
    noPollConn* listener;
    pthread_t thread;
    int stop;
    char host[128]; /* Host header of the last request */
};

static nopoll_bool tls_echo_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    struct tls_echo* const echo = (struct tls_echo*)data;
    (void)ctx;
    snprintf(echo->host, sizeof echo->host, "%s", nopoll_conn_get_host_header(conn));
    return nopoll_true;
}

static void tls_echo_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    const char* const payload = (const char*)nopoll_msg_get_payload(msg);
    const long size = nopoll_msg_get_payload_size(msg);
    int sent;
    (void)ctx, (void)data;
    sent = nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME
               ? nopoll_conn_send_binary(conn, payload, size)
               : nopoll_conn_send_text(conn, payload, size);
    while (sent != size && nopoll_conn_pending_write_bytes(conn) > 0)
        sent = nopoll_conn_flush_writes(conn, 1000000, sent);
}

static void* tls_echo_main(void* data) {
    struct tls_echo* const echo = (struct tls_echo*)data;
    while (!__atomic_load_n(&echo->stop, __ATOMIC_ACQUIRE))
        nopoll_loop_wait(echo->ctx, 100000);
    return NULL;
}

TEST_UNUSED static void tls_echo_start(struct tls_echo* echo) {
    nopoll_ctx_set_on_open(echo->ctx, tls_echo_open, echo);
    nopoll_ctx_set_on_msg(echo->ctx, tls_echo_msg, NULL);
    assert_int_equal(pthread_create(&echo->thread, NULL, tls_echo_main, echo), 0);
}

TEST_UNUSED static void tls_echo_stop(struct tls_echo* echo) {
    __atomic_store_n(&echo->stop, 1, __ATOMIC_RELEASE);
    nopoll_loop_stop(echo->ctx);
    assert_int_equal(pthread_join(echo->thread, NULL), 0);
    if (echo->listener != NULL) {
        LOOP_UNTIL(echo->ctx, nopoll_ctx_conns(echo->ctx) == 1);
        nopoll_conn_close(echo->listener);
    }
    assert_int_equal(nopoll_ctx_ref_count(echo->ctx), 1);
    nopoll_ctx_unref(echo->ctx);
}

/* A text out and back on a connection that may not be ready yet. */
TEST_UNUSED static void tls_echo_once(noPollConn* conn, const char* text) {
    noPollMsg* msg = NULL;
    assert_true(nopoll_conn_is_ok(conn));
    assert_true(nopoll_conn_wait_until_connection_ready(conn, TEST_LIMIT_MS / 1000));
    assert_int_equal(nopoll_conn_send_text(conn, text, (long)strlen(text)), strlen(text));
    msg = test_get_msg(conn);
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, text, strlen(text), 1, 0);
}

#endif
