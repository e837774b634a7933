/* SPDX-License-Identifier: MIT */
/* Ending connections (spec: connection.md sections 8, 9.1 and 9.2): on_close, what is written to
 * the wire as the peer sees it, and what is not. References: test_conn_refs.c. */
#include "stream_peer.h"

#include <signal.h>

/* --- the table of 9.2 --- */

struct close_row {
    const char* name;
    int status;
    const char* reason;
    int reason_size;
    const char* body; /* expected body of the Close frame */
    size_t body_size;
};

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BODY(text) text, sizeof(text) - 1
#define EMPTY "", 0

static const struct close_row rows[] = {
    {"nothing said", 0, NULL, 0, EMPTY},
    {"status alone", 1000, NULL, 0, BODY("\x03\xe8")},
    {"status alone, empty reason", 1000, "", 0, BODY("\x03\xe8")},
    {"reason of size 0", 1001, "bye", 0, BODY("\x03\xe9")},
    {"reason of negative size", 1001, "bye", -1, BODY("\x03\xe9")},
    {"size without reason", 1000, NULL, 7, BODY("\x03\xe8")},
    {"size without reason or status", 0, NULL, 7, EMPTY},
    {"status and reason", 1000, "bye", 3, BODY("\x03\xe8" "bye")},
    {"part of a reason", 3000, "cut here, not there", 8, BODY("\x0b\xb8" "cut here")},
    {"reason without status", 0, "bye", 3, EMPTY},
    {"negative status", -1, "bye", 3, EMPTY},
    {"below the range", 999, "bye", 3, EMPTY},
    {"1003, the last of the first block", 1003, "x", 1, BODY("\x03\xeb" "x")},
    {"1004 is reserved", 1004, "bye", 3, EMPTY},
    {"1005 is never sent", 1005, "bye", 3, EMPTY},
    {"1006 is never sent", 1006, NULL, 0, EMPTY},
    {"1007, the first of the second block", 1007, "x", 1, BODY("\x03\xef" "x")},
    {"1014, the last of the second block", 1014, NULL, 0, BODY("\x03\xf6")},
    {"1015 is never sent", 1015, "bye", 3, EMPTY},
    {"1016 is sent, as programs expect", 1016, NULL, 0, BODY("\x03\xf8")},
    {"1048 is sent, as programs expect", 1048, "x", 1, BODY("\x04\x18" "x")},
    {"2999", 2999, NULL, 0, BODY("\x0b\xb7")},
    {"4999", 4999, "x", 1, BODY("\x13\x87" "x")},
    {"5000", 5000, "x", 1, EMPTY},
    {"1000 and 65536", 66536, "x", 1, EMPTY},
    {"reason of 123 bytes", 1000, A60 A60 "aaa", 123, BODY("\x03\xe8" A60 A60 "aaa")},
    {"reason of 124 bytes", 1000, A60 A60 "aaab", 124, BODY("\x03\xe8" A60 A60 "aaa")},
    {"reason of 180 bytes", 1000, A60 A60 A60, 180, BODY("\x03\xe8" A60 A60 "aaa")},
    {"cut before a character of 2 bytes", 1000, A60 A60 "aa\xc3\xa9", 124,
     BODY("\x03\xe8" A60 A60 "aa")},
    {"cut before a character of 3 bytes", 1000, A60 A60 "a\xe2\x82\xac", 124,
     BODY("\x03\xe8" A60 A60 "a")},
    {"cut before a character of 4 bytes", 1000, A60 A60 "\xf0\x9f\x98\x80", 124,
     BODY("\x03\xe8" A60 A60)},
    {"character that just fits", 1000, A60 A60 "a\xc3\xa9" "b", 124,
     BODY("\x03\xe8" A60 A60 "a\xc3\xa9")},
    {"reason that is not UTF-8", 1000, "a\xff", 2, BODY("\x03\xe8")},
    {"reason that ends inside a character", 1000, "\xc3\xa9", 1, BODY("\x03\xe8")},
    {"not UTF-8 behind the cut", 1000, A60 A60 A60 "\xff", 181, BODY("\x03\xe8")},
    {"zero byte in the reason", 1000, "a\0b", 3, BODY("\x03\xe8" "a\0b")},
};

#define ROWS (sizeof rows / sizeof *rows)

/* One Close frame with this body and nothing else. */
static void check_frame(const struct close_row* row, const peer_stream* seen, int masked) {
    const unsigned char* const frame = (const unsigned char*)seen->bytes;
    const size_t head = masked ? 6 : 2;
    ROW_CHECK(row->name, seen->size == head + row->body_size);
    ROW_CHECK(row->name, frame[0] == 0x88);
    ROW_CHECK(row->name, frame[1] == (row->body_size | (masked ? 0x80U : 0U)));
    for (size_t i = 0; i < row->body_size; i++) {
        const unsigned mask = masked ? frame[2 + i % 4] : 0;
        ROW_CHECK(row->name, (frame[head + i] ^ mask) == (unsigned char)row->body[i]);
    }
    ROW_CHECK(row->name, !seen->reset);
}

static void servers_say_why_they_close(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        peer_scene scene;
        peer_stream seen;
        peer_server_scene(&scene, NULL);
        nopoll_conn_close_ext(scene.conn, rows[i].status, rows[i].reason, rows[i].reason_size);
        peer_read_to_end(scene.fd, &seen);
        check_frame(&rows[i], &seen, 0);
        scene.conn = NULL;
        peer_end(&scene);
    }
}

static void clients_say_why_they_close(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        peer_scene scene;
        peer_stream seen;
        peer_client_scene(&scene, NULL);
        nopoll_conn_close_ext(scene.conn, rows[i].status, rows[i].reason, rows[i].reason_size);
        peer_read_to_end(scene.fd, &seen);
        check_frame(&rows[i], &seen, 1);
        scene.conn = NULL;
        peer_end(&scene);
    }
}

static void plain_close_is_an_empty_frame(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    peer_server_scene(&scene, NULL);
    nopoll_conn_close(scene.conn);
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 2);
    assert_memory_equal(seen.bytes, "\x88\x00", 2);
    scene.conn = NULL;
    peer_end(&scene);
}

/* --- when no frame is sent --- */

static void no_frame_before_the_handshake_is_over(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    /* A server that has half a request. */
    memset(&scene, 0, sizeof scene);
    scene.ctx = nopoll_ctx_new();
    scene.listening = -1;
    scene.listener = nopoll_listener_new(scene.ctx, "127.0.0.1", "0");
    scene.fd = test_connect(test_port_of(nopoll_conn_socket(scene.listener)));
    scene.conn = nopoll_conn_accept(scene.ctx, scene.listener);
    test_send_all(scene.fd, "GET / HT", 8);
    assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    nopoll_conn_close_ext(scene.conn, 1001, "bye", 3);
    scene.conn = NULL;
    memset(&seen, 0, sizeof seen);
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 0);
    peer_end(&scene);

    /* A client without reply. */
    peer_client_asking(&scene, NULL, NULL, NULL);
    nopoll_conn_close_ext(scene.conn, 1001, "bye", 3);
    scene.conn = NULL;
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 0);
    peer_end(&scene);
}

static void no_second_frame(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    peer_server_scene(&scene, NULL);
    assert_int_equal(nopoll_conn_send_frame(scene.conn, nopoll_true, nopoll_false,
                                            NOPOLL_CLOSE_FRAME, 2, "\x03\xe8", 0),
                     2);
    nopoll_conn_close_ext(scene.conn, 1001, "bye", 3);
    scene.conn = NULL;
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 4);
    assert_memory_equal(seen.bytes, "\x88\x02\x03\xe8", 4);
    peer_end(&scene);
}

static void shutdown_sends_nothing(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    peer_server_scene(&scene, NULL);
    const int fd = nopoll_conn_socket(scene.conn);
    nopoll_conn_shutdown(scene.conn);
    assert_int_equal(nopoll_conn_socket(scene.conn), -1);
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 0);
    assert_false(peer_is_open(fd));
    assert_int_equal(nopoll_conn_ref_count(scene.conn), 1);
    assert_int_equal(nopoll_ctx_conns(scene.ctx), 2);
    nopoll_conn_shutdown(scene.conn); /* nothing left to do */
    peer_read_to_end(scene.fd, &seen);
    assert_int_equal(seen.size, 0);
    peer_end(&scene);
}

/* A frame of which the socket took a part stays without a Close frame inside it. */
static void no_frame_inside_another(void** state) {
    (void)state;
    enum { kSize = 8 * 1024 * 1024 };
    peer_scene scene;
    peer_client_scene(&scene, NULL);
    char* const content = malloc(kSize);
    memset(content, 'A', kSize);
    const int taken = nopoll_conn_send_binary(scene.conn, content, kSize);
    assert_true(taken > 0 && taken < kSize);
    const int pending = nopoll_conn_pending_write_bytes(scene.conn);
    nopoll_conn_close_ext(scene.conn, 1001, "bye", 3);
    scene.conn = NULL;
    size_t got = 0;
    for (;;) {
        const size_t n = test_receive(scene.fd, content, kSize);
        got += n;
        if (n < kSize) break;
    }
    assert_true(got >= (size_t)(14 + taken)); /* header, mask, and what was said to be taken */
    assert_true(got <= (size_t)(14 + kSize));
    if (got < (size_t)(14 + kSize)) assert_true(pending > 0);
    free(content);
    peer_end(&scene);
}

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
    int fd;            /* the raw peer's */
    int seen_before;   /* bytes that the peer had when on_close ran */
    int ended_before;  /* and whether its stream had ended */
    int sent;          /* result of a send inside */
    int take_away;     /* the socket is set to -1 */
    int nested;        /* 1: shutdown inside, 2: close inside */
    int references;    /* after the nested call */
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

/* --- no reset over unread input --- */

static void unread_input_does_not_destroy_the_frame(void** state) {
    (void)state;
    char input[20000];
    unsigned char frame[20100];
    memset(input, 'x', sizeof input);
    for (int way = 0; way < 2; way++) {
        peer_scene scene;
        peer_stream seen;
        if (way == 0)
            peer_server_scene(&scene, NULL);
        else
            peer_client_scene(&scene, NULL);
        const size_t size = test_frame(frame, 0x82, way == 0, input, sizeof input);
        test_send_all(scene.fd, frame, size);
        assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
        nopoll_conn_close_ext(scene.conn, 1001, "busy", 4);
        scene.conn = NULL;
        peer_read_to_end(scene.fd, &seen);
        assert_false(seen.reset);
        assert_int_equal(seen.size, way == 0 ? 8 : 12);
        peer_end(&scene);
    }
}

/* Close never waits for a peer that does not read, not even on a blocking socket. */
static void closing_does_not_wait(void** state) {
    (void)state;
    enum { kSize = 64 * 1024 };
    static char content[kSize];
    peer_scene scene;
    peer_server_scene(&scene, NULL);
    /* Fill what the kernel takes, past the library. */
    const int fd = nopoll_conn_socket(scene.conn);
    while (send(fd, content, kSize, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    while (send(fd, content, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    const long start = test_now_ms();
    nopoll_conn_close_ext(scene.conn, 1001, "bye", 3);
    assert_true(test_now_ms() - start < 1000);
    assert_false(peer_is_open(fd));
    scene.conn = NULL;
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_say_why_they_close),
        cmocka_unit_test(clients_say_why_they_close),
        cmocka_unit_test(plain_close_is_an_empty_frame),
        cmocka_unit_test(no_frame_before_the_handshake_is_over),
        cmocka_unit_test(no_second_frame),
        cmocka_unit_test(shutdown_sends_nothing),
        cmocka_unit_test(no_frame_inside_another),
        cmocka_unit_test(listeners_are_not_written_to),
        cmocka_unit_test(on_close_runs_between_frame_and_end),
        cmocka_unit_test(on_close_may_send_before_a_shutdown),
        cmocka_unit_test(on_close_may_take_the_socket_away),
        cmocka_unit_test(closing_inside_on_close_does_not_recurse),
        cmocka_unit_test(on_close_is_replaced_or_removed),
        cmocka_unit_test(no_on_close_without_socket),
        cmocka_unit_test(unread_input_does_not_destroy_the_frame),
        cmocka_unit_test(closing_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
