/* SPDX-License-Identifier: MIT */
/* The program's part in TLS: contexts it makes itself, its check after the handshake, and what
 * nopoll_conn_is_tls_on says when (spec: connection.md 4, handshake.md 1 and 6.1). */
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

/* --- post check --- */

struct check {
    int calls;
    int refuse;
    int refs;
    int tls_on;
    int opens_before; /* on_open calls so far */
    int same_ctx;
    noPollConn* conn;
    char peer[128];
};

static int opens;

static nopoll_bool count_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    opens++;
    return nopoll_true;
}

static nopoll_bool check_tls(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                             noPollPtr data) {
    struct check* const check = (struct check*)data;
    X509* const peer = SSL_get1_peer_certificate((SSL*)ssl);
    assert_ptr_equal(nopoll_conn_ctx(conn), ctx);
    assert_ptr_equal(conn->ssl, ssl);
    assert_int_equal(SSL_get_fd((SSL*)ssl), nopoll_conn_socket(conn));
    check->calls++;
    check->conn = conn;
    check->refs = nopoll_conn_ref_count(conn);
    check->tls_on = nopoll_conn_is_tls_on(conn);
    check->opens_before = opens;
    check->same_ctx = SSL_get_SSL_CTX((SSL*)ssl) == ssl_ctx;
    tls_common_name(peer, check->peer, sizeof check->peer);
    X509_free(peer);
    return !check->refuse;
}

static void post_check_of_a_client(void** state) {
    int refuse;
    (void)state;
    for (refuse = 0; refuse <= 1; refuse++) {
        struct check check = {0};
        struct tls_server server;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* conn = NULL;
        check.refuse = refuse;
        nopoll_ctx_set_post_ssl_check(ctx, check_tls, &check);
        tls_server_prepare(&server, "server");
        tls_server_start(&server);
        conn = tls_connect_to(ctx, &server, tls_options(NULL, "ca", 1), "server.test");
        assert_int_equal(check.calls, 1);
        assert_ptr_equal(check.conn, conn);
        assert_int_equal(check.refs, 2);
        assert_int_equal(check.tls_on, 0);
        assert_true(check.same_ctx);
        assert_string_equal(check.peer, "server.test");
        assert_int_equal(nopoll_conn_is_ok(conn), !refuse);
        assert_int_equal(nopoll_conn_is_tls_on(conn), !refuse);
        assert_int_equal(nopoll_conn_ref_count(conn), 2);
        assert_int_equal(nopoll_ctx_conns(ctx), 1);
        nopoll_conn_close(conn);
        tls_server_join(&server);
        assert_int_equal(server.size > 0, !refuse);
        /* Either way the session is over in an orderly manner. */
        assert_true(server.close_notify);
        nopoll_ctx_unref(ctx);
    }
}

/* own_loop: the program accepts and reads by itself. */
static void listener_check(int own_loop, int refuse) {
    struct check check = {0};
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* conn = NULL;
    char head[512];
    check.refuse = refuse;
    opens = closed = 0;
    nopoll_ctx_set_post_ssl_check(ctx, check_tls, &check);
    nopoll_ctx_set_on_open(ctx, count_open, NULL);
    nopoll_ctx_set_on_accept(ctx, watch_close, NULL);
    tls_client_open(&client, listener, "server.test");
    if (own_loop) {
        conn = nopoll_conn_accept(ctx, listener);
        assert_non_null(conn);
        nopoll_conn_ref(conn);
        POLL_UNTIL(nopoll_conn_socket(conn),
                   (tls_client_step(&client), nopoll_conn_is_ready(conn)) ||
                       (refuse && check.calls > 0));
        assert_int_equal(check.refs, 2); /* the registry's and ours */
    } else if (refuse) {
        if (tls_client_handshake(&client, ctx))
            assert_int_equal(tls_client_read(&client, ctx, head, sizeof head, NULL), 0);
        assert_int_equal(check.refs, 2); /* the registry's and the loop's */
    } else {
        assert_true(tls_client_upgrade(&client, ctx));
        assert_int_equal(check.refs, 2);
    }
    assert_int_equal(check.calls, 1);
    assert_int_equal(check.tls_on, 1);
    assert_true(check.same_ctx);
    assert_int_equal(check.opens_before, 0);
    assert_int_equal(opens, !refuse);
    assert_int_equal(closed, refuse);
    if (own_loop) {
        assert_int_equal(nopoll_conn_is_ok(conn), !refuse);
        nopoll_conn_close(conn);
    } else {
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == (refuse ? 1 : 2));
    }
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

static void post_check_of_a_listener(void** state) {
    (void)state;
    listener_check(0, 0);
    listener_check(0, 1);
    listener_check(1, 0);
    listener_check(1, 1);
}

/* --- nopoll_conn_is_tls_on --- */

static int on_in_accept;

static nopoll_bool note_tls_on(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)data;
    on_in_accept = nopoll_conn_is_tls_on(conn);
    return nopoll_true;
}

static void tls_on(void** state) {
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* const plain = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConn* conn = NULL;
    (void)state;
    assert_int_equal(nopoll_conn_is_tls_on(NULL), 0);
    assert_int_equal(nopoll_conn_is_tls_on(listener), 1);
    assert_int_equal(nopoll_conn_is_tls_on(plain), 0);
    on_in_accept = -1;
    nopoll_ctx_set_on_accept(ctx, note_tls_on, NULL);
    tls_client_open(&client, listener, NULL);
    conn = nopoll_conn_accept(ctx, listener);
    assert_non_null(conn);
    /* Not in on_accept, but from then on, even before a byte of TLS was seen. */
    assert_int_equal(on_in_accept, 0);
    assert_int_equal(nopoll_conn_is_tls_on(conn), 1);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(fcntl(nopoll_conn_socket(conn), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    nopoll_conn_ref(conn);
    nopoll_conn_shutdown(conn);
    assert_int_equal(nopoll_conn_is_tls_on(conn), 1);
    nopoll_conn_close(conn);
    tls_client_close(&client);
    nopoll_conn_close(listener);
    nopoll_conn_close(plain);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_creator),
        cmocka_unit_test(client_creator_without_options),
        cmocka_unit_test(client_creator_gives_none),
        cmocka_unit_test(listener_creator),
        cmocka_unit_test(listener_creator_gives_none),
        cmocka_unit_test(post_check_of_a_client),
        cmocka_unit_test(post_check_of_a_listener),
        cmocka_unit_test(tls_on),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
