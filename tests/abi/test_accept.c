/* SPDX-License-Identifier: MIT */
/* Accepting (spec: handshake.md section 6, listener.md sections 5 and 6): objects for sockets, who
 * owns the descriptor on which path, what listener and options add. */
#include "server_request.h"

#include <nopoll_private.h>
#include <pthread.h>

/* Exported, in no header. */
nopoll_bool __nopoll_conn_accept_complete_common(noPollCtx* ctx, noPollConnOpts* options,
                                                 noPollConn* listener, noPollConn* conn, int fd,
                                                 nopoll_bool tls_on);
nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn);

typedef struct {
    noPollCtx* ctx;
    noPollConn* listener;
    int fd;     /* the raw client's */
    int server; /* the descriptor that the test has accepted itself */
} scene;

static void begin(scene* now, noPollConnOpts* options) {
    now->ctx = nopoll_ctx_new();
    now->listener = nopoll_listener_new_opts(now->ctx, options, "127.0.0.1", "0");
    assert_non_null(now->listener);
    now->fd = test_connect(test_port_of(nopoll_conn_socket(now->listener)));
    now->server = nopoll_listener_accept(nopoll_conn_socket(now->listener));
    assert_true(now->server >= 0);
}

static void end(scene* now) {
    peer_close_accepted(now->ctx);
    nopoll_conn_close(now->listener);
    assert_int_equal(nopoll_ctx_conns(now->ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(now->ctx), 1);
    nopoll_ctx_unref(now->ctx);
    close(now->fd);
}

/* The raw client shakes hands with this connection. */
static void check_handshake(const scene* now, noPollConn* conn) {
    char head[512];
    test_send_all(now->fd, TEST_REQUEST, strlen(TEST_REQUEST));
    POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
    test_receive_head(now->fd, head, sizeof head);
    assert_string_equal(head, REPLY_101);
}

static int accepts;
static int accept_result;

static nopoll_bool count_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)data;
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(__nopoll_ctx_conn_is_registered(ctx, conn), 1);
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    accepts++;
    return accept_result;
}

static int reset_accepts(void** state) {
    (void)state;
    accepts = 0;
    accept_result = 1;
    return 0;
}

/* --- nopoll_listener_accept and nopoll_conn_accept --- */

static void accepted_descriptors_are_plain(void** state) {
    (void)state;
    scene now;
    begin(&now, NULL);
    assert_int_equal(fcntl(now.server, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(now.server, F_GETFD) & FD_CLOEXEC, 0);
    close(now.server);
    fcntl(nopoll_conn_socket(now.listener), F_SETFL, O_NONBLOCK);
    errno = 0;
    assert_int_equal(nopoll_listener_accept(nopoll_conn_socket(now.listener)), -1);
    assert_int_equal(errno, EAGAIN);
    errno = 0;
    assert_int_equal(nopoll_listener_accept(-1), -1);
    assert_int_equal(errno, EBADF);
    errno = 0;
    assert_null(nopoll_conn_accept(now.ctx, now.listener)); /* nobody there, does not wait */
    assert_int_equal(errno, EAGAIN);
    assert_null(nopoll_conn_accept(NULL, now.listener));
    assert_null(nopoll_conn_accept(now.ctx, NULL));
    assert_int_equal(nopoll_conn_is_ok(now.listener), 1);
    end(&now);
}

static void* connect_late(void* data) {
    const scene* const now = data;
    return (void*)(intptr_t)test_connect(test_port_of(nopoll_conn_socket(now->listener)));
}

static void accept_waits_on_a_blocking_listener(void** state) {
    (void)state;
    scene now;
    pthread_t thread;
    void* late = NULL;
    begin(&now, NULL);
    nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
    assert_int_equal(pthread_create(&thread, NULL, connect_late, &now), 0);
    noPollConn* const conn = nopoll_conn_accept(now.ctx, now.listener);
    assert_non_null(conn);
    pthread_join(thread, &late);
    assert_int_equal(accepts, 1);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_ptr_equal(nopoll_conn_get_listener(conn), now.listener);
    const int fd = nopoll_conn_socket(conn);
    int nodelay = 0;
    socklen_t size = sizeof nodelay;
    getsockopt(fd, 6 /* IPPROTO_TCP */, 1 /* TCP_NODELAY */, &nodelay, &size);
    assert_int_not_equal(nodelay, 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    nopoll_conn_close(conn);
    close((int)(intptr_t)late);
    close(now.server);
    end(&now);
}

/* The number that the next descriptor will get: unchanged when nothing has leaked. */
static int next_descriptor(void) {
    const int fd = dup(1);
    close(fd);
    return fd;
}

static void accept_closes_what_it_does_not_return(void** state) {
    (void)state;
    scene now;
    begin(&now, NULL);
    close(now.server);
    const int next = next_descriptor();
    /* A peer that has reset its connection before it is accepted. */
    const struct linger hard = {1, 0};
    const int gone = test_connect(test_port_of(nopoll_conn_socket(now.listener)));
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(gone);
    assert_null(nopoll_conn_accept(now.ctx, now.listener));
    assert_int_equal(next_descriptor(), next);
    assert_int_equal(nopoll_ctx_conns(now.ctx), 1);
    /* Refused by the program. */
    nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
    accept_result = 0;
    const int refused = test_connect(test_port_of(nopoll_conn_socket(now.listener)));
    assert_null(nopoll_conn_accept(now.ctx, now.listener));
    assert_int_equal(accepts, 1);
    close(refused);
    assert_int_equal(next_descriptor(), next);
    assert_int_equal(nopoll_ctx_ref_count(now.ctx), 2);
    end(&now);
}

/* The loop does the same, and goes on. */
static void a_vanished_peer_does_not_disturb_the_loop(void** state) {
    (void)state;
    scene now;
    begin(&now, NULL);
    close(now.server);
    const int next = next_descriptor();
    const struct linger hard = {1, 0};
    const int gone = test_connect(test_port_of(nopoll_conn_socket(now.listener)));
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(gone);
    nopoll_loop_wait(now.ctx, 1);
    nopoll_loop_wait(now.ctx, 1);
    assert_int_equal(nopoll_ctx_conns(now.ctx), 1);
    const int fd = test_raw_client(now.ctx, now.listener);
    assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
    close(fd);
    peer_close_accepted(now.ctx);
    /* The loop's own wake-up descriptors stay with the context. */
    assert_true(next_descriptor() <= next + 2);
    end(&now);
}

/* --- nopoll_conn_accept_socket --- */

static void accept_socket_makes_a_connection(void** state) {
    (void)state;
    scene now;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_max_frame_size(options, 555);
    begin(&now, options);
    nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
    fcntl(now.server, F_SETFL, O_NONBLOCK);
    noPollConn* const conn = nopoll_conn_accept_socket(now.ctx, now.listener, now.server);
    assert_non_null(conn);
    assert_int_equal(accepts, 1);
    assert_int_equal(nopoll_conn_socket(conn), now.server);
    assert_int_equal(nopoll_conn_role(conn), NOPOLL_ROLE_LISTENER);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(fcntl(now.server, F_GETFL) & O_NONBLOCK, 0);
    assert_ptr_equal(nopoll_conn_get_listener(conn), now.listener);
    assert_true(nopoll_conn_get_max_frame_size(conn) == 555);
    assert_int_equal(options->refs, 1); /* taken and dropped */
    check_handshake(&now, conn);
    nopoll_conn_close(conn);
    assert_false(peer_is_open(now.server));
    end(&now);
}

static void accept_socket_leaves_what_it_cannot_wrap(void** state) {
    (void)state;
    scene now;
    int ends[2];
    test_log* const log = calloc(1, sizeof *log);
    begin(&now, NULL);
    nopoll_log_set_handler(now.ctx, test_log_record, log);
    assert_int_equal(pipe(ends), 0);
    const int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    const int listening = peer_listen(1);
    const int bad[] = {-1, 0, ends[0], unconnected, listening};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(nopoll_conn_accept_socket(now.ctx, now.listener, bad[i]));
        if (bad[i] >= 0) assert_true(peer_is_open(bad[i]));
        assert_null(nopoll_listener_from_socket(now.ctx, bad[i]));
        if (bad[i] >= 0) assert_true(peer_is_open(bad[i]));
        assert_int_equal(log->criticals, 2 * (int)i + 2);
        assert_int_equal(nopoll_ctx_conns(now.ctx), 1);
    }
    assert_null(nopoll_conn_accept_socket(NULL, now.listener, now.server));
    assert_null(nopoll_conn_accept_socket(now.ctx, NULL, now.server));
    assert_null(nopoll_listener_from_socket(NULL, now.server));
    assert_true(peer_is_open(now.server));
    close(ends[0]);
    close(ends[1]);
    close(unconnected);
    close(listening);
    close(now.server);
    end(&now);
    free(log);
}

static void accept_socket_closes_what_is_refused(void** state) {
    (void)state;
    peer_stream seen;
    scene now;
    begin(&now, NULL);
    nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
    accept_result = 0;
    assert_null(nopoll_conn_accept_socket(now.ctx, now.listener, now.server));
    assert_int_equal(accepts, 1);
    assert_false(peer_is_open(now.server));
    assert_int_equal(nopoll_ctx_conns(now.ctx), 1);
    assert_int_equal(nopoll_ctx_ref_count(now.ctx), 2);
    peer_read_to_end(now.fd, &seen);
    assert_int_equal(seen.size, 0);
    end(&now);
}

/* A TLS listener without certificate is made, and refuses each connection. */
static void tls_without_certificate_is_refused(void** state) {
    (void)state;
    scene now;
    test_log* const log = calloc(1, sizeof *log);
    begin(&now, NULL);
    nopoll_log_set_handler(now.ctx, test_log_record, log);
    nopoll_ctx_set_on_accept(now.ctx, count_accept, NULL);
    noPollConn* const tls = nopoll_listener_tls_new(now.ctx, "127.0.0.1", "0");
    assert_int_equal(nopoll_conn_is_tls_on(tls), 1);
    assert_null(nopoll_conn_accept_socket(now.ctx, tls, now.server));
    assert_int_equal(accepts, 1); /* on_accept comes before TLS */
    assert_false(peer_is_open(now.server));
    assert_int_equal(log->criticals, 1);
    nopoll_conn_close(tls);
    end(&now);
    free(log);
}

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
            assert_int_equal(nopoll_conn_accept_complete(now.ctx, now.listener, conn, now.server,
                                                         nopoll_false),
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
        noPollConn* const listener =
            kind == NO_LISTENER ? NULL : kind == ITSELF ? conn : now.listener;
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

#define ACCEPT_TEST(name) cmocka_unit_test_setup(name, reset_accepts)

int main(void) {
    const struct CMUnitTest tests[] = {
        ACCEPT_TEST(accepted_descriptors_are_plain),
        ACCEPT_TEST(accept_waits_on_a_blocking_listener),
        ACCEPT_TEST(accept_closes_what_it_does_not_return),
        ACCEPT_TEST(a_vanished_peer_does_not_disturb_the_loop),
        ACCEPT_TEST(accept_socket_makes_a_connection),
        ACCEPT_TEST(accept_socket_leaves_what_it_cannot_wrap),
        ACCEPT_TEST(accept_socket_closes_what_is_refused),
        ACCEPT_TEST(tls_without_certificate_is_refused),
        ACCEPT_TEST(from_socket_alone_is_enough),
        ACCEPT_TEST(from_socket_names_its_peer),
        ACCEPT_TEST(from_socket_wants_an_origin),
        ACCEPT_TEST(accept_complete_takes_any_listener),
        ACCEPT_TEST(accept_complete_leaves_a_refused_connection),
        ACCEPT_TEST(accept_complete_checks_its_arguments),
        ACCEPT_TEST(the_common_part_consumes_options),
        ACCEPT_TEST(a_program_may_share_its_port),
        ACCEPT_TEST(set_socket_changes_the_number_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
