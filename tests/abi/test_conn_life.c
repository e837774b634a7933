/* SPDX-License-Identifier: MIT */
/* How long connection objects live (spec: connection.md section 5): while handlers run in direct
 * calls and in the loop, after death, beyond their listener, with the last reference. */
#include "stream_peer.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define READS_FREED_MEMORY 0
#else
#define READS_FREED_MEMORY 1
#endif

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
            assert_int_equal(peer_objects(ctx), 1);
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
    assert_int_equal(peer_objects(pair.ctx), 3);
    nopoll_loop_wait(pair.ctx, 1);
    assert_int_equal(nopoll_ctx_conns(pair.ctx), 0);
    assert_int_equal(peer_objects(pair.ctx), 2); /* nobody holds the accepted one */
    assert_int_equal(nopoll_conn_ref_count(pair.client), 1);
    assert_int_equal(nopoll_conn_ref_count(pair.listener), 1);
    nopoll_conn_unref(pair.client); /* as good as close */
    nopoll_conn_close(pair.listener);
    assert_int_equal(peer_objects(pair.ctx), 0);
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
    assert_int_equal(peer_objects(scene.ctx), 1);
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 1);
    nopoll_ctx_unregister_conn(scene.ctx, scene.conn);
    assert_int_equal(peer_objects(scene.ctx), 0);
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
    assert_int_equal(peer_objects(ctx), 1);
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

/* Programs have a context for each thread, and one listener whose settings all of them use. */
static void* accept_for_own_context(void* data) {
    noPollConn* const listener = (noPollConn*)data;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* kept = NULL;
    noPollConn* result = NULL;
    for (int i = 0; i < 1000; i++) {
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return NULL;
        noPollConn* const conn = nopoll_conn_accept_socket(ctx, listener, fds[0]);
        close(fds[1]);
        if (nopoll_conn_get_listener(conn) != listener) return NULL;
        result = conn;
        if (i == 999) break;
        if (kept != NULL) nopoll_conn_close(kept);
        kept = conn;
    }
    nopoll_conn_close(kept);
    nopoll_ctx_unref(ctx); /* the last connection has it now */
    return result;
}

static void a_listener_may_serve_other_contexts(void** state) {
    (void)state;
    enum { kThreads = 4 };
    pthread_t threads[kThreads];
    void* last[kThreads];
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    for (int i = 0; i < kThreads; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, accept_for_own_context, listener), 0);
    for (int i = 0; i < kThreads; i++)
        assert_int_equal(pthread_join(threads[i], &last[i]), 0);
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    for (int i = 0; i < kThreads; i++) {
        assert_non_null(last[i]);
        assert_null(nopoll_conn_get_listener(last[i]));
        assert_int_equal(nopoll_ctx_ref_count(nopoll_conn_ctx(last[i])), 1);
        nopoll_conn_close(last[i]);
    }
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
        cmocka_unit_test(handlers_see_the_references),
        cmocka_unit_test(clients_in_handlers_have_one_more_in_the_loop_only),
        cmocka_unit_test(direct_calls_survive_handlers_that_close),
        cmocka_unit_test(dead_connections_are_dropped_by_the_loop),
        cmocka_unit_test(the_last_unref_closes_silently),
        cmocka_unit_test(accepted_connections_outlive_their_listener),
        cmocka_unit_test(a_listener_may_serve_other_contexts),
        cmocka_unit_test(the_count_is_zero_right_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
