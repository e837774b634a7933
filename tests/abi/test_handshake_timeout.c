/* SPDX-License-Identifier: MIT */
/* The time that an accepted connection has for its opening handshake while the loop serves it
 * (spec: handshake.md section 2, headers.md section 7). */
#include "server_request.h"

#include <limits.h>

#define TIMEOUT_US 150000
/* The machine may do other things as well. */
#define LATE_MS (500 * test_slowdown())

static int closes;

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    /* The registry's, and that of every handler in a loop or a walk. */
    assert_int_equal(nopoll_conn_ref_count(conn), 2);
    closes++;
}

static nopoll_bool watch_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    nopoll_conn_set_on_close(conn, count_close, data);
    return nopoll_true;
}

typedef struct {
    noPollCtx* ctx;
    noPollConn* listener;
    test_log* log;
    int fd;
    int warnings;
} scene;

static void count_warnings(noPollCtx* ctx, noPollDebugLevel level, const char* text,
                           noPollPtr data) {
    scene* const now = data;
    if (level == NOPOLL_LEVEL_WARNING) now->warnings++;
    test_log_record(ctx, level, text, now->log);
}

static void begin(scene* now, long timeout_us) {
    memset(now, 0, sizeof *now);
    closes = 0;
    now->log = calloc(1, sizeof *now->log);
    now->ctx = nopoll_ctx_new();
    nopoll_log_set_handler(now->ctx, count_warnings, now);
    nopoll_ctx_set_on_accept(now->ctx, watch_close, NULL);
    if (timeout_us >= 0) nopoll_ctx_set_handshake_timeout(now->ctx, timeout_us);
    now->listener = nopoll_listener_new(now->ctx, "127.0.0.1", "0");
    now->fd = test_connect(test_port_of(nopoll_conn_socket(now->listener)));
}

static void end(scene* now) {
    peer_close_accepted(now->ctx);
    nopoll_conn_close(now->listener);
    assert_int_equal(nopoll_ctx_ref_count(now->ctx), 1);
    nopoll_ctx_unref(now->ctx);
    close(now->fd);
    free(now->log);
}

static void check_ended(const scene* now, long started, long timeout_us) {
    const long took = test_now_ms() - started;
    assert_true(took >= timeout_us / 1000 - 1);
    assert_true(took <= timeout_us / 1000 + LATE_MS);
    assert_int_equal(closes, 1);
    assert_int_equal(now->warnings, 1);
    assert_int_equal(now->log->criticals, 0);
    assert_non_null(strstr(now->log->text, "connection 3: "));
}

/* One long wait of the loop: it wakes up for this by itself. */
static void silent_peers_are_ended(void** state) {
    (void)state;
    static const char* const parts[] = {"", "GET / HT", GET HEADERS};
    for (size_t i = 0; i < 3; i++) {
        peer_stream seen;
        scene now;
        begin(&now, TIMEOUT_US);
        test_send_all(now.fd, parts[i], strlen(parts[i]));
        const long start = test_now_ms();
        assert_int_equal(nopoll_loop_wait(now.ctx, 2 * TIMEOUT_US), -3);
        peer_read_to_end(now.fd, &seen);
        assert_int_equal(seen.size, 0);
        assert_int_equal(closes, 1);
        assert_int_equal(now.warnings, 1);
        assert_true(test_now_ms() - start >= TIMEOUT_US / 1000);
        end(&now);
    }
}

static void the_moment_is_kept(void** state) {
    (void)state;
    scene now;
    begin(&now, TIMEOUT_US);
    const long start = test_now_ms();
    while (closes == 0 && test_now_ms() - start < TEST_LIMIT_MS)
        nopoll_loop_wait(now.ctx, 1);
    check_ended(&now, start, TIMEOUT_US);
    end(&now);
}

/* Bytes now and then buy no time: it runs from accept. */
static void dribbling_buys_no_time(void** state) {
    (void)state;
    scene now;
    size_t sent = 0;
    begin(&now, TIMEOUT_US);
    const long start = test_now_ms();
    while (closes == 0 && test_now_ms() - start < TEST_LIMIT_MS) {
        if (sent < sizeof GET - 1) test_send_all(now.fd, &GET[sent++], 1);
        nopoll_loop_wait(now.ctx, 1);
    }
    check_ended(&now, start, TIMEOUT_US);
    end(&now);
}

static void ready_connections_stay(void** state) {
    (void)state;
    scene now;
    begin(&now, -1);
    const int ready = test_raw_client(now.ctx, now.listener);
    nopoll_ctx_set_handshake_timeout(now.ctx, TIMEOUT_US); /* also for those that are there */
    const long start = test_now_ms();
    while (closes == 0 && test_now_ms() - start < TEST_LIMIT_MS)
        nopoll_loop_wait(now.ctx, 1);
    nopoll_loop_wait(now.ctx, TIMEOUT_US);
    assert_int_equal(closes, 1); /* the silent one of begin() */
    assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
    assert_false(test_readable(ready, 0));
    close(ready);
    end(&now);
}

static void clients_and_listeners_have_no_such_limit(void** state) {
    (void)state;
    scene now;
    begin(&now, 50000);
    const int silent = peer_listen(4);
    noPollConn* const client =
        nopoll_conn_new(now.ctx, "127.0.0.1", peer_port(silent), NULL, NULL, NULL, NULL);
    nopoll_loop_wait(now.ctx, TIMEOUT_US);
    assert_int_equal(nopoll_conn_is_ok(client), 1);
    assert_int_equal(nopoll_conn_is_ok(now.listener), 1);
    assert_int_equal(closes, 1);
    nopoll_conn_close(client);
    close(silent);
    end(&now);
}

static void zero_means_no_limit(void** state) {
    static const long times[] = {0, LONG_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        scene now;
        begin(&now, TIMEOUT_US);
        nopoll_ctx_set_handshake_timeout(now.ctx, times[i]);
        assert_int_equal(nopoll_loop_wait(now.ctx, 2 * TIMEOUT_US), -3);
        assert_int_equal(closes, 0);
        assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
        end(&now);
    }
}

/* Direct calls do not look at the time. */
static void outside_the_loop_there_is_no_limit(void** state) {
    (void)state;
    scene now;
    begin(&now, 1000);
    noPollConn* const conn = nopoll_conn_accept(now.ctx, now.listener);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 0), 0);
    test_readable(nopoll_conn_socket(conn), 50); /* far beyond the millisecond */
    assert_null(nopoll_conn_get_msg(conn));
    test_send_all(now.fd, TEST_REQUEST, strlen(TEST_REQUEST));
    assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 1);
    assert_int_equal(closes, 0);
    end(&now);
}

/* By the environment, in seconds. */
static void the_environment_may_set_it(void** state) {
    (void)state;
    scene now;
    setenv("NOPOLL_HANDSHAKE_TIMEOUT", "1", 1);
    begin(&now, -1);
    setenv("NOPOLL_HANDSHAKE_TIMEOUT", "0", 1); /* too late for this context */
    const long start = test_now_ms();
    while (closes == 0 && test_now_ms() - start < TEST_LIMIT_MS)
        nopoll_loop_wait(now.ctx, 1);
    check_ended(&now, start, 1000000);
    unsetenv("NOPOLL_HANDSHAKE_TIMEOUT");
    end(&now);
}

static void a_call_wins_over_the_environment(void** state) {
    (void)state;
    scene now;
    setenv("NOPOLL_HANDSHAKE_TIMEOUT", "3600", 1);
    begin(&now, TIMEOUT_US);
    unsetenv("NOPOLL_HANDSHAKE_TIMEOUT");
    const long start = test_now_ms();
    while (closes == 0 && test_now_ms() - start < TEST_LIMIT_MS)
        nopoll_loop_wait(now.ctx, 1);
    check_ended(&now, start, TIMEOUT_US);
    end(&now);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_peers_are_ended),
        cmocka_unit_test(the_moment_is_kept),
        cmocka_unit_test(dribbling_buys_no_time),
        cmocka_unit_test(ready_connections_stay),
        cmocka_unit_test(clients_and_listeners_have_no_such_limit),
        cmocka_unit_test(zero_means_no_limit),
        cmocka_unit_test(outside_the_loop_there_is_no_limit),
        cmocka_unit_test(the_environment_may_set_it),
        cmocka_unit_test(a_call_wins_over_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
