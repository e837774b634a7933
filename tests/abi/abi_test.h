/* SPDX-License-Identifier: MIT */
/* What the ABI tests share: CMocka, waiting for conditions, pairs of connections, and raw peers
 * that send literal bytes. Only the public headers of the library are used. */
#ifndef ABI_TEST_H
#define ABI_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <nopoll.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#if defined(__GNUC__)
#define TEST_UNUSED __attribute__((unused))
#else
#define TEST_UNUSED
#endif

/* How many times more patience a test needs where everything is slow: under memcheck, say. */
TEST_UNUSED static int test_slowdown(void) {
    const char* const factor = getenv("NOPOLL_TEST_SLOWDOWN");
    const int value = factor != NULL ? atoi(factor) : 1;
    return value > 1 ? value : 1;
}

/* No wait in a test takes longer; a test program is ended after five of these. */
#define TEST_LIMIT_MS (10000 * test_slowdown())

TEST_UNUSED static long test_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* Runs the loop in short slices until the condition holds. */
#define LOOP_UNTIL(ctx, condition)                                                                 \
    do {                                                                                           \
        long test_end = test_now_ms() + TEST_LIMIT_MS;                                             \
        while (!(condition) && test_now_ms() < test_end)                                           \
            nopoll_loop_wait((ctx), 10000);                                                        \
        assert_true(condition);                                                                    \
    } while (0)

/* The same for a program without the loop: waits until the descriptor shows something, or 20 ms. */
#define POLL_UNTIL(descriptor, condition)                                                          \
    do {                                                                                           \
        long test_end = test_now_ms() + TEST_LIMIT_MS;                                             \
        while (!(condition) && test_now_ms() < test_end) {                                         \
            struct pollfd test_pfd = {0, POLLIN, 0};                                               \
            test_pfd.fd = (descriptor);                                                            \
            poll(&test_pfd, 1, 20);                                                                \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

TEST_UNUSED static int test_readable(int fd, int ms) {
    struct pollfd pfd = {0, POLLIN, 0};
    pfd.fd = fd;
    return poll(&pfd, 1, ms) > 0;
}

TEST_UNUSED static int test_port_of(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr*)&address, &size), 0);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6*)(void*)&address)->sin6_port);
    return ntohs(((struct sockaddr_in*)(void*)&address)->sin_port);
}

/* Port of a listener as text; a few results stay valid. */
TEST_UNUSED static const char* test_port(noPollConn* listener) {
    static char ring[8][8];
    static unsigned at;
    char* text = ring[at++ % 8];
    snprintf(text, sizeof ring[0], "%d", test_port_of(nopoll_conn_socket(listener)) & 0xffff);
    return text;
}

/* A TCP connection of the test's own to a local port. */
TEST_UNUSED static int test_connect(int port) {
    struct sockaddr_in address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr*)&address, sizeof address), 0);
    setsockopt(fd, 6 /* IPPROTO_TCP */, 1 /* TCP_NODELAY */, &one, sizeof one);
    return fd;
}

TEST_UNUSED static void test_send_all(int fd, const void* bytes, size_t size) {
    const char* at = (const char*)bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

/* Reads until `size` bytes are there or the stream ends; returns how many came. */
TEST_UNUSED static size_t test_receive(int fd, void* bytes, size_t size) {
    size_t got = 0;
    long end = test_now_ms() + TEST_LIMIT_MS;
    while (got < size && test_now_ms() < end && test_readable(fd, (int)(end - test_now_ms()))) {
        ssize_t n = recv(fd, (char*)bytes + got, size - got, 0);
        if (n <= 0) break;
        got += (size_t)n;
    }
    return got;
}

/* Reads one HTTP head, up to its blank line; returns its size, 0-terminates. */
TEST_UNUSED static size_t test_receive_head(int fd, char* head, size_t capacity) {
    size_t got = 0;
    while (got + 1 < capacity && test_receive(fd, head + got, 1) == 1) {
        got++;
        if (got >= 4 && memcmp(head + got - 4, "\r\n\r\n", 4) == 0) break;
    }
    head[got] = 0;
    return got;
}

#define TEST_REQUEST                                                                               \
    "GET / HTTP/1.1\r\n"                                                                           \
    "Host: localhost\r\n"                                                                          \
    "Upgrade: websocket\r\n"                                                                       \
    "Connection: Upgrade\r\n"                                                                      \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                                              \
    "Sec-WebSocket-Version: 13\r\n"                                                                \
    "Origin: http://localhost\r\n"                                                                 \
    "\r\n"

/* A context with a listener, a client and the accepted counterpart, all ready. */
typedef struct {
    noPollCtx* ctx;
    noPollConn* listener;
    noPollConn* client;
    noPollConn* server;
} test_pair;

TEST_UNUSED static void test_pair_connect(test_pair* pair, noPollConnOpts* options) {
    pair->client = nopoll_conn_new_opts(pair->ctx, options, "127.0.0.1", test_port(pair->listener),
                                        NULL, NULL, NULL, NULL);
    assert_non_null(pair->client);
    pair->server = nopoll_conn_accept(pair->ctx, pair->listener);
    assert_non_null(pair->server);
    POLL_UNTIL(nopoll_conn_socket(pair->server), nopoll_conn_is_ready(pair->server));
    POLL_UNTIL(nopoll_conn_socket(pair->client), nopoll_conn_is_ready(pair->client));
}

TEST_UNUSED static void test_pair_open(test_pair* pair) {
    memset(pair, 0, sizeof *pair);
    pair->ctx = nopoll_ctx_new();
    assert_non_null(pair->ctx);
    pair->listener = nopoll_listener_new(pair->ctx, "127.0.0.1", "0");
    assert_non_null(pair->listener);
    test_pair_connect(pair, NULL);
}

TEST_UNUSED static void test_pair_close(test_pair* pair) {
    nopoll_conn_close(pair->client);
    nopoll_conn_close(pair->server);
    nopoll_conn_close(pair->listener);
    nopoll_ctx_unref(pair->ctx);
}

/* The next message, waiting on the socket; NULL when the connection ends or time is over. */
TEST_UNUSED static noPollMsg* test_get_msg(noPollConn* conn) {
    long end = test_now_ms() + TEST_LIMIT_MS;
    while (nopoll_conn_is_ok(conn) && test_now_ms() < end) {
        noPollMsg* msg;
        if (nopoll_conn_read_pending(conn) == 0 && !test_readable(nopoll_conn_socket(conn), 20))
            continue;
        msg = nopoll_conn_get_msg(conn);
        if (msg != NULL) return msg;
    }
    return NULL;
}

/* Collects log records, to look for a text in them. */
typedef struct {
    char text[65536];
    size_t used;
    int records;
    int criticals;
} test_log;

TEST_UNUSED static void test_log_record(noPollCtx* ctx, noPollDebugLevel level, const char* message,
                                        noPollPtr data) {
    test_log* log = (test_log*)data;
    size_t size = strlen(message);
    (void)ctx;
    log->records++;
    if (level == NOPOLL_LEVEL_CRITICAL) log->criticals++;
    if (log->used + size + 2 > sizeof log->text) return;
    memcpy(log->text + log->used, message, size);
    log->used += size;
    log->text[log->used++] = '\n';
    log->text[log->used] = 0;
}

/* Writes one frame (masked with the key 11 22 33 44 if asked for) into `out`; returns its size. */
TEST_UNUSED static size_t test_frame(unsigned char* out, int first_byte, int masked,
                                     const void* payload, size_t size) {
    static const unsigned char key[4] = {0x11, 0x22, 0x33, 0x44};
    const unsigned char* from = (const unsigned char*)payload;
    size_t head = 2, i;
    out[0] = (unsigned char)first_byte;
    if (size < 126) {
        out[1] = (unsigned char)size;
    } else if (size < 65536) {
        out[1] = 126;
        out[2] = (unsigned char)(size >> 8);
        out[3] = (unsigned char)size;
        head = 4;
    } else {
        out[1] = 127;
        for (i = 0; i < 8; i++)
            out[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        head = 10;
    }
    if (masked) {
        out[1] |= 0x80;
        memcpy(out + head, key, 4);
        head += 4;
    }
    for (i = 0; i < size; i++)
        out[head + i] = masked ? (unsigned char)(from[i] ^ key[i % 4]) : from[i];
    return head + size;
}

/* A raw client that has shaken hands with a listener whose loop is driven meanwhile. */
TEST_UNUSED static int test_raw_client(noPollCtx* ctx, noPollConn* listener) {
    char head[2048];
    size_t got = 0;
    long end = test_now_ms() + TEST_LIMIT_MS;
    int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
    while ((got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4) != 0) && test_now_ms() < end) {
        nopoll_loop_wait(ctx, 10000);
        while (got < sizeof head && recv(fd, head + got, 1, MSG_DONTWAIT) == 1) {
            got++;
            if (got >= 4 && memcmp(head + got - 4, "\r\n\r\n", 4) == 0) break;
        }
    }
    assert_true(got > 12 && memcmp(head, "HTTP/1.1 101", 12) == 0);
    return fd;
}

#endif
