/* SPDX-License-Identifier: MIT */
/* Exported parts of TLS that no header declares (spec: connection.md 11). */
#include "stream_peer.h"
#include "tls_scene.h"

#include <nopoll_private.h>

SSL_CTX* __nopoll_conn_get_ssl_context(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* opts,
                                       nopoll_bool is_client);
nopoll_bool __nopoll_conn_set_ssl_client_options(noPollCtx* ctx, noPollConn* conn,
                                                 noPollConnOpts* options);
int __nopoll_conn_ssl_verify_callback(int ok, X509_STORE_CTX* store);
int __nopoll_conn_tls_handle_error(noPollConn* conn, int res, const char* label,
                                   nopoll_bool* needs_retry);
int nopoll_conn_log_ssl(noPollConn* conn);
extern noPollCtx* __nopoll_conn_ssl_ctx_debug;
extern nopoll_bool __nopoll_tls_was_init;

/* A connection to hang contexts on. */
static void open_plain(peer_scene* scene) {
    peer_server_scene(scene, NULL);
}

/* --- __nopoll_conn_get_ssl_context --- */

static void default_contexts(void** state) {
    peer_scene scene;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    (void)state;
    open_plain(&scene);
    for (int is_client = 0; is_client <= 1; is_client++) {
        SSL_CTX* ssl_ctx = __nopoll_conn_get_ssl_context(scene.ctx, scene.conn, NULL, is_client);
        SSL* ssl = NULL;
        assert_non_null(ssl_ctx);
        ssl = SSL_new(ssl_ctx);
        assert_int_equal(SSL_is_server(ssl), !is_client);
        SSL_free(ssl);
        SSL_CTX_free(ssl_ctx); /* ours to free */
        nopoll_conn_opts_set_ssl_protocol(options, NOPOLL_METHOD_TLSV1_2);
        ssl_ctx = __nopoll_conn_get_ssl_context(scene.ctx, scene.conn, options, is_client);
        assert_int_equal(SSL_CTX_get_min_proto_version(ssl_ctx), TLS1_2_VERSION);
        assert_int_equal(SSL_CTX_get_max_proto_version(ssl_ctx), TLS1_2_VERSION);
        SSL_CTX_free(ssl_ctx);
    }
    assert_null(__nopoll_conn_get_ssl_context(NULL, scene.conn, NULL, 1));
    assert_null(__nopoll_conn_get_ssl_context(scene.ctx, NULL, NULL, 1));
    assert_int_equal(options->refs, 1);
    nopoll_conn_opts_free(options);
    peer_end(&scene);
}

static struct {
    noPollConn* conn;
    noPollConnOpts* options;
    int is_client;
    SSL_CTX* gives;
} creator;

static noPollPtr create(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                        nopoll_bool is_client, noPollPtr data) {
    assert_ptr_equal(data, &creator);
    assert_non_null(ctx);
    creator.conn = conn;
    creator.options = options;
    creator.is_client = is_client;
    return creator.gives;
}

static void creators_context(void** state) {
    peer_scene scene;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    (void)state;
    open_plain(&scene);
    nopoll_ctx_set_ssl_context_creator(scene.ctx, create, &creator);
    creator.gives = SSL_CTX_new(TLS_method());
    assert_ptr_equal(__nopoll_conn_get_ssl_context(scene.ctx, scene.conn, options, 1),
                     creator.gives);
    assert_ptr_equal(creator.conn, scene.conn);
    assert_ptr_equal(creator.options, options);
    assert_int_equal(creator.is_client, 1);
    SSL_CTX_free(creator.gives);
    creator.gives = NULL;
    assert_null(__nopoll_conn_get_ssl_context(scene.ctx, scene.conn, NULL, 0));
    assert_int_equal(creator.is_client, 0);
    nopoll_conn_opts_free(options);
    peer_end(&scene);
}

/* --- __nopoll_conn_set_ssl_client_options --- */

static void client_options(void** state) {
    static const struct {
        const char* files[4]; /* certificate, key, chain, authority */
        int verify;
        int ok;
    } rows[] = {
        {{NULL, NULL, NULL, NULL}, 0, 1},
        {{NULL, NULL, NULL, "ca.pem"}, 1, 1},
        {{"client.pem", "client.key", NULL, "ca.pem"}, 0, 1},
        {{"leaf.pem", "leaf.key", "middle.pem", NULL}, 0, 1},
        {{"client.pem", "other.key", NULL, NULL}, 0, 0},
        {{"junk.pem", "client.key", NULL, NULL}, 0, 0},
        {{"client.pem", "junk.key", NULL, NULL}, 0, 0},
        {{NULL, NULL, "junk.pem", NULL}, 0, 0},
        {{NULL, NULL, NULL, "junk.pem"}, 0, 0},
    };
    peer_scene scene;
    (void)state;
    open_plain(&scene);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        noPollConnOpts* const options = nopoll_conn_opts_new();
        SSL_CTX* const ssl_ctx = SSL_CTX_new(TLS_client_method());
        const char* path[4];
        for (int k = 0; k < 4; k++)
            path[k] = rows[i].files[k] != NULL ? tls_path(rows[i].files[k], "") : NULL;
        nopoll_conn_opts_set_ssl_certs(options, path[0], path[1], path[2], path[3]);
        nopoll_conn_opts_ssl_peer_verify(options, rows[i].verify);
        scene.conn->ssl_ctx = ssl_ctx;
        assert_int_equal(__nopoll_conn_set_ssl_client_options(scene.ctx, scene.conn, options),
                         rows[i].ok);
        if (rows[i].ok) {
            assert_int_equal(SSL_CTX_get_verify_mode(ssl_ctx) & SSL_VERIFY_PEER,
                             rows[i].verify ? SSL_VERIFY_PEER : 0);
            if (path[0] != NULL) assert_non_null(SSL_CTX_get0_certificate(ssl_ctx));
            if (path[1] != NULL) assert_non_null(SSL_CTX_get0_privatekey(ssl_ctx));
        }
        assert_int_equal(ERR_peek_error(), 0);
        scene.conn->ssl_ctx = NULL;
        SSL_CTX_free(ssl_ctx);
        nopoll_conn_opts_free(options);
    }
    /* Without options the peer is verified. */
    scene.conn->ssl_ctx = SSL_CTX_new(TLS_client_method());
    assert_true(__nopoll_conn_set_ssl_client_options(scene.ctx, scene.conn, NULL));
    assert_int_equal(SSL_CTX_get_verify_mode(scene.conn->ssl_ctx), SSL_VERIFY_PEER);
    assert_false(__nopoll_conn_set_ssl_client_options(NULL, scene.conn, NULL));
    assert_false(__nopoll_conn_set_ssl_client_options(scene.ctx, NULL, NULL));
    SSL_CTX_free(scene.conn->ssl_ctx);
    scene.conn->ssl_ctx = NULL;
    assert_false(__nopoll_conn_set_ssl_client_options(scene.ctx, scene.conn, NULL));
    peer_end(&scene);
}

/* --- __nopoll_conn_ssl_verify_callback --- */

/* A program's own context that uses the library's callback: what it says is passed on. */
static noPollPtr create_with_callback(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                                      nopoll_bool is_client, noPollPtr data) {
    SSL_CTX* const ssl_ctx = tls_client_context("ca");
    (void)ctx, (void)conn, (void)options, (void)is_client, (void)data;
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, __nopoll_conn_ssl_verify_callback);
    return ssl_ctx;
}

static void verify_callback(void** state) {
    static const char* const names[] = {"server", "expired", "stranger"};
    X509_STORE_CTX* const store = X509_STORE_CTX_new();
    (void)state;
    assert_int_equal(__nopoll_conn_ssl_verify_callback(1, NULL), 1);
    assert_int_equal(__nopoll_conn_ssl_verify_callback(0, NULL), 0);
    /* A store that belongs to no connection. */
    assert_int_equal(__nopoll_conn_ssl_verify_callback(1, store), 1);
    assert_int_equal(__nopoll_conn_ssl_verify_callback(0, store), 0);
    X509_STORE_CTX_free(store);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static test_log log;
        struct tls_server server;
        noPollCtx* const ctx = tls_logging_ctx(&log);
        noPollConn* conn = NULL;
        nopoll_ctx_set_ssl_context_creator(ctx, create_with_callback, NULL);
        tls_server_prepare(&server, names[i]);
        tls_server_start(&server);
        conn = tls_connect_to(ctx, &server, nopoll_conn_opts_new(), "server.test");
        assert_int_equal(nopoll_conn_is_ok(conn), i == 0);
        assert_int_equal(log.criticals, i == 0 ? 0 : 1);
        if (i == 1) assert_non_null(strstr(log.text, "certificate has expired"));
        nopoll_conn_close(conn);
        tls_server_join(&server);
        nopoll_ctx_unref(ctx);
    }
}

/* --- __nopoll_conn_tls_handle_error, nopoll_conn_log_ssl --- */

static void handle_error(enum raw_side side) {
    struct tls_peer peer;
    char byte;
    nopoll_bool retry = 7;
    int result;
    tls_open(&peer, side, NULL);
    ERR_clear_error();
    assert_int_equal(__nopoll_conn_tls_handle_error(NULL, -1, "test", &retry), -1);
    assert_int_equal(retry, 0);
    /* Nothing there: try again. */
    result = SSL_read(peer.raw.conn->ssl, &byte, 1);
    assert_int_equal(result, -1);
    assert_int_equal(__nopoll_conn_tls_handle_error(peer.raw.conn, result, "test", &retry), -2);
    assert_int_equal(retry, 1);
    assert_int_equal(__nopoll_conn_tls_handle_error(peer.raw.conn, result, NULL, NULL), -2);
    /* A clean end: the result itself. */
    SSL_shutdown(peer.ssl);
    assert_true(test_readable(nopoll_conn_socket(peer.raw.conn), TEST_LIMIT_MS));
    result = SSL_read(peer.raw.conn->ssl, &byte, 1);
    assert_int_equal(result, 0);
    assert_int_equal(__nopoll_conn_tls_handle_error(peer.raw.conn, result, "test", &retry), 0);
    assert_int_equal(retry, 0);
    tls_close(&peer);
}

static void handle_hard_error(enum raw_side side) {
    struct tls_peer peer;
    char byte;
    nopoll_bool retry = 7;
    int result;
    tls_open(&peer, side, NULL);
    ERR_clear_error();
    test_send_all(peer.raw.fd, "no TLS record, certainly not", 28);
    assert_true(test_readable(nopoll_conn_socket(peer.raw.conn), TEST_LIMIT_MS));
    result = SSL_read(peer.raw.conn->ssl, &byte, 1);
    assert_int_equal(result, -1);
    assert_int_equal(__nopoll_conn_tls_handle_error(peer.raw.conn, result, "test", &retry), -1);
    assert_int_equal(retry, 0);
    ERR_clear_error();
    tls_close(&peer);
}

static void log_ssl(void** state) {
    static test_log log;
    peer_scene scene;
    (void)state;
    peer_server_scene(&scene, NULL);
    memset(&log, 0, sizeof log);
    nopoll_log_set_handler(scene.ctx, test_log_record, &log);
    ERR_clear_error();
    assert_int_equal(nopoll_conn_log_ssl(scene.conn), 0);
    assert_int_equal(log.records, 0);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    /* It looks at the queue only: bytes of the peer stay where they are. */
    test_send_all(scene.fd, "\x81\x82\0\0\0\0hi", 8);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_log_ssl(scene.conn), 0);
    assert_int_equal(ERR_peek_error(), 0);
    assert_non_null(strstr(log.text, "bad length"));
    assert_non_null(strstr(log.text, "no shared cipher"));
    EXPECT_MSG(nopoll_conn_get_msg(scene.conn), NOPOLL_TEXT_FRAME, "hi", 2, 1, 0);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    assert_int_equal(nopoll_conn_log_ssl(NULL), 0);
    assert_int_equal(ERR_peek_error(), 0);
    peer_end(&scene);
}

/* --- variables --- */

/* Set by the first TLS client and by the first TLS accept; cleared by the cleanup. */
static void variables(void** state) {
    struct tls_server server;
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* conn = NULL;
    (void)state;
    nopoll_cleanup_library();
    assert_int_equal(__nopoll_tls_was_init, 0);
    tls_client_open(&client, listener, NULL);
    assert_int_equal(__nopoll_tls_was_init, 0);
    assert_true(tls_client_upgrade(&client, ctx));
    assert_int_equal(__nopoll_tls_was_init, 1);
    assert_ptr_equal(__nopoll_conn_ssl_ctx_debug, ctx);
    nopoll_cleanup_library();
    nopoll_cleanup_library();
    assert_int_equal(__nopoll_tls_was_init, 0);
    tls_server_prepare(&server, "server");
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, tls_options(NULL, "ca", 1), "server.test");
    assert_true(nopoll_conn_is_ok(conn));
    assert_int_equal(__nopoll_tls_was_init, 1);
    /* What was there before the cleanup still works. */
    SSL_write(client.ssl, "\x88\x80\0\0\0\0", 6);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 2);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    tls_client_close(&client);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

RAW_BOTH_SIDES(handle_error)
RAW_BOTH_SIDES(handle_hard_error)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_contexts), cmocka_unit_test(creators_context),
        cmocka_unit_test(client_options),   cmocka_unit_test(verify_callback),
        RAW_BOTH_TESTS(handle_error),       RAW_BOTH_TESTS(handle_hard_error),
        cmocka_unit_test(log_ssl),          cmocka_unit_test(variables),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
