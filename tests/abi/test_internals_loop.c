/* SPDX-License-Identifier: MIT */
/* The exported parts of the loop: a program that drives the engine itself (spec:
 * context-and-loop.md 8, end). */
#include "raw_peer.h"

#include <nopoll_private.h>

void nopoll_loop_init(noPollCtx* ctx);
nopoll_bool nopoll_loop_process(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);
void nopoll_loop_process_data(noPollCtx* ctx, noPollConn* conn);
nopoll_bool nopoll_loop_register(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);

static int messages;

static void count_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    assert_string_equal((const char*)nopoll_msg_get_payload(msg), "text");
    messages++;
}

/* One pass as the original's loop made it; what the wait said. */
static int one_pass(noPollCtx* ctx) {
    int ready;
    int left;
    ctx->io_engine->clear(ctx, ctx->io_engine->io_object);
    assert_null(nopoll_ctx_foreach_conn(ctx, nopoll_loop_register, NULL));
    ready = ctx->io_engine->wait(ctx, ctx->io_engine->io_object);
    left = ready;
    if (ready > 0) {
        (void)nopoll_ctx_foreach_conn(ctx, nopoll_loop_process, &left);
        assert_int_equal(left, 0);
    }
    return ready;
}

static void end_engine(noPollCtx* ctx) {
    nopoll_io_release_engine(ctx->io_engine);
    ctx->io_engine = NULL;
}

static void init_makes_an_engine_once(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollIoEngine* engine = NULL;
    (void)state;
    nopoll_loop_init(NULL);
    assert_null(ctx->io_engine);
    nopoll_loop_init(ctx);
    engine = ctx->io_engine;
    assert_non_null(engine);
    assert_non_null(engine->io_object);
    nopoll_loop_init(ctx);
    assert_ptr_equal(ctx->io_engine, engine);
    end_engine(ctx);
    nopoll_ctx_unref(ctx);
}

/* Everything a server does: accept, handshake, message, end, with passes of the test's own. */
static void passes_of_a_server(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    unsigned char frame[32];
    char head[512];
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    (void)state;
    messages = 0;
    nopoll_ctx_set_on_msg(ctx, count_message, NULL);
    nopoll_loop_init(ctx);
    assert_int_equal(one_pass(ctx), 1);
    assert_int_equal(nopoll_ctx_conns(ctx), 2);
    test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
    assert_int_equal(one_pass(ctx), 1);
    assert_true(test_receive_head(fd, head, sizeof head) > 12);
    assert_memory_equal(head, "HTTP/1.1 101", 12);
    test_send_all(fd, frame, test_frame(frame, RAW_TEXT, 1, "text", 4));
    assert_int_equal(one_pass(ctx), 1);
    assert_int_equal(messages, 1);
    close(fd);
    assert_int_equal(one_pass(ctx), 1);
    /* A dead connection leaves with the next registration. */
    assert_int_equal(nopoll_ctx_conns(ctx), 2);
    ctx->io_engine->clear(ctx, ctx->io_engine->io_object);
    assert_null(nopoll_ctx_foreach_conn(ctx, nopoll_loop_register, NULL));
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    end_engine(ctx);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* The walk stops as soon as all that is ready was served. */
static void process_counts_down(void** state) {
    struct raw_peer first, second;
    int left;
    (void)state;
    raw_open(&first, RAW_ACCEPTED);
    second = first;
    raw_join(&second, RAW_ACCEPTED);
    messages = 0;
    nopoll_ctx_set_on_msg(first.ctx, count_message, NULL);
    nopoll_loop_init(first.ctx);
    raw_send_text(&first, "text");
    raw_send_text(&second, "text");
    raw_wait_arrived(&first, 10);
    raw_wait_arrived(&second, 10);
    assert_int_equal(nopoll_loop_register(first.ctx, first.conn, NULL), 0);
    assert_int_equal(nopoll_loop_register(first.ctx, second.conn, NULL), 0);
    assert_int_equal(first.ctx->io_engine->wait(first.ctx, first.ctx->io_engine->io_object), 2);
    left = 2;
    assert_int_equal(nopoll_loop_process(first.ctx, first.listener, &left), 0); /* not ready */
    assert_int_equal(left, 2);
    assert_int_equal(nopoll_loop_process(first.ctx, first.conn, &left), 0);
    assert_int_equal(left, 1);
    assert_int_equal(messages, 1);
    assert_int_equal(nopoll_loop_process(first.ctx, second.conn, &left), 1);
    assert_int_equal(left, 0);
    assert_int_equal(messages, 2);
    end_engine(first.ctx);
    raw_leave(&second);
    raw_close(&first);
}

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn;
    ++*(int*)data;
}

/* The field is the program's to write; what the loop does not know it does not serve. */
static void unknown_roles_are_ended(void** state) {
    (void)state;
    for (int in_loop = 0; in_loop < 2; in_loop++) {
        struct raw_peer peer;
        test_log* const log = (test_log*)calloc(1, sizeof *log);
        int closed = 0;
        raw_open(&peer, RAW_ACCEPTED);
        messages = 0;
        nopoll_ctx_set_on_msg(peer.ctx, count_message, NULL);
        nopoll_conn_set_on_close(peer.conn, count_close, &closed);
        raw_send_text(&peer, "text");
        raw_wait_arrived(&peer, 10);
        peer.conn->role = NOPOLL_ROLE_UNKNOWN;
        nopoll_log_set_handler(peer.ctx, test_log_record, log);
        if (in_loop)
            nopoll_loop_wait(peer.ctx, 1);
        else
            nopoll_loop_process_data(peer.ctx, peer.conn);
        assert_int_equal(messages, 0);
        assert_int_equal(closed, 1);
        assert_int_equal(log->criticals, 1);
        assert_false(nopoll_conn_is_ok(peer.conn));
        nopoll_log_set_handler(peer.ctx, NULL, NULL);
        peer.conn->role = NOPOLL_ROLE_LISTENER;
        raw_close(&peer);
        free(log);
    }
}

/* The read step without any engine: the handshake, then what is there; never waiting. */
static void process_data(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    messages = 0;
    nopoll_ctx_set_on_msg(peer.ctx, count_message, NULL);
    nopoll_loop_process_data(peer.ctx, peer.conn);
    assert_int_equal(messages, 0);
    raw_send_text(&peer, "text");
    raw_wait_arrived(&peer, 10);
    nopoll_loop_process_data(peer.ctx, peer.conn);
    assert_int_equal(messages, 1);
    close(peer.fd);
    peer.fd = -1;
    assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
    nopoll_loop_process_data(peer.ctx, peer.conn);
    assert_false(nopoll_conn_is_ok(peer.conn));
    nopoll_loop_process_data(peer.ctx, peer.conn);
    raw_close(&peer);
}

static void null_is_harmless(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    int left = 1;
    (void)state;
    assert_int_equal(nopoll_loop_register(NULL, listener, NULL), 0);
    assert_int_equal(nopoll_loop_register(ctx, NULL, NULL), 0);
    assert_int_equal(nopoll_loop_process(NULL, listener, &left), 0);
    assert_int_equal(nopoll_loop_process(ctx, NULL, &left), 0);
    assert_int_equal(nopoll_loop_process(ctx, listener, NULL), 0);
    nopoll_loop_process_data(NULL, listener);
    nopoll_loop_process_data(ctx, NULL);
    /* Without an engine there is nothing to add to, and nothing is ready. */
    assert_int_equal(nopoll_loop_register(ctx, listener, NULL), 0);
    assert_int_equal(nopoll_loop_process(ctx, listener, &left), 0);
    assert_int_equal(left, 1);
    assert_true(nopoll_conn_is_ok(listener));
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_makes_an_engine_once), cmocka_unit_test(passes_of_a_server),
        cmocka_unit_test(process_counts_down),       cmocka_unit_test(process_data),
        cmocka_unit_test(unknown_roles_are_ended),   cmocka_unit_test(null_is_harmless),
    };
    alarm((unsigned)(5 * TEST_LIMIT_MS / 1000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
