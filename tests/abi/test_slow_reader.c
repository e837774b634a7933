/* SPDX-License-Identifier: MIT */
/* Peers that do not read do not hold up the loop: what is sent to them meanwhile is queued, bounded
 * and written later, in order (spec: frames.md 6.3.1). */
#include "slow_reader.h"

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

/* A send that began when no loop ran: a program that waits again and again has such moments. */
static void a_loop_that_starts_ends_the_wait(void** state) {
    struct raw_peer slow;
    struct plan plan;
    struct sink sink = {NULL, 0, 0, 0};
    struct sender sender = {&slow, 0};
    const long end = test_now_ms() + TEST_LIMIT_MS;
    struct pollfd full;
    pthread_t thread;
    (void)state;
    open_plan(&slow, &plan, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, send_from_thread, &sender), 0);
    full.fd = nopoll_conn_socket(slow.conn);
    full.events = POLLOUT;
    while (poll(&full, 1, 0) == 1) /* until the thread waits for its peer */
        ;
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        assert_int_not_equal(nopoll_loop_wait(slow.ctx, 10000), -4);
        assert_true(test_now_ms() < end);
    }
    assert_int_equal(sender.result, kLarge);
    assert_int_equal(nopoll_conn_pending_write_bytes(slow.conn), 0); /* queued now */
    read_in_the_loop(&slow, &sink, kLarge + 10);
    SINK_EXPECT(&sink, &slow, RAW_BINARY, content, kLarge);
    SINK_EXPECT_ALL(&sink);
    sink_free(&sink);
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

/* Pings of the program fill what is left of the queue, and are refused then. */
static void own_pings_respect_the_limit(void** state) {
    struct raw_peer slow;
    struct plan plan;
    int pings = 0;
    (void)state;
    open_plan(&slow, &plan, 40, 20000);
    nopoll_ctx_set_send_queue_limit(slow.ctx, 100000);
    go(&slow, &plan);
    assert_true(plan.refused > 0);
    while (pings <= 20000 && nopoll_conn_send_ping(slow.conn))
        pings++;
    assert_in_range(pings, 0, 20000 / 2);
    raw_close(&slow);
}

/* A peer that sends pings and reads nothing does not make the queue grow beyond its limit; the
 * latest ping is answered in the end. */
static void pongs_respect_the_limit(void** state) {
    enum { kPings = 4000, kPong = 127, kLimit = 100000 };
    struct raw_peer slow;
    struct plan plan;
    struct sink sink = {NULL, 0, 0, 0};
    unsigned char payload[125];
    unsigned last = 0, number;
    size_t queued;
    const long end = test_now_ms() + 3 * TEST_LIMIT_MS;
    (void)state;
    open_plan(&slow, &plan, 40, 20000);
    nopoll_ctx_set_send_queue_limit(slow.ctx, kLimit);
    go(&slow, &plan);
    assert_true(plan.refused > 0);
    memset(payload, 0, sizeof payload);
    for (number = 1; number <= kPings; number++) {
        memcpy(payload, &number, sizeof number);
        raw_send(&slow, RAW_PING, payload, sizeof payload);
        if (number % 100 == 0) {
            int left = 1;
            while (left > 0 && test_now_ms() < end) {
                nopoll_loop_wait(slow.ctx, 1);
                ioctl(nopoll_conn_socket(slow.conn), FIONREAD, &left);
            }
        }
    }
    assert_true(nopoll_conn_is_ok(slow.conn));
    assert_int_equal(nopoll_conn_pending_write_bytes(slow.conn), 0);
    while (last != kPings && test_now_ms() < end) {
        if (sink_take(&sink, slow.fd, SIZE_MAX / 2) == 0) nopoll_loop_wait(slow.ctx, 1);
        if (sink.size >= sizeof payload)
            memcpy(&last, sink.bytes + sink.size - sizeof payload, sizeof last);
    }
    assert_int_equal(last, kPings);
    for (number = 0; number < (unsigned)plan.sent; number++)
        SINK_EXPECT(&sink, &slow, RAW_BINARY, content, plan.size);
    queued = sink.size - sink.parsed;
    assert_int_equal(queued % kPong, 0);
    assert_true(queued < 2 * kLimit);
    sink_free(&sink);
    raw_close(&slow);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_served),
        cmocka_unit_test(flush_in_a_handler_does_not_wait),
        cmocka_unit_test(other_thread_does_not_wait),
        cmocka_unit_test(a_loop_that_starts_ends_the_wait),
        cmocka_unit_test(not_for_sockets_that_do_not_wait),
        cmocka_unit_test(limit_by_call),
        cmocka_unit_test(limit_by_environment),
        cmocka_unit_test(limit_by_default),
        cmocka_unit_test(own_pings_respect_the_limit),
        cmocka_unit_test(pongs_respect_the_limit),
        cmocka_unit_test(limit_zero_waits),
    };
    memset(content, 'q', sizeof content);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
