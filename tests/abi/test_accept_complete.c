/* SPDX-License-Identifier: MIT */
/* nopoll_listener_from_socket, nopoll_conn_accept_complete and nopoll_conn_set_socket (spec:
 * handshake.md section 6, listener.md section 5): connections over sockets that the program has
 * accepted itself. */
#include "accept_scene.h"

#include <nopoll_private.h>

/* Exported, in no header. */
nopoll_bool __nopoll_conn_accept_complete_common(noPollCtx* ctx, noPollConnOpts* options,
                                                 noPollConn* listener, noPollConn* conn, int fd,
                                                 nopoll_bool tls_on);

/* --- nopoll_listener_from_socket --- */

static void from_socket_alone_is_enough(void** state) {
    (void)state;
    for (int blocking = 0; blocking < 2; blocking++) {
        scene now;
        begin(&now, NULL);
        nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
        if (!blocking) fcntl(now.server, F_SETFL, O_NONBLOCK);
        const int flags = fcntl(now.server, F_GETFL);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        assert_non_null(conn);
        assert_int_equal(nopoll_conn_role(conn), NOPOLL_ROLE_LISTENER);
        assert_int_equal(nopoll_conn_ref_count(conn), 1);
        assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
        assert_null(nopoll_conn_get_listener(conn));
        assert_string_equal(nopoll_conn_host(conn), "127.0.0.1");
        assert_string_equal(nopoll_conn_port(conn), peer_port(now.fd));
        check_handshake(&now, conn);
        assert_int_equal(accepts, 0);
        assert_int_equal(fcntl(now.server, F_GETFL), flags);
        end(&now);
        assert_false(peer_is_open(now.server));
    }
}

static void from_socket_names_its_peer(void** state) {
    (void)state;
    int fds[2];
    noPollCtx* const ctx = nopoll_ctx_new();
    peer_socketpair(fds);
    noPollConn* const local = nopoll_listener_from_socket(ctx, fds[0]);
    assert_string_equal(nopoll_conn_host(local), "0.0.0.0");
    assert_string_equal(nopoll_conn_port(local), "0");
    nopoll_conn_close(local);
    close(fds[1]);
    if (peer_has_ipv6()) {
        noPollConn* const listener = nopoll_listener_new6(ctx, "::1", "0");
        noPollConn* const client =
            nopoll_conn_new6(ctx, "::1", test_port(listener), NULL, NULL, NULL, NULL);
        const int fd = nopoll_listener_accept(nopoll_conn_socket(listener));
        noPollConn* const conn = nopoll_listener_from_socket(ctx, fd);
        assert_string_equal(nopoll_conn_host(conn), "::1");
        assert_string_equal(nopoll_conn_port(conn), peer_port(nopoll_conn_socket(client)));
        nopoll_conn_close(conn);
        nopoll_conn_close(client);
        nopoll_conn_close(listener);
    }
    nopoll_ctx_unref(ctx);
}

/* Without a listener there are no options that would allow a missing Origin. */
static void from_socket_wants_an_origin(void** state) {
    (void)state;
    static const char request[] = GET HOST UPGRADE CONNECTION KEY VERSION END;
    for (int completed = 0; completed < 2; completed++) {
        scene now;
        noPollConnOpts* const options = nopoll_conn_opts_new();
        nopoll_conn_opts_skip_origin_check(options, nopoll_true);
        begin(&now, options);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        if (completed) {
            assert_int_equal(
                nopoll_conn_accept_complete(now.ctx, now.listener, conn, now.server, nopoll_false),
                1);
            assert_ptr_equal(nopoll_conn_get_listener(conn), now.listener);
        }
        test_send_all(now.fd, request, strlen(request));
        assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), completed);
        end(&now);
    }
}

/* --- nopoll_conn_accept_complete --- */

enum listener_kind { NO_LISTENER, ITSELF, ANOTHER };

static void accept_complete_takes_any_listener(void** state) {
    (void)state;
    for (int kind = NO_LISTENER; kind <= ANOTHER; kind++) {
        scene now;
        noPollConnOpts* const options = nopoll_conn_opts_new();
        nopoll_conn_opts_set_max_frame_size(options, 321);
        begin(&now, options);
        accepts = 0;
        nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        noPollConn* const listener = kind == NO_LISTENER ? NULL
                                     : kind == ITSELF    ? conn
                                                         : now.listener;
        fcntl(now.server, F_SETFL, O_NONBLOCK);
        assert_int_equal(
            nopoll_conn_accept_complete(now.ctx, listener, conn, now.server, nopoll_false), 1);
        assert_int_equal(accepts, 1);
        assert_int_equal(nopoll_conn_ref_count(conn), 1);
        assert_int_equal(fcntl(now.server, F_GETFL) & O_NONBLOCK, 0);
        assert_ptr_equal(nopoll_conn_get_listener(conn), kind == ANOTHER ? now.listener : NULL);
        assert_true(nopoll_conn_get_max_frame_size(conn) == (kind == ANOTHER ? 321 : 16777216));
        check_handshake(&now, conn);
        end(&now);
    }
}

/* Refused: shut down, but valid and registered until it is closed, or dropped by the loop. */
static void accept_complete_leaves_a_refused_connection(void** state) {
    (void)state;
    for (int way = 0; way < 4; way++) {
        scene now;
        begin(&now, NULL);
        accepts = 0;
        accept_result = way < 2 ? 0 : 1;
        nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        /* The second pair: TLS without any certificate. */
        assert_int_equal(
            nopoll_conn_accept_complete(now.ctx, way % 2 ? NULL : conn, conn, now.server, way >= 2),
            0);
        assert_int_equal(accepts, 1);
        assert_int_equal(nopoll_conn_is_ok(conn), 0);
        assert_int_equal(nopoll_conn_socket(conn), -1);
        assert_false(peer_is_open(now.server));
        assert_int_equal(nopoll_conn_ref_count(conn), 1);
        assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
        if (way % 2)
            nopoll_conn_close(conn);
        else
            nopoll_loop_wait(now.ctx, 1);
        assert_int_equal(nopoll_ctx_conns(now.ctx), 1);
        assert_int_equal(nopoll_ctx_ref_count(now.ctx), 2);
        end(&now);
    }
}

static void accept_complete_checks_its_arguments(void** state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        scene now;
        begin(&now, NULL);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        nopoll_bool result = nopoll_true;
        if (way == 0)
            result = nopoll_conn_accept_complete(NULL, now.listener, conn, now.server, 0);
        else if (way == 1)
            result = nopoll_conn_accept_complete(now.ctx, now.listener, conn, -1, 0);
        else
            result = nopoll_conn_accept_complete(now.ctx, now.listener, NULL, now.server, 0);
        assert_int_equal(result, 0);
        assert_int_equal(nopoll_conn_is_ok(conn), way == 2);
        assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
        end(&now);
    }
}

/* The number of a connection that has ended may be something else's by now. */
static void an_ended_connection_does_not_come_back(void** state) {
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        scene now;
        begin(&now, NULL);
        nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        nopoll_conn_ref(conn);
        nopoll_conn_ref(conn);
        if (closed)
            nopoll_conn_close(conn);
        else
            nopoll_conn_shutdown(conn);
        assert_int_equal(fcntl(now.fd, F_DUPFD, now.server), now.server);
        assert_int_equal(
            nopoll_conn_accept_complete(now.ctx, now.listener, conn, now.server, nopoll_false), 0);
        assert_int_equal(accepts, 0);
        assert_int_equal(nopoll_conn_is_ok(conn), 0);
        assert_true(peer_is_open(now.server));
        if (!closed) nopoll_conn_unref(conn);
        nopoll_ctx_unregister_conn(now.ctx, conn);
        nopoll_conn_unref(conn);
        close(now.server);
        end(&now);
    }
}

static void the_common_part_consumes_options(void** state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        scene now;
        begin(&now, NULL);
        noPollConnOpts* const options = nopoll_conn_opts_new();
        nopoll_conn_opts_set_max_frame_size(options, 99);
        nopoll_conn_opts_ref(options);
        noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
        const nopoll_bool result = __nopoll_conn_accept_complete_common(
            way == 1 ? NULL : now.ctx, options, NULL, way == 2 ? NULL : conn, now.server, 0);
        assert_int_equal(result, way == 0);
        assert_int_equal(options->refs, 1);
        nopoll_conn_opts_unref(options); /* the connection has what it needs */
        if (way == 0) assert_true(nopoll_conn_get_max_frame_size(conn) == 99);
        end(&now);
    }
}

/* The port sharing recipe of the manual: accept, look, wrap, complete. */
static void a_program_may_share_its_port(void** state) {
    (void)state;
    char first[3];
    scene now;
    begin(&now, NULL);
    test_send_all(now.fd, TEST_REQUEST, strlen(TEST_REQUEST));
    assert_true(test_readable(now.server, TEST_LIMIT_MS));
    assert_int_equal(recv(now.server, first, 3, MSG_PEEK), 3);
    assert_memory_equal(first, "GET", 3);
    noPollConn* const shared =
        nopoll_listener_from_socket(now.ctx, nopoll_conn_socket(now.listener));
    assert_null(shared); /* as today; the recipe goes on with it */
    noPollConn* const conn = nopoll_listener_from_socket(now.ctx, now.server);
    assert_int_equal(nopoll_conn_accept_complete(now.ctx, shared, conn, now.server, 0), 1);
    assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 1);
    end(&now);
}

/* --- nopoll_conn_set_socket --- */

static void set_socket_changes_the_number_only(void** state) {
    (void)state;
    scene now;
    begin(&now, NULL);
    noPollConn* const conn = nopoll_conn_accept_socket(now.ctx, now.listener, now.server);
    nopoll_conn_set_socket(conn, -1);
    assert_int_equal(nopoll_conn_is_ok(conn), 0);
    assert_int_equal(nopoll_conn_socket(conn), -1);
    assert_null(nopoll_conn_get_msg(conn));
    assert_true(peer_is_open(now.server));
    const int copy = dup(now.server);
    nopoll_conn_set_socket(conn, copy);
    close(now.server);
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    check_handshake(&now, conn);
    nopoll_conn_close(conn);
    assert_false(peer_is_open(copy));
    end(&now);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ACCEPT_TEST(from_socket_alone_is_enough),
        ACCEPT_TEST(from_socket_names_its_peer),
        ACCEPT_TEST(from_socket_wants_an_origin),
        ACCEPT_TEST(accept_complete_takes_any_listener),
        ACCEPT_TEST(accept_complete_leaves_a_refused_connection),
        ACCEPT_TEST(accept_complete_checks_its_arguments),
        ACCEPT_TEST(an_ended_connection_does_not_come_back),
        ACCEPT_TEST(the_common_part_consumes_options),
        ACCEPT_TEST(a_program_may_share_its_port),
        ACCEPT_TEST(set_socket_changes_the_number_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
