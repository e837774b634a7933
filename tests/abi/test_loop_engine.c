/* SPDX-License-Identifier: MIT */
/* An engine that the program puts into the context, contexts that lose their last reference while
 * they are waited on, and threads that are cancelled there (spec: context-and-loop.md 8). */
#include "raw_peer.h"

#include <nopoll_private.h>
#include <pthread.h>

/* --- an engine of the program: one poll(2) over what it was given --- */

struct own_engine {
    struct pollfd fds[64];
    int count;
    int adds, waits, clears, destroyed;
    int fail_with; /* errno of a wait that fails */
    int refuse;    /* a descriptor that is not taken */
    int timeout_ms;
};

static struct own_engine own;

static noPollPtr own_create(noPollCtx* ctx) {
    (void)ctx;
    return &own;
}

static void own_destroy(noPollCtx* ctx, noPollPtr object) {
    (void)ctx;
    ((struct own_engine*)object)->destroyed++;
}

static void own_clear(noPollCtx* ctx, noPollPtr object) {
    struct own_engine* engine = (struct own_engine*)object;
    (void)ctx;
    engine->count = 0;
    engine->clears++;
}

static int own_wait(noPollCtx* ctx, noPollPtr object) {
    struct own_engine* engine = (struct own_engine*)object;
    (void)ctx;
    engine->waits++;
    if (engine->fail_with != 0) {
        errno = engine->fail_with;
        return -1;
    }
    return poll(engine->fds, (nfds_t)engine->count, engine->timeout_ms);
}

static nopoll_bool own_add_to(int fd, noPollCtx* ctx, noPollConn* conn, noPollPtr object) {
    struct own_engine* engine = (struct own_engine*)object;
    (void)ctx;
    assert_int_equal(nopoll_conn_socket(conn), fd); /* connections only, no wake-up pipe */
    if (fd == engine->refuse) return nopoll_false;
    engine->fds[engine->count].fd = fd;
    engine->fds[engine->count].events = POLLIN;
    engine->fds[engine->count].revents = 0;
    engine->count++;
    engine->adds++;
    return nopoll_true;
}

static nopoll_bool own_is_set(noPollCtx* ctx, int fd, noPollPtr object) {
    const struct own_engine* engine = (const struct own_engine*)object;
    int i;
    (void)ctx;
    for (i = 0; i < engine->count; i++)
        if (engine->fds[i].fd == fd) return engine->fds[i].revents != 0;
    return nopoll_false;
}

static void install(noPollCtx* ctx) {
    noPollIoEngine* engine = nopoll_io_get_engine(ctx, NOPOLL_IO_ENGINE_DEFAULT);
    assert_non_null(engine);
    engine->destroy(ctx, engine->io_object);
    memset(&own, 0, sizeof own);
    own.refuse = -1;
    own.timeout_ms = 5;
    engine->create = own_create;
    engine->destroy = own_destroy;
    engine->clear = own_clear;
    engine->wait = own_wait;
    engine->add_to = own_add_to;
    engine->is_set = own_is_set;
    engine->io_object = own_create(ctx);
    ctx->io_engine = engine;
}

static void stop(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    ++*(int*)data;
    nopoll_loop_stop(ctx);
}

/* Used once, then released, whatever the wait returns. */
static void engine_is_used_and_released(void** state) {
    struct raw_peer peer;
    int messages = 0;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, stop, &messages);
    install(peer.ctx);
    raw_send_text(&peer, "x");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    assert_int_equal(messages, 1);
    assert_true(own.waits >= 1 && own.clears >= 1 && own.adds >= 2);
    assert_int_equal(own.destroyed, 1);
    assert_null(peer.ctx->io_engine);
    /* The next wait makes one of the library again. */
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    assert_int_equal(own.destroyed, 1);

    install(peer.ctx);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 20000), -3);
    assert_int_equal(own.destroyed, 1);
    install(peer.ctx);
    own.fail_with = ENOMEM;
    errno = 0;
    assert_int_equal(nopoll_loop_wait(peer.ctx, 20000), -4);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(own.destroyed, 1);
    assert_null(peer.ctx->io_engine);
    raw_close(&peer);
}

/* What was read ahead needs no readiness of the socket. */
static void engine_and_read_ahead(void** state) {
    struct raw_peer peer;
    unsigned char frames[32];
    size_t size;
    int messages = 0;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, stop, &messages);
    size = raw_frame(&peer, frames, RAW_TEXT, "a", 1);
    size += raw_frame(&peer, frames + size, RAW_TEXT, "b", 1);
    test_send_all(peer.fd, frames, size);
    raw_wait_arrived(&peer, (int)size);
    install(peer.ctx);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    assert_int_equal(messages, 1);
    install(peer.ctx);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    assert_int_equal(messages, 2);
    raw_close(&peer);
}

/* A descriptor that it refuses: the connection is shut down properly. */
static void count_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ++*(int*)data;
}

static test_log log_lines;

static void engine_refuses_a_descriptor(void** state) {
    struct raw_peer peer, refused;
    int messages = 0, closes = 0;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    refused = peer;
    raw_join(&refused, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, stop, &messages);
    nopoll_conn_set_on_close(refused.conn, count_close, &closes);
    memset(&log_lines, 0, sizeof log_lines);
    nopoll_log_set_handler(peer.ctx, test_log_record, &log_lines);
    install(peer.ctx);
    own.refuse = nopoll_conn_socket(refused.conn);
    raw_send_text(&peer, "x");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    assert_int_equal(messages, 1);
    assert_int_equal(closes, 1);
    assert_false(nopoll_conn_is_ok(refused.conn));
    assert_int_equal(nopoll_ctx_conns(peer.ctx), 2);
    assert_true(log_lines.records >= 1);
    RAW_EXPECT_END(&refused);
    raw_leave(&refused);
    raw_close(&peer);
}

/* Nested waits leave it to the outermost one. */
static void wait_inside(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    if (++*(int*)data > 1) return;
    assert_int_equal(nopoll_loop_wait(ctx, 10000), -3);
    assert_non_null(ctx->io_engine);
    assert_int_equal(own.destroyed, 0);
}

static void engine_of_the_outermost_wait(void** state) {
    struct raw_peer peer;
    int messages = 0;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, wait_inside, &messages);
    install(peer.ctx);
    raw_send_text(&peer, "x");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 100000), -3);
    assert_int_equal(messages, 1);
    assert_int_equal(own.destroyed, 1);
    raw_close(&peer);
}

/* It sees connections only, and yet the wait looks after everything else: peers that never finish
 * their handshake, and the last bytes of closed connections. */
static void engine_and_timers(void** state) {
    struct raw_peer peer;
    int silent;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_handshake_timeout(peer.ctx, 50000);
    silent = raw_connect(peer.listener);
    install(peer.ctx);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 20000), -3);
    assert_int_equal(nopoll_ctx_conns(peer.ctx), 3);
    install(peer.ctx);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 200000), -3);
    assert_int_equal(nopoll_ctx_conns(peer.ctx), 2);
    close(silent);
    raw_close(&peer);
}

enum { kLarge = 8 << 20 };
static char large[kLarge];

static void send_and_close(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)msg;
    (void)data;
    assert_int_equal(nopoll_conn_send_binary(conn, large, kLarge), kLarge);
    nopoll_conn_shutdown(conn);
}

static void engine_and_last_bytes(void** state) {
    struct raw_peer peer;
    static char bytes[1 << 20];
    long received = 0;
    ssize_t n = -1;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, send_and_close, NULL);
    raw_send_text(&peer, "go");
    do {
        install(peer.ctx);
        nopoll_loop_wait(peer.ctx, 1);
        while ((n = recv(peer.fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
            received += n;
    } while (n != 0 && test_now_ms() < end);
    assert_int_equal(received, kLarge + 10);
    raw_close(&peer);
}

/* --- the last reference goes in a handler --- */

static void drop_everything(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    noPollConn* listener = *(noPollConn**)data;
    (void)msg;
    nopoll_conn_close(listener);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
}

/* The wait keeps the context alive until it returns, with 0. */
static void last_reference_goes_in_a_handler(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_conn_unref(peer.conn); /* the registry's is left */
    nopoll_ctx_set_on_msg(peer.ctx, drop_everything, &peer.listener);
    raw_send_text(&peer, "x");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    RAW_EXPECT_CLOSE(&peer, 0);
    close(peer.fd);
}

static nopoll_bool drop_in_walk(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)data;
    nopoll_conn_close(conn);
    if (nopoll_ctx_conns(ctx) == 0) nopoll_ctx_unref(ctx);
    return nopoll_false;
}

static void last_reference_goes_in_a_walk(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_conn_unref(peer.conn);
    assert_null(nopoll_ctx_foreach_conn(peer.ctx, drop_in_walk, NULL));
    close(peer.fd);
}

/* --- cancelled threads --- */

static int handlers;

static void wait_in_handler(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)msg;
    (void)data;
    if (__atomic_add_fetch(&handlers, 1, __ATOMIC_SEQ_CST) > 1) return;
    for (;;)
        poll(NULL, 0, 1000); /* a cancellation point */
}

static void* wait_for_ever(void* ctx) {
    nopoll_loop_wait((noPollCtx*)ctx, 0);
    return NULL;
}

/* In the middle of a wait, or of a handler: afterwards the context works as before. */
static void cancelled(int in_handler, noPollIoEngineType engine) {
    struct raw_peer peer;
    pthread_t thread;
    void* result = NULL;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    handlers = in_handler ? 0 : 1;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_io_engine(peer.ctx, engine);
    nopoll_ctx_set_on_msg(peer.ctx, wait_in_handler, NULL);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, peer.ctx), 0);
    raw_send_text(&peer, "first");
    while (__atomic_load_n(&handlers, __ATOMIC_SEQ_CST) != (in_handler ? 1 : 2) &&
           test_now_ms() < end)
        poll(NULL, 0, 1);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    assert_true(result == PTHREAD_CANCELED);
    assert_null(peer.ctx->io_engine);
    handlers = 1;
    raw_send_text(&peer, "second");
    SERVE_UNTIL(peer.ctx, handlers == 2);
    assert_int_equal(nopoll_conn_ref_count(peer.conn), 2);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    raw_close(&peer);
}

static void cancelled_in_a_wait(void** state) {
    int i;
    (void)state;
    for (i = 0; i < 5; i++) {
        cancelled(0, NOPOLL_IO_ENGINE_SELECT);
        cancelled(0, NOPOLL_IO_ENGINE_POLL);
        cancelled(0, NOPOLL_IO_ENGINE_EPOLL);
    }
}

static void cancelled_in_a_handler(void** state) {
    (void)state;
    cancelled(1, NOPOLL_IO_ENGINE_SELECT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_is_used_and_released),
        cmocka_unit_test(engine_and_read_ahead),
        cmocka_unit_test(engine_refuses_a_descriptor),
        cmocka_unit_test(engine_of_the_outermost_wait),
        cmocka_unit_test(engine_and_timers),
        cmocka_unit_test(engine_and_last_bytes),
        cmocka_unit_test(last_reference_goes_in_a_handler),
        cmocka_unit_test(last_reference_goes_in_a_walk),
        cmocka_unit_test(cancelled_in_a_wait),
        cmocka_unit_test(cancelled_in_a_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
