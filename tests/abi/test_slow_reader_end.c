/* SPDX-License-Identifier: MIT */
/* What becomes of the queue of a slow reader when its connection is closed, when the loop returns
 * and when the context ends (spec: frames.md 6.3.1). */
#include "slow_reader.h"

#include <fcntl.h>
#include <sys/wait.h>

/* --- closing with a queue --- */

static int closed_fd;

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    closed_fd = nopoll_conn_socket(conn);
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
        assert_int_equal(fcntl(closed_fd, F_GETFD), -1);
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
        if (how == 1)
            SINK_EXPECT(&drain.sink, &slow, RAW_CLOSE,
                        "\x03\xe8"
                        "bye",
                        5);
        SINK_EXPECT_ALL(&drain.sink);
        assert_int_equal(closes, 1);
        sink_free(&drain.sink);
        raw_close(&slow);
    }
}

static test_log log_lines;

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

/* A child that was forked meanwhile does not write its parent's bytes a second time, whether it
 * runs a loop or ends the context; its own copy of the socket goes. */
static void child_writes_nothing(void** state) {
    int ends;
    (void)state;
    for (ends = 0; ends < 2; ends++) {
        struct raw_peer slow;
        struct drain drain;
        struct plan plan;
        pthread_t thread;
        pid_t child;
        int status = 0;
        size_t there;
        open_plan(&slow, &plan, 1, kLarge);
        plan.close_after = 2;
        go(&slow, &plan);
        memset(&drain, 0, sizeof drain);
        drain.peer = &slow;
        /* There is room again, for whoever writes first. */
        there = sink_take(&drain.sink, slow.fd, SIZE_MAX / 2);
        assert_true(there > 0 && there < kLarge);
        child = fork();
        if (child == 0) {
            if (ends) {
                nopoll_conn_close(slow.listener);
                nopoll_conn_close(slow.conn);
                nopoll_ctx_unref(slow.ctx);
            } else {
                nopoll_loop_wait(slow.ctx, 20000);
            }
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(pthread_create(&thread, NULL, drain_all, &drain), 0);
        LOOP_UNTIL(slow.ctx, __atomic_load_n(&drain.ended, __ATOMIC_SEQ_CST));
        pthread_join(thread, NULL);
        SINK_EXPECT(&drain.sink, &slow, RAW_BINARY, content, kLarge);
        SINK_EXPECT_ALL(&drain.sink);
        sink_free(&drain.sink);
        raw_close(&slow);
    }
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
        cmocka_unit_test(close_delivers_everything),
        cmocka_unit_test(peer_goes_away),
        cmocka_unit_test(child_writes_nothing),
        cmocka_unit_test(direct_send_waits_for_the_queue),
        cmocka_unit_test(flush_writes_the_queue),
        cmocka_unit_test(loop_writes_before_it_returns),
        cmocka_unit_test(end_of_the_context),
    };
    memset(content, 'q', sizeof content);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
