/* SPDX-License-Identifier: MIT */
/* TLS on sockets that come from elsewhere: handed over by the program, shared with plain
 * WebSocket on one port, IPv6, mutual TLS with the library at both ends (spec: connection.md 2,
 * handshake.md 6, context-and-loop.md 11). */
#include "stream_peer.h"
#include "tls_echo.h"

#include <netinet/tcp.h>
#include <nopoll_private.h>

static void echo_with(struct tls_echo* echo, noPollConnOpts* options) {
    memset(echo, 0, sizeof *echo);
    echo->ctx = nopoll_ctx_new();
    echo->listener = tls_listener(echo->ctx, options);
    tls_echo_start(echo);
}

/* --- nopoll_conn_tls_new_with_socket --- */

static void socket_is_used_as_it_is(void** state) {
    struct tls_echo echo;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    socklen_t size = sizeof(int);
    int fd, nodelay = 0, off = 0;
    (void)state;
    echo_with(&echo, tls_options("server", NULL, 0));
    fd = test_connect(test_port_of(nopoll_conn_socket(echo.listener)));
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off), 0);
    conn = nopoll_conn_tls_new_with_socket(ctx, tls_options(NULL, "ca", 1), fd, "server.test",
                                           "any port", NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_is_ok(conn));
    assert_int_equal(nopoll_conn_is_tls_on(conn), 1);
    assert_int_equal(nopoll_conn_socket(conn), fd);
    assert_string_equal(nopoll_conn_host(conn), "server.test");
    assert_string_equal(nopoll_conn_port(conn), "any port");
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
    assert_int_equal(nodelay, 0);
    tls_echo_once(conn, "over a given socket");
    nopoll_conn_close(conn);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was the library's */
    tls_echo_stop(&echo);
    assert_string_equal(echo.host, "server.test");
    nopoll_ctx_unref(ctx);
}

/* Also when the connection fails: an object came back. */
static void socket_goes_with_a_dead_object(void** state) {
    struct tls_server server;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    int fd;
    (void)state;
    tls_server_prepare(&server, "other");
    tls_server_start(&server);
    fd = test_connect(test_port_of(server.listening));
    conn = nopoll_conn_tls_new_with_socket(ctx, tls_options(NULL, "ca", 1), fd, "server.test", NULL,
                                           NULL, NULL, NULL, NULL);
    assert_non_null(conn);
    assert_false(nopoll_conn_is_ok(conn));
    assert_string_equal(nopoll_conn_port(conn), "443");
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    nopoll_ctx_unref(ctx);
}

static void socket_stays_with_the_caller(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = tls_options(NULL, NULL, 0);
    int fds[2];
    (void)state;
    peer_socketpair(fds);
    assert_true(nopoll_conn_opts_ref(options));
    assert_true(nopoll_conn_opts_ref(options));
    assert_null(nopoll_conn_tls_new_with_socket(NULL, options, fds[0], "server.test", NULL, NULL,
                                                NULL, NULL, NULL));
    assert_null(
        nopoll_conn_tls_new_with_socket(ctx, options, fds[0], NULL, NULL, NULL, NULL, NULL, NULL));
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    nopoll_conn_opts_unref(options); /* both calls have consumed one */
    close(fds[0]);
    close(fds[1]);
    nopoll_ctx_unref(ctx);
}

static void negative_socket_means_make_one(void** state) {
    struct tls_echo echo;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    (void)state;
    echo_with(&echo, tls_options("server", NULL, 0));
    conn = nopoll_conn_tls_new_with_socket(ctx, tls_options(NULL, "ca", 1), -1, "127.0.0.1",
                                           test_port(echo.listener), NULL, NULL, NULL, NULL);
    tls_echo_once(conn, "made here");
    assert_true(fcntl(nopoll_conn_socket(conn), F_GETFL) & O_NONBLOCK);
    nopoll_conn_close(conn);
    tls_echo_stop(&echo);
    nopoll_ctx_unref(ctx);
}

static void default_port(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    (void)state;
    nopoll_conn_connect_timeout(ctx, 300000);
    conn = nopoll_conn_tls_new(ctx, NULL, "127.255.255.254", NULL, NULL, NULL, NULL, NULL);
    assert_string_equal(nopoll_conn_port(conn), "443");
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
}

/* --- both ends --- */

static void mutual_tls(void** state) {
    static const struct {
        const char* certificate; /* of the client */
        const char* authority;   /* the client's */
        int ok;
    } rows[] = {
        {"client", "ca", 1}, {"stranger", "ca", 0}, {NULL, "ca", 0}, {"client", "foreign", 0}};
    struct tls_echo echo;
    noPollCtx* const ctx = nopoll_ctx_new();
    (void)state;
    echo_with(&echo, tls_options("server", "ca", 1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        noPollConn* const conn = nopoll_conn_tls_new(
            ctx, tls_options(rows[i].certificate, rows[i].authority, 1), "127.0.0.1",
            test_port(echo.listener), "server.test", NULL, NULL, NULL);
        if (rows[i].ok)
            tls_echo_once(conn, "known to each other");
        else /* with TLS 1.3 the refusal comes after the client's last step */
            assert_false(nopoll_conn_wait_until_connection_ready(conn, TEST_LIMIT_MS / 1000));
        nopoll_conn_close(conn);
    }
    tls_echo_stop(&echo);
    nopoll_ctx_unref(ctx);
}

static void large_echo(void** state) {
    enum { kSize = 3000000 };
    struct tls_echo echo;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    char* const content = (char*)malloc(kSize);
    int sent;
    (void)state;
    assert_non_null(content);
    for (int i = 0; i < kSize; i++)
        content[i] = (char)(i * 13 + i / 255);
    echo_with(&echo, tls_options("server", NULL, 0));
    conn = nopoll_conn_tls_new(ctx, tls_options(NULL, "ca", 1), "127.0.0.1",
                               test_port(echo.listener), NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_wait_until_connection_ready(conn, TEST_LIMIT_MS / 1000));
    sent = nopoll_conn_send_binary(conn, content, kSize);
    assert_int_equal(nopoll_conn_flush_writes(conn, TEST_LIMIT_MS * 1000L, sent), kSize);
    EXPECT_MSG(test_get_msg(conn), NOPOLL_BINARY_FRAME, content, kSize, 1, 0);
    nopoll_conn_close(conn);
    tls_echo_stop(&echo);
    nopoll_ctx_unref(ctx);
    free(content);
}

static void over_ipv6(void** state) {
    static const char* const names[] = {NULL, "server.test", "other.test"};
    struct tls_echo echo;
    noPollCtx* const ctx = nopoll_ctx_new();
    (void)state;
    if (!peer_has_ipv6()) skip();
    for (int with_options = 0; with_options <= 1; with_options++) {
        memset(&echo, 0, sizeof echo);
        echo.ctx = nopoll_ctx_new();
        if (with_options) {
            echo.listener =
                nopoll_listener_tls_new_opts6(echo.ctx, tls_options("server", NULL, 0), "::1", "0");
        } else {
            echo.listener = nopoll_listener_tls_new6(echo.ctx, "::1", "0");
            assert_true(nopoll_listener_set_certificate(echo.listener, tls_pem("server"),
                                                        tls_key("server"), NULL));
        }
        assert_true(nopoll_conn_is_ok(echo.listener));
        assert_int_equal(nopoll_conn_is_tls_on(echo.listener), 1);
        tls_echo_start(&echo);
        for (int i = 0; i < 3; i++) {
            noPollConn* const conn =
                nopoll_conn_tls_new6(ctx, tls_options(NULL, "ca", 1), "::1",
                                     test_port(echo.listener), names[i], NULL, NULL, NULL);
            assert_int_equal(nopoll_conn_is_ok(conn), i != 2);
            assert_string_equal(nopoll_conn_host(conn), "::1");
            if (i != 2) tls_echo_once(conn, "version 6");
            if (i == 0) assert_string_equal(echo.host, "[::1]");
            if (i == 1) assert_string_equal(echo.host, "server.test");
            nopoll_conn_close(conn);
        }
        tls_echo_stop(&echo);
    }
    nopoll_ctx_unref(ctx);
}

/* --- one port for both (the manual's recipe) --- */

static int accepts;

static nopoll_bool count_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    accepts++;
    return nopoll_true;
}

enum recipe { WITH_LISTENER, WITH_ITSELF, WITHOUT_LISTENER };

/* The program accepts, looks at the first bytes, and says what they are. */
static void share_port(enum recipe recipe, int tls) {
    struct tls_echo* const echo = (struct tls_echo*)calloc(1, sizeof *echo);
    const int listening = raw_listen();
    struct tls_client client = {0};
    noPollConn* conn = NULL;
    noPollConn* plain = NULL;
    unsigned char first[3];
    int fd;
    assert_non_null(echo);
    echo->ctx = nopoll_ctx_new();
    accepts = 0;
    nopoll_ctx_set_on_accept(echo->ctx, count_accept, NULL);
    nopoll_ctx_set_on_msg(echo->ctx, tls_echo_msg, NULL);
    assert_true(
        nopoll_ctx_set_certificate(echo->ctx, NULL, tls_pem("server"), tls_key("server"), NULL));
    /* Somebody who has both: the certificate of an object that is plain itself. */
    plain = nopoll_listener_new(echo->ctx, "127.0.0.1", "0");
    assert_true(nopoll_listener_set_certificate(plain, tls_pem("other"), tls_key("other"), NULL));
    client.fd = test_connect(test_port_of(listening));
    client.ssl_ctx = tls_client_context("ca");
    client.ssl = SSL_new(client.ssl_ctx);
    SSL_set_fd(client.ssl, client.fd);
    SSL_set_connect_state(client.ssl);
    fcntl(client.fd, F_SETFL, O_NONBLOCK);
    if (tls)
        assert_int_equal(SSL_do_handshake(client.ssl), -1);
    else
        test_send_all(client.fd, TEST_REQUEST, strlen(TEST_REQUEST));
    fd = nopoll_listener_accept(listening);
    assert_true(fd >= 0);
    assert_int_equal(recv(fd, first, 3, MSG_PEEK | MSG_WAITALL), 3);
    assert_int_equal(memcmp(first, "\x16\x03\x01", 3) == 0, tls);
    assert_int_equal(memcmp(first, "GET", 3) == 0, !tls);
    assert_null(nopoll_listener_from_socket(echo->ctx, listening));
    conn = nopoll_listener_from_socket(echo->ctx, fd);
    assert_non_null(conn);
    assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
    assert_true(nopoll_conn_accept_complete(echo->ctx,
                                            recipe == WITH_LISTENER ? plain
                                            : recipe == WITH_ITSELF ? conn
                                                                    : NULL,
                                            conn, fd, tls));
    assert_int_equal(accepts, 1);
    assert_int_equal(nopoll_conn_is_tls_on(conn), tls);
    assert_ptr_equal(nopoll_conn_get_listener(conn), recipe == WITH_LISTENER ? plain : NULL);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    if (tls) {
        char bytes[64];
        assert_true(tls_client_upgrade(&client, echo->ctx));
        assert_string_equal(tls_client_saw(&client),
                            recipe == WITH_LISTENER ? "other.test" : "server.test");
        assert_int_equal(SSL_write(client.ssl, "\x81\x82\0\0\0\0hi", 8), 8);
        assert_int_equal(tls_client_read(&client, echo->ctx, bytes, 4, NULL), 4);
        assert_memory_equal(bytes, "\x81\x02hi", 4);
    } else {
        char head[1024];
        LOOP_UNTIL(echo->ctx, test_readable(client.fd, 0));
        assert_true(test_receive_head(client.fd, head, sizeof head) > 12);
        assert_memory_equal(head, "HTTP/1.1 101", 12);
    }
    tls_client_close(&client);
    LOOP_UNTIL(echo->ctx, nopoll_ctx_conns(echo->ctx) == 1);
    nopoll_conn_close(plain);
    assert_int_equal(nopoll_ctx_ref_count(echo->ctx), 1);
    nopoll_ctx_unref(echo->ctx);
    close(listening);
    free(echo);
}

static void port_sharing(void** state) {
    (void)state;
    for (int tls = 0; tls <= 1; tls++) {
        share_port(WITH_LISTENER, tls);
        share_port(WITH_ITSELF, tls);
        share_port(WITHOUT_LISTENER, tls);
    }
}

/* TLS without a certificate anywhere: 0, and the object is left to the program. */
static void port_sharing_without_certificate(void** state) {
    const int listening = raw_listen();
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    int fd, peer;
    (void)state;
    peer = test_connect(test_port_of(listening));
    fd = nopoll_listener_accept(listening);
    conn = nopoll_listener_from_socket(ctx, fd);
    assert_non_null(conn);
    assert_int_equal(nopoll_conn_accept_complete(ctx, NULL, conn, fd, nopoll_true), 0);
    assert_false(nopoll_conn_is_ok(conn));
    assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    nopoll_conn_close(conn);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    close(peer);
    close(listening);
    nopoll_ctx_unref(ctx);
}

/* What nopoll_conn_accept has completed is completed once more, in the middle of the handshakes:
 * the TLS object stays the one that it was. */
static void completed_twice(void** state) {
    int tls;
    (void)state;
    for (tls = 0; tls <= 1; tls++) {
        struct tls_client client;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tls_listener_with(ctx, "server");
        noPollConn* conn = NULL;
        SSL* ssl = NULL;
        tls_client_open(&client, listener, "server.test");
        conn = nopoll_conn_accept(ctx, listener);
        assert_non_null(conn);
        ssl = conn->ssl;
        assert_true(tls_client_handshake(&client, ctx));
        assert_int_equal(nopoll_conn_accept_complete(ctx, tls ? listener : NULL, conn,
                                                     nopoll_conn_socket(conn), tls),
                         1);
        assert_ptr_equal(conn->ssl, ssl);
        assert_int_equal(fcntl(nopoll_conn_socket(conn), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        assert_true(tls_client_upgrade(&client, ctx));
        tls_client_close(&client);
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socket_is_used_as_it_is),
        cmocka_unit_test(socket_goes_with_a_dead_object),
        cmocka_unit_test(socket_stays_with_the_caller),
        cmocka_unit_test(negative_socket_means_make_one),
        cmocka_unit_test(default_port),
        cmocka_unit_test(mutual_tls),
        cmocka_unit_test(large_echo),
        cmocka_unit_test(over_ipv6),
        cmocka_unit_test(port_sharing),
        cmocka_unit_test(port_sharing_without_certificate),
        cmocka_unit_test(completed_twice),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
