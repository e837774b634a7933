/* SPDX-License-Identifier: MIT */
/* nopoll_conn_is_ready and nopoll_conn_wait_until_connection_ready (spec: connection.md section 7,
 * context-and-loop.md section 7): handshake steps without waiting, time limits, calls from inside
 * a connection's own handlers. */
#include "stream_peer.h"

#include <limits.h>
#include <pthread.h>
#include <sys/ioctl.h>

/* A wait may end this much late on a machine that does other things as well. */
#define LATE_MS (400 * test_slowdown())

static void null_is_never_ready(void** state) {
    (void)state;
    assert_int_equal(nopoll_conn_is_ready(NULL), 0);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(NULL, 5), 0);
    nopoll_conn_complete_handshake(NULL);
    assert_null(nopoll_conn_get_msg(NULL));
}

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn;
    ++*(int*)data;
}

static void listeners_are_left_alone(void** state) {
    (void)state;
    char buffer[4];
    int closes = 0;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    const long start = test_now_ms();
    nopoll_conn_set_on_close(listener, count_close, &closes);
    assert_int_equal(nopoll_conn_is_ready(listener), 0);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(listener, 5), 0);
    nopoll_conn_complete_handshake(listener);
    assert_null(nopoll_conn_get_msg(listener));
    assert_int_equal(nopoll_conn_read(listener, buffer, 4, nopoll_false, 0), -1);
    assert_int_equal(nopoll_conn_read(listener, buffer, 4, nopoll_true, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_true(test_now_ms() - start < 1000);
    assert_int_equal(nopoll_conn_is_ok(listener), 1);
    assert_int_equal(closes, 0);
    noPollConn* const conn = nopoll_conn_accept(ctx, listener); /* still works */
    assert_non_null(conn);
    nopoll_conn_close(conn);
    nopoll_conn_close(listener);
    assert_int_equal(closes, 1);
    nopoll_ctx_unref(ctx);
    close(fd);
}

static void dead_connections_are_not_ready(void** state) {
    (void)state;
    test_pair pair;
    test_pair_open(&pair);
    assert_int_equal(nopoll_conn_is_ready(pair.client), 1);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(pair.client, 0), 1);
    nopoll_conn_shutdown(pair.client);
    nopoll_conn_shutdown(pair.server);
    assert_int_equal(nopoll_conn_is_ready(pair.client), 0);
    assert_int_equal(nopoll_conn_is_ready(pair.server), 0);
    const long start = test_now_ms();
    assert_int_equal(nopoll_conn_wait_until_connection_ready(pair.client, 5), 0);
    assert_true(test_now_ms() - start < 1000);
    test_pair_close(&pair);
}

/* Each call does what the bytes that are there allow, and takes nothing behind the head. */
static void nothing_behind_the_head_is_taken(void** state) {
    (void)state;
    for (int client = 0; client < 2; client++) {
        peer_scene scene;
        unsigned char frame[16];
        char bytes[16];
        const size_t size = test_frame(frame, 0x81, !client, "next", 4);
        if (client) {
            peer_client_asking(&scene, NULL, NULL, NULL);
            peer_answer(&scene, "");
        } else {
            memset(&scene, 0, sizeof scene);
            scene.listening = -1;
            scene.ctx = nopoll_ctx_new();
            scene.listener = nopoll_listener_new(scene.ctx, "127.0.0.1", "0");
            scene.fd = test_connect(test_port_of(nopoll_conn_socket(scene.listener)));
            scene.conn = nopoll_conn_accept(scene.ctx, scene.listener);
            assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
            test_send_all(scene.fd, TEST_REQUEST, strlen(TEST_REQUEST));
        }
        test_send_all(scene.fd, frame, size);
        POLL_UNTIL(nopoll_conn_socket(scene.conn), nopoll_conn_is_ready(scene.conn));
        for (int i = 0; i < 3; i++)
            assert_int_equal(nopoll_conn_is_ready(scene.conn), 1);
        assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
        assert_int_equal(recv(nopoll_conn_socket(scene.conn), bytes, sizeof bytes, MSG_PEEK),
                         (int)size);
        noPollMsg* const msg = nopoll_conn_get_msg(scene.conn);
        assert_non_null(msg);
        assert_string_equal((const char*)nopoll_msg_get_payload(msg), "next");
        nopoll_msg_unref(msg);
        peer_end(&scene);
    }
}

/* Whatever the O_NONBLOCK flag says. */
static void a_blocking_socket_is_not_waited_for(void** state) {
    (void)state;
    peer_scene scene;
    const long start = test_now_ms();
    peer_client_asking(&scene, NULL, NULL, NULL);
    assert_int_equal(nopoll_conn_set_sock_block(nopoll_conn_socket(scene.conn), nopoll_true), 1);
    assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    test_send_all(scene.fd, "HTTP/1.1 101 Sw", 15);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 0), 0);
    peer_end(&scene);

    memset(&scene, 0, sizeof scene);
    scene.listening = -1;
    scene.ctx = nopoll_ctx_new();
    scene.listener = nopoll_listener_new(scene.ctx, "127.0.0.1", "0");
    scene.fd = test_connect(test_port_of(nopoll_conn_socket(scene.listener)));
    scene.conn = nopoll_conn_accept(scene.ctx, scene.listener);
    assert_int_equal(fcntl(nopoll_conn_socket(scene.conn), F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    test_send_all(scene.fd, "GET / HT", 8);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    assert_null(nopoll_conn_get_msg(scene.conn));
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 1);
    assert_int_equal(fcntl(nopoll_conn_socket(scene.conn), F_GETFL) & O_NONBLOCK, 0);
    assert_true(test_now_ms() - start < 2000);
    peer_end(&scene);
}

/* --- time --- */

static void a_wait_takes_the_time_asked_for(void** state) {
    (void)state;
    peer_scene scene;
    peer_client_asking(&scene, NULL, NULL, NULL);
    long start = test_now_ms();
    assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 1), 0);
    const long took = test_now_ms() - start;
    assert_true(took >= 999); /* two truncated clock readings */
    assert_true(took <= 1020 + LATE_MS);
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 1);
    static const int none[] = {0, -1, INT_MIN};
    start = test_now_ms();
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, none[i]), 0);
    assert_true(test_now_ms() - start < LATE_MS);
    peer_end(&scene);
}

static void a_wait_without_time_is_one_attempt(void** state) {
    (void)state;
    peer_scene scene;
    peer_client_asking(&scene, NULL, NULL, NULL);
    peer_answer(&scene, "");
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 0), 1);
    peer_end(&scene);
}

/* A peer that does something while the other thread waits. */
typedef struct {
    peer_scene* scene;
    int library_fd;
    int way; /* 0: completes its answer, 1: refuses, 2: goes away, 3: resets */
} deed;

static void* do_deed(void* data) {
    const deed* const now = data;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    const char* const status = now->way == 1 ? "HTTP/1.1 403 No\r\n" : "HTTP/1.1 101 Yes\r\n";
    char rest[256];
    int unread = 1;
    snprintf(rest, sizeof rest,
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             peer_accept_value(now->scene->request));
    test_send_all(now->scene->fd, status, strlen(status));
    /* Once the first line is taken, the other thread is at it. */
    while (unread > 0 && test_now_ms() < end) {
        poll(NULL, 0, 1);
        if (ioctl(now->library_fd, FIONREAD, &unread) != 0) abort();
    }
    if (now->way <= 1) {
        test_send_all(now->scene->fd, rest, strlen(rest));
    } else if (now->way == 2) {
        shutdown(now->scene->fd, SHUT_WR);
    } else {
        const struct linger hard = {1, 0};
        setsockopt(now->scene->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(now->scene->fd);
        now->scene->fd = -1;
    }
    return NULL;
}

static void a_wait_ends_as_soon_as_something_is_decided(void** state) {
    (void)state;
    static const int times[] = {8, INT_MAX, 2148, INT_MAX};
    for (int way = 0; way < 4; way++) {
        peer_scene scene;
        pthread_t thread;
        peer_client_asking(&scene, NULL, NULL, NULL);
        deed now = {&scene, nopoll_conn_socket(scene.conn), way};
        assert_int_equal(pthread_create(&thread, NULL, do_deed, &now), 0);
        const long start = test_now_ms();
        assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, times[way]), way == 0);
        assert_true(test_now_ms() - start < 3 * LATE_MS);
        assert_int_equal(nopoll_conn_is_ok(scene.conn), way == 0);
        pthread_join(thread, NULL);
        peer_end(&scene);
    }
}

/* --- from inside --- */

typedef struct {
    int runs;
    int ready;
    int waited;
    int msg;
    int msg_error;
    int read;
    int read_error;
    int sent;
    int send_error;
    long took;
} inside;

static nopoll_bool ask_inside(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    inside* const now = data;
    char buffer[8];
    const long start = test_now_ms();
    assert_int_equal(nopoll_ctx_conns(ctx), 2); /* takes the context's lock */
    now->runs++;
    now->ready = nopoll_conn_is_ready(conn);
    now->waited = nopoll_conn_wait_until_connection_ready(conn, 5);
    nopoll_conn_complete_handshake(conn);
    errno = 0;
    now->msg = nopoll_conn_get_msg(conn) != NULL;
    now->msg_error = errno;
    errno = 0;
    now->read = nopoll_conn_read(conn, buffer, sizeof buffer, nopoll_false, 0);
    now->read_error = errno;
    errno = 0;
    now->sent = nopoll_conn_send_text(conn, "hi", 2);
    now->send_error = errno;
    now->took = test_now_ms() - start;
    return nopoll_true;
}

/* The request and a frame are there at once: nothing asked inside a handler may swallow the frame
 * or run a handler again. Sending works once the reply is out (frames.md 6.4). */
static void asking_inside_own_handlers_does_nothing(void** state) {
    (void)state;
    for (int in_loop = 0; in_loop < 2; in_loop++) {
        inside seen[3];
        unsigned char frame[16];
        memset(seen, 0, sizeof seen);
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_ctx_set_on_accept(ctx, ask_inside, &seen[0]);
        nopoll_ctx_set_on_open(ctx, ask_inside, &seen[1]);
        nopoll_ctx_set_on_ready(ctx, ask_inside, &seen[2]);
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
        test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
        test_send_all(fd, frame, test_frame(frame, 0x81, 1, "first", 5));
        noPollConn* conn = NULL;
        if (in_loop) {
            LOOP_UNTIL(ctx, seen[2].runs > 0);
        } else {
            conn = nopoll_conn_accept(ctx, listener);
            POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(seen[i].runs, 1);
            assert_int_equal(seen[i].ready, 0);
            assert_int_equal(seen[i].waited, 0);
            assert_int_equal(seen[i].msg, 0);
            assert_int_equal(seen[i].msg_error, EWOULDBLOCK);
            assert_int_equal(seen[i].read, -1);
            assert_int_equal(seen[i].read_error, EWOULDBLOCK);
            assert_int_equal(seen[i].sent, i == 2 ? 2 : -1);
            if (i < 2) assert_int_equal(seen[i].send_error, ENOTCONN);
            assert_true(seen[i].took < 1000);
        }
        if (conn != NULL) {
            noPollMsg* const msg = test_get_msg(conn);
            assert_non_null(msg);
            assert_string_equal((const char*)nopoll_msg_get_payload(msg), "first");
            nopoll_msg_unref(msg);
            nopoll_conn_close(conn);
        } else {
            close(fd);
            LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        }
        nopoll_conn_close(listener);
        assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
        nopoll_ctx_unref(ctx);
        if (conn != NULL) close(fd);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_never_ready),
        cmocka_unit_test(listeners_are_left_alone),
        cmocka_unit_test(dead_connections_are_not_ready),
        cmocka_unit_test(nothing_behind_the_head_is_taken),
        cmocka_unit_test(a_blocking_socket_is_not_waited_for),
        cmocka_unit_test(a_wait_takes_the_time_asked_for),
        cmocka_unit_test(a_wait_without_time_is_one_attempt),
        cmocka_unit_test(a_wait_ends_as_soon_as_something_is_decided),
        cmocka_unit_test(asking_inside_own_handlers_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
