/* SPDX-License-Identifier: MIT */
/* The two checks that wait for strict mode, and who switches it on: context, options, environment
 * (spec: frames.md 1.3, 1.2, 6.1). */
#include "raw_peer.h"

int __nopoll_conn_send_common(noPollConn* conn, const char* content, long length,
                              nopoll_bool has_fin, long sleep_in_header, noPollOpCode frame_type);

static void open_strict(struct raw_peer* peer, enum raw_side side) {
    memset(peer, 0, sizeof *peer);
    peer->ctx = nopoll_ctx_new();
    nopoll_ctx_set_strict(peer->ctx, nopoll_true);
    if (side == RAW_ACCEPTED) peer->listener = nopoll_listener_new(peer->ctx, "127.0.0.1", "0");
    raw_join(peer, side);
}

/* Nothing is delivered (any more), and the peer learns why. */
static void expect_failure(struct raw_peer* peer, int code) {
    assert_null(test_get_msg(peer->conn));
    assert_false(nopoll_conn_is_ok(peer->conn));
    RAW_EXPECT_CLOSE(peer, code);
    raw_close(peer);
}

/* --- received text --- */

static void bad_text_ends_the_connection(enum raw_side side) {
    static const char* const rows[] = {
        "\x80",     /* continuation byte alone */
        "ok\xff",   /* no such byte */
        "\xc0\xaf", /* longer than needed */
        "\xe0\x80\xaf",
        "\xf0\x80\x80\xaf",
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "caf\xc3",          /* incomplete at the end of the message */
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw_peer peer;
        open_strict(&peer, side);
        raw_send_text(&peer, rows[i]);
        expect_failure(&peer, 1007);
    }
}

static void good_text_and_binary_pass(enum raw_side side) {
    const char* text = "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbf";
    struct raw_peer peer;
    open_strict(&peer, side);
    raw_send_text(&peer, text);
    raw_send(&peer, RAW_BINARY, "\xff\xfe", 2);
    raw_send_text(&peer, "");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, text, strlen(text), 1, 0);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, "\xff\xfe", 2, 1, 0);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "", 0, 1, 0);
    raw_close(&peer);
}

/* A character may be cut by the border of frames, with a ping in between. */
static void character_over_frames(enum raw_side side) {
    struct raw_peer peer;
    open_strict(&peer, side);
    raw_send(&peer, RAW_TEXT_PART, "\xe2", 1);
    raw_send(&peer, RAW_PING, "p", 1);
    raw_send(&peer, RAW_MIDDLE, "\x82", 1);
    raw_send(&peer, RAW_LAST, "\xac", 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "\xe2", 1, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "\x82", 1, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "\xac", 1, 1, 1);
    RAW_EXPECT(&peer, RAW_PONG, "p", 1);
    raw_close(&peer);
}

/* The message must be complete; an empty last frame does not complete it. */
static void incomplete_message(enum raw_side side) {
    struct raw_peer peer;
    open_strict(&peer, side);
    raw_send(&peer, RAW_TEXT_PART, "caf\xc3", 4);
    raw_send(&peer, RAW_LAST, "", 0);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "caf\xc3", 4, 0, 1);
    expect_failure(&peer, 1007);
}

/* At the first bad byte, long before the frame is complete. */
static void fails_as_soon_as_seen(enum raw_side side) {
    int in_loop;
    for (in_loop = 0; in_loop < 2; in_loop++) {
        struct raw_peer peer;
        unsigned char head[14];
        open_strict(&peer, side);
        test_send_all(peer.fd, head, raw_long_header(&peer, head, RAW_TEXT, 100000));
        test_send_all(peer.fd, "good so far \xf4\x90", 14);
        if (in_loop) SERVE_UNTIL(peer.ctx, !nopoll_conn_is_ok(peer.conn));
        expect_failure(&peer, 1007);
    }
}

/* The stream interface gives nothing from the bad byte on. */
static void stream_stops_before_the_bad_byte(enum raw_side side) {
    struct raw_peer peer;
    unsigned char head[14];
    char buffer[64];
    int n = -1;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    open_strict(&peer, side);
    test_send_all(peer.fd, head, raw_long_header(&peer, head, RAW_TEXT, 1000));
    test_send_all(peer.fd, "good", 4);
    while (n < 4 && test_now_ms() < end)
        n = nopoll_conn_read(peer.conn, buffer, sizeof buffer, nopoll_false, 0);
    assert_int_equal(n, 4);
    test_send_all(peer.fd,
                  "more\xff"
                  "bad",
                  8);
    while (nopoll_conn_is_ok(peer.conn) && test_now_ms() < end) {
        n = nopoll_conn_read(peer.conn, buffer, sizeof buffer, nopoll_false, 0);
        if (n > 0) assert_memory_equal(buffer, "more", (size_t)n);
        assert_true(n <= 4);
    }
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, sizeof buffer, nopoll_false, 0), -1);
    RAW_EXPECT_CLOSE(&peer, 1007);
    raw_close(&peer);
}

static void data_opcode_inside_a_message(enum raw_side side) {
    static const int opcodes[] = {RAW_TEXT, RAW_BINARY, RAW_TEXT_PART, RAW_BINARY_PART};
    size_t i;
    for (i = 0; i < 4; i++) {
        struct raw_peer peer;
        open_strict(&peer, side);
        raw_send(&peer, RAW_TEXT_PART, "Hel", 3);
        raw_send(&peer, opcodes[i], "lo", 2);
        EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "Hel", 3, 0, 1);
        expect_failure(&peer, 1002);
    }
}

/* --- what is sent --- */

#define REFUSED(call)                                                                              \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal((call), -1);                                                              \
        assert_int_equal(errno, EILSEQ);                                                           \
    } while (0)

/* A refused call leaves no trace: neither on the wire nor in the state of the message. */
static void sending_checks_whole_messages(enum raw_side side) {
    struct raw_peer peer;
    open_strict(&peer, side);
    noPollConn* conn = peer.conn;
    REFUSED(nopoll_conn_send_text(conn, "\xff", 1));
    REFUSED(nopoll_conn_send_text(conn, "caf\xc3", -1));
    REFUSED(nopoll_conn_send_text_fragment(conn, "a\x80", 2));
    REFUSED(__nopoll_conn_send_common(conn, "\xff", 1, nopoll_true, 0, NOPOLL_TEXT_FRAME));
    assert_int_equal(nopoll_conn_send_text_fragment(conn, "caf\xc3", 4), 4);
    REFUSED(nopoll_conn_send_text(conn, "\xff", 1));
    REFUSED(nopoll_conn_send_text_fragment(conn, "x", 1));
    REFUSED(__nopoll_conn_send_common(conn, "\xc3", 1, nopoll_false, 0, NOPOLL_CONTINUATION_FRAME));
    assert_int_equal(nopoll_conn_send_text_fragment(conn, "\xa9 \xe2\x82", 4), 4);
    REFUSED(nopoll_conn_send_text(conn, "", -1)); /* would end an incomplete character */
    assert_int_equal(nopoll_conn_send_text(conn, "\xac", 1), 1);
    assert_int_equal(nopoll_conn_send_text(conn, "whole", 5), 5);
    assert_int_equal(nopoll_conn_pending_write_bytes(conn), 0);
    RAW_EXPECT(&peer, RAW_TEXT_PART, "caf\xc3", 4);
    RAW_EXPECT(&peer, RAW_MIDDLE, "\xa9 \xe2\x82", 4);
    RAW_EXPECT(&peer, RAW_LAST, "\xac", 1);
    RAW_EXPECT_TEXT(&peer, "whole");
    raw_close(&peer);
}

/* Binary messages, all their frames, and raw frames are not looked at. */
static void sending_leaves_the_rest_alone(enum raw_side side) {
    struct raw_peer peer;
    open_strict(&peer, side);
    assert_int_equal(nopoll_conn_send_binary(peer.conn, "\xff", 1), 1);
    assert_int_equal(nopoll_conn_send_binary_fragment(peer.conn, "\xfe", 1), 1);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "\xfd", 1), 1);
    assert_int_equal(nopoll_conn_send_frame(peer.conn, nopoll_true, side == RAW_CLIENT,
                                            NOPOLL_TEXT_FRAME, 1, "\xfc", 0),
                     1);
    RAW_EXPECT(&peer, RAW_BINARY, "\xff", 1);
    RAW_EXPECT(&peer, RAW_BINARY_PART, "\xfe", 1);
    RAW_EXPECT(&peer, RAW_LAST, "\xfd", 1);
    RAW_EXPECT(&peer, RAW_TEXT, "\xfc", 1);
    raw_close(&peer);
}

/* --- the switches --- */

enum { UNSET = -1 };

/* Whether a connection made under these settings is strict: it refuses to send bad text, and fails
 * on bad text that comes. */
static int is_strict(enum raw_side side, const char* environment, int by_ctx, int by_options) {
    struct raw_peer peer;
    noPollConnOpts* options = NULL;
    noPollMsg* msg;
    int strict;
    if (environment != NULL)
        setenv("NOPOLL_STRICT", environment, 1);
    else
        unsetenv("NOPOLL_STRICT");
    memset(&peer, 0, sizeof peer);
    peer.ctx = nopoll_ctx_new();
    unsetenv("NOPOLL_STRICT");
    if (by_ctx != UNSET) nopoll_ctx_set_strict(peer.ctx, by_ctx);
    if (by_options != UNSET) {
        options = nopoll_conn_opts_new();
        nopoll_conn_opts_set_strict(options, by_options);
    }
    if (side == RAW_ACCEPTED) {
        peer.listener = nopoll_listener_new_opts(peer.ctx, options, "127.0.0.1", "0");
        raw_join(&peer, side);
    } else {
        char reply[512];
        raw_start_client(&peer, options);
        raw_reply_to(peer.ctx, peer.fd, reply, sizeof reply);
        test_send_all(peer.fd, reply, strlen(reply));
        raw_make_ready(&peer);
    }
    strict = nopoll_conn_send_text(peer.conn, "\xff", 1) == -1;
    raw_send(&peer, RAW_TEXT, "\xff", 1);
    msg = test_get_msg(peer.conn);
    assert_int_equal(msg == NULL, strict);
    assert_int_equal(nopoll_conn_is_ok(peer.conn), !strict);
    nopoll_msg_unref(msg);
    raw_close(&peer);
    return strict;
}

static void switches(enum raw_side side) {
    assert_int_equal(is_strict(side, NULL, UNSET, UNSET), 0);
    assert_int_equal(is_strict(side, NULL, 1, UNSET), 1);
    assert_int_equal(is_strict(side, NULL, 0, UNSET), 0);
    assert_int_equal(is_strict(side, NULL, UNSET, 1), 1);
    assert_int_equal(is_strict(side, NULL, 0, 1), 1);
    assert_int_equal(is_strict(side, NULL, 1, 0), 0);
    assert_int_equal(is_strict(side, "1", UNSET, UNSET), 1);
    assert_int_equal(is_strict(side, "0", UNSET, UNSET), 0);
    assert_int_equal(is_strict(side, "1", 0, UNSET), 0);
    assert_int_equal(is_strict(side, "1", UNSET, 0), 0);
    assert_int_equal(is_strict(side, "0", UNSET, 1), 1);
    assert_int_equal(is_strict(side, "yes", UNSET, UNSET), 0); /* unknown: ignored */
}

/* Looked at when the connection is made: later calls concern later connections. */
static void switched_while_connected(void** state) {
    struct raw_peer peer, later;
    (void)state;
    nopoll_ctx_set_strict(NULL, nopoll_true);
    nopoll_conn_opts_set_strict(NULL, nopoll_true);
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_strict(peer.ctx, nopoll_true);
    later = peer;
    raw_join(&later, RAW_ACCEPTED);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "\xff", 1), 1);
    REFUSED(nopoll_conn_send_text(later.conn, "\xff", 1));
    raw_leave(&later);
    raw_close(&peer);
}

RAW_BOTH_SIDES(bad_text_ends_the_connection)
RAW_BOTH_SIDES(good_text_and_binary_pass)
RAW_BOTH_SIDES(character_over_frames)
RAW_BOTH_SIDES(incomplete_message)
RAW_BOTH_SIDES(fails_as_soon_as_seen)
RAW_BOTH_SIDES(stream_stops_before_the_bad_byte)
RAW_BOTH_SIDES(data_opcode_inside_a_message)
RAW_BOTH_SIDES(sending_checks_whole_messages)
RAW_BOTH_SIDES(sending_leaves_the_rest_alone)
RAW_BOTH_SIDES(switches)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(bad_text_ends_the_connection),
        RAW_BOTH_TESTS(good_text_and_binary_pass),
        RAW_BOTH_TESTS(character_over_frames),
        RAW_BOTH_TESTS(incomplete_message),
        RAW_BOTH_TESTS(fails_as_soon_as_seen),
        RAW_BOTH_TESTS(stream_stops_before_the_bad_byte),
        RAW_BOTH_TESTS(data_opcode_inside_a_message),
        RAW_BOTH_TESTS(sending_checks_whole_messages),
        RAW_BOTH_TESTS(sending_leaves_the_rest_alone),
        RAW_BOTH_TESTS(switches),
        cmocka_unit_test(switched_while_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
