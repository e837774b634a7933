/* SPDX-License-Identifier: MIT */
/* Frames that break RFC 6455, sent to both ends: the close code of each, what is delivered before,
 * the one line in the log, and that nobody else on the loop notices (spec: frames.md 1.2, 3). */
#include "raw_peer.h"

enum { MASK_AS_DUE, MASK_WRONGLY };

struct violation {
    const char* name;
    const char* reason; /* words that the log has to say */
    int code;
    int masking;
    /* Frames as first byte and payload size, sent one by one; a size of -1 ends them. */
    struct {
        int first_byte;
        long size;
    } frames[3];
};

/* clang-format off */
static const struct violation kViolations[] = {
    {"wrong mask on text", "mask", 1002, MASK_WRONGLY, {{RAW_TEXT, 3}, {0, -1}}},
    {"wrong mask on a ping", "mask", 1002, MASK_WRONGLY, {{RAW_PING, 0}, {0, -1}}},
    {"wrong mask on a Close", "mask", 1002, MASK_WRONGLY, {{RAW_CLOSE, 0}, {0, -1}}},
    {"RSV1", "reserved bit", 1002, MASK_AS_DUE, {{0x40 | RAW_TEXT, 3}, {0, -1}}},
    {"RSV2", "reserved bit", 1002, MASK_AS_DUE, {{0x20 | RAW_TEXT, 3}, {0, -1}}},
    {"RSV3", "reserved bit", 1002, MASK_AS_DUE, {{0x10 | RAW_TEXT, 3}, {0, -1}}},
    {"RSV1 on a ping", "reserved bit", 1002, MASK_AS_DUE, {{0x40 | RAW_PING, 0}, {0, -1}}},
    {"opcode 3", "opcode", 1002, MASK_AS_DUE, {{0x83, 3}, {0, -1}}},
    {"opcode 7", "opcode", 1002, MASK_AS_DUE, {{0x87, 3}, {0, -1}}},
    {"opcode 11", "opcode", 1002, MASK_AS_DUE, {{0x8b, 3}, {0, -1}}},
    {"opcode 15", "opcode", 1002, MASK_AS_DUE, {{0x8f, 3}, {0, -1}}},
    {"fragmented ping", "control frame", 1002, MASK_AS_DUE, {{0x09, 1}, {0, -1}}},
    {"fragmented pong", "control frame", 1002, MASK_AS_DUE, {{0x0a, 1}, {0, -1}}},
    {"fragmented Close", "control frame", 1002, MASK_AS_DUE, {{0x08, 2}, {0, -1}}},
    {"ping of 126 bytes", "control frame", 1002, MASK_AS_DUE, {{RAW_PING, 126}, {0, -1}}},
    {"Close of 126 bytes", "control frame", 1002, MASK_AS_DUE, {{RAW_CLOSE, 126}, {0, -1}}},
    {"continuation of nothing", "continuation", 1002, MASK_AS_DUE, {{RAW_LAST, 3}, {0, -1}}},
    {"fragment of nothing", "continuation", 1002, MASK_AS_DUE, {{RAW_MIDDLE, 3}, {0, -1}}},
    {"continuation after a whole message", "continuation", 1002, MASK_AS_DUE,
     {{RAW_TEXT, 3}, {RAW_LAST, 3}, {0, -1}}},
    {"above the limit", "limit", 1009, MASK_AS_DUE, {{RAW_TEXT, 1001}, {0, -1}}},
    {"second fragment above the limit", "limit", 1009, MASK_AS_DUE,
     {{RAW_TEXT_PART, 3}, {RAW_LAST, 1001}, {0, -1}}},
};
/* clang-format on */

enum { kFrameLimit = 1000 };

static void send_frames(const struct raw_peer* peer, const struct violation* violation) {
    static unsigned char payload[2000];
    static unsigned char bytes[8000];
    const int masked = (peer->side == RAW_ACCEPTED) == (violation->masking == MASK_AS_DUE);
    size_t size = 0;
    int i;
    memset(payload, 'a', sizeof payload);
    for (i = 0; i < 3 && violation->frames[i].size >= 0; i++)
        size += test_frame(bytes + size, violation->frames[i].first_byte, masked, payload,
                           (size_t)violation->frames[i].size);
    test_send_all(peer->fd, bytes, size);
}

static int closes;

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    closes++;
    /* What the peer sent decides the status, not what we found out. */
    assert_int_equal(nopoll_conn_get_close_status(conn),
                     nopoll_conn_role(conn) == NOPOLL_ROLE_CLIENT ? 1006 : 0);
}

/* Exactly one record names the connection's id and the reason. */
static void check_log(const test_log* log, const struct violation* violation, int id) {
    char mark[32];
    int lines = 0;
    const char* line = log->text;
    snprintf(mark, sizeof mark, "connection %d:", id);
    while (line != NULL && *line != 0) {
        char copy[512];
        const char* end = strchr(line, '\n');
        const size_t size = end == NULL ? strlen(line) : (size_t)(end - line);
        assert_true(size < sizeof copy);
        memcpy(copy, line, size);
        copy[size] = 0;
        if (strstr(copy, mark) != NULL && strstr(copy, violation->reason) != NULL) lines++;
        line = end == NULL ? NULL : end + 1;
    }
    if (lines != 1) print_error("log: %s\n", log->text);
    assert_int_equal(lines, 1);
    assert_int_equal(log->criticals, 1);
}

static void violations_by_get_msg(enum raw_side side) {
    size_t i;
    for (i = 0; i < sizeof kViolations / sizeof *kViolations; i++) {
        static test_log log;
        struct raw_peer peer;
        noPollMsg* msg;
        const struct violation* violation = &kViolations[i];
        print_message("%s\n", violation->name);
        raw_open(&peer, side);
        memset(&log, 0, sizeof log);
        nopoll_log_set_handler(peer.ctx, test_log_record, &log);
        nopoll_ctx_set_max_frame_size(peer.ctx, kFrameLimit);
        nopoll_conn_set_on_close(peer.conn, on_close, NULL);
        closes = 0;
        send_frames(&peer, violation);
        while ((msg = test_get_msg(peer.conn)) != NULL) {
            /* Complete frames in front of the bad one. */
            assert_int_equal(nopoll_msg_get_payload_size(msg), 3);
            nopoll_msg_unref(msg);
            assert_int_not_equal(violation->frames[1].size, -1);
        }
        assert_int_not_equal(errno, NOPOLL_EWOULDBLOCK);
        assert_false(nopoll_conn_is_ok(peer.conn));
        assert_int_equal(closes, 1);
        RAW_EXPECT_CLOSE(&peer, violation->code);
        check_log(&log, violation, nopoll_conn_get_id(peer.conn));
        raw_close(&peer);
    }
}

static void echo(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    ++*(int*)data;
    nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                          nopoll_msg_get_payload_size(msg));
}

/* The same with a well-behaved neighbour on the loop, whose message is answered each time. */
static void violations_in_the_loop(enum raw_side side) {
    static test_log log;
    struct raw_peer good, bad;
    size_t i;
    int messages = 0;
    raw_open(&good, side);
    nopoll_ctx_set_max_frame_size(good.ctx, kFrameLimit);
    nopoll_ctx_set_on_msg(good.ctx, echo, &messages);
    nopoll_log_set_handler(good.ctx, test_log_record, &log);
    for (i = 0; i < sizeof kViolations / sizeof *kViolations; i++) {
        const struct violation* violation = &kViolations[i];
        print_message("%s\n", violation->name);
        bad = good;
        raw_join(&bad, side);
        memset(&log, 0, sizeof log);
        nopoll_conn_set_on_close(bad.conn, on_close, NULL);
        closes = messages = 0;
        send_frames(&bad, violation);
        raw_send_text(&good, "neighbour");
        SERVE_UNTIL(good.ctx, closes == 1 && messages >= 1);
        assert_int_equal(messages, violation->frames[1].size < 0 ? 1 : 2);
        RAW_EXPECT_TEXT(&good, "neighbour");
        assert_true(nopoll_conn_is_ok(good.conn));
        assert_false(nopoll_conn_is_ok(bad.conn));
        check_log(&log, violation, nopoll_conn_get_id(bad.conn));
        if (violation->frames[1].size >= 0) RAW_EXPECT_TEXT(&bad, "aaa");
        RAW_EXPECT_CLOSE(&bad, violation->code);
        raw_leave(&bad);
    }
    raw_close(&good);
}

/* The 64-bit form: the top bit is a violation, lengths above every limit are too much. The header
 * alone decides, and nothing is allocated for it. */
static void huge_lengths(enum raw_side side) {
    static const struct {
        uint64_t size;
        int code;
    } rows[] = {
        {UINT64_C(0x8000000000000000), 1002},
        {UINT64_C(0xffffffffffffffff), 1002},
        {UINT64_C(0x7fffffffffffffff), 1009},
        {UINT64_C(16777217), 1009},
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw_peer peer;
        unsigned char head[14];
        raw_open(&peer, side);
        test_send_all(peer.fd, head, raw_long_header(&peer, head, RAW_BINARY, rows[i].size));
        assert_null(test_get_msg(peer.conn));
        assert_false(nopoll_conn_is_ok(peer.conn));
        RAW_EXPECT_CLOSE(&peer, rows[i].code);
        raw_close(&peer);
    }
}

/* The limit counts for a frame, not for a message; at the limit a frame is taken. */
static void limit_is_per_frame(enum raw_side side) {
    static unsigned char payload[kFrameLimit];
    struct raw_peer peer;
    raw_open(&peer, side);
    nopoll_ctx_set_max_frame_size(peer.ctx, kFrameLimit);
    raw_send(&peer, RAW_BINARY_PART, payload, kFrameLimit);
    raw_send(&peer, RAW_LAST, payload, kFrameLimit);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_BINARY_FRAME, payload, kFrameLimit, 0, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_CONTINUATION_FRAME, payload, kFrameLimit, 1, 1);
    raw_close(&peer);
}

/* Bad first bytes are seen before the rest of the header comes. */
static void first_byte_is_enough(enum raw_side side) {
    static const unsigned char bytes[] = {0xc1, 0x83, 0x09, 0x80};
    size_t i;
    for (i = 0; i < sizeof bytes; i++) {
        struct raw_peer peer;
        raw_open(&peer, side);
        test_send_all(peer.fd, &bytes[i], 1);
        assert_null(test_get_msg(peer.conn));
        assert_false(nopoll_conn_is_ok(peer.conn));
        RAW_EXPECT_CLOSE(&peer, 1002);
        raw_close(&peer);
    }
}

/* No second Close frame when one of ours is out; none into the middle of another frame. */
static void no_close_frame_where_none_fits(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_CLIENT);
    assert_int_equal(
        nopoll_conn_send_frame(peer.conn, nopoll_true, nopoll_true, NOPOLL_CLOSE_FRAME, 0, "", 0),
        0);
    test_send_all(peer.fd, "\xff", 1);
    assert_null(test_get_msg(peer.conn));
    assert_false(nopoll_conn_is_ok(peer.conn));
    RAW_EXPECT(&peer, RAW_CLOSE, "", 0);
    RAW_EXPECT_END(&peer);
    raw_close(&peer);
}

RAW_BOTH_SIDES(violations_by_get_msg)
RAW_BOTH_SIDES(violations_in_the_loop)
RAW_BOTH_SIDES(huge_lengths)
RAW_BOTH_SIDES(limit_is_per_frame)
RAW_BOTH_SIDES(first_byte_is_enough)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(violations_by_get_msg), RAW_BOTH_TESTS(violations_in_the_loop),
        RAW_BOTH_TESTS(huge_lengths),          RAW_BOTH_TESTS(limit_is_per_frame),
        RAW_BOTH_TESTS(first_byte_is_enough),  cmocka_unit_test(no_close_frame_where_none_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
