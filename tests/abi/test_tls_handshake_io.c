/* SPDX-License-Identifier: MIT */
/* TLS handshakes over sockets that take little: flights larger than every buffer, in either
 * direction, and requests that go out in many parts (spec: connection.md 2 and 4,
 * context-and-loop.md 8: resumed when writable). */
#include "tls_scene.h"

/* A chain of about 48 KB: bulky.pem with its issuers, and a client certificate of that size. */
static int bulky_certificates(void** state) {
    if (tls_certificates(state) != 0) return -1;
    tls_make("bulk1", "ca", NULL, TLS_AUTHORITY | TLS_LARGE);
    tls_make("bulk2", "bulk1", NULL, TLS_AUTHORITY | TLS_LARGE);
    tls_make("bulky", "bulk2", "DNS:server.test,IP:127.0.0.1", TLS_LARGE);
    tls_append(tls_pem("bulky"), tls_pem("bulk2"));
    tls_append(tls_pem("bulky"), tls_pem("bulk1"));
    return 0;
}

/* A TCP connection whose buffers were made small before it began. */
static int connect_tight(int port, int option) {
    struct sockaddr_in address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    tls_set_buffer(fd, option, 4096);
    assert_int_equal(connect(fd, (struct sockaddr*)&address, sizeof address), 0);
    return fd;
}

static noPollConn* tight_listener(noPollCtx* ctx) {
    noPollConn* const listener = tls_listener_with(ctx, "bulky");
    tls_set_buffer(nopoll_conn_socket(listener), SO_SNDBUF, 4096);
    return listener;
}

static void open_tight(struct tls_client* client, noPollConn* listener, int version) {
    memset(client, 0, sizeof *client);
    client->ssl_ctx = tls_client_context("ca");
    SSL_CTX_set_max_proto_version(client->ssl_ctx, version);
    client->fd = connect_tight(test_port_of(nopoll_conn_socket(listener)), SO_RCVBUF);
    client->ssl = SSL_new(client->ssl_ctx);
    SSL_set_fd(client->ssl, client->fd);
    SSL_set_connect_state(client->ssl);
}

static const int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* The client has nothing more to send until it has read the whole flight, so a loop that waits for
 * the listener's end to become readable waits for ever. */
static void loop_finishes_a_large_flight(void** state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tls_client client;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tight_listener(ctx);
        open_tight(&client, listener, kVersions[i]);
        assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(SSL_do_handshake(client.ssl), -1);
        LOOP_UNTIL(ctx, test_readable(client.fd, 0));
        assert_int_equal(nopoll_ctx_conns(ctx), 2);
        assert_true(tls_client_upgrade(&client, ctx));
        assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client.ssl)), 3);
        tls_client_close(&client);
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

/* A client that blocks, in its own thread. */
static void* client_main(void* data) {
    struct tls_client* const client = (struct tls_client*)data;
    const struct timeval limit = {TEST_LIMIT_MS / 1000, 0};
    char byte;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (SSL_connect(client->ssl) == 1 &&
        SSL_write(client->ssl, TEST_REQUEST, (int)strlen(TEST_REQUEST)) > 0)
        client->asked = 1;
    (void)SSL_read(client->ssl, &byte, 1);
    return NULL;
}

/* The same for a program that waits for one connection. */
static void waiting_finishes_a_large_flight(void** state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tls_client client;
        pthread_t thread;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tight_listener(ctx);
        noPollConn* conn = NULL;
        long begin;
        open_tight(&client, listener, kVersions[i]);
        conn = nopoll_conn_accept(ctx, listener);
        assert_non_null(conn);
        assert_int_equal(pthread_create(&thread, NULL, client_main, &client), 0);
        begin = test_now_ms();
        assert_true(nopoll_conn_wait_until_connection_ready(conn, TEST_LIMIT_MS / 1000 - 2));
        /* Not by looking again after a while: each of several rounds would take that long. */
        assert_true(test_now_ms() - begin < 1500);
        pthread_join(thread, NULL);
        assert_true(client.asked);
        nopoll_conn_close(conn);
        tls_client_close(&client);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

/* The other direction, inside the creating call: a large certificate of the client, and a request
 * that is larger than what the socket takes at once. */
static void client_with_large_flight_and_request(void** state) {
    enum { kCookie = 30000 };
    char* const cookie = (char*)malloc(kCookie + 1);
    (void)state;
    assert_non_null(cookie);
    memset(cookie, 'c', kCookie);
    cookie[kCookie] = 0;
    for (int i = 0; i < 2; i++) {
        struct tls_server server;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConnOpts* const options = tls_options("bulky", "ca", 1);
        noPollConn* conn = NULL;
        const char* at = NULL;
        int fd;
        nopoll_conn_opts_set_cookie(options, cookie);
        tls_server_prepare(&server, "server");
        server.upgrade = 1;
        SSL_CTX_set_max_proto_version(server.ssl_ctx, kVersions[i]);
        SSL_CTX_load_verify_locations(server.ssl_ctx, tls_pem("ca"), NULL);
        SSL_CTX_set_verify(server.ssl_ctx, SSL_VERIFY_PEER, NULL);
        tls_set_buffer(server.listening, SO_RCVBUF, 4096);
        fd = connect_tight(test_port_of(server.listening), SO_SNDBUF);
        tls_server_start(&server);
        conn = nopoll_conn_tls_new_with_socket(ctx, options, fd, "127.0.0.1", "0", "server.test",
                                               NULL, NULL, NULL);
        assert_true(nopoll_conn_is_ok(conn));
        /* Answered: the whole of it has arrived. */
        assert_true(nopoll_conn_wait_until_connection_ready(conn, TEST_LIMIT_MS / 1000));
        tls_server_join(&server);
        assert_string_equal(server.peer, "bulky.test");
        at = strstr(server.bytes, "\r\nCookie: ");
        assert_non_null(at);
        assert_int_equal(strspn(at + strlen("\r\nCookie: "), "c"), kCookie);
        assert_int_equal(strcmp(server.bytes + server.size - 4, "\r\n\r\n"), 0);
        nopoll_conn_close(conn);
        tls_server_free(&server);
        nopoll_ctx_unref(ctx);
    }
    free(cookie);
}

/* Request and frames in one record, with nobody but the loop at work. */
static int texts;

static void count_text(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    assert_int_equal(nopoll_msg_get_payload_size(msg), 4);
    texts++;
}

static void loop_goes_on_behind_the_head(void** state) {
    struct tls_client client;
    char record[1024], head[1024];
    size_t size = strlen(TEST_REQUEST);
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    (void)state;
    texts = 0;
    nopoll_ctx_set_on_msg(ctx, count_text, NULL);
    memcpy(record, TEST_REQUEST, size);
    size += test_frame((unsigned char*)record + size, RAW_TEXT, 1, "one.", 4);
    size += test_frame((unsigned char*)record + size, RAW_PING, 1, "", 0);
    size += test_frame((unsigned char*)record + size, RAW_TEXT, 1, "two.", 4);
    tls_client_open(&client, listener, NULL);
    assert_true(tls_client_handshake(&client, ctx));
    assert_int_equal(SSL_write(client.ssl, record, (int)size), size);
    LOOP_UNTIL(ctx, texts == 2);
    assert_true(tls_client_read(&client, ctx, head, sizeof head, "\r\n\r\n") > 12);
    assert_memory_equal(head, "HTTP/1.1 101", 12);
    assert_int_equal(tls_client_read(&client, ctx, head, 2, NULL), 2);
    assert_memory_equal(head, "\x8a\x00", 2);
    tls_client_close(&client);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* A request in a record for every byte, by the loop and by direct calls. */
static void request_in_many_records(void** state) {
    (void)state;
    for (int own_loop = 0; own_loop <= 1; own_loop++) {
        struct tls_client client;
        noPollCtx* const ctx = nopoll_ctx_new();
        noPollConn* const listener = tls_listener_with(ctx, "server");
        noPollConn* conn = NULL;
        char head[1024];
        tls_client_open(&client, listener, NULL);
        if (own_loop) {
            conn = nopoll_conn_accept(ctx, listener);
            nopoll_conn_ref(conn);
            while (SSL_do_handshake(client.ssl) != 1) {
                EXPECT_NOTHING(conn);
                test_readable(client.fd, 10);
            }
            EXPECT_NOTHING(conn); /* the call that finishes TLS has no message either */
        } else {
            assert_true(tls_client_handshake(&client, ctx));
        }
        for (const char* byte = TEST_REQUEST; *byte != 0; byte++) {
            if (own_loop)
                assert_false(nopoll_conn_is_ready(conn));
            else
                nopoll_loop_wait(ctx, 1);
            assert_int_equal(SSL_write(client.ssl, byte, 1), 1);
        }
        if (own_loop) POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
        assert_true(tls_client_read(&client, ctx, head, sizeof head, "\r\n\r\n") > 12);
        assert_memory_equal(head, "HTTP/1.1 101", 12);
        tls_client_close(&client);
        if (own_loop) nopoll_conn_close(conn);
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_finishes_a_large_flight),
        cmocka_unit_test(waiting_finishes_a_large_flight),
        cmocka_unit_test(client_with_large_flight_and_request),
        cmocka_unit_test(loop_goes_on_behind_the_head),
        cmocka_unit_test(request_in_many_records),
    };
    return cmocka_run_group_tests(tests, bulky_certificates, tls_certificates_gone);
}
