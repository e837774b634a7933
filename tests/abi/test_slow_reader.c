/* SPDX-License-Identifier: MIT */
/* Peers that do not read do not hold up the loop: what is sent to them meanwhile is queued, bounded,
 * written later in order, and delivered even when the connection is closed (spec: frames.md 6.3.1). */
#include "narrow_peer.h"

#include <pthread.h>

enum { kLarge = 1 << 20 };

static char content[kLarge];

/* What the handler does on a message, and what came of it. */
struct plan {
    int frames;
    long size;
    int sent;    /* frames taken */
    int refused; /* -1 with EWOULDBLOCK */
    int handled;
    int close_after;    /* 1: nopoll_conn_close_ext, 2: nopoll_conn_shutdown */
    int flush;          /* microseconds */
    long flush_took_ms;
    int stop;
};

static void run_plan(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct plan* plan = (struct plan*)data;
    int i;
    if (strcmp((const char*)nopoll_msg_get_payload(msg), "go") != 0) {
        nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg), -1);
        return;
    }
    for (i = 0; i < plan->frames; i++) {
        int result;
        errno = 0;
        result = nopoll_conn_send_binary(conn, content, plan->size);
        if (result == plan->size) {
            plan->sent++;
        } else {
            assert_int_equal(result, -1);
            assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
            plan->refused++;
        }
        /* Queued bytes were reported already. */
        assert_int_equal(nopoll_conn_pending_write_bytes(conn), 0);
    }
    if (plan->flush > 0) {
        const long start = test_now_ms();
        assert_int_equal(nopoll_conn_flush_writes(conn, plan->flush, 5), 5);
        plan->flush_took_ms = test_now_ms() - start;
    }
    if (plan->close_after == 1) nopoll_conn_close_ext(conn, 1000, "bye", 3);
    if (plan->close_after == 2) nopoll_conn_shutdown(conn);
    if (plan->stop) nopoll_loop_stop(ctx);
    plan->handled++;
}

static void open_plan(struct raw_peer* peer, struct plan* plan, int frames, long size) {
    memset(plan, 0, sizeof *plan);
    plan->frames = frames;
    plan->size = size;
    narrow_open_waiting(peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer->ctx, run_plan, plan);
}

static void go(struct raw_peer* peer, struct plan* plan) {
    const int handled = plan->handled;
    raw_send_text(peer, "go");
    SERVE_UNTIL(peer->ctx, plan->handled == handled + 1);
}

/* Reads all until there is `size` or the end, while the loop writes. */
static void read_in_the_loop(struct raw_peer* peer, struct sink* sink, size_t size) {
    const long end = test_now_ms() + 3 * TEST_LIMIT_MS;
    while (sink->size < size && test_now_ms() < end) {
        while (sink_take(sink, peer->fd, SIZE_MAX / 2) > 0)
            ;
        if (sink->size < size) nopoll_loop_wait(peer->ctx, 1);
    }
}

static size_t wire_size(int frames, long size) {
    return (size_t)frames * (size_t)(size + (size < 126 ? 2 : size < 65536 ? 4 : 10));
}

/* --- while the loop runs --- */

static void others_are_served(void** state) {
    struct raw_peer slow, other;
    struct sink sink = {NULL, 0, 0, 0};
    struct plan plan;
    int i;
    (void)state;
    open_plan(&slow, &plan, 3, kLarge);
    other = slow;
    raw_join(&other, RAW_ACCEPTED);
    go(&slow, &plan);
    assert_int_equal(plan.sent, 3);
    raw_send_text(&other, "and me?");
    SERVE_UNTIL(slow.ctx, test_readable(other.fd, 0));
    RAW_EXPECT_TEXT(&other, "and me?");
    /* Control frames keep their place behind what was sent before. */
    raw_send(&slow, RAW_PING, "p", 1);
    raw_send_text(&slow, "behind");
    nopoll_loop_wait(slow.ctx, 1);
    read_in_the_loop(&slow, &sink, wire_size(3, kLarge) + 3 + 8);
    for (i = 0; i < 3; i++)
        SINK_EXPECT(&sink, &slow, RAW_BINARY, content, kLarge);
    SINK_EXPECT(&sink, &slow, RAW_PONG, "p", 1);
    SINK_EXPECT(&sink, &slow, RAW_TEXT, "behind", 6);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
    raw_leave(&other);
    raw_close(&slow);
}

/* A flush would wait for the slow reader: with nothing but the queue there it has nothing to do. */
static void flush_in_a_handler_does_not_wait(void** state) {
    struct raw_peer slow;
    struct plan plan;
    int i;
    (void)state;
    open_plan(&slow, &plan, 1, kLarge);
    plan.flush = 60000000;
    plan.flush_took_ms = 1000;
    for (i = 0; i < 5 && plan.flush_took_ms >= 50; i++)
        go(&slow, &plan);
    assert_true(plan.flush_took_ms < 50);
    raw_close(&slow);
}

struct sender {
    struct raw_peer* peer;
    int result;
};

static void* send_from_thread(void* data) {
    struct sender* sender = (struct sender*)data;
    sender->result = nopoll_conn_send_binary(sender->peer->conn, content, kLarge);
    nopoll_loop_stop(sender->peer->ctx);
    return NULL;
}

static void start_thread(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    pthread_t* thread = (pthread_t*)nopoll_conn_get_hook(conn);
    (void)ctx;
    (void)msg;
    assert_int_equal(pthread_create(thread, NULL, send_from_thread, data), 0);
}

/* The send may come from another thread. */
static void other_thread_does_not_wait(void** state) {
    struct raw_peer slow;
    struct plan plan;
    struct sender sender = {&slow, 0};
    pthread_t thread;
    (void)state;
    open_plan(&slow, &plan, 0, 0);
    nopoll_ctx_set_on_msg(slow.ctx, start_thread, &sender);
    nopoll_conn_set_hook(slow.conn, &thread);
    raw_send_text(&slow, "go");
    assert_int_equal(nopoll_loop_wait(slow.ctx, 60000000), 0); /* stopped by the thread */
    pthread_join(thread, NULL);
    assert_int_equal(sender.result, kLarge);
    raw_close(&slow);
}

/* Who made the socket non-blocking has the results of such sockets, in the loop as well. */
static void not_for_sockets_that_do_not_wait(void** state) {
    struct raw_peer slow;
    struct plan plan;
    int result;
    (void)state;
    open_plan(&slow, &plan, 0, 0);
    nopoll_conn_set_sock_block(nopoll_conn_socket(slow.conn), nopoll_false);
    go(&slow, &plan);
    result = nopoll_conn_send_binary(slow.conn, content, kLarge);
    assert_in_range(result, 1, kLarge - 1);
    assert_int_equal(result + nopoll_conn_pending_write_bytes(slow.conn), kLarge);
    raw_close(&slow);
}

/* --- the limit --- */

static test_log log_lines;

static int warnings(void) {
    int lines = 0;
    const char* at = log_lines.text;
    while ((at = strstr(at, "does not read")) != NULL) {
        lines++;
        at++;
    }
    return lines;
}

static void check_limit(struct raw_peer* slow, struct plan* plan, long limit) {
    struct sink sink = {NULL, 0, 0, 0};
    int round, i;
    nopoll_log_set_handler(slow->ctx, test_log_record, &log_lines);
    memset(&log_lines, 0, sizeof log_lines);
    for (round = 1; round <= 2; round++) {
        plan->sent = plan->refused = 0;
        go(slow, plan);
        assert_true(plan->refused > 0);
        /* The queue, and what the socket and the network took. */
        assert_true(plan->sent * plan->size >= limit - plan->size);
        assert_true(plan->sent * plan->size <= limit + plan->size + 100000);
        go(slow, plan);
        assert_int_equal(warnings(), round); /* once until the queue is empty again */
        sink.size = sink.parsed = 0;
        read_in_the_loop(slow, &sink, wire_size(plan->sent, plan->size));
        for (i = 0; i < plan->sent; i++)
            SINK_EXPECT(&sink, slow, RAW_BINARY, content, plan->size);
        SINK_EXPECT_ALL(&sink);
    }
    sink_free(&sink);
}

static void limit_by_call(void** state) {
    struct raw_peer slow;
    struct plan plan;
    (void)state;
    open_plan(&slow, &plan, 40, 20000);
    nopoll_ctx_set_send_queue_limit(NULL, 1);
    nopoll_ctx_set_send_queue_limit(slow.ctx, 200000);
    nopoll_ctx_set_send_queue_limit(slow.ctx, -1); /* ignored */
    check_limit(&slow, &plan, 200000);
    raw_close(&slow);
}

static void limit_by_environment(void** state) {
    struct raw_peer slow;
    struct plan plan;
    (void)state;
    setenv("NOPOLL_SEND_QUEUE_LIMIT", "300000", 1);
    open_plan(&slow, &plan, 40, 20000);
    unsetenv("NOPOLL_SEND_QUEUE_LIMIT");
    check_limit(&slow, &plan, 300000);
    raw_close(&slow);
}

static void limit_by_default(void** state) {
    struct raw_peer slow;
    struct plan plan;
    (void)state;
    open_plan(&slow, &plan, 20, kLarge);
    check_limit(&slow, &plan, 16777216);
    raw_close(&slow);
}

struct drain {
    const struct raw_peer* peer;
    struct sink sink;
    long received;
    int ended;
};

static void* drain_all(void* data) {
    struct drain* drain = (struct drain*)data;
    size_t n = 1;
    while (n > 0 && test_readable(drain->peer->fd, TEST_LIMIT_MS)) {
        n = sink_take(&drain->sink, drain->peer->fd, 8192);
        __atomic_add_fetch(&drain->received, (long)n, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&drain->ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* 0: sends wait, as those of the original do. */
static void limit_zero_waits(void** state) {
    struct raw_peer slow;
    struct plan plan;
    struct drain drain;
    pthread_t thread;
    (void)state;
    open_plan(&slow, &plan, 1, kLarge);
    nopoll_ctx_set_send_queue_limit(slow.ctx, 0);
    memset(&drain, 0, sizeof drain);
    drain.peer = &slow;
    assert_int_equal(pthread_create(&thread, NULL, drain_all, &drain), 0);
    go(&slow, &plan);
    /* When the send returned, all but what buffers hold had been read. */
    assert_true(__atomic_load_n(&drain.received, __ATOMIC_SEQ_CST) > kLarge - 200000);
    nopoll_conn_shutdown(slow.conn);
    pthread_join(thread, NULL);
    SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
    sink_free(&drain.sink);
    raw_close(&slow);
}

/* --- closing with a queue --- */

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ++*(int*)data;
}

/* The program's side ends at once; the peer gets everything, the Close frame last. */
static void close_delivers_everything(void** state) {
    int how;
    (void)state;
    for (how = 1; how <= 2; how++) {
        struct raw_peer slow;
        struct drain drain;
        struct plan plan;
        pthread_t thread;
        int closes = 0;
        open_plan(&slow, &plan, 2, kLarge);
        plan.close_after = how;
        nopoll_conn_set_on_close(slow.conn, count_close, &closes);
        /* nopoll_conn_close takes the program's reference with it. */
        if (how == 1) nopoll_conn_ref(slow.conn);
        go(&slow, &plan);
        assert_int_equal(closes, 1);
        assert_false(nopoll_conn_is_ok(slow.conn));
        assert_int_equal(nopoll_conn_send_text(slow.conn, "x", 1), -1);
        LOOP_UNTIL(slow.ctx, nopoll_ctx_conns(slow.ctx) == 1);
        memset(&drain, 0, sizeof drain);
        drain.peer = &slow;
        assert_int_equal(pthread_create(&thread, NULL, drain_all, &drain), 0);
        LOOP_UNTIL(slow.ctx, __atomic_load_n(&drain.ended, __ATOMIC_SEQ_CST));
        pthread_join(thread, NULL);
        SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
        SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
        if (how == 1) SINK_EXPECT(&drain.sink, &slow, RAW_CLOSE, "\x03\xe8" "bye", 5);
        SINK_EXPECT_ALL(&drain.sink);
        assert_int_equal(closes, 1);
        sink_free(&drain.sink);
        raw_close(&slow);
    }
}

/* A peer that goes away takes its bytes with it; the log says so. */
static void peer_goes_away(void** state) {
    struct raw_peer slow;
    struct plan plan;
    const struct linger hard = {1, 0};
    (void)state;
    open_plan(&slow, &plan, 2, kLarge);
    nopoll_log_set_handler(slow.ctx, test_log_record, &log_lines);
    memset(&log_lines, 0, sizeof log_lines);
    plan.close_after = 2;
    go(&slow, &plan);
    setsockopt(slow.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(slow.fd);
    slow.fd = -1;
    SERVE_UNTIL(slow.ctx, strstr(log_lines.text, "is gone") != NULL);
    raw_close(&slow);
}

/* --- the loop returns with a queue --- */

/* A direct send waits then, as it always did, and keeps the order. */
static void direct_send_waits_for_the_queue(void** state) {
    struct raw_peer slow;
    struct plan plan;
    struct drain drain;
    pthread_t thread;
    (void)state;
    open_plan(&slow, &plan, 1, kLarge);
    go(&slow, &plan);
    memset(&drain, 0, sizeof drain);
    drain.peer = &slow;
    assert_int_equal(pthread_create(&thread, NULL, drain_all, &drain), 0);
    assert_int_equal(nopoll_conn_send_text(slow.conn, "direct", 6), 6);
    nopoll_conn_shutdown(slow.conn);
    pthread_join(thread, NULL);
    SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
    SINK_EXPECT(&drain.sink, &slow, RAW_TEXT, "direct", 6);
    SINK_EXPECT_ALL(&drain.sink);
    sink_free(&drain.sink);
    raw_close(&slow);
}

static void flush_writes_the_queue(void** state) {
    struct raw_peer slow;
    struct plan plan;
    struct drain drain;
    pthread_t thread;
    (void)state;
    open_plan(&slow, &plan, 1, kLarge);
    go(&slow, &plan);
    memset(&drain, 0, sizeof drain);
    drain.peer = &slow;
    assert_int_equal(pthread_create(&thread, NULL, drain_all, &drain), 0);
    assert_int_equal(nopoll_conn_flush_writes(slow.conn, 60000000, 3), 3); /* reported already */
    shutdown(nopoll_conn_socket(slow.conn), SHUT_WR);
    pthread_join(thread, NULL);
    SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
    SINK_EXPECT_ALL(&drain.sink);
    sink_free(&drain.sink);
    raw_close(&slow);
}

/* Before it returns it writes what goes without waiting: room that the handler made is used. */
static struct raw_peer* reader_inside;
static struct sink sink_inside;

static void read_inside(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    run_plan(ctx, conn, msg, data);
    while (test_readable(reader_inside->fd, 100))
        sink_take(&sink_inside, reader_inside->fd, SIZE_MAX / 2);
}

static void loop_writes_before_it_returns(void** state) {
    struct raw_peer slow;
    struct plan plan;
    size_t before;
    (void)state;
    open_plan(&slow, &plan, 1, kLarge);
    plan.stop = 1;
    reader_inside = &slow;
    nopoll_ctx_set_on_msg(slow.ctx, read_inside, &plan);
    raw_send_text(&slow, "go");
    assert_int_equal(nopoll_loop_wait(slow.ctx, 60000000), 0);
    before = sink_inside.size;
    assert_true(before < kLarge);
    while (test_readable(slow.fd, 300))
        sink_take(&sink_inside, slow.fd, SIZE_MAX / 2);
    assert_true(sink_inside.size > before);
    sink_free(&sink_inside);
    raw_close(&slow);
}

/* The end of the context waits for the peers of closed connections. */
static void end_of_the_context(void** state) {
    struct raw_peer slow;
    struct plan plan;
    struct drain drain;
    pthread_t thread;
    (void)state;
    open_plan(&slow, &plan, 2, kLarge);
    go(&slow, &plan);
    nopoll_conn_ref(slow.conn);
    nopoll_conn_close(slow.conn);
    nopoll_conn_unref(slow.conn);
    nopoll_conn_close(slow.listener);
    memset(&drain, 0, sizeof drain);
    drain.peer = &slow;
    assert_int_equal(pthread_create(&thread, NULL, drain_all, &drain), 0);
    nopoll_ctx_unref(slow.ctx);
    pthread_join(thread, NULL);
    SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
    SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
    SINK_EXPECT(&drain.sink, &slow, RAW_CLOSE, "", 0);
    SINK_EXPECT_ALL(&drain.sink);
    sink_free(&drain.sink);
    close(slow.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_served),
        cmocka_unit_test(flush_in_a_handler_does_not_wait),
        cmocka_unit_test(other_thread_does_not_wait),
        cmocka_unit_test(not_for_sockets_that_do_not_wait),
        cmocka_unit_test(limit_by_call),
        cmocka_unit_test(limit_by_environment),
        cmocka_unit_test(limit_by_default),
        cmocka_unit_test(limit_zero_waits),
        cmocka_unit_test(close_delivers_everything),
        cmocka_unit_test(peer_goes_away),
        cmocka_unit_test(direct_send_waits_for_the_queue),
        cmocka_unit_test(flush_writes_the_queue),
        cmocka_unit_test(loop_writes_before_it_returns),
        cmocka_unit_test(end_of_the_context),
    };
    memset(content, 'q', sizeof content);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
