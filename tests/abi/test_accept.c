/* SPDX-License-Identifier: MIT */
/* nopoll_listener_accept, nopoll_conn_accept and nopoll_conn_accept_socket (spec: handshake.md
 * section 6, listener.md section 6): what comes out, who owns the descriptor on which path. */
#include "accept_scene.h"

#include <nopoll_private.h>
#include <pthread.h>

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
