/* SPDX-License-Identifier: MIT */
/* What the sending functions accept and what they put on the wire (spec: frames.md 6.1, 6.2, 6.4,
 * 6.5). What happens when the socket does not take it all is in test_pending_write.c. */
#include "raw_peer.h"

int __nopoll_conn_send_common(noPollConn* conn, const char* content, long length,
                              nopoll_bool has_fin, long sleep_in_header, noPollOpCode frame_type);

#define COMMON(conn, content, length, fin, opcode)                                                 \
    __nopoll_conn_send_common((conn), (content), (length), (fin), 0, (opcode))
#define RAW_FRAME(conn, fin, opcode, length, content)                                              \
    nopoll_conn_send_frame((conn), (fin), nopoll_conn_role(conn) == NOPOLL_ROLE_CLIENT, (opcode),  \
                           (length), (content), 0)

/* --- arguments --- */

/* Not to be mistaken for a frame that may be sent again later, whatever errno said before. */
#define REFUSED(call)                                                                              \
    do {                                                                                           \
        errno = NOPOLL_EWOULDBLOCK;                                                                \
        assert_int_equal((call), -1);                                                              \
        assert_int_equal(errno, EINVAL);                                                           \
    } while (0)

static void refused_arguments(enum raw_side side) {
    struct raw_peer peer;
    char text[] = "text";
    raw_open(&peer, side);
    REFUSED(nopoll_conn_send_text(NULL, text, 4));
    REFUSED(nopoll_conn_send_binary(NULL, text, 4));
    REFUSED(nopoll_conn_send_text_fragment(NULL, text, 4));
    REFUSED(nopoll_conn_send_binary_fragment(NULL, text, 4));
    REFUSED(COMMON(NULL, text, 4, nopoll_true, NOPOLL_TEXT_FRAME));
    REFUSED(nopoll_conn_send_text(peer.conn, NULL, 4));
    REFUSED(nopoll_conn_send_binary(peer.conn, NULL, 4));
    REFUSED(nopoll_conn_send_text(peer.conn, text, 0));
    REFUSED(nopoll_conn_send_binary(peer.conn, text, 0));
    REFUSED(nopoll_conn_send_text(peer.conn, text, -2));
    REFUSED(nopoll_conn_send_binary(peer.conn, text, -1));
    REFUSED(nopoll_conn_send_binary_fragment(peer.conn, text, -1));
    REFUSED(COMMON(peer.conn, text, -1, nopoll_true, NOPOLL_BINARY_FRAME));

    REFUSED(RAW_FRAME(NULL, nopoll_true, NOPOLL_TEXT_FRAME, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_TEXT_FRAME, 4, NULL));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_TEXT_FRAME, -1, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, (noPollOpCode)3, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, (noPollOpCode)11, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, (noPollOpCode)16, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, (noPollOpCode)-1, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, (noPollOpCode)4711, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_false, NOPOLL_PING_FRAME, 4, text));
    REFUSED(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_PING_FRAME, 126, text));
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);

    /* None of that left anything behind. */
    assert_int_equal(nopoll_conn_send_text(peer.conn, text, 4), 4);
    RAW_EXPECT_TEXT(&peer, "text");
    assert_true(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

static void refused_connections(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    assert_int_equal(nopoll_conn_send_text(peer.listener, "x", 1), -1);
    assert_int_equal(RAW_FRAME(peer.listener, nopoll_true, NOPOLL_TEXT_FRAME, 1, "x"), -1);
    assert_int_equal(nopoll_conn_send_ping(peer.listener), 0);
    assert_true(nopoll_conn_is_ok(peer.listener));
    nopoll_conn_shutdown(peer.conn);
    for (int i = 0; i < 2; i++) {
        errno = 0;
        assert_int_equal(nopoll_conn_send_text(peer.conn, "x", 1), -1);
        assert_int_equal(errno, EBADF);
        assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
    }
    raw_close(&peer);
}

static void nothing_after_a_close_frame(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_CLOSE_FRAME, 0, NULL), 0);
    errno = 0;
    assert_int_equal(nopoll_conn_send_text(peer.conn, "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    errno = 0;
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_BINARY_FRAME, 1, "x"), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 0);
    assert_int_equal(nopoll_conn_send_pong(peer.conn, 0, NULL), 0);
    nopoll_conn_shutdown(peer.conn);
    RAW_EXPECT_CLOSE(&peer, 0);
    raw_close(&peer);
}

/* A peer that is gone: -1 at once or soon, never EWOULDBLOCK, nothing kept, no signal; finding out
 * is left to reading. */
static void peer_is_gone(enum raw_side side) {
    struct raw_peer peer;
    const struct linger hard = {1, 0};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    int i;
    raw_open(&peer, side);
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(peer.fd);
    peer.fd = -1;
    while (nopoll_conn_send_text(peer.conn, "x", 1) == 1 && test_now_ms() < end)
        poll(NULL, 0, 1);
    for (i = 0; i < 3; i++) {
        errno = NOPOLL_EWOULDBLOCK;
        assert_int_equal(nopoll_conn_send_text(peer.conn, "x", 1), -1);
        assert_true(errno == EPIPE || errno == ECONNRESET);
        assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
        assert_true(nopoll_conn_is_ok(peer.conn));
        assert_int_equal(nopoll_conn_send_ping(peer.conn), 0);
        assert_int_equal(nopoll_conn_send_pong(peer.conn, 0, NULL), 0);
    }
    assert_null(test_get_msg(peer.conn));
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

/* --- on the wire --- */

static void kinds_of_frames(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "text", 4), 4);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "string", -1), 6);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "", -1), 0); /* an empty frame */
    assert_int_equal(nopoll_conn_send_binary(peer.conn, "b\0n", 3), 3);
    assert_int_equal(COMMON(peer.conn, "c", 1, nopoll_true, NOPOLL_BINARY_FRAME), 1);
    /* Without strict mode text is sent as it is. */
    assert_int_equal(nopoll_conn_send_text(peer.conn, "\xff\xfe", 2), 2);
    RAW_EXPECT(&peer, RAW_TEXT, "text", 4);
    RAW_EXPECT(&peer, RAW_TEXT, "string", 6);
    RAW_EXPECT(&peer, RAW_TEXT, "", 0);
    RAW_EXPECT(&peer, RAW_BINARY, "b\0n", 3);
    RAW_EXPECT(&peer, RAW_BINARY, "c", 1);
    RAW_EXPECT(&peer, RAW_TEXT, "\xff\xfe", 2);
    raw_close(&peer);
}

/* The shortest form of the length, and content on both sides of each border. */
static void lengths(enum raw_side side) {
    static const long rows[] = {1, 125, 126, 127, 65535, 65536, 70000};
    static unsigned char content[70000], wire[70020];
    struct raw_peer peer;
    size_t i, n;
    raw_open(&peer, side);
    for (i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * 13 + i / 255);
    for (n = 0; n < sizeof rows / sizeof *rows; n++) {
        const long size = rows[n];
        const size_t form = size < 126 ? 2 : size < 65536 ? 4 : 10;
        const size_t head = form + (side == RAW_CLIENT ? 4 : 0);
        uint64_t length;
        assert_int_equal(nopoll_conn_send_binary(peer.conn, (const char*)content, size), size);
        assert_int_equal(test_receive(peer.fd, wire, head + (size_t)size), head + (size_t)size);
        assert_int_equal(wire[0], RAW_BINARY);
        assert_int_equal(wire[1] & 0x80, side == RAW_CLIENT ? 0x80 : 0);
        length = wire[1] & 0x7f;
        if (form == 2) assert_int_equal(length, size);
        if (form == 4) assert_int_equal(length, 126);
        if (form == 10) assert_int_equal(length, 127);
        if (form > 2)
            for (length = 0, i = 2; i < form; i++)
                length = length << 8 | wire[i];
        assert_int_equal(length, size);
        for (i = 0; i < (size_t)size; i++)
            wire[head + i] ^= side == RAW_CLIENT ? wire[form + i % 4] : 0;
        assert_memory_equal(wire + head, content, (size_t)size);
        /* The program's own bytes are not masked in place. */
        assert_int_equal(content[1], 13);
    }
    raw_close(&peer);
}

/* Each frame of a client has its own masking key. */
static void masking_keys_change(void** state) {
    struct raw_peer peer;
    unsigned char frames[64][7];
    int i, j;
    (void)state;
    raw_open(&peer, RAW_CLIENT);
    for (i = 0; i < 64; i++) {
        assert_int_equal(nopoll_conn_send_text(peer.conn, "k", 1), 1);
        assert_int_equal(test_receive(peer.fd, frames[i], 7), 7);
        for (j = 0; j < i; j++)
            assert_memory_not_equal(frames[i] + 2, frames[j] + 2, 4);
    }
    raw_close(&peer);
}

static void raw_frames(enum raw_side side) {
    static struct raw_reply reply;
    struct raw_peer peer;
    char text[] = "text";
    raw_open(&peer, side);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_TEXT_FRAME, 4, text), 4);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_BINARY_FRAME, 0, NULL), 0);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_BINARY_FRAME, 0, text), 0);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_PING_FRAME, 4, text), 4);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_PONG_FRAME, 0, NULL), 0);
    RAW_EXPECT(&peer, RAW_TEXT, "text", 4);
    RAW_EXPECT(&peer, RAW_BINARY, "", 0);
    RAW_EXPECT(&peer, RAW_BINARY, "", 0);
    RAW_EXPECT(&peer, RAW_PING, "text", 4);
    RAW_EXPECT(&peer, RAW_PONG, "", 0);
    /* The mask is as the argument says, also where that is wrong. */
    assert_int_equal(nopoll_conn_send_frame(peer.conn, nopoll_true, side == RAW_ACCEPTED,
                                            NOPOLL_TEXT_FRAME, 4, text, 0),
                     4);
    assert_int_equal(raw_receive(peer.fd, &reply), RAW_TEXT);
    assert_int_equal(reply.masked, side == RAW_ACCEPTED);
    assert_string_equal((char*)reply.payload, "text");
    raw_close(&peer);
}

/* --- fragmented messages --- */

/* The second and later frames go out as continuations, whatever type was asked for. */
static void fragments(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    assert_int_equal(nopoll_conn_send_text_fragment(peer.conn, "Hel", 3), 3);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "lo", 2), 2);
    assert_int_equal(nopoll_conn_send_binary_fragment(peer.conn, "1", 1), 1);
    assert_int_equal(nopoll_conn_send_text_fragment(peer.conn, "2", 1), 1);
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1); /* changes nothing */
    assert_int_equal(COMMON(peer.conn, "3", 1, nopoll_false, NOPOLL_CONTINUATION_FRAME), 1);
    assert_int_equal(nopoll_conn_send_binary(peer.conn, "4", 1), 1);
    assert_int_equal(nopoll_conn_send_binary(peer.conn, "5", 1), 1);
    RAW_EXPECT(&peer, RAW_TEXT_PART, "Hel", 3);
    RAW_EXPECT(&peer, RAW_LAST, "lo", 2);
    RAW_EXPECT(&peer, RAW_BINARY_PART, "1", 1);
    RAW_EXPECT(&peer, RAW_MIDDLE, "2", 1);
    RAW_EXPECT(&peer, RAW_PING, "", 0);
    RAW_EXPECT(&peer, RAW_MIDDLE, "3", 1);
    RAW_EXPECT(&peer, RAW_LAST, "4", 1);
    RAW_EXPECT(&peer, RAW_BINARY, "5", 1);
    raw_close(&peer);
}

/* Raw frames keep their opcode, and count as begin and end of a message. */
static void raw_frames_in_messages(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_false, NOPOLL_TEXT_FRAME, 1, "1"), 1);
    assert_int_equal(nopoll_conn_send_text_fragment(peer.conn, "2", 1), 1);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_false, NOPOLL_TEXT_FRAME, 1, "3"), 1);
    assert_int_equal(RAW_FRAME(peer.conn, nopoll_true, NOPOLL_CONTINUATION_FRAME, 0, NULL), 0);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "4", 1), 1);
    RAW_EXPECT(&peer, RAW_TEXT_PART, "1", 1);
    RAW_EXPECT(&peer, RAW_MIDDLE, "2", 1);
    RAW_EXPECT(&peer, RAW_TEXT_PART, "3", 1);
    RAW_EXPECT(&peer, RAW_LAST, "", 0);
    RAW_EXPECT(&peer, RAW_TEXT, "4", 1);
    raw_close(&peer);
}

/* --- before the connection is ready --- */

/* A client sends behind its request, as the original does; but no Close frame. */
static void client_sends_early(void** state) {
    struct raw_peer peer;
    char reply[512];
    (void)state;
    memset(&peer, 0, sizeof peer);
    peer.ctx = nopoll_ctx_new();
    raw_start_client(&peer, NULL);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "early", 5), 5);
    raw_reply_to(peer.ctx, peer.fd, reply, sizeof reply);
    RAW_EXPECT_TEXT(&peer, "early");
    test_send_all(peer.fd, reply, strlen(reply));
    raw_make_ready(&peer);
    raw_close(&peer);

    peer.ctx = nopoll_ctx_new();
    raw_start_client(&peer, NULL);
    assert_int_equal(nopoll_conn_send_text(peer.conn, "early", 5), 5);
    raw_reply_to(peer.ctx, peer.fd, reply, sizeof reply);
    nopoll_conn_close_ext(peer.conn, 1000, "x", 1);
    RAW_EXPECT_TEXT(&peer, "early");
    RAW_EXPECT_END(&peer);
    close(peer.fd);
    nopoll_ctx_unref(peer.ctx);
}

static nopoll_bool send_inside(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    int* step = (int*)data;
    const int ready = ++*step == 3;
    (void)ctx;
    errno = 0;
    assert_int_equal(nopoll_conn_send_text(conn, "inside", 6), ready ? 6 : -1);
    if (!ready) assert_int_equal(errno, ENOTCONN);
    if (!ready) assert_int_equal(nopoll_conn_send_ping(conn), 0);
    return nopoll_true;
}

/* An accepted connection cannot before its reply is out: on_accept and on_open are too early,
 * on_ready is not. */
static void accepted_sends_from_on_ready_on(void** state) {
    struct raw_peer peer;
    char head[2048];
    int step = 0;
    (void)state;
    memset(&peer, 0, sizeof peer);
    peer.ctx = nopoll_ctx_new();
    nopoll_ctx_set_on_accept(peer.ctx, send_inside, &step);
    nopoll_ctx_set_on_open(peer.ctx, send_inside, &step);
    nopoll_ctx_set_on_ready(peer.ctx, send_inside, &step);
    peer.listener = nopoll_listener_new(peer.ctx, "127.0.0.1", "0");
    peer.fd = test_connect(test_port_of(nopoll_conn_socket(peer.listener)));
    test_send_all(peer.fd, TEST_REQUEST, strlen(TEST_REQUEST));
    SERVE_UNTIL(peer.ctx, step == 3);
    assert_true(test_receive_head(peer.fd, head, sizeof head) > 0);
    assert_memory_equal(head, "HTTP/1.1 101", 12);
    RAW_EXPECT_TEXT(&peer, "inside");
    close(peer.fd);
    LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 1);
    nopoll_conn_close(peer.listener);
    nopoll_ctx_unref(peer.ctx);
}

/* --- pings and pongs of the program --- */

static void pings_and_pongs(enum raw_side side) {
    static char payload[126];
    struct raw_peer peer;
    raw_open(&peer, side);
    assert_int_equal(nopoll_conn_send_ping(NULL), 0);
    assert_int_equal(nopoll_conn_send_pong(NULL, 0, NULL), 0);
    assert_int_equal(nopoll_conn_send_pong(peer.conn, 126, payload), 0);
    assert_int_equal(nopoll_conn_send_pong(peer.conn, -1, payload), 0);
    assert_int_equal(nopoll_conn_send_pong(peer.conn, 1, NULL), 0);
    errno = NOPOLL_EWOULDBLOCK; /* of an earlier call: must not matter */
    assert_int_equal(nopoll_conn_send_ping(peer.conn), 1);
    assert_int_not_equal(nopoll_conn_send_pong(peer.conn, 0, NULL), 0);
    assert_int_not_equal(nopoll_conn_send_pong(peer.conn, 125, payload), 0);
    RAW_EXPECT(&peer, RAW_PING, "", 0);
    RAW_EXPECT(&peer, RAW_PONG, "", 0);
    RAW_EXPECT(&peer, RAW_PONG, payload, 125);
    raw_close(&peer);
}

RAW_BOTH_SIDES(refused_arguments)
RAW_BOTH_SIDES(nothing_after_a_close_frame)
RAW_BOTH_SIDES(peer_is_gone)
RAW_BOTH_SIDES(kinds_of_frames)
RAW_BOTH_SIDES(lengths)
RAW_BOTH_SIDES(raw_frames)
RAW_BOTH_SIDES(fragments)
RAW_BOTH_SIDES(raw_frames_in_messages)
RAW_BOTH_SIDES(pings_and_pongs)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(refused_arguments),
        cmocka_unit_test(refused_connections),
        RAW_BOTH_TESTS(nothing_after_a_close_frame),
        RAW_BOTH_TESTS(peer_is_gone),
        RAW_BOTH_TESTS(kinds_of_frames),
        RAW_BOTH_TESTS(lengths),
        cmocka_unit_test(masking_keys_change),
        RAW_BOTH_TESTS(raw_frames),
        RAW_BOTH_TESTS(fragments),
        RAW_BOTH_TESTS(raw_frames_in_messages),
        cmocka_unit_test(client_sends_early),
        cmocka_unit_test(accepted_sends_from_on_ready_on),
        RAW_BOTH_TESTS(pings_and_pongs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
