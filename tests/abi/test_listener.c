/* SPDX-License-Identifier: MIT */
/* Making listeners (spec: listener.md section 1): arguments, options on every path, errors. */
#include "stream_peer.h"

#include <netdb.h>
#include <nopoll_private.h>

/* An address of 127.0.0.0/8 that no other process of these tests uses: fixed ports are free. */
static const char* own_address(void) {
    static char text[32];
    const unsigned pid = (unsigned)getpid();
    snprintf(text, sizeof text, "127.%u.%u.%u", 10 + (pid >> 16) % 200, (pid >> 8) & 255,
             pid & 255);
    return text;
}

/* --- arguments --- */

struct argument_row {
    const char* name;
    int v6;
    const char* host; /* "own": an address of this process's own */
    const char* port;
    int good;
    int warning; /* the one record of a bad one is no more than that */
};

static const struct argument_row rows[] = {
    {"numeric", 0, "127.0.0.1", "0", 1, 0},
    {"all interfaces", 0, "0.0.0.0", "0", 1, 0},
    {"short form", 0, "127.1", "0", 1, 0},
    {"name", 0, "localhost", "0", 1, 0},
    {"unknown name", 0, "double..dot", "0", 0, 1},
    {"no host", 0, NULL, "0", 0, 0},
    {"empty host", 0, "", "0", 0, 0},
    {"no port", 0, "127.0.0.1", NULL, 0, 0},
    {"empty port", 0, "127.0.0.1", "", 0, 0},
    {"negative port", 0, "127.0.0.1", "-1", 0, 0},
    {"words", 0, "127.0.0.1", "no-such-service", 0, 1},
    {"port and words", 0, "127.0.0.1", "80x", 0, 1},
    {"leading blank", 0, "own", " 40123", 1, 0},
    {"highest port", 0, "own", "65535", 1, 0},
    {"port too high", 0, "own", "65536", 0, 0},
    {"port that would wrap", 0, "own", "70000", 0, 0},
    {"port beyond all types", 0, "own", "99999999999999999999", 0, 0},
    {"IPv6 text for IPv4", 0, "::1", "0", 0, 1},

    {"IPv6", 1, "::1", "0", 1, 0},
    {"IPv6, all interfaces", 1, "::", "0", 1, 0},
    {"IPv6, mapped", 1, "::ffff:127.0.0.1", "0", 1, 0},
    {"IPv4 text for IPv6", 1, "127.0.0.1", "0", 0, 1},
    {"IPv4 any for IPv6", 1, "0.0.0.0", "0", 0, 0},
    {"IPv6, no host", 1, NULL, "0", 0, 0},
    {"IPv6, no port", 1, "::1", NULL, 0, 0},
};

#define ROWS (sizeof rows / sizeof *rows)

typedef noPollConn* (*constructor)(noPollCtx*, noPollConnOpts*, const char*, const char*);

static noPollConn* plain4(noPollCtx* c, noPollConnOpts* o, const char* host, const char* port) {
    nopoll_conn_opts_unref(o);
    return nopoll_listener_new(c, host, port);
}

static noPollConn* plain6(noPollCtx* c, noPollConnOpts* o, const char* host, const char* port) {
    nopoll_conn_opts_unref(o);
    return nopoll_listener_new6(c, host, port);
}

static noPollConn* tls4(noPollCtx* c, noPollConnOpts* o, const char* host, const char* port) {
    nopoll_conn_opts_unref(o);
    return nopoll_listener_tls_new(c, host, port);
}

static noPollConn* tls6(noPollCtx* c, noPollConnOpts* o, const char* host, const char* port) {
    nopoll_conn_opts_unref(o);
    return nopoll_listener_tls_new6(c, host, port);
}

/* By family; plain and TLS, without and with options. */
static const constructor constructors[2][4] = {
    {plain4, nopoll_listener_new_opts, tls4, nopoll_listener_tls_new_opts},
    {plain6, nopoll_listener_new_opts6, tls6, nopoll_listener_tls_new_opts6},
};

static void check_arguments(const struct argument_row* row, int kind) {
    const char* const host =
        row->host != NULL && strcmp(row->host, "own") == 0 ? own_address() : row->host;
    test_log* const log = calloc(1, sizeof *log);
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_ref(options);
    nopoll_log_set_handler(ctx, test_log_record, log);
    const long start = test_now_ms();
    noPollConn* const listener = constructors[row->v6][kind](ctx, options, host, row->port);
    ROW_CHECK(row->name, (listener != NULL) == row->good);
    ROW_CHECK(row->name, nopoll_conn_is_ok(listener) == row->good);
    ROW_CHECK(row->name, nopoll_ctx_conns(ctx) == row->good);
    ROW_CHECK(row->name, row->good || log->records == 1);
    ROW_CHECK(row->name, row->good || log->criticals == !row->warning);
    ROW_CHECK(row->name, row->good || test_now_ms() - start < 2000);
    if (row->good) {
        ROW_CHECK(row->name, nopoll_conn_role(listener) == NOPOLL_ROLE_MAIN_LISTENER);
        ROW_CHECK(row->name, nopoll_conn_ref_count(listener) == 2);
        ROW_CHECK(row->name, strcmp(nopoll_conn_host(listener), host) == 0);
        ROW_CHECK(row->name, strcmp(nopoll_conn_port(listener), row->port) == 0);
        ROW_CHECK(row->name, nopoll_conn_is_tls_on(listener) == (kind >= 2));
        const int number = atoi(row->port);
        const int port = test_port_of(nopoll_conn_socket(listener));
        ROW_CHECK(row->name, number == 0 ? port > 0 : port == number);
        ROW_CHECK(row->name, options->refs == 1 + kind % 2); /* kept till the end */
    }
    nopoll_conn_close(listener);
    ROW_CHECK(row->name, options->refs == 1); /* consumed on every path */
    nopoll_conn_opts_unref(options);
    ROW_CHECK(row->name, nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
    free(log);
}

static void arguments_are_judged(void** state) {
    (void)state;
    const int ipv6 = peer_has_ipv6();
    for (size_t i = 0; i < ROWS; i++)
        for (int kind = 0; kind < 4; kind++)
            if (ipv6 || !rows[i].v6 || !rows[i].good) check_arguments(&rows[i], kind);
}

static void no_context_no_listener(void** state) {
    (void)state;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    for (int i = 0; i < 8; i++) {
        nopoll_conn_opts_ref(options);
        assert_null(constructors[i / 4][i % 4](NULL, options, "127.0.0.1", "0"));
        assert_int_equal(options->refs, 1);
    }
    nopoll_conn_opts_unref(options);
}

static void service_names_are_ports(void** state) {
    (void)state;
    const struct servent* const service = getservbyname("postgresql", "tcp");
    if (service == NULL) {
        print_message("no such service in this machine's list\n");
        skip();
    }
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, own_address(), "postgresql");
    assert_non_null(listener);
    assert_int_equal(test_port_of(nopoll_conn_socket(listener)), ntohs((uint16_t)service->s_port));
    assert_string_equal(nopoll_conn_port(listener), "postgresql");
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* --- errors --- */

typedef struct {
    int warnings;
    int criticals;
} levels;

static void count_levels(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    levels* const seen = data;
    (void)ctx;
    (void)text;
    if (level == NOPOLL_LEVEL_WARNING) seen->warnings++;
    if (level == NOPOLL_LEVEL_CRITICAL) seen->criticals++;
}

/* 24 times 100 ms, then given up: the only test that takes that long. */
static void a_port_in_use_is_tried_again(void** state) {
    (void)state;
    levels seen = {0, 0};
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const first = nopoll_listener_new(ctx, "127.0.0.1", "0");
    nopoll_log_set_handler(ctx, count_levels, &seen);
    const long start = test_now_ms();
    errno = 0;
    assert_null(nopoll_listener_new(ctx, "127.0.0.1", test_port(first)));
    assert_int_equal(errno, EADDRINUSE);
    assert_true(test_now_ms() - start >= 2399);
    assert_true(test_now_ms() - start <= 4000);
    assert_int_equal(seen.warnings, 24);
    assert_int_equal(seen.criticals, 1);
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    nopoll_conn_close(first);
    nopoll_ctx_unref(ctx);
}

static void free_the_port(noPollCtx* ctx, noPollDebugLevel level, const char* text,
                          noPollPtr data) {
    (void)ctx;
    (void)text;
    if (level == NOPOLL_LEVEL_WARNING && *(int*)data >= 0) {
        close(*(int*)data);
        *(int*)data = -1;
    }
}

static void a_port_that_becomes_free_is_taken(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    int holder = peer_listen(1);
    const char* const port = peer_port(holder);
    nopoll_log_set_handler(ctx, free_the_port, &holder);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", port);
    assert_non_null(listener);
    assert_int_equal(holder, -1);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* Any other error of bind fails at once. */
static void other_errors_are_not_tried_again(void** state) {
    (void)state;
    if (!peer_has_ipv6()) skip();
    levels seen = {0, 0};
    noPollCtx* const ctx = nopoll_ctx_new();
    nopoll_log_set_handler(ctx, count_levels, &seen);
    const long start = test_now_ms();
    errno = 0;
    assert_null(nopoll_listener_new6(ctx, "fe80::1", "0")); /* no scope: EINVAL */
    assert_int_equal(errno, EINVAL);
    assert_true(test_now_ms() - start < 1000);
    assert_int_equal(seen.warnings, 0);
    assert_int_equal(seen.criticals, 1);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_judged),
        cmocka_unit_test(no_context_no_listener),
        cmocka_unit_test(service_names_are_ports),
        cmocka_unit_test(a_port_in_use_is_tried_again),
        cmocka_unit_test(a_port_that_becomes_free_is_taken),
        cmocka_unit_test(other_errors_are_not_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
