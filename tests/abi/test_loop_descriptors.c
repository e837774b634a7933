/* SPDX-License-Identifier: MIT */
/* Loops with very many descriptors, and with none left to accept with (spec: context-and-loop.md
 * 8). The limit on descriptors is that of this process alone. */
#include "raw_peer.h"

#include <fcntl.h>
#include <sys/resource.h>

static void echo(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)data;
    nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                          nopoll_msg_get_payload_size(msg));
}

static long cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* --- many --- */

enum { kMany = 1500 };

/* 1500 connections, half of their descriptors above 1024: all are served, each in one pass. */
static void many_connections(noPollIoEngineType engine) {
    static struct raw_peer peers[kMany];
    struct raw_peer first;
    struct rlimit limit;
    int i, highest = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 2 * kMany + 100) {
        print_message("skipped: the hard limit on descriptors is %ld\n", (long)limit.rlim_max);
        skip();
    }
    limit.rlim_cur = 2 * kMany + 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    raw_open(&first, RAW_ACCEPTED);
    nopoll_ctx_set_io_engine(first.ctx, engine);
    nopoll_ctx_set_on_msg(first.ctx, echo, NULL);
    for (i = 0; i < kMany; i++) {
        peers[i] = first;
        raw_join(&peers[i], RAW_ACCEPTED);
        if (nopoll_conn_socket(peers[i].conn) > highest)
            highest = nopoll_conn_socket(peers[i].conn);
    }
    assert_true(highest > 1024);
    for (i = 0; i < kMany; i++)
        raw_send_text(&peers[i], "hello");
    assert_int_equal(nopoll_loop_wait(first.ctx, 1), -3);
    for (i = 0; i < kMany; i++) {
        char bytes[8];
        assert_int_equal(recv(peers[i].fd, bytes, 8, MSG_DONTWAIT), 7);
        assert_memory_equal(bytes, "\x81\x05hello", 7);
    }
    /* All leave, and the loop drops them all. */
    for (i = 0; i < kMany; i++) {
        close(peers[i].fd);
        peers[i].fd = -1;
    }
    LOOP_UNTIL(first.ctx, nopoll_ctx_conns(first.ctx) == 2);
    for (i = 0; i < kMany; i++) {
        assert_false(nopoll_conn_is_ok(peers[i].conn));
        raw_leave(&peers[i]);
    }
    raw_close(&first);
}

static void many_connections_select(void** state) {
    (void)state;
    many_connections(NOPOLL_IO_ENGINE_SELECT);
}

static void many_connections_poll(void** state) {
    (void)state;
    many_connections(NOPOLL_IO_ENGINE_POLL);
}

static void many_connections_epoll(void** state) {
    (void)state;
    many_connections(NOPOLL_IO_ENGINE_EPOLL);
}

/* --- none left --- */

static test_log log_lines;

/* Takes all descriptors below `end`, and makes that the limit. Returns how many it took. */
static int take_all_descriptors(int* taken, int room, int end) {
    struct rlimit limit;
    int count = 0, fd;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)end;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        assert_true(count < room);
        taken[count++] = fd;
    }
    assert_int_equal(errno, EMFILE);
    return count;
}

/* The listener pauses: others are served, no processor time is burnt, and there is one line in the
 * log for each pause. When there are descriptors again the waiting client is accepted. */
static void accepts_pause(int end_a_connection) {
    static int taken[256];
    struct raw_peer peer, other;
    int waiting, count, i;
    long cpu, start;
    raw_open(&peer, RAW_ACCEPTED);
    other = peer;
    raw_join(&other, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, echo, NULL);
    memset(&log_lines, 0, sizeof log_lines);
    nopoll_log_set_handler(peer.ctx, test_log_record, &log_lines);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    waiting = raw_connect(peer.listener);
    count = take_all_descriptors(taken, 256, 200);

    cpu = cpu_ms();
    start = test_now_ms();
    for (i = 0; i < 5; i++) {
        raw_send_text(&peer, "served");
        assert_int_equal(nopoll_loop_wait(peer.ctx, 60000), -3);
        RAW_EXPECT_TEXT(&peer, "served");
    }
    assert_true(cpu_ms() - cpu < 150);
    assert_true(log_lines.criticals >= 1);
    assert_true(log_lines.criticals <= 1 + (test_now_ms() - start) / 100);
    assert_int_equal(nopoll_ctx_conns(peer.ctx), 3);

    if (!end_a_connection) {
        /* The program closes something of its own: noticed when the pause is over. */
        close(taken[--count]);
        LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 4);
    } else {
        /* A connection of the library is closed: noticed at once. */
        nopoll_conn_shutdown(other.conn);
        SERVE_UNTIL(peer.ctx,
                    nopoll_conn_ref_count(other.conn) == 1 && nopoll_ctx_conns(peer.ctx) == 3);
    }
    for (i = 0; i < count; i++)
        close(taken[i]);
    close(waiting);
    LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == (!end_a_connection ? 3 : 2));
    raw_leave(&other);
    raw_close(&peer);
}

static void accepts_go_on_after_the_pause(void** state) {
    (void)state;
    accepts_pause(0);
}

static void accepts_go_on_when_a_connection_ends(void** state) {
    (void)state;
    accepts_pause(1);
}

/* Always readable, and nobody there: others are served, and there is one line for each pause. */
static void a_listener_that_accepts_nobody(void** state) {
    struct raw_peer peer;
    long cpu, start;
    int i;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, echo, NULL);
    memset(&log_lines, 0, sizeof log_lines);
    nopoll_log_set_handler(peer.ctx, test_log_record, &log_lines);
    assert_int_equal(shutdown(nopoll_conn_socket(peer.listener), SHUT_RDWR), 0);
    cpu = cpu_ms();
    start = test_now_ms();
    for (i = 0; i < 5; i++) {
        raw_send_text(&peer, "served");
        assert_int_equal(nopoll_loop_wait(peer.ctx, 60000), -3);
        RAW_EXPECT_TEXT(&peer, "served");
    }
    assert_true(cpu_ms() - cpu < 150);
    assert_true(log_lines.criticals >= 1);
    assert_true(log_lines.criticals <= 1 + (test_now_ms() - start) / 100);
    assert_true(nopoll_conn_is_ok(peer.listener));
    nopoll_log_set_handler(peer.ctx, NULL, NULL);
    raw_close(&peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_connections_select),
        cmocka_unit_test(many_connections_poll),
        cmocka_unit_test(many_connections_epoll),
        cmocka_unit_test(accepts_go_on_after_the_pause),
        cmocka_unit_test(accepts_go_on_when_a_connection_ends),
        cmocka_unit_test(a_listener_that_accepts_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
