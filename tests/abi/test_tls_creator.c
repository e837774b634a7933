/* SPDX-License-Identifier: MIT */
/* SSL_CTX objects that the program makes itself, for clients and for accepted connections (spec:
 * connection.md 4, handshake.md 6.1). */
#include "tls_test.h"

#include <nopoll_private.h>

static int contexts_alive;

static void context_gone(void* parent, void* ptr, CRYPTO_EX_DATA* data, int index, long argl,
                         void* argp) {
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    if (ptr != NULL) contexts_alive--;
}

/* Marks a context so that its end is seen. */
static SSL_CTX* counted(SSL_CTX* ssl_ctx) {
    static int index = -1;
    if (index < 0) index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, context_gone);
    assert_int_equal(SSL_CTX_set_ex_data(ssl_ctx, index, &contexts_alive), 1);
    contexts_alive++;
    return ssl_ctx;
}

/* What a creator was called with, and what it is to give. */
struct creator {
    int calls;
    int gives_none;
    int highest_version;
    noPollCtx* ctx;
    noPollConn* conn;
    noPollConnOpts* options;
    int is_client;
    SSL_CTX* made;
};

static noPollPtr create(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                        nopoll_bool is_client, noPollPtr data) {
    struct creator* const creator = (struct creator*)data;
    creator->calls++;
    creator->ctx = ctx;
    creator->conn = conn;
    creator->options = options;
    creator->is_client = is_client;
    assert_null(conn->ssl);
    if (creator->gives_none) return NULL;
    creator->made = counted(SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method()));
    if (creator->highest_version != 0)
        SSL_CTX_set_max_proto_version(creator->made, creator->highest_version);
    return creator->made;
}

/* --- creator, client --- */

static void client_creator(void** state) {
    struct creator creator = {0};
    struct tls_server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* options = tls_options("client", "ca", 1);
    noPollConn* conn = NULL;
    int round;
    (void)state;
    nopoll_conn_opts_set_ssl_protocol(options, NOPOLL_METHOD_TLSV1_2);
    nopoll_conn_opts_set_reuse(options, nopoll_true);
    nopoll_ctx_set_ssl_context_creator(ctx, create, &creator);
    for (round = 1; round <= 2; round++) {
        tls_server_prepare(&server, "server");
        SSL_CTX_load_verify_locations(server.ssl_ctx, tls_pem("ca"), NULL);
        SSL_CTX_set_verify(server.ssl_ctx, SSL_VERIFY_PEER, NULL);
        tls_server_start(&server);
        conn = tls_connect_to(ctx, &server, options, "server.test");
        assert_true(nopoll_conn_is_ok(conn));
        /* Once for each connection, and the settings went on top: authority and certificate, but
         * not the protocol version. */
        assert_int_equal(creator.calls, round);
        assert_ptr_equal(creator.ctx, ctx);
        assert_ptr_equal(creator.conn, conn);
        assert_ptr_equal(creator.options, options);
        assert_int_equal(creator.is_client, 1);
        assert_ptr_equal(conn->ssl_ctx, creator.made);
        assert_ptr_equal(SSL_get_SSL_CTX(conn->ssl), creator.made);
        assert_int_equal(contexts_alive, 1);
        nopoll_conn_close(conn);
        assert_int_equal(contexts_alive, 0);
        tls_server_join(&server);
        assert_int_equal(server.version, TLS1_3_VERSION);
        assert_string_equal(server.peer, "client.test");
    }
    nopoll_conn_opts_free(options);
    nopoll_ctx_unref(ctx);
}

static void client_creator_without_options(void** state) {
    struct creator creator = {0};
    struct tls_server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    (void)state;
    nopoll_ctx_set_ssl_context_creator(ctx, create, &creator);
    creator.highest_version = TLS1_2_VERSION;
    tls_system_store(tls_pem("ca"));
    tls_server_prepare(&server, "server");
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, NULL, "server.test");
    assert_true(nopoll_conn_is_ok(conn));
    assert_null(creator.options);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    assert_int_equal(server.version, TLS1_2_VERSION);
    /* It verifies as any other. */
    tls_system_store(tls_path("no-such-store", ""));
    tls_server_prepare(&server, "server");
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, NULL, "server.test");
    assert_false(nopoll_conn_is_ok(conn));
    nopoll_conn_close(conn);
    tls_server_join(&server);
    assert_int_equal(contexts_alive, 0);
    nopoll_ctx_unref(ctx);
}

static void client_creator_gives_none(void** state) {
    struct creator creator = {0};
    struct tls_server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    (void)state;
    creator.gives_none = 1;
    nopoll_ctx_set_ssl_context_creator(ctx, create, &creator);
    tls_server_prepare(&server, "server");
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, nopoll_conn_opts_new(), "server.test");
    assert_non_null(conn);
    assert_false(nopoll_conn_is_ok(conn));
    assert_int_equal(creator.calls, 1);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    assert_false(server.handshake);
    /* NULL restores the default. */
    nopoll_ctx_set_ssl_context_creator(ctx, NULL, NULL);
    tls_server_prepare(&server, "server");
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, nopoll_conn_opts_new(), "server.test");
    assert_true(nopoll_conn_is_ok(conn));
    assert_int_equal(creator.calls, 1);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    nopoll_ctx_unref(ctx);
}

/* --- creator, listener --- */

static void listener_creator(void** state) {
    struct creator creator = {0};
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = tls_options("server", "ca", 0);
    noPollConn* const listener = tls_listener(ctx, options);
    (void)state;
    nopoll_conn_opts_set_ssl_protocol(options, NOPOLL_METHOD_TLSV1_2);
    nopoll_ctx_set_ssl_context_creator(ctx, create, &creator);
    tls_client_open(&client, listener, "server.test");
    assert_true(tls_client_upgrade(&client, ctx));
    assert_int_equal(creator.calls, 1);
    assert_ptr_equal(creator.ctx, ctx);
    assert_ptr_equal(creator.options, options);
    assert_int_equal(creator.is_client, 0);
    assert_int_equal(nopoll_conn_role(creator.conn), NOPOLL_ROLE_LISTENER);
    assert_ptr_equal(SSL_get_SSL_CTX(creator.conn->ssl), creator.made);
    assert_string_equal(tls_client_saw(&client), "server.test");
    assert_int_equal(SSL_version(client.ssl), TLS1_3_VERSION);
    assert_int_equal(contexts_alive, 1);
    tls_client_close(&client);
    LOOP_UNTIL(ctx, contexts_alive == 0);
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

static int closed;

static void note_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    assert_true(nopoll_conn_is_ok(conn));
    closed++;
}

static nopoll_bool watch_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    nopoll_conn_set_on_close(conn, note_close, NULL);
    return nopoll_true;
}

static void listener_creator_gives_none(void** state) {
    struct creator creator = {0};
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    (void)state;
    creator.gives_none = 1;
    closed = 0;
    nopoll_ctx_set_ssl_context_creator(ctx, create, &creator);
    nopoll_ctx_set_on_accept(ctx, watch_close, NULL);
    tls_client_open(&client, listener, NULL);
    assert_null(nopoll_conn_accept(ctx, listener));
    assert_int_equal(creator.calls, 1);
    assert_null(creator.options);
    assert_int_equal(closed, 1);
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    assert_false(tls_client_handshake(&client, ctx));
    tls_client_close(&client);
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

/* A context of the program that looks at names itself. */
struct by_name {
    int calls;
    SSL_CTX* instead; /* for other.test */
};

static int choose(SSL* ssl, int* alert, void* data) {
    struct by_name* const by_name = (struct by_name*)data;
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    by_name->calls++;
    if (by_name->instead != NULL && name != NULL && strcmp(name, "other.test") == 0)
        SSL_set_SSL_CTX(ssl, by_name->instead);
    return SSL_TLSEXT_ERR_OK;
}

static noPollPtr create_choosing(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                                 nopoll_bool is_client, noPollPtr data) {
    SSL_CTX* const ssl_ctx = SSL_CTX_new(TLS_server_method());
    (void)ctx, (void)conn, (void)options, (void)is_client;
    SSL_CTX_set_tlsext_servername_callback(ssl_ctx, choose);
    SSL_CTX_set_tlsext_servername_arg(ssl_ctx, data);
    return ssl_ctx;
}

/* Its callback runs, and where it has chosen another context, that stays; else the certificate
 * store is searched by name as it is without a creator. */
static void listener_creator_with_names(void** state) {
    static const struct {
        const char* asked;
        int own; /* the program's context for other.test takes part */
        const char* shown;
    } rows[] = {
        {NULL, 0, "server.test"},          {"leaf.test", 0, "leaf.test"},
        {"other.test", 0, "leaf.test"},    {"other.test", 1, "other.test"},
        {"nobody.test", 1, "server.test"},
    };
    struct by_name by_name = {0, NULL};
    SSL_CTX* const instead = tls_server_context("other");
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, NULL);
    (void)state;
    nopoll_ctx_set_certificate(ctx, NULL, tls_pem("server"), tls_key("server"), NULL);
    nopoll_ctx_set_certificate(ctx, "leaf.test", tls_pem("leaf"), tls_key("leaf"), NULL);
    nopoll_ctx_set_certificate(ctx, "other.test", tls_pem("leaf"), tls_key("leaf"), NULL);
    nopoll_ctx_set_ssl_context_creator(ctx, create_choosing, &by_name);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_client client;
        by_name.calls = 0;
        by_name.instead = rows[i].own ? instead : NULL;
        tls_client_open_with(&client, listener, tls_client_context(NULL), rows[i].asked);
        assert_true(tls_client_upgrade(&client, ctx));
        assert_string_equal(tls_client_saw(&client), rows[i].shown);
        assert_int_equal(by_name.calls, 1);
        tls_client_close(&client);
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    }
    SSL_CTX_free(instead);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_creator),
        cmocka_unit_test(client_creator_without_options),
        cmocka_unit_test(client_creator_gives_none),
        cmocka_unit_test(listener_creator),
        cmocka_unit_test(listener_creator_gives_none),
        cmocka_unit_test(listener_creator_with_names),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
