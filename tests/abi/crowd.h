/* SPDX-License-Identifier: MIT */
/* Many connections of one context, each over one end of a local socket pair. */
#ifndef ABI_CROWD_H
#define ABI_CROWD_H

#include "stream_peer.h"

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

TEST_UNUSED static noPollConn* crowd_add(crowd* all) {
    int fds[2];
    assert_true(all->count < MOST);
    peer_socketpair(fds);
    noPollConn* const conn = nopoll_listener_from_socket(all->ctx, fds[0]);
    assert_non_null(conn);
    all->conn[all->count] = conn;
    all->peer[all->count++] = fds[1];
    return conn;
}

TEST_UNUSED static int crowd_begin(void** state) {
    static crowd all;
    memset(&all, 0, sizeof all);
    all.ctx = nopoll_ctx_new();
    *state = &all;
    return 0;
}

TEST_UNUSED static nopoll_bool close_it(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    nopoll_conn_close(conn);
    return nopoll_false;
}

/* Every test leaves only what a walk can close. */
TEST_UNUSED static int crowd_end(void** state) {
    crowd* const all = *state;
    nopoll_ctx_foreach_conn(all->ctx, close_it, NULL);
    for (int i = 0; i < all->count; i++)
        close(all->peer[i]);
    const int clean = nopoll_ctx_conns(all->ctx) == 0 && nopoll_ctx_ref_count(all->ctx) == 1;
    nopoll_ctx_unref(all->ctx);
    return clean ? 0 : -1;
}

#define CROWD_TEST(name) cmocka_unit_test_setup_teardown(name, crowd_begin, crowd_end)

#endif
