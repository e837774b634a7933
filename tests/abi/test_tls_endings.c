/* SPDX-License-Identifier: MIT */
/* How TLS connections end, on both sides, and that nothing of it is felt elsewhere: close_notify,
 * no SIGPIPE, OpenSSL's error queue (spec: connection.md 4 and 9.1, context-and-loop.md 6). */
#include "tls_scene.h"

#include <signal.h>

int nopoll_conn_tls_receive(noPollConn* conn, char* buffer, int buffer_size);
int nopoll_conn_tls_send(noPollConn* conn, char* buffer, int buffer_size);

enum ending { CLOSE_NOTIFY, BARE_END, BROKEN };

/* What comes last at the test's end; bytes before it are dropped. */
static enum ending ending_of(struct tls_peer* peer, size_t* size) {
    char bytes[1024];
    const long end = test_now_ms() + TEST_LIMIT_MS;
    *size = 0;
    while (test_now_ms() < end) {
        int n, error;
        unsigned long code;
        ERR_clear_error();
        n = SSL_read(peer->ssl, bytes, sizeof bytes);
        if (n > 0) {
            *size += (size_t)n;
            continue;
        }
        error = SSL_get_error(peer->ssl, n);
        code = ERR_peek_error();
        ERR_clear_error();
        if (error == SSL_ERROR_WANT_READ)
            test_readable(peer->raw.fd, 20);
        else if (error == SSL_ERROR_ZERO_RETURN)
            return CLOSE_NOTIFY;
        else
            return ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? BARE_END : BROKEN;
    }
    fail();
    return BROKEN;
}

static int closed;
static int take_away;

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    int* const fd = (int*)data;
    (void)ctx;
    closed++;
    assert_true(nopoll_conn_is_ok(conn));
    *fd = nopoll_conn_socket(conn);
    if (take_away) nopoll_conn_set_socket(conn, -1);
}

static int closing_fd;

static void open_watched(struct tls_peer* peer, enum raw_side side) {
    tls_open(peer, side, NULL);
    closed = take_away = 0;
    closing_fd = -1;
    nopoll_conn_set_on_close(peer->raw.conn, on_close, &closing_fd);
}

static size_t close_frame_size(enum raw_side side) {
    return side == RAW_CLIENT ? 8 : 4; /* with a code */
}

/* --- our end --- */

static void close_says_goodbye_twice(enum raw_side side) {
    struct tls_peer peer;
    size_t size;
    open_watched(&peer, side);
    nopoll_conn_ref(peer.raw.conn);
    nopoll_conn_close_ext(peer.raw.conn, 1000, NULL, 0);
    assert_int_equal(closed, 1);
    assert_int_equal(ending_of(&peer, &size), CLOSE_NOTIFY);
    assert_int_equal(size, close_frame_size(side));
    tls_close(&peer);
}

static void shutdown_says_close_notify(enum raw_side side) {
    struct tls_peer peer;
    size_t size;
    open_watched(&peer, side);
    nopoll_conn_shutdown(peer.raw.conn);
    assert_int_equal(closed, 1);
    assert_int_equal(ending_of(&peer, &size), CLOSE_NOTIFY);
    assert_int_equal(size, 0);
    tls_close(&peer);
}

/* A handler that keeps the descriptor keeps all of it. */
static void nothing_when_the_socket_was_taken(enum raw_side side) {
    struct tls_peer peer;
    size_t size;
    open_watched(&peer, side);
    take_away = 1;
    nopoll_conn_shutdown(peer.raw.conn);
    assert_false(nopoll_conn_is_ok(peer.raw.conn));
    assert_false(test_readable(peer.raw.fd, 0));
    assert_int_equal(fcntl(closing_fd, F_GETFD) == -1, 0);
    assert_int_equal(close(closing_fd), 0);
    assert_int_equal(ending_of(&peer, &size), BARE_END);
    assert_int_equal(size, 0);
    tls_close(&peer);
}

/* --- the peer's end --- */

static void close_frame_is_answered(enum raw_side side) {
    struct tls_peer peer;
    size_t size;
    open_watched(&peer, side);
    tls_send_frames(&peer, RAW_CLOSE, "\x03\xe8 bye", RAW_TEXT, "never seen", 0);
    assert_null(nopoll_conn_get_msg(peer.raw.conn));
    assert_false(nopoll_conn_is_ok(peer.raw.conn));
    assert_int_equal(closed, 1);
    assert_int_equal(nopoll_conn_get_close_status(peer.raw.conn), 1000);
    assert_int_equal(ending_of(&peer, &size), CLOSE_NOTIFY);
    assert_int_equal(size, close_frame_size(side));
    tls_close(&peer);
}

/* With or without close_notify: the end of the stream, not an error. */
static void end_of_stream(enum raw_side side) {
    for (int with_notify = 0; with_notify <= 1; with_notify++) {
        static test_log log;
        struct tls_peer peer;
        size_t size;
        open_watched(&peer, side);
        memset(&log, 0, sizeof log);
        nopoll_log_set_handler(peer.raw.ctx, test_log_record, &log);
        if (with_notify)
            assert_int_equal(SSL_shutdown(peer.ssl), 0);
        else
            shutdown(peer.raw.fd, SHUT_WR);
        assert_true(test_readable(nopoll_conn_socket(peer.raw.conn), TEST_LIMIT_MS));
        errno = -1;
        assert_null(nopoll_conn_get_msg(peer.raw.conn));
        assert_int_equal(errno, 0);
        assert_false(nopoll_conn_is_ok(peer.raw.conn));
        assert_int_equal(closed, 1);
        assert_int_equal(log.criticals, 0);
        assert_int_equal(ERR_peek_error(), 0);
        /* To OpenSSL a bare end is an error after which it says no close_notify. */
        if (with_notify) assert_int_equal(ending_of(&peer, &size), CLOSE_NOTIFY);
        tls_close(&peer);
    }
}

static void junk_in_the_stream(enum raw_side side) {
    struct tls_peer peer;
    size_t size;
    open_watched(&peer, side);
    test_send_all(peer.raw.fd, "this is not a TLS record, not at all", 36);
    assert_true(test_readable(nopoll_conn_socket(peer.raw.conn), TEST_LIMIT_MS));
    errno = 0;
    assert_null(nopoll_conn_get_msg(peer.raw.conn));
    assert_int_not_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_false(nopoll_conn_is_ok(peer.raw.conn));
    assert_int_equal(closed, 1);
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_not_equal(ending_of(&peer, &size), CLOSE_NOTIFY);
    tls_close(&peer);
}

/* SIGPIPE has its default action, so one would end this program. The peer resets at once, or ends
 * the stream and resets when something is sent: then a write gives EPIPE. */
static void send_until_broken(enum raw_side side, int reset_at_once) {
    struct tls_peer peer;
    const struct linger reset = {1, 0};
    const long limit = test_now_ms() + TEST_LIMIT_MS;
    int sent = 0;
    open_watched(&peer, side);
    signal(SIGPIPE, SIG_DFL);
    if (reset_at_once) setsockopt(peer.raw.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    tls_drop_peer(&peer);
    while (sent >= 0 && test_now_ms() < limit) {
        errno = 0;
        sent = nopoll_conn_send_text(peer.raw.conn, "into the void", 13);
    }
    assert_int_equal(sent, -1);
    assert_int_equal(errno, reset_at_once ? ECONNRESET : EPIPE);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), 0);
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(nopoll_conn_send_text(peer.raw.conn, "again", 5), -1);
    assert_int_not_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_int_equal(nopoll_conn_flush_writes(peer.raw.conn, 1000, 0), 0);
    nopoll_conn_ref(peer.raw.conn);
    nopoll_conn_close(peer.raw.conn);
    assert_int_equal(closed, 1);
    assert_int_equal(ERR_peek_error(), 0);
    tls_close(&peer);
}

static void broken_pipe(enum raw_side side) {
    void (*const before)(int) = signal(SIGPIPE, SIG_DFL);
    send_until_broken(side, 1);
    send_until_broken(side, 0);
    signal(SIGPIPE, before);
}

/* The goodbyes at the end are writes too. */
static void goodbye_into_a_broken_pipe(enum raw_side side) {
    void (*const before)(int) = signal(SIGPIPE, SIG_DFL);
    for (int with_frame = 0; with_frame <= 1; with_frame++) {
        struct tls_peer peer;
        struct pollfd broken = {0, 0, 0};
        open_watched(&peer, side);
        signal(SIGPIPE, SIG_DFL);
        tls_drop_peer(&peer);
        broken.fd = nopoll_conn_socket(peer.raw.conn);
        assert_int_equal(nopoll_conn_send_text(peer.raw.conn, "answered by a reset", 19), 19);
        assert_int_equal(poll(&broken, 1, TEST_LIMIT_MS), 1);
        nopoll_conn_ref(peer.raw.conn);
        if (with_frame)
            nopoll_conn_close(peer.raw.conn);
        else
            nopoll_conn_shutdown(peer.raw.conn);
        assert_false(nopoll_conn_is_ok(peer.raw.conn));
        if (!with_frame) nopoll_conn_close(peer.raw.conn);
        tls_close(&peer);
    }
    signal(SIGPIPE, before);
}

/* The same while the loop reads. */
static void reset_seen_by_the_loop(enum raw_side side) {
    struct tls_peer peer;
    const struct linger reset = {1, 0};
    open_watched(&peer, side);
    setsockopt(peer.raw.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    tls_drop_peer(&peer);
    LOOP_UNTIL(peer.raw.ctx, !nopoll_conn_is_ok(peer.raw.conn));
    assert_int_equal(closed, 1);
    assert_int_equal(ERR_peek_error(), 0);
    tls_close(&peer);
}

/* --- the error queue --- */

/* What a careless program, or another library in this thread, may leave behind. */
static void leave_junk(void) {
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    ERR_raise(ERR_LIB_SYS, EAGAIN);
    assert_true(ERR_peek_error() != 0);
}

#define WITH_JUNK(call)                                                                            \
    do {                                                                                           \
        leave_junk();                                                                              \
        call;                                                                                      \
        assert_int_equal(ERR_peek_error(), 0);                                                     \
    } while (0)

static void junk_in_the_queue(enum raw_side side) {
    struct tls_peer peer;
    char buffer[16];
    char raw[] = "raw!";
    noPollMsg* msg = NULL;
    open_watched(&peer, side);
    ERR_clear_error();
    /* Nothing there: not an error. */
    WITH_JUNK(EXPECT_NOTHING(peer.raw.conn));
    WITH_JUNK(assert_int_equal(nopoll_conn_read(peer.raw.conn, buffer, 8, 0, 0), -1));
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    leave_junk(); /* stays where no TLS is touched */
    nopoll_loop_wait(peer.raw.ctx, 1);
    assert_true(nopoll_conn_is_ok(peer.raw.conn));
    /* Something there. */
    tls_send_frames(&peer, RAW_TEXT, "text", 0);
    WITH_JUNK(msg = nopoll_conn_get_msg(peer.raw.conn));
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, "text", 4, 1, 0);
    WITH_JUNK(assert_int_equal(nopoll_conn_send_text(peer.raw.conn, "back", 4), 4));
    ERR_clear_error();
    tls_expect(&peer, RAW_TEXT, "back", 4);
    WITH_JUNK(assert_true(nopoll_conn_send_ping(peer.raw.conn)));
    tls_expect(&peer, RAW_PING, "", 0);
    WITH_JUNK(assert_int_equal(nopoll_conn_tls_send(peer.raw.conn, raw, 4), 4));
    WITH_JUNK(assert_int_equal(nopoll_conn_tls_receive(peer.raw.conn, buffer, 4), -2));
    assert_int_equal(tls_take(&peer, buffer, 4), 4);
    assert_memory_equal(buffer, "raw!", 4);
    /* The end, and after it. */
    assert_int_equal(SSL_shutdown(peer.ssl), 0);
    assert_true(test_readable(nopoll_conn_socket(peer.raw.conn), TEST_LIMIT_MS));
    WITH_JUNK(assert_null(nopoll_conn_get_msg(peer.raw.conn)));
    assert_false(nopoll_conn_is_ok(peer.raw.conn));
    ERR_clear_error();
    tls_close(&peer);
}

static void junk_before_handshakes(void** state) {
    struct tls_server server;
    struct tls_client client;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener_with(ctx, "server");
    noPollConn* conn = NULL;
    (void)state;
    tls_server_prepare(&server, "server");
    tls_server_start(&server);
    WITH_JUNK(conn = tls_connect_to(ctx, &server, tls_options(NULL, "ca", 1), "server.test"));
    assert_true(nopoll_conn_is_ok(conn));
    WITH_JUNK(nopoll_conn_close(conn));
    tls_server_join(&server);
    tls_client_open(&client, listener, NULL);
    WITH_JUNK(conn = nopoll_conn_accept(ctx, listener));
    assert_non_null(conn);
    nopoll_conn_ref(conn);
    while (!tls_client_step(&client))
        WITH_JUNK(assert_null(nopoll_conn_get_msg(conn)));
    assert_true(test_readable(nopoll_conn_socket(conn), TEST_LIMIT_MS));
    POLL_UNTIL(nopoll_conn_socket(conn), (leave_junk(), nopoll_conn_is_ready(conn)));
    WITH_JUNK(nopoll_conn_close(conn));
    tls_client_close(&client);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    ERR_clear_error();
}

/* --- single functions --- */

static void raw_functions(enum raw_side side) {
    struct tls_peer peer;
    char buffer[64];
    char content[] = "not a frame";
    open_watched(&peer, side);
    assert_int_equal(nopoll_conn_tls_send(NULL, content, 3), -1);
    assert_int_equal(nopoll_conn_tls_send(peer.raw.conn, NULL, 3), -1);
    assert_int_equal(nopoll_conn_tls_receive(NULL, buffer, 3), -1);
    assert_int_equal(nopoll_conn_tls_receive(peer.raw.conn, NULL, 3), -1);
    errno = 0;
    assert_int_equal(nopoll_conn_tls_receive(peer.raw.conn, buffer, sizeof buffer), -2);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_int_equal(nopoll_conn_tls_send(peer.raw.conn, content, 11), 11);
    assert_int_equal(tls_take(&peer, buffer, 11), 11);
    assert_memory_equal(buffer, "not a frame", 11);
    tls_send_record(&peer, "abcdef", 6);
    assert_int_equal(nopoll_conn_tls_receive(peer.raw.conn, buffer, 4), 4);
    assert_memory_equal(buffer, "abcd", 4);
    assert_int_equal(nopoll_conn_tls_receive(peer.raw.conn, buffer, 4), 2);
    assert_int_equal(SSL_shutdown(peer.ssl), 0);
    assert_true(test_readable(nopoll_conn_socket(peer.raw.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_tls_receive(peer.raw.conn, buffer, 4), 0);
    tls_close(&peer);
}

/* The peer changes its keys and asks for ours to be changed. */
static void key_update(enum raw_side side) {
    struct tls_peer peer;
    noPollMsg* msg = NULL;
    open_watched(&peer, side);
    assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(peer.ssl), 1);
    tls_send_frames(&peer, RAW_TEXT, "new keys", 0);
    msg = test_get_msg(peer.raw.conn);
    EXPECT_MSG(msg, NOPOLL_TEXT_FRAME, "new keys", 8, 1, 0);
    assert_int_equal(nopoll_conn_send_text(peer.raw.conn, "here too", 8), 8);
    tls_expect(&peer, RAW_TEXT, "here too", 8);
    tls_close(&peer);
}

RAW_BOTH_SIDES(close_says_goodbye_twice)
RAW_BOTH_SIDES(shutdown_says_close_notify)
RAW_BOTH_SIDES(nothing_when_the_socket_was_taken)
RAW_BOTH_SIDES(close_frame_is_answered)
RAW_BOTH_SIDES(end_of_stream)
RAW_BOTH_SIDES(junk_in_the_stream)
RAW_BOTH_SIDES(broken_pipe)
RAW_BOTH_SIDES(goodbye_into_a_broken_pipe)
RAW_BOTH_SIDES(reset_seen_by_the_loop)
RAW_BOTH_SIDES(junk_in_the_queue)
RAW_BOTH_SIDES(raw_functions)
RAW_BOTH_SIDES(key_update)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(close_says_goodbye_twice),
        RAW_BOTH_TESTS(shutdown_says_close_notify),
        RAW_BOTH_TESTS(nothing_when_the_socket_was_taken),
        RAW_BOTH_TESTS(close_frame_is_answered),
        RAW_BOTH_TESTS(end_of_stream),
        RAW_BOTH_TESTS(junk_in_the_stream),
        RAW_BOTH_TESTS(broken_pipe),
        RAW_BOTH_TESTS(goodbye_into_a_broken_pipe),
        RAW_BOTH_TESTS(reset_seen_by_the_loop),
        RAW_BOTH_TESTS(junk_in_the_queue),
        cmocka_unit_test(junk_before_handshakes),
        RAW_BOTH_TESTS(raw_functions),
        RAW_BOTH_TESTS(key_update),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
