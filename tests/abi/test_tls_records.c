/* SPDX-License-Identifier: MIT */
/* Records and frames have nothing to do with each other: several frames in a record, a frame over
 * several records, and decrypted bytes that no select() shows (spec: frames.md 2, 5). */
#include "tls_scene.h"

/* What a handler has been given, one letter or word a message. */
struct seen {
    char texts[1024];
    int count;
    int stop_at; /* stops the loop after this many; 0 = never */
};

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct seen* const seen = (struct seen*)data;
    const size_t used = strlen(seen->texts);
    (void)conn;
    snprintf(seen->texts + used, sizeof seen->texts - used, "%s ",
             (const char*)nopoll_msg_get_payload(msg));
    if (++seen->count == seen->stop_at) nopoll_loop_stop(ctx);
}

static void watch(struct tls_peer* peer, struct seen* seen) {
    memset(seen, 0, sizeof *seen);
    nopoll_conn_set_on_msg(peer->raw.conn, on_msg, seen);
}

static int readable(const struct tls_peer* peer) {
    return test_readable(nopoll_conn_socket(peer->raw.conn), 0);
}

#define EXPECT_TEXT(peer, text)                                                                    \
    EXPECT_MSG(nopoll_conn_get_msg((peer)->raw.conn), NOPOLL_TEXT_FRAME, text, strlen(text), 1, 0)

/* --- the program's own loop --- */

static void frames_of_one_record(enum raw_side side) {
    struct tls_peer peer;
    tls_open(&peer, side, NULL);
    tls_send_frames(&peer, RAW_TEXT, "a", RAW_TEXT, "bb", RAW_TEXT, "ccc", 0);
    assert_true(readable(&peer));
    assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 0);
    EXPECT_TEXT(&peer, "a");
    /* The descriptor is silent now, the library is not. */
    assert_false(readable(&peer));
    assert_true(nopoll_conn_read_pending(peer.raw.conn) > 0);
    EXPECT_TEXT(&peer, "bb");
    assert_true(nopoll_conn_read_pending(peer.raw.conn) > 0);
    EXPECT_TEXT(&peer, "ccc");
    assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 0);
    EXPECT_NOTHING(peer.raw.conn);
    tls_close(&peer);
}

/* One call per readable event: it must not end at the ping. */
static void ping_and_text_in_one_call(enum raw_side side) {
    struct tls_peer peer;
    tls_open(&peer, side, NULL);
    tls_send_frames(&peer, RAW_PING, "1", RAW_PING, "2", RAW_PONG, "", RAW_TEXT, "text", 0);
    EXPECT_TEXT(&peer, "text");
    assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 0);
    tls_expect(&peer, RAW_PONG, "1", 1);
    tls_expect(&peer, RAW_PONG, "2", 1);
    tls_close(&peer);
}

static void ping_alone(enum raw_side side) {
    struct tls_peer peer;
    tls_open(&peer, side, NULL);
    tls_send_frames(&peer, RAW_PING, "ping", 0);
    assert_null(nopoll_conn_get_msg(peer.raw.conn));
    assert_true(nopoll_conn_is_ok(peer.raw.conn));
    assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 0);
    tls_expect(&peer, RAW_PONG, "ping", 4);
    tls_close(&peer);
}

static void fragments_around_a_ping(enum raw_side side) {
    struct tls_peer peer;
    tls_open(&peer, side, NULL);
    tls_send_frames(&peer, RAW_TEXT_PART, "one", RAW_PING, "p", RAW_LAST, "two", 0);
    EXPECT_MSG(nopoll_conn_get_msg(peer.raw.conn), NOPOLL_TEXT_FRAME, "one", 3, 0, 1);
    EXPECT_MSG(nopoll_conn_get_msg(peer.raw.conn), NOPOLL_CONTINUATION_FRAME, "two", 3, 1, 1);
    tls_expect(&peer, RAW_PONG, "p", 1);
    tls_close(&peer);
}

/* A record for every byte; nothing of an incomplete frame is ever reported as pending. */
static void frame_over_many_records(enum raw_side side) {
    struct tls_peer peer;
    unsigned char bytes[400];
    char text[200];
    size_t size, i;
    tls_open(&peer, side, NULL);
    memset(text, 't', sizeof text);
    size = raw_frame(&peer.raw, bytes, RAW_TEXT, text, sizeof text);
    for (i = 0; i < size; i++) {
        tls_send_record(&peer, bytes + i, 1);
        if (i + 1 == size) break;
        EXPECT_NOTHING(peer.raw.conn);
        assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 0);
    }
    EXPECT_MSG(nopoll_conn_get_msg(peer.raw.conn), NOPOLL_TEXT_FRAME, text, (int)sizeof text, 1, 0);
    tls_close(&peer);
}

/* Record borders inside of headers: a frame, and half of the next one, then the other half. */
static void record_border_inside_a_header(enum raw_side side) {
    struct tls_peer peer;
    unsigned char bytes[700];
    char text[300];
    size_t first, size, cut;
    memset(text, 'x', sizeof text);
    tls_open(&peer, side, NULL);
    first = raw_frame(&peer.raw, bytes, RAW_TEXT, "first", 5);
    size = first + raw_frame(&peer.raw, bytes + first, RAW_BINARY, text, sizeof text);
    for (cut = first + 1; cut < first + 10; cut++) {
        tls_send_record(&peer, bytes, cut);
        EXPECT_TEXT(&peer, "first");
        assert_true(nopoll_conn_read_pending(peer.raw.conn) > 0);
        EXPECT_NOTHING(peer.raw.conn);
        tls_send_record(&peer, bytes + cut, size - cut);
        EXPECT_MSG(nopoll_conn_get_msg(peer.raw.conn), NOPOLL_BINARY_FRAME, text, (int)sizeof text,
                   1, 0);
    }
    tls_close(&peer);
}

static void large_messages(enum raw_side side) {
    enum { kSize = 200000 };
    static unsigned char frame[kSize + 14];
    static char content[kSize];
    struct tls_peer peer;
    noPollMsg* msg = NULL;
    size_t size, sent = 0;
    int i;
    for (i = 0; i < kSize; i++)
        content[i] = (char)(i * 7 + i / 251);
    tls_open(&peer, side, NULL);
    size = raw_frame(&peer.raw, frame, RAW_BINARY, content, kSize);
    while (sent < size || msg == NULL) {
        const size_t part = size - sent < 10000 ? size - sent : 10000;
        if (part > 0 && SSL_write(peer.ssl, frame + sent, (int)part) == (int)part) sent += part;
        if (msg == NULL) msg = nopoll_conn_get_msg(peer.raw.conn);
        assert_true(nopoll_conn_is_ok(peer.raw.conn));
    }
    EXPECT_MSG(msg, NOPOLL_BINARY_FRAME, content, kSize, 1, 0);
    tls_close(&peer);
}

/* --- nopoll_conn_read --- */

static void stream_reading(enum raw_side side) {
    struct tls_peer peer;
    char buffer[64];
    tls_open(&peer, side, NULL);
    tls_send_frames(&peer, RAW_TEXT, "abc", RAW_PING, "", RAW_BINARY, "", RAW_TEXT, "defgh", 0);
    assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 2, nopoll_false, 0), 2);
    assert_memory_equal(buffer, "ab", 2);
    /* One byte is held back, the rest of the record is decrypted. */
    assert_true(nopoll_conn_read_pending(peer.raw.conn) > 1);
    assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 10, nopoll_false, 0), 1);
    assert_int_equal(buffer[0], 'c');
    assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 10, nopoll_false, 0), 5);
    assert_memory_equal(buffer, "defgh", 5);
    assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 0);
    errno = 0;
    assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 10, nopoll_false, 0), -1);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    tls_send_frames(&peer, RAW_TEXT, "123", RAW_TEXT, "456", RAW_TEXT, "789", 0);
    assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 8, nopoll_true, TEST_LIMIT_MS), 8);
    assert_memory_equal(buffer, "12345678", 8);
    assert_int_equal(nopoll_conn_read_pending(peer.raw.conn), 1);
    assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 8, nopoll_true, 30), 1);
    tls_close(&peer);
}

/* --- nopoll_loop_wait --- */

static void loop_serves_all_of_a_record(enum raw_side side) {
    struct tls_peer peer;
    struct seen seen;
    tls_open(&peer, side, NULL);
    watch(&peer, &seen);
    tls_send_frames(&peer, RAW_PING, "p", RAW_TEXT, "a", RAW_PING, "q", RAW_TEXT, "b", RAW_TEXT,
                    "c", 0);
    /* The first pass of a wait, before it looks at the clock. */
    nopoll_loop_wait(peer.raw.ctx, 1);
    assert_string_equal(seen.texts, "a b c ");
    tls_expect(&peer, RAW_PONG, "p", 1);
    tls_expect(&peer, RAW_PONG, "q", 1);
    tls_close(&peer);
}

/* More than one turn's worth: the rest comes without another byte from the peer. */
static void loop_goes_on_with_a_full_record(enum raw_side side) {
    enum { kFrames = 1500 };
    static unsigned char bytes[16384];
    struct tls_peer peer;
    struct seen seen;
    size_t size = 0;
    int i;
    tls_open(&peer, side, NULL);
    watch(&peer, &seen);
    for (i = 0; i < kFrames; i++)
        size += raw_frame(&peer.raw, bytes + size, RAW_TEXT, "x", 1);
    tls_send_record(&peer, bytes, size);
    LOOP_UNTIL(peer.raw.ctx, seen.count == kFrames);
    tls_close(&peer);
}

static void loop_serves_cut_frames(enum raw_side side) {
    struct tls_peer peer;
    struct seen seen;
    unsigned char bytes[32];
    size_t size, i;
    tls_open(&peer, side, NULL);
    watch(&peer, &seen);
    size = raw_frame(&peer.raw, bytes, RAW_TEXT, "cut", 3);
    for (i = 0; i < size; i++) {
        assert_int_equal(seen.count, 0);
        tls_send_record(&peer, bytes + i, 1);
        nopoll_loop_wait(peer.raw.ctx, 1);
    }
    assert_string_equal(seen.texts, "cut ");
    tls_close(&peer);
}

/* What a direct call has left decrypted is dispatched first. */
static void loop_after_direct_reading(enum raw_side side) {
    struct tls_peer peer;
    struct seen seen;
    tls_open(&peer, side, NULL);
    watch(&peer, &seen);
    tls_send_frames(&peer, RAW_TEXT, "a", RAW_TEXT, "b", RAW_PING, "p", RAW_TEXT, "c", 0);
    EXPECT_TEXT(&peer, "a");
    assert_false(readable(&peer));
    LOOP_UNTIL(peer.raw.ctx, seen.count == 2);
    assert_string_equal(seen.texts, "b c ");
    tls_expect(&peer, RAW_PONG, "p", 1);
    tls_close(&peer);
}

/* A program that waits for one answer is handed one; the rest is counted and comes first later. */
static void loop_stopped_inside_a_record(enum raw_side side) {
    struct tls_peer peer;
    struct seen seen;
    tls_open(&peer, side, NULL);
    watch(&peer, &seen);
    seen.stop_at = 1;
    tls_send_frames(&peer, RAW_TEXT, "a", RAW_TEXT, "b", RAW_TEXT, "c", RAW_TEXT, "d", 0);
    assert_int_equal(nopoll_loop_wait(peer.raw.ctx, 0), 0);
    assert_string_equal(seen.texts, "a ");
    assert_false(readable(&peer));
    assert_true(nopoll_conn_read_pending(peer.raw.conn) > 0);
    seen.stop_at = 2;
    assert_int_equal(nopoll_loop_wait(peer.raw.ctx, 0), 0);
    assert_string_equal(seen.texts, "a b ");
    EXPECT_TEXT(&peer, "c");
    assert_true(nopoll_conn_read_pending(peer.raw.conn) > 0);
    nopoll_loop_wait(peer.raw.ctx, 1);
    assert_string_equal(seen.texts, "a b d ");
    tls_close(&peer);
}

/* --- together with the head --- */

/* Frames in the record of the request or the reply: is_ready decrypts them, no select() shows them.
 */
static void frames_behind_the_head(enum raw_side side) {
    struct tls_peer peer;
    struct seen seen;
    unsigned char bytes[64];
    struct tls_scene scene = {0};
    int by_loop;
    for (by_loop = 0; by_loop <= 1; by_loop++) {
        size_t size;
        peer.raw.side = side;
        size = raw_frame(&peer.raw, bytes, RAW_TEXT, "a", 1);
        size += raw_frame(&peer.raw, bytes + size, RAW_TEXT, "b", 1);
        scene.with_handshake = (const char*)bytes;
        scene.with_handshake_size = size;
        tls_open(&peer, side, &scene);
        watch(&peer, &seen);
        assert_false(readable(&peer));
        assert_true(nopoll_conn_read_pending(peer.raw.conn) > 0);
        if (by_loop) {
            nopoll_loop_wait(peer.raw.ctx, 1);
            assert_string_equal(seen.texts, "a b ");
        } else {
            EXPECT_TEXT(&peer, "a");
            EXPECT_TEXT(&peer, "b");
        }
        tls_close(&peer);
    }
}

RAW_BOTH_SIDES(frames_of_one_record)
RAW_BOTH_SIDES(ping_and_text_in_one_call)
RAW_BOTH_SIDES(ping_alone)
RAW_BOTH_SIDES(fragments_around_a_ping)
RAW_BOTH_SIDES(frame_over_many_records)
RAW_BOTH_SIDES(record_border_inside_a_header)
RAW_BOTH_SIDES(large_messages)
RAW_BOTH_SIDES(stream_reading)
RAW_BOTH_SIDES(loop_serves_all_of_a_record)
RAW_BOTH_SIDES(loop_goes_on_with_a_full_record)
RAW_BOTH_SIDES(loop_serves_cut_frames)
RAW_BOTH_SIDES(loop_after_direct_reading)
RAW_BOTH_SIDES(loop_stopped_inside_a_record)
RAW_BOTH_SIDES(frames_behind_the_head)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(frames_of_one_record),
        RAW_BOTH_TESTS(ping_and_text_in_one_call),
        RAW_BOTH_TESTS(ping_alone),
        RAW_BOTH_TESTS(fragments_around_a_ping),
        RAW_BOTH_TESTS(frame_over_many_records),
        RAW_BOTH_TESTS(record_border_inside_a_header),
        RAW_BOTH_TESTS(large_messages),
        RAW_BOTH_TESTS(stream_reading),
        RAW_BOTH_TESTS(loop_serves_all_of_a_record),
        RAW_BOTH_TESTS(loop_goes_on_with_a_full_record),
        RAW_BOTH_TESTS(loop_serves_cut_frames),
        RAW_BOTH_TESTS(loop_after_direct_reading),
        RAW_BOTH_TESTS(loop_stopped_inside_a_record),
        RAW_BOTH_TESTS(frames_behind_the_head),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
