/* SPDX-License-Identifier: MIT */
/* Sends that the socket does not take completely: results, what stays pending, and the books that
 * programs keep about it, byte for byte (spec: frames.md 6.3). Real sockets with small buffers. */
#include "narrow_peer.h"

#include <pthread.h>

static unsigned char content[1 << 20];

static void fill_content(void) {
    size_t i;
    for (i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * 11 + i / 253);
}

/* Sends until a frame stays pending in part; all frames are content[0 .. length). Returns the
 * payload bytes of that frame that are out. */
static int send_until_pending(const struct raw_peer* peer, long length, int* frames) {
    for (;;) {
        int result;
        errno = 0;
        result = nopoll_conn_send_binary(peer->conn, (const char*)content, length);
        ++*frames;
        if (result == length) continue;
        assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
        assert_true(result > 0 || result == -2);
        return result == -2 ? 0 : result;
    }
}

/* --- results add up --- */

enum way { BY_COMPLETE, BY_FLUSH, BY_LOOP, BY_ALL };

/* One step of the program towards the end of what is pending; payload bytes that it was told of. */
static int progress(const struct raw_peer* peer, enum way way) {
    int n;
    switch (way) {
    case BY_LOOP: /* writes by itself, and is asked afterwards */
        nopoll_loop_wait(peer->ctx, 1);
        /* fall through */
    case BY_COMPLETE:
        errno = 0;
        n = nopoll_conn_complete_pending_write(peer->conn);
        if (n == -1) assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
        if (n == 0) assert_int_equal(nopoll_conn_pending_write_bytes(peer->conn), 0);
        return n > 0 ? n : 0;
    default:
        n = nopoll_conn_flush_writes(peer->conn, 1, 5);
        assert_true(n >= 5);
        return n - 5;
    }
}

static void results_add_up(enum raw_side side, enum way way) {
    static const long lengths[] = {1, 7, 200, 5000, 20000, 66000, 1 << 20};
    /* A flush that cannot finish takes 100 ms: only short frames where there are flushes. */
    const size_t rows = way == BY_COMPLETE || way == BY_LOOP ? 7 : 5;
    size_t n;
    for (n = 0; n < rows; n++) {
        struct raw_peer peer;
        struct sink sink = {NULL, 0, 0, 0};
        const long length = lengths[n];
        const long end = test_now_ms() + 3 * TEST_LIMIT_MS;
        int frames = 0, told, round, i;
        narrow_open(&peer, side);
        for (round = 0; round < (length < 10000 ? 5 : 1); round++) {
            told = send_until_pending(&peer, length, &frames);
            if (told > 0)
                assert_int_equal(told + nopoll_conn_pending_write_bytes(peer.conn), length);
            for (i = 0; nopoll_conn_pending_write_bytes(peer.conn) > 0; i++) {
                const enum way now = way == BY_ALL ? (enum way)(i % 3) : way;
                assert_true(test_now_ms() < end);
                sink_take(&sink, peer.fd, 1 + (size_t)(i * 977) % 9000);
                told += progress(&peer, now);
                assert_true(told <= length);
            }
            assert_int_equal(told, length);
            assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), 0);
        }
        nopoll_conn_shutdown(peer.conn);
        while (test_readable(peer.fd, TEST_LIMIT_MS) && sink_take(&sink, peer.fd, SIZE_MAX / 2) > 0)
            ;
        for (i = 0; i < frames; i++)
            SINK_EXPECT(&sink, &peer, RAW_BINARY, content, length);
        SINK_EXPECT_ALL(&sink);
        sink_free(&sink);
        raw_close(&peer);
    }
}

static void by_complete(enum raw_side side) {
    results_add_up(side, BY_COMPLETE);
}

static void by_flush(enum raw_side side) {
    results_add_up(side, BY_FLUSH);
}

static void by_loop(enum raw_side side) {
    results_add_up(side, BY_LOOP);
}

static void by_all_in_turn(enum raw_side side) {
    results_add_up(side, BY_ALL);
}

/* --- one frame at a time --- */

/* While a frame is pending the next is refused, and nothing about the first changes. */
static void next_frame_is_not_taken(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    int frames = 0, pending, i;
    narrow_open(&peer, side);
    (void)send_until_pending(&peer, 5000, &frames);
    pending = nopoll_conn_pending_write_bytes(peer.conn);
    for (i = 0; i < 5; i++) {
        errno = 0;
        assert_int_equal(nopoll_conn_send_text_fragment(peer.conn, "no", 2), -1);
        assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
        assert_true(nopoll_conn_pending_write_bytes(peer.conn) > 0);
        assert_true(nopoll_conn_pending_write_bytes(peer.conn) <= pending);
    }
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0) {
        sink_take(&sink, peer.fd, 10000);
        nopoll_conn_complete_pending_write(peer.conn);
    }
    /* The refused fragment did not begin a message. */
    assert_int_equal(nopoll_conn_send_text(peer.conn, "whole", 5), 5);
    nopoll_conn_shutdown(peer.conn);
    while (test_readable(peer.fd, TEST_LIMIT_MS) && sink_take(&sink, peer.fd, SIZE_MAX / 2) > 0)
        ;
    for (i = 0; i < frames; i++)
        SINK_EXPECT(&sink, &peer, RAW_BINARY, content, 5000);
    SINK_EXPECT(&sink, &peer, RAW_TEXT, "whole", 5);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_close(&peer);
}

/* Not one byte goes out: -2, and the header counts as pending too. The next send tries once, and
 * what it writes of the old frame is reported by nobody. */
static void nothing_written_is_minus_two(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    narrow_open_local(&peer, side);
    fill_up(&peer, &sink);
    errno = 0;
    assert_int_equal(nopoll_conn_send_text(peer.conn, "0123456789", 10), -2);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 10 + header_size(&peer, 10));
    errno = 0;
    assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), -1);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    while (nopoll_conn_send_text(peer.conn, "next", 4) != 4)
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    nopoll_conn_shutdown(peer.conn);
    while (test_readable(peer.fd, TEST_LIMIT_MS) && sink_take(&sink, peer.fd, SIZE_MAX / 2) > 0)
        ;
    SINK_EXPECT(&sink, &peer, RAW_TEXT, "0123456789", 10);
    SINK_EXPECT(&sink, &peer, RAW_TEXT, "next", 4);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_close(&peer);
}

/* An empty frame that is stuck has no payload to report, ever. */
static void empty_frame_pending(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    narrow_open_local(&peer, side);
    fill_up(&peer, &sink);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "", -1), -2);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), header_size(&peer, 0));
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0) {
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        assert_true(nopoll_conn_complete_pending_write(peer.conn) <= 0);
    }
    assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), 0);
    sink_free(&sink);
    raw_close(&peer);
}

/* errno of an earlier call decides nothing. */
static void stale_errno(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    EXPECT_NOTHING(peer.conn); /* leaves EWOULDBLOCK behind */
    assert_int_equal(nopoll_conn_send_text(peer.conn, "", -1), 0);
    errno = NOPOLL_EWOULDBLOCK;
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1);
    errno = NOPOLL_EWOULDBLOCK;
    assert_int_equal(nopoll_conn_send_text(peer.conn, "x", 1), 1);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    raw_close(&peer);
}

/* --- hard errors --- */

/* -1 at once, what was pending is dropped; the connection is left for reading to find out. */
static void hard_error_with_a_frame_pending(enum raw_side side) {
    enum { BY_SENDING, BY_COMPLETING, BY_FLUSHING };
    int how;
    for (how = BY_SENDING; how <= BY_FLUSHING; how++) {
        struct raw_peer peer;
        const struct linger hard = {1, 0};
        struct pollfd over = {0, POLLHUP, 0};
        int frames = 0;
        narrow_open(&peer, side);
        (void)send_until_pending(&peer, 5000, &frames);
        setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(peer.fd);
        peer.fd = -1;
        over.fd = nopoll_conn_socket(peer.conn);
        assert_int_equal(poll(&over, 1, TEST_LIMIT_MS), 1);
        errno = 0;
        if (how == BY_SENDING)
            assert_int_equal(nopoll_conn_send_text(peer.conn, "x", 1), -1);
        else if (how == BY_COMPLETING)
            assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), -1);
        else
            assert_int_equal(nopoll_conn_flush_writes(peer.conn, 60000000, 3), 3); /* at once */
        assert_true(errno == EPIPE || errno == ECONNRESET);
        assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
        assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), 0);
        assert_true(nopoll_conn_is_ok(peer.conn));
        raw_close(&peer);
    }
}

/* --- sockets in blocking mode --- */

static void* take_all(void* data) {
    const struct raw_peer* peer = (const struct raw_peer*)data;
    static struct sink sink;
    while (test_readable(peer->fd, TEST_LIMIT_MS) && sink_take(&sink, peer->fd, 20000) > 0)
        ;
    return &sink;
}

/* A send on an accepted connection waits until all is out, outside of the loop. */
static void blocking_send_waits(void** state) {
    struct raw_peer peer;
    pthread_t thread;
    void* result;
    struct sink* sink;
    (void)state;
    narrow_open_waiting(&peer, RAW_ACCEPTED);
    assert_int_equal(pthread_create(&thread, NULL, take_all, &peer), 0);
    assert_int_equal(nopoll_conn_send_binary(peer.conn, (const char*)content, sizeof content),
                     sizeof content);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "behind", 6), 6);
    nopoll_conn_shutdown(peer.conn);
    pthread_join(thread, &result);
    sink = (struct sink*)result;
    SINK_EXPECT(sink, &peer, RAW_BINARY, content, sizeof content);
    SINK_EXPECT(sink, &peer, RAW_TEXT, "behind", 6);
    SINK_EXPECT_ALL(sink);
    sink_free(sink);
    raw_close(&peer);
}

/* Whoever closes from another thread ends the waiting send. */
struct waiter {
    struct raw_peer* peer;
    int result;
    int error;
};

static void* send_and_wait(void* data) {
    struct waiter* waiter = (struct waiter*)data;
    errno = 0;
    waiter->result =
        nopoll_conn_send_binary(waiter->peer->conn, (const char*)content, sizeof content);
    waiter->error = errno;
    return NULL;
}

static void close_ends_a_waiting_send(void** state) {
    struct raw_peer peer;
    struct waiter waiter = {&peer, 0, 0};
    pthread_t thread;
    (void)state;
    narrow_open_waiting(&peer, RAW_ACCEPTED);
    assert_int_equal(pthread_create(&thread, NULL, send_and_wait, &waiter), 0);
    assert_true(test_readable(peer.fd, TEST_LIMIT_MS));
    nopoll_conn_shutdown(peer.conn);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.result, -1);
    assert_int_not_equal(waiter.error, NOPOLL_EWOULDBLOCK);
    raw_close(&peer);
}

RAW_BOTH_SIDES(by_complete)
RAW_BOTH_SIDES(by_flush)
RAW_BOTH_SIDES(by_loop)
RAW_BOTH_SIDES(by_all_in_turn)
RAW_BOTH_SIDES(next_frame_is_not_taken)
RAW_BOTH_SIDES(nothing_written_is_minus_two)
RAW_BOTH_SIDES(empty_frame_pending)
RAW_BOTH_SIDES(stale_errno)
RAW_BOTH_SIDES(hard_error_with_a_frame_pending)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(by_complete),
        RAW_BOTH_TESTS(by_flush),
        RAW_BOTH_TESTS(by_loop),
        RAW_BOTH_TESTS(by_all_in_turn),
        RAW_BOTH_TESTS(next_frame_is_not_taken),
        RAW_BOTH_TESTS(nothing_written_is_minus_two),
        RAW_BOTH_TESTS(empty_frame_pending),
        RAW_BOTH_TESTS(stale_errno),
        RAW_BOTH_TESTS(hard_error_with_a_frame_pending),
        cmocka_unit_test(blocking_send_waits),
        cmocka_unit_test(close_ends_a_waiting_send),
    };
    fill_content();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
