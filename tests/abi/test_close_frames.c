/* SPDX-License-Identifier: MIT */
/* What nopoll_conn_close_ext and nopoll_conn_close write to the wire, as the peer sees it, and
 * when they write nothing (spec: connection.md section 9.2). */
#include "stream_peer.h"

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
    {"status and reason", 1000, "bye", 3,
     BODY("\x03\xe8"
          "bye")},
    {"part of a reason", 3000, "cut here, not there", 8,
     BODY("\x0b\xb8"
          "cut here")},
    {"reason without status", 0, "bye", 3, EMPTY},
    {"negative status", -1, "bye", 3, EMPTY},
    {"below the range", 999, "bye", 3, EMPTY},
    {"1003, the last of the first block", 1003, "x", 1,
     BODY("\x03\xeb"
          "x")},
    {"1004 is reserved", 1004, "bye", 3, EMPTY},
    {"1005 is never sent", 1005, "bye", 3, EMPTY},
    {"1006 is never sent", 1006, NULL, 0, EMPTY},
    {"1007, the first of the second block", 1007, "x", 1,
     BODY("\x03\xef"
          "x")},
    {"1014, the last of the second block", 1014, NULL, 0, BODY("\x03\xf6")},
    {"1015 is never sent", 1015, "bye", 3, EMPTY},
    {"1016 is sent, as programs expect", 1016, NULL, 0, BODY("\x03\xf8")},
    {"1048 is sent, as programs expect", 1048, "x", 1,
     BODY("\x04\x18"
          "x")},
    {"2999", 2999, NULL, 0, BODY("\x0b\xb7")},
    {"4999", 4999, "x", 1,
     BODY("\x13\x87"
          "x")},
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
    {"character that just fits", 1000,
     A60 A60 "a\xc3\xa9"
             "b",
     124, BODY("\x03\xe8" A60 A60 "a\xc3\xa9")},
    {"reason that is not UTF-8", 1000, "a\xff", 2, BODY("\x03\xe8")},
    {"reason that ends inside a character", 1000, "\xc3\xa9", 1, BODY("\x03\xe8")},
    {"not UTF-8 behind the cut", 1000, A60 A60 A60 "\xff", 181, BODY("\x03\xe8")},
    {"zero byte in the reason", 1000, "a\0b", 3,
     BODY("\x03\xe8"
          "a\0b")},
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
        cmocka_unit_test(unread_input_does_not_destroy_the_frame),
        cmocka_unit_test(closing_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
