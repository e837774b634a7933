/* SPDX-License-Identifier: MIT */
/* Whom a TLS listener lets in: client certificates, protocol versions, resumed sessions (spec:
 * handshake.md 6.1, connection.md 4, design: sessions). */
#include "tls_test.h"

static char peer_seen[128]; /* common name in the post check */
static int checks;
static int asked; /* the client was asked for a certificate */

static nopoll_bool note_peer(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                             noPollPtr data) {
    X509* const peer = SSL_get1_peer_certificate((SSL*)ssl);
    (void)ctx, (void)conn, (void)ssl_ctx, (void)data;
    checks++;
    tls_common_name(peer, peer_seen, sizeof peer_seen);
    X509_free(peer);
    return nopoll_true;
}

static int note_asked(SSL* ssl, X509** certificate, EVP_PKEY** key) {
    (void)ssl, (void)certificate, (void)key;
    asked = 1;
    return 0;
}

/* A client context with this certificate (its chain file is <name>.pem). */
static SSL_CTX* client_with(const char* name) {
    SSL_CTX* const ssl_ctx = tls_client_context("ca");
    SSL_CTX_set_client_cert_cb(ssl_ctx, note_asked);
    if (name == NULL) return ssl_ctx;
    assert_int_equal(SSL_CTX_use_certificate_chain_file(ssl_ctx, tls_pem(name)), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ssl_ctx, tls_key(name), SSL_FILETYPE_PEM), 1);
    return ssl_ctx;
}

/* Takes over the client's context. 1: let in. Its session is left in `session` if wished. */
static int let_in(noPollCtx* ctx, noPollConn* listener, SSL_CTX* ssl_ctx, SSL_SESSION** session,
                  int* resumed) {
    struct tls_client client;
    int ok = 0;
    asked = checks = 0;
    peer_seen[0] = 0;
    nopoll_ctx_set_post_ssl_check(ctx, note_peer, NULL);
    tls_client_open_with(&client, listener, ssl_ctx, NULL);
    if (session != NULL && *session != NULL)
        assert_int_equal(SSL_set_session(client.ssl, *session), 1);
    ok = tls_client_upgrade(&client, ctx);
    if (resumed != NULL) *resumed = ok && SSL_session_reused(client.ssl);
    if (session != NULL) {
        SSL_SESSION_free(*session);
        *session = ok ? SSL_get1_session(client.ssl) : NULL;
        if (ok) SSL_shutdown(client.ssl); /* else the session would count as broken */
    }
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    assert_int_equal(ERR_peek_error(), 0);
    return ok;
}

static int admitted(noPollCtx* ctx, noPollConn* listener, const char* certificate) {
    return let_in(ctx, listener, client_with(certificate), NULL, NULL);
}

static void end(noPollCtx* ctx, noPollConn* listener) {
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

/* --- client certificates --- */

static void certificates_are_not_asked_for(void** state) {
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* listener = tls_listener_with(ctx, "server");
    (void)state;
    assert_true(admitted(ctx, listener, NULL));
    assert_false(asked);
    end(ctx, listener);
    ctx = nopoll_ctx_new();
    listener = tls_listener(ctx, tls_options("server", "ca", 0));
    assert_true(admitted(ctx, listener, "client"));
    assert_false(asked);
    assert_string_equal(peer_seen, "");
    end(ctx, listener);
}

static void certificates_are_demanded(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = tls_options("server", "ca", 1);
    noPollConn* const listener = tls_listener(ctx, options);
    (void)state;
    nopoll_conn_opts_ssl_host_verify(options, nopoll_true); /* means nothing to a listener */
    tls_make("late", "ca", NULL, TLS_EXPIRED);
    assert_true(admitted(ctx, listener, "client"));
    assert_string_equal(peer_seen, "client.test");
    assert_int_equal(checks, 1);
    assert_false(admitted(ctx, listener, NULL));
    assert_true(asked);
    assert_int_equal(checks, 0);
    assert_false(admitted(ctx, listener, "stranger"));
    assert_int_equal(checks, 0);
    assert_false(admitted(ctx, listener, "late"));
    assert_false(admitted(ctx, listener, "leaf")); /* without its issuer */
    assert_true(admitted(ctx, listener, "client"));
    end(ctx, listener);
}

/* The system's store counts too, and is loaded only where somebody is verified. */
static void systems_store(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* listener = NULL;
    (void)state;
    tls_system_store(tls_pem("foreign"));
    listener = tls_listener(ctx, tls_options("server", "ca", 1));
    assert_true(admitted(ctx, listener, "stranger"));
    assert_string_equal(peer_seen, "stranger.test");
    assert_true(admitted(ctx, listener, "client"));
    tls_system_store(tls_path("no-such-store", ""));
    end(ctx, listener);
}

/* Issuers between the client's certificate and the authority: five, not six. */
static void depth_of_chains(void** state) {
    char issuer[32] = "ca", name[32], bundle[128];
    (void)state;
    for (int depth = 1; depth <= 6; depth++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tls_listener(ctx, tls_options("server", "ca", 1));
        snprintf(name, sizeof name, "issuer%d", depth);
        tls_make(name, issuer, NULL, TLS_AUTHORITY);
        snprintf(issuer, sizeof issuer, "%s", name);
        tls_make("end", issuer, NULL, 0);
        snprintf(bundle, sizeof bundle, "%s", tls_pem("end"));
        for (int above = depth; above >= 1; above--) {
            snprintf(name, sizeof name, "issuer%d", above);
            tls_append(bundle, tls_pem(name));
        }
        assert_int_equal(admitted(ctx, listener, "end"), depth <= 5);
        end(ctx, listener);
    }
}

/* --- versions --- */

static int version_with(int method, int lowest, int highest) {
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = tls_options("server", NULL, 0);
    noPollConn* const listener = tls_listener(ctx, options);
    SSL_CTX* const ssl_ctx = tls_client_context("ca");
    int version = 0;
    if (method != 0) nopoll_conn_opts_set_ssl_protocol(options, (noPollSslProtocol)method);
    SSL_CTX_set_min_proto_version(ssl_ctx, lowest);
    SSL_CTX_set_max_proto_version(ssl_ctx, highest);
    SSL_CTX_set_security_level(ssl_ctx, 0);
    tls_client_open_with(&client, listener, ssl_ctx, NULL);
    if (tls_client_upgrade(&client, ctx)) version = SSL_version(client.ssl);
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    end(ctx, listener);
    return version;
}

static void versions(void** state) {
    static const int flexible[] = {
        0, NOPOLL_METHOD_TLSV1, NOPOLL_METHOD_TLSV1_1, NOPOLL_METHOD_TLS_FLEXIBLE, 1, 4711,
    };
    (void)state;
    for (size_t i = 0; i < sizeof flexible / sizeof *flexible; i++) {
        assert_int_equal(version_with(flexible[i], 0, 0), TLS1_3_VERSION);
        assert_int_equal(version_with(flexible[i], 0, TLS1_2_VERSION), TLS1_2_VERSION);
        assert_int_equal(version_with(flexible[i], TLS1_1_VERSION, TLS1_1_VERSION), 0);
    }
    assert_int_equal(version_with(NOPOLL_METHOD_TLSV1_2, 0, 0), TLS1_2_VERSION);
    assert_int_equal(version_with(NOPOLL_METHOD_TLSV1_2, TLS1_3_VERSION, TLS1_3_VERSION), 0);
    assert_int_equal(version_with(NOPOLL_METHOD_TLSV1_2, TLS1_1_VERSION, TLS1_1_VERSION), 0);
}

/* --- resumption --- */

static SSL_CTX* resuming_client(const char* certificate, int version) {
    SSL_CTX* const ssl_ctx = client_with(certificate);
    SSL_CTX_set_max_proto_version(ssl_ctx, version);
    return ssl_ctx;
}

/* Connects until the session of the time before was resumed: tickets need a shared context, and a
 * context is shared as soon as its files are older than the grain of their time stamps. */
static void resume(noPollCtx* ctx, noPollConn* listener, const char* certificate, int version,
                   SSL_SESSION** session) {
    const long limit = test_now_ms() + TEST_LIMIT_MS;
    int resumed = 0;
    while (!resumed && test_now_ms() < limit)
        assert_true(
            let_in(ctx, listener, resuming_client(certificate, version), session, &resumed));
    assert_true(resumed);
    assert_true(SSL_SESSION_has_ticket(*session));
}

static void sessions_are_resumed(void** state) {
    static const int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    for (int i = 0; i < 2; i++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tls_listener_with(ctx, "server");
        SSL_SESSION* session = NULL;
        resume(ctx, listener, NULL, kVersions[i], &session);
        assert_int_equal(SSL_SESSION_get_protocol_version(session), kVersions[i]);
        SSL_SESSION_free(session);
        end(ctx, listener);
    }
}

/* The check of the program runs for resumed sessions too, and sees the certificate of the time
 * when the session began. */
static void sessions_with_client_certificates(void** state) {
    static const int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    for (int i = 0; i < 2; i++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tls_listener(ctx, tls_options("server", "ca", 1));
        SSL_SESSION* session = NULL;
        resume(ctx, listener, "client", kVersions[i], &session);
        assert_int_equal(checks, 1);
        assert_string_equal(peer_seen, "client.test");
        SSL_SESSION_free(session);
        end(ctx, listener);
    }
}

/* A session from a listener that lets in everybody opens no other one. */
static void sessions_stay_with_their_settings(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const easy = tls_listener(ctx, tls_options("server", "ca", 0));
    noPollConn* strict = NULL;
    SSL_SESSION* session = NULL;
    struct tls_client client;
    (void)state;
    resume(ctx, easy, NULL, TLS1_3_VERSION, &session);
    strict = tls_listener(ctx, tls_options("server", "ca", 1));
    tls_client_open_with(&client, strict, resuming_client(NULL, TLS1_3_VERSION), NULL);
    SSL_set_session(client.ssl, session);
    assert_false(tls_client_upgrade(&client, ctx));
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 2);
    SSL_SESSION_free(session);
    nopoll_conn_close(strict);
    end(ctx, easy);
}

/* A new certificate: the old ticket is of no use, and does no harm. */
static void sessions_end_with_their_certificate(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* listener = NULL;
    SSL_SESSION* session = NULL;
    int resumed = -1;
    (void)state;
    tls_make("renewed", "ca", NULL, 0);
    listener = tls_listener_with(ctx, "renewed");
    resume(ctx, listener, NULL, TLS1_3_VERSION, &session);
    tls_make("renewed", "ca", NULL, 0);
    assert_true(let_in(ctx, listener, resuming_client(NULL, TLS1_3_VERSION), &session, &resumed));
    assert_int_equal(resumed, 0);
    SSL_SESSION_free(session);
    end(ctx, listener);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_not_asked_for),
        cmocka_unit_test(certificates_are_demanded),
        cmocka_unit_test(systems_store),
        cmocka_unit_test(depth_of_chains),
        cmocka_unit_test(versions),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(sessions_with_client_certificates),
        cmocka_unit_test(sessions_stay_with_their_settings),
        cmocka_unit_test(sessions_end_with_their_certificate),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
