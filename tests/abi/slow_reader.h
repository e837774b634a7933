/* SPDX-License-Identifier: MIT */
/* A handler that sends more than its peer reads, and peers that read in the loop or in a thread. */
#ifndef SLOW_READER_H
#define SLOW_READER_H

#include "narrow_peer.h"

#include <pthread.h>

enum { kLarge = 1 << 20 };

TEST_UNUSED static char content[kLarge];

/* What the handler does on a message, and what came of it. */
struct plan {
    int frames;
    long size;
    int sent;    /* frames taken */
    int refused; /* -1 with EWOULDBLOCK */
    int handled;
    int close_after; /* 1: nopoll_conn_close_ext, 2: nopoll_conn_shutdown */
    int flush;       /* microseconds */
    long flush_took_ms;
    int stop;
};

TEST_UNUSED static void run_plan(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct plan* plan = (struct plan*)data;
    int i;
    if (strcmp((const char*)nopoll_msg_get_payload(msg), "go") != 0) {
        nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg), -1);
        return;
    }
    for (i = 0; i < plan->frames; i++) {
        int result;
        errno = 0;
        result = nopoll_conn_send_binary(conn, content, plan->size);
        if (result == plan->size) {
            plan->sent++;
        } else {
            assert_int_equal(result, -1);
            assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
            plan->refused++;
        }
        /* Queued bytes were reported already. */
        assert_int_equal(nopoll_conn_pending_write_bytes(conn), 0);
    }
    if (plan->flush > 0) {
        const long start = test_now_ms();
        assert_int_equal(nopoll_conn_flush_writes(conn, plan->flush, 5), 5);
        plan->flush_took_ms = test_now_ms() - start;
    }
    if (plan->close_after == 1) nopoll_conn_close_ext(conn, 1000, "bye", 3);
    if (plan->close_after == 2) nopoll_conn_shutdown(conn);
    if (plan->stop) nopoll_loop_stop(ctx);
    plan->handled++;
}

TEST_UNUSED static void open_plan(struct raw_peer* peer, struct plan* plan, int frames, long size) {
    memset(plan, 0, sizeof *plan);
    plan->frames = frames;
    plan->size = size;
    narrow_open_waiting(peer, RAW_ACCEPTED);
    nopoll_ctx_set_on_msg(peer->ctx, run_plan, plan);
}

TEST_UNUSED static void go(struct raw_peer* peer, struct plan* plan) {
    const int handled = plan->handled;
    raw_send_text(peer, "go");
    SERVE_UNTIL(peer->ctx, plan->handled == handled + 1);
}

/* Reads all until there is `size` or the end, while the loop writes. */
TEST_UNUSED static void read_in_the_loop(struct raw_peer* peer, struct sink* sink, size_t size) {
    const long end = test_now_ms() + 3 * TEST_LIMIT_MS;
    while (sink->size < size && test_now_ms() < end) {
        while (sink_take(sink, peer->fd, SIZE_MAX / 2) > 0)
            ;
        if (sink->size < size) nopoll_loop_wait(peer->ctx, 1);
    }
}

TEST_UNUSED static size_t wire_size(int frames, long size) {
    return (size_t)frames * (size_t)(size + (size < 126 ? 2 : size < 65536 ? 4 : 10));
}

struct drain {
    const struct raw_peer* peer;
    struct sink sink;
    long received;
    int ended;
};

TEST_UNUSED static void* drain_all(void* data) {
    struct drain* drain = (struct drain*)data;
    size_t n = 1;
    while (n > 0 && test_readable(drain->peer->fd, TEST_LIMIT_MS)) {
        n = sink_take(&drain->sink, drain->peer->fd, 8192);
        __atomic_add_fetch(&drain->received, (long)n, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&drain->ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

#endif
