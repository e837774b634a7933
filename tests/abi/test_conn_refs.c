/* SPDX-License-Identifier: MIT */
/* References of connections and what nopoll_conn_close does with them (spec: connection.md
 * sections 5 and 9.3), outside and inside handlers. Whether an object is gone is read off its
 * context, which every connection object holds. */
#include "stream_peer.h"

/* Exported, in no header. */
nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn);

static void null_connections_are_answered(void** state) {
    (void)state;
    assert_int_equal(nopoll_conn_ref(NULL), 0);
    assert_int_equal(nopoll_conn_ref_count(NULL), -1);
    nopoll_conn_unref(NULL);
    nopoll_conn_close(NULL);
    nopoll_conn_close_ext(NULL, 1000, "x", 1);
    nopoll_conn_shutdown(NULL);
}

static void fresh_objects_have_their_references(void** state) {
    (void)state;
    test_pair pair;
    test_pair_open(&pair);
    assert_int_equal(nopoll_conn_ref_count(pair.client), 2);
    assert_int_equal(nopoll_conn_ref_count(pair.listener), 2);
    assert_int_equal(nopoll_conn_ref_count(pair.server), 1);
    assert_int_equal(nopoll_conn_ref(pair.server), 1);
    assert_int_equal(nopoll_conn_ref_count(pair.server), 2);
    nopoll_conn_unref(pair.server);
    assert_int_equal(nopoll_conn_ref_count(pair.server), 1);
    test_pair_close(&pair);
}

/* --- the table of 9.3, called from anywhere --- */

enum who { CLIENT, ACCEPTED, LISTENER };

struct row {
    const char* name;
    enum who who;
    int extra;   /* references the program has taken */
    int dropped; /* dead, and dropped by the loop */
    int closes;  /* earlier calls of nopoll_conn_close */
    int before;  /* count right before the call */
    int after;   /* and after it; 0: destroyed */
};

static const struct row rows[] = {
    {"client", CLIENT, 0, 0, 0, 2, 0},
    {"listener", LISTENER, 0, 0, 0, 2, 0},
    {"client, referenced once", CLIENT, 1, 0, 0, 3, 1},
    {"listener, referenced once", LISTENER, 1, 0, 0, 3, 1},
    {"client, referenced twice", CLIENT, 2, 0, 0, 4, 2},
    {"accepted", ACCEPTED, 0, 0, 0, 1, 0},
    {"accepted, referenced once", ACCEPTED, 1, 0, 0, 2, 0},
    {"accepted, referenced twice", ACCEPTED, 2, 0, 0, 3, 1},
    {"client dropped by the loop", CLIENT, 0, 1, 0, 1, 0},
    {"listener dropped by the loop", LISTENER, 0, 1, 0, 1, 0},
    {"client dropped by the loop, referenced once", CLIENT, 1, 1, 0, 2, 1},
    {"accepted dropped by the loop, referenced once", ACCEPTED, 1, 1, 0, 1, 1},
    {"accepted dropped by the loop, referenced twice", ACCEPTED, 2, 1, 0, 2, 1},
    {"client closed before, own reference", CLIENT, 1, 0, 1, 1, 1},
    {"listener closed before, own reference", LISTENER, 1, 0, 1, 1, 1},
    {"accepted closed before, own reference", ACCEPTED, 2, 0, 1, 1, 1},
    {"client closed before, two own references", CLIENT, 2, 0, 1, 2, 1},
    {"accepted closed before, two own references", ACCEPTED, 3, 0, 1, 2, 1},
    {"client closed twice before", CLIENT, 2, 0, 2, 1, 1},
};

#define ROWS (sizeof rows / sizeof *rows)

static noPollConn* pick(const test_pair* pair, enum who who) {
    return who == CLIENT ? pair->client : who == ACCEPTED ? pair->server : pair->listener;
}

static void forget(test_pair* pair, enum who who) {
    if (who == CLIENT) pair->client = NULL;
    if (who == ACCEPTED) pair->server = NULL;
    if (who == LISTENER) pair->listener = NULL;
}

static void prepare(const struct row* row, const test_pair* pair) {
    noPollConn* const conn = pick(pair, row->who);
    for (int i = 0; i < row->extra; i++)
        nopoll_conn_ref(conn);
    if (row->dropped) {
        nopoll_conn_shutdown(conn);
        ROW_CHECK(row->name, nopoll_conn_ref_count(conn) == row->before + 1);
        ROW_CHECK(row->name, __nopoll_ctx_conn_is_registered(pair->ctx, conn));
        nopoll_loop_wait(pair->ctx, 1);
        ROW_CHECK(row->name, !__nopoll_ctx_conn_is_registered(pair->ctx, conn));
    }
    for (int i = 0; i < row->closes; i++)
        nopoll_conn_close(conn);
}

static void closing_counts_references(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row* const row = &rows[i];
        test_pair pair;
        test_pair_open(&pair);
        noPollConn* const conn = pick(&pair, row->who);
        prepare(row, &pair);
        ROW_CHECK(row->name, nopoll_conn_ref_count(conn) == row->before);
        const int existing = peer_objects(pair.ctx);
        nopoll_conn_close(conn);
        ROW_CHECK(row->name, peer_objects(pair.ctx) == existing - (row->after == 0));
        if (row->after > 0) {
            ROW_CHECK(row->name, nopoll_conn_ref_count(conn) == row->after);
            ROW_CHECK(row->name, !nopoll_conn_is_ok(conn));
            ROW_CHECK(row->name, !__nopoll_ctx_conn_is_registered(pair.ctx, conn));
            for (int k = 0; k < row->after; k++)
                nopoll_conn_unref(conn);
            ROW_CHECK(row->name, peer_objects(pair.ctx) == existing - 1);
        }
        forget(&pair, row->who);
        test_pair_close(&pair);
    }
}

/* A handler that does a row with another connection, or with its own. */
typedef struct {
    const struct row* row;
    noPollConn* conn;
    int runs;
    int own; /* the handler belongs to conn: one more reference while it runs */
} errand;

static void do_errand(noPollCtx* ctx, errand* now) {
    const struct row* const row = now->row;
    const int existing = peer_objects(ctx);
    const int kept = row->after + now->own;
    now->runs++;
    for (int i = 0; i < row->extra; i++)
        nopoll_conn_ref(now->conn);
    for (int i = 0; i < row->closes; i++)
        nopoll_conn_close(now->conn);
    ROW_CHECK(row->name, nopoll_conn_ref_count(now->conn) == row->before + now->own);
    nopoll_conn_close(now->conn);
    ROW_CHECK(row->name, peer_objects(ctx) == existing - (kept == 0));
    if (kept > 0) {
        ROW_CHECK(row->name, nopoll_conn_ref_count(now->conn) == kept);
        ROW_CHECK(row->name, nopoll_conn_get_id(now->conn) > 1);
        ROW_CHECK(row->name, !nopoll_conn_is_ok(now->conn));
    }
}

static void errand_on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    do_errand(ctx, data);
}

static nopoll_bool errand_on_visit(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    errand* const now = data;
    if (conn == now->conn) do_errand(ctx, now);
    return nopoll_false;
}

/* Whoever the row is about gets the message itself, or (listeners) the accepted connection does. */
static void closing_inside_loop_handlers_counts_the_same(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row* const row = &rows[i];
        test_pair pair;
        if (row->dropped) continue; /* a dead connection has no handlers any more */
        test_pair_open(&pair);
        errand now = {row, pick(&pair, row->who), 0, row->who != LISTENER};
        noPollConn* const receiver = row->who == CLIENT ? pair.client : pair.server;
        noPollConn* const sender = row->who == CLIENT ? pair.server : pair.client;
        nopoll_conn_set_on_msg(receiver, errand_on_msg, &now);
        const int existing = peer_objects(pair.ctx);
        nopoll_conn_send_text(sender, "go", 2);
        LOOP_UNTIL(pair.ctx, now.runs > 0);
        ROW_CHECK(row->name, now.runs == 1);
        if (row->after > 0) {
            ROW_CHECK(row->name, nopoll_conn_ref_count(now.conn) == row->after);
            for (int k = 0; k < row->after; k++)
                nopoll_conn_unref(now.conn);
        }
        forget(&pair, row->who);
        /* The partner has seen the end, too: the loop may have dropped an accepted one. */
        if (row->who == CLIENT) {
            LOOP_UNTIL(pair.ctx, nopoll_ctx_conns(pair.ctx) == 1);
            forget(&pair, ACCEPTED);
            ROW_CHECK(row->name, peer_objects(pair.ctx) == existing - 2);
        } else {
            ROW_CHECK(row->name, peer_objects(pair.ctx) == existing - 1);
        }
        test_pair_close(&pair);
    }
}

static void closing_inside_foreach_counts_the_same(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row* const row = &rows[i];
        test_pair pair;
        if (row->dropped) continue;
        test_pair_open(&pair);
        errand now = {row, pick(&pair, row->who), 0, 1};
        const int existing = peer_objects(pair.ctx);
        nopoll_ctx_foreach_conn(pair.ctx, errand_on_visit, &now);
        ROW_CHECK(row->name, now.runs == 1);
        ROW_CHECK(row->name, peer_objects(pair.ctx) == existing - (row->after == 0));
        for (int k = 0; k < row->after; k++)
            nopoll_conn_unref(now.conn);
        ROW_CHECK(row->name, peer_objects(pair.ctx) == existing - 1);
        forget(&pair, row->who);
        test_pair_close(&pair);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_connections_are_answered),
        cmocka_unit_test(fresh_objects_have_their_references),
        cmocka_unit_test(closing_counts_references),
        cmocka_unit_test(closing_inside_loop_handlers_counts_the_same),
        cmocka_unit_test(closing_inside_foreach_counts_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
