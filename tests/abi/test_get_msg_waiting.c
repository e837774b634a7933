/* SPDX-License-Identifier: MIT */
/* When nopoll_conn_get_msg waits (hardly ever), what errno says afterwards, and programs that
 * change between the loop and their own reading as they like (spec: frames.md 2, 3). */
#include "raw_peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

/* --- errno --- */

#define EXPECT_ENDED(conn)                                                                         \
    do {                                                                                           \
        errno = -1;                                                                                \
        assert_null(nopoll_conn_get_msg(conn));                                                    \
        assert_int_equal(errno, 0);                                                                \
        assert_false(nopoll_conn_is_ok(conn));                                                     \
    } while (0)

static void errno_of_each_reason(enum raw_side side) {
    struct raw_peer peer;
    errno = NOPOLL_EWOULDBLOCK;
    assert_null(nopoll_conn_get_msg(NULL));
    assert_int_equal(errno, EBADF); /* no connection */

    raw_open(&peer, side);
    EXPECT_NOTHING(peer.conn);
    test_send_all(peer.fd, "\x81", 1);
    raw_wait_arrived(&peer, 1);
    EXPECT_NOTHING(peer.conn); /* header incomplete */
    raw_leave(&peer);

    raw_join(&peer, side);
    raw_send(&peer, RAW_PING, "x", 1);
    raw_wait_arrived(&peer, side == RAW_ACCEPTED ? 7 : 3);
    errno = -1;
    assert_null(nopoll_conn_get_msg(peer.conn));
    assert_int_equal(errno, 0); /* control frame handled */
    assert_true(nopoll_conn_is_ok(peer.conn));
    EXPECT_NOTHING(peer.conn);
    raw_send(&peer, RAW_CLOSE, "", 0);
    raw_wait_arrived(&peer, side == RAW_ACCEPTED ? 6 : 2);
    EXPECT_ENDED(peer.conn); /* Close received */
    errno = 0;
    assert_null(nopoll_conn_get_msg(peer.conn));
    assert_int_equal(errno, EBADF); /* not ok already */
    raw_leave(&peer);

    raw_join(&peer, side);
    test_send_all(peer.fd, "\xff", 1);
    raw_wait_arrived(&peer, 1);
    EXPECT_ENDED(peer.conn); /* protocol error */
    raw_leave(&peer);

    raw_join(&peer, side);
    shutdown(peer.fd, SHUT_WR);
    assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
    EXPECT_ENDED(peer.conn); /* end of stream */
    raw_leave(&peer);

    raw_join(&peer, side);
    close(nopoll_conn_socket(peer.conn));
    errno = 0;
    assert_null(nopoll_conn_get_msg(peer.conn));
    assert_int_equal(errno, EBADF); /* the descriptor was closed under the library */
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

/* A reset: the connection is over, so that must not look like "try again". */
static void errno_of_a_reset(enum raw_side side) {
    struct raw_peer peer;
    const struct linger hard = {1, 0};
    raw_open(&peer, side);
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(peer.fd);
    peer.fd = -1;
    assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
    errno = NOPOLL_EWOULDBLOCK;
    assert_null(nopoll_conn_get_msg(peer.conn));
    assert_int_not_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

/* --- waiting --- */

/* Accepted sockets are in blocking mode, and stay so; reading them never waits all the same. If it
 * did, the test program would hang here. */
static void accepted_never_waits(void** state) {
    struct raw_peer peer;
    unsigned char frame[300];
    char buffer[8];
    size_t size, i;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    assert_false(fcntl(nopoll_conn_socket(peer.conn), F_GETFL) & O_NONBLOCK);
    EXPECT_NOTHING(peer.conn);
    assert_int_equal(nopoll_conn_read(peer.conn, buffer, 8, nopoll_false, 0), -1);
    size = raw_frame(&peer, frame, RAW_TEXT, "0123456789", 10);
    for (i = 0; i < size - 1; i++) {
        test_send_all(peer.fd, frame + i, 1);
        raw_wait_arrived(&peer, 1);
        EXPECT_NOTHING(peer.conn);
    }
    test_send_all(peer.fd, frame + i, 1);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "0123456789", 10, 1, 0);
    assert_false(fcntl(nopoll_conn_socket(peer.conn), F_GETFL) & O_NONBLOCK);
    raw_close(&peer);
}

/* Nor before the handshake is over, in its first byte or in the middle of the head. */
static void handshake_never_waits(void** state) {
    struct raw_peer peer;
    (void)state;
    memset(&peer, 0, sizeof peer);
    peer.ctx = nopoll_ctx_new();
    peer.listener = nopoll_listener_new(peer.ctx, "127.0.0.1", "0");
    peer.fd = test_connect(test_port_of(nopoll_conn_socket(peer.listener)));
    peer.conn = nopoll_conn_accept(peer.ctx, peer.listener);
    nopoll_conn_ref(peer.conn);
    EXPECT_NOTHING(peer.conn);
    assert_false(nopoll_conn_is_ready(peer.conn));
    test_send_all(peer.fd, "GET / HT", 8);
    raw_wait_arrived(&peer, 8);
    EXPECT_NOTHING(peer.conn);
    assert_false(nopoll_conn_is_ready(peer.conn));
    assert_false(nopoll_conn_wait_until_connection_ready(peer.conn, 0));
    raw_close(&peer);
}

/* Silent peers, with a half frame, half a head or nothing, do not hold up the loop. */
static void silent_peers_do_not_stop_the_loop(void** state) {
    struct raw_peer silent, half, busy;
    noPollMsg* msg;
    int fd;
    (void)state;
    raw_open(&silent, RAW_ACCEPTED);
    half = busy = silent;
    raw_join(&half, RAW_ACCEPTED);
    fd = test_connect(test_port_of(nopoll_conn_socket(silent.listener)));
    test_send_all(fd, "GET / HTTP/1.1\r\nHo", 18);
    test_send_all(half.fd, "\x81\x85\x01", 3);
    LOOP_UNTIL(silent.ctx, nopoll_ctx_conns(silent.ctx) == 4);
    raw_join(&busy, RAW_ACCEPTED);
    raw_send_text(&busy, "through");
    msg = test_get_msg(busy.conn);
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, "through", 7, 1, 0);
    assert_int_equal(nopoll_loop_wait(silent.ctx, 20000), -3);
    close(fd);
    LOOP_UNTIL(silent.ctx, nopoll_ctx_conns(silent.ctx) == 4);
    raw_leave(&busy);
    raw_leave(&half);
    raw_close(&silent);
}

/* --- a client in blocking mode: the first byte is waited for, as with the original --- */

struct sender {
    int fd;
    pid_t reader; /* the thread that is to be asleep first */
    const unsigned char* bytes;
    size_t size;
};

/* Sends when the reading thread is asleep in the kernel, or after a second. */
static void* send_when_asleep(void* data) {
    const struct sender* sender = (const struct sender*)data;
    const long end = test_now_ms() + 1000;
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)sender->reader);
    while (test_now_ms() < end) {
        FILE* file = fopen(path, "r");
        const char* state = NULL;
        if (file != NULL && fgets(line, sizeof line, file) != NULL) state = strrchr(line, ')');
        if (file != NULL) fclose(file);
        if (state != NULL && state[1] == ' ' && state[2] == 'S') break;
        poll(NULL, 0, 1);
    }
    test_send_all(sender->fd, sender->bytes, sender->size);
    return NULL;
}

static void blocking_client_waits_for_the_first_byte(void** state) {
    struct raw_peer peer;
    unsigned char frame[32];
    pthread_t thread;
    struct sender sender;
    noPollMsg* msg;
    (void)state;
    raw_open(&peer, RAW_CLIENT);
    assert_true(nopoll_conn_set_sock_block(nopoll_conn_socket(peer.conn), nopoll_true));
    sender.fd = peer.fd;
    sender.reader = (pid_t)syscall(SYS_gettid);
    sender.bytes = frame;
    sender.size = raw_frame(&peer, frame, RAW_TEXT, "waited for", 10);
    assert_int_equal(pthread_create(&thread, NULL, send_when_asleep, &sender), 0);
    msg = nopoll_conn_get_msg(peer.conn);
    pthread_join(thread, NULL);
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, "waited for", 10, 1, 0);
    /* Only for the first byte. */
    test_send_all(peer.fd, frame, 5);
    raw_wait_arrived(&peer, 5);
    EXPECT_NOTHING(peer.conn);
    test_send_all(peer.fd, frame + 5, sender.size - 5);
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "waited for", 10, 1, 0);
    /* And neither in the loop nor where the program asked not to wait. */
    assert_int_equal(nopoll_loop_wait(peer.ctx, 20000), -3);
    assert_int_equal(nopoll_conn_read(peer.conn, (char*)frame, 5, nopoll_false, 0), -1);
    assert_true(nopoll_conn_is_ready(peer.conn));
    raw_close(&peer);
}

/* --- loop and own reading in turn --- */

struct stream {
    char text[8192]; /* of what was received, messages one after the other */
    size_t size;
};

static void append(struct stream* stream, const void* bytes, size_t size) {
    assert_true(stream->size + size <= sizeof stream->text);
    memcpy(stream->text + stream->size, bytes, size);
    stream->size += size;
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    append((struct stream*)data, nopoll_msg_get_payload(msg),
           (size_t)nopoll_msg_get_payload_size(msg));
}

static unsigned next_random(unsigned* seed) {
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 16;
}

/* 200 messages, some empty, with pings between them, cut at random, read in three ways in random
 * order: every byte comes once and in order. */
static void change_between_loop_and_own_reading(enum raw_side side) {
    static unsigned char wire[32768];
    static struct stream sent, received;
    unsigned seed;
    for (seed = 1; seed <= 10; seed++) {
        struct raw_peer peer;
        unsigned random = seed;
        size_t size = 0, at = 0;
        int i;
        const long end = test_now_ms() + TEST_LIMIT_MS;
        sent.size = received.size = 0;
        raw_open(&peer, side);
        nopoll_ctx_set_on_msg(peer.ctx, on_msg, &received);
        for (i = 0; i < 200; i++) {
            unsigned char payload[60];
            const size_t length = next_random(&random) % 40;
            memset(payload, 'a' + i % 26, sizeof payload);
            size += raw_frame(&peer, wire + size, RAW_BINARY, payload, length);
            append(&sent, payload, length);
            if (i % 5 == 0) size += raw_frame(&peer, wire + size, RAW_PING, "p", 1);
        }
        while (received.size < sent.size && test_now_ms() < end) {
            size_t part = next_random(&random) % 200;
            char buffer[16];
            noPollMsg* msg;
            int n;
            if (part > size - at) part = size - at;
            test_send_all(peer.fd, wire + at, part);
            at += part;
            switch (next_random(&random) % 3) {
            case 0: nopoll_loop_wait(peer.ctx, 1); break;
            case 1:
                if (!test_readable(nopoll_conn_socket(peer.conn), 0) &&
                    nopoll_conn_read_pending(peer.conn) == 0)
                    break;
                /* What read holds back comes first, or the order would be mixed up. */
                n = nopoll_conn_read_pending(peer.conn) > 0
                        ? nopoll_conn_read(peer.conn, buffer, sizeof buffer, nopoll_false, 0)
                        : 0;
                if (n > 0) append(&received, buffer, (size_t)n);
                if (nopoll_conn_read_pending(peer.conn) > 0) break;
                msg = nopoll_conn_get_msg(peer.conn);
                if (msg != NULL)
                    append(&received, nopoll_msg_get_payload(msg),
                           (size_t)nopoll_msg_get_payload_size(msg));
                nopoll_msg_unref(msg);
                break;
            default:
                do {
                    n = nopoll_conn_read(peer.conn, buffer, sizeof buffer, nopoll_false, 0);
                    if (n > 0) append(&received, buffer, (size_t)n);
                } while (nopoll_conn_read_pending(peer.conn) > 0);
            }
        }
        assert_int_equal(received.size, sent.size);
        assert_memory_equal(received.text, sent.text, sent.size);
        raw_close(&peer);
    }
}

RAW_BOTH_SIDES(errno_of_each_reason)
RAW_BOTH_SIDES(errno_of_a_reset)
RAW_BOTH_SIDES(change_between_loop_and_own_reading)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(errno_of_each_reason),
        RAW_BOTH_TESTS(errno_of_a_reset),
        cmocka_unit_test(accepted_never_waits),
        cmocka_unit_test(handshake_never_waits),
        cmocka_unit_test(silent_peers_do_not_stop_the_loop),
        cmocka_unit_test(blocking_client_waits_for_the_first_byte),
        RAW_BOTH_TESTS(change_between_loop_and_own_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
