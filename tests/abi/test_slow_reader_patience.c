/* SPDX-License-Identifier: MIT */
/* For how long what a closed connection still owes is kept for a peer that reads nothing (spec:
 * frames.md 6.3.1): 30 s in a loop, 10 s at the end of the context. The library gets its time from
 * this program, which has clock_gettime and poll of its own, so that nobody waits that long. */
#include "slow_reader.h"

#include <sys/syscall.h>
#include <unistd.h>

static long ahead_ms;    /* of the clock of this process */
static int time_is_ours; /* a poll in which nothing happens moves the clock on, and does not wait */

int clock_gettime(clockid_t clock, struct timespec* now) {
    const long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_MONOTONIC) {
        now->tv_sec += ahead_ms / 1000;
        now->tv_nsec += ahead_ms % 1000 * 1000000;
        now->tv_sec += now->tv_nsec / 1000000000;
        now->tv_nsec %= 1000000000;
    }
    return (int)result;
}

int poll(struct pollfd* entries, nfds_t count, int timeout_ms) {
    struct timespec left;
    int ready;
    left.tv_sec = timeout_ms / 1000;
    left.tv_nsec = timeout_ms % 1000 * 1000000L;
    if (time_is_ours) left.tv_sec = left.tv_nsec = 0;
    ready = ppoll(entries, count, timeout_ms < 0 && !time_is_ours ? NULL : &left, NULL);
    if (time_is_ours && ready == 0) {
        assert_true(timeout_ms >= 0); /* it would have waited for ever */
        ahead_ms += timeout_ms;
    }
    return ready;
}

static test_log log_lines;

static int given_up(void) {
    return strstr(log_lines.text, "last bytes are given up") != NULL;
}

/* Its program has closed it, and it reads nothing. */
static void open_debtor(struct raw_peer* slow, struct plan* plan) {
    open_plan(slow, plan, 1, kLarge);
    nopoll_log_set_handler(slow->ctx, test_log_record, &log_lines);
    memset(&log_lines, 0, sizeof log_lines);
    plan->close_after = 2;
    go(slow, plan);
    LOOP_UNTIL(slow->ctx, nopoll_ctx_conns(slow->ctx) == 1);
}

/* What the sockets hold still comes, then the end: neither all of the frame nor a wait. */
static void expect_the_end(const struct raw_peer* slow) {
    struct sink sink = {NULL, 0, 0, 0};
    size_t taken = 1;
    while (taken > 0 && test_readable(slow->fd, TEST_LIMIT_MS))
        taken = sink_take(&sink, slow->fd, 8192);
    assert_int_equal(taken, 0);
    assert_true(sink.size > 0 && sink.size < kLarge);
    sink_free(&sink);
}

static void loop_gives_up_after_30_s(void** state) {
    static const noPollIoEngineType engines[] = {NOPOLL_IO_ENGINE_SELECT, NOPOLL_IO_ENGINE_POLL,
                                                 NOPOLL_IO_ENGINE_EPOLL};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof engines / sizeof engines[0]; i++) {
        struct raw_peer slow;
        struct plan plan;
        open_debtor(&slow, &plan);
        nopoll_ctx_set_io_engine(slow.ctx, engines[i]);
        ahead_ms += 29000;
        nopoll_loop_wait(slow.ctx, 20000);
        assert_false(given_up());
        ahead_ms += 31000;
        LOOP_UNTIL(slow.ctx, given_up());
        expect_the_end(&slow);
        raw_close(&slow);
    }
}

static void end_of_the_context_waits_10_s(void** state) {
    struct raw_peer slow;
    struct plan plan;
    long start;
    (void)state;
    open_debtor(&slow, &plan);
    nopoll_conn_close(slow.conn); /* it was shut down: our reference stays */
    nopoll_conn_unref(slow.conn);
    nopoll_conn_close(slow.listener);
    start = ahead_ms;
    time_is_ours = 1;
    nopoll_ctx_unref(slow.ctx);
    time_is_ours = 0;
    assert_in_range(ahead_ms - start, 9000, 10100);
    expect_the_end(&slow);
    close(slow.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_gives_up_after_30_s),
        cmocka_unit_test(end_of_the_context_waits_10_s),
    };
    memset(content, 'q', sizeof content);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
