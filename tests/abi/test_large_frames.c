/* SPDX-License-Identifier: MIT */
/* Frames beyond 16 MiB come in pieces as they arrive, up to that whole (spec: frames.md 1.1). */
#include "raw_peer.h"

#define WHOLE_LIMIT ((size_t)NOPOLL_MAX_FRAME_SIZE_DEFAULT)

/* What was received of one frame, compared byte for byte as it comes. */
struct taken {
    size_t size;
    int pieces;
    int finals;
    int opcode_of_first;
    int bad_flags; /* pieces that are no fragment, or carry an opcode though not the first */
    int bad_bytes;
};

static unsigned char pattern(size_t i) {
    return (unsigned char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static void take(struct taken* taken, noPollMsg* msg) {
    const unsigned char* payload = nopoll_msg_get_payload(msg);
    const long size = nopoll_msg_get_payload_size(msg);
    long i;
    if (taken->pieces == 0)
        taken->opcode_of_first = nopoll_msg_opcode(msg);
    else if (nopoll_msg_opcode(msg) != NOPOLL_CONTINUATION_FRAME)
        taken->bad_flags++;
    if (!nopoll_msg_is_fragment(msg)) taken->bad_flags++;
    for (i = 0; i < size; i++)
        taken->bad_bytes += payload[i] != pattern(taken->size + (size_t)i);
    taken->bad_bytes += payload[size] != 0;
    taken->size += (size_t)size;
    taken->pieces++;
    taken->finals += nopoll_msg_is_final(msg);
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    take((struct taken*)data, msg);
}

/* Sends what the socket takes of a frame; true while there is more. */
static int feed(int fd, const unsigned char* frame, size_t size, size_t* sent) {
    while (*sent < size) {
        const ssize_t n = send(fd, frame + *sent, size - *sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) return 1;
        *sent += (size_t)n;
    }
    return 0;
}

static void transfer(enum raw_side side, int first_byte, size_t size, int in_loop,
                     struct taken* taken) {
    struct raw_peer peer;
    unsigned char* payload = malloc(size);
    unsigned char* frame = malloc(size + 14);
    const long end = test_now_ms() + 6 * TEST_LIMIT_MS;
    size_t frame_size, sent = 0, i;
    raw_open(&peer, side);
    nopoll_ctx_set_max_frame_size(peer.ctx, 64 * 1024 * 1024);
    nopoll_ctx_set_on_msg(peer.ctx, on_msg, taken);
    memset(taken, 0, sizeof *taken);
    for (i = 0; i < size; i++)
        payload[i] = pattern(i);
    frame_size = raw_frame(&peer, frame, first_byte, payload, size);
    while (taken->size < size && nopoll_conn_is_ok(peer.conn) && test_now_ms() < end) {
        feed(peer.fd, frame, frame_size, &sent);
        if (in_loop) {
            nopoll_loop_wait(peer.ctx, 1);
        } else if (test_readable(nopoll_conn_socket(peer.conn), 20)) {
            noPollMsg* msg = nopoll_conn_get_msg(peer.conn);
            if (msg != NULL) take(taken, msg);
            nopoll_msg_unref(msg);
        }
    }
    free(payload);
    free(frame);
    /* Nothing of the frame is left, and the connection lives. */
    EXPECT_NOTHING(peer.conn);
    raw_send_text(&peer, "behind");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "behind", 6, 1, !(first_byte & 0x80));
    raw_close(&peer);
}

static void check_pieces(const struct taken* taken, size_t size, int final) {
    assert_int_equal(taken->size, size);
    assert_int_equal(taken->bad_bytes, 0);
    assert_int_equal(taken->bad_flags, 0);
    assert_true(taken->pieces > 1);
    assert_int_equal(taken->opcode_of_first, NOPOLL_BINARY_FRAME);
    assert_int_equal(taken->finals, final);
}

static void above_the_limit_in_pieces(enum raw_side side) {
    struct taken taken;
    transfer(side, RAW_BINARY, WHOLE_LIMIT + 1, 0, &taken);
    check_pieces(&taken, WHOLE_LIMIT + 1, 1);
    transfer(side, RAW_BINARY, 20000003, 1, &taken);
    check_pieces(&taken, 20000003, 1);
}

static void first_fragment_in_pieces(void** state) {
    struct taken taken;
    (void)state;
    transfer(RAW_ACCEPTED, RAW_BINARY_PART, WHOLE_LIMIT + 5, 0, &taken);
    check_pieces(&taken, WHOLE_LIMIT + 5, 0);
}

/* However it arrived. */
static void up_to_the_limit_whole(enum raw_side side) {
    struct taken taken;
    int in_loop;
    for (in_loop = 0; in_loop < 2; in_loop++) {
        transfer(side, RAW_BINARY, WHOLE_LIMIT, in_loop, &taken);
        assert_int_equal(taken.pieces, 1);
        assert_int_equal(taken.size, WHOLE_LIMIT);
        assert_int_equal(taken.bad_bytes, 0);
        assert_int_equal(taken.bad_flags, 1); /* a whole message is no fragment */
        assert_int_equal(taken.finals, 1);
    }
}

/* A piece holds all that is there, not what an internal buffer holds. */
static void pieces_are_not_cut_small(void** state) {
    static unsigned char bytes[100000];
    struct raw_peer peer;
    unsigned char head[14];
    noPollMsg* msg;
    size_t sent = 0;
    const int room = 400000;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_max_frame_size(peer.ctx, 64 * 1024 * 1024);
    setsockopt(nopoll_conn_socket(peer.conn), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    test_send_all(peer.fd, head, raw_long_header(&peer, head, RAW_BINARY, 20000000));
    feed(peer.fd, bytes, sizeof bytes, &sent);
    raw_wait_arrived(&peer, (int)sent);
    msg = nopoll_conn_get_msg(peer.conn);
    assert_non_null(msg);
    assert_int_equal(nopoll_msg_get_payload_size(msg), sent);
    assert_false(nopoll_msg_is_final(msg));
    assert_true(nopoll_msg_is_fragment(msg));
    nopoll_msg_unref(msg);
    EXPECT_NOTHING(peer.conn);
    raw_close(&peer);
}

/* Nor in the loop. */
static void pieces_in_the_loop_are_not_cut_small(void** state) {
    static unsigned char bytes[300000];
    struct taken taken;
    struct raw_peer peer;
    unsigned char head[14];
    size_t sent = 0;
    const int room = 1000000;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_max_frame_size(peer.ctx, 64 * 1024 * 1024);
    nopoll_ctx_set_on_msg(peer.ctx, on_msg, &taken);
    memset(&taken, 0, sizeof taken);
    setsockopt(nopoll_conn_socket(peer.conn), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    test_send_all(peer.fd, head, raw_long_header(&peer, head, RAW_BINARY, 20000000));
    feed(peer.fd, bytes, sizeof bytes, &sent);
    raw_wait_arrived(&peer, (int)sent);
    SERVE_UNTIL(peer.ctx, taken.size == sent);
    assert_int_equal(taken.pieces, 1);
    raw_close(&peer);
}

/* The end inside such a frame: pieces delivered so far stay delivered, then the connection ends. */
static void end_inside_pieces(void** state) {
    struct raw_peer peer;
    unsigned char head[14];
    (void)state;
    raw_open(&peer, RAW_CLIENT);
    nopoll_ctx_set_max_frame_size(peer.ctx, 64 * 1024 * 1024);
    test_send_all(peer.fd, head, raw_long_header(&peer, head, RAW_BINARY, 20000000));
    test_send_all(peer.fd, "first", 5);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, "first", 5, 0, 1);
    test_send_all(peer.fd, "second", 6);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "second", 6, 0, 1);
    shutdown(peer.fd, SHUT_WR);
    assert_null(test_get_msg(peer.conn));
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

RAW_BOTH_SIDES(above_the_limit_in_pieces)
RAW_BOTH_SIDES(up_to_the_limit_whole)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(above_the_limit_in_pieces),
        cmocka_unit_test(first_fragment_in_pieces),
        RAW_BOTH_TESTS(up_to_the_limit_whole),
        cmocka_unit_test(pieces_are_not_cut_small),
        cmocka_unit_test(pieces_in_the_loop_are_not_cut_small),
        cmocka_unit_test(end_inside_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
