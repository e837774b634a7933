/* SPDX-License-Identifier: MIT */
/* nopoll_conn_read: the stream of payload bytes, with and without waiting, and beside
 * nopoll_conn_get_msg (spec: frames.md 5). */
#include "raw_peer.h"

#include <limits.h>
#include <pthread.h>

#define NOW nopoll_false, 0

static void arguments(void** state) {
    struct raw_peer peer;
    char buffer[4] = "abc";
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    errno = NOPOLL_EWOULDBLOCK; /* of an earlier call: there is nothing to wait for */
    assert_int_equal(nopoll_conn_read(NULL, buffer, 3, NOW), -1);
    assert_int_equal(errno, EINVAL);
    errno = NOPOLL_EWOULDBLOCK;
    assert_int_equal(nopoll_conn_read(peer.conn, NULL, 3, NOW), -1);
    assert_int_equal(errno, EINVAL);
    errno = NOPOLL_EWOULDBLOCK;
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 0, NOW), -1);
    assert_int_equal(errno, EINVAL);
    errno = NOPOLL_EWOULDBLOCK;
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, -1, NOW), -1);
    assert_int_equal(errno, EINVAL);
    assert_memory_equal(buffer, "abc", 4); /* untouched */
    assert_int_equal(nopoll_conn_read_pending(NULL), 0);
    /* The octets asked for are cleared first, and not one more. */
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 2, NOW), -1);
    assert_memory_equal(buffer, "\0\0c", 4);
    assert_int_equal(nopoll_conn_read(peer.listener, buffer, 2, NOW), -1);
    assert_true(nopoll_conn_is_ok(peer.listener));
    raw_close(&peer);
}

/* --- without waiting --- */

static void one_piece_a_call(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    raw_open(&peer, side);
    errno = 0;
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), -1);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    raw_send_text(&peer, "first");
    raw_send(&peer, RAW_BINARY, "", 0); /* empty messages say nothing */
    raw_send(&peer, RAW_BINARY_PART, "se", 2);
    raw_send(&peer, RAW_LAST, "cond", 4);
    raw_wait_arrived(&peer, side == RAW_ACCEPTED ? 35 : 19);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 5);
    assert_memory_equal(buffer, "first\0", 6);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 2);
    assert_memory_equal(buffer, "se\0", 3);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 4);
    assert_memory_equal(buffer, "cond\0", 5);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), -1);
    raw_close(&peer);
}

/* What does not fit is held, counted, and served first. */
static void rest_is_held(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    raw_open(&peer, side);
    raw_send_text(&peer, "0123456789");
    raw_send_text(&peer, "next");
    raw_wait_arrived(&peer, side == RAW_ACCEPTED ? 26 : 18);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 3, NOW), 3);
    assert_memory_equal(buffer, "012", 3);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 7);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 4, NOW), 4);
    assert_memory_equal(buffer, "3456", 4);
    /* A held rest alone is given, though more is on the socket. */
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 3);
    assert_memory_equal(buffer, "789\0", 4);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 0);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 4);
    raw_close(&peer);
}

/* Also after the end of the connection. */
static void rest_outlives_the_connection(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    raw_open(&peer, side);
    raw_send_text(&peer, "0123456789");
    raw_wait_arrived(&peer, side == RAW_ACCEPTED ? 16 : 12);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 2, NOW), 2);
    nopoll_conn_shutdown(peer.conn);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 8);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 6, NOW), 6);
    assert_memory_equal(buffer, "234567", 6);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 6, nopoll_true, 0), 2);
    assert_memory_equal(buffer, "89\0\0\0\0", 6);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 6, NOW), -1);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 6, nopoll_true, 0), 0);
    raw_close(&peer);
}

/* Bytes of a frame come before the frame is complete, in order, each once. */
static void bytes_of_incomplete_frames(enum raw_side side) {
    struct raw_peer peer;
    unsigned char frame[64];
    char buffer[16];
    size_t size, head, i;
    raw_open(&peer, side);
    size = raw_frame(&peer, frame, RAW_TEXT, "0123456789", 10);
    head = size - 10;
    for (i = 0; i < size; i++) {
        test_send_all(peer.fd, frame + i, 1);
        assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
        if (i < head) {
            assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), -1);
            continue;
        }
        assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 1);
        assert_int_equal(buffer[0], '0' + (int)(i - head));
    }
    raw_close(&peer);
}

/* --- beside get_msg and the loop --- */

/* get_msg passes the held rest by. */
static void get_msg_passes_held_bytes_by(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    raw_open(&peer, side);
    raw_send_text(&peer, "held back");
    raw_send_text(&peer, "frame");
    assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 4, NOW), 4);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "frame", 5, 1, 0);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 5);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 5);
    assert_memory_equal(buffer, " back", 5);
    raw_close(&peer);
}

/* read began a frame: get_msg delivers the bytes that had not come yet, as the last piece. */
static void get_msg_ends_what_read_began(enum raw_side side) {
    static const int first[] = {RAW_TEXT, RAW_TEXT_PART};
    int i;
    for (i = 0; i < 2; i++) {
        struct raw_peer peer;
        unsigned char frame[64];
        char buffer[16];
        size_t size;
        raw_open(&peer, side);
        size = raw_frame(&peer, frame, first[i], "0123456789", 10);
        test_send_all(peer.fd, frame, size - 6);
        raw_wait_arrived(&peer, (int)size - 6);
        assert_int_equal(nopoll_conn_read(peer.conn, buffer, 1, NOW), 1);
        assert_int_equal(nopoll_conn_read_pending(peer.conn), 3);
        test_send_all(peer.fd, frame + size - 6, 5);
        raw_wait_arrived(&peer, 5);
        EXPECT_NOTHING(peer.conn); /* not all there */
        test_send_all(peer.fd, frame + size - 1, 1);
        EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "456789", 6,
                   first[i] == RAW_TEXT, 1);
        assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 3);
        assert_memory_equal(buffer, "123", 3);
        raw_close(&peer);
    }
}

/* get_msg or the loop took a part in: read gives it first, and the frame is in pieces from there.
 */
static void read_begins_with_what_was_taken_in(enum raw_side side) {
    int in_loop;
    for (in_loop = 0; in_loop < 2; in_loop++) {
        struct raw_peer peer;
        unsigned char frame[64];
        char buffer[16];
        size_t size;
        raw_open(&peer, side);
        size = raw_frame(&peer, frame, RAW_TEXT, "0123456789", 10);
        test_send_all(peer.fd, frame, size - 6);
        raw_wait_arrived(&peer, (int)size - 6);
        if (in_loop)
            nopoll_loop_wait(peer.ctx, 1);
        else
            EXPECT_NOTHING(peer.conn);
        assert_int_equal(nopoll_conn_read_pending(peer.conn),
                         0); /* only the socket can complete it */
        assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, NOW), 4);
        assert_memory_equal(buffer, "0123", 4);
        test_send_all(peer.fd, frame + size - 6, 6);
        EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "456789", 6, 1, 1);
        raw_close(&peer);
    }
}

/* Pings are answered, Close frames end it, as with get_msg. */
static void control_frames_are_handled(enum raw_side side) {
    struct raw_peer peer;
    char buffer[8];
    raw_open(&peer, side);
    raw_send(&peer, RAW_PING, "p", 1);
    raw_send_text(&peer, "text");
    raw_send(&peer, RAW_CLOSE, "\x03\xe8", 2);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, TEST_LIMIT_MS), 4);
    assert_memory_equal(buffer, "text\0", 5);
    assert_false(nopoll_conn_is_ok(peer.conn));
    assert_int_equal(nopoll_conn_get_close_status(peer.conn), 1000);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, 0), 0);
    RAW_EXPECT(&peer, RAW_PONG, "p", 1);
    RAW_EXPECT_CLOSE(&peer, 1000);
    raw_close(&peer);
}

/* --- waiting --- */

static void collects_over_messages(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    raw_open(&peer, side);
    raw_send_text(&peer, "one");
    raw_send(&peer, RAW_BINARY, "two", 3);
    raw_send_text(&peer, "three");
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, 0), 8);
    assert_memory_equal(buffer, "onetwoth", 8);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 3);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, 1), 3);
    assert_memory_equal(buffer, "ree\0\0\0\0\0", 8);
    raw_close(&peer);
}

/* Not before the time, and soon after it; whatever mode the socket is in. The best of some tries
 * counts: the machine may be busy. */
static void time_limit_is_kept(enum raw_side side) {
    struct raw_peer peer;
    char buffer[8];
    int blocking, i;
    raw_open(&peer, side);
    for (blocking = 0; blocking < 2; blocking++) {
        long best = LONG_MAX;
        nopoll_conn_set_sock_block(nopoll_conn_socket(peer.conn), blocking);
        for (i = 0; i < 10 && best > 70; i++) {
            const long start = test_now_ms();
            long took;
            raw_send_text(&peer, "ab");
            assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, 50), 2);
            took = test_now_ms() - start;
            assert_true(took >= 49); /* the clock of the test has coarse steps */
            if (took < best) best = took;
        }
        assert_true(best <= 70);
        assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, 1), 0);
    }
    assert_true(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

/* Waiting is waiting: half a second of it costs next to no processor time. */
static void waiting_does_not_spin(enum raw_side side) {
    struct raw_peer peer;
    char buffer[8];
    struct timespec before, after;
    raw_open(&peer, side);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_true, 300), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    assert_true(
        (after.tv_sec - before.tv_sec) * 1000L + (after.tv_nsec - before.tv_nsec) / 1000000L < 50);
    raw_close(&peer);
}

struct late {
    const struct raw_peer* peer;
    int end;
};

static void* send_later(void* data) {
    const struct late* late = (const struct late*)data;
    poll(NULL, 0, 50); /* so that the reader waits, most probably */
    if (late->end)
        shutdown(late->peer->fd, SHUT_WR);
    else
        raw_send_text(late->peer, "world");
    return NULL;
}

static void wakes_up_for_bytes_and_for_the_end(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    struct late late = {&peer, 0};
    pthread_t thread;
    raw_open(&peer, side);
    raw_send_text(&peer, "hello ");
    assert_int_equal(pthread_create(&thread, NULL, send_later, &late), 0);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 11, nopoll_true, 0), 11);
    assert_memory_equal(buffer, "hello world", 11);
    pthread_join(thread, NULL);
    late.end = 1;
    assert_int_equal(pthread_create(&thread, NULL, send_later, &late), 0);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 11, nopoll_true, 0), 0);
    assert_false(nopoll_conn_is_ok(peer.conn));
    pthread_join(thread, NULL);
    raw_close(&peer);
}

RAW_BOTH_SIDES(one_piece_a_call)
RAW_BOTH_SIDES(rest_is_held)
RAW_BOTH_SIDES(rest_outlives_the_connection)
RAW_BOTH_SIDES(bytes_of_incomplete_frames)
RAW_BOTH_SIDES(get_msg_passes_held_bytes_by)
RAW_BOTH_SIDES(get_msg_ends_what_read_began)
RAW_BOTH_SIDES(read_begins_with_what_was_taken_in)
RAW_BOTH_SIDES(control_frames_are_handled)
RAW_BOTH_SIDES(collects_over_messages)
RAW_BOTH_SIDES(time_limit_is_kept)
RAW_BOTH_SIDES(waiting_does_not_spin)
RAW_BOTH_SIDES(wakes_up_for_bytes_and_for_the_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        RAW_BOTH_TESTS(one_piece_a_call),
        RAW_BOTH_TESTS(rest_is_held),
        RAW_BOTH_TESTS(rest_outlives_the_connection),
        RAW_BOTH_TESTS(bytes_of_incomplete_frames),
        RAW_BOTH_TESTS(get_msg_passes_held_bytes_by),
        RAW_BOTH_TESTS(get_msg_ends_what_read_began),
        RAW_BOTH_TESTS(read_begins_with_what_was_taken_in),
        RAW_BOTH_TESTS(control_frames_are_handled),
        RAW_BOTH_TESTS(collects_over_messages),
        RAW_BOTH_TESTS(time_limit_is_kept),
        RAW_BOTH_TESTS(waiting_does_not_spin),
        RAW_BOTH_TESTS(wakes_up_for_bytes_and_for_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
