/* SPDX-License-Identifier: MIT */
/* SIGPIPE (spec: context-and-loop.md section 6): what a context does to its disposition, and that
 * no write of the library raises it. Writes over TLS: test_tls_*.c. */
#include "server_request.h"

#include <signal.h>
#include <sys/wait.h>

/* Exported, in no header. */
void __nopoll_ctx_sigpipe_do_nothing(int number);

static volatile sig_atomic_t signals;

static void count_signal(int number) {
    (void)number;
    signals++;
}

static void count_with_info(int number, siginfo_t* info, void* context) {
    (void)info;
    (void)context;
    count_signal(number);
}

static void set_disposition(void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
}

static struct sigaction disposition(void) {
    struct sigaction action;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    return action;
}

static int begin_with_default(void** state) {
    (void)state;
    signals = 0;
    set_disposition(SIG_DFL);
    return 0;
}

/* A handler, so that children get the default back when they exec. */
static void the_default_is_replaced(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    const struct sigaction now = disposition();
    assert_true(now.sa_handler == __nopoll_ctx_sigpipe_do_nothing);
    assert_int_not_equal(now.sa_flags & SA_RESTART, 0);
    __nopoll_ctx_sigpipe_do_nothing(SIGPIPE);
    raise(SIGPIPE);
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "kill -PIPE $$; exit 7", (char*)NULL);
        _exit(8);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    nopoll_ctx_unref(ctx);
    assert_true(disposition().sa_handler == __nopoll_ctx_sigpipe_do_nothing); /* never taken back */
}

static void other_dispositions_stay(void** state) {
    (void)state;
    set_disposition(SIG_IGN);
    noPollCtx* ctx = nopoll_ctx_new();
    assert_true(disposition().sa_handler == SIG_IGN);
    nopoll_ctx_unref(ctx);
    set_disposition(count_signal);
    ctx = nopoll_ctx_new();
    assert_true(disposition().sa_handler == count_signal);
    nopoll_ctx_unref(ctx);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = count_with_info;
    action.sa_flags = SA_SIGINFO;
    assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
    ctx = nopoll_ctx_new();
    assert_true(disposition().sa_sigaction == count_with_info);
    nopoll_ctx_unref(ctx);
    /* A program that wants the default back has it. */
    set_disposition(SIG_DFL);
    ctx = nopoll_ctx_new();
    set_disposition(SIG_DFL);
    nopoll_loop_wait(ctx, 1);
    assert_true(disposition().sa_handler == SIG_DFL);
    nopoll_ctx_unref(ctx);
}

/* --- writes --- */

/* A connection whose peer is gone for good: a write to it would raise the signal. */
static void break_peer(peer_scene* scene) {
    const struct linger hard = {1, 0};
    setsockopt(scene->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(scene->fd);
    scene->fd = -1;
    char byte;
    assert_true(test_readable(nopoll_conn_socket(scene->conn), TEST_LIMIT_MS));
    recv(nopoll_conn_socket(scene->conn), &byte, 1, MSG_DONTWAIT); /* takes the reset away */
}

static void send_something(noPollConn* conn, int way) {
    char text[] = "hello";
    switch (way) {
    case 0: assert_int_equal(nopoll_conn_send_text(conn, text, 5), -1); break;
    case 1: assert_int_equal(nopoll_conn_send_binary_fragment(conn, text, 5), -1); break;
    case 2: assert_int_equal(nopoll_conn_send_ping(conn), 0); break;
    case 3: assert_int_equal(nopoll_conn_send_pong(conn, 5, text), 0); break;
    case 4:
        assert_int_equal(nopoll_conn_send_frame(conn, 1, 0, NOPOLL_BINARY_FRAME, 5, text, 0), -1);
        break;
    case 5: assert_int_equal(nopoll_conn_default_send(conn, text, 5), -1); break;
    case 6: nopoll_conn_close_ext(conn, 1001, text, 5); break;
    case 7: nopoll_conn_shutdown(conn); break;
    default:
        assert_int_equal(__nopoll_conn_send_common(conn, text, 5, 1, 1000, NOPOLL_TEXT_FRAME), -1);
        break;
    }
}

static void sends_do_not_raise_it(void** state) {
    (void)state;
    set_disposition(count_signal);
    for (int way = 0; way < 9; way++) {
        for (int client = 0; client < 2; client++) {
            peer_scene scene;
            if (client)
                peer_client_scene(&scene, NULL);
            else
                peer_server_scene(&scene, NULL);
            break_peer(&scene);
            send_something(scene.conn, way);
            if (way == 6) scene.conn = NULL;
            assert_int_equal(signals, 0);
            peer_end(&scene);
            assert_int_equal(signals, 0);
        }
    }
}

/* The same for what is written without being asked: pongs, Close answers, replies. */
static void answers_do_not_raise_it(void** state) {
    (void)state;
    static const char* const last_words[] = {"\x89\x80\0\0\0\0", "\x88\x80\0\0\0\0",
                                             "\xff\x80\0\0\0\0"};
    set_disposition(count_signal);
    for (int i = 0; i < 3; i++) {
        int fds[2];
        char head[512];
        noPollCtx* const ctx = nopoll_ctx_new();
        peer_socketpair(fds);
        noPollConn* const conn = nopoll_listener_from_socket(ctx, fds[0]);
        test_send_all(fds[1], TEST_REQUEST, strlen(TEST_REQUEST));
        assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 1);
        test_receive_head(fds[1], head, sizeof head);
        test_send_all(fds[1], last_words[i], 6);
        close(fds[1]); /* what it has said can still be read */
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 0);
        assert_int_equal(signals, 0);
        nopoll_ctx_unref(ctx);
    }
    static const char* const requests[] = {TEST_REQUEST, "GET / HTTP/1.0\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        int fds[2];
        noPollCtx* const ctx = nopoll_ctx_new();
        peer_socketpair(fds);
        assert_non_null(nopoll_listener_from_socket(ctx, fds[0]));
        test_send_all(fds[1], requests[i], strlen(requests[i]));
        close(fds[1]);
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 0);
        assert_int_equal(signals, 0);
        nopoll_ctx_unref(ctx);
    }
}

static void requests_and_listeners_do_not_raise_it(void** state) {
    (void)state;
    set_disposition(count_signal);
    for (int tls = 0; tls < 2; tls++) {
        int fds[2];
        noPollCtx* const ctx = nopoll_ctx_new();
        peer_socketpair(fds);
        close(fds[1]);
        noPollConn* const conn =
            tls ? nopoll_conn_tls_new_with_socket(ctx, NULL, fds[0], "h", "1", NULL, NULL, NULL,
                                                  NULL)
                : nopoll_conn_new_with_socket(ctx, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL);
        assert_int_equal(nopoll_conn_is_ok(conn), 0);
        nopoll_conn_close(conn);
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        nopoll_conn_close_ext(listener, 1000, "bye", 3);
        assert_int_equal(signals, 0);
        nopoll_ctx_unref(ctx);
    }
}

#define PIPE_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, begin_with_default, begin_with_default)

int main(void) {
    const struct CMUnitTest tests[] = {
        PIPE_TEST(the_default_is_replaced),
        PIPE_TEST(other_dispositions_stay),
        PIPE_TEST(sends_do_not_raise_it),
        PIPE_TEST(answers_do_not_raise_it),
        PIPE_TEST(requests_and_listeners_do_not_raise_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
