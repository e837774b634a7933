/* SPDX-License-Identifier: MIT */
/* A ready TLS connection of the library, accepted or client, whose other end is an OpenSSL object
 * of the test: it decides which bytes go into which record, and sees what comes back. */
#ifndef ABI_TLS_SCENE_H
#define ABI_TLS_SCENE_H

#include "tls_test.h"

struct tls_peer {
    struct raw_peer raw; /* context, listener, the library's end; the test holds a reference */
    SSL_CTX* ssl_ctx;
    SSL* ssl;
};

/* How to open one; zeros are the defaults. */
struct tls_scene {
    int send_buffer;            /* SO_SNDBUF of the library's end */
    int receive_buffer;         /* SO_RCVBUF of the test's end */
    int version;                /* the highest one */
    const char* with_handshake; /* frames in the same record as the request or the reply */
    size_t with_handshake_size;
};

TEST_UNUSED static void tls_set_buffer(int fd, int option, int size) {
    if (size > 0) assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &size, sizeof size), 0);
}

/* Bytes of the test's end in one record; they have arrived when this returns. */
TEST_UNUSED static void tls_send_record(struct tls_peer* peer, const void* bytes, size_t size) {
    const uint64_t before = BIO_number_written(SSL_get_wbio(peer->ssl));
    int waiting = 0;
    assert_int_equal(ioctl(nopoll_conn_socket(peer->raw.conn), FIONREAD, &waiting), 0);
    assert_int_equal(SSL_write(peer->ssl, bytes, (int)size), size);
    raw_wait_arrived(&peer->raw,
                     waiting + (int)(BIO_number_written(SSL_get_wbio(peer->ssl)) - before));
}

/* Several frames in one record: pairs of first byte and text, ended by 0. */
TEST_UNUSED static void tls_send_frames(struct tls_peer* peer, ...) {
    static unsigned char bytes[16384];
    size_t size = 0;
    va_list frames;
    int first;
    va_start(frames, peer);
    while ((first = va_arg(frames, int)) != 0) {
        const char* const text = va_arg(frames, const char*);
        size += raw_frame(&peer->raw, bytes + size, first, text, strlen(text));
    }
    va_end(frames);
    tls_send_record(peer, bytes, size);
}

/* Until `size` bytes came, or the stream ended; how many came. The library is not driven. */
TEST_UNUSED static size_t tls_take(struct tls_peer* peer, void* bytes, size_t size) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    size_t got = 0;
    while (got < size && test_now_ms() < end) {
        int n = 0;
        ERR_clear_error();
        n = SSL_read(peer->ssl, (char*)bytes + got, (int)(size - got));
        if (n > 0)
            got += (size_t)n;
        else if (tls_wants_more(peer->ssl, n))
            test_readable(peer->raw.fd, 20);
        else
            break;
    }
    ERR_clear_error();
    return got;
}

/* Asks for one small frame that the library has sent. */
TEST_UNUSED static void tls_expect(struct tls_peer* peer, int first_byte, const char* content,
                                   size_t size) {
    unsigned char head[6], body[126];
    const int masked = peer->raw.side == RAW_CLIENT;
    const size_t head_size = masked ? 6 : 2;
    assert_int_equal(tls_take(peer, head, head_size), head_size);
    assert_int_equal(head[0], first_byte);
    assert_int_equal(head[1], size | (masked ? 0x80U : 0U));
    assert_int_equal(tls_take(peer, body, size), size);
    for (size_t i = 0; masked && i < size; i++)
        body[i] = (unsigned char)(body[i] ^ head[2 + i % 4]);
    assert_memory_equal(body, content, size);
}

static void tls_open_accepted(struct tls_peer* peer, const struct tls_scene* scene) {
    struct tls_client client = {0};
    char head[1024];
    size_t got = 0;
    int sent = 0;
    peer->raw.listener = tls_listener_with(peer->raw.ctx, "server");
    tls_set_buffer(nopoll_conn_socket(peer->raw.listener), SO_SNDBUF, scene->send_buffer);
    client.ssl_ctx = tls_client_context("ca");
    if (scene->version != 0) SSL_CTX_set_max_proto_version(client.ssl_ctx, scene->version);
    if (scene->receive_buffer > 0) {
        /* The window is settled when the connection begins. */
        struct sockaddr_in address;
        memset(&address, 0, sizeof address);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons((uint16_t)test_port_of(nopoll_conn_socket(peer->raw.listener)));
        client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        tls_set_buffer(client.fd, SO_RCVBUF, scene->receive_buffer);
        assert_int_equal(connect(client.fd, (struct sockaddr*)&address, sizeof address), 0);
    } else {
        client.fd = test_connect(test_port_of(nopoll_conn_socket(peer->raw.listener)));
    }
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    client.ssl = SSL_new(client.ssl_ctx);
    SSL_set_fd(client.ssl, client.fd);
    SSL_set_connect_state(client.ssl);
    peer->raw.fd = client.fd;
    peer->ssl = client.ssl;
    peer->ssl_ctx = client.ssl_ctx;
    peer->raw.conn = nopoll_conn_accept(peer->raw.ctx, peer->raw.listener);
    assert_non_null(peer->raw.conn);
    nopoll_conn_ref(peer->raw.conn);
    while (SSL_do_handshake(client.ssl) != 1) {
        assert_false(nopoll_conn_is_ready(peer->raw.conn));
        assert_true(nopoll_conn_is_ok(peer->raw.conn));
        test_readable(client.fd, 10);
    }
    memcpy(head, TEST_REQUEST, strlen(TEST_REQUEST));
    got = strlen(TEST_REQUEST);
    if (scene->with_handshake != NULL)
        memcpy(head + got, scene->with_handshake, scene->with_handshake_size);
    sent = SSL_write(client.ssl, head, (int)(got + scene->with_handshake_size));
    assert_int_equal(sent, got + scene->with_handshake_size);
    raw_make_ready(&peer->raw);
    for (got = 0; got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4) != 0; got++)
        assert_int_equal(tls_take(peer, head + got, 1), 1);
    assert_memory_equal(head, "HTTP/1.1 101", 12);
}

static void tls_open_client(struct tls_peer* peer, const struct tls_scene* scene) {
    struct tls_server server;
    noPollConn* conn = NULL;
    char reply[1024];
    size_t size = 0;
    tls_server_prepare(&server, "server");
    server.upgrade = scene->with_handshake != NULL ? 2 : 1;
    if (scene->version != 0) SSL_CTX_set_max_proto_version(server.ssl_ctx, scene->version);
    tls_set_buffer(server.listening, SO_RCVBUF, scene->receive_buffer);
    tls_server_start(&server);
    conn = tls_connect_to(peer->raw.ctx, &server, tls_options(NULL, "ca", 1), "server.test");
    assert_true(nopoll_conn_is_ok(conn));
    tls_set_buffer(nopoll_conn_socket(conn), SO_SNDBUF, scene->send_buffer);
    tls_server_join(&server);
    peer->raw.conn = conn;
    peer->raw.fd = server.fd;
    peer->ssl = server.ssl;
    peer->ssl_ctx = server.ssl_ctx;
    close(server.listening);
    if (server.upgrade == 2) { /* the reply is ours */
        tls_reply_text(server.bytes, reply, sizeof reply);
        size = strlen(reply);
        memcpy(reply + size, scene->with_handshake, scene->with_handshake_size);
        size += scene->with_handshake_size;
        assert_int_equal(SSL_write(server.ssl, reply, (int)size), size);
    }
    SSL_CTX_set_info_callback(peer->ssl_ctx, NULL); /* it looks at `server` */
    SSL_set_info_callback(peer->ssl, NULL);
    assert_int_equal(fcntl(peer->raw.fd, F_SETFL, O_NONBLOCK), 0);
    raw_make_ready(&peer->raw);
}

TEST_UNUSED static void tls_open(struct tls_peer* peer, enum raw_side side,
                                 const struct tls_scene* scene) {
    static const struct tls_scene usual = {0};
    memset(peer, 0, sizeof *peer);
    peer->raw.side = side;
    peer->raw.ctx = nopoll_ctx_new();
    assert_non_null(peer->raw.ctx);
    (side == RAW_ACCEPTED ? tls_open_accepted : tls_open_client)(peer,
                                                                 scene != NULL ? scene : &usual);
    assert_true(nopoll_conn_is_tls_on(peer->raw.conn));
}

/* The test's end goes away without a word. */
TEST_UNUSED static void tls_drop_peer(struct tls_peer* peer) {
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ssl_ctx);
    if (peer->raw.fd >= 0) close(peer->raw.fd);
    peer->ssl = NULL;
    peer->ssl_ctx = NULL;
    peer->raw.fd = -1;
}

TEST_UNUSED static void tls_close(struct tls_peer* peer) {
    tls_drop_peer(peer);
    raw_close(&peer->raw);
}

/* Sockets that hold little: what the library sends soon waits. */
static const struct tls_scene kTlsTight = {4096, 4096, 0, NULL, 0};

#endif
