/* SPDX-License-Identifier: MIT */
/* Which messages nopoll_conn_get_msg makes of the frames that arrive, whatever way they were cut
 * on the road (spec: frames.md 1, 1.1, 1.2 on splits). */
#include "raw_peer.h"

#include <nopoll_private.h>

/* --- rows of the table: whole frames --- */

static void whole_frames(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    raw_send(&peer, RAW_TEXT, "text", 4);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "text", 4, 1, 0);
    raw_send(&peer, RAW_BINARY, "b\0n", 3);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, "b\0n", 3, 1, 0);
    EXPECT_NOTHING(peer.conn);
    raw_close(&peer);
}

static void fragments(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    raw_send(&peer, RAW_TEXT_PART, "one", 3);
    raw_send(&peer, RAW_MIDDLE, "two", 3);
    raw_send(&peer, RAW_LAST, "three", 5);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "one", 3, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "two", 3, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "three", 5, 1, 1);
    raw_close(&peer);
}

/* Empty frames are messages too; an empty final frame ends its message. */
static void empty_frames(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    raw_send(&peer, RAW_TEXT, "", 0);
    raw_send(&peer, RAW_BINARY_PART, "", 0);
    raw_send(&peer, RAW_MIDDLE, "", 0);
    raw_send(&peer, RAW_LAST, "", 0);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "", 0, 1, 0);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, "", 0, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "", 0, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, "", 0, 1, 1);
    raw_send_text(&peer, "alive");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "alive", 5, 1, 0);
    raw_close(&peer);
}

/* Compatible mode: released noPoll programs repeat the opcode inside a message. */
static void repeated_opcodes(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    raw_send(&peer, RAW_TEXT_PART, "Hel", 3);
    raw_send(&peer, RAW_TEXT_PART, "lo ", 3);
    raw_send(&peer, RAW_BINARY, "there", 5);
    raw_send(&peer, RAW_TEXT, "next", 4);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "Hel", 3, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "lo ", 3, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, "there", 5, 1, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "next", 4, 1, 0);
    raw_close(&peer);
}

/* Longer forms of the length than needed are taken. */
static void long_length_forms(enum raw_side side) {
    struct raw_peer peer;
    unsigned char frame[64] = {RAW_TEXT, 126, 0, 3, 'a', 'b', 'c'};
    size_t head;
    raw_open(&peer, side);
    if (side == RAW_ACCEPTED) {
        const unsigned char masked[] = {RAW_TEXT, 0x80 | 126, 0, 3, 0, 0, 0, 0, 'a', 'b', 'c'};
        test_send_all(peer.fd, masked, sizeof masked);
    } else {
        test_send_all(peer.fd, frame, 7);
    }
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "abc", 3, 1, 0);
    head = raw_long_header(&peer, frame, RAW_TEXT, 2);
    memcpy(frame + head, "xy", 2);
    test_send_all(peer.fd, frame, head + 2);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "xy", 2, 1, 0);
    raw_close(&peer);
}

/* --- a header alone leaves no trace --- */

static void header_alone(enum raw_side side) {
    struct raw_peer peer;
    unsigned char frame[32];
    size_t size, head;
    raw_open(&peer, side);
    size = raw_frame(&peer, frame, RAW_TEXT, "payload", 7);
    head = size - 7;
    test_send_all(peer.fd, frame, head);
    raw_wait_arrived(&peer, (int)head);
    EXPECT_NOTHING(peer.conn);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 0);
    test_send_all(peer.fd, frame + head, 7);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "payload", 7, 1, 0);
    raw_close(&peer);
}

/* What is_masked says is what was on the wire; nothing is outstanding. */
static void live_fields(enum raw_side side) {
    struct raw_peer peer;
    noPollMsg* msg;
    raw_open(&peer, side);
    raw_send_text(&peer, "fields");
    msg = test_get_msg(peer.conn);
    assert_non_null(msg);
    assert_int_equal(msg->is_masked, side == RAW_ACCEPTED);
    assert_int_equal(msg->remain_bytes, 0);
    assert_int_equal(msg->has_fin, 1);
    /* The payload is the program's to replace. */
    free(msg->payload);
    msg->payload = nopoll_strdup("other");
    msg->payload_size = 5;
    nopoll_msg_unref(msg);
    raw_send_text(&peer, "next");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "next", 4, 1, 0);
    raw_close(&peer);
}

/* --- cut at every byte --- */

/* Lengths on both sides of each form of the length field. */
static const size_t kLengths[] = {0, 1, 125, 126, 127, 300};

static unsigned char content[70000];

static void fill_content(void) {
    size_t i;
    for (i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * 7 + i / 251);
}

static void split_everywhere_by_get_msg(enum raw_side side) {
    static unsigned char frame[512];
    struct raw_peer peer;
    size_t n, cut;
    raw_open(&peer, side);
    for (n = 0; n < sizeof kLengths / sizeof *kLengths; n++) {
        const size_t size = raw_frame(&peer, frame, RAW_BINARY, content, kLengths[n]);
        for (cut = 1; cut < size; cut++) {
            test_send_all(peer.fd, frame, cut);
            raw_wait_arrived(&peer, (int)cut);
            EXPECT_NOTHING(peer.conn);
            test_send_all(peer.fd, frame + cut, size - cut);
            EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, content, kLengths[n], 1, 0);
        }
    }
    raw_close(&peer);
}

/* One byte in each readable event, with the three forms of the length. */
static void byte_by_byte(enum raw_side side) {
    static unsigned char frame[70016];
    static const size_t lengths[] = {5, 200, 65536};
    struct raw_peer peer;
    size_t n, i;
    raw_open(&peer, side);
    for (n = 0; n < 3; n++) {
        const size_t size = raw_frame(&peer, frame, RAW_BINARY, content, lengths[n]);
        const size_t singly = size < 300 ? size - 1 : 40; /* the header and some payload */
        for (i = 0; i < singly; i++) {
            test_send_all(peer.fd, frame + i, 1);
            assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
            EXPECT_NOTHING(peer.conn);
        }
        test_send_all(peer.fd, frame + singly, size - singly);
        EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, content, lengths[n], 1, 0);
    }
    raw_close(&peer);
}

/* The loop: messages are compared as they come. */
struct got {
    int messages;
    size_t size;
};

static void count_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct got* got = (struct got*)data;
    (void)ctx;
    (void)conn;
    got->messages++;
    assert_int_equal(nopoll_msg_get_payload_size(msg), got->size);
    assert_memory_equal(nopoll_msg_get_payload(msg), content, got->size);
    assert_int_equal(nopoll_msg_is_final(msg), 1);
    assert_int_equal(nopoll_msg_is_fragment(msg), 0);
}

static void split_everywhere_in_the_loop(enum raw_side side) {
    static unsigned char frames[1024];
    struct raw_peer peer;
    struct got got = {0, 0};
    size_t n, cut;
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, count_message, &got);
    for (n = 0; n < sizeof kLengths / sizeof *kLengths; n++) {
        /* Two frames in a row, so that cuts in the second meet what was read ahead. */
        const size_t one = raw_frame(&peer, frames, RAW_BINARY, content, kLengths[n]);
        const size_t size = one + raw_frame(&peer, frames + one, RAW_BINARY, content, kLengths[n]);
        got.size = kLengths[n];
        for (cut = 1; cut < size; cut++) {
            got.messages = 0;
            test_send_all(peer.fd, frames, cut);
            raw_wait_arrived(&peer, (int)cut);
            nopoll_loop_wait(peer.ctx, 1);
            assert_int_equal(got.messages, cut >= one ? 1 : 0);
            test_send_all(peer.fd, frames + cut, size - cut);
            SERVE_UNTIL(peer.ctx, got.messages == 2);
        }
    }
    raw_close(&peer);
}

/* A frame that the loop has begun is finished by get_msg, and the other way round. */
static void loop_and_get_msg_share_a_frame(enum raw_side side) {
    static unsigned char frame[512];
    struct raw_peer peer;
    struct got got = {0, 300};
    size_t cut;
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, count_message, &got);
    for (cut = 1; cut < 304; cut += 3) {
        const size_t size = raw_frame(&peer, frame, RAW_BINARY, content, 300);
        got.messages = 0;
        test_send_all(peer.fd, frame, cut);
        raw_wait_arrived(&peer, (int)cut);
        if (cut % 2 == 0)
            nopoll_loop_wait(peer.ctx, 1);
        else
            EXPECT_NOTHING(peer.conn);
        test_send_all(peer.fd, frame + cut, size - cut);
        if (cut % 2 == 0)
            EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, content, 300, 1, 0);
        else
            SERVE_UNTIL(peer.ctx, got.messages == 1);
    }
    raw_close(&peer);
}

/* The end of the stream inside a frame: what was taken in of it is dropped. */
static void end_inside_a_frame(enum raw_side side) {
    struct raw_peer peer;
    unsigned char frame[32];
    raw_open(&peer, side);
    raw_send(&peer, RAW_TEXT, "whole", 5);
    raw_frame(&peer, frame, RAW_TEXT, "partial", 7);
    test_send_all(peer.fd, frame, 8);
    shutdown(peer.fd, SHUT_WR);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "whole", 5, 1, 0);
    assert_null(test_get_msg(peer.conn));
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

/* --- the calls that give nothing --- */

static void no_messages_where_there_are_none(void** state) {
    struct raw_peer peer;
    (void)state;
    assert_null(nopoll_conn_get_msg(NULL));
    raw_open(&peer, RAW_ACCEPTED);
    assert_null(nopoll_conn_get_msg(peer.listener));
    assert_true(nopoll_conn_is_ok(peer.listener));
    EXPECT_NOTHING(peer.conn);
    nopoll_conn_shutdown(peer.conn);
    assert_null(nopoll_conn_get_msg(peer.conn));
    raw_close(&peer);
}

/* A frame that came with the client's request is there after the step that ends the handshake. */
static void frame_behind_the_head(void** state) {
    struct raw_peer peer;
    char head[2048];
    unsigned char bytes[1024];
    const size_t request = strlen(TEST_REQUEST);
    size_t size;
    noPollMsg* msg = NULL;
    (void)state;
    memset(&peer, 0, sizeof peer);
    peer.ctx = nopoll_ctx_new();
    peer.listener = nopoll_listener_new(peer.ctx, "127.0.0.1", "0");
    peer.side = RAW_ACCEPTED;
    peer.fd = test_connect(test_port_of(nopoll_conn_socket(peer.listener)));
    peer.conn = nopoll_conn_accept(peer.ctx, peer.listener);
    nopoll_conn_ref(peer.conn);
    memcpy(bytes, TEST_REQUEST, request);
    size = request + raw_frame(&peer, bytes + request, RAW_TEXT, "early", 5);
    test_send_all(peer.fd, bytes, size);
    raw_wait_arrived(&peer, (int)size);
    msg = nopoll_conn_get_msg(peer.conn); /* one call does it all */
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, "early", 5, 1, 0);
    assert_true(test_receive_head(peer.fd, head, sizeof head) > 0);
    raw_close(&peer);
}

RAW_BOTH_SIDES(whole_frames)
RAW_BOTH_SIDES(fragments)
RAW_BOTH_SIDES(empty_frames)
RAW_BOTH_SIDES(repeated_opcodes)
RAW_BOTH_SIDES(long_length_forms)
RAW_BOTH_SIDES(header_alone)
RAW_BOTH_SIDES(live_fields)
RAW_BOTH_SIDES(split_everywhere_by_get_msg)
RAW_BOTH_SIDES(byte_by_byte)
RAW_BOTH_SIDES(split_everywhere_in_the_loop)
RAW_BOTH_SIDES(loop_and_get_msg_share_a_frame)
RAW_BOTH_SIDES(end_inside_a_frame)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(whole_frames),
        RAW_BOTH_TESTS(fragments),
        RAW_BOTH_TESTS(empty_frames),
        RAW_BOTH_TESTS(repeated_opcodes),
        RAW_BOTH_TESTS(long_length_forms),
        RAW_BOTH_TESTS(header_alone),
        RAW_BOTH_TESTS(live_fields),
        RAW_BOTH_TESTS(split_everywhere_by_get_msg),
        RAW_BOTH_TESTS(byte_by_byte),
        RAW_BOTH_TESTS(split_everywhere_in_the_loop),
        RAW_BOTH_TESTS(loop_and_get_msg_share_a_frame),
        RAW_BOTH_TESTS(end_inside_a_frame),
        cmocka_unit_test(no_messages_where_there_are_none),
        cmocka_unit_test(frame_behind_the_head),
    };
    fill_content();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
