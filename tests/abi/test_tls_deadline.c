/* SPDX-License-Identifier: MIT */
/* One time limit for connection, TLS and request of a client: what does not get that far is not ok
 * (spec: connection.md 2). */
#include "tls_test.h"

/* What a busy machine may add; a wait that is not bounded takes longer than that. */
enum { LIMIT_MS = 250 };
#define GRACE_MS (8000 * test_slowdown())

/* A bad server: what it does with a connection, in a thread, until the client is gone. */
struct server {
    int listening;
    void (*serve)(int fd);
    pthread_t thread;
};

static void until_gone(int fd) {
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        continue;
}

static void silent(int fd) {
    until_gone(fd);
}

/* TLS of a server up to its first flight, of which the given part goes out. */
static SSL* first_flight(int fd, SSL_CTX* ssl_ctx) {
    SSL* const ssl = SSL_new(ssl_ctx);
    char bytes[4096];
    ssize_t got;
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    while (BIO_ctrl_pending(SSL_get_wbio(ssl)) == 0 &&
           (got = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        BIO_write(SSL_get_rbio(ssl), bytes, (int)got);
        SSL_do_handshake(ssl);
    }
    return ssl;
}

static void half_a_flight(int fd) {
    SSL_CTX* const ssl_ctx = tls_server_context("server");
    SSL* const ssl = first_flight(fd, ssl_ctx);
    char bytes[500];
    const int size = BIO_read(SSL_get_wbio(ssl), bytes, sizeof bytes);
    if (size > 0) send(fd, bytes, (size_t)size, MSG_NOSIGNAL);
    until_gone(fd);
    SSL_free(ssl);
    SSL_CTX_free(ssl_ctx);
}

/* Always making progress, never done: a limit that starts anew with each byte would not hold. */
static void drop_by_drop(int fd) {
    SSL_CTX* const ssl_ctx = tls_server_context("server");
    SSL* const ssl = first_flight(fd, ssl_ctx);
    char byte;
    while (!test_readable(fd, 20) && BIO_read(SSL_get_wbio(ssl), &byte, 1) == 1)
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) break;
    until_gone(fd);
    SSL_free(ssl);
    SSL_CTX_free(ssl_ctx);
}

/* TLS is fine, but then nobody reads the request. */
static void reads_no_request(int fd) {
    SSL_CTX* const ssl_ctx = tls_server_context("server");
    SSL* const ssl = SSL_new(ssl_ctx);
    struct pollfd gone = {fd, POLLRDHUP, 0};
    SSL_set_fd(ssl, fd);
    (void)SSL_accept(ssl);
    poll(&gone, 1, TEST_LIMIT_MS);
    SSL_free(ssl);
    SSL_CTX_free(ssl_ctx);
}

static void* server_main(void* data) {
    struct server* const server = (struct server*)data;
    const struct timeval limit = {TEST_LIMIT_MS / 1000, 0};
    const int fd = accept(server->listening, NULL, NULL);
    if (fd < 0) return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    server->serve(fd);
    close(fd);
    return NULL;
}

enum socket_kind { OWN_SOCKET, GIVEN_SOCKET };

static void dies_in_time(void (*serve)(int fd), enum socket_kind kind, const char* cookie) {
    static test_log log;
    struct server server = {raw_listen(), serve, 0};
    const int port = test_port_of(server.listening) & 0xffff;
    noPollCtx* const ctx = tls_logging_ctx(&log);
    noPollConnOpts* const options = nopoll_conn_opts_new();
    noPollConn* conn = NULL;
    long begin, took;
    char text[8];
    int fd = -1, small = 65536;
    nopoll_conn_connect_timeout(ctx, LIMIT_MS * 1000L);
    nopoll_conn_opts_set_cookie(options, cookie);
    snprintf(text, sizeof text, "%d", port);
    assert_int_equal(setsockopt(server.listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, server_main, &server), 0);
    /* A socket that was handed over blocks, and yet the limit holds. */
    if (kind == GIVEN_SOCKET) fd = test_connect(port);
    begin = test_now_ms();
    conn = nopoll_conn_tls_new_with_socket(ctx, options, fd, "127.0.0.1", text, "server.test", NULL,
                                           NULL, NULL);
    took = test_now_ms() - begin;
    assert_non_null(conn);
    assert_false(nopoll_conn_is_ok(conn));
    assert_false(nopoll_conn_is_ready(conn));
    assert_null(nopoll_conn_get_msg(conn));
    assert_int_equal(nopoll_conn_is_tls_on(conn), cookie != NULL);
    if (took < LIMIT_MS || took > LIMIT_MS + GRACE_MS) print_error("it took %ld ms\n", took);
    assert_in_range(took, LIMIT_MS, LIMIT_MS + GRACE_MS);
    assert_int_equal(log.criticals, 1);
    assert_non_null(strstr(log.text, "time is over"));
    assert_int_equal(nopoll_ctx_conns(ctx), 1);
    nopoll_conn_close(conn);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
    pthread_join(server.thread, NULL);
    close(server.listening);
}

static void silent_server(void** state) {
    (void)state;
    dies_in_time(silent, OWN_SOCKET, NULL);
    dies_in_time(silent, GIVEN_SOCKET, NULL);
}

static void server_stops_in_the_middle(void** state) {
    (void)state;
    dies_in_time(half_a_flight, OWN_SOCKET, NULL);
    dies_in_time(half_a_flight, GIVEN_SOCKET, NULL);
}

static void server_drips(void** state) {
    (void)state;
    dies_in_time(drop_by_drop, OWN_SOCKET, NULL);
    dies_in_time(drop_by_drop, GIVEN_SOCKET, NULL);
}

/* More than the buffers of both ends together ever become. */
static void server_does_not_read_the_request(void** state) {
    const size_t size = 12U << 20;
    char* const cookie = (char*)malloc(size + 1);
    (void)state;
    assert_non_null(cookie);
    memset(cookie, 'c', size);
    cookie[size] = 0;
    dies_in_time(reads_no_request, OWN_SOCKET, cookie);
    dies_in_time(reads_no_request, GIVEN_SOCKET, cookie);
    free(cookie);
}

/* Nobody takes the connection: the backlog is full, the kernel answers nothing. */
static void nobody_accepts(void** state) {
    const int listening = raw_listen();
    int waiting[64];
    size_t count = 0;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* conn = NULL;
    char port[8];
    long begin, took;
    (void)state;
    assert_int_equal(listen(listening, 0), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr*)&address, &size), 0);
    /* Connections until one is not answered. */
    for (count = 0; count < 64; count++) {
        struct pollfd pfd = {-1, POLLOUT, 0};
        waiting[count] = pfd.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(pfd.fd, (struct sockaddr*)&address, sizeof address);
        if (poll(&pfd, 1, 50) == 0) break;
    }
    assert_true(count < 64);
    snprintf(port, sizeof port, "%d", test_port_of(listening) & 0xffff);
    nopoll_conn_connect_timeout(ctx, LIMIT_MS * 1000L);
    begin = test_now_ms();
    conn = nopoll_conn_tls_new(ctx, NULL, "127.0.0.1", port, NULL, NULL, NULL, NULL);
    took = test_now_ms() - begin;
    assert_false(nopoll_conn_is_ok(conn));
    assert_in_range(took, LIMIT_MS, LIMIT_MS + GRACE_MS);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    for (size_t i = 0; i <= count; i++)
        close(waiting[i]);
    close(listening);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_server),  cmocka_unit_test(server_stops_in_the_middle),
        cmocka_unit_test(server_drips),   cmocka_unit_test(server_does_not_read_the_request),
        cmocka_unit_test(nobody_accepts),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
