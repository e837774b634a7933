/* SPDX-License-Identifier: MIT */
/* References of connections and what nopoll_conn_close does with them (spec: connection.md
 * sections 5 and 9.3), outside and inside handlers. Whether an object is gone is read off its
 * context, which every connection object holds. */
#include "stream_peer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define READS_FREED_MEMORY 0
#else
#define READS_FREED_MEMORY 1
#endif

/* Exported, in no header. */
nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn);

/* Connection objects that exist; the test holds the context once itself. */
static int objects(noPollCtx* ctx) {
    return nopoll_ctx_ref_count(ctx) - 1;
}

static void null_connections_are_answered(void** state) {
    (void)state;
    assert_int_equal(nopoll_conn_ref(NULL), 0);
    assert_int_equal(nopoll_conn_ref_count(NULL), -1);
    nopoll_conn_unref(NULL);
    nopoll_conn_close(NULL);
    nopoll_conn_close_ext(NULL, 1000, "x", 1);
    nopoll_conn_shutdown(NULL);
}

static void fresh_objects_have_their_references(void** state) {
    (void)state;
    test_pair pair;
    test_pair_open(&pair);
    assert_int_equal(nopoll_conn_ref_count(pair.client), 2);
    assert_int_equal(nopoll_conn_ref_count(pair.listener), 2);
    assert_int_equal(nopoll_conn_ref_count(pair.server), 1);
    assert_int_equal(nopoll_conn_ref(pair.server), 1);
    assert_int_equal(nopoll_conn_ref_count(pair.server), 2);
    nopoll_conn_unref(pair.server);
    assert_int_equal(nopoll_conn_ref_count(pair.server), 1);
    test_pair_close(&pair);
}

/* --- the table of 9.3, called from anywhere --- */

enum who { CLIENT, ACCEPTED, LISTENER };

struct row {
    const char* name;
    enum who who;
    int extra;     /* references the program has taken */
    int dropped;   /* dead, and dropped by the loop */
    int closes;    /* earlier calls of nopoll_conn_close */
    int before;    /* count right before the call */
    int after;     /* and after it; 0: destroyed */
};

static const struct row rows[] = {
    {"client", CLIENT, 0, 0, 0, 2, 0},
    {"listener", LISTENER, 0, 0, 0, 2, 0},
    {"client, referenced once", CLIENT, 1, 0, 0, 3, 1},
    {"listener, referenced once", LISTENER, 1, 0, 0, 3, 1},
    {"client, referenced twice", CLIENT, 2, 0, 0, 4, 2},
    {"accepted", ACCEPTED, 0, 0, 0, 1, 0},
    {"accepted, referenced once", ACCEPTED, 1, 0, 0, 2, 0},
    {"accepted, referenced twice", ACCEPTED, 2, 0, 0, 3, 1},
    {"client dropped by the loop", CLIENT, 0, 1, 0, 1, 0},
    {"listener dropped by the loop", LISTENER, 0, 1, 0, 1, 0},
    {"client dropped by the loop, referenced once", CLIENT, 1, 1, 0, 2, 1},
    {"accepted dropped by the loop, referenced once", ACCEPTED, 1, 1, 0, 1, 1},
    {"accepted dropped by the loop, referenced twice", ACCEPTED, 2, 1, 0, 2, 1},
    {"client closed before, own reference", CLIENT, 1, 0, 1, 1, 1},
    {"listener closed before, own reference", LISTENER, 1, 0, 1, 1, 1},
    {"accepted closed before, own reference", ACCEPTED, 2, 0, 1, 1, 1},
    {"client closed before, two own references", CLIENT, 2, 0, 1, 2, 1},
    {"accepted closed before, two own references", ACCEPTED, 3, 0, 1, 2, 1},
    {"client closed twice before", CLIENT, 2, 0, 2, 1, 1},
};

#define ROWS (sizeof rows / sizeof *rows)

static noPollConn* pick(const test_pair* pair, enum who who) {
    return who == CLIENT ? pair->client : who == ACCEPTED ? pair->server : pair->listener;
}

static void forget(test_pair* pair, enum who who) {
    if (who == CLIENT) pair->client = NULL;
    if (who == ACCEPTED) pair->server = NULL;
    if (who == LISTENER) pair->listener = NULL;
}

static void prepare(const struct row* row, const test_pair* pair) {
    noPollConn* const conn = pick(pair, row->who);
    for (int i = 0; i < row->extra; i++)
        nopoll_conn_ref(conn);
    if (row->dropped) {
        nopoll_conn_shutdown(conn);
        ROW_CHECK(row->name, nopoll_conn_ref_count(conn) == row->before + 1);
        ROW_CHECK(row->name, __nopoll_ctx_conn_is_registered(pair->ctx, conn));
        nopoll_loop_wait(pair->ctx, 1);
        ROW_CHECK(row->name, !__nopoll_ctx_conn_is_registered(pair->ctx, conn));
    }
    for (int i = 0; i < row->closes; i++)
        nopoll_conn_close(conn);
}

static void closing_counts_references(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row* const row = &rows[i];
        test_pair pair;
        test_pair_open(&pair);
        noPollConn* const conn = pick(&pair, row->who);
        prepare(row, &pair);
        ROW_CHECK(row->name, nopoll_conn_ref_count(conn) == row->before);
        const int existing = objects(pair.ctx);
        nopoll_conn_close(conn);
        ROW_CHECK(row->name, objects(pair.ctx) == existing - (row->after == 0));
        if (row->after > 0) {
            ROW_CHECK(row->name, nopoll_conn_ref_count(conn) == row->after);
            ROW_CHECK(row->name, !nopoll_conn_is_ok(conn));
            ROW_CHECK(row->name, !__nopoll_ctx_conn_is_registered(pair.ctx, conn));
            for (int k = 0; k < row->after; k++)
                nopoll_conn_unref(conn);
            ROW_CHECK(row->name, objects(pair.ctx) == existing - 1);
        }
        forget(&pair, row->who);
        test_pair_close(&pair);
    }
}

/* A handler that does a row with another connection, or with its own. */
typedef struct {
    const struct row* row;
    noPollConn* conn;
    int runs;
    int own; /* the handler belongs to conn: one more reference while it runs */
} errand;

static void do_errand(noPollCtx* ctx, errand* now) {
    const struct row* const row = now->row;
    const int existing = objects(ctx);
    const int kept = row->after + now->own;
    now->runs++;
    for (int i = 0; i < row->extra; i++)
        nopoll_conn_ref(now->conn);
    for (int i = 0; i < row->closes; i++)
        nopoll_conn_close(now->conn);
    ROW_CHECK(row->name, nopoll_conn_ref_count(now->conn) == row->before + now->own);
    nopoll_conn_close(now->conn);
    ROW_CHECK(row->name, objects(ctx) == existing - (kept == 0));
    if (kept > 0) {
        ROW_CHECK(row->name, nopoll_conn_ref_count(now->conn) == kept);
        ROW_CHECK(row->name, nopoll_conn_get_id(now->conn) > 1);
        ROW_CHECK(row->name, !nopoll_conn_is_ok(now->conn));
    }
}

static void errand_on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    do_errand(ctx, data);
}

static nopoll_bool errand_on_visit(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    errand* const now = data;
    if (conn == now->conn) do_errand(ctx, now);
    return nopoll_false;
}

/* Whoever the row is about gets the message itself, or (listeners) the accepted connection does. */
static void closing_inside_loop_handlers_counts_the_same(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row* const row = &rows[i];
        test_pair pair;
        if (row->dropped) continue; /* a dead connection has no handlers any more */
        test_pair_open(&pair);
        errand now = {row, pick(&pair, row->who), 0, row->who != LISTENER};
        noPollConn* const receiver = row->who == CLIENT ? pair.client : pair.server;
        noPollConn* const sender = row->who == CLIENT ? pair.server : pair.client;
        nopoll_conn_set_on_msg(receiver, errand_on_msg, &now);
        const int existing = objects(pair.ctx);
        nopoll_conn_send_text(sender, "go", 2);
        LOOP_UNTIL(pair.ctx, now.runs > 0);
        ROW_CHECK(row->name, now.runs == 1);
        if (row->after > 0) {
            ROW_CHECK(row->name, nopoll_conn_ref_count(now.conn) == row->after);
            for (int k = 0; k < row->after; k++)
                nopoll_conn_unref(now.conn);
        }
        forget(&pair, row->who);
        /* The partner has seen the end, too: the loop may have dropped an accepted one. */
        if (row->who == CLIENT) {
            LOOP_UNTIL(pair.ctx, nopoll_ctx_conns(pair.ctx) == 1);
            forget(&pair, ACCEPTED);
            ROW_CHECK(row->name, objects(pair.ctx) == existing - 2);
        } else {
            ROW_CHECK(row->name, objects(pair.ctx) == existing - 1);
        }
        test_pair_close(&pair);
    }
}

static void closing_inside_foreach_counts_the_same(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row* const row = &rows[i];
        test_pair pair;
        if (row->dropped) continue;
        test_pair_open(&pair);
        errand now = {row, pick(&pair, row->who), 0, 1};
        const int existing = objects(pair.ctx);
        nopoll_ctx_foreach_conn(pair.ctx, errand_on_visit, &now);
        ROW_CHECK(row->name, now.runs == 1);
        ROW_CHECK(row->name, objects(pair.ctx) == existing - (row->after == 0));
        for (int k = 0; k < row->after; k++)
            nopoll_conn_unref(now.conn);
        ROW_CHECK(row->name, objects(pair.ctx) == existing - 1);
        forget(&pair, row->who);
        test_pair_close(&pair);
    }
}

/* --- handlers outside the loop --- */

typedef struct {
    int runs;
    int references;
    int close_it;
} watcher;

static nopoll_bool watch_action(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    watcher* const now = data;
    (void)ctx;
    now->runs++;
    now->references = nopoll_conn_ref_count(conn);
    if (now->close_it) nopoll_conn_close(conn);
    return nopoll_true;
}

static void watch_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    watch_action(ctx, conn, data);
}

static void watch_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)msg;
    watch_action(ctx, conn, data);
}

/* on_accept, on_open and on_ready in direct calls see the count as it is; in the loop one more. */
static void handlers_see_the_references(void** state) {
    (void)state;
    for (int in_loop = 0; in_loop < 2; in_loop++) {
        watcher seen[5];
        peer_scene scene;
        memset(seen, 0, sizeof seen);
        memset(&scene, 0, sizeof scene);
        scene.ctx = nopoll_ctx_new();
        scene.listening = -1;
        nopoll_ctx_set_on_accept(scene.ctx, watch_action, &seen[0]);
        nopoll_ctx_set_on_open(scene.ctx, watch_action, &seen[1]);
        nopoll_ctx_set_on_ready(scene.ctx, watch_action, &seen[2]);
        nopoll_ctx_set_on_msg(scene.ctx, watch_msg, &seen[3]);
        scene.listener = nopoll_listener_new(scene.ctx, "127.0.0.1", "0");
        scene.fd = test_connect(test_port_of(nopoll_conn_socket(scene.listener)));
        test_send_all(scene.fd, TEST_REQUEST, strlen(TEST_REQUEST));
        if (in_loop) {
            LOOP_UNTIL(scene.ctx, seen[2].runs == 1);
        } else {
            noPollConn* const conn = nopoll_conn_accept(scene.ctx, scene.listener);
            POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
        }
        assert_int_equal(seen[0].references, 1);
        assert_int_equal(seen[1].references, 1 + in_loop);
        assert_int_equal(seen[2].references, 1 + in_loop);
        unsigned char frame[32];
        test_send_all(scene.fd, frame, test_frame(frame, 0x81, 1, "hi", 2));
        LOOP_UNTIL(scene.ctx, seen[3].runs == 1);
        assert_int_equal(seen[3].references, 2);
        for (int i = 0; i < 4; i++)
            assert_int_equal(seen[i].runs, 1);
        close(scene.fd);
        scene.fd = -1;
        LOOP_UNTIL(scene.ctx, nopoll_ctx_conns(scene.ctx) == 1);
        peer_end(&scene);
    }
}

static void clients_in_handlers_have_one_more_in_the_loop_only(void** state) {
    (void)state;
    for (int in_loop = 0; in_loop < 2; in_loop++) {
        watcher ready;
        watcher closed;
        peer_scene scene;
        memset(&ready, 0, sizeof ready);
        memset(&closed, 0, sizeof closed);
        peer_client_asking(&scene, NULL, NULL, NULL);
        nopoll_conn_set_on_ready(scene.conn, watch_action, &ready);
        nopoll_conn_set_on_close(scene.conn, watch_close, &closed);
        peer_answer(&scene, "");
        if (in_loop)
            LOOP_UNTIL(scene.ctx, ready.runs == 1);
        else
            POLL_UNTIL(nopoll_conn_socket(scene.conn), nopoll_conn_is_ready(scene.conn));
        assert_int_equal(ready.references, 2 + in_loop);
        test_send_all(scene.fd, "\x88\x00", 2);
        if (in_loop)
            LOOP_UNTIL(scene.ctx, closed.runs == 1);
        else
            assert_null(test_get_msg(scene.conn));
        assert_int_equal(closed.runs, 1);
        assert_int_equal(closed.references, 2 + in_loop);
        peer_end(&scene);
    }
}

/* Closing an accepted connection in a handler that a direct call runs: the object is gone when the
 * call returns, and not before. */
static void direct_calls_survive_handlers_that_close(void** state) {
    (void)state;
    for (int handler = 0; handler < 3; handler++) {
        for (int call = 0; call < 4; call++) {
            watcher seen[3];
            memset(seen, 0, sizeof seen);
            seen[handler].close_it = 1;
            noPollCtx* const ctx = nopoll_ctx_new();
            nopoll_ctx_set_on_open(ctx, watch_action, &seen[0]);
            nopoll_ctx_set_on_ready(ctx, watch_action, &seen[1]);
            noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
            const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
            noPollConn* const conn = nopoll_conn_accept(ctx, listener);
            nopoll_conn_set_on_close(conn, watch_close, &seen[2]);
            test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
            test_send_all(fd, "\x88\x80\x00\x00\x00\x00", 6);
            char buffer[16];
            const long end = test_now_ms() + TEST_LIMIT_MS;
            while (seen[handler].runs == 0 && test_now_ms() < end) {
                test_readable(nopoll_conn_socket(conn), 20);
                if (call == 0) nopoll_conn_get_msg(conn);
                if (call == 1) nopoll_conn_read(conn, buffer, sizeof buffer, nopoll_false, 0);
                if (call == 2) nopoll_conn_read(conn, buffer, sizeof buffer, nopoll_true, 5000);
                if (call == 3 && nopoll_conn_wait_until_connection_ready(conn, 5) && handler == 2)
                    nopoll_conn_get_msg(conn);
            }
            assert_int_equal(seen[handler].runs, 1);
            assert_int_equal(objects(ctx), 1);
            assert_int_equal(nopoll_ctx_conns(ctx), 1);
            nopoll_conn_close(listener);
            nopoll_ctx_unref(ctx);
            close(fd);
        }
    }
}

/* --- the end of objects --- */

static void dead_connections_are_dropped_by_the_loop(void** state) {
    (void)state;
    test_pair pair;
    test_pair_open(&pair);
    nopoll_conn_shutdown(pair.server);
    nopoll_conn_shutdown(pair.client);
    nopoll_conn_shutdown(pair.listener);
    assert_int_equal(nopoll_ctx_conns(pair.ctx), 3);
    assert_int_equal(objects(pair.ctx), 3);
    nopoll_loop_wait(pair.ctx, 1);
    assert_int_equal(nopoll_ctx_conns(pair.ctx), 0);
    assert_int_equal(objects(pair.ctx), 2); /* nobody holds the accepted one */
    assert_int_equal(nopoll_conn_ref_count(pair.client), 1);
    assert_int_equal(nopoll_conn_ref_count(pair.listener), 1);
    nopoll_conn_unref(pair.client); /* as good as close */
    nopoll_conn_close(pair.listener);
    assert_int_equal(objects(pair.ctx), 0);
    nopoll_ctx_unref(pair.ctx);
}

static void the_last_unref_closes_silently(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    watcher closed;
    memset(&closed, 0, sizeof closed);
    peer_client_scene(&scene, NULL);
    nopoll_conn_set_on_close(scene.conn, watch_close, &closed);
    nopoll_conn_unref(scene.conn);
    assert_int_equal(objects(scene.ctx), 1);
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 1);
    nopoll_ctx_unregister_conn(scene.ctx, scene.conn);
    assert_int_equal(objects(scene.ctx), 0);
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 0); /* no Close frame */
    assert_int_equal(closed.runs, 0);
    scene.conn = NULL;
    peer_end(&scene);
}

static void accepted_connections_outlive_their_listener(void** state) {
    (void)state;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_max_frame_size(options, 100);
    nopoll_conn_opts_skip_origin_check(options, nopoll_true);
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new_opts(ctx, options, "127.0.0.1", "0");
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    noPollConn* const conn = nopoll_conn_accept(ctx, listener);
    assert_ptr_equal(nopoll_conn_get_listener(conn), listener);
    assert_int_equal(nopoll_conn_ref_count(listener), 2); /* accepting adds none */
    nopoll_conn_close(listener);
    assert_int_equal(objects(ctx), 1);
    assert_null(nopoll_conn_get_listener(conn));
    assert_true(nopoll_conn_get_max_frame_size(conn) == 100);
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n\r\n"; /* without Origin */
    test_send_all(fd, request, strlen(request));
    POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
    unsigned char frame[128];
    char text[101];
    memset(text, 'x', sizeof text);
    test_send_all(fd, frame, test_frame(frame, 0x81, 1, text, 100));
    noPollMsg* const msg = test_get_msg(conn);
    assert_non_null(msg);
    assert_int_equal(nopoll_msg_get_payload_size(msg), 100);
    nopoll_msg_unref(msg);
    test_send_all(fd, frame, test_frame(frame, 0x81, 1, text, 101)); /* one more than allowed */
    assert_null(test_get_msg(conn));
    assert_int_equal(nopoll_conn_is_ok(conn), 0);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    close(fd);
}

/* Real programs ask for the count right after nopoll_conn_close, and rely on 0. That reads freed
 * memory, so sanitizers must not see it. */
static void the_count_is_zero_right_after_close(void** state) {
    (void)state;
    test_pair pair;
    if (!READS_FREED_MEMORY) {
        print_message("reads freed memory on purpose: skipped under sanitizers\n");
        skip();
    }
    test_pair_open(&pair);
    nopoll_conn_close(pair.client);
    assert_int_equal(nopoll_conn_ref_count(pair.client), 0);
    pair.client = NULL;
    test_pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_connections_are_answered),
        cmocka_unit_test(fresh_objects_have_their_references),
        cmocka_unit_test(closing_counts_references),
        cmocka_unit_test(closing_inside_loop_handlers_counts_the_same),
        cmocka_unit_test(closing_inside_foreach_counts_the_same),
        cmocka_unit_test(handlers_see_the_references),
        cmocka_unit_test(clients_in_handlers_have_one_more_in_the_loop_only),
        cmocka_unit_test(direct_calls_survive_handlers_that_close),
        cmocka_unit_test(dead_connections_are_dropped_by_the_loop),
        cmocka_unit_test(the_last_unref_closes_silently),
        cmocka_unit_test(accepted_connections_outlive_their_listener),
        cmocka_unit_test(the_count_is_zero_right_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
