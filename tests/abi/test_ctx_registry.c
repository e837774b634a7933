/* SPDX-License-Identifier: MIT */
/* The connection registry (spec: context-and-loop.md section 2): ids, slots, references. Walks over
 * it: test_ctx_foreach.c. */
#include "crowd.h"

#include <limits.h>
#include <nopoll_private.h>

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
