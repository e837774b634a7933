/* SPDX-License-Identifier: MIT */
/* A running wait and what others do to its connections meanwhile: registering, closing, taking
 * descriptors away; with each of the three engines (spec: context-and-loop.md 8). */
#include "raw_peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const noPollIoEngineType kEngines[] = {NOPOLL_IO_ENGINE_SELECT, NOPOLL_IO_ENGINE_POLL,
                                              NOPOLL_IO_ENGINE_EPOLL};

/* Each test runs once for each engine. */
#define ALL_ENGINES(test)                                                                          \
    static void test##_select(void** state) {                                                      \
        (void)state;                                                                               \
        test(kEngines[0]);                                                                         \
    }                                                                                              \
    static void test##_poll(void** state) {                                                        \
        (void)state;                                                                               \
        test(kEngines[1]);                                                                         \
    }                                                                                              \
    static void test##_epoll(void** state) {                                                       \
        (void)state;                                                                               \
        test(kEngines[2]);                                                                         \
    }
#define ENGINE_TESTS(test)                                                                         \
    cmocka_unit_test(test##_select), cmocka_unit_test(test##_poll), cmocka_unit_test(test##_epoll)

static void open_with(struct raw_peer* peer, noPollIoEngineType engine) {
    raw_open(peer, RAW_ACCEPTED);
    assert_true(nopoll_ctx_set_io_engine(peer->ctx, engine));
}

/* --- other threads --- */

struct other {
    struct raw_peer* peer;
    long acted_ms;
    long seen_ms;
};

static void stop_and_note(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    ((struct other*)data)->seen_ms = test_now_ms();
    nopoll_loop_stop(ctx);
}

static void* register_later(void* data) {
    struct other* other = (struct other*)data;
    poll(NULL, 0, 60); /* into the wait */
    other->acted_ms = test_now_ms();
    nopoll_ctx_register_conn(other->peer->ctx, other->peer->conn);
    return NULL;
}

/* A connection that another thread registers is served at once. */
static void registered_by_another_thread(noPollIoEngineType engine) {
    struct raw_peer peer;
    long best = LONG_MAX;
    int i;
    open_with(&peer, engine);
    for (i = 0; i < 10 && best > 20; i++) {
        struct other other = {&peer, 0, 0};
        pthread_t thread;
        nopoll_ctx_set_on_msg(peer.ctx, stop_and_note, &other);
        nopoll_ctx_unregister_conn(peer.ctx, peer.conn);
        raw_send_text(&peer, "waiting");
        raw_wait_arrived(&peer, 13);
        assert_int_equal(pthread_create(&thread, NULL, register_later, &other), 0);
        assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
        pthread_join(thread, NULL);
        if (other.seen_ms - other.acted_ms < best) best = other.seen_ms - other.acted_ms;
    }
    assert_true(best <= 20);
    raw_close(&peer);
}

static void* close_later(void* data) {
    struct other* other = (struct other*)data;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    poll(NULL, 0, 60);
    other->acted_ms = test_now_ms();
    nopoll_conn_shutdown(other->peer->conn);
    /* The running wait drops it; no other way to see that than to look. */
    while (nopoll_ctx_conns(other->peer->ctx) > 1 && test_now_ms() < end)
        poll(NULL, 0, 1);
    other->seen_ms = test_now_ms();
    nopoll_loop_stop(other->peer->ctx);
    return NULL;
}

static void closed_by_another_thread(noPollIoEngineType engine) {
    long best = LONG_MAX;
    int i;
    for (i = 0; i < 10 && best > 20; i++) {
        struct raw_peer peer;
        struct other other = {&peer, 0, 0};
        pthread_t thread;
        open_with(&peer, engine);
        assert_int_equal(pthread_create(&thread, NULL, close_later, &other), 0);
        assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0); /* no false -4 */
        pthread_join(thread, NULL);
        RAW_EXPECT_END(&peer);
        if (other.seen_ms - other.acted_ms < best) best = other.seen_ms - other.acted_ms;
        raw_close(&peer);
    }
    assert_true(best <= 20);
}

/* Connections come and go in one thread while another waits: no wait fails, no number of a closed
 * descriptor is mistaken for its old owner. */
struct churn {
    noPollCtx* ctx;
    noPollConn* listener;
    int rounds;
};

static void echo(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)data;
    nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                          nopoll_msg_get_payload_size(msg));
}

/* --- in one pass --- */

static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ++*(int*)data;
}

struct pass {
    noPollConn* victim;
    int number; /* of its descriptor, which is the program's own by now */
    int own_end;
    int messages;
};

static void close_another(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct pass* pass = (struct pass*)data;
    int ends[2];
    (void)ctx;
    (void)conn;
    (void)msg;
    if (pass->messages++ > 0) return;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    nopoll_conn_close(pass->victim);
    assert_int_equal(fcntl(ends[0], F_DUPFD, pass->number), pass->number);
    assert_int_equal(write(ends[1], "private", 7), 7);
    close(ends[0]);
    pass->own_end = ends[1];
}

/* All are ready; the first handler closes the last connection, whose number is in use again when
 * its turn would come. */
static void closed_by_an_earlier_handler(noPollIoEngineType engine) {
    struct raw_peer first, second, third;
    struct pass pass = {NULL, -1, -1, 0};
    int closes = 0;
    char text[8] = "";
    open_with(&first, engine);
    second = third = first;
    raw_join(&second, RAW_ACCEPTED);
    raw_join(&third, RAW_ACCEPTED);
    pass.victim = third.conn;
    pass.number = nopoll_conn_socket(third.conn);
    nopoll_ctx_set_on_msg(first.ctx, close_another, &pass);
    nopoll_conn_set_on_close(third.conn, count_close, &closes);
    raw_send_text(&first, "a");
    raw_send_text(&second, "b");
    raw_send_text(&third, "c");
    raw_wait_arrived(&first, 7);
    raw_wait_arrived(&second, 7);
    raw_wait_arrived(&third, 7);
    nopoll_conn_ref(third.conn); /* the test's own goes with the close */
    assert_int_equal(nopoll_loop_wait(first.ctx, 1), -3);
    assert_int_equal(pass.messages, 2);
    assert_int_equal(closes, 1);
    assert_int_equal(recv(pass.number, text, sizeof text, MSG_DONTWAIT), 7);
    assert_memory_equal(text, "private", 7);
    close(pass.number);
    close(pass.own_end);
    raw_leave(&third);
    raw_leave(&second);
    raw_close(&first);
}

static void* come_and_go(void* data) {
    struct churn* churn = (struct churn*)data;
    int i;
    for (i = 0; i < 200; i++) {
        char head[2048];
        unsigned char frame[16];
        struct raw_peer peer;
        size_t size;
        memset(&peer, 0, sizeof peer);
        peer.side = RAW_ACCEPTED;
        peer.fd = raw_connect(churn->listener);
        test_send_all(peer.fd, TEST_REQUEST, strlen(TEST_REQUEST));
        if (test_receive_head(peer.fd, head, sizeof head) < 12) break;
        size = raw_frame(&peer, frame, RAW_TEXT, "hello", 5);
        test_send_all(peer.fd, frame, size);
        if (test_receive(peer.fd, head, 7) != 7 || memcmp(head, "\x81\x05hello", 7) != 0) break;
        close(peer.fd);
        churn->rounds++;
    }
    nopoll_loop_stop(churn->ctx);
    return NULL;
}

static void connections_come_and_go(noPollIoEngineType engine) {
    struct raw_peer peer;
    struct churn churn;
    pthread_t thread;
    open_with(&peer, engine);
    nopoll_ctx_set_on_msg(peer.ctx, echo, NULL);
    churn.ctx = peer.ctx;
    churn.listener = peer.listener;
    churn.rounds = 0;
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &churn), 0);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    pthread_join(thread, NULL);
    assert_int_equal(churn.rounds, 200);
    LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 2);
    raw_close(&peer);
}

/* --- descriptors closed behind the library's back --- */

static test_log log_lines;

/* Such a connection is dropped, the others go on; the number belongs to whoever gets it next. */
static void count_loss(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    /* The registry's, the test's, and that of every handler in a loop. */
    assert_int_equal(nopoll_conn_ref_count(conn), 3);
    ++*(int*)data;
}

static void descriptor_closed_before_the_wait(noPollIoEngineType engine) {
    struct raw_peer good, bad;
    int closes = 0, number, other;
    open_with(&good, engine);
    nopoll_ctx_set_on_msg(good.ctx, echo, NULL);
    bad = good;
    raw_join(&bad, RAW_ACCEPTED);
    memset(&log_lines, 0, sizeof log_lines);
    nopoll_log_set_handler(good.ctx, test_log_record, &log_lines);
    nopoll_conn_set_on_close(bad.conn, count_loss, &closes);
    assert_int_equal(nopoll_loop_wait(good.ctx, 10000), -3);
    number = nopoll_conn_socket(bad.conn);
    close(number);
    raw_send_text(&good, "still here");
    LOOP_UNTIL(good.ctx, closes == 1);
    RAW_EXPECT_TEXT(&good, "still here");
    assert_int_equal(nopoll_loop_wait(good.ctx, 10000), -3);
    assert_int_equal(nopoll_conn_socket(bad.conn), -1);
    assert_int_equal(nopoll_ctx_conns(good.ctx), 2);
    assert_true(log_lines.records >= 1);
    other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(other, number);
    nopoll_conn_shutdown(bad.conn);
    raw_leave(&bad);
    raw_close(&good);
    assert_true(fcntl(other, F_GETFD) >= 0);
    assert_int_equal(closes, 1);
    close(other);
}

static void* close_number(void* data) {
    struct other* other = (struct other*)data;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    poll(NULL, 0, 60);
    /* Not close(2) by its name: for a thread sanitizer this is a race, and it is meant to be one.
     */
    syscall(SYS_close, nopoll_conn_socket(other->peer->conn));
    while (nopoll_conn_is_ok(other->peer->conn) && test_now_ms() < end)
        poll(NULL, 0, 5);
    nopoll_loop_stop(other->peer->ctx);
    return NULL;
}

static void descriptor_closed_during_the_wait(noPollIoEngineType engine) {
    struct raw_peer peer;
    struct other other = {&peer, 0, 0};
    pthread_t thread;
    open_with(&peer, engine);
    assert_int_equal(pthread_create(&thread, NULL, close_number, &other), 0);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    pthread_join(thread, NULL);
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

static void* stop_later(void* data) {
    poll(NULL, 0, 60);
    ((struct other*)data)->acted_ms = test_now_ms();
    nopoll_loop_stop(((struct other*)data)->peer->ctx);
    return NULL;
}

/* Programs that become daemons close everything, the library's wake-up pipe included, and open
 * other things under the same numbers. */
static void all_descriptors_closed(noPollIoEngineType engine) {
    long best = LONG_MAX;
    int i;
    for (i = 0; i < 10 && best > 20; i++) {
        struct raw_peer peer, gone;
        struct other other = {&peer, 0, 0};
        pthread_t thread;
        int decoys[2], fd;
        open_with(&gone, engine);
        nopoll_ctx_set_on_msg(gone.ctx, echo, NULL);
        assert_int_equal(nopoll_loop_wait(gone.ctx, 10000), -3); /* everything exists now */
        for (fd = 3; fd < 256; fd++)
            close(fd);
        nopoll_conn_set_socket(gone.conn, -1);
        nopoll_conn_set_socket(gone.listener, -1);
        gone.fd = -1;
        assert_int_equal(pipe(decoys), 0);
        peer = gone;
        peer.listener = nopoll_listener_new(gone.ctx, "127.0.0.1", "0");
        raw_join(&peer, RAW_ACCEPTED);
        raw_send_text(&peer, "hello");
        SERVE_UNTIL(peer.ctx, test_readable(peer.fd, 0));
        RAW_EXPECT_TEXT(&peer, "hello");
        assert_int_equal(pthread_create(&thread, NULL, stop_later, &other), 0);
        assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
        if (test_now_ms() - other.acted_ms < best) best = test_now_ms() - other.acted_ms;
        pthread_join(thread, NULL);
        assert_true(fcntl(decoys[0], F_GETFD) >= 0 && fcntl(decoys[1], F_GETFD) >= 0);
        assert_false(test_readable(decoys[0], 0)); /* no wake-up went astray */
        nopoll_conn_close(gone.listener);
        raw_leave(&gone);
        raw_close(&peer);
        close(decoys[0]);
        close(decoys[1]);
    }
    assert_true(best <= 20);
}

/* --- processes --- */

/* What the library opens for itself is not inherited by programs that are started. */
static void own_descriptors_close_on_exec(noPollIoEngineType engine) {
    struct raw_peer peer;
    DIR* folder;
    struct dirent* entry;
    char inherited[1024];
    int pipes = 0, i;
    for (i = 0; i < 1024; i++)
        inherited[i] = fcntl(i, F_GETFD) >= 0;
    open_with(&peer, engine);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char path[300], target[64];
        const int fd = atoi(entry->d_name);
        ssize_t size;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        size = readlink(path, target, sizeof target - 1);
        if (size <= 0 || fd >= 1024 || inherited[fd]) continue;
        target[size] = 0;
        if (strncmp(target, "pipe:", 5) != 0 && strncmp(target, "anon_inode:", 11) != 0) continue;
        assert_true(fd >= 3);
        pipes++;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK || strncmp(target, "pipe:", 5) != 0);
    }
    closedir(folder);
    assert_true(pipes >= 2);
    raw_close(&peer);
}

/* After a fork both have their own wait: what the child does wakes nobody in the parent. */
static void fork_has_its_own_wait(noPollIoEngineType engine) {
    struct raw_peer peer;
    pid_t child;
    int status = 0;
    open_with(&peer, engine);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    child = fork();
    if (child == 0) {
        const int result = nopoll_loop_wait(peer.ctx, 30000);
        _exit(result == -3 ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000), -3);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    nopoll_ctx_set_on_msg(peer.ctx, echo, NULL);
    raw_send_text(&peer, "parent");
    SERVE_UNTIL(peer.ctx, test_readable(peer.fd, 0));
    RAW_EXPECT_TEXT(&peer, "parent");
    raw_close(&peer);
}

ALL_ENGINES(registered_by_another_thread)
ALL_ENGINES(closed_by_another_thread)
ALL_ENGINES(closed_by_an_earlier_handler)
ALL_ENGINES(connections_come_and_go)
ALL_ENGINES(descriptor_closed_before_the_wait)
ALL_ENGINES(descriptor_closed_during_the_wait)
ALL_ENGINES(all_descriptors_closed)
ALL_ENGINES(own_descriptors_close_on_exec)
ALL_ENGINES(fork_has_its_own_wait)

int main(void) {
    const struct CMUnitTest tests[] = {
        ENGINE_TESTS(registered_by_another_thread),
        ENGINE_TESTS(closed_by_another_thread),
        ENGINE_TESTS(closed_by_an_earlier_handler),
        ENGINE_TESTS(connections_come_and_go),
        ENGINE_TESTS(descriptor_closed_before_the_wait),
        ENGINE_TESTS(descriptor_closed_during_the_wait),
        ENGINE_TESTS(all_descriptors_closed),
        ENGINE_TESTS(own_descriptors_close_on_exec),
        ENGINE_TESTS(fork_has_its_own_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
