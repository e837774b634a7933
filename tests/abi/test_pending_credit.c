/* SPDX-License-Identifier: MIT */
/* Pending bytes that are not the program's own doing: what a running loop writes of its frame (the
 * credit), and the pongs of the library; and how long a flush takes (spec: frames.md 6.3). */
#include "narrow_peer.h"

#include <limits.h>
#include <pthread.h>

enum { kSize = 3000 };

static char content[kSize];

/* A frame that waits completely; the sink passes the bytes in front of it by. */
static void send_stuck(struct raw_peer* peer, struct sink* sink, enum raw_side side) {
    memset(sink, 0, sizeof *sink);
    narrow_open_local(peer, side);
    fill_up(peer, sink);
    assert_int_equal(nopoll_conn_send_binary(peer->conn, content, kSize), -2);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer->conn), kSize + header_size(peer, kSize));
}

/* Runs the loop until the whole frame is on the wire. */
static void let_the_loop_write(struct raw_peer* peer, struct sink* sink, size_t frame) {
    const size_t whole = sink->parsed + frame;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    while (sink->size < whole && test_now_ms() < end) {
        sink_take(sink, peer->fd, SIZE_MAX / 2);
        nopoll_loop_wait(peer->ctx, 1);
    }
    assert_int_equal(sink->size, whole);
}

/* --- credit --- */

/* What the loop wrote still counts as pending, and the next call that completes reports it. */
static void credit_is_collected(enum raw_side side) {
    enum { BY_COMPLETE, BY_FLUSH };
    int how;
    for (how = BY_COMPLETE; how <= BY_FLUSH; how++) {
        struct raw_peer peer;
        struct sink sink;
        send_stuck(&peer, &sink, side);
        let_the_loop_write(&peer, &sink, (size_t)(kSize + header_size(&peer, kSize)));
        assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn),
                         kSize); /* without the header */
        /* A flush without time collects nothing. */
        assert_int_equal(nopoll_conn_flush_writes(peer.conn, 0, 7), 7);
        assert_int_equal(nopoll_conn_flush_writes(peer.conn, -1, -7), 0);
        assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), kSize);
        if (how == BY_COMPLETE)
            assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), kSize);
        else
            assert_int_equal(nopoll_conn_flush_writes(peer.conn, 1, 7), kSize + 7);
        assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
        assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), 0);
        SINK_EXPECT(&sink, &peer, RAW_BINARY, content, kSize);
        SINK_EXPECT_ALL(&sink);
        sink_free(&sink);
        raw_close(&peer);
    }
}

/* A later send that finds no unsent bytes forgets it. */
static void credit_is_forgotten(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink;
    send_stuck(&peer, &sink, side);
    let_the_loop_write(&peer, &sink, (size_t)(kSize + header_size(&peer, kSize)));
    assert_int_equal(nopoll_conn_send_text(peer.conn, "next", 4), 4);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), 0);
    raw_close(&peer);
    sink_free(&sink);
}

/* A send that is refused meanwhile takes no credit away. */
static void credit_survives_a_refused_send(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink;
    static char large[200000];
    int result, told, before;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    memset(&sink, 0, sizeof sink);
    narrow_open(&peer, side);
    result = nopoll_conn_send_binary(peer.conn, large, sizeof large);
    assert_in_range(result, 1, sizeof large - 1);
    told = result;
    /* The loop writes a part. */
    sink_take(&sink, peer.fd, SIZE_MAX / 2);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 20000), -3);
    before = nopoll_conn_pending_write_bytes(peer.conn);
    assert_int_equal(before + told, sizeof large);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "no", 2), -1);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    /* The send itself may have written some bytes, which nobody reports; the credit stays. */
    told += before - nopoll_conn_pending_write_bytes(peer.conn);
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0 && test_now_ms() < end) {
        int n;
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        n = nopoll_conn_complete_pending_write(peer.conn);
        if (n > 0) told += n;
    }
    assert_int_equal(told, sizeof large);
    raw_close(&peer);
    sink_free(&sink);
}

/* On a message the peer makes room for the frame that waits. */
static void make_room(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    void** const both = (void**)data;
    (void)ctx;
    (void)conn;
    (void)msg;
    sink_take((struct sink*)both[0], ((struct raw_peer*)both[1])->fd, SIZE_MAX / 2);
}

/* Nothing is lost of what a pong of the library pushed out in front of itself. */
static void pongs_leave_the_credit(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink;
    unsigned char bytes[64];
    size_t size;
    void* both[2] = {&sink, &peer};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    long told = 0;
    send_stuck(&peer, &sink, side);
    nopoll_ctx_set_on_msg(peer.ctx, make_room, both);
    size = raw_frame(&peer, bytes, RAW_TEXT, "room", 4);
    size += raw_frame(&peer, bytes + size, RAW_PING, "ping", 4);
    test_send_all(peer.fd, bytes, size);
    nopoll_loop_wait(peer.ctx, 1);
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0 && test_now_ms() < end) {
        const int n = nopoll_conn_complete_pending_write(peer.conn);
        if (n > 0) told += n;
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
    }
    sink_take(&sink, peer.fd, SIZE_MAX / 2);
    assert_int_equal(told, kSize);
    SINK_EXPECT(&sink, &peer, RAW_BINARY, content, kSize);
    SINK_EXPECT(&sink, &peer, RAW_PONG, "ping", 4);
    SINK_EXPECT_ALL(&sink);
    raw_close(&peer);
    sink_free(&sink);
}

struct collector {
    struct raw_peer peer;
    struct sink sink;
    long told;
};

static void collect(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    struct collector* const all = (struct collector*)data;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    (void)ctx;
    while (nopoll_conn_pending_write_bytes(conn) > 0 && test_now_ms() < end) {
        const int n = nopoll_conn_complete_pending_write(conn);
        if (n > 0) all->told += n;
        sink_take(&all->sink, all->peer.fd, SIZE_MAX / 2);
    }
}

/* Nor of what went out when a Close frame was to be answered: programs complete in on_close. */
static void close_answers_leave_the_credit(enum raw_side side) {
    struct collector all;
    unsigned char bytes[64];
    size_t size;
    void* both[2] = {&all.sink, &all.peer};
    send_stuck(&all.peer, &all.sink, side);
    all.told = 0;
    nopoll_ctx_set_on_msg(all.peer.ctx, make_room, both);
    nopoll_conn_set_on_close(all.peer.conn, collect, &all);
    size = raw_frame(&all.peer, bytes, RAW_TEXT, "room", 4);
    size += raw_frame(&all.peer, bytes + size, RAW_CLOSE, "", 0);
    test_send_all(all.peer.fd, bytes, size);
    SERVE_UNTIL(all.peer.ctx, !nopoll_conn_is_ok(all.peer.conn));
    assert_int_equal(all.told, kSize);
    sink_take(&all.sink, all.peer.fd, SIZE_MAX / 2);
    SINK_EXPECT(&all.sink, &all.peer, RAW_BINARY, content, kSize);
    raw_close(&all.peer);
    sink_free(&all.sink);
}

/* get_msg tries once, too. */
static void get_msg_writes_what_is_pending(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    size_t whole;
    send_stuck(&peer, &sink, side);
    whole = sink.parsed + (size_t)(kSize + header_size(&peer, kSize));
    while (sink.size < whole && test_now_ms() < end) {
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        EXPECT_NOTHING(peer.conn);
    }
    assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), kSize);
    SINK_EXPECT(&sink, &peer, RAW_BINARY, content, kSize);
    raw_close(&peer);
    sink_free(&sink);
}

/* --- frames of the library --- */

static void ping_it(struct raw_peer* peer, const char* text) {
    raw_send(peer, RAW_PING, text, strlen(text));
    assert_true(test_readable(nopoll_conn_socket(peer->conn), TEST_LIMIT_MS));
    assert_null(nopoll_conn_get_msg(peer->conn));
}

/* A pong that cannot be written waits: counted as pending, never in a result. The latest one is
 * kept, with one before it at most, and a program's frame is still taken, behind them. */
static void pong_waits(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    const int pong = (side == RAW_CLIENT ? 6 : 2) + 6;
    int pongs, told = 0, i;
    narrow_open_local(&peer, side);
    fill_up(&peer, &sink);
    ping_it(&peer, "ping 0");
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), pong);
    for (i = 1; i < 10; i++) {
        char text[32];
        snprintf(text, sizeof text, "ping %d", i);
        ping_it(&peer, text);
    }
    pongs = nopoll_conn_pending_write_bytes(peer.conn);
    assert_true(pongs == pong || pongs == 2 * pong);
    errno = 0;
    assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), -1);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_int_equal(nopoll_conn_send_binary(peer.conn, content, kSize), -2);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn),
                     pongs + kSize + header_size(&peer, kSize));
    assert_int_equal(nopoll_conn_send_text(peer.conn, "no", 2), -1);
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0 && test_now_ms() < end) {
        int n;
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        n = nopoll_conn_complete_pending_write(peer.conn);
        if (n > 0) told += n;
    }
    assert_int_equal(told, kSize);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "end", 3), 3);
    nopoll_conn_shutdown(peer.conn);
    while (test_readable(peer.fd, TEST_LIMIT_MS) && sink_take(&sink, peer.fd, SIZE_MAX / 2) > 0)
        ;
    if (pongs > pong) SINK_EXPECT(&sink, &peer, RAW_PONG, "ping 0", 6);
    SINK_EXPECT(&sink, &peer, RAW_PONG, "ping 9", 6);
    SINK_EXPECT(&sink, &peer, RAW_BINARY, content, kSize);
    SINK_EXPECT(&sink, &peer, RAW_TEXT, "end", 3);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_close(&peer);
}

/* Programs that only read a stream get their pongs out as well. */
static void read_writes_what_is_pending(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    char byte;
    narrow_open_local(&peer, side);
    fill_up(&peer, &sink);
    raw_send(&peer, RAW_PING, "ping", 4);
    assert_int_equal(nopoll_conn_read(peer.conn, &byte, 1, nopoll_false, 0), -1);
    assert_true(nopoll_conn_pending_write_bytes(peer.conn) > 0);
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0 && test_now_ms() < end) {
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        errno = 0;
        assert_int_equal(nopoll_conn_read(peer.conn, &byte, 1, nopoll_false, 0), -1);
        assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    }
    sink_take(&sink, peer.fd, SIZE_MAX / 2);
    SINK_EXPECT(&sink, &peer, RAW_PONG, "ping", 4);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_close(&peer);
}

/* Pings and pongs of the program as well: taken, and written later. Alone they never make a result.
 */
static void ping_waits(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    narrow_open_local(&peer, side);
    fill_up(&peer, &sink);
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1);
    assert_int_not_equal(nopoll_conn_send_pong(peer.conn, 3, "abc"), 0);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn),
                     header_size(&peer, 0) + header_size(&peer, 3) + 3);
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0 && test_now_ms() < end) {
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        assert_true(nopoll_conn_complete_pending_write(peer.conn) <= 0);
    }
    nopoll_conn_shutdown(peer.conn);
    while (test_readable(peer.fd, TEST_LIMIT_MS) && sink_take(&sink, peer.fd, SIZE_MAX / 2) > 0)
        ;
    SINK_EXPECT(&sink, &peer, RAW_PING, "", 0);
    SINK_EXPECT(&sink, &peer, RAW_PONG, "abc", 3);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_close(&peer);
}

/* A program that pings a peer which reads nothing, again and again, is told so in the end: memory
 * does not grow for ever. When the peer reads, pings go again. */
static void pings_are_refused_in_the_end(enum raw_side side) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    int pings = 0;
    narrow_open_local(&peer, side);
    fill_up(&peer, &sink);
    while (pings < 100000 && nopoll_conn_send_ping(peer.conn))
        pings++;
    assert_in_range(pings, 1000, 10000);
    assert_true(nopoll_conn_is_ok(peer.conn));
    assert_int_not_equal(nopoll_conn_send_pong(peer.conn, 1, "p"),
                         0); /* takes an older one's place */
    while (nopoll_conn_pending_write_bytes(peer.conn) > 0 && test_now_ms() < end) {
        sink_take(&sink, peer.fd, SIZE_MAX / 2);
        assert_true(nopoll_conn_complete_pending_write(peer.conn) <= 0);
    }
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1);
    nopoll_conn_shutdown(peer.conn);
    while (test_readable(peer.fd, TEST_LIMIT_MS) && sink_take(&sink, peer.fd, SIZE_MAX / 2) > 0)
        ;
    while (pings-- > 0)
        SINK_EXPECT(&sink, &peer, RAW_PING, "", 0);
    SINK_EXPECT(&sink, &peer, RAW_PONG, "p", 1);
    SINK_EXPECT(&sink, &peer, RAW_PING, "", 0);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_close(&peer);
}

/* They never wait, on sockets in blocking mode neither. */
static void pong_never_waits(void** state) {
    struct raw_peer peer;
    struct sink sink = {NULL, 0, 0, 0};
    (void)state;
    narrow_open_local(&peer, RAW_ACCEPTED);
    nopoll_conn_set_sock_block(nopoll_conn_socket(peer.conn), nopoll_true);
    fill_up(&peer, &sink);
    ping_it(&peer, "p");
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 5);
    let_the_loop_write(&peer, &sink,
                       5); /* library frames leave the count when the loop writes them */
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    SINK_EXPECT(&sink, &peer, RAW_PONG, "p", 1);
    SINK_EXPECT(&sink, &peer, RAW_PING, "", 0);
    sink_free(&sink);
    raw_close(&peer);
}

/* --- the time of a flush --- */

static void flush_with_nothing_pending(enum raw_side side) {
    struct raw_peer peer;
    const long start = test_now_ms();
    raw_open(&peer, side);
    assert_int_equal(nopoll_conn_flush_writes(peer.conn, 60000000, 12), 12);
    assert_int_equal(nopoll_conn_flush_writes(peer.conn, 60000000, -2), 0);
    assert_int_equal(nopoll_conn_flush_writes(NULL, 60000000, 12), 12);
    assert_int_equal(nopoll_conn_flush_writes(NULL, 60000000, -2), 0);
    assert_int_equal(nopoll_conn_pending_write_bytes(NULL), 0);
    assert_int_equal(nopoll_conn_complete_pending_write(NULL), 0);
    assert_int_equal(nopoll_conn_complete_pending_write(peer.conn), 0);
    assert_true(test_now_ms() - start < TEST_LIMIT_MS);
    raw_close(&peer);
}

/* At least 100 ms, as programs pass 2000 us and live from them; a longer time is kept. The best of
 * some tries counts: the machine may be busy. */
static void flush_keeps_its_time(enum raw_side side) {
    static const long rows[][2] = {{1, 100}, {2000, 100}, {150000, 150}};
    struct raw_peer peer;
    struct sink sink;
    size_t n;
    int i;
    send_stuck(&peer, &sink, side);
    for (n = 0; n < 3; n++) {
        long best = LONG_MAX;
        for (i = 0; i < 8 && best > rows[n][1] + 20; i++) {
            const long start = test_now_ms();
            long took;
            assert_int_equal(nopoll_conn_flush_writes(peer.conn, rows[n][0], 3), 3);
            took = test_now_ms() - start;
            assert_true(took >= rows[n][1] - 1);
            if (took < best) best = took;
        }
        assert_true(best <= rows[n][1] + 20);
    }
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), kSize + header_size(&peer, kSize));
    raw_close(&peer);
    sink_free(&sink);
}

static void* take_all(void* data) {
    const struct raw_peer* peer = (const struct raw_peer*)data;
    struct sink sink = {NULL, 0, 0, 0};
    poll(NULL, 0, 30); /* so that the flush waits, most probably */
    while (test_readable(peer->fd, TEST_LIMIT_MS) && sink_take(&sink, peer->fd, 3000) > 0)
        ;
    sink_free(&sink);
    return NULL;
}

/* It is done as soon as the peer has made room, in one call. */
static void flush_waits_for_room(enum raw_side side) {
    static char large[100000];
    struct raw_peer peer;
    pthread_t thread;
    int result;
    const long start = test_now_ms();
    narrow_open(&peer, side);
    result = nopoll_conn_send_binary(peer.conn, large, sizeof large);
    assert_in_range(result, 1, sizeof large - 1);
    assert_int_equal(pthread_create(&thread, NULL, take_all, &peer), 0);
    result = nopoll_conn_flush_writes(peer.conn, 60000000, result);
    assert_int_equal(result, sizeof large);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    assert_true(test_now_ms() - start < 30000);
    nopoll_conn_shutdown(peer.conn);
    pthread_join(thread, NULL);
    raw_close(&peer);
}

RAW_BOTH_SIDES(credit_is_collected)
RAW_BOTH_SIDES(credit_is_forgotten)
RAW_BOTH_SIDES(credit_survives_a_refused_send)
RAW_BOTH_SIDES(get_msg_writes_what_is_pending)
RAW_BOTH_SIDES(pong_waits)
RAW_BOTH_SIDES(pongs_leave_the_credit)
RAW_BOTH_SIDES(close_answers_leave_the_credit)
RAW_BOTH_SIDES(ping_waits)
RAW_BOTH_SIDES(pings_are_refused_in_the_end)
RAW_BOTH_SIDES(read_writes_what_is_pending)
RAW_BOTH_SIDES(flush_with_nothing_pending)
RAW_BOTH_SIDES(flush_keeps_its_time)
RAW_BOTH_SIDES(flush_waits_for_room)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(credit_is_collected),
        RAW_BOTH_TESTS(credit_is_forgotten),
        RAW_BOTH_TESTS(credit_survives_a_refused_send),
        RAW_BOTH_TESTS(get_msg_writes_what_is_pending),
        RAW_BOTH_TESTS(pongs_leave_the_credit),
        RAW_BOTH_TESTS(close_answers_leave_the_credit),
        RAW_BOTH_TESTS(pong_waits),
        RAW_BOTH_TESTS(ping_waits),
        RAW_BOTH_TESTS(pings_are_refused_in_the_end),
        RAW_BOTH_TESTS(read_writes_what_is_pending),
        cmocka_unit_test(pong_never_waits),
        RAW_BOTH_TESTS(flush_with_nothing_pending),
        RAW_BOTH_TESTS(flush_keeps_its_time),
        RAW_BOTH_TESTS(flush_waits_for_room),
    };
    memset(content, 'c', sizeof content);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
