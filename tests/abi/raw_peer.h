/* SPDX-License-Identifier: MIT */
/* A connection of the library, ready to use, whose other end is a bare socket of the test: it
 * sends literal frames and looks at the frames that come back. The library's end is an accepted
 * connection or a client. Only the public headers of the library are used. */
#ifndef RAW_PEER_H
#define RAW_PEER_H

#include "abi_test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

enum raw_side { RAW_ACCEPTED, RAW_CLIENT };

struct raw_peer {
    noPollCtx* ctx;
    noPollConn* listener; /* with RAW_ACCEPTED: the test's own listener */
    noPollConn* conn;     /* the library's end; the test holds a reference */
    int fd;               /* our end */
    enum raw_side side;
};

/* Frames with FIN set, then without. */
enum {
    RAW_TEXT = 0x81,
    RAW_BINARY = 0x82,
    RAW_LAST = 0x80,
    RAW_CLOSE = 0x88,
    RAW_PING = 0x89,
    RAW_PONG = 0x8a,
    RAW_TEXT_PART = 0x01,
    RAW_BINARY_PART = 0x02,
    RAW_MIDDLE = 0x00
};

/* Exported, but in no installed header. */
#ifdef __cplusplus
extern "C"
#endif
    char*
    nopoll_conn_produce_accept_key(noPollCtx* ctx, const char* websocket_key);

TEST_UNUSED static void raw_make_ready(struct raw_peer* peer) {
    POLL_UNTIL(nopoll_conn_socket(peer->conn), nopoll_conn_is_ready(peer->conn));
}

/* Set for a while before opening: small segments and a small receive buffer at our end, so that
 * little fits on the road and the kernel does not wait for room for a large segment. */
static int raw_narrow_road;

TEST_UNUSED static int raw_socket(void) {
    const int one = 1, segment = 536, room = 4096;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (raw_narrow_road) {
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    }
    return fd;
}

TEST_UNUSED static int raw_connect(noPollConn* listener) {
    struct sockaddr_in address;
    const int fd = raw_socket();
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)test_port_of(nopoll_conn_socket(listener)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr*)&address, sizeof address), 0);
    return fd;
}

/* The library's end is an accepted connection of peer->listener. */
TEST_UNUSED static void raw_join_listener(struct raw_peer* peer) {
    char head[2048];
    peer->side = RAW_ACCEPTED;
    peer->fd = raw_connect(peer->listener);
    peer->conn = nopoll_conn_accept(peer->ctx, peer->listener);
    assert_non_null(peer->conn);
    nopoll_conn_ref(peer->conn);
    test_send_all(peer->fd, TEST_REQUEST, strlen(TEST_REQUEST));
    raw_make_ready(peer);
    assert_true(test_receive_head(peer->fd, head, sizeof head) > 12);
    assert_memory_equal(head, "HTTP/1.1 101", 12);
}

TEST_UNUSED static int raw_listen(void) {
    struct sockaddr_in address;
    const int fd = raw_socket();
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr*)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* Reads a client's request from the socket and writes the reply that accepts it into `reply`. */
TEST_UNUSED static void raw_reply_to(noPollCtx* ctx, int fd, char* reply, size_t capacity) {
    char head[4096];
    char key[64];
    char* accept_key;
    const char* at;
    assert_true(test_receive_head(fd, head, sizeof head) > 0);
    at = strstr(head, "Sec-WebSocket-Key: ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "Sec-WebSocket-Key: %63s", key), 1);
    accept_key = nopoll_conn_produce_accept_key(ctx, key);
    assert_non_null(accept_key);
    snprintf(reply, capacity,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept_key);
    nopoll_free(accept_key);
}

/* A client of the library connects to a bare listening socket; its request is not answered yet. */
TEST_UNUSED static void raw_start_client(struct raw_peer* peer, noPollConnOpts* options) {
    char port[8];
    int listening = raw_listen();
    peer->side = RAW_CLIENT;
    snprintf(port, sizeof port, "%d", test_port_of(listening) & 0xffff);
    peer->conn =
        nopoll_conn_new_opts(peer->ctx, options, "127.0.0.1", port, NULL, NULL, NULL, NULL);
    assert_non_null(peer->conn);
    assert_true(nopoll_conn_is_ok(peer->conn));
    peer->fd = accept(listening, NULL, NULL);
    assert_true(peer->fd >= 0);
    close(listening);
}

/* Opens another connection on the context (and listener) that the peer names. */
TEST_UNUSED static void raw_join(struct raw_peer* peer, enum raw_side side) {
    if (side == RAW_ACCEPTED) {
        raw_join_listener(peer);
    } else {
        char reply[512];
        raw_start_client(peer, NULL);
        raw_reply_to(peer->ctx, peer->fd, reply, sizeof reply);
        test_send_all(peer->fd, reply, strlen(reply));
        raw_make_ready(peer);
    }
}

TEST_UNUSED static void raw_open(struct raw_peer* peer, enum raw_side side) {
    memset(peer, 0, sizeof *peer);
    peer->ctx = nopoll_ctx_new();
    assert_non_null(peer->ctx);
    if (side == RAW_ACCEPTED) {
        peer->listener = nopoll_listener_new(peer->ctx, "127.0.0.1", "0");
        assert_true(nopoll_conn_is_ok(peer->listener));
    }
    raw_join(peer, side);
}

/* Ends one connection without a word, whatever state it is in. */
TEST_UNUSED static void raw_leave(struct raw_peer* peer) {
    if (peer->fd >= 0) close(peer->fd);
    nopoll_conn_shutdown(peer->conn);
    nopoll_ctx_unregister_conn(peer->ctx, peer->conn);
    nopoll_conn_unref(peer->conn);
}

TEST_UNUSED static void raw_close(struct raw_peer* peer) {
    raw_leave(peer);
    if (peer->listener != NULL) nopoll_conn_close(peer->listener);
    assert_int_equal(nopoll_ctx_conns(peer->ctx), 0);
    nopoll_ctx_unref(peer->ctx);
}

/* Tests that hold for both ends run twice. */
#define RAW_BOTH_SIDES(test)                                                                       \
    static void test##_accepted(void** state) {                                                    \
        (void)state;                                                                               \
        test(RAW_ACCEPTED);                                                                        \
    }                                                                                              \
    static void test##_client(void** state) {                                                      \
        (void)state;                                                                               \
        test(RAW_CLIENT);                                                                          \
    }
#define RAW_BOTH_TESTS(test) cmocka_unit_test(test##_accepted), cmocka_unit_test(test##_client)

/* --- frames we send: masked when the library's end is the server --- */

TEST_UNUSED static size_t raw_frame(const struct raw_peer* peer, void* out, int first_byte,
                                    const void* payload, size_t size) {
    return test_frame((unsigned char*)out, first_byte, peer->side == RAW_ACCEPTED, payload, size);
}

TEST_UNUSED static void raw_send(const struct raw_peer* peer, int first_byte, const void* payload,
                                 size_t size) {
    unsigned char* frame = (unsigned char*)malloc(size + 14);
    assert_non_null(frame);
    test_send_all(peer->fd, frame, raw_frame(peer, frame, first_byte, payload, size));
    free(frame);
}

TEST_UNUSED static void raw_send_text(const struct raw_peer* peer, const char* text) {
    raw_send(peer, RAW_TEXT, text, strlen(text));
}

/* The header of a frame of this size in the 64-bit form, with a key of zeros where one is due. */
TEST_UNUSED static size_t raw_long_header(const struct raw_peer* peer, unsigned char* out,
                                          int first_byte, uint64_t size) {
    size_t i;
    out[0] = (unsigned char)first_byte;
    out[1] = peer->side == RAW_ACCEPTED ? 0xff : 0x7f;
    for (i = 0; i < 8; i++)
        out[2 + i] = (unsigned char)(size >> (56 - 8 * i));
    memset(out + 10, 0, 4);
    return peer->side == RAW_ACCEPTED ? 14 : 10;
}

/* --- frames that come back --- */

struct raw_reply {
    int first_byte; /* -1: the stream ended instead */
    int masked;
    size_t size;
    unsigned char payload[70000]; /* unmasked, with a 0 byte behind it */
};

/* The next frame; it must be shorter than 65536 bytes. */
TEST_UNUSED static int raw_receive(int fd, struct raw_reply* reply) {
    unsigned char head[4];
    unsigned char key[4];
    size_t i;
    reply->first_byte = -1;
    reply->size = 0;
    if (test_receive(fd, head, 2) < 2) return -1;
    reply->masked = (head[1] & 0x80) != 0;
    reply->size = head[1] & 0x7f;
    assert_true(reply->size < 127);
    if (reply->size == 126) {
        assert_int_equal(test_receive(fd, head + 2, 2), 2);
        reply->size = (size_t)head[2] << 8 | head[3];
    }
    if (reply->masked) assert_int_equal(test_receive(fd, key, 4), 4);
    assert_int_equal(test_receive(fd, reply->payload, reply->size), reply->size);
    for (i = 0; reply->masked && i < reply->size; i++)
        reply->payload[i] = (unsigned char)(reply->payload[i] ^ key[i % 4]);
    reply->payload[reply->size] = 0;
    reply->first_byte = head[0];
    return reply->first_byte;
}

/* Asks for one frame of this kind and content, masked as it has to be. */
#define RAW_EXPECT(peer, first, content, length)                                                   \
    do {                                                                                           \
        static struct raw_reply raw_got;                                                           \
        raw_receive((peer)->fd, &raw_got);                                                         \
        assert_int_equal(raw_got.first_byte, (first));                                             \
        assert_int_equal(raw_got.masked, (peer)->side == RAW_CLIENT);                              \
        assert_int_equal(raw_got.size, (length));                                                  \
        assert_memory_equal(raw_got.payload, (content), (length));                                 \
    } while (0)

#define RAW_EXPECT_TEXT(peer, text) RAW_EXPECT(peer, RAW_TEXT, text, strlen(text))

TEST_UNUSED static const unsigned char* raw_close_body(int code) {
    static unsigned char body[2];
    body[0] = (unsigned char)(code >> 8);
    body[1] = (unsigned char)code;
    return body;
}

/* Asks for a Close frame with this code (0: an empty one) as the last thing before the end. */
#define RAW_EXPECT_CLOSE(peer, code)                                                               \
    do {                                                                                           \
        char raw_rest;                                                                             \
        const int raw_code = (code);                                                               \
        RAW_EXPECT(peer, RAW_CLOSE, raw_close_body(raw_code), raw_code == 0 ? 0U : 2U);            \
        assert_int_equal(test_receive((peer)->fd, &raw_rest, 1), 0);                               \
    } while (0)

/* The stream is over, without a frame. */
#define RAW_EXPECT_END(peer)                                                                       \
    do {                                                                                           \
        char raw_rest;                                                                             \
        assert_int_equal(test_receive((peer)->fd, &raw_rest, 1), 0);                               \
    } while (0)

/* --- messages --- */

#define EXPECT_MSG(msg, code, content, length, final, fragment)                                    \
    do {                                                                                           \
        noPollMsg* test_msg = (msg);                                                               \
        assert_non_null(test_msg);                                                                 \
        assert_int_equal(nopoll_msg_opcode(test_msg), (code));                                     \
        assert_int_equal(nopoll_msg_get_payload_size(test_msg), (length));                         \
        assert_memory_equal(nopoll_msg_get_payload(test_msg), (content), (length));                \
        assert_int_equal(nopoll_msg_get_payload(test_msg)[length], 0);                             \
        assert_int_equal(nopoll_msg_is_final(test_msg), (final));                                  \
        assert_int_equal(nopoll_msg_is_fragment(test_msg), (fragment));                            \
        assert_int_equal(nopoll_msg_ref_count(test_msg), 1);                                       \
        nopoll_msg_unref(test_msg);                                                                \
    } while (0)

/* NULL now, and the reason is that nothing is there. */
#define EXPECT_NOTHING(conn)                                                                       \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_null(nopoll_conn_get_msg(conn));                                                    \
        assert_int_equal(errno, NOPOLL_EWOULDBLOCK);                                               \
        assert_true(nopoll_conn_is_ok(conn));                                                      \
    } while (0)

/* As LOOP_UNTIL, but each wait ends as soon as somebody was served. */
#define SERVE_UNTIL(ctx, condition)                                                                \
    do {                                                                                           \
        const long raw_end = test_now_ms() + TEST_LIMIT_MS;                                        \
        while (!(condition) && test_now_ms() < raw_end)                                            \
            nopoll_loop_wait((ctx), 1);                                                            \
        assert_true(condition);                                                                    \
    } while (0)

/* Until this many bytes wait in the kernel for the library's end. */
TEST_UNUSED static void raw_wait_arrived(const struct raw_peer* peer, int bytes) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    int there = 0;
    do {
        assert_int_equal(ioctl(nopoll_conn_socket(peer->conn), FIONREAD, &there), 0);
        if (there < bytes) poll(NULL, 0, 1);
    } while (there < bytes && test_now_ms() < end);
    assert_true(there >= bytes);
}

#endif
