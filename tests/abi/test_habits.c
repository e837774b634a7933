/* SPDX-License-Identifier: MIT */
/* What programs in the field do with the library, in the way they do it: threads without mutex
 * hooks, loops in slices that were meant as milliseconds, contexts and connections let go of early
 * or late (spec: usage.md). */
#include "abi_test.h"

#include <pthread.h>

/* --- a server whose loop has a thread of its own; it says everything again --- */

struct server {
    noPollCtx* ctx;
    noPollConn* listener;
    pthread_t thread;
    int received; /* atomic, as all of these */
    int ended;
    int done;
    int close_at; /* not 0: closes a connection after its message */
};

static int value_of(int* field) {
    return __atomic_load_n(field, __ATOMIC_SEQ_CST);
}

static void add_to(int* field, int number) {
    (void)__atomic_add_fetch(field, number, __ATOMIC_SEQ_CST);
}

static void note_end(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn;
    add_to(&((struct server*)data)->ended, 1);
}

static nopoll_bool note_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    nopoll_conn_set_on_close(conn, note_end, data);
    return nopoll_true;
}

static void say_again(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct server* const server = (struct server*)data;
    const long size = nopoll_msg_get_payload_size(msg);
    (void)ctx;
    (void)nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg), size);
    add_to(&server->received, 1);
    if (value_of(&server->close_at) > 0) nopoll_conn_close_ext(conn, 1001, NULL, 0);
}

static void* run_loop(void* data) {
    struct server* const server = (struct server*)data;
    while (!value_of(&server->done))
        (void)nopoll_loop_wait(server->ctx, 0);
    return NULL;
}

static void server_start(struct server* server) {
    memset(server, 0, sizeof *server);
    server->ctx = nopoll_ctx_new();
    server->listener = nopoll_listener_new(server->ctx, "127.0.0.1", "0");
    assert_non_null(server->listener);
    nopoll_ctx_set_on_ready(server->ctx, note_ready, server);
    nopoll_ctx_set_on_msg(server->ctx, say_again, server);
    assert_int_equal(pthread_create(&server->thread, NULL, run_loop, server), 0);
}

static nopoll_bool close_it(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    if (nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER) nopoll_conn_close(conn);
    return nopoll_false;
}

static void server_stop(struct server* server) {
    add_to(&server->done, 1);
    /* A stop between two waits is forgotten; `done` is looked at before the next one begins. */
    while (pthread_tryjoin_np(server->thread, NULL) != 0) {
        nopoll_loop_stop(server->ctx);
        poll(NULL, 0, 1);
    }
    (void)nopoll_ctx_foreach_conn(server->ctx, close_it, NULL);
    nopoll_conn_close(server->listener);
    assert_int_equal(nopoll_ctx_conns(server->ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(server->ctx), 1);
    nopoll_ctx_unref(server->ctx);
}

static noPollConn* connect_to(noPollCtx* ctx, struct server* server) {
    noPollConn* const conn =
        nopoll_conn_new(ctx, "127.0.0.1", test_port(server->listener), NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_is_ok(conn));
    return conn;
}

static void expect_message(noPollConn* conn, const char* text) {
    noPollMsg* const msg = test_get_msg(conn);
    assert_non_null(msg);
    assert_string_equal((const char*)nopoll_msg_get_payload(msg), text);
    nopoll_msg_unref(msg);
}

/* --- contexts and connections let go of --- */

/* The reference on the context is given back at once; only sends and flushes follow, for the life
 * of the process. */
static void context_dropped_while_the_connection_lives(void** state) {
    struct server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn;
    (void)state;
    server_start(&server);
    conn = connect_to(ctx, &server);
    nopoll_ctx_unref(ctx);
    assert_true(nopoll_conn_wait_until_connection_ready(conn, 5));
    for (int i = 1; i <= 20; i++) {
        const int sent = nopoll_conn_send_text(conn, "report", 6);
        assert_int_equal(nopoll_conn_flush_writes(conn, 2000000, sent), 6);
        expect_message(conn, "report");
    }
    assert_ptr_equal(nopoll_conn_ctx(conn), ctx);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_conn_close(conn);
    server_stop(&server);
    assert_int_equal(server.received, 20);
}

/* nopoll_conn_unref in place of nopoll_conn_close: the registry's reference keeps it going. */
static void unref_in_place_of_close(void** state) {
    struct server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn;
    (void)state;
    server_start(&server);
    conn = connect_to(ctx, &server);
    assert_true(nopoll_conn_wait_until_connection_ready(conn, 5));
    nopoll_conn_unref(conn);
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    assert_int_equal(nopoll_conn_send_text(conn, "still", 5), 5);
    expect_message(conn, "still");
    nopoll_ctx_unref(ctx); /* as the program ends */
    assert_true(nopoll_conn_is_ok(conn));
    nopoll_conn_close(conn); /* the last reference, and that of the context */
    server_stop(&server);
}

static noPollMsg* kept;

static void keep_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn, (void)data;
    nopoll_msg_ref(msg);
    kept = msg;
    nopoll_loop_stop(ctx);
}

static void message_kept_beyond_its_context(void** state) {
    struct server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn;
    (void)state;
    server_start(&server);
    conn = connect_to(ctx, &server);
    nopoll_ctx_set_on_msg(ctx, keep_message, NULL);
    assert_true(nopoll_conn_wait_until_connection_ready(conn, 5));
    assert_int_equal(nopoll_conn_send_text(conn, "keep me", 7), 7);
    assert_int_equal(nopoll_loop_wait(ctx, 5000000), 0);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    server_stop(&server);
    assert_non_null(kept);
    assert_string_equal((const char*)nopoll_msg_get_payload(kept), "keep me");
    assert_int_equal(nopoll_msg_ref_count(kept), 1);
    nopoll_msg_unref(kept);
}

static void count_end(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn;
    ++*(int*)data;
}

/* Connects, loses, connects again, for days, on one context. */
static void one_context_for_many_connections(void** state) {
    enum { kTimes = 30 };
    struct server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    int ends = 0;
    (void)state;
    server_start(&server);
    add_to(&server.close_at, 1);
    for (int i = 0; i < kTimes; i++) {
        noPollConn* const conn = connect_to(ctx, &server);
        nopoll_conn_set_on_close(conn, count_end, &ends);
        assert_true(nopoll_conn_wait_until_connection_ready(conn, 5));
        assert_int_equal(nopoll_conn_send_text(conn, "again", 5), 5);
        LOOP_UNTIL(ctx, ends > i);
        assert_false(nopoll_conn_is_ok(conn));
        assert_int_equal(nopoll_conn_get_close_status(conn), 1001);
        if (i % 2) LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 0); /* dropped by the loop first */
        nopoll_conn_close(conn);
        assert_int_equal(nopoll_ctx_conns(ctx), 0);
        assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    }
    assert_int_equal(ends, kTimes);
    nopoll_ctx_unref(ctx);
    server_stop(&server);
    assert_int_equal(server.ended, kTimes);
}

/* --- loops in slices of 10 or 100 us, and threads without hooks --- */

static void count_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx, (void)conn, (void)msg;
    ++*(int*)data;
}

struct sender {
    noPollConn* conn;
    int count;
    int failed;
};

static void* send_many(void* data) {
    struct sender* const sender = (struct sender*)data;
    for (int i = 0; i < sender->count; i++) {
        int sent = nopoll_conn_send_text(sender->conn, "from a thread", 13);
        sent = nopoll_conn_flush_writes(sender->conn, 2000, sent);
        if (sent != 13) sender->failed++;
    }
    return NULL;
}

static void slices_and_a_sending_thread(void** state) {
    enum { kMessages = 200 };
    struct server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    struct sender sender = {NULL, kMessages, 0};
    int messages = 0;
    pthread_t thread;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    (void)state;
    server_start(&server);
    nopoll_ctx_set_on_msg(ctx, count_message, &messages);
    sender.conn = connect_to(ctx, &server);
    while (!nopoll_conn_is_ready(sender.conn) && test_now_ms() < end)
        assert_int_equal(nopoll_loop_wait(ctx, 100), -3);
    assert_int_equal(pthread_create(&thread, NULL, send_many, &sender), 0);
    while (messages < kMessages && test_now_ms() < end)
        assert_int_equal(nopoll_loop_wait(ctx, 10), -3);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(messages, kMessages);
    assert_int_equal(sender.failed, 0);
    nopoll_conn_close(sender.conn);
    nopoll_ctx_unref(ctx);
    server_stop(&server);
}

static nopoll_bool send_to_it(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    if (nopoll_conn_role(conn) != NOPOLL_ROLE_LISTENER) return nopoll_false;
    const int sent = nopoll_conn_send_text(conn, "to everybody", 12);
    if (nopoll_conn_flush_writes(conn, 2000, sent) != 12) add_to((int*)data, 1);
    return nopoll_false;
}

struct broadcaster {
    noPollCtx* ctx;
    int count;
    int failed;
};

static void* broadcast(void* data) {
    struct broadcaster* const from = (struct broadcaster*)data;
    for (int i = 0; i < from->count; i++)
        (void)nopoll_ctx_foreach_conn(from->ctx, send_to_it, &from->failed);
    return NULL;
}

/* The loop sleeps in one thread, two others send to all its connections. */
static void threads_that_broadcast(void** state) {
    enum { kClients = 3, kEach = 50, kThreads = 2 };
    struct server server;
    struct broadcaster from[kThreads];
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* clients[kClients];
    pthread_t threads[kThreads];
    (void)state;
    server_start(&server);
    for (int i = 0; i < kClients; i++) {
        clients[i] = connect_to(ctx, &server);
        assert_true(nopoll_conn_wait_until_connection_ready(clients[i], 5));
        assert_int_equal(nopoll_conn_send_text(clients[i], "here", 4), 4);
        expect_message(clients[i], "here");
    }
    for (int i = 0; i < kThreads; i++) {
        from[i] = (struct broadcaster){server.ctx, kEach, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, broadcast, &from[i]), 0);
    }
    for (int i = 0; i < kClients; i++)
        for (int k = 0; k < kThreads * kEach; k++)
            expect_message(clients[i], "to everybody");
    for (int i = 0; i < kThreads; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(from[i].failed, 0);
    }
    for (int i = 0; i < kClients; i++)
        nopoll_conn_close(clients[i]);
    nopoll_ctx_unref(ctx);
    server_stop(&server);
}

/* --- a thread and a context for each socket that the program accepts itself --- */

struct visitor {
    noPollConn* listener;
    int fd;
    int received;
    pthread_t thread;
};

static void stop_loop(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)conn, (void)data;
    nopoll_loop_stop(ctx);
}

static void answer(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    ((struct visitor*)data)->received++;
    (void)nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                                nopoll_msg_get_payload_size(msg));
}

static void* serve_one(void* data) {
    struct visitor* const visitor = (struct visitor*)data;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const conn = nopoll_conn_accept_socket(ctx, visitor->listener, visitor->fd);
    void* result = NULL;
    if (conn != NULL) {
        nopoll_conn_set_on_close(conn, stop_loop, NULL);
        nopoll_ctx_set_on_msg(ctx, answer, visitor);
        if (nopoll_loop_wait(ctx, 0) == 0) result = data;
        nopoll_conn_close(conn);
        if (nopoll_ctx_ref_count(ctx) != 1) result = NULL;
    }
    nopoll_ctx_unref(ctx);
    return result;
}

static void a_context_for_each_socket(void** state) {
    enum { kVisitors = 4 };
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    struct visitor visitors[kVisitors];
    noPollConn* clients[kVisitors];
    (void)state;
    for (int i = 0; i < kVisitors; i++) {
        clients[i] = nopoll_conn_new(ctx, "127.0.0.1", test_port(listener), NULL, NULL, NULL, NULL);
        visitors[i] = (struct visitor){listener, -1, 0, 0};
        visitors[i].fd = nopoll_listener_accept(nopoll_conn_socket(listener));
        assert_true(visitors[i].fd >= 0);
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, serve_one, &visitors[i]), 0);
    }
    for (int i = 0; i < kVisitors; i++) {
        assert_true(nopoll_conn_wait_until_connection_ready(clients[i], 5));
        assert_int_equal(nopoll_conn_send_text(clients[i], "hello", 5), 5);
    }
    for (int i = 0; i < kVisitors; i++) {
        void* result = NULL;
        expect_message(clients[i], "hello");
        nopoll_conn_close(clients[i]);
        assert_int_equal(pthread_join(visitors[i].thread, &result), 0);
        assert_ptr_equal(result, &visitors[i]);
        assert_int_equal(visitors[i].received, 1);
    }
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_dropped_while_the_connection_lives),
        cmocka_unit_test(unref_in_place_of_close),
        cmocka_unit_test(message_kept_beyond_its_context),
        cmocka_unit_test(one_context_for_many_connections),
        cmocka_unit_test(slices_and_a_sending_thread),
        cmocka_unit_test(threads_that_broadcast),
        cmocka_unit_test(a_context_for_each_socket),
    };
    alarm((unsigned)(5 * TEST_LIMIT_MS / 1000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
