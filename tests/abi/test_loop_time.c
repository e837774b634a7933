/* SPDX-License-Identifier: MIT */
/* nopoll_loop_wait: what it returns, when, and what ends it (spec: context-and-loop.md 8). Upper
 * limits of time hold on an idle machine: of some tries the best one counts. */
#include "raw_peer.h"

#include <limits.h>
#include <nopoll_private.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000L;
}

static long cpu_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000L;
}

/* --- results --- */

static test_log log_lines;

static void bad_arguments(void** state) {
    noPollCtx* ctx = nopoll_ctx_new();
    (void)state;
    memset(&log_lines, 0, sizeof log_lines);
    nopoll_log_set_handler(ctx, test_log_record, &log_lines);
    assert_int_equal(nopoll_loop_wait(NULL, 10), -2);
    assert_int_equal(log_lines.criticals, 0);
    assert_int_equal(nopoll_loop_wait(ctx, -1), -2);
    assert_int_equal(log_lines.criticals, 1);
    nopoll_loop_stop(NULL);
    nopoll_ctx_unref(ctx);
}

/* Never early; late by 20 ms at most. Up to 10 ms a wait takes 10 ms, so that programs which meant
 * milliseconds do not spin; above, the time is exact. With and without connections. */
static void timeouts(void** state) {
    static const long rows[][2] = {{1, 10000},      {100, 10000},   {9999, 10000},
                                   {10000, 10000},  {33333, 33333}, {123456, 123456},
                                   {510000, 510000}};
    struct raw_peer peer;
    noPollCtx* empty = nopoll_ctx_new();
    size_t n;
    int i, with;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    for (with = 0; with < 2; with++) {
        for (n = 0; n < sizeof rows / sizeof *rows; n++) {
            long best = LONG_MAX;
            for (i = 0; i < 10 && best > rows[n][1] + 20000; i++) {
                const long start = now_us();
                long took;
                assert_int_equal(nopoll_loop_wait(with ? peer.ctx : empty, rows[n][0]), -3);
                took = now_us() - start;
                assert_true(took >= rows[n][1]);
                if (took < best) best = took;
            }
            assert_true(best <= rows[n][1] + 20000);
        }
    }
    raw_close(&peer);
    nopoll_ctx_unref(empty);
}

/* Many short waits in a row: time passes, processor time does not. */
static void short_waits_do_not_spin(void** state) {
    struct raw_peer peer;
    long start, cpu;
    int i;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    start = now_us();
    cpu = cpu_us();
    for (i = 0; i < 30; i++)
        assert_int_equal(nopoll_loop_wait(peer.ctx, 10), -3);
    assert_true(now_us() - start >= 300000);
    assert_true(cpu_us() - cpu < 100000);
    raw_close(&peer);
}

/* A wait of the shortest time serves whoever is ready. */
static void count(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)msg;
    ++*(int*)data;
}

static void shortest_wait_serves_everybody(void** state) {
    enum { kPeers = 5 };
    struct raw_peer peers[kPeers];
    int messages = 0, i;
    (void)state;
    raw_open(&peers[0], RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peers[0].ctx, count, &messages);
    for (i = 1; i < kPeers; i++) {
        peers[i] = peers[0];
        raw_join(&peers[i], RAW_ACCEPTED);
    }
    for (i = 0; i < kPeers; i++) {
        raw_send_text(&peers[i], "x");
        raw_wait_arrived(&peers[i], 7);
    }
    assert_int_equal(nopoll_loop_wait(peers[0].ctx, 1), -3);
    assert_int_equal(messages, kPeers);
    for (i = 1; i < kPeers; i++)
        raw_leave(&peers[i]);
    raw_close(&peers[0]);
}

/* --- stopping --- */

static void stop_before_the_wait_is_forgotten(void** state) {
    noPollCtx* ctx = nopoll_ctx_new();
    (void)state;
    nopoll_loop_stop(ctx);
    assert_int_equal(nopoll_loop_wait(ctx, 10000), -3);
    nopoll_loop_stop(ctx);
    nopoll_loop_stop(ctx);
    assert_int_equal(nopoll_loop_wait(ctx, 10000), -3);
    nopoll_ctx_unref(ctx);
}

static void stop_late(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    const long end = now_us() + 30000;
    (void)conn;
    (void)msg;
    (void)data;
    while (now_us() < end)
        poll(NULL, 0, 5);
    nopoll_loop_stop(ctx);
}

/* A stop wins over a timeout that passed in the same turn. */
static void stop_wins_over_the_timeout(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, stop_late, NULL);
    raw_send_text(&peer, "x");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), 0);
    /* And it does not last. */
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    raw_close(&peer);
}

struct stopper {
    noPollCtx* ctx;
    long stopped_us;
};

static void* stop_from_thread(void* data) {
    struct stopper* stopper = (struct stopper*)data;
    poll(NULL, 0, 120); /* into the wait */
    __atomic_store_n(&stopper->stopped_us, now_us(), __ATOMIC_SEQ_CST);
    nopoll_loop_stop(stopper->ctx);
    return NULL;
}

static void stop_from_another_thread(void** state) {
    noPollCtx* ctx = nopoll_ctx_new();
    long best = LONG_MAX;
    int i;
    (void)state;
    for (i = 0; i < 10 && best > 20000; i++) {
        struct stopper stopper = {ctx, 0};
        pthread_t thread;
        long late;
        assert_int_equal(pthread_create(&thread, NULL, stop_from_thread, &stopper), 0);
        assert_int_equal(nopoll_loop_wait(ctx, i % 2 ? 0 : 60000000), 0);
        late = now_us() - __atomic_load_n(&stopper.stopped_us, __ATOMIC_SEQ_CST);
        pthread_join(thread, NULL);
        if (late < best) best = late;
    }
    assert_true(best <= 20000);
    nopoll_ctx_unref(ctx);
}

static noPollCtx* signalled_ctx;
static volatile sig_atomic_t signals, errno_kept;
static volatile long signalled_us;

static void stop_in_handler(int number) {
    const int saved_errno = errno;
    (void)number;
    errno = 4711;
    signalled_us = now_us();
    nopoll_loop_stop(signalled_ctx);
    errno_kept = errno == 4711;
    errno = saved_errno;
    signals = signals + 1;
}

static void count_signal(int number) {
    (void)number;
    signals = signals + 1;
}

static void start_timer(void (*handler)(int), long first_us, long every_us) {
    struct sigaction action;
    struct itimerval timer = {{0, every_us}, {0, first_us}};
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(SIGALRM, &action, NULL);
    signals = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void stop_from_a_signal_handler(void** state) {
    long best = LONG_MAX;
    int i;
    (void)state;
    signalled_ctx = nopoll_ctx_new();
    for (i = 0; i < 10 && best > 20000; i++) {
        long late;
        start_timer(stop_in_handler, 50000, 0);
        assert_int_equal(nopoll_loop_wait(signalled_ctx, 60000000), 0);
        late = now_us() - signalled_us;
        assert_int_equal(signals, 1);
        assert_true(errno_kept);
        if (late < best) best = late;
    }
    assert_true(best <= 20000);
    nopoll_ctx_unref(signalled_ctx);
}

/* Other signals are no reason to return. */
static void signals_are_ignored(void** state) {
    noPollCtx* ctx = nopoll_ctx_new();
    const long start = now_us();
    (void)state;
    start_timer(count_signal, 5000, 5000);
    assert_int_equal(nopoll_loop_wait(ctx, 100000), -3);
    assert_true(now_us() - start >= 100000);
    assert_true(signals > 1);
    start_timer(count_signal, 0, 0);
    nopoll_ctx_unref(ctx);
}

/* --- the engine field --- */

static void look_at_engine(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    *(int*)data = ctx->io_engine != NULL && ctx->keep_looping;
}

static void engine_is_there_only_meanwhile(void** state) {
    struct raw_peer peer;
    int seen = 0;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    assert_null(peer.ctx->io_engine);
    nopoll_ctx_set_on_msg(peer.ctx, look_at_engine, &seen);
    raw_send_text(&peer, "x");
    SERVE_UNTIL(peer.ctx, seen);
    assert_null(peer.ctx->io_engine);
    assert_int_equal(peer.ctx->keep_looping, 0);
    raw_close(&peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(short_waits_do_not_spin),
        cmocka_unit_test(shortest_wait_serves_everybody),
        cmocka_unit_test(stop_before_the_wait_is_forgotten),
        cmocka_unit_test(stop_wins_over_the_timeout),
        cmocka_unit_test(stop_from_another_thread),
        cmocka_unit_test(stop_from_a_signal_handler),
        cmocka_unit_test(signals_are_ignored),
        cmocka_unit_test(engine_is_there_only_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
