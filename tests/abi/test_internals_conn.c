/* SPDX-License-Identifier: MIT */
/* Exported functions for making connections that no header declares, or that one declares as
 * internal (spec: connection.md 11). The small socket functions: test_socket_functions.c. */
#include "stream_peer.h"

#include <netinet/tcp.h>
#include <nopoll_private.h>

noPollConn* __nopoll_conn_new_common(noPollCtx* ctx, noPollConnOpts* options,
                                     noPollTransport transport, nopoll_bool enable_tls, int socket,
                                     const char* host_ip, const char* host_port,
                                     const char* host_name, const char* get_url,
                                     const char* protocols, const char* origin);
int __nopoll_conn_sock_connect_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                             const char* host, const char* port,
                                             noPollConnOpts* options);
int nopoll_conn_sock_connect(noPollCtx* ctx, const char* host, const char* port);
int nopoll_conn_sock_connect_opts(noPollCtx* ctx, const char* host, const char* port,
                                  noPollConnOpts* options);

static int nodelay_of(int fd) {
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    return value != 0;
}

static int listen6(void) {
    struct sockaddr_in6 address;
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_addr.s6_addr[15] = 1;
    assert_int_equal(bind(fd, (struct sockaddr*)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* A connecting descriptor: non-blocking, without delay, connected in the end. */
static void expect_connecting(int fd, int listening) {
    struct pollfd pfd = {fd, POLLOUT, 0};
    int error = -1;
    socklen_t size = sizeof error;
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(nodelay_of(fd), 1);
    assert_int_equal(poll(&pfd, 1, TEST_LIMIT_MS), 1);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    assert_int_equal(error, 0);
    close(peer_accept(listening));
    close(fd);
}

static void sock_connect_ipv6(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    int listening;
    (void)state;
    if (!peer_has_ipv6()) skip();
    listening = listen6();
    expect_connecting(__nopoll_conn_sock_connect_opts_internal(ctx, NOPOLL_TRANSPORT_IPV6, "::1",
                                                               peer_port(listening), NULL),
                      listening);
    assert_int_equal(__nopoll_conn_sock_connect_opts_internal(ctx, NOPOLL_TRANSPORT_IPV4, "::1",
                                                              peer_port(listening), NULL),
                     -1);
    assert_int_equal(nopoll_conn_sock_connect(ctx, "::1", peer_port(listening)), -1);
    close(listening);
    nopoll_ctx_unref(ctx);
}

static void sock_connect_refuses(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    const int listening = peer_listen(4);
    const char* const port = peer_port(listening);
    (void)state;
    assert_int_equal(nopoll_conn_sock_connect(NULL, "127.0.0.1", port), -1);
    assert_int_equal(nopoll_conn_sock_connect(ctx, NULL, port), -1);
    assert_int_equal(nopoll_conn_sock_connect(ctx, "127.0.0.1", NULL), -1);
    assert_int_equal(nopoll_conn_sock_connect(ctx, "127.0.0.1", "no such service"), -1);
    assert_int_equal(nopoll_conn_sock_connect_opts(NULL, "127.0.0.1", port, options), -1);
    assert_int_equal(__nopoll_conn_sock_connect_opts_internal(ctx, (noPollTransport)0, "127.0.0.1",
                                                              port, options),
                     -1);
    assert_int_equal(__nopoll_conn_sock_connect_opts_internal(ctx, (noPollTransport)4711,
                                                              "127.0.0.1", port, options),
                     -1);
    nopoll_conn_opts_set_interface(options, "nosuchif0");
    assert_int_equal(nopoll_conn_sock_connect_opts(ctx, "127.0.0.1", port, options), -1);
    assert_int_equal(options->refs, 1);
    nopoll_conn_opts_free(options);
    close(listening);
    nopoll_ctx_unref(ctx);
}

/* --- the body of the creating functions --- */

static void new_common(void** state) {
    static const int unknown[] = {0, 3, -1, 4711};
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    const int listening = peer_listen(4);
    const char* const port = peer_port(listening);
    noPollConn* conn = NULL;
    int fds[2];
    (void)state;
    conn = __nopoll_conn_new_common(ctx, NULL, NOPOLL_TRANSPORT_IPV4, nopoll_false, -1, "127.0.0.1",
                                    port, "name.test", "/url", "proto", "http://origin.test");
    assert_true(nopoll_conn_is_ok(conn));
    assert_string_equal(nopoll_conn_get_host_header(conn), "name.test");
    assert_string_equal(nopoll_conn_get_requested_url(conn), "/url");
    assert_string_equal(nopoll_conn_get_requested_protocol(conn), "proto");
    assert_string_equal(nopoll_conn_get_origin(conn), "http://origin.test");
    nopoll_conn_close(conn);
    close(peer_accept(listening));
    /* A given socket. */
    peer_socketpair(fds);
    conn = __nopoll_conn_new_common(ctx, NULL, NOPOLL_TRANSPORT_IPV4, nopoll_false, fds[0], "any",
                                    "thing", NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_is_ok(conn));
    assert_int_equal(nopoll_conn_socket(conn), fds[0]);
    nopoll_conn_close(conn);
    close(fds[1]);
    /* Each call takes one reference of the options, also where nothing comes of it. */
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_true(nopoll_conn_opts_ref(options));
        assert_null(__nopoll_conn_new_common(ctx, options, (noPollTransport)unknown[i],
                                             nopoll_false, -1, "127.0.0.1", port, NULL, NULL, NULL,
                                             NULL));
        assert_int_equal(options->refs, 1);
    }
    assert_true(nopoll_conn_opts_ref(options));
    assert_null(__nopoll_conn_new_common(NULL, options, NOPOLL_TRANSPORT_IPV4, nopoll_false, -1,
                                         "127.0.0.1", port, NULL, NULL, NULL, NULL));
    assert_int_equal(options->refs, 1);
    assert_null(__nopoll_conn_new_common(ctx, options, NOPOLL_TRANSPORT_IPV4, nopoll_false, -1,
                                         NULL, port, NULL, NULL, NULL, NULL));
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    nopoll_ctx_unref(ctx);
    close(listening);
}

static void new_common_ipv6(void** state) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    int listening;
    (void)state;
    if (!peer_has_ipv6()) skip();
    listening = listen6();
    conn = __nopoll_conn_new_common(ctx, NULL, NOPOLL_TRANSPORT_IPV6, nopoll_false, -1, "::1",
                                    peer_port(listening), NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_is_ok(conn));
    nopoll_conn_close(conn);
    close(listening);
    nopoll_ctx_unref(ctx);
}

static void set_max_frame_size(void** state) {
    peer_scene scene;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    (void)state;
    peer_server_scene(&scene, NULL);
    __nopoll_conn_set_max_frame_size(scene.conn, options); /* nothing positive there */
    assert_int_equal(nopoll_conn_get_max_frame_size(scene.conn), NOPOLL_MAX_FRAME_SIZE_DEFAULT);
    assert_int_equal(scene.conn->max_frame_size, 0);
    nopoll_conn_opts_set_max_frame_size(options, 1234);
    __nopoll_conn_set_max_frame_size(NULL, options);
    __nopoll_conn_set_max_frame_size(scene.conn, NULL);
    assert_int_equal(scene.conn->max_frame_size, 0);
    __nopoll_conn_set_max_frame_size(scene.conn, options);
    assert_int_equal(scene.conn->max_frame_size, 1234);
    assert_int_equal(nopoll_conn_get_max_frame_size(scene.conn), 1234);
    assert_int_equal(options->refs, 1);
    nopoll_conn_opts_free(options);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sock_connect_ipv6),  cmocka_unit_test(sock_connect_refuses),
        cmocka_unit_test(new_common),         cmocka_unit_test(new_common_ipv6),
        cmocka_unit_test(set_max_frame_size),
    };
    alarm((unsigned)(5 * TEST_LIMIT_MS / 1000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
