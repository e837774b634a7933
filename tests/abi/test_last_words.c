/* SPDX-License-Identifier: MIT */
/* The last frame of a connection reaches a peer that is in the middle of sending: what it sends is
 * read away, in private, until it has ended or two seconds are over (spec: connection.md 9.2). */
#include "raw_peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

enum { kFrameLimit = 1000, kChunk = 64 * 1024 };

static char content[kChunk];

/* Sends without waiting; the number of bytes taken, -1 when the connection was reset. */
static long pour(int fd) {
    const ssize_t sent = send(fd, content, sizeof content, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 && errno != EAGAIN ? -1 : sent < 0 ? 0 : sent;
}

static int is_reset(int fd) {
    struct pollfd pfd = {fd, POLLIN, 0};
    return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)) != 0;
}

static int closed_fd;

static void remember_descriptor(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    ++*(int*)data;
    closed_fd = nopoll_conn_socket(conn);
}

static void count_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)msg;
    ++*(int*)data;
}

static void open_limited(struct raw_peer* peer, enum raw_side side, int* closes) {
    raw_open(peer, side);
    nopoll_ctx_set_max_frame_size(peer->ctx, kFrameLimit);
    nopoll_conn_set_on_close(peer->conn, remember_descriptor, closes);
    *closes = 0;
    closed_fd = -1;
}

static void send_long_header(const struct raw_peer* peer) {
    unsigned char head[14];
    test_send_all(peer->fd, head, raw_long_header(peer, head, RAW_BINARY, 1 << 30));
}

/* 16 MiB of a frame that is refused at its header: all can be sent, then the Close frame is read,
 * then the end of the stream, and nothing was reset. To the program the descriptor has gone. */
static void a_sender_reads_why(enum raw_side side) {
    struct raw_peer peer;
    int closes;
    long sent = 0;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    open_limited(&peer, side, &closes);
    send_long_header(&peer);
    while (sent < 16L << 20 && test_now_ms() < end) {
        long taken;
        while ((taken = pour(peer.fd)) > 0)
            sent += taken;
        assert_int_equal(taken, 0);
        nopoll_loop_wait(peer.ctx, 1);
        if (closes == 1) assert_int_equal(fcntl(closed_fd, F_GETFD), -1);
    }
    assert_true(sent >= 16L << 20);
    assert_int_equal(closes, 1);
    assert_false(nopoll_conn_is_ok(peer.conn));
    RAW_EXPECT_CLOSE(&peer, 1009);
    assert_false(is_reset(peer.fd));
    raw_close(&peer);
}

static void close_on_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)msg;
    ++*(int*)data;
    nopoll_conn_close_ext(conn, 1001, NULL, 0);
}

/* Frame after frame, each within the limit; the program has had enough after the first. */
static void a_sender_reads_that_the_program_closed(enum raw_side side) {
    struct raw_peer peer;
    static unsigned char frames[65 * (kFrameLimit + 8)];
    size_t size = 0, at = 0;
    long sent = 0;
    int messages = 0, i;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, close_on_message, &messages);
    nopoll_conn_ref(peer.conn); /* close takes one with it */
    for (i = 0; i < 65; i++)
        size += raw_frame(&peer, frames + size, RAW_BINARY, content, kFrameLimit);
    while (sent < 4L << 20 && test_now_ms() < end) {
        ssize_t taken;
        while ((taken = send(peer.fd, frames + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
            sent += taken;
            at = (at + (size_t)taken) % size;
        }
        assert_int_equal(errno, EAGAIN);
        nopoll_loop_wait(peer.ctx, 1);
    }
    assert_true(sent >= 4L << 20);
    assert_int_equal(messages, 1);
    RAW_EXPECT_CLOSE(&peer, 1001);
    assert_false(is_reset(peer.fd));
    raw_close(&peer);
}

/* A refused request with a long body: the answer is read, though the body never is. */
static void a_refused_request_is_answered(void** state) {
    static const char request[] = "POST /upload HTTP/1.1\r\nHost: a\r\n\r\n";
    struct raw_peer peer;
    char answer[1024];
    long sent = 0;
    int fd;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    fd = raw_connect(peer.listener);
    test_send_all(fd, request, sizeof request - 1);
    while (sent < 8L << 20 && test_now_ms() < end) {
        long taken;
        while ((taken = pour(fd)) > 0)
            sent += taken;
        assert_int_equal(taken, 0);
        nopoll_loop_wait(peer.ctx, 1);
    }
    assert_true(sent >= 8L << 20);
    assert_true(test_receive_head(fd, answer, sizeof answer) > 0);
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    assert_int_equal(test_receive(fd, answer, 1), 0);
    assert_false(is_reset(fd));
    close(fd);
    raw_close(&peer);
}

/* A program with a loop of its own: what is there is read away in the call. */
static void a_sender_reads_why_without_loop(enum raw_side side) {
    struct raw_peer peer;
    int closes;
    long taken, sent = 0;
    open_limited(&peer, side, &closes);
    send_long_header(&peer);
    while ((taken = pour(peer.fd)) > 0)
        sent += taken;
    assert_true(sent > 4 * kChunk);
    assert_null(test_get_msg(peer.conn));
    assert_int_equal(closes, 1);
    assert_int_equal(fcntl(closed_fd, F_GETFD), -1);
    RAW_EXPECT_CLOSE(&peer, 1009);
    assert_false(is_reset(peer.fd));
    raw_close(&peer);
}

static int open_descriptors(void) {
    DIR* const folder = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* A peer that never ends is left after two seconds, and nobody waits meanwhile. */
static void a_peer_that_stays_is_left(void** state) {
    struct raw_peer peer, other;
    int closes, messages = 0, before;
    long start;
    (void)state;
    open_limited(&peer, RAW_ACCEPTED, &closes);
    other = peer;
    raw_join(&other, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, count_message, &messages);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 1), -3);
    before = open_descriptors();
    send_long_header(&peer);
    SERVE_UNTIL(peer.ctx, closes == 1);
    start = test_now_ms();
    RAW_EXPECT_CLOSE(&peer, 1009);
    while (open_descriptors() == before && test_now_ms() - start < TEST_LIMIT_MS) {
        const int seen = messages;
        const long sent = test_now_ms();
        raw_send_text(&other, "served");
        SERVE_UNTIL(peer.ctx, messages == seen + 1);
        assert_true(test_now_ms() - sent < 1000);
        nopoll_loop_wait(peer.ctx, 50000);
    }
    assert_int_equal(open_descriptors(), before - 1);
    assert_true(test_now_ms() - start >= 1900);
    assert_true(test_now_ms() - start < 4000);
    raw_leave(&other);
    raw_close(&peer);
}

/* A peer that ends takes the descriptor with it at once. */
static void a_peer_that_leaves_frees_the_descriptor(void** state) {
    struct raw_peer peer;
    int closes, before;
    long start;
    (void)state;
    open_limited(&peer, RAW_ACCEPTED, &closes);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 1), -3);
    before = open_descriptors();
    send_long_header(&peer);
    SERVE_UNTIL(peer.ctx, closes == 1);
    RAW_EXPECT_CLOSE(&peer, 1009);
    start = test_now_ms();
    close(peer.fd);
    peer.fd = -1;
    SERVE_UNTIL(peer.ctx, open_descriptors() == before - 2);
    assert_true(test_now_ms() - start < 1000);
    raw_close(&peer);
}

/* When descriptors are short those are closed first, before a client has to wait, or cannot be
 * made. */
static void a_want_of_descriptors_ends_it(int for_a_client) {
    static int taken[1024];
    noPollConn* client = NULL;
    struct raw_peer peer;
    struct rlimit limit, usual;
    int closes, count = 0, waiting = -1;
    long start;
    open_limited(&peer, RAW_ACCEPTED, &closes);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 1), -3);
    send_long_header(&peer);
    SERVE_UNTIL(peer.ctx, closes == 1);
    if (!for_a_client) waiting = raw_connect(peer.listener);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    limit = usual;
    limit.rlim_cur = 200;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count < 1024 && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    start = test_now_ms();
    if (for_a_client) {
        client = nopoll_conn_new(peer.ctx, "127.0.0.1", test_port(peer.listener), NULL, NULL, NULL,
                                 NULL);
        assert_true(nopoll_conn_is_ok(client));
        nopoll_conn_close(client);
    } else {
        SERVE_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 2);
        assert_true(test_now_ms() - start < 90); /* accepting did not pause */
    }
    while (count > 0)
        close(taken[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    if (!for_a_client) close(waiting);
    LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 1);
    raw_close(&peer);
}

static void a_want_of_descriptors_to_accept(void** state) {
    (void)state;
    a_want_of_descriptors_ends_it(0);
}

static void a_want_of_descriptors_to_connect(void** state) {
    (void)state;
    a_want_of_descriptors_ends_it(1);
}

/* A crowd that breaks the rules does not take all descriptors for two seconds. */
static void a_crowd_is_bounded(void** state) {
    enum { kCrowd = 300 };
    static struct raw_peer crowd[kCrowd];
    struct raw_peer first;
    struct rlimit limit;
    int closes, before, i;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 3 * kCrowd) skip();
    open_limited(&first, RAW_ACCEPTED, &closes);
    assert_int_equal(nopoll_loop_wait(first.ctx, 1), -3);
    before = open_descriptors();
    for (i = 0; i < kCrowd; i++) {
        crowd[i] = first;
        raw_join(&crowd[i], RAW_ACCEPTED);
        nopoll_conn_set_on_close(crowd[i].conn, remember_descriptor, &closes);
        send_long_header(&crowd[i]);
    }
    SERVE_UNTIL(first.ctx, closes == kCrowd);
    assert_true(open_descriptors() <= before + kCrowd + 256);
    for (i = 0; i < kCrowd; i++) {
        RAW_EXPECT_CLOSE(&crowd[i], 1009);
        raw_leave(&crowd[i]);
    }
    raw_close(&first);
}

struct sender {
    struct raw_peer peer;
    long sent;
    int error;
};

static void* send_everything(void* data) {
    struct sender* const sender = (struct sender*)data;
    while (sender->sent < 32L << 20) {
        const ssize_t sent = send(sender->peer.fd, content, sizeof content, MSG_NOSIGNAL);
        if (sent < 0) {
            sender->error = errno;
            break;
        }
        sender->sent += sent;
    }
    shutdown(sender->peer.fd, SHUT_WR);
    return NULL;
}

static void stop_loop(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    remember_descriptor(ctx, conn, data);
    nopoll_loop_stop(ctx);
}

/* The context ends while the peer is sending. */
static void the_end_of_the_context(void** state) {
    struct sender sender;
    pthread_t thread;
    int closes;
    (void)state;
    memset(&sender, 0, sizeof sender);
    open_limited(&sender.peer, RAW_ACCEPTED, &closes);
    nopoll_conn_set_on_close(sender.peer.conn, stop_loop, &closes);
    send_long_header(&sender.peer);
    assert_int_equal(pthread_create(&thread, NULL, send_everything, &sender), 0);
    raw_wait_arrived(&sender.peer, kChunk);
    assert_int_equal(nopoll_loop_wait(sender.peer.ctx, 0), 0);
    nopoll_conn_close(sender.peer.conn);
    nopoll_conn_close(sender.peer.listener);
    nopoll_ctx_unref(sender.peer.ctx);
    pthread_join(thread, NULL);
    assert_int_equal(sender.error, 0);
    RAW_EXPECT_CLOSE(&sender.peer, 1009);
    close(sender.peer.fd);
}

/* A peer that sends nothing holds up nobody at the end of a context. */
static void the_end_of_the_context_does_not_wait(void** state) {
    struct raw_peer peer;
    int closes;
    long start;
    (void)state;
    open_limited(&peer, RAW_ACCEPTED, &closes);
    send_long_header(&peer);
    SERVE_UNTIL(peer.ctx, closes == 1);
    nopoll_conn_close(peer.conn);
    nopoll_conn_close(peer.listener);
    start = test_now_ms();
    nopoll_ctx_unref(peer.ctx);
    assert_true(test_now_ms() - start < 90);
    RAW_EXPECT_CLOSE(&peer, 1009);
    close(peer.fd);
}

RAW_BOTH_SIDES(a_sender_reads_why)
RAW_BOTH_SIDES(a_sender_reads_that_the_program_closed)
RAW_BOTH_SIDES(a_sender_reads_why_without_loop)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(a_sender_reads_why),
        RAW_BOTH_TESTS(a_sender_reads_why_without_loop),
        RAW_BOTH_TESTS(a_sender_reads_that_the_program_closed),
        cmocka_unit_test(a_refused_request_is_answered),
        cmocka_unit_test(a_peer_that_stays_is_left),
        cmocka_unit_test(a_peer_that_leaves_frees_the_descriptor),
        cmocka_unit_test(a_want_of_descriptors_to_accept),
        cmocka_unit_test(a_want_of_descriptors_to_connect),
        cmocka_unit_test(a_crowd_is_bounded),
        cmocka_unit_test(the_end_of_the_context),
        cmocka_unit_test(the_end_of_the_context_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
