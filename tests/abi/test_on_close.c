/* SPDX-License-Identifier: MIT */
/* on_close (spec: connection.md sections 8 and 9.1): when it runs, what still works in it, what it
 * may do. References: test_conn_refs.c. */
#include "stream_peer.h"

#include <signal.h>

static int pipe_signals;

static void count_signal(int number) {
    (void)number;
    pipe_signals++;
}

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    ++*(int*)data;
}

static void listeners_are_not_written_to(void** state) {
    (void)state;
    int closes = 0;
    test_log* log = calloc(1, sizeof *log);
    noPollCtx* const ctx = nopoll_ctx_new();
    signal(SIGPIPE, count_signal);
    nopoll_log_set_handler(ctx, test_log_record, log);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const int fd = nopoll_conn_socket(listener);
    nopoll_conn_set_on_close(listener, count_close, &closes);
    nopoll_conn_close_ext(listener, 1001, "bye", 3);
    assert_int_equal(closes, 1);
    assert_false(peer_is_open(fd));
    assert_int_equal(log->criticals, 0);
    assert_int_equal(pipe_signals, 0);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
    signal(SIGPIPE, SIG_DFL);
    free(log);
}

/* --- on_close --- */

typedef struct {
    int runs;
    int fd;           /* the raw peer's */
    int seen_before;  /* bytes that the peer had when on_close ran */
    int ended_before; /* and whether its stream had ended */
    int sent;         /* result of a send inside */
    int take_away;    /* the socket is set to -1 */
    int nested;       /* 1: shutdown inside, 2: close inside */
    int references;   /* after the nested call */
} farewell;

static void say_farewell(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    farewell* const now = data;
    char bytes[64];
    assert_true(nopoll_conn_ctx(conn) == ctx);
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    now->runs++;
    const ssize_t got = recv(now->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    now->seen_before = got > 0 ? (int)got : 0;
    now->ended_before = got == 0;
    now->sent = nopoll_conn_send_text(conn, "last words", 10);
    if (now->nested == 1) nopoll_conn_shutdown(conn);
    if (now->nested == 2) nopoll_conn_close_ext(conn, 1001, "again", 5);
    now->references = nopoll_conn_ref_count(conn);
    if (now->take_away) nopoll_conn_set_socket(conn, -1);
}

/* The Close frame is out, the socket is still open: then on_close, then the end. */
static void on_close_runs_between_frame_and_end(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    farewell now;
    memset(&now, 0, sizeof now);
    peer_server_scene(&scene, NULL);
    now.fd = scene.fd;
    nopoll_conn_set_on_close(scene.conn, say_farewell, &now);
    nopoll_conn_close_ext(scene.conn, 1000, "bye", 3);
    scene.conn = NULL;
    assert_int_equal(now.runs, 1);
    assert_int_equal(now.seen_before, 7);
    assert_int_equal(now.ended_before, 0);
    assert_int_equal(now.sent, -1); /* nothing may follow a Close frame */
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 7);
    peer_end(&scene);
}

static void on_close_may_send_before_a_shutdown(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    farewell now;
    memset(&now, 0, sizeof now);
    peer_server_scene(&scene, NULL);
    now.fd = scene.fd;
    nopoll_conn_set_on_close(scene.conn, say_farewell, &now);
    nopoll_conn_shutdown(scene.conn);
    assert_int_equal(now.runs, 1);
    assert_int_equal(now.seen_before, 0);
    assert_int_equal(now.ended_before, 0);
    assert_int_equal(now.sent, 10);
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 12);
    assert_memory_equal(seen.bytes, "\x81\x0alast words", 12);
    peer_end(&scene);
}

static void on_close_may_take_the_socket_away(void** state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        peer_scene scene;
        peer_stream seen;
        farewell now;
        memset(&now, 0, sizeof now);
        peer_server_scene(&scene, NULL);
        const int fd = nopoll_conn_socket(scene.conn);
        now.fd = scene.fd;
        now.take_away = 1;
        nopoll_conn_set_on_close(scene.conn, say_farewell, &now);
        if (way == 0) nopoll_conn_shutdown(scene.conn);
        nopoll_conn_close(scene.conn);
        scene.conn = NULL;
        assert_int_equal(now.runs, 1);
        assert_true(peer_is_open(fd)); /* ours now, open both ways */
        test_send_all(fd, "mine", 4);
        close(fd);
        peer_read_to_end(scene.fd, &seen);
        assert_true(seen.size > 4);
        assert_memory_equal(seen.bytes + seen.size - 4, "mine", 4);
        peer_end(&scene);
    }
}

static void closing_inside_on_close_does_not_recurse(void** state) {
    (void)state;
    for (int nested = 1; nested <= 2; nested++) {
        for (int way = 0; way < 2; way++) {
            peer_scene scene;
            peer_stream seen;
            farewell now;
            memset(&now, 0, sizeof now);
            now.nested = nested;
            peer_client_scene(&scene, NULL);
            now.fd = scene.fd;
            nopoll_conn_ref(scene.conn);
            nopoll_conn_set_on_close(scene.conn, say_farewell, &now);
            if (way == 0)
                nopoll_conn_shutdown(scene.conn);
            else
                nopoll_conn_close(scene.conn);
            assert_int_equal(now.runs, 1);
            assert_int_equal(now.references, nested == 1 ? 3 : 1);
            assert_int_equal(nopoll_conn_is_ok(scene.conn), 0);
            peer_read_to_end(scene.fd, &seen);
            /* "last words", or one empty Close frame; never the nested one. */
            assert_int_equal(seen.size, way == 0 ? 16 : 6);
            if (nested == 2) {
                /* The nested call has unregistered it and taken one reference; the rest was not
                 * registered any more. */
                assert_int_equal(nopoll_conn_ref_count(scene.conn), 1);
                nopoll_conn_unref(scene.conn);
            } else if (way == 0) {
                nopoll_conn_close(scene.conn);
                nopoll_conn_unref(scene.conn);
            } else {
                nopoll_conn_unref(scene.conn);
            }
            scene.conn = NULL;
            peer_end(&scene);
        }
    }
}

static void on_close_is_replaced_or_removed(void** state) {
    (void)state;
    int first = 0;
    int second = 0;
    test_pair pair;
    test_pair_open(&pair);
    nopoll_conn_set_on_close(NULL, count_close, &first);
    nopoll_conn_set_on_close(pair.server, count_close, &first);
    nopoll_conn_set_on_close(pair.server, count_close, &second);
    nopoll_conn_set_on_close(pair.client, count_close, &first);
    nopoll_conn_set_on_close(pair.client, NULL, NULL);
    test_pair_close(&pair);
    assert_int_equal(first, 0);
    assert_int_equal(second, 1);
}

static void no_on_close_without_socket(void** state) {
    (void)state;
    int closes = 0;
    peer_scene scene;
    peer_server_scene(&scene, NULL);
    const int fd = nopoll_conn_socket(scene.conn);
    nopoll_conn_set_on_close(scene.conn, count_close, &closes);
    nopoll_conn_set_socket(scene.conn, -1);
    nopoll_conn_shutdown(scene.conn);
    nopoll_conn_close(scene.conn);
    scene.conn = NULL;
    assert_int_equal(closes, 0);
    assert_true(peer_is_open(fd));
    close(fd);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_are_not_written_to),
        cmocka_unit_test(on_close_runs_between_frame_and_end),
        cmocka_unit_test(on_close_may_send_before_a_shutdown),
        cmocka_unit_test(on_close_may_take_the_socket_away),
        cmocka_unit_test(closing_inside_on_close_does_not_recurse),
        cmocka_unit_test(on_close_is_replaced_or_removed),
        cmocka_unit_test(no_on_close_without_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
