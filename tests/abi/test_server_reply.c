/* SPDX-License-Identifier: MIT */
/* The server's side of the opening handshake where it goes well, or where the program decides
 * (spec: handshake.md sections 1, 3 and 4): the 101 and its protocol, the order of the handlers,
 * their refusals, replies that the program writes itself. */
#include "server_request.h"

#define PROTOCOL(value) "Sec-WebSocket-Protocol: " value "\r\n"

struct protocol_row {
    const char* name;
    const char* asked; /* header line or "" */
    const char* set;   /* by the program, NULL: nothing */
    const char* line;  /* in the reply */
};

static const struct protocol_row rows[] = {
    {"nothing asked, nothing set", "", NULL, ""},
    {"nothing asked, one set", "", "chat", ""},
    {"one asked, nothing set", PROTOCOL("chat"), NULL, PROTOCOL("chat")},
    {"several asked, nothing set", PROTOCOL("a, b,c"), NULL, PROTOCOL("a")},
    {"several separated by blanks", PROTOCOL("a b"), NULL, PROTOCOL("a")},
    {"one of them set", PROTOCOL("a, b"), "b", PROTOCOL("b")},
    {"another one set", PROTOCOL("a, b"), "other", PROTOCOL("other")},
    {"empty list", PROTOCOL(""), NULL, ""},
};

static nopoll_bool set_protocol(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    const struct protocol_row* const row = data;
    (void)ctx;
    if (row->set != NULL) nopoll_conn_set_accepted_protocol(conn, row->set);
    return nopoll_true;
}

static void protocols_are_answered(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int in_accept = 0; in_accept < 2; in_accept++) {
            struct protocol_row row = rows[i];
            char request[1024];
            char expected[1024];
            char head[1024];
            noPollCtx* const ctx = nopoll_ctx_new();
            if (in_accept)
                nopoll_ctx_set_on_accept(ctx, set_protocol, &row);
            else
                nopoll_ctx_set_on_open(ctx, set_protocol, &row);
            noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
            const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
            snprintf(request, sizeof request, "%s%s%s", GET HEADERS, row.asked, END);
            test_send_all(fd, request, strlen(request));
            noPollConn* const conn = nopoll_conn_accept(ctx, listener);
            POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
            test_receive_head(fd, head, sizeof head);
            snprintf(expected, sizeof expected, "%s%s%s", PEER_SWITCHING, row.line, END);
            if (strcmp(head, expected) != 0) print_error("%s", head);
            ROW_CHECK(row.name, strcmp(head, expected) == 0);
            /* The getter tells what the program has set, whatever was sent. */
            const char* const accepted = nopoll_conn_get_accepted_protocol(conn);
            ROW_CHECK(row.name, (accepted == NULL) == (row.set == NULL));
            if (accepted != NULL) ROW_CHECK(row.name, strcmp(accepted, row.set) == 0);
            nopoll_conn_close(conn);
            nopoll_conn_close(listener);
            nopoll_ctx_unref(ctx);
            close(fd);
        }
    }
}

/* --- order --- */

typedef struct {
    char order[64];
    int refuse; /* the letter of the handler that says no */
    int own_ready;
} story;

static nopoll_bool tell(story* now, char letter) {
    const size_t size = strlen(now->order);
    assert_true(size + 1 < sizeof now->order);
    now->order[size] = letter;
    now->order[size + 1] = 0;
    return letter != now->refuse;
}

static nopoll_bool tell_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    assert_int_equal(nopoll_conn_is_ready(conn), 0);
    return tell(data, 'o');
}

static nopoll_bool tell_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    assert_int_equal(nopoll_conn_is_ready(conn), 0);
    return tell(data, 'r');
}

static nopoll_bool tell_own_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    return tell(data, 'R');
}

static void tell_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)msg;
    tell(data, 'm');
}

static void tell_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    tell(data, 'c');
}

static nopoll_bool tell_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    story* const now = data;
    assert_int_equal(nopoll_ctx_conns(ctx), 2);
    assert_int_equal(nopoll_conn_ref_count(conn), 1);
    assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
    assert_non_null(nopoll_conn_get_listener(conn));
    assert_string_equal(nopoll_conn_host(conn), "127.0.0.1");
    assert_string_equal(nopoll_conn_get_requested_url(conn), "/");
    nopoll_conn_set_on_close(conn, tell_close, now);
    if (now->own_ready) nopoll_conn_set_on_ready(conn, tell_own_ready, now);
    return tell(now, 'a');
}

static noPollCtx* story_context(story* now) {
    noPollCtx* const ctx = nopoll_ctx_new();
    nopoll_ctx_set_on_accept(ctx, tell_accept, now);
    nopoll_ctx_set_on_open(ctx, tell_open, now);
    nopoll_ctx_set_on_ready(ctx, tell_ready, now);
    nopoll_ctx_set_on_msg(ctx, tell_msg, now);
    return ctx;
}

static void handlers_run_in_order_and_once(void** state) {
    (void)state;
    for (int own = 0; own < 2; own++) {
        story now = {"", 0, own};
        unsigned char frame[16];
        peer_stream seen;
        noPollCtx* const ctx = story_context(&now);
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
        test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
        for (int i = 0; i < 2; i++)
            test_send_all(fd, frame, test_frame(frame, 0x81, 1, "x", 1));
        test_send_all(fd, "\x88\x80\0\0\0\0", 6);
        peer_until_end(ctx, fd, &seen);
        assert_string_equal(now.order, own ? "aoRmmc" : "aormmc");
        assert_int_equal(seen.size, strlen(REPLY_101) + 2);
        assert_memory_equal(seen.bytes, REPLY_101 "\x88\x00", seen.size);
        peer_close_accepted(ctx);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
        close(fd);
    }
}

/* on_accept: not a byte, the object is gone. on_open: 403. on_ready: Close 1008 behind the 101. */
static void handlers_may_refuse(void** state) {
    (void)state;
    static const struct {
        int who;
        const char* order;
        const char* reply;
    } ways[] = {{'a', "ac", ""},
                {'o', "aoc", REPLY_403},
                {'r', "aorc", REPLY_101 "\x88\x02\x03\xf0"},
                {'R', "aoRc", REPLY_101 "\x88\x02\x03\xf0"}};
    for (size_t i = 0; i < 4; i++) {
        for (int in_loop = 0; in_loop < 2; in_loop++) {
            story now = {"", ways[i].who, ways[i].who == 'R'};
            peer_stream seen;
            test_log* const log = calloc(1, sizeof *log);
            noPollCtx* const ctx = story_context(&now);
            nopoll_log_set_handler(ctx, test_log_record, log);
            noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
            const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
            if (ways[i].who != 'a') test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
            if (in_loop) {
                peer_until_end(ctx, fd, &seen);
            } else {
                noPollConn* const conn = nopoll_conn_accept(ctx, listener);
                assert_int_equal(conn != NULL, ways[i].who != 'a');
                if (conn != NULL) {
                    nopoll_conn_wait_until_connection_ready(conn, 5);
                    assert_int_equal(nopoll_conn_is_ok(conn), 0);
                    assert_int_equal(nopoll_ctx_conns(ctx), 2); /* until the next pass */
                } else {
                    assert_int_equal(nopoll_ctx_conns(ctx), 1);
                }
                peer_read_to_end(fd, &seen);
            }
            assert_string_equal(now.order, ways[i].order);
            assert_int_equal(seen.size, strlen(ways[i].reply));
            assert_memory_equal(seen.bytes, ways[i].reply, seen.size);
            assert_false(seen.reset);
            assert_int_equal(log->criticals, 1);
            assert_non_null(strstr(log->text, "connection 3: "));
            nopoll_loop_wait(ctx, 1);
            assert_int_equal(nopoll_ctx_conns(ctx), 1);
            nopoll_conn_close(listener);
            assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
            nopoll_ctx_unref(ctx);
            close(fd);
            free(log);
        }
    }
}

/* --- replies of the program --- */

static const char own_reply[] = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n";

static nopoll_bool answer_itself(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    char text[128];
    snprintf(text, sizeof text, "%s", own_reply);
    assert_int_equal(nopoll_conn_default_send(conn, text, (int)strlen(text)), (int)strlen(text));
    *(int*)data += 1;
    return nopoll_false;
}

static void programs_may_answer_themselves(void** state) {
    (void)state;
    for (int in_loop = 0; in_loop < 2; in_loop++) {
        int opened = 0;
        peer_stream seen;
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_ctx_set_on_open(ctx, answer_itself, &opened);
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
        test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
        test_send_all(fd, "unread", 6); /* must not turn into a reset */
        if (in_loop) {
            peer_until_end(ctx, fd, &seen);
        } else {
            noPollConn* const conn = nopoll_conn_accept(ctx, listener);
            nopoll_conn_wait_until_connection_ready(conn, 5);
            peer_read_to_end(fd, &seen);
        }
        assert_int_equal(opened, 1);
        assert_string_equal(seen.bytes, own_reply); /* and no 403 behind it */
        assert_false(seen.reset);
        peer_close_accepted(ctx);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
        close(fd);
    }
}

/* --- handlers that end the connection and say yes --- */

static int ends_by; /* 0: shutdown, 1: close, 2: close with a reason */

static nopoll_bool end_inside(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    *(int*)data += 1;
    if (ends_by == 0) nopoll_conn_shutdown(conn);
    if (ends_by == 1) nopoll_conn_close(conn);
    if (ends_by == 2) nopoll_conn_close_ext(conn, 1001, "bye", 3);
    return nopoll_true;
}

static void handlers_may_end_the_connection(void** state) {
    (void)state;
    for (int handler = 0; handler < 3; handler++) {
        for (ends_by = 0; ends_by < 3; ends_by++) {
            for (int in_loop = 0; in_loop < 2; in_loop++) {
                int runs = 0;
                peer_stream seen;
                noPollCtx* const ctx = nopoll_ctx_new();
                if (handler == 0) nopoll_ctx_set_on_accept(ctx, end_inside, &runs);
                if (handler == 1) nopoll_ctx_set_on_open(ctx, end_inside, &runs);
                if (handler == 2) nopoll_ctx_set_on_ready(ctx, end_inside, &runs);
                noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
                const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
                if (handler > 0) test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
                if (in_loop) {
                    peer_until_end(ctx, fd, &seen);
                } else {
                    noPollConn* const conn = nopoll_conn_accept(ctx, listener);
                    assert_int_equal(conn == NULL, handler == 0);
                    const long end = test_now_ms() + TEST_LIMIT_MS;
                    while (conn != NULL && runs == 0 && test_now_ms() < end)
                        nopoll_conn_wait_until_connection_ready(conn, 1);
                    peer_read_to_end(fd, &seen);
                }
                assert_int_equal(runs, 1);
                const char* expected = handler < 2 ? "" : REPLY_101;
                if (handler == 2 && ends_by == 2)
                    expected = REPLY_101 "\x88\x05\x03\xe9"
                                         "bye";
                size_t size = strlen(expected);
                if (handler == 2 && ends_by == 1) size += 2; /* an empty Close frame */
                assert_int_equal(seen.size, size);
                assert_memory_equal(seen.bytes, expected, strlen(expected));
                peer_close_accepted(ctx);
                assert_int_equal(nopoll_ctx_conns(ctx), 1);
                nopoll_conn_close(listener);
                assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
                nopoll_ctx_unref(ctx);
                close(fd);
            }
        }
    }
}

/* --- a reply that the socket does not take at once --- */

static int filled_with;

static nopoll_bool fill_socket(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    static const char bytes[4096];
    ssize_t n;
    (void)ctx;
    (void)data;
    while ((n = send(nopoll_conn_socket(conn), bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        filled_with += (int)n;
    while ((n = send(nopoll_conn_socket(conn), bytes, 1, MSG_DONTWAIT)) > 0)
        filled_with += (int)n;
    return nopoll_true;
}

enum finish { BY_IS_READY, BY_LOOP, BY_PROGRAM_THEN_LOOP };

/* The rest is remembered, and the connection is ready only when it is out, whoever wrote it. */
static void the_reply_is_finished_when_there_is_room(void** state) {
    (void)state;
    for (int finish = BY_IS_READY; finish <= BY_PROGRAM_THEN_LOOP; finish++) {
        const int in_loop = finish != BY_IS_READY;
        story now = {"", 0, 0};
        char head[512];
        int fds[2];
        noPollCtx* const ctx = nopoll_ctx_new();
        filled_with = 0;
        nopoll_ctx_set_on_open(ctx, fill_socket, NULL);
        nopoll_ctx_set_on_ready(ctx, tell_ready, &now);
        peer_socketpair(fds);
        noPollConn* const conn = nopoll_listener_from_socket(ctx, fds[0]);
        test_send_all(fds[1], TEST_REQUEST, strlen(TEST_REQUEST));
        for (int i = 0; i < 3; i++) {
            if (in_loop)
                nopoll_loop_wait(ctx, 1);
            else
                assert_int_equal(nopoll_conn_is_ready(conn), 0);
        }
        assert_true(filled_with > 0);
        assert_string_equal(now.order, ""); /* not ready yet */
        assert_int_equal(nopoll_conn_is_ok(conn), 1);
        char* const junk = malloc((size_t)filled_with);
        assert_int_equal(test_receive(fds[1], junk, (size_t)filled_with), filled_with);
        free(junk);
        if (finish == BY_PROGRAM_THEN_LOOP) {
            assert_true(nopoll_conn_pending_write_bytes(conn) > 0);
            assert_int_equal(nopoll_conn_flush_writes(conn, 1000000, 0), 0);
            assert_int_equal(nopoll_conn_pending_write_bytes(conn), 0);
        }
        if (in_loop)
            LOOP_UNTIL(ctx, now.order[0] != 0);
        else
            assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 1);
        assert_string_equal(now.order, "r");
        test_receive_head(fds[1], head, sizeof head);
        assert_string_equal(head, REPLY_101);
        nopoll_conn_close(conn);
        nopoll_ctx_unref(ctx);
        close(fds[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protocols_are_answered),
        cmocka_unit_test(handlers_run_in_order_and_once),
        cmocka_unit_test(handlers_may_refuse),
        cmocka_unit_test(programs_may_answer_themselves),
        cmocka_unit_test(handlers_may_end_the_connection),
        cmocka_unit_test(the_reply_is_finished_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
