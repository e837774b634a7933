/* SPDX-License-Identifier: MIT */
/* Pings, pongs and Close frames from the peer: what is answered, and that nothing of them reaches
 * the program's messages (spec: frames.md 4; connection.md 6.1). */
#include "raw_peer.h"

static unsigned char long_text[126];

/* --- pings --- */

static void pings_are_answered_in_order(enum raw_side side) {
    static const size_t sizes[] = {0, 1, 124, 125};
    struct raw_peer peer;
    size_t i;
    raw_open(&peer, side);
    for (i = 0; i < 4; i++)
        raw_send(&peer, RAW_PING, long_text, sizes[i]);
    raw_send_text(&peer, "behind");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "behind", 6, 1, 0);
    for (i = 0; i < 4; i++)
        RAW_EXPECT(&peer, RAW_PONG, long_text, sizes[i]);
    raw_close(&peer);
}

/* Cut at every byte: one pong, with the complete payload, and nothing delivered. */
static void ping_in_parts(enum raw_side side) {
    struct raw_peer peer;
    unsigned char frame[32];
    size_t size, cut;
    raw_open(&peer, side);
    size = raw_frame(&peer, frame, RAW_PING, "in parts", 8);
    for (cut = 1; cut < size; cut++) {
        test_send_all(peer.fd, frame, cut);
        raw_wait_arrived(&peer, (int)cut);
        EXPECT_NOTHING(peer.conn);
        test_send_all(peer.fd, frame + cut, size - cut);
        assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
        assert_null(nopoll_conn_get_msg(peer.conn));
        RAW_EXPECT(&peer, RAW_PONG, "in parts", 8);
    }
    raw_close(&peer);
}

static void append(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    char* text = (char*)data;
    (void)ctx;
    (void)conn;
    sprintf(text + strlen(text), "%s/%d/%d/%d ", (const char*)nopoll_msg_get_payload(msg),
            nopoll_msg_opcode(msg), nopoll_msg_is_final(msg), nopoll_msg_is_fragment(msg));
}

/* Between the frames of a message they change nothing about its flags. */
static void control_frames_between_fragments(enum raw_side side) {
    struct raw_peer peer;
    char text[256] = "";
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, append, text);
    raw_send(&peer, RAW_TEXT_PART, "one", 3);
    raw_send(&peer, RAW_PING, "first", 5);
    raw_send(&peer, RAW_PONG, "unasked", 7);
    raw_send(&peer, RAW_MIDDLE, "two", 3);
    raw_send(&peer, RAW_PING, "second", 6);
    raw_send(&peer, RAW_LAST, "three", 5);
    SERVE_UNTIL(peer.ctx, strstr(text, "three") != NULL);
    assert_string_equal(text, "one/1/0/1 two/0/0/1 three/0/1/1 ");
    RAW_EXPECT(&peer, RAW_PONG, "first", 5);
    RAW_EXPECT(&peer, RAW_PONG, "second", 6);
    raw_close(&peer);
}

/* Thousands of pings in a row, each answered while the peer reads; a neighbour gets its turn. */
static void ping_flood(enum raw_side side) {
    enum { kPings = 5000 };
    struct raw_peer peer, neighbour;
    char text[256] = "";
    static unsigned char wire[kPings * 16];
    static struct raw_reply reply;
    size_t size = 0, at = 0;
    int sent = 0, answered = 0;
    raw_open(&peer, side);
    neighbour = peer;
    raw_join(&neighbour, side);
    nopoll_ctx_set_on_msg(peer.ctx, append, text);
    for (; sent < kPings; sent++)
        size += raw_frame(&peer, wire + size, RAW_PING, &sent, sizeof sent);
    raw_send_text(&neighbour, "me too");
    while (answered < kPings) {
        if (at < size) {
            const ssize_t n = send(peer.fd, wire + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0) at += (size_t)n;
        }
        nopoll_loop_wait(peer.ctx, 1);
        while (answered < kPings && test_readable(peer.fd, 0)) {
            assert_int_equal(raw_receive(peer.fd, &reply), RAW_PONG);
            assert_int_equal(reply.size, sizeof answered);
            assert_memory_equal(reply.payload, &answered, sizeof answered);
            answered++;
        }
    }
    assert_string_equal(text, "me too/1/1/0 ");
    raw_leave(&neighbour);
    raw_close(&peer);
}

/* A peer that sends pings and does not read the pongs: nothing piles up, and when it reads again,
 * the latest ping is answered. */
static void pongs_do_not_pile_up(enum raw_side side) {
    enum { kPings = 4000 };
    struct raw_peer peer;
    static unsigned char wire[1 << 21];
    size_t size = 0, at = 0;
    const long end = test_now_ms() + 3 * TEST_LIMIT_MS;
    const int small = 4096;
    unsigned char payload[125], frame[160];
    unsigned number = 0, last = 0;
    int most_pending = 0;
    raw_open(&peer, side);
    setsockopt(peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(nopoll_conn_socket(peer.conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    memset(payload, 0, sizeof payload);
    for (number = 1; number <= kPings; number++) {
        memcpy(payload, &number, sizeof number);
        test_send_all(peer.fd, frame, raw_frame(&peer, frame, RAW_PING, payload, sizeof payload));
        if (number % 100 == 0) {
            int left = 1;
            while (left > 0) {
                nopoll_loop_wait(peer.ctx, 1);
                ioctl(nopoll_conn_socket(peer.conn), FIONREAD, &left);
            }
            if (nopoll_conn_pending_write_bytes(peer.conn) > most_pending)
                most_pending = nopoll_conn_pending_write_bytes(peer.conn);
        }
    }
    assert_true(nopoll_conn_is_ok(peer.conn));
    assert_true(most_pending > 0); /* it did come to that */
    assert_true(most_pending < 500);
    while (last != kPings && test_now_ms() < end) {
        const size_t whole = side == RAW_CLIENT ? 131 : 127;
        const ssize_t n = recv(peer.fd, wire + size, sizeof wire - size, MSG_DONTWAIT);
        if (n > 0)
            size += (size_t)n;
        else
            nopoll_loop_wait(peer.ctx, 1); /* writes the rest as we make room */
        for (; size - at >= whole; at += whole) {
            unsigned char* bytes = wire + at + whole - sizeof payload;
            unsigned seen, i;
            assert_int_equal(wire[at], RAW_PONG);
            assert_int_equal(wire[at + 1] & 0x7f, sizeof payload);
            for (i = 0; side == RAW_CLIENT && i < 4; i++)
                bytes[i] = (unsigned char)(bytes[i] ^ wire[at + 2 + i]);
            memcpy(&seen, bytes, sizeof seen);
            assert_true(seen > last);
            last = seen;
        }
    }
    assert_int_equal(last, kPings);
    raw_close(&peer);
}

/* --- pongs --- */

static void pongs_are_ignored(enum raw_side side) {
    struct raw_peer peer;
    unsigned char frame[160];
    size_t size, i;
    raw_open(&peer, side);
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1);
    RAW_EXPECT(&peer, RAW_PING, "", 0);
    raw_send(&peer, RAW_PONG, "", 0);
    raw_send(&peer, RAW_PONG, long_text, 125);
    size = raw_frame(&peer, frame, RAW_PONG, "dribble", 7);
    for (i = 0; i < size; i++) {
        test_send_all(peer.fd, frame + i, 1);
        assert_null(nopoll_conn_get_msg(peer.conn));
    }
    raw_send_text(&peer, "behind");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "behind", 6, 1, 0);
    assert_false(test_readable(peer.fd, 0)); /* and nothing came back */
    raw_close(&peer);
}

/* --- Close frames --- */

struct close_row {
    size_t size;
    unsigned char body[6];
    int answer; /* 0: an empty Close */
    int status;
    const char* reason;
};

/* clang-format off */
#define CODE(code) {(code) >> 8, (code) & 0xff}
static const struct close_row kCloses[] = {
    {0, {0}, 0, 1005, NULL},
    {1, {3}, 1002, 1005, NULL},
    {2, CODE(1000), 1000, 1000, ""},
    {5, {3, 0xe8, 'b', 'y', 'e'}, 1000, 1000, "bye"},
    {2, CODE(1001), 1001, 1001, ""}, {2, CODE(1003), 1003, 1003, ""},
    {2, CODE(1007), 1007, 1007, ""}, {2, CODE(1011), 1011, 1011, ""},
    {2, CODE(1014), 1014, 1014, ""}, {2, CODE(3000), 3000, 3000, ""},
    {2, CODE(4000), 4000, 4000, ""}, {2, CODE(4999), 4999, 4999, ""},
    {2, CODE(0), 1002, 0, ""},       {2, CODE(999), 1002, 999, ""},
    {2, CODE(1004), 1002, 1004, ""}, {2, CODE(1005), 1002, 1005, ""},
    {2, CODE(1006), 1002, 1006, ""}, {2, CODE(1015), 1002, 1015, ""},
    {2, CODE(1016), 1002, 1016, ""}, {4, {1048 >> 8, 1048 & 0xff, 'o', 'k'}, 1002, 1048, "ok"},
    {2, CODE(2999), 1002, 2999, ""}, {2, CODE(5000), 1002, 5000, ""},
    {2, CODE(65535), 1002, 65535, ""},
    {4, {3, 0xe8, 0xc3, 0x28}, 1007, 1000, NULL},
    {5, {3, 0xe8, 0xe2, 0x82, 0xac}, 1000, 1000, "\xe2\x82\xac"},
    {4, {3, 0xe8, 0xe2, 0x82}, 1007, 1000, NULL},
};
/* clang-format on */

struct ending {
    const struct close_row* row;
    int calls;
};

static void check_status(noPollConn* conn, const struct close_row* row) {
    assert_int_equal(nopoll_conn_get_close_status(conn), row->status);
    if (row->reason == NULL)
        assert_null(nopoll_conn_get_close_reason(conn));
    else
        assert_string_equal(nopoll_conn_get_close_reason(conn), row->reason);
}

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    struct ending* ending = (struct ending*)data;
    (void)ctx;
    ending->calls++;
    assert_true(nopoll_conn_is_ok(conn));
    check_status(conn, ending->row);
}

static void no_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)msg;
    ++*(int*)data;
}

static void closes_are_answered(enum raw_side side) {
    size_t i;
    int in_loop;
    for (i = 0; i < sizeof kCloses / sizeof *kCloses; i++) {
        for (in_loop = 0; in_loop < 2; in_loop++) {
            const struct close_row* row = &kCloses[i];
            struct ending ending = {row, 0};
            struct raw_peer peer;
            unsigned char bytes[64];
            size_t size;
            int messages = 0;
            raw_open(&peer, side);
            nopoll_ctx_set_on_msg(peer.ctx, no_message, &messages);
            nopoll_conn_set_on_close(peer.conn, on_close, &ending);
            /* What follows a Close frame is not looked at. */
            size = raw_frame(&peer, bytes, RAW_CLOSE, row->body, row->size);
            size += raw_frame(&peer, bytes + size, RAW_TEXT, "late", 4);
            test_send_all(peer.fd, bytes, size);
            raw_wait_arrived(&peer, (int)size);
            if (in_loop)
                nopoll_loop_wait(peer.ctx, 1);
            else
                assert_null(nopoll_conn_get_msg(peer.conn));
            assert_int_equal(ending.calls, 1);
            assert_int_equal(messages, 0);
            assert_false(nopoll_conn_is_ok(peer.conn));
            check_status(peer.conn, row);
            RAW_EXPECT_CLOSE(&peer, row->answer);
            raw_close(&peer);
        }
    }
}

/* The whole frame is collected first, wherever it was cut, also inside a message. */
static void close_in_parts(enum raw_side side) {
    unsigned char body[125] = {3, 0xe8};
    struct raw_peer peer;
    unsigned char frame[160];
    size_t size, i;
    memset(body + 2, 'r', 123);
    raw_open(&peer, side);
    raw_send(&peer, RAW_TEXT_PART, "unfinished", 10);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "unfinished", 10, 0, 1);
    size = raw_frame(&peer, frame, RAW_CLOSE, body, 125);
    for (i = 0; i < size; i++) {
        assert_true(nopoll_conn_is_ok(peer.conn));
        test_send_all(peer.fd, frame + i, 1);
        assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
        assert_null(nopoll_conn_get_msg(peer.conn));
    }
    assert_false(nopoll_conn_is_ok(peer.conn));
    assert_int_equal(nopoll_conn_get_close_status(peer.conn), 1000);
    assert_int_equal(strlen(nopoll_conn_get_close_reason(peer.conn)), 123);
    RAW_EXPECT_CLOSE(&peer, 1000);
    raw_close(&peer);
}

/* Who has sent a Close frame does not send another. */
/* The connection is open yet, and more bytes of the peer are there; they are nobody's. */
static void read_in_on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    char buffer[8];
    const long start = test_now_ms();
    ++*(int*)data;
    assert_true(nopoll_conn_is_ok(conn));
    errno = NOPOLL_EWOULDBLOCK;
    assert_null(nopoll_conn_get_msg(conn));
    assert_int_equal(errno, 0);
    errno = NOPOLL_EWOULDBLOCK;
    assert_int_equal(nopoll_conn_read(conn, buffer, 8, nopoll_false, 0), -1);
    assert_int_equal(errno, 0);
    assert_int_equal(nopoll_conn_read(conn, buffer, 8, nopoll_true, 0), 0);
    assert_true(test_now_ms() - start < TEST_LIMIT_MS);
    assert_int_equal(nopoll_conn_read_pending(conn), 0);
    assert_int_equal(nopoll_loop_wait(ctx, 20000), -3);
}

static void nothing_is_read_behind_the_end(enum raw_side side) {
    enum { BEHIND_CLOSE, BEHIND_VIOLATION, BEHIND_STREAM, WAYS };
    int way;
    for (way = 0; way < 2 * WAYS; way++) {
        struct raw_peer peer;
        unsigned char bytes[64];
        size_t size = 0;
        int closes = 0;
        int messages = 0;
        raw_open(&peer, side);
        nopoll_conn_set_on_close(peer.conn, read_in_on_close, &closes);
        nopoll_ctx_set_on_msg(peer.ctx, no_message, &messages);
        if (way % WAYS == BEHIND_CLOSE)
            size = raw_frame(&peer, bytes, RAW_CLOSE, raw_close_body(1000), 2);
        if (way % WAYS == BEHIND_VIOLATION) size = raw_frame(&peer, bytes, RAW_LAST, "x", 1);
        if (way % WAYS != BEHIND_STREAM)
            size += raw_frame(&peer, bytes + size, RAW_TEXT, "behind", 6);
        else
            shutdown(peer.fd, SHUT_WR);
        test_send_all(peer.fd, bytes, size);
        raw_wait_arrived(&peer, (int)size);
        assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
        if (way >= WAYS)
            SERVE_UNTIL(peer.ctx, !nopoll_conn_is_ok(peer.conn));
        else
            assert_null(nopoll_conn_get_msg(peer.conn));
        assert_int_equal(closes, 1);
        assert_int_equal(messages, 0);
        assert_false(nopoll_conn_is_ok(peer.conn));
        if (way % WAYS == BEHIND_STREAM)
            RAW_EXPECT_END(&peer);
        else
            RAW_EXPECT_CLOSE(&peer, way % WAYS == BEHIND_CLOSE ? 1000 : 1002);
        raw_close(&peer);
    }
}

static void no_second_close(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    assert_int_equal(nopoll_conn_send_frame(peer.conn, nopoll_true, side == RAW_CLIENT,
                                            NOPOLL_CLOSE_FRAME, 2, "\x03\xe9", 0),
                     2);
    raw_send(&peer, RAW_CLOSE, "\x03\xe8", 2);
    assert_null(test_get_msg(peer.conn));
    assert_false(nopoll_conn_is_ok(peer.conn));
    RAW_EXPECT_CLOSE(&peer, 1001);
    raw_close(&peer);
}

/* Unread input behind the peer's Close frame does not destroy the answer. */
static void answer_survives_unread_input(enum raw_side side) {
    static unsigned char junk[60000];
    struct raw_peer peer;
    raw_open(&peer, side);
    raw_send(&peer, RAW_CLOSE, "\x0f\xa0", 2);
    test_send_all(peer.fd, junk, sizeof junk);
    assert_null(test_get_msg(peer.conn));
    assert_false(nopoll_conn_is_ok(peer.conn));
    RAW_EXPECT_CLOSE(&peer, 4000);
    raw_close(&peer);
}

RAW_BOTH_SIDES(pings_are_answered_in_order)
RAW_BOTH_SIDES(ping_in_parts)
RAW_BOTH_SIDES(control_frames_between_fragments)
RAW_BOTH_SIDES(ping_flood)
RAW_BOTH_SIDES(pongs_do_not_pile_up)
RAW_BOTH_SIDES(pongs_are_ignored)
RAW_BOTH_SIDES(closes_are_answered)
RAW_BOTH_SIDES(close_in_parts)
RAW_BOTH_SIDES(nothing_is_read_behind_the_end)
RAW_BOTH_SIDES(no_second_close)
RAW_BOTH_SIDES(answer_survives_unread_input)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(pings_are_answered_in_order),
        RAW_BOTH_TESTS(ping_in_parts),
        RAW_BOTH_TESTS(control_frames_between_fragments),
        RAW_BOTH_TESTS(ping_flood),
        RAW_BOTH_TESTS(pongs_do_not_pile_up),
        RAW_BOTH_TESTS(pongs_are_ignored),
        RAW_BOTH_TESTS(closes_are_answered),
        RAW_BOTH_TESTS(close_in_parts),
        RAW_BOTH_TESTS(nothing_is_read_behind_the_end),
        RAW_BOTH_TESTS(no_second_close),
        RAW_BOTH_TESTS(answer_survives_unread_input),
    };
    memset(long_text, 'p', sizeof long_text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
