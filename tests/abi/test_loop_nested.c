/* SPDX-License-Identifier: MIT */
/* Waits inside handlers, and waits of several threads on one context (spec: context-and-loop.md 8;
 * frames.md 2). */
#include "raw_peer.h"

#include <pthread.h>

static void send_together(const struct raw_peer* peer, const char* letters) {
    unsigned char bytes[256];
    size_t size = 0;
    for (; *letters != 0; letters++)
        size += raw_frame(peer, bytes + size, RAW_TEXT, letters, 1);
    test_send_all(peer->fd, bytes, size);
    raw_wait_arrived(peer, (int)size);
}

/* --- inside a handler --- */

struct nest {
    struct raw_peer* peer;
    char text[64]; /* letters as their handlers begin, dots as they end */
    int depth;
    int deepest;
    int depth_wanted;
    int results[8]; /* of the inner waits, by depth */
    int send_inside;
    int stop_at;
    long inner_us;
};

static void add(char* text, char letter) {
    const size_t size = strlen(text);
    text[size] = letter;
    text[size + 1] = 0;
}

/* Waits inside for the next letter, down to the depth wanted. */
static void nest(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct nest* nest = (struct nest*)data;
    const char letter = *(const char*)nopoll_msg_get_payload(msg);
    (void)conn;
    add(nest->text, letter);
    if (++nest->depth > nest->deepest) nest->deepest = nest->depth;
    if (nest->depth == nest->stop_at) {
        nopoll_loop_stop(ctx);
    } else if (nest->depth < nest->depth_wanted) {
        const size_t before = strlen(nest->text);
        const long end = test_now_ms() + TEST_LIMIT_MS;
        const char next = (char)(letter + 1);
        if (nest->send_inside) raw_send(nest->peer, RAW_TEXT, &next, 1);
        do
            nest->results[nest->depth] = nopoll_loop_wait(ctx, nest->inner_us);
        while (strlen(nest->text) == before && test_now_ms() < end);
    }
    nest->depth--;
    add(nest->text, '.');
}

static void open_nest(struct raw_peer* peer, struct nest* state, enum raw_side side, int depth) {
    raw_open(peer, side);
    memset(state, 0, sizeof *state);
    state->peer = peer;
    state->depth_wanted = depth;
    state->inner_us = 1;
    nopoll_ctx_set_on_msg(peer->ctx, nest, state);
}

/* Three waits, one in the other, read the same connection; then the outer ones go on. */
static void three_deep_on_one_connection(enum raw_side side) {
    struct raw_peer peer;
    struct nest nest;
    open_nest(&peer, &nest, side, 3);
    nest.send_inside = 1;
    raw_send_text(&peer, "a");
    SERVE_UNTIL(peer.ctx, strlen(nest.text) == 6);
    assert_string_equal(nest.text, "abc...");
    nest.send_inside = 0;
    nest.depth_wanted = 0;
    raw_send_text(&peer, "x");
    SERVE_UNTIL(peer.ctx, strlen(nest.text) == 8);
    assert_string_equal(nest.text, "abc...x.");
    raw_close(&peer);
}

/* The same when all came in one segment: an inner wait sees what the outer one read ahead. */
static void inner_wait_sees_what_was_read_ahead(enum raw_side side) {
    struct raw_peer peer;
    struct nest nest;
    const long start = test_now_ms();
    open_nest(&peer, &nest, side, 3);
    send_together(&peer, "abcd");
    SERVE_UNTIL(peer.ctx, strlen(nest.text) == 8);
    assert_int_equal(nest.deepest, 3);
    assert_true(strncmp(nest.text, "abc", 3) == 0 && strchr(nest.text, 'd') != NULL);
    assert_true(test_now_ms() - start < TEST_LIMIT_MS / 2);
    raw_close(&peer);
}

/* An inner wait may end by its own timeout; the outer one goes on. */
static void inner_timeout(enum raw_side side) {
    struct raw_peer peer, other;
    struct nest nest;
    open_nest(&peer, &nest, side, 2);
    nest.inner_us = 15000;
    other = peer;
    raw_join(&other, side);
    raw_send_text(&peer, "a");
    raw_send_text(&other, "b");
    SERVE_UNTIL(peer.ctx, strlen(nest.text) == 4);
    assert_string_equal(nest.text, "ab..");
    assert_int_equal(nest.results[1], -3);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    raw_leave(&other);
    raw_close(&peer);
}

/* One stop ends them all. */
static void one_stop_ends_all_depths(enum raw_side side) {
    struct raw_peer peer;
    struct nest nest;
    open_nest(&peer, &nest, side, 9);
    nest.send_inside = 1;
    nest.inner_us = 60000000;
    nest.stop_at = 3;
    raw_send_text(&peer, "a");
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    assert_string_equal(nest.text, "abc...");
    assert_int_equal(nest.results[1], 0);
    assert_int_equal(nest.results[2], 0);
    raw_close(&peer);
}

/* The connection may be closed inside; all waits above go on without it. */
static void close_inside(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    char* text = (char*)data;
    add(text, *(const char*)nopoll_msg_get_payload(msg));
    if (strcmp(text, "a") == 0) {
        const long end = test_now_ms() + TEST_LIMIT_MS;
        while (nopoll_conn_is_ok(conn) && test_now_ms() < end)
            nopoll_loop_wait(ctx, 1);
    } else {
        nopoll_conn_shutdown(conn);
    }
    add(text, '.');
}

static void connection_closed_inside(enum raw_side side) {
    struct raw_peer peer;
    char text[32] = "";
    raw_open(&peer, side);
    nopoll_ctx_set_on_msg(peer.ctx, close_inside, text);
    send_together(&peer, "abc");
    SERVE_UNTIL(peer.ctx, strlen(text) == 4);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    assert_string_equal(text, "ab..");
    raw_close(&peer);
}

/* A handler asks a question and waits inside for the answer, while more input is at hand: the
 * question is not held back for it. */
struct dialogue {
    char text[32];
    long waited_ms;
};

static void ask(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct dialogue* dialogue = (struct dialogue*)data;
    const long start = test_now_ms();
    add(dialogue->text, *(const char*)nopoll_msg_get_payload(msg));
    if (*(const char*)nopoll_msg_get_payload(msg) == '!')
        nopoll_loop_stop(ctx); /* the inner wait */
    if (dialogue->text[1] != 0) return;
    assert_int_equal(nopoll_conn_send_text(conn, "?", 1), 1);
    while (strchr(dialogue->text, '!') == NULL && test_now_ms() < start + TEST_LIMIT_MS)
        nopoll_loop_wait(ctx, 1000000);
    dialogue->waited_ms = test_now_ms() - start;
}

static void* answer(void* data) {
    const struct raw_peer* peer = (const struct raw_peer*)data;
    struct raw_reply* reply = malloc(sizeof *reply);
    if (raw_receive(peer->fd, reply) == RAW_TEXT) raw_send_text(peer, "!");
    free(reply);
    return NULL;
}

static void check_question(enum raw_side side, int cork, const char* letters) {
    long best = TEST_LIMIT_MS;
    int i;
    for (i = 0; i < 10 && best >= 100; i++) {
        struct raw_peer peer;
        struct dialogue dialogue = {"", 0};
        pthread_t thread;
        char all[8];
        raw_open(&peer, side);
        nopoll_ctx_set_cork(peer.ctx, cork);
        nopoll_ctx_set_on_msg(peer.ctx, ask, &dialogue);
        send_together(&peer, letters);
        assert_int_equal(pthread_create(&thread, NULL, answer, &peer), 0);
        SERVE_UNTIL(peer.ctx, strchr(dialogue.text, '!') != NULL);
        pthread_join(thread, NULL);
        snprintf(all, sizeof all, "%s!", letters);
        assert_string_equal(dialogue.text, all);
        if (dialogue.waited_ms < best) best = dialogue.waited_ms;
        raw_close(&peer);
    }
    assert_true(best < 100); /* the kernel would hold it for 200 ms, and a cork for ever */
}

static void question_inside_is_not_held_back(enum raw_side side) {
    check_question(side, 0, "ab");
    check_question(side, 1, "ab");
    check_question(side, 1, "a");
}

/* --- several threads --- */

enum { kPeers = 8, kMessages = 200 };

static struct {
    int running;  /* handlers of this connection at this moment */
    int messages; /* also the number that has to come next */
} books[kPeers];
static int clashes, disorder, total;

static void note(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    const int index = (int)(intptr_t)nopoll_conn_get_hook(conn) - 1;
    int number;
    (void)ctx;
    (void)data;
    if (__atomic_add_fetch(&books[index].running, 1, __ATOMIC_SEQ_CST) != 1)
        __atomic_add_fetch(&clashes, 1, __ATOMIC_SEQ_CST);
    memcpy(&number, nopoll_msg_get_payload(msg), sizeof number);
    if (number != books[index].messages++) __atomic_add_fetch(&disorder, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&books[index].running, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
}

struct waiter {
    noPollCtx* ctx;
    int result;
};

static void* wait_for_stop(void* data) {
    struct waiter* waiter = (struct waiter*)data;
    waiter->result = nopoll_loop_wait(waiter->ctx, 0);
    return NULL;
}

/* Each message comes once, in order, and never in two threads at once for one connection. One stop
 * ends all the waits. */
static void threads_share_the_work(void** state) {
    struct raw_peer peers[kPeers];
    struct waiter waiters[3];
    pthread_t threads[3];
    const long end = test_now_ms() + 3 * TEST_LIMIT_MS;
    int i, n;
    (void)state;
    raw_open(&peers[0], RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peers[0].ctx, note, NULL);
    for (i = 0; i < kPeers; i++) {
        if (i > 0) peers[i] = peers[0];
        if (i > 0) raw_join(&peers[i], RAW_ACCEPTED);
        nopoll_conn_set_hook(peers[i].conn, (noPollPtr)(intptr_t)(i + 1));
    }
    for (i = 0; i < 3; i++) {
        waiters[i].ctx = peers[0].ctx;
        waiters[i].result = -100;
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_stop, &waiters[i]), 0);
    }
    for (n = 0; n < kMessages; n++)
        for (i = 0; i < kPeers; i++)
            raw_send(&peers[i], RAW_BINARY, &n, sizeof n);
    while (__atomic_load_n(&total, __ATOMIC_SEQ_CST) < kPeers * kMessages && test_now_ms() < end)
        poll(NULL, 0, 1);
    /* A wait that has not begun yet would not be stopped: ask until all are over. */
    for (i = 0; i < 3; i++) {
        while (pthread_tryjoin_np(threads[i], NULL) != 0 && test_now_ms() < end) {
            nopoll_loop_stop(peers[0].ctx);
            poll(NULL, 0, 1);
        }
        assert_int_equal(waiters[i].result, 0);
    }
    assert_int_equal(total, kPeers * kMessages);
    assert_int_equal(clashes, 0);
    assert_int_equal(disorder, 0);
    for (i = 1; i < kPeers; i++)
        raw_leave(&peers[i]);
    raw_close(&peers[0]);
}

/* While one thread is busy with a connection that has more input, the other waits for something
 * else: it does not spin. */
static int busy;

static void stay_busy(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    (void)ctx;
    (void)conn;
    (void)msg;
    (void)data;
    __atomic_store_n(&busy, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&busy, __ATOMIC_SEQ_CST) == 1 && test_now_ms() < end)
        poll(NULL, 0, 5);
    nopoll_loop_stop(ctx);
}

static void other_thread_does_not_spin(void** state) {
    struct raw_peer peer;
    struct waiter waiter;
    pthread_t thread;
    struct timespec before, after;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer.ctx, stay_busy, NULL);
    waiter.ctx = peer.ctx;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_stop, &waiter), 0);
    raw_send_text(&peer, "a");
    while (!__atomic_load_n(&busy, __ATOMIC_SEQ_CST))
        poll(NULL, 0, 1);
    raw_send_text(&peer, "b"); /* readable all the time, but not ours */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 300000), -3);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    assert_true(
        (after.tv_sec - before.tv_sec) * 1000L + (after.tv_nsec - before.tv_nsec) / 1000000L < 100);
    __atomic_store_n(&busy, 2, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.result, 0);
    raw_close(&peer);
}

RAW_BOTH_SIDES(three_deep_on_one_connection)
RAW_BOTH_SIDES(inner_wait_sees_what_was_read_ahead)
RAW_BOTH_SIDES(inner_timeout)
RAW_BOTH_SIDES(one_stop_ends_all_depths)
RAW_BOTH_SIDES(connection_closed_inside)
RAW_BOTH_SIDES(question_inside_is_not_held_back)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(three_deep_on_one_connection),
        RAW_BOTH_TESTS(inner_wait_sees_what_was_read_ahead),
        RAW_BOTH_TESTS(inner_timeout),
        RAW_BOTH_TESTS(one_stop_ends_all_depths),
        RAW_BOTH_TESTS(connection_closed_inside),
        RAW_BOTH_TESTS(question_inside_is_not_held_back),
        cmocka_unit_test(threads_share_the_work),
        cmocka_unit_test(other_thread_does_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
