/* SPDX-License-Identifier: MIT */
/* A program may wait on the descriptor itself, or let the loop wait, or both in turn: no complete
 * frame is ever left where it would not see it (spec: frames.md 2). */
#include "raw_peer.h"

static int readable(noPollConn* conn) {
    return test_readable(nopoll_conn_socket(conn), 0);
}

/* Several frames in one segment. */
static void send_together(const struct raw_peer* peer, const char* const* texts) {
    static unsigned char bytes[4096];
    size_t size = 0;
    for (; *texts != NULL; texts++)
        size += raw_frame(peer, bytes + size, RAW_TEXT, *texts, strlen(*texts));
    test_send_all(peer->fd, bytes, size);
    raw_wait_arrived(peer, (int)size);
}

static const char* const kThree[] = {"a", "bb", "ccc", NULL};

/* --- the program's own poll --- */

static void descriptor_shows_the_next_frame(enum raw_side side) {
    struct raw_peer peer;
    raw_open(&peer, side);
    send_together(&peer, kThree);
    EXPECT_MSG(nopoll_conn_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "a", 1, 1, 0);
    assert_true(readable(peer.conn));
    EXPECT_MSG(nopoll_conn_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "bb", 2, 1, 0);
    assert_true(readable(peer.conn));
    EXPECT_MSG(nopoll_conn_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "ccc", 3, 1, 0);
    assert_false(readable(peer.conn));
    EXPECT_NOTHING(peer.conn);
    raw_close(&peer);
}

static void read_shows_the_next_frame(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16];
    raw_open(&peer, side);
    send_together(&peer, kThree);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, nopoll_false, 0), 1);
    assert_true(readable(peer.conn));
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, nopoll_false, 0), 2);
    assert_true(readable(peer.conn));
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, nopoll_false, 0), 3);
    assert_memory_equal(buffer, "ccc", 4);
    assert_false(readable(peer.conn));
    raw_close(&peer);
}

/* A call may end at a control frame, but what follows is still shown. */
static void descriptor_shows_frames_behind_a_ping(enum raw_side side) {
    struct raw_peer peer;
    unsigned char bytes[64];
    size_t size;
    noPollMsg* msg;
    int calls = 0;
    raw_open(&peer, side);
    size = raw_frame(&peer, bytes, RAW_PING, "p", 1);
    size += raw_frame(&peer, bytes + size, RAW_TEXT, "text", 4);
    test_send_all(peer.fd, bytes, size);
    raw_wait_arrived(&peer, (int)size);
    do {
        assert_true(readable(peer.conn));
        errno = -1;
        msg = nopoll_conn_get_msg(peer.conn);
        if (msg == NULL) assert_int_equal(errno, 0);
    } while (msg == NULL && ++calls < 10);
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, "text", 4, 1, 0);
    RAW_EXPECT(&peer, RAW_PONG, "p", 1);
    raw_close(&peer);
}

/* --- the loop reads ahead --- */

struct seen {
    char texts[256]; /* what came, with a blank behind each */
    int stop_after;  /* messages until the loop is stopped */
    int unregister;
    int close;
    int messages;
};

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct seen* seen = (struct seen*)data;
    strcat(seen->texts, (const char*)nopoll_msg_get_payload(msg));
    strcat(seen->texts, " ");
    seen->messages++;
    if (seen->unregister) nopoll_ctx_unregister_conn(ctx, conn);
    if (seen->close) nopoll_conn_shutdown(conn);
    if (seen->messages == seen->stop_after) nopoll_loop_stop(ctx);
}

static void open_seen(struct raw_peer* peer, enum raw_side side, struct seen* seen) {
    raw_open(peer, side);
    memset(seen, 0, sizeof *seen);
    nopoll_ctx_set_on_msg(peer->ctx, on_msg, seen);
}

/* All complete frames in one turn, in order; an incomplete one is nobody's business yet. */
static void loop_dispatches_all_it_holds(enum raw_side side) {
    struct raw_peer peer;
    struct seen seen;
    unsigned char bytes[64];
    size_t size, part;
    open_seen(&peer, side, &seen);
    size = raw_frame(&peer, bytes, RAW_TEXT, "one", 3);
    size += raw_frame(&peer, bytes + size, RAW_TEXT, "two", 3);
    part = size + 2;
    size += raw_frame(&peer, bytes + size, RAW_TEXT, "three", 5);
    test_send_all(peer.fd, bytes, part);
    raw_wait_arrived(&peer, (int)part);
    nopoll_loop_wait(peer.ctx, 1);
    assert_string_equal(seen.texts, "one two ");
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 0);
    test_send_all(peer.fd, bytes + part, size - part);
    SERVE_UNTIL(peer.ctx, seen.messages == 3);
    assert_string_equal(seen.texts, "one two three ");
    raw_close(&peer);
}

/* After a stop the rest is counted, and served before the socket is looked at. */
static void stop_leaves_the_rest(enum raw_side side) {
    struct raw_peer peer;
    struct seen seen;
    char buffer[16];
    open_seen(&peer, side, &seen);
    seen.stop_after = 1;
    send_together(&peer, kThree);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
    assert_string_equal(seen.texts, "a ");
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 5);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 1, nopoll_false, 0), 1);
    assert_int_equal(buffer[0], 'b');
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 4); /* half of "bb" held back */
    raw_send_text(&peer, "dddd");
    EXPECT_MSG(nopoll_conn_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "ccc", 3, 1, 0);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "dddd", 4, 1, 0);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 1);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 16, nopoll_false, 0), 1);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 0);
    raw_close(&peer);
}

/* The next wait takes them too, one at a time when it is stopped each time. */
static void next_wait_takes_the_rest(enum raw_side side) {
    struct raw_peer peer;
    struct seen seen;
    open_seen(&peer, side, &seen);
    send_together(&peer, kThree);
    for (seen.stop_after = 1; seen.stop_after <= 3; seen.stop_after++) {
        assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
        assert_int_equal(seen.messages, seen.stop_after);
    }
    assert_string_equal(seen.texts, "a bb ccc ");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 1), -3);
    raw_close(&peer);
}

static void unregister_leaves_the_rest(enum raw_side side) {
    struct raw_peer peer;
    struct seen seen;
    open_seen(&peer, side, &seen);
    seen.unregister = 1;
    send_together(&peer, kThree);
    nopoll_loop_wait(peer.ctx, 1);
    nopoll_loop_wait(peer.ctx, 1);
    assert_string_equal(seen.texts, "a ");
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 5);
    EXPECT_MSG(nopoll_conn_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "bb", 2, 1, 0);
    seen.unregister = 0;
    assert_true(nopoll_ctx_register_conn(peer.ctx, peer.conn));
    nopoll_loop_wait(peer.ctx, 1);
    assert_string_equal(seen.texts, "a ccc ");
    raw_close(&peer);
}

static void close_drops_the_rest(enum raw_side side) {
    struct raw_peer peer;
    struct seen seen;
    open_seen(&peer, side, &seen);
    seen.close = 1;
    send_together(&peer, kThree);
    nopoll_loop_wait(peer.ctx, 1);
    nopoll_loop_wait(peer.ctx, 1);
    assert_string_equal(seen.texts, "a ");
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 0);
    assert_null(nopoll_conn_get_msg(peer.conn));
    raw_close(&peer);
}

static void read_on(noPollConn* conn) {
    for (int turns = 0; turns < 10 && nopoll_conn_read_pending(conn) > 0; turns++)
        nopoll_msg_unref(nopoll_conn_get_msg(conn));
    assert_int_equal(nopoll_conn_read_pending(conn), 0);
}

/* Programs read until nothing is pending, which has to come to an end with the connection. */
static void nothing_is_pending_after_the_end(enum raw_side side) {
    struct raw_peer peer;
    struct seen seen;
    unsigned char bytes[64];
    size_t size;
    open_seen(&peer, side, &seen);
    seen.stop_after = 1;
    size = raw_frame(&peer, bytes, RAW_TEXT, "a", 1);
    size += raw_frame(&peer, bytes + size, RAW_CLOSE, "", 0);
    size += raw_frame(&peer, bytes + size, RAW_TEXT, "late", 4);
    test_send_all(peer.fd, bytes, size);
    raw_wait_arrived(&peer, (int)size);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
    assert_string_equal(seen.texts, "a ");
    /* The Close is met on the way; or the next wait meets it. */
    read_on(peer.conn);
    nopoll_loop_wait(peer.ctx, 1);
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_leave(&peer);

    raw_join(&peer, side);
    seen.messages = 0;
    send_together(&peer, kThree);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 5);
    nopoll_conn_shutdown(peer.conn);
    read_on(peer.conn);
    raw_close(&peer);
}

/* A stop by one connection's handler: the others of the pass get one frame each. */
static void stop_serves_the_rest_of_the_pass(enum raw_side side) {
    struct raw_peer first, second;
    struct seen seen;
    open_seen(&first, side, &seen);
    second = first;
    raw_join(&second, side);
    seen.stop_after = 1;
    send_together(&first, kThree);
    send_together(&second, (const char* const[]){"x", "y", NULL});
    assert_int_equal(nopoll_loop_wait(first.ctx, 5000000), 0);
    assert_string_equal(seen.texts, "a x ");
    nopoll_loop_wait(first.ctx, 1);
    assert_string_equal(seen.texts, "a x bb ccc y ");
    raw_leave(&second);
    raw_close(&first);
}

/* A stop in on_ready comes before a frame that arrived with the head. */
static nopoll_bool stop_when_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)conn;
    ++*(int*)data;
    nopoll_loop_stop(ctx);
    return nopoll_true;
}

static void stop_in_on_ready(void** state) {
    struct raw_peer peer;
    struct seen seen;
    char reply[1024];
    size_t size;
    int ready = 0;
    (void)state;
    memset(&seen, 0, sizeof seen);
    memset(&peer, 0, sizeof peer);
    peer.ctx = nopoll_ctx_new();
    nopoll_ctx_set_on_msg(peer.ctx, on_msg, &seen);
    raw_start_client(&peer, NULL);
    nopoll_conn_set_on_ready(peer.conn, stop_when_ready, &ready);
    raw_reply_to(peer.ctx, peer.fd, reply, sizeof reply);
    size = strlen(reply);
    size += raw_frame(&peer, reply + size, RAW_TEXT, "with the head", 13);
    test_send_all(peer.fd, reply, size);
    raw_wait_arrived(&peer, (int)size);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
    assert_int_equal(ready, 1);
    assert_int_equal(seen.messages, 0);
    assert_true(readable(peer.conn) || nopoll_conn_read_pending(peer.conn) == 13);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "with the head", 13, 1, 0);
    raw_close(&peer);
}

/* --- programs that read themselves are not read ahead --- */

static void direct_reader(enum raw_side side, int by_read) {
    struct raw_peer peer;
    struct seen seen;
    char buffer[4];
    open_seen(&peer, side, &seen);
    if (by_read)
        assert_int_equal(nopoll_conn_read(peer.conn, buffer, 4, nopoll_false, 0), -1);
    else
        EXPECT_NOTHING(peer.conn);
    seen.stop_after = 1;
    send_together(&peer, kThree);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
    assert_string_equal(seen.texts, "a ");
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 0);
    assert_true(readable(peer.conn));
    EXPECT_MSG(nopoll_conn_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "bb", 2, 1, 0);
    assert_true(readable(peer.conn));
    SERVE_UNTIL(peer.ctx, seen.messages == 2);
    assert_string_equal(seen.texts, "a ccc ");
    raw_close(&peer);
}

static void direct_reader_by_get_msg(enum raw_side side) {
    direct_reader(side, 0);
}

static void direct_reader_by_read(enum raw_side side) {
    direct_reader(side, 1);
}

/* --- a handler that reads itself --- */

struct inner {
    struct seen seen;
    int calls;
    int got_at_once;
};

static void read_inside(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct inner* inner = (struct inner*)data;
    on_msg(ctx, conn, msg, &inner->seen);
    if (inner->calls++ == 0) {
        noPollMsg* next = nopoll_conn_get_msg(conn);
        inner->got_at_once =
            next != NULL && strcmp((const char*)nopoll_msg_get_payload(next), "bb") == 0;
        nopoll_msg_unref(next);
    }
}

/* It gets what was read ahead; and the loop goes on reading ahead, as that was no direct call. */
static void handler_calls_get_msg(enum raw_side side) {
    struct raw_peer peer;
    struct inner inner;
    memset(&inner, 0, sizeof inner);
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, read_inside, &inner);
    send_together(&peer, kThree);
    nopoll_loop_wait(peer.ctx, 1);
    assert_true(inner.got_at_once);
    assert_string_equal(inner.seen.texts, "a ccc ");
    inner.seen.stop_after = 3;
    send_together(&peer, kThree);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 5000000), 0);
    assert_int_equal(nopoll_conn_read_pending(peer.conn), 5);
    raw_close(&peer);
}

static void blocking_read_inside(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct inner* inner = (struct inner*)data;
    char buffer[8] = "";
    on_msg(ctx, conn, msg, &inner->seen);
    if (inner->calls++ == 0)
        inner->got_at_once = nopoll_conn_read(conn, buffer, 5, nopoll_true, TEST_LIMIT_MS) == 5 &&
                             memcmp(buffer, "bbccc", 5) == 0;
}

static void handler_calls_read(enum raw_side side) {
    struct raw_peer peer;
    struct inner inner;
    memset(&inner, 0, sizeof inner);
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, blocking_read_inside, &inner);
    send_together(&peer, (const char* const[]){"a", "bb", "ccc", "dd", NULL});
    nopoll_loop_wait(peer.ctx, 1);
    assert_true(inner.got_at_once);
    assert_string_equal(inner.seen.texts, "a dd ");
    raw_close(&peer);
}

RAW_BOTH_SIDES(descriptor_shows_the_next_frame)
RAW_BOTH_SIDES(read_shows_the_next_frame)
RAW_BOTH_SIDES(descriptor_shows_frames_behind_a_ping)
RAW_BOTH_SIDES(loop_dispatches_all_it_holds)
RAW_BOTH_SIDES(stop_leaves_the_rest)
RAW_BOTH_SIDES(next_wait_takes_the_rest)
RAW_BOTH_SIDES(unregister_leaves_the_rest)
RAW_BOTH_SIDES(close_drops_the_rest)
RAW_BOTH_SIDES(nothing_is_pending_after_the_end)
RAW_BOTH_SIDES(stop_serves_the_rest_of_the_pass)
RAW_BOTH_SIDES(direct_reader_by_get_msg)
RAW_BOTH_SIDES(direct_reader_by_read)
RAW_BOTH_SIDES(handler_calls_get_msg)
RAW_BOTH_SIDES(handler_calls_read)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(descriptor_shows_the_next_frame),
        RAW_BOTH_TESTS(read_shows_the_next_frame),
        RAW_BOTH_TESTS(descriptor_shows_frames_behind_a_ping),
        RAW_BOTH_TESTS(loop_dispatches_all_it_holds),
        RAW_BOTH_TESTS(stop_leaves_the_rest),
        RAW_BOTH_TESTS(next_wait_takes_the_rest),
        RAW_BOTH_TESTS(unregister_leaves_the_rest),
        RAW_BOTH_TESTS(close_drops_the_rest),
        RAW_BOTH_TESTS(nothing_is_pending_after_the_end),
        RAW_BOTH_TESTS(stop_serves_the_rest_of_the_pass),
        cmocka_unit_test(stop_in_on_ready),
        RAW_BOTH_TESTS(direct_reader_by_get_msg),
        RAW_BOTH_TESTS(direct_reader_by_read),
        RAW_BOTH_TESTS(handler_calls_get_msg),
        RAW_BOTH_TESTS(handler_calls_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
