/* SPDX-License-Identifier: MIT */
/* Which certificate and chain a TLS listener presents, and that changed files are noticed while
 * contexts are shared (spec: context-and-loop.md 3, handshake.md 6.1, listener.md 3). */
#include "tls_test.h"

#include <nopoll_private.h>

static int chain_sent; /* certificates in the last handshake, leaf included */

/* Common name that a client with this SNI is shown; "" when the handshake fails. */
static const char* presented(noPollCtx* ctx, noPollConn* listener, const char* server_name) {
    struct tls_client client;
    const char* name = "";
    tls_client_open_with(&client, listener, tls_client_context(NULL), server_name);
    chain_sent = 0;
    if (tls_client_handshake(&client, ctx)) {
        name = tls_client_saw(&client);
        chain_sent = sk_X509_num(SSL_get_peer_cert_chain(client.ssl));
    }
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    return name;
}

static void end(noPollCtx* ctx, noPollConn* listener) {
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

static int store(noPollCtx* ctx, const char* server_name, const char* certificate) {
    return nopoll_ctx_set_certificate(ctx, server_name, tls_pem(certificate), tls_key(certificate),
                                      NULL);
}

/* --- whose certificate --- */

static void first_complete_source(void** state) {
    (void)state;
    for (int options_have = 0; options_have <= 2; options_have++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConnOpts* const options = nopoll_conn_opts_new();
        noPollConn* listener = NULL;
        nopoll_conn_opts_set_ssl_certs(options, options_have > 0 ? tls_pem("server") : NULL,
                                       options_have > 1 ? tls_key("server") : NULL, NULL, NULL);
        listener = tls_listener(ctx, options);
        store(ctx, NULL, "client");
        /* A certificate without its key does not count. */
        assert_string_equal(presented(ctx, listener, NULL),
                            options_have == 2 ? "server.test" : "client.test");
        assert_true(
            nopoll_listener_set_certificate(listener, tls_pem("other"), tls_key("other"), NULL));
        assert_string_equal(presented(ctx, listener, NULL),
                            options_have == 2 ? "server.test" : "other.test");
        end(ctx, listener);
    }
}

static void without_any_certificate(void** state) {
    static test_log log;
    noPollCtx* const ctx = tls_logging_ctx(&log);
    noPollConn* const listener = tls_listener(ctx, nopoll_conn_opts_new());
    (void)state;
    assert_int_equal(nopoll_conn_is_tls_on(listener), 1);
    assert_string_equal(presented(ctx, listener, NULL), "");
    assert_int_equal(log.criticals, 1);
    assert_string_equal(presented(ctx, listener, "server.test"), "");
    assert_int_equal(log.criticals, 2);
    /* The listener is none the worse for it. */
    assert_true(nopoll_conn_is_ok(listener));
    store(ctx, "server.test", "server");
    assert_string_equal(presented(ctx, listener, NULL), "server.test");
    end(ctx, listener);
}

static void store_by_server_name(void** state) {
    static const struct {
        const char* asked;
        const char* with_default;
        const char* without_default;
    } rows[] = {
        {NULL, "server.test", "other.test"},
        {"other.test", "other.test", "other.test"},
        {"OTHER.Test", "other.test", "other.test"},
        {"other.test.", "other.test", "other.test"},
        {"leaf.test", "leaf.test", "leaf.test"},
        {"mixed.test", "stranger.test", "stranger.test"},
        {"nobody.test", "server.test", "other.test"},
        {"a.other.test", "server.test", "other.test"},
        {"test", "server.test", "other.test"},
    };
    (void)state;
    for (int with_default = 0; with_default <= 1; with_default++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tls_listener(ctx, NULL);
        size_t i;
        assert_true(store(ctx, "other.test", "other"));
        assert_true(store(ctx, "leaf.test", "leaf"));
        assert_true(store(ctx, "Mixed.TEST", "stranger"));
        if (with_default) assert_true(store(ctx, NULL, "server"));
        /* The first entry of a name stays. */
        assert_true(store(ctx, "leaf.test", "client"));
        for (i = 0; i < sizeof rows / sizeof *rows; i++)
            assert_string_equal(presented(ctx, listener, rows[i].asked),
                                with_default ? rows[i].with_default : rows[i].without_default);
        end(ctx, listener);
    }
}

/* Both of these are for everybody, whatever name is asked for. */
static void options_and_listener_ignore_the_name(void** state) {
    (void)state;
    for (int by_options = 0; by_options <= 1; by_options++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = by_options ? tls_listener(ctx, tls_options("server", NULL, 0))
                                                : tls_listener_with(ctx, "server");
        store(ctx, "other.test", "other");
        assert_string_equal(presented(ctx, listener, "other.test"), "server.test");
        end(ctx, listener);
    }
}

/* --- chains --- */

static void chain_files_are_sent(void** state) {
    char bundle[128];
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, NULL);
    (void)state;
    snprintf(bundle, sizeof bundle, "%s", tls_pem("leaf-bundle"));
    tls_append(bundle, tls_pem("leaf"));
    tls_append(bundle, tls_pem("middle"));
    assert_true(nopoll_listener_set_certificate(listener, tls_pem("leaf"), tls_key("leaf"), NULL));
    assert_string_equal(presented(ctx, listener, NULL), "leaf.test");
    assert_int_equal(chain_sent, 1);
    assert_true(nopoll_listener_set_certificate(listener, bundle, tls_key("leaf"), NULL));
    assert_string_equal(presented(ctx, listener, NULL), "leaf.test");
    assert_int_equal(chain_sent, 2);
    assert_true(nopoll_listener_set_certificate(listener, tls_pem("leaf"), tls_key("leaf"),
                                                tls_pem("middle")));
    assert_string_equal(presented(ctx, listener, NULL), "leaf.test");
    assert_int_equal(chain_sent, 2);
    /* One equal to the leaf is left out. */
    assert_true(
        nopoll_listener_set_certificate(listener, tls_pem("leaf"), tls_key("leaf"), bundle));
    assert_string_equal(presented(ctx, listener, NULL), "leaf.test");
    assert_int_equal(chain_sent, 2);
    /* NULL keeps the chain of an earlier call. */
    assert_true(
        nopoll_listener_set_certificate(listener, tls_pem("server"), tls_key("server"), NULL));
    assert_string_equal(presented(ctx, listener, NULL), "server.test");
    assert_int_equal(chain_sent, 3);
    end(ctx, listener);
}

/* A client that knows the root only can verify. */
static void chain_completes_the_path(void** state) {
    static const char* const names[] = {NULL, "leaf.test"};
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, NULL);
    (void)state;
    assert_true(store(ctx, NULL, "server"));
    assert_true(nopoll_ctx_set_certificate(ctx, "leaf.test", tls_pem("leaf"), tls_key("leaf"),
                                           tls_pem("middle")));
    for (size_t i = 0; i < 2; i++) {
        struct tls_client client;
        tls_client_open(&client, listener, names[i]);
        assert_true(tls_client_upgrade(&client, ctx));
        assert_int_equal(SSL_get_verify_result(client.ssl), X509_V_OK);
        assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client.ssl)), i == 0 ? 1 : 2);
        tls_client_close(&client);
    }
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    end(ctx, listener);
}

/* Which chain file: the listener's, then the options', then the store entry's. They are told
 * apart by the number of certificates in them: three, two, one. */
static void chain_precedence(void** state) {
    char three[128], two[128];
    (void)state;
    snprintf(three, sizeof three, "%s", tls_pem("three"));
    snprintf(two, sizeof two, "%s", tls_pem("two"));
    tls_append(three, tls_pem("middle"));
    tls_append(three, tls_pem("ca"));
    tls_append(three, tls_pem("foreign"));
    tls_append(two, tls_pem("middle"));
    tls_append(two, tls_pem("ca"));
    for (int round = 0; round < 4; round++) {
        const int listeners = round & 1, of_options = round & 2;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConnOpts* const options = nopoll_conn_opts_new();
        noPollConn* const listener = tls_listener(ctx, options);
        nopoll_ctx_set_certificate(ctx, NULL, tls_pem("leaf"), tls_key("leaf"), tls_pem("middle"));
        if (of_options) nopoll_conn_opts_set_ssl_certs(options, NULL, NULL, two, NULL);
        if (listeners)
            nopoll_listener_set_certificate(listener, tls_pem("other"), tls_key("other"), three);
        assert_string_equal(presented(ctx, listener, NULL), listeners ? "other.test" : "leaf.test");
        assert_int_equal(chain_sent, 1 + (listeners ? 3 : of_options ? 2 : 1));
        /* No other rule for an entry that was found by its name. */
        nopoll_ctx_set_certificate(ctx, "named.test", tls_pem("server"), tls_key("server"),
                                   tls_pem("ca"));
        presented(ctx, listener, "named.test");
        assert_int_equal(chain_sent, 1 + (listeners ? 3 : of_options ? 2 : 1));
        end(ctx, listener);
    }
}

static void unusable_files_refuse_the_connection(void** state) {
    static const char* const rows[][3] = {
        {"leaf.pem", "leaf.key", "junk.pem"}, {"leaf.pem", "leaf.key", "none.pem"},
        {"junk.pem", "leaf.key", NULL},       {"none.pem", "leaf.key", NULL},
        {"leaf.pem", "junk.key", NULL},       {"leaf.pem", "server.key", NULL},
    };
    (void)state;
    for (int by_name = 0; by_name <= 1; by_name++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            static test_log log;
            noPollCtx* const ctx = tls_logging_ctx(&log);
            noPollConn* const listener = tls_listener(ctx, NULL);
            if (by_name) store(ctx, NULL, "server");
            nopoll_ctx_set_certificate(ctx, "leaf.test", tls_path(rows[i][0], ""),
                                       tls_path(rows[i][1], ""),
                                       rows[i][2] != NULL ? tls_path(rows[i][2], "") : NULL);
            assert_string_equal(presented(ctx, listener, "leaf.test"), "");
            assert_int_equal(log.criticals, 1);
            if (by_name) assert_string_equal(presented(ctx, listener, NULL), "server.test");
            end(ctx, listener);
        }
    }
}

/* --- changed files, shared contexts --- */

static void replace(const char* file, const char* with, int in_place) {
    char fresh[128], target[128];
    snprintf(target, sizeof target, "%s", tls_path(file, ""));
    snprintf(fresh, sizeof fresh, "%s", tls_path(in_place ? file : "fresh", ""));
    if (in_place) assert_int_equal(truncate(fresh, 0), 0);
    tls_append(fresh, tls_path(with, ""));
    if (!in_place) assert_int_equal(rename(fresh, target), 0);
}

/* Every connection is shown what the files hold at that moment, however fast they change. */
static void changed_files(void** state) {
    static const char* const names[] = {"first", "second"};
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, NULL);
    (void)state;
    tls_make("first", "ca", NULL, 0);
    tls_make("second", "ca", NULL, 0);
    tls_make("moving", "ca", NULL, 0);
    tls_make("named", "ca", NULL, 0);
    store(ctx, NULL, "moving");
    store(ctx, "named.test", "named");
    assert_string_equal(presented(ctx, listener, NULL), "moving.test");
    assert_string_equal(presented(ctx, listener, "named.test"), "named.test");
    for (int round = 0; round < 8; round++) {
        const char* const name = names[round & 1];
        char pem[32], key[32], expected[32];
        snprintf(pem, sizeof pem, "%s.pem", name);
        snprintf(key, sizeof key, "%s.key", name);
        snprintf(expected, sizeof expected, "%s.test", name);
        replace("moving.pem", pem, round & 2);
        replace("moving.key", key, round & 2);
        assert_string_equal(presented(ctx, listener, NULL), expected);
        assert_string_equal(presented(ctx, listener, NULL), expected);
        replace("named.pem", pem, round & 2);
        replace("named.key", key, round & 2);
        assert_string_equal(presented(ctx, listener, "named.test"), expected);
        assert_string_equal(presented(ctx, listener, NULL), expected);
    }
    end(ctx, listener);
}

/* Kept alive, so that no address comes up twice by chance. */
static SSL_CTX* seen[2];

static nopoll_bool note_context(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                                noPollPtr data) {
    (void)ctx, (void)data;
    assert_ptr_equal(SSL_get_SSL_CTX((SSL*)ssl), ssl_ctx);
    assert_ptr_equal(conn->ssl_ctx, ssl_ctx);
    SSL_CTX_free(seen[0]);
    seen[0] = seen[1];
    seen[1] = (SSL_CTX*)ssl_ctx;
    SSL_CTX_up_ref(seen[1]);
    return nopoll_true;
}

/* As soon as the files are older than the grain of their time stamps. */
#define UNTIL_SHARED(ctx, listener, name)                                                          \
    do {                                                                                           \
        const long shared_end = test_now_ms() + TEST_LIMIT_MS;                                     \
        do {                                                                                       \
            presented((ctx), (listener), (name));                                                  \
            presented((ctx), (listener), (name));                                                  \
        } while (seen[0] != seen[1] && test_now_ms() < shared_end);                                \
        assert_ptr_equal(seen[0], seen[1]);                                                        \
    } while (0)

/* The context given to the post check is the one the connection's SSL object was made from, also
 * where SNI chooses another certificate, and is shared while nothing changes. */
static void contexts_are_shared(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, NULL);
    SSL_CTX* before = NULL;
    (void)state;
    tls_make("changing", "ca", NULL, 0);
    nopoll_ctx_set_post_ssl_check(ctx, note_context, NULL);
    store(ctx, NULL, "changing");
    store(ctx, "other.test", "other");
    UNTIL_SHARED(ctx, listener, NULL);
    before = seen[1];
    SSL_CTX_up_ref(before);
    assert_string_equal(presented(ctx, listener, "other.test"), "other.test");
    assert_ptr_equal(seen[1], before);
    assert_string_equal(presented(ctx, listener, NULL), "changing.test");
    assert_ptr_equal(seen[1], before);
    tls_make("changing", "ca", NULL, 0);
    UNTIL_SHARED(ctx, listener, NULL);
    assert_ptr_not_equal(seen[1], before);
    SSL_CTX_free(before);
    /* Other settings, another context. */
    before = seen[1];
    SSL_CTX_up_ref(before);
    assert_true(
        nopoll_listener_set_certificate(listener, tls_pem("server"), tls_key("server"), NULL));
    assert_string_equal(presented(ctx, listener, NULL), "server.test");
    assert_ptr_not_equal(seen[1], before);
    SSL_CTX_free(before);
    SSL_CTX_free(seen[0]);
    SSL_CTX_free(seen[1]);
    end(ctx, listener);
}

static void relative_paths(void** state) {
    char before[4096];
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, NULL);
    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    assert_true(nopoll_ctx_set_certificate(ctx, NULL, "server.pem", "./server.key", NULL));
    assert_string_equal(presented(ctx, listener, NULL), "");
    assert_int_equal(chdir(tls_folder), 0);
    assert_string_equal(presented(ctx, listener, NULL), "server.test");
    assert_int_equal(chdir(before), 0);
    assert_string_equal(presented(ctx, listener, NULL), "");
    end(ctx, listener);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_complete_source),
        cmocka_unit_test(without_any_certificate),
        cmocka_unit_test(store_by_server_name),
        cmocka_unit_test(options_and_listener_ignore_the_name),
        cmocka_unit_test(chain_files_are_sent),
        cmocka_unit_test(chain_completes_the_path),
        cmocka_unit_test(chain_precedence),
        cmocka_unit_test(unusable_files_refuse_the_connection),
        cmocka_unit_test(changed_files),
        cmocka_unit_test(contexts_are_shared),
        cmocka_unit_test(relative_paths),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
