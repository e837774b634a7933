/* SPDX-License-Identifier: MIT */
/* nopoll_ctx_foreach_conn (spec: context-and-loop.md section 2.1): order, transient references,
 * walks that change what they walk over, other threads that do. */
#include "crowd.h"

#include <nopoll_private.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct {
    crowd* all;
    int ids[MOST];
    int visits;
    int stop_at;        /* id at which the visitor returns 1 */
    int victim;         /* index that is closed at the first visit, -1 for none */
    int newcomers;      /* connections made at the first visit */
    int closes_visited; /* the visited one is closed */
} walk;

static nopoll_bool visit(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    walk* const now = data;
    const int id = nopoll_conn_get_id(conn);
    assert_true(ctx == now->all->ctx);
    assert_true(now->visits < MOST);
    now->ids[now->visits++] = id;
    if (now->visits == 1) {
        for (int i = 0; i < now->newcomers; i++)
            crowd_add(now->all);
        if (now->victim >= 0) nopoll_conn_close(now->all->conn[now->victim]);
    }
    if (now->closes_visited) {
        nopoll_conn_close(conn);
        /* Unregistered and closed, but there until this function returns. */
        assert_int_equal(nopoll_conn_get_id(conn), id);
        assert_int_equal(nopoll_conn_is_ok(conn), 0);
        assert_int_equal(nopoll_conn_ref_count(conn), 1);
        assert_int_equal(__nopoll_conn_owner_ref_count(conn), 0);
        assert_int_equal(__nopoll_ctx_conn_is_registered(ctx, conn), 0);
    }
    return id == now->stop_at;
}

static walk walk_of(crowd* all) {
    walk now;
    memset(&now, 0, sizeof now);
    now.all = all;
    now.victim = -1;
    return now;
}

static void walks_follow_the_slots(void** state) {
    crowd* const all = *state;
    walk now = walk_of(all);
    for (int i = 0; i < 4; i++)
        crowd_add(all);
    nopoll_conn_close(all->conn[1]);
    crowd_add(all); /* takes the free slot, with id 6 */
    assert_null(nopoll_ctx_foreach_conn(all->ctx, visit, &now));
    static const int order[] = {2, 6, 4, 5};
    assert_int_equal(now.visits, 4);
    assert_memory_equal(now.ids, order, sizeof order);

    now = walk_of(all);
    now.stop_at = 4;
    assert_ptr_equal(nopoll_ctx_foreach_conn(all->ctx, visit, &now), all->conn[2]);
    assert_int_equal(now.visits, 3);
    assert_int_equal(nopoll_conn_ref_count(all->conn[2]), 1); /* no reference comes with it */

    assert_null(nopoll_ctx_foreach_conn(all->ctx, NULL, &now));
    assert_null(nopoll_ctx_foreach_conn(NULL, visit, &now));
    assert_int_equal(now.visits, 3);
}

static nopoll_bool look_at_references(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    int* const depth = data;
    ++*depth;
    assert_int_equal(nopoll_conn_ref_count(conn), 1 + *depth);
    assert_int_equal(__nopoll_conn_owner_ref_count(conn), 1);
    assert_int_equal(conn->transient_refs, *depth);
    if (*depth < 4) nopoll_ctx_foreach_conn(ctx, look_at_references, data);
    assert_int_equal(nopoll_conn_ref_count(conn), 1 + *depth);
    --*depth;
    return nopoll_false;
}

static void walks_hold_a_transient_reference(void** state) {
    crowd* const all = *state;
    int depth = 0;
    noPollConn* const conn = crowd_add(all);
    nopoll_ctx_foreach_conn(all->ctx, look_at_references, &depth);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(conn->transient_refs, 0);

    assert_int_equal(__nopoll_conn_transient_ref(NULL), 0);
    __nopoll_conn_transient_unref(NULL);
    assert_int_equal(__nopoll_conn_owner_ref_count(NULL), -1);
    assert_int_equal(__nopoll_conn_transient_ref(conn), 1);
    assert_int_equal(nopoll_conn_ref_count(conn), 2);
    assert_int_equal(__nopoll_conn_owner_ref_count(conn), 1);
    __nopoll_conn_transient_unref(conn);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
}

static void walks_may_close_what_they_visit(void** state) {
    crowd* const all = *state;
    walk now = walk_of(all);
    for (int i = 0; i < 5; i++)
        crowd_add(all);
    now.closes_visited = 1;
    now.stop_at = 5;
    /* Closed and returned: only good for comparing. */
    assert_true(nopoll_ctx_foreach_conn(all->ctx, visit, &now) == all->conn[3]);
    assert_int_equal(now.visits, 4);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 1);
    assert_int_equal(nopoll_ctx_ref_count(all->ctx), 2);
}

static void walks_skip_what_was_closed_meanwhile(void** state) {
    crowd* const all = *state;
    for (int i = 0; i < 4; i++)
        crowd_add(all);
    walk now = walk_of(all);
    now.victim = 2;
    nopoll_ctx_foreach_conn(all->ctx, visit, &now);
    static const int order[] = {2, 3, 5};
    assert_int_equal(now.visits, 3);
    assert_memory_equal(now.ids, order, sizeof order);
}

static void walks_meet_newcomers_in_later_slots(void** state) {
    crowd* const all = *state;
    for (int i = 0; i < 8; i++)
        crowd_add(all);
    walk now = walk_of(all);
    now.newcomers = 15; /* the table grows twice meanwhile */
    nopoll_ctx_foreach_conn(all->ctx, visit, &now);
    assert_int_equal(now.visits, 23);
    assert_int_equal(now.ids[22], nopoll_conn_get_id(all->conn[22]));

    /* The first slot is free now, and behind the walk when a newcomer takes it. */
    nopoll_conn_close(all->conn[0]);
    now = walk_of(all);
    now.newcomers = 1;
    nopoll_ctx_foreach_conn(all->ctx, visit, &now);
    assert_int_equal(now.visits, 22);
}

/* Stops at itself with an inner walk that visits all. */
static nopoll_bool walk_again(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    walk* const inner = data;
    (void)conn;
    assert_null(nopoll_ctx_foreach_conn(ctx, visit, inner));
    return nopoll_false;
}

static void walks_nest(void** state) {
    crowd* const all = *state;
    for (int i = 0; i < 5; i++)
        crowd_add(all);
    walk inner = walk_of(all);
    inner.victim = 4; /* by the first inner walk */
    assert_null(nopoll_ctx_foreach_conn(all->ctx, walk_again, &inner));
    /* The victim is skipped at once: 4 visits each, and it starts no walk of its own. */
    assert_int_equal(inner.visits, 16);
}

/* --- threads --- */

static atomic_int threads_done;

static void* come_and_go(void* data) {
    noPollCtx* const ctx = data;
    for (int round = 0; round < 300; round++) {
        noPollConn* conns[3];
        int peers[3];
        for (int i = 0; i < 3; i++) {
            int fds[2];
            if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) abort();
            conns[i] = nopoll_listener_from_socket(ctx, fds[0]);
            peers[i] = fds[1];
            nopoll_conn_ref(conns[i]);
        }
        nopoll_ctx_unregister_conn(ctx, conns[1]);
        if (nopoll_ctx_register_conn(ctx, conns[1]) != 1) abort();
        for (int i = 0; i < 3; i++) {
            nopoll_conn_close(conns[i]);
            close(peers[i]);
        }
    }
    atomic_fetch_add(&threads_done, 1);
    return NULL;
}

static nopoll_bool look_around(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    long* const seen = data;
    ++*seen;
    assert_true(nopoll_conn_ctx(conn) == ctx);
    assert_int_equal(nopoll_conn_role(conn), NOPOLL_ROLE_LISTENER);
    assert_non_null(nopoll_conn_host(conn));
    assert_true(nopoll_conn_get_id(conn) > 1);
    assert_true(nopoll_conn_ref_count(conn) >= 1);
    return nopoll_false;
}

static void walks_go_on_while_threads_come_and_go(void** state) {
    crowd* const all = *state;
    pthread_t threads[2];
    long seen = 0;
    for (int i = 0; i < 5; i++)
        crowd_add(all);
    atomic_store(&threads_done, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, all->ctx), 0);
    while (atomic_load(&threads_done) < 2)
        assert_null(nopoll_ctx_foreach_conn(all->ctx, look_around, &seen));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true(seen >= 5);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 5);
    assert_int_equal(nopoll_ctx_ref_count(all->ctx), 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CROWD_TEST(walks_follow_the_slots),
        CROWD_TEST(walks_hold_a_transient_reference),
        CROWD_TEST(walks_may_close_what_they_visit),
        CROWD_TEST(walks_skip_what_was_closed_meanwhile),
        CROWD_TEST(walks_meet_newcomers_in_later_slots),
        CROWD_TEST(walks_nest),
        CROWD_TEST(walks_go_on_while_threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
