/* SPDX-License-Identifier: MIT */
/* The sockets of listeners, and what listeners keep (spec: listener.md sections 1, 3, 4 and 6):
 * socket options and queue, descriptors without object, reused options, certificates. */
#include "stream_peer.h"

#include <netinet/tcp.h>
#include <nopoll_private.h>
#include <signal.h>
#include <sys/time.h>

/* Exported, in no header. */
noPollConn* __nopoll_listener_new_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                                noPollConnOpts* opts, const char* host,
                                                const char* port);
noPollConn* __nopoll_listener_tls_new_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                                    noPollConnOpts* opts, const char* host,
                                                    const char* port);
int __nopoll_listener_sock_listen_internal(noPollCtx* ctx, noPollTransport transport,
                                           const char* host, const char* port);

static int option_of(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void listening_sockets_are_plain(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const int fd = nopoll_conn_socket(listener);
    assert_true(fd >= 3);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0); /* programs hand them on */
    assert_int_not_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 0);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* A listening socket tells the length of its queue in place of a count. */
static void queues_are_long_enough(void** state) {
    (void)state;
    static const struct {
        int wanted;
        unsigned expected;
    } queues[] = {{5, 128}, {0, 128}, {-1, 128}, {128, 128}, {200, 200}};
    noPollCtx* const ctx = nopoll_ctx_new();
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        struct tcp_info info;
        socklen_t size = sizeof info;
        ctx->backlog = queues[i].wanted;
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        memset(&info, 0, sizeof info);
        assert_int_equal(
            getsockopt(nopoll_conn_socket(listener), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
        assert_int_equal(info.tcpi_sacked, queues[i].expected);
        nopoll_conn_close(listener);
    }
    nopoll_ctx_unref(ctx);
}

static void any_ipv6_listener_takes_ipv4_peers(void** state) {
    (void)state;
    if (!peer_has_ipv6()) skip();
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new6(ctx, "::", "0");
    if (option_of(nopoll_conn_socket(listener), IPPROTO_IPV6, IPV6_V6ONLY) == 0) {
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
        noPollConn* const conn = nopoll_conn_accept(ctx, listener);
        assert_string_equal(nopoll_conn_host(conn), "::ffff:127.0.0.1");
        nopoll_conn_close(conn);
        close(fd);
    }
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* A program that has closed its standard streams: no socket gets one of their numbers. */
static void standard_numbers_are_left_free(void** state) {
    (void)state;
    const int saved = dup(0);
    noPollCtx* const ctx = nopoll_ctx_new();
    close(0);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    assert_true(nopoll_conn_socket(listener) >= 3);
    noPollConn* const client =
        nopoll_conn_new(ctx, "127.0.0.1", test_port(listener), NULL, NULL, NULL, NULL);
    assert_true(nopoll_conn_socket(client) >= 3);
    noPollConn* const conn = nopoll_conn_accept(ctx, listener);
    assert_non_null(conn);
    assert_true(nopoll_conn_socket(conn) >= 3);
    nopoll_loop_wait(ctx, 1); /* makes its wake-up descriptors */
    assert_false(peer_is_open(0));
    nopoll_conn_close(client);
    nopoll_conn_close(conn);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    dup2(saved, 0);
    close(saved);
}

static void do_nothing(int number) {
    (void)number;
}

static void accept_gives_up_after_five_signals(void** state) {
    (void)state;
    struct sigaction action;
    struct sigaction before;
    const struct itimerval often = {{0, 10000}, {0, 10000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    memset(&action, 0, sizeof action);
    action.sa_handler = do_nothing; /* without SA_RESTART */
    const int listening = peer_listen(1);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    const long start = test_now_ms();
    setitimer(ITIMER_REAL, &often, NULL);
    errno = 0;
    const int fd = nopoll_listener_accept(listening);
    const int error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(fd, -1);
    assert_int_equal(error, EINTR);
    assert_true(test_now_ms() - start >= 40);
    close(listening);
}

/* --- options --- */

static void reused_options_live_as_long_as_the_listener(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_reuse(options, nopoll_true);
    nopoll_conn_opts_skip_origin_check(options, nopoll_true);
    nopoll_conn_opts_set_max_frame_size(options, 77);
    noPollConn* const one = nopoll_listener_new_opts(ctx, options, "127.0.0.1", "0");
    noPollConn* const two = nopoll_listener_new_opts(ctx, options, "127.0.0.1", "0");
    assert_int_equal(options->refs, 1); /* programs compare with 1 */
    nopoll_conn_opts_free(options);
    noPollConn* const listeners[] = {one, two};
    for (int i = 0; i < 2; i++) {
        static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                      "Connection: Upgrade\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Version: 13\r\n\r\n";
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listeners[i])));
        noPollConn* const conn = nopoll_conn_accept(ctx, listeners[i]);
        assert_true(nopoll_conn_get_max_frame_size(conn) == 77);
        nopoll_conn_close(listeners[i]);
        test_send_all(fd, request, strlen(request));
        assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 1);
        nopoll_conn_close(conn);
        close(fd);
    }
    nopoll_ctx_unref(ctx);
}

/* --- descriptors without object --- */

static void sock_listen_gives_a_descriptor(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    const int fd = nopoll_listener_sock_listen(ctx, "127.0.0.1", "0");
    assert_int_equal(nopoll_socket_is_valid(fd), 1);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    close(fd);
    assert_int_equal(nopoll_listener_sock_listen(NULL, "127.0.0.1", "0"), -2);
    assert_int_equal(nopoll_listener_sock_listen(ctx, NULL, "0"), -2);
    assert_int_equal(nopoll_listener_sock_listen(ctx, "127.0.0.1", NULL), -2);
    assert_int_equal(nopoll_listener_sock_listen(ctx, "127.0.0.1", ""), -2);
    assert_int_equal(nopoll_listener_sock_listen(ctx, "::1", "0"), -1);
    assert_int_equal(nopoll_listener_sock_listen(ctx, "127.0.0.1", "70000"), -1);
    assert_int_equal(
        __nopoll_listener_sock_listen_internal(ctx, (noPollTransport)4711, "127.0.0.1", "0"), -1);
    assert_null(
        __nopoll_listener_new_opts_internal(ctx, (noPollTransport)4711, NULL, "127.0.0.1", "0"));
    assert_null(
        __nopoll_listener_tls_new_opts_internal(ctx, (noPollTransport)3, NULL, "127.0.0.1", "0"));
    noPollConn* const tls =
        __nopoll_listener_tls_new_opts_internal(ctx, NOPOLL_TRANSPORT_IPV4, NULL, "127.0.0.1", "0");
    assert_int_equal(nopoll_conn_is_tls_on(tls), 1);
    nopoll_conn_close(tls);
    nopoll_ctx_unref(ctx);
}

/* --- nopoll_listener_set_certificate --- */

static void certificates_must_be_readable(void** state) {
    (void)state;
    char folder[] = "/tmp/nopoll-listener-XXXXXX";
    char one[64];
    char two[64];
    char missing[64];
    test_log* const log = calloc(1, sizeof *log);
    assert_non_null(mkdtemp(folder));
    snprintf(one, sizeof one, "%s/one", folder);
    snprintf(two, sizeof two, "%s/two", folder);
    snprintf(missing, sizeof missing, "%s/missing", folder);
    close(open(one, O_WRONLY | O_CREAT, 0600));
    close(open(two, O_WRONLY | O_CREAT, 0600));
    noPollCtx* const ctx = nopoll_ctx_new();
    nopoll_log_set_handler(ctx, test_log_record, log);
    noPollConn* const listener = nopoll_listener_tls_new(ctx, "127.0.0.1", "0");
    assert_int_equal(nopoll_listener_set_certificate(NULL, one, two, NULL), 0);
    assert_int_equal(nopoll_listener_set_certificate(listener, NULL, two, NULL), 0);
    assert_int_equal(nopoll_listener_set_certificate(listener, one, NULL, NULL), 0);
    assert_null(listener->certificate);
    assert_int_equal(nopoll_listener_set_certificate(listener, one, two, two), 1); /* any content */
    assert_string_equal(listener->certificate, one);
    assert_string_equal(listener->private_key, two);
    assert_string_equal(listener->chain_certificate, two);
    assert_int_equal(log->criticals, 0);
    /* A missing file: nothing changes. */
    assert_int_equal(nopoll_listener_set_certificate(listener, missing, one, NULL), 0);
    assert_int_equal(nopoll_listener_set_certificate(listener, two, missing, NULL), 0);
    assert_int_equal(nopoll_listener_set_certificate(listener, two, one, missing), 0);
    assert_int_equal(log->criticals, 3);
    assert_string_equal(listener->certificate, one);
    assert_string_equal(listener->private_key, two);
    assert_string_equal(listener->chain_certificate, two);
    /* Replaced; a chain stays when none is given. */
    assert_int_equal(nopoll_listener_set_certificate(listener, two, one, NULL), 1);
    assert_string_equal(listener->certificate, two);
    assert_string_equal(listener->private_key, one);
    assert_string_equal(listener->chain_certificate, two);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    unlink(one);
    unlink(two);
    rmdir(folder);
    free(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listening_sockets_are_plain),
        cmocka_unit_test(queues_are_long_enough),
        cmocka_unit_test(any_ipv6_listener_takes_ipv4_peers),
        cmocka_unit_test(standard_numbers_are_left_free),
        cmocka_unit_test(accept_gives_up_after_five_signals),
        cmocka_unit_test(reused_options_live_as_long_as_the_listener),
        cmocka_unit_test(sock_listen_gives_a_descriptor),
        cmocka_unit_test(certificates_must_be_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
