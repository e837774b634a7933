/* SPDX-License-Identifier: MIT */
/* What a TLS client sends and uses: server name, protocol version, certificate, the program's own
 * context and check (spec: connection.md 4). */
#include "tls_test.h"

#include <nopoll_private.h>

/* --- server name --- */

static void server_names(void** state) {
    static const struct {
        const char* host_ip;
        const char* host_name;
        const char* sent;
    } rows[] = {
        {"127.0.0.1", "server.test", "server.test"},
        {"127.0.0.1", "server.test:8443", "server.test"},
        {"127.0.0.1", "server.test.", "server.test"},
        {"127.0.0.1", "Server.Test.:1", "Server.Test"},
        {"127.0.0.1", NULL, "-"},
        {"127.0.0.1", "", "-"},
        {"127.0.0.1", "127.0.0.1:443", "-"},
        {"127.0.0.1", "::1", "-"},
        {"127.0.0.1", "[::1]", "-"},
        {"127.0.0.1", "[::1]:443", "-"},
        {"localhost", NULL, "localhost"},
        {"127.0.0.1", "localhost", "localhost"},
    };
    noPollCtx* const ctx = nopoll_ctx_new();
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_server server;
        noPollConn* conn = NULL;
        tls_server_prepare(&server, "server");
        tls_server_start(&server);
        conn = nopoll_conn_tls_new(ctx, nopoll_conn_opts_new(), rows[i].host_ip,
                                   tls_server_port(&server), rows[i].host_name, NULL, NULL, NULL);
        assert_true(nopoll_conn_is_ok(conn));
        nopoll_conn_close(conn);
        tls_server_join(&server);
        assert_string_equal(server.server_name, rows[i].sent);
    }
    nopoll_ctx_unref(ctx);
}

/* --- versions --- */

/* A connection with this method to a server that speaks these versions: the version, 0 = none. */
static int version_of(noPollCtx* ctx, int method, int lowest, int highest) {
    struct tls_server server;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    noPollConn* conn = NULL;
    int ok = 0;
    if (method != 0) nopoll_conn_opts_set_ssl_protocol(options, (noPollSslProtocol)method);
    tls_server_prepare(&server, "server");
    SSL_CTX_set_min_proto_version(server.ssl_ctx, lowest);
    SSL_CTX_set_max_proto_version(server.ssl_ctx, highest);
    SSL_CTX_set_security_level(server.ssl_ctx, 0); /* TLS 1.1 as far as the server is concerned */
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, options, "server.test");
    ok = nopoll_conn_is_ok(conn);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    assert_int_equal(server.handshake, ok);
    return ok ? server.version : 0;
}

static void versions(void** state) {
    static const int flexible[] = {
        0, NOPOLL_METHOD_TLSV1, NOPOLL_METHOD_TLSV1_1, NOPOLL_METHOD_TLS_FLEXIBLE, 1, 2, 3, 4711,
    };
    noPollCtx* const ctx = nopoll_ctx_new();
    size_t i;
    (void)state;
    for (i = 0; i < sizeof flexible / sizeof *flexible; i++) {
        const int method = flexible[i];
        assert_int_equal(version_of(ctx, method, 0, 0), TLS1_3_VERSION);
        assert_int_equal(version_of(ctx, method, 0, TLS1_2_VERSION), TLS1_2_VERSION);
        assert_int_equal(version_of(ctx, method, TLS1_1_VERSION, TLS1_1_VERSION), 0);
    }
    assert_int_equal(version_of(ctx, NOPOLL_METHOD_TLSV1_2, 0, 0), TLS1_2_VERSION);
    assert_int_equal(version_of(ctx, NOPOLL_METHOD_TLSV1_2, TLS1_3_VERSION, TLS1_3_VERSION), 0);
    assert_int_equal(version_of(ctx, NOPOLL_METHOD_TLSV1_2, 0, TLS1_1_VERSION), 0);
    nopoll_ctx_unref(ctx);
}

/* --- the client's own certificate --- */

static int certificates_sent;

static int count_chain(int ok, X509_STORE_CTX* store) {
    const STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(store);
    certificates_sent = sk_X509_num(sent);
    return ok;
}

/* Connects with these files to a server that demands a certificate. */
static int show_certificate(const char* certificate, const char* key, const char* chain,
                            struct tls_server* server) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    noPollConn* conn = NULL;
    int reached = 0;
    nopoll_conn_opts_set_ssl_certs(options, certificate, key, chain, NULL);
    tls_server_prepare(server, "server");
    SSL_CTX_load_verify_locations(server->ssl_ctx, tls_pem("ca"), NULL);
    SSL_CTX_set_verify(server->ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       count_chain);
    certificates_sent = 0;
    tls_server_start(server);
    conn = tls_connect_to(ctx, server, options, "server.test");
    /* With TLS 1.3 the client is through before the server has judged its certificate. */
    if (nopoll_conn_is_ok(conn)) {
        nopoll_conn_close_ext(conn, 0, NULL, 0);
        reached = 1;
    } else {
        nopoll_conn_close(conn);
    }
    tls_server_join(server);
    nopoll_ctx_unref(ctx);
    return reached;
}

static void own_certificate(void** state) {
    struct tls_server server;
    (void)state;
    show_certificate(NULL, NULL, NULL, &server);
    assert_false(server.handshake);
    show_certificate(tls_pem("stranger"), tls_key("stranger"), NULL, &server);
    assert_false(server.handshake);
    assert_true(show_certificate(tls_pem("client"), tls_key("client"), NULL, &server));
    assert_true(server.handshake);
    assert_string_equal(server.peer, "client.test");
    assert_int_equal(certificates_sent, 1);
}

static void own_chain(void** state) {
    struct tls_server server;
    char bundle[128];
    (void)state;
    snprintf(bundle, sizeof bundle, "%s", tls_pem("client-bundle"));
    tls_make("deep", "middle", NULL, 0);
    show_certificate(tls_pem("deep"), tls_key("deep"), NULL, &server);
    assert_false(server.handshake);
    /* The chain file is sent behind the certificate, */
    assert_true(show_certificate(tls_pem("deep"), tls_key("deep"), tls_pem("middle"), &server));
    assert_true(server.handshake);
    assert_string_equal(server.peer, "deep.test");
    assert_int_equal(certificates_sent, 2);
    /* so is what stands in the certificate's own file, */
    tls_append(bundle, tls_pem("deep"));
    tls_append(bundle, tls_pem("middle"));
    assert_true(show_certificate(bundle, tls_key("deep"), NULL, &server));
    assert_true(server.handshake);
    assert_int_equal(certificates_sent, 2);
    /* and a chain file that repeats the leaf does not send it twice. */
    assert_true(show_certificate(tls_pem("deep"), tls_key("deep"), bundle, &server));
    assert_true(server.handshake);
    assert_int_equal(certificates_sent, 2);
}

/* Files that cannot be used: a dead object, and not one byte of TLS. */
static void bad_files(void** state) {
    static const char* const rows[][4] = {
        /* certificate, key, chain, authority; names in the folder */
        {"client.pem", "other.key", NULL, NULL}, {"junk.pem", "client.key", NULL, NULL},
        {"client.pem", "junk.key", NULL, NULL},  {"client.pem", "client.key", "junk.pem", NULL},
        {NULL, NULL, NULL, "junk.pem"},          {"client.pem", "none.key", NULL, NULL},
        {"none.pem", "client.key", NULL, NULL},  {NULL, NULL, NULL, "none.pem"},
    };
    noPollCtx* const ctx = nopoll_ctx_new();
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char* path[4];
        const int listening = raw_listen();
        noPollConnOpts* const options = nopoll_conn_opts_new();
        noPollConn* conn = NULL;
        char port[8], byte = 0;
        int k, fd = -1;
        for (k = 0; k < 4; k++)
            path[k] = rows[i][k] != NULL ? tls_path(rows[i][k], "") : NULL;
        nopoll_conn_opts_set_ssl_certs(options, path[0], path[1], path[2], path[3]);
        nopoll_conn_opts_ssl_peer_verify(options, nopoll_true);
        snprintf(port, sizeof port, "%d", test_port_of(listening) & 0xffff);
        conn = nopoll_conn_tls_new(ctx, options, "127.0.0.1", port, NULL, NULL, NULL, NULL);
        assert_non_null(conn);
        assert_false(nopoll_conn_is_ok(conn));
        assert_int_equal(ERR_peek_error(), 0);
        nopoll_conn_close(conn);
        fd = accept(listening, NULL, NULL);
        assert_int_equal(test_receive(fd, &byte, 1), 0);
        close(fd);
        close(listening);
    }
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    nopoll_ctx_unref(ctx);
}

/* A server that has no certificate to show (anonymous key exchange, TLS 1.2). */
static noPollPtr make_anonymous(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                                nopoll_bool is_client, noPollPtr data) {
    SSL_CTX* const ssl_ctx = tls_client_context(NULL);
    (void)ctx, (void)conn, (void)options, (void)is_client, (void)data;
    SSL_CTX_set_max_proto_version(ssl_ctx, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(ssl_ctx, "aNULL:@SECLEVEL=0"), 1);
    return ssl_ctx;
}

static nopoll_bool never(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                         noPollPtr data) {
    (void)ctx, (void)conn, (void)ssl_ctx, (void)ssl, (void)data;
    fail();
    return nopoll_true;
}

static void server_without_certificate(void** state) {
    struct tls_server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    (void)state;
    nopoll_ctx_set_ssl_context_creator(ctx, make_anonymous, NULL);
    nopoll_ctx_set_post_ssl_check(ctx, never, NULL);
    tls_server_prepare(&server, NULL);
    SSL_CTX_set_cipher_list(server.ssl_ctx, "aNULL:@SECLEVEL=0");
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, nopoll_conn_opts_new(), "server.test");
    assert_false(nopoll_conn_is_ok(conn));
    nopoll_conn_close(conn);
    tls_server_join(&server);
    assert_true(server.handshake);
    assert_int_equal(server.size, 0);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_names),    cmocka_unit_test(versions),
        cmocka_unit_test(own_certificate), cmocka_unit_test(own_chain),
        cmocka_unit_test(bad_files),       cmocka_unit_test(server_without_certificate),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
