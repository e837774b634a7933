/* SPDX-License-Identifier: MIT */
/* The small socket functions (spec: connection.md section 10), flags of sockets as programs see
 * them, and raw reads and writes past the frames. */
#include "stream_peer.h"

#include <limits.h>
#include <netinet/tcp.h>

/* Exported, in no header. */
int nopoll_conn_sock_connect(noPollCtx* ctx, const char* host, const char* port);
int nopoll_conn_sock_connect_opts(noPollCtx* ctx, const char* host, const char* port,
                                  noPollConnOpts* options);
int __nopoll_conn_sock_connect_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                             const char* host, const char* port,
                                             noPollConnOpts* options);
nopoll_bool nopoll_conn_set_sock_tcp_nodelay(int fd, nopoll_bool enable);
nopoll_bool nopoll_conn_set_bind_interface(int fd, noPollConnOpts* options);
int nopoll_conn_tls_receive(noPollConn* conn, char* buffer, int buffer_size);
int nopoll_conn_tls_send(noPollConn* conn, char* buffer, int buffer_size);

static int is_blocking(int fd) {
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static int has_nodelay(int fd) {
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    return value != 0;
}

static void blocking_mode_is_switched(void** state) {
    (void)state;
    int fds[2];
    peer_socketpair(fds);
    assert_int_equal(nopoll_conn_set_sock_block(fds[0], 0), 1);
    assert_false(is_blocking(fds[0]));
    assert_int_equal(nopoll_conn_set_sock_block(fds[0], 0), 1);
    assert_false(is_blocking(fds[0]));
    assert_int_equal(nopoll_conn_set_sock_block(fds[0], 7), 1); /* any but 0 */
    assert_true(is_blocking(fds[0]));
    assert_int_equal(nopoll_conn_set_sock_block(-1, 1), 0);
    close(fds[0]);
    assert_int_equal(nopoll_conn_set_sock_block(fds[0], 1), 0);
    close(fds[1]);
}

static void nodelay_is_switched(void** state) {
    (void)state;
    int ends[2];
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(nopoll_conn_set_sock_tcp_nodelay(fd, 1), 1);
    assert_true(has_nodelay(fd));
    assert_int_equal(nopoll_conn_set_sock_tcp_nodelay(fd, 0), 1);
    assert_false(has_nodelay(fd));
    close(fd);
    assert_int_equal(nopoll_conn_set_sock_tcp_nodelay(fd, 1), 0);
    assert_int_equal(nopoll_conn_set_sock_tcp_nodelay(-1, 1), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(nopoll_conn_set_sock_tcp_nodelay(ends[0], 1), 0);
    close(ends[0]);
    close(ends[1]);
}

static void interfaces_are_bound(void** state) {
    (void)state;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    noPollConnOpts* const options = nopoll_conn_opts_new();
    assert_int_equal(nopoll_conn_set_bind_interface(fd, NULL), 1);
    assert_int_equal(nopoll_conn_set_bind_interface(fd, options), 1);
    nopoll_conn_opts_set_interface(options, "no-such-if0");
    assert_int_equal(nopoll_conn_set_bind_interface(fd, options), 0);
    nopoll_conn_opts_set_interface(options, NULL);
    assert_int_equal(nopoll_conn_set_bind_interface(fd, options), 1);
    close(fd);
    nopoll_conn_opts_free(options);
}

static void sock_connect_gives_a_descriptor(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    const int listening = peer_listen(8);
    const char* const port = peer_port(listening);
    noPollConnOpts* const options = nopoll_conn_opts_new();
    const int fds[] = {nopoll_conn_sock_connect(ctx, "127.0.0.1", port),
                       nopoll_conn_sock_connect_opts(ctx, "127.0.0.1", port, options),
                       __nopoll_conn_sock_connect_opts_internal(ctx, NOPOLL_TRANSPORT_IPV4,
                                                                "127.0.0.1", port, options)};
    for (int i = 0; i < 3; i++) {
        assert_true(fds[i] >= 3);
        assert_false(is_blocking(fds[i]));
        assert_true(has_nodelay(fds[i]));
        const int peer = peer_accept(listening);
        test_send_all(peer, "x", 1);
        assert_true(test_readable(fds[i], TEST_LIMIT_MS));
        close(peer);
        close(fds[i]);
    }
    assert_int_equal(nopoll_ctx_conns(ctx), 0); /* no object */
    assert_int_equal(nopoll_conn_sock_connect(ctx, "::1", port), -1);
    assert_int_equal(nopoll_conn_sock_connect(ctx, "127.0.0.1", "no-such-service"), -1);
    assert_int_equal(__nopoll_conn_sock_connect_opts_internal(ctx, NOPOLL_TRANSPORT_IPV6,
                                                              "127.0.0.1", port, NULL),
                     -1);
    nopoll_conn_opts_set_interface(options, "no-such-if0");
    assert_int_equal(nopoll_conn_sock_connect_opts(ctx, "127.0.0.1", port, options), -1);
    nopoll_conn_opts_set_interface(options, NULL); /* not consumed by any of them */
    nopoll_conn_opts_free(options);
    nopoll_ctx_unref(ctx);
    close(listening);
}

/* Clients and their peers send at once; only clients are non-blocking, and what is given stays. */
static void sockets_have_the_flags_that_programs_expect(void** state) {
    (void)state;
    test_pair pair;
    test_pair_open(&pair);
    assert_false(is_blocking(nopoll_conn_socket(pair.client)));
    assert_true(is_blocking(nopoll_conn_socket(pair.server)));
    assert_true(is_blocking(nopoll_conn_socket(pair.listener)));
    assert_true(has_nodelay(nopoll_conn_socket(pair.client)));
    assert_true(has_nodelay(nopoll_conn_socket(pair.server)));
    assert_false(has_nodelay(nopoll_conn_socket(pair.listener)));
    /* The loop reads without waiting and leaves the flags alone. */
    nopoll_loop_wait(pair.ctx, 1);
    assert_true(is_blocking(nopoll_conn_socket(pair.server)));
    assert_true(is_blocking(nopoll_conn_socket(pair.listener)));
    assert_false(is_blocking(nopoll_conn_socket(pair.client)));
    test_pair_close(&pair);
}

static void raw_bytes_go_past_the_frames(void** state) {
    (void)state;
    char buffer[16] = "raw bytes";
    peer_scene scene;
    peer_client_scene(&scene, NULL);
    assert_int_equal(nopoll_conn_default_send(scene.conn, buffer, 9), 9);
    memset(buffer, 0, sizeof buffer);
    assert_int_equal(test_receive(scene.fd, buffer, 9), 9);
    assert_string_equal(buffer, "raw bytes");
    errno = 0;
    assert_int_equal(nopoll_conn_default_receive(scene.conn, buffer, sizeof buffer), -1);
    assert_int_equal(errno, EWOULDBLOCK); /* a client's socket does not wait */
    test_send_all(scene.fd, "abc", 3);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_default_receive(scene.conn, buffer, 2), 2);
    assert_int_equal(nopoll_conn_default_receive(scene.conn, buffer + 2, 14), 1);
    assert_memory_equal(buffer, "abc", 3);
    shutdown(scene.fd, SHUT_WR);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_default_receive(scene.conn, buffer, 4), 0); /* the end */
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 1); /* raw: nothing is done about it */
    errno = 0;
    assert_int_equal(nopoll_conn_tls_send(scene.conn, buffer, 3), -1); /* no TLS here */
    assert_int_equal(nopoll_conn_tls_receive(scene.conn, buffer, 3), -1);
    nopoll_conn_shutdown(scene.conn);
    errno = 0;
    assert_int_equal(nopoll_conn_default_send(scene.conn, buffer, 3), -1);
    assert_int_equal(errno, EBADF);
    errno = 0;
    assert_int_equal(nopoll_conn_default_receive(scene.conn, buffer, 3), -1);
    assert_int_equal(errno, EBADF);
    errno = NOPOLL_EWOULDBLOCK; /* of an earlier call */
    assert_int_equal(nopoll_conn_default_send(NULL, buffer, 3), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(nopoll_conn_default_receive(NULL, buffer, 3), -1);
    assert_int_equal(nopoll_conn_tls_send(NULL, buffer, 3), -1);
    assert_int_equal(nopoll_conn_tls_receive(NULL, buffer, 3), -1);
    peer_end(&scene);
}

/* What does not fit is said. */
static void raw_sends_say_how_much_went_out(void** state) {
    (void)state;
    enum { kSize = 8 * 1024 * 1024 };
    char* const content = calloc(1, kSize);
    peer_scene scene;
    peer_client_scene(&scene, NULL);
    const int sent = nopoll_conn_default_send(scene.conn, content, kSize);
    assert_true(sent > 0 && sent < kSize);
    errno = 0;
    int more;
    while ((more = nopoll_conn_default_send(scene.conn, content, 4096)) > 0)
        continue;
    assert_int_equal(more, -1);
    assert_int_equal(errno, EWOULDBLOCK);
    free(content);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocking_mode_is_switched),
        cmocka_unit_test(nodelay_is_switched),
        cmocka_unit_test(interfaces_are_bound),
        cmocka_unit_test(sock_connect_gives_a_descriptor),
        cmocka_unit_test(sockets_have_the_flags_that_programs_expect),
        cmocka_unit_test(raw_bytes_go_past_the_frames),
        cmocka_unit_test(raw_sends_say_how_much_went_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
