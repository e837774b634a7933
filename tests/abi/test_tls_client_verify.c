/* SPDX-License-Identifier: MIT */
/* When a client verifies its server, and what: the chain, the host name, both or nothing (spec:
 * connection.md 4). Each row is one connection to a server of the test's own. */
#include "tls_test.h"

enum { NO_OPTIONS = -1, UNSET = -1 };

struct row {
    const char* certificate; /* of the server */
    const char* host_name;   /* NULL: the address 127.0.0.1 */
    int verify;              /* NO_OPTIONS, or ssl_peer_verify */
    int host_verify;         /* UNSET, or nopoll_conn_opts_ssl_host_verify */
    const char* authority;   /* in the options, or the system's store without options */
    int ok;
};

static int post_checks;

static nopoll_bool count_post_check(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx,
                                    noPollPtr ssl, noPollPtr data) {
    (void)ctx, (void)data;
    post_checks++;
    assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
    assert_int_equal(nopoll_conn_ref_count(conn), 2);
    assert_ptr_equal(SSL_get_SSL_CTX((SSL*)ssl), ssl_ctx);
    assert_true(SSL_is_init_finished((SSL*)ssl));
    return nopoll_true;
}

static noPollConnOpts* row_options(const struct row* row) {
    noPollConnOpts* options = NULL;
    if (row->verify == NO_OPTIONS) return NULL;
    options = tls_options(NULL, row->authority, row->verify);
    if (row->host_verify != UNSET) nopoll_conn_opts_ssl_host_verify(options, row->host_verify);
    return options;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("%s for %s, verify %d, name %d: %s\n", row->certificate,                   \
                        row->host_name != NULL ? row->host_name : "127.0.0.1", row->verify,        \
                        row->host_verify, #condition);                                             \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static void connect_row(const struct row* row, noPollCtx* ctx, noPollConnOpts* options) {
    struct tls_server server;
    noPollConn* conn = NULL;
    post_checks = 0;
    nopoll_ctx_set_post_ssl_check(ctx, count_post_check, NULL);
    tls_server_prepare(&server, row->certificate);
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, options, row->host_name);
    CHECK(conn != NULL);
    CHECK(ERR_peek_error() == 0);
    CHECK(nopoll_conn_is_ok(conn) == row->ok);
    CHECK(nopoll_conn_is_tls_on(conn) == row->ok);
    CHECK(post_checks == row->ok);
    CHECK(nopoll_ctx_conns(ctx) == 1);
    CHECK(nopoll_conn_ref_count(conn) == 2);
    nopoll_conn_close(conn);
    CHECK(nopoll_ctx_conns(ctx) == 0);
    tls_server_join(&server);
    /* Not a byte of the request went to a server that was refused. */
    CHECK(row->ok ? strncmp(server.bytes, "GET / HTTP/1.1\r\n", 16) == 0 : server.size == 0);
}

/* Each row has a context of its own. */
static void run_rows(const struct row* rows, size_t count) {
    const struct row* row = NULL;
    for (row = rows; row < rows + count; row++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        const int in_store = row->verify == NO_OPTIONS && row->authority != NULL;
        tls_system_store(in_store ? tls_pem(row->authority) : tls_path("no-such-store", ""));
        connect_row(row, ctx, row_options(row));
        assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
        nopoll_ctx_unref(ctx);
    }
}

#define RUN(rows) run_rows((rows), sizeof(rows) / sizeof *(rows))

static void without_options_the_systems_store_decides(void** state) {
    static const struct row rows[] = {
        {"server", "server.test", NO_OPTIONS, UNSET, NULL, 0},
        {"server", "server.test", NO_OPTIONS, UNSET, "ca", 1},
        {"server", NULL, NO_OPTIONS, UNSET, "ca", 1},
        {"server", "other.test", NO_OPTIONS, UNSET, "ca", 0},
        {"expired", "server.test", NO_OPTIONS, UNSET, "ca", 0},
        {"stranger", "server.test", NO_OPTIONS, UNSET, "ca", 0},
        {"stranger", "server.test", NO_OPTIONS, UNSET, "foreign", 1},
    };
    (void)state;
    RUN(rows);
}

/* Options switch verification off until they are told otherwise. */
static void options_alone_accept_everything(void** state) {
    static const struct row rows[] = {
        {"server", "server.test", 0, UNSET, NULL, 1},
        {"server", "other.test", 0, UNSET, NULL, 1},
        {"expired", "server.test", 0, UNSET, NULL, 1},
        {"stranger", NULL, 0, UNSET, "ca", 1},
        {"other", "", 0, UNSET, NULL, 1},
    };
    (void)state;
    RUN(rows);
}

static void options_with_verification(void** state) {
    static const struct row rows[] = {
        {"server", "server.test", 1, UNSET, "ca", 1},
        {"server", "server.test", 1, UNSET, NULL, 0},
        {"server", "server.test", 1, UNSET, "foreign", 0},
        {"expired", "server.test", 1, UNSET, "ca", 0},
        {"stranger", "server.test", 1, UNSET, "ca", 0},
        {"stranger", "server.test", 1, UNSET, "foreign", 1},
        {"other", "server.test", 1, UNSET, "ca", 0},
        {"other", "other.test", 1, UNSET, "ca", 1},
        /* Its issuer is not sent along. */
        {"leaf", "server.test", 1, UNSET, "ca", 0},
    };
    (void)state;
    RUN(rows);
}

/* The system's store counts beside the authority of the options. */
static void authority_of_the_options_adds_to_the_store(void** state) {
    static const struct row row = {"stranger", "server.test", 1, UNSET, "ca", 1};
    noPollCtx* const ctx = nopoll_ctx_new();
    (void)state;
    tls_system_store(tls_pem("foreign"));
    connect_row(&row, ctx, row_options(&row));
    nopoll_ctx_unref(ctx);
}

/* Names as programs write them. "names" is for *.wild.test and exact.test, "plain" has a common
 * name only, "address" has 127.0.0.1 as common name. */
static void host_names(void** state) {
    static const struct row rows[] = {
        {"server", "SERVER.Test", 1, UNSET, "ca", 1},
        {"server", "server.test.", 1, UNSET, "ca", 1},
        {"server", "server.test:8443", 1, UNSET, "ca", 1},
        {"server", "server.test.:8443", 1, UNSET, "ca", 1},
        {"server", "server.tes", 1, UNSET, "ca", 0},
        {"server", "a.server.test", 1, UNSET, "ca", 0},
        {"names", "exact.test", 1, UNSET, "ca", 1},
        {"names", "a.wild.test", 1, UNSET, "ca", 1},
        {"names", "a.wild.test.:1", 1, UNSET, "ca", 1},
        {"names", "wild.test", 1, UNSET, "ca", 0},
        {"names", "a.b.wild.test", 1, UNSET, "ca", 0},
        /* The common name does not count where there are alternative names, */
        {"names", "names.test", 1, UNSET, "ca", 0},
        /* and does where there are none. */
        {"plain", "plain.test", 1, UNSET, "ca", 1},
        {"plain", "server.test", 1, UNSET, "ca", 0},
        /* "" is sent as it is, but the host that was asked for is the address. */
        {"server", "", 1, UNSET, "ca", 1},
        {"other", "", 1, UNSET, "ca", 0},
    };
    (void)state;
    tls_make("names", "ca", "DNS:exact.test,DNS:*.wild.test", 0);
    tls_make("plain", "ca", NULL, 0);
    RUN(rows);
}

static void ip_literals(void** state) {
    static const struct row rows[] = {
        {"server", NULL, 1, UNSET, "ca", 1},
        {"server", "127.0.0.1", 1, UNSET, "ca", 1},
        {"server", "127.0.0.1:443", 1, UNSET, "ca", 1},
        {"server", "127.0.0.2", 1, UNSET, "ca", 0},
        {"server", "::1", 1, UNSET, "ca", 1},
        {"server", "[::1]", 1, UNSET, "ca", 1},
        {"server", "[::1]:443", 1, UNSET, "ca", 1},
        {"server", "[0:0:0:0:0:0:0:1]:443", 1, UNSET, "ca", 1},
        {"server", "[::2]:443", 1, UNSET, "ca", 0},
        {"other", NULL, 1, UNSET, "ca", 0},
        /* An address is looked for among the addresses only. */
        {"texts", "127.0.0.1", 1, UNSET, "ca", 0},
        {"texts", "::1", 1, UNSET, "ca", 0},
    };
    (void)state;
    tls_make("texts", "ca", "DNS:127.0.0.1,DNS:::1", 0);
    RUN(rows);
}

static void host_verify_called(void** state) {
    static const struct row rows[] = {
        /* Off: the chain only. */
        {"other", "server.test", 1, 0, "ca", 1},
        {"expired", "server.test", 1, 0, "ca", 0},
        {"server", "server.test", 1, 0, "foreign", 0},
        /* On with verification: what is done anyway. */
        {"server", "server.test", 1, 1, "ca", 1},
        {"other", "server.test", 1, 1, "ca", 0},
        {"stranger", "server.test", 1, 1, "ca", 0},
        /* On without verification: the name alone, whoever signed. */
        {"server", "server.test", 0, 1, NULL, 1},
        {"stranger", "server.test", 0, 1, NULL, 1},
        {"stranger", "server.test:443", 0, 1, NULL, 1},
        {"expired", "server.test", 0, 1, NULL, 1},
        {"other", "server.test", 0, 1, NULL, 0},
        {"server", NULL, 0, 1, NULL, 1},
        {"server", "[::1]:443", 0, 1, NULL, 1},
        {"other", NULL, 0, 1, NULL, 0},
        /* Off and off: nothing. */
        {"stranger", "other.test", 0, 0, NULL, 1},
    };
    (void)state;
    RUN(rows);
}

static void environment_switches_the_name_off(void** state) {
    static const struct row off[] = {
        {"other", "server.test", 1, UNSET, "ca", 1},
        {"other", "server.test", NO_OPTIONS, UNSET, "ca", 1},
        {"expired", "server.test", 1, UNSET, "ca", 0},
        {"stranger", "server.test", 1, UNSET, "ca", 0},
        {"other", "server.test", 1, 1, "ca", 0}, /* an explicit call wins */
        {"other", "server.test", 0, 1, NULL, 0},
    };
    static const struct row on[] = {
        {"other", "server.test", 1, UNSET, "ca", 0},
        {"other", "server.test", 1, 0, "ca", 1},
        /* 1 is the default, not more than that. */
        {"other", "server.test", 0, UNSET, "ca", 1},
    };
    (void)state;
    setenv("NOPOLL_TLS_HOST_VERIFY", "0", 1);
    RUN(off);
    setenv("NOPOLL_TLS_HOST_VERIFY", "1", 1);
    RUN(on);
    setenv("NOPOLL_TLS_HOST_VERIFY", "", 1);
    RUN(on);
    unsetenv("NOPOLL_TLS_HOST_VERIFY");
}

static noPollPtr make_with_host(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                                nopoll_bool is_client, noPollPtr data) {
    SSL_CTX* const ssl_ctx = tls_client_context("ca");
    X509_VERIFY_PARAM* const parameters = SSL_CTX_get0_param(ssl_ctx);
    const char* const host = (const char*)data;
    (void)ctx, (void)conn, (void)options, (void)is_client;
    if (host == NULL) return ssl_ctx;
    if (strcmp(host, "127.0.0.1") == 0)
        assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(parameters, host), 1);
    else
        assert_int_equal(X509_VERIFY_PARAM_set1_host(parameters, host, 0), 1);
    return ssl_ctx;
}

/* A context that names a host already is left to it. */
static void host_of_the_creators_context(void** state) {
    static const struct {
        const char* host; /* in the creator's context */
        struct row row;
    } rows[] = {
        {NULL, {"server", "server.test", 1, UNSET, NULL, 1}},
        {NULL, {"other", "server.test", 1, UNSET, NULL, 0}},
        {NULL, {"other", "server.test", NO_OPTIONS, UNSET, NULL, 0}},
        {"other.test", {"other", "server.test", 1, UNSET, NULL, 1}},
        {"other.test", {"server", "server.test", 1, UNSET, NULL, 0}},
        {"other.test", {"other", "server.test", NO_OPTIONS, UNSET, NULL, 1}},
        {"127.0.0.1", {"server", "other.test", 1, UNSET, NULL, 1}},
        {"127.0.0.1", {"other", "other.test", 1, UNSET, NULL, 0}},
        /* What it verifies is never taken back by options without verification. */
        {NULL, {"stranger", "server.test", 0, UNSET, NULL, 0}},
        {"other.test", {"server", "server.test", 0, UNSET, NULL, 0}},
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_ctx_set_ssl_context_creator(ctx, make_with_host, (noPollPtr)rows[i].host);
        connect_row(&rows[i].row, ctx, row_options(&rows[i].row));
        nopoll_ctx_unref(ctx);
    }
}

/* Given away with the call, whatever comes of it; with reuse the count never changes. */
static void options_are_consumed(void** state) {
    static const struct row good = {"server", "server.test", 1, UNSET, "ca", 1};
    static const struct row bad = {"other", "server.test", 1, UNSET, "ca", 0};
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const kept = row_options(&good);
    noPollConnOpts* const given = row_options(&good);
    (void)state;
    nopoll_conn_opts_set_reuse(kept, nopoll_true);
    connect_row(&good, ctx, kept);
    connect_row(&bad, ctx, kept);
    connect_row(&good, ctx, kept);
    nopoll_conn_opts_free(kept);
    assert_true(nopoll_conn_opts_ref(given));
    assert_true(nopoll_conn_opts_ref(given));
    connect_row(&bad, ctx, given);
    connect_row(&good, ctx, given);
    nopoll_conn_opts_free(given); /* the last one: a leak or a double free shows under ASan */
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_systems_store_decides),
        cmocka_unit_test(options_alone_accept_everything),
        cmocka_unit_test(options_with_verification),
        cmocka_unit_test(authority_of_the_options_adds_to_the_store),
        cmocka_unit_test(host_names),
        cmocka_unit_test(ip_literals),
        cmocka_unit_test(host_verify_called),
        cmocka_unit_test(environment_switches_the_name_off),
        cmocka_unit_test(host_of_the_creators_context),
        cmocka_unit_test(options_are_consumed),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
