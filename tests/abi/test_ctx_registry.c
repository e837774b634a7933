/* SPDX-License-Identifier: MIT */
/* The connection registry (spec: context-and-loop.md section 2): ids, slots, references, and
 * walks over it that change it (2.1). */
#include "stream_peer.h"

#include <limits.h>
#include <nopoll_private.h>
#include <pthread.h>
#include <stdatomic.h>

/* Exported, in no header. */
nopoll_bool __nopoll_conn_transient_ref(noPollConn* conn);
void __nopoll_conn_transient_unref(noPollConn* conn);
int __nopoll_conn_owner_ref_count(noPollConn* conn);
nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn);

#define MOST 48

/* Connections over one end of a socket pair each, with the registry's reference only. */
typedef struct {
    noPollCtx* ctx;
    noPollConn* conn[MOST];
    int peer[MOST];
    int count;
} crowd;

static noPollConn* crowd_add(crowd* all) {
    int fds[2];
    assert_true(all->count < MOST);
    peer_socketpair(fds);
    noPollConn* const conn = nopoll_listener_from_socket(all->ctx, fds[0]);
    assert_non_null(conn);
    all->conn[all->count] = conn;
    all->peer[all->count++] = fds[1];
    return conn;
}

static int crowd_begin(void** state) {
    static crowd all;
    memset(&all, 0, sizeof all);
    all.ctx = nopoll_ctx_new();
    *state = &all;
    return 0;
}

static nopoll_bool close_it(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    nopoll_conn_close(conn);
    return nopoll_false;
}

/* Every test leaves only what a walk can close. */
static int crowd_end(void** state) {
    crowd* const all = *state;
    nopoll_ctx_foreach_conn(all->ctx, close_it, NULL);
    for (int i = 0; i < all->count; i++)
        close(all->peer[i]);
    const int clean = nopoll_ctx_conns(all->ctx) == 0 && nopoll_ctx_ref_count(all->ctx) == 1;
    nopoll_ctx_unref(all->ctx);
    return clean ? 0 : -1;
}

/* --- ids and slots --- */

static void ids_skip_one_number_whenever_the_table_grows(void** state) {
    crowd* const all = *state;
    int expected = 1;
    for (int i = 0; i < 45; i++) {
        if (i % 10 == 0) expected++;
        assert_int_equal(nopoll_conn_get_id(crowd_add(all)), expected++);
        assert_int_equal(nopoll_ctx_conns(all->ctx), i + 1);
        assert_int_equal(nopoll_ctx_ref_count(all->ctx), i + 2);
    }
    assert_int_equal(nopoll_conn_get_id(all->conn[0]), 2);
    assert_int_equal(nopoll_conn_get_id(all->conn[9]), 11);
    assert_int_equal(nopoll_conn_get_id(all->conn[10]), 13);
    assert_int_equal(nopoll_conn_get_id(all->conn[20]), 24);
    assert_int_equal(nopoll_conn_get_id(NULL), -1);
}

static void ids_are_never_used_again(void** state) {
    crowd* const all = *state;
    for (int i = 0; i < 10; i++)
        crowd_add(all);
    nopoll_conn_close(all->conn[9]);
    nopoll_conn_close(all->conn[3]);
    /* Free slots: no number is lost, none comes back. */
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 12);
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 13);
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 15);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 11);
    /* A failed creation draws none. */
    assert_null(nopoll_listener_from_socket(all->ctx, -1));
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 16);
}

static void contexts_count_alone(void** state) {
    crowd* const all = *state;
    int fds[2];
    crowd_add(all);
    crowd_add(all);
    noPollCtx* const other = nopoll_ctx_new();
    peer_socketpair(fds);
    noPollConn* const conn = nopoll_listener_from_socket(other, fds[0]);
    assert_int_equal(nopoll_conn_get_id(conn), 2);
    /* The same id in another context is another connection. */
    assert_int_equal(__nopoll_ctx_conn_is_registered(all->ctx, conn), 0);
    assert_int_equal(__nopoll_ctx_conn_is_registered(other, conn), 1);
    nopoll_ctx_unregister_conn(all->ctx, conn);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 2);
    assert_int_equal(nopoll_ctx_conns(other), 1);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(other);
    close(fds[1]);
}

/* After 2^31 registrations ids start again and leave out those in use. */
static void ids_wrap_without_repeating(void** state) {
    crowd* const all = *state;
    crowd_add(all);
    all->ctx->conn_id = INT_MAX - 1;
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), INT_MAX - 1);
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), INT_MAX);
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 1);
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 3); /* 2 is in use */
    nopoll_conn_close(all->conn[0]);
    assert_int_equal(nopoll_conn_get_id(crowd_add(all)), 4);
}

/* --- registering by hand --- */

static void registering_takes_null_for_an_answer(void** state) {
    crowd* const all = *state;
    noPollConn* const conn = crowd_add(all);
    assert_int_equal(nopoll_ctx_register_conn(NULL, conn), 0);
    assert_int_equal(nopoll_ctx_register_conn(all->ctx, NULL), 0);
    assert_int_equal(nopoll_ctx_register_conn(NULL, NULL), 0);
    nopoll_ctx_unregister_conn(NULL, conn);
    nopoll_ctx_unregister_conn(all->ctx, NULL);
    assert_int_equal(__nopoll_ctx_conn_is_registered(NULL, conn), 0);
    assert_int_equal(__nopoll_ctx_conn_is_registered(all->ctx, NULL), 0);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 1);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(nopoll_ctx_ref_count(all->ctx), 2);
}

static void registering_twice_takes_a_second_slot(void** state) {
    crowd* const all = *state;
    noPollConn* const conn = crowd_add(all);
    assert_int_equal(nopoll_ctx_register_conn(all->ctx, conn), 1);
    assert_int_equal(nopoll_conn_get_id(conn), 3);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 2);
    assert_int_equal(nopoll_conn_ref_count(conn), 2);
    assert_int_equal(nopoll_ctx_ref_count(all->ctx), 2); /* one for the object */
    nopoll_ctx_unregister_conn(all->ctx, conn);
    assert_int_equal(__nopoll_ctx_conn_is_registered(all->ctx, conn), 1);
    assert_int_equal(nopoll_ctx_conns(all->ctx), 1);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
}

static void a_connection_may_come_back(void** state) {
    crowd* const all = *state;
    noPollConn* const conn = crowd_add(all);
    nopoll_conn_ref(conn);
    for (int i = 0; i < 5; i++) {
        nopoll_ctx_unregister_conn(all->ctx, conn);
        assert_int_equal(__nopoll_ctx_conn_is_registered(all->ctx, conn), 0);
        assert_int_equal(nopoll_ctx_conns(all->ctx), 0);
        assert_int_equal(nopoll_conn_ref_count(conn), 1);
        nopoll_ctx_unregister_conn(all->ctx, conn); /* not there: nothing */
        assert_int_equal(nopoll_conn_ref_count(conn), 1);
        assert_int_equal(nopoll_ctx_register_conn(all->ctx, conn), 1);
        assert_int_equal(nopoll_conn_get_id(conn), 3 + i);
        assert_int_equal(nopoll_conn_ref_count(conn), 2);
        assert_int_equal(nopoll_ctx_ref_count(all->ctx), 2); /* however often */
    }
    nopoll_conn_unref(conn);
}

static void count_closes(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ++*(int*)data;
}

static void unregistering_does_not_close(void** state) {
    crowd* const all = *state;
    int closes = 0;
    noPollConn* const conn = crowd_add(all);
    nopoll_conn_set_on_close(conn, count_closes, &closes);
    nopoll_conn_ref(conn);
    nopoll_ctx_unregister_conn(all->ctx, conn);
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    assert_false(test_readable(all->peer[0], 0));
    nopoll_conn_unref(conn); /* the last reference: closed, but silently */
    assert_true(test_readable(all->peer[0], 0));
    assert_int_equal(closes, 0);
    assert_int_equal(nopoll_ctx_ref_count(all->ctx), 1);
}

/* --- foreach --- */

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

#define CROWD_TEST(name) cmocka_unit_test_setup_teardown(name, crowd_begin, crowd_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CROWD_TEST(ids_skip_one_number_whenever_the_table_grows),
        CROWD_TEST(ids_are_never_used_again),
        CROWD_TEST(contexts_count_alone),
        CROWD_TEST(ids_wrap_without_repeating),
        CROWD_TEST(registering_takes_null_for_an_answer),
        CROWD_TEST(registering_twice_takes_a_second_slot),
        CROWD_TEST(a_connection_may_come_back),
        CROWD_TEST(unregistering_does_not_close),
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
