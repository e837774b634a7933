/* SPDX-License-Identifier: MIT */
/* The other end of a connection as a plain TCP program: literal bytes out, every byte that comes
 * back looked at, up to the end of the stream. A raw client at a listener, a raw server for a
 * client. For frames on a ready connection see raw_peer.h. */
#ifndef ABI_STREAM_PEER_H
#define ABI_STREAM_PEER_H

#include "abi_test.h"

#include <errno.h>
#include <fcntl.h>

/* Exported, in no header. */
char* nopoll_conn_produce_accept_key(noPollCtx* ctx, const char* websocket_key);

/* Accept value of the key in TEST_REQUEST (the example of RFC 6455 1.3). */
#define PEER_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define PEER_SWITCHING                                                                             \
    "HTTP/1.1 101 Switching Protocols\r\n"                                                         \
    "Upgrade: websocket\r\n"                                                                       \
    "Connection: Upgrade\r\n"                                                                      \
    "Sec-WebSocket-Accept: " PEER_ACCEPT "\r\n"

/* Asserts inside a table: which row it was comes first. */
#define ROW_CHECK(row, condition)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("row \"%s\": %s\n", (row), #condition);                                    \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* What a peer saw of a stream. */
typedef struct {
    char bytes[16384];
    size_t size;
    int ended; /* end of stream, or a reset */
    int error; /* errno of a reset, 0 otherwise */
    int reset; /* a reset came, maybe behind the end of the stream */
} peer_stream;

/* A connection that was reset is hung up in both directions; one whose peer has ended its own
 * direction is not. */
TEST_UNUSED static int peer_was_reset(int fd) {
    struct pollfd pfd = {fd, POLLIN, 0};
    return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)) != 0;
}

/* Takes in what is there now. */
TEST_UNUSED static void peer_take(int fd, peer_stream* seen) {
    while (!seen->ended && seen->size + 1 < sizeof seen->bytes) {
        const ssize_t got =
            recv(fd, seen->bytes + seen->size, sizeof seen->bytes - 1 - seen->size, MSG_DONTWAIT);
        if (got > 0) {
            seen->size += (size_t)got;
        } else if (got == 0) {
            seen->ended = 1;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            seen->ended = 1;
            seen->error = errno;
        }
    }
    if (seen->ended) seen->reset = seen->error != 0 || peer_was_reset(fd);
    seen->bytes[seen->size] = 0;
}

/* Runs the loop until the stream has ended. */
TEST_UNUSED static void peer_until_end(noPollCtx* ctx, int fd, peer_stream* seen) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    memset(seen, 0, sizeof *seen);
    do {
        nopoll_loop_wait(ctx, 1);
        peer_take(fd, seen);
    } while (!seen->ended && test_now_ms() < end);
    assert_true(seen->ended);
}

/* The same for a stream whose end needs no loop. */
TEST_UNUSED static void peer_read_to_end(int fd, peer_stream* seen) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    memset(seen, 0, sizeof *seen);
    do {
        test_readable(fd, 100);
        peer_take(fd, seen);
    } while (!seen->ended && test_now_ms() < end);
    assert_true(seen->ended);
}

/* Sends these bytes to a listener, runs the loop, and returns all that was answered. */
TEST_UNUSED static void peer_exchange(noPollCtx* ctx, noPollConn* listener, const void* bytes,
                                      size_t size, peer_stream* seen) {
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    test_send_all(fd, bytes, size);
    peer_until_end(ctx, fd, seen);
    close(fd);
}

/* A connected pair of local stream sockets. */
TEST_UNUSED static void peer_socketpair(int fds[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* A listening socket of the test's own. */
TEST_UNUSED static int peer_listen(int backlog) {
    struct sockaddr_in address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr*)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* Port of a socket as text; a few results stay valid. */
TEST_UNUSED static const char* peer_port(int fd) {
    static char ring[8][8];
    static unsigned at;
    char* const text = ring[at++ % 8];
    snprintf(text, sizeof ring[0], "%d", test_port_of(fd) & 0xffff);
    return text;
}

TEST_UNUSED static int peer_accept(int listening) {
    assert_true(test_readable(listening, TEST_LIMIT_MS));
    const int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* The value of a header in a head; NULL when it is not there. */
TEST_UNUSED static const char* peer_header(const char* head, const char* name, char* value,
                                           size_t capacity) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\r\n%s: ", name);
    const char* const at = strstr(head, pattern);
    if (at == NULL) return NULL;
    const char* const from = at + strlen(pattern);
    const size_t size = (size_t)(strstr(from, "\r\n") - from);
    assert_true(size < capacity);
    memcpy(value, from, size);
    value[size] = 0;
    return value;
}

/* The accept value that belongs to a request; a few results stay valid. */
TEST_UNUSED static const char* peer_accept_value(const char* request) {
    static char ring[4][64];
    static unsigned at;
    char key[64];
    char* const text = ring[at++ % 4];
    assert_non_null(peer_header(request, "Sec-WebSocket-Key", key, sizeof key));
    char* const value = nopoll_conn_produce_accept_key(NULL, key);
    assert_non_null(value);
    snprintf(text, sizeof ring[0], "%s", value);
    free(value);
    return text;
}

/* One end of a WebSocket connection is the library's, the other a raw descriptor. */
typedef struct {
    noPollCtx* ctx;
    noPollConn* listener; /* only where the library is the server */
    noPollConn* conn;
    int fd;
    int listening; /* only where the library is the client */
    char request[4096];
} peer_scene;

/* A listener with one raw client whose handshake is over, driven by direct calls. */
TEST_UNUSED static void peer_server_scene(peer_scene* scene, noPollCtx* ctx) {
    char head[1024];
    memset(scene, 0, sizeof *scene);
    scene->ctx = ctx != NULL ? ctx : nopoll_ctx_new();
    scene->listener = nopoll_listener_new(scene->ctx, "127.0.0.1", "0");
    assert_non_null(scene->listener);
    scene->fd = test_connect(test_port_of(nopoll_conn_socket(scene->listener)));
    test_send_all(scene->fd, TEST_REQUEST, strlen(TEST_REQUEST));
    scene->conn = nopoll_conn_accept(scene->ctx, scene->listener);
    assert_non_null(scene->conn);
    POLL_UNTIL(nopoll_conn_socket(scene->conn), nopoll_conn_is_ready(scene->conn));
    test_receive_head(scene->fd, head, sizeof head);
    assert_memory_equal(head, "HTTP/1.1 101", 12);
    scene->listening = -1;
}

/* A client of the library whose request a raw server has read, and not answered yet. */
TEST_UNUSED static void peer_client_asking(peer_scene* scene, noPollCtx* ctx,
                                           noPollConnOpts* options, const char* protocols) {
    memset(scene, 0, sizeof *scene);
    scene->ctx = ctx != NULL ? ctx : nopoll_ctx_new();
    scene->listening = peer_listen(4);
    scene->conn = nopoll_conn_new_opts(scene->ctx, options, "127.0.0.1",
                                       peer_port(scene->listening), NULL, NULL, protocols, NULL);
    assert_true(nopoll_conn_is_ok(scene->conn));
    scene->fd = peer_accept(scene->listening);
    test_receive_head(scene->fd, scene->request, sizeof scene->request);
    assert_memory_equal(scene->request, "GET ", 4);
}

/* The reply that makes the client ready; extra header lines may be added. */
TEST_UNUSED static void peer_answer(const peer_scene* scene, const char* extra_lines) {
    char reply[1024];
    snprintf(reply, sizeof reply,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n%s\r\n",
             peer_accept_value(scene->request), extra_lines);
    test_send_all(scene->fd, reply, strlen(reply));
}

TEST_UNUSED static void peer_client_scene(peer_scene* scene, noPollCtx* ctx) {
    peer_client_asking(scene, ctx, NULL, NULL);
    peer_answer(scene, "");
    POLL_UNTIL(nopoll_conn_socket(scene->conn), nopoll_conn_is_ready(scene->conn));
}

/* What is left is closed; the scene's context reference must be the last one. */
TEST_UNUSED static void peer_end(peer_scene* scene) {
    if (scene->conn != NULL) nopoll_conn_close(scene->conn);
    if (scene->listener != NULL) nopoll_conn_close(scene->listener);
    if (scene->fd >= 0) close(scene->fd);
    if (scene->listening >= 0) close(scene->listening);
    assert_int_equal(nopoll_ctx_conns(scene->ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(scene->ctx), 1);
    nopoll_ctx_unref(scene->ctx);
}

/* Connection objects that exist, where the test holds the context once itself. */
TEST_UNUSED static int peer_objects(noPollCtx* ctx) {
    return nopoll_ctx_ref_count(ctx) - 1;
}

/* For nopoll_ctx_foreach_conn: finds an accepted connection. */
TEST_UNUSED static nopoll_bool peer_is_accepted(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    return nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER;
}

TEST_UNUSED static nopoll_bool peer_close_visited(noPollCtx* ctx, noPollConn* conn,
                                                  noPollPtr data) {
    (void)ctx;
    (void)data;
    if (nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER) nopoll_conn_close(conn);
    return nopoll_false;
}

/* Ends all accepted connections that the registry alone holds, dead ones too. */
TEST_UNUSED static void peer_close_accepted(noPollCtx* ctx) {
    nopoll_ctx_foreach_conn(ctx, peer_close_visited, NULL);
}

TEST_UNUSED static int peer_is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

/* Where the loopback interface has no IPv6, a test that needs it says so and skips. */
TEST_UNUSED static int peer_has_ipv6(void) {
    struct sockaddr_in6 address;
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_addr.s6_addr[15] = 1;
    const int usable = fd >= 0 && bind(fd, (struct sockaddr*)&address, sizeof address) == 0;
    if (fd >= 0) close(fd);
    if (!usable) print_message("no IPv6 on the loopback interface\n");
    return usable;
}

#endif
