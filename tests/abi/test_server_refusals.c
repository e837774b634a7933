/* SPDX-License-Identifier: MIT */
/* Requests that a listener refuses, and those that look odd and are taken (spec: handshake.md
 * sections 2, 2.1 and 4): each row in the loop, by direct calls, and byte by byte; the reply is
 * compared as a whole. */
#include "server_request.h"

static const struct request_row rows[] = {
    {"complete", GET HEADERS END, REPLY_101},
    {"bare line feeds inside",
     "GET / HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: Upgrade\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nOrigin: b\n" END,
     REPLY_101},
    {"names and tokens in any case",
     GET "HOST:localhost\r\nupgrade:WEBSOCKET\r\ncOnnection:UPGRADE\r\n" KEY VERSION ORIGIN END,
     REPLY_101},
    {"lists of tokens",
     GET HOST
     "Upgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade\r\n" KEY VERSION ORIGIN END,
     REPLY_101},
    {"white space around values",
     GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key: \t dGhlIHNhbXBsZSBub25jZQ== \t\r\n"
                                 "Sec-WebSocket-Version:   13  \r\n" ORIGIN END,
     REPLY_101},
    {"several blanks in the request line", "GET   /   HTTP/1.1  \r\n" HEADERS END, REPLY_101},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" HEADERS END, REPLY_101},
    {"unknown headers, twice", GET HEADERS "X: 1\r\nX: 2\r\n" END, REPLY_101},
    {"an extension is asked for",
     GET HEADERS "Sec-WebSocket-Extensions: permessage-deflate\r\n" END, REPLY_101},
    {"bytes above 0x7f", GET HEADERS "X: \xff\xfe\x80\r\n" END, REPLY_101},
    {"key with unused bits set",
     GET HOST UPGRADE CONNECTION
     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\n" VERSION ORIGIN END,
     NULL},

    /* The request line. */
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" HEADERS END, REPLY_505},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" HEADERS END, REPLY_505},
    {"HTTP/0.9", "GET / HTTP/0.9\r\n" HEADERS END, REPLY_505},
    {"no version", "GET /abcdefghijklmnop\r\n" HEADERS END, REPLY_400},
    {"no HTTP version", "GET / HTTQ/1.1\r\n" HEADERS END, REPLY_400},
    {"junk behind the version", "GET / HTTP/1.1 junk\r\n" HEADERS END, REPLY_400},
    {"version of several digits", "GET / HTTP/1.11\r\n" HEADERS END, REPLY_400},
    {"another method", "POST / HTTP/1.1\r\n" HEADERS END, REPLY_400},
    {"another method and a colon", "POST http://x/ HTTP/1.1\r\n" HEADERS END, REPLY_400},
    {"method in small letters", "get / HTTP/1.1\r\n" HEADERS END, REPLY_400},
    {"absolute target", "GET http://localhost/ HTTP/1.1\r\n" HEADERS END, REPLY_400},
    {"target without slash", "GET chat HTTP/1.1\r\n" HEADERS END, REPLY_400},
    {"no target", "GET HTTP/1.1\r\n" HEADERS END, REPLY_400},
    {"no request line", HEADERS END, REPLY_400},
    {"request line second", HOST GET UPGRADE CONNECTION KEY VERSION ORIGIN END, REPLY_400},
    {"request line twice", GET GET HEADERS END, REPLY_400},
    {"blank line first", "\r\n" GET HEADERS END, REPLY_400},
    {"nothing but the end", "\r\n", REPLY_400},

    /* Lines. */
    {"line without colon", GET "nonsense\r\n" HEADERS END, REPLY_400},
    {"short line", GET "x\r\n" HEADERS END, REPLY_400},
    {"continuation line", GET HOST " more\r\n" UPGRADE CONNECTION KEY VERSION ORIGIN END,
     REPLY_400},
    {"continuation line with a tab", GET HOST "\tmore: x\r\n" UPGRADE CONNECTION KEY VERSION END,
     REPLY_400},
    {"blank before the colon", GET "Host : a\r\n" UPGRADE CONNECTION KEY VERSION ORIGIN END,
     REPLY_400},
    {"empty name", GET HEADERS ": x\r\n" END, REPLY_400},
    {"head that ends with a bare line feed", GET HEADERS "\n", REPLY_400},

    /* What is missing. */
    {"no Host", GET UPGRADE CONNECTION KEY VERSION ORIGIN END, REPLY_400},
    {"no Upgrade", GET HOST CONNECTION KEY VERSION ORIGIN END, REPLY_400},
    {"no Connection", GET HOST UPGRADE KEY VERSION ORIGIN END, REPLY_400},
    {"no key", GET HOST UPGRADE CONNECTION VERSION ORIGIN END, REPLY_400},
    {"no version header", GET HOST UPGRADE CONNECTION KEY ORIGIN END, REPLY_426},
    {"no Origin", GET HOST UPGRADE CONNECTION KEY VERSION END, REPLY_403},
    {"an ordinary request", GET HOST "User-Agent: x\r\nAccept: */*\r\n" END, REPLY_400},

    /* What is wrong. */
    {"Upgrade to something else", GET HOST "Upgrade: h2c\r\n" CONNECTION KEY VERSION ORIGIN END,
     REPLY_400},
    {"Upgrade empty", GET HOST "Upgrade:\r\n" CONNECTION KEY VERSION ORIGIN END, REPLY_400},
    {"Connection: close", GET HOST UPGRADE "Connection: close\r\n" KEY VERSION ORIGIN END,
     REPLY_400},
    {"empty key", GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key:\r\n" VERSION ORIGIN END,
     REPLY_400},
    {"short key",
     GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n" VERSION ORIGIN END,
     REPLY_400},
    {"key of 17 bytes",
     GET HOST UPGRADE CONNECTION
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=\r\n" VERSION ORIGIN END,
     REPLY_400},
    {"key that is not base64",
     GET HOST UPGRADE CONNECTION
     "Sec-WebSocket-Key: dGhl*HNhbXBsZSBub25jZQ==\r\n" VERSION ORIGIN END,
     REPLY_400},
    {"key without padding",
     GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" VERSION ORIGIN END,
     REPLY_400},
    {"version 8", GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" ORIGIN END,
     REPLY_426},
    {"version 13.0", GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13.0\r\n" ORIGIN END,
     REPLY_426},
    {"version 13abc", GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13abc\r\n" ORIGIN END,
     REPLY_426},
    {"version list", GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n" ORIGIN END,
     REPLY_426},
    {"version empty", GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version:\r\n" ORIGIN END,
     REPLY_426},

    /* What comes twice. */
    {"Host twice", GET HEADERS HOST END, REPLY_400},
    {"Upgrade twice", GET HEADERS UPGRADE END, REPLY_400},
    {"Connection twice", GET HEADERS CONNECTION END, REPLY_400},
    {"key twice", GET HEADERS KEY END, REPLY_400},
    {"version twice", GET HEADERS VERSION END, REPLY_400},
    {"Origin twice", GET HEADERS ORIGIN END, REPLY_400},
    {"protocol twice", GET HEADERS "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n" END,
     REPLY_400},
    {"cookie twice", GET HEADERS "Cookie: a\r\nCookie: b\r\n" END, REPLY_400},
    {"X-Real-IP twice", GET HEADERS "X-Real-IP: a\r\nx-real-ip: b\r\n" END, REPLY_400},
};

#define ROWS (sizeof rows / sizeof *rows)

enum drive { BY_LOOP, BY_DIRECT_CALLS, BYTE_BY_BYTE };

typedef struct {
    int opened;
    int ready;
    int closed;
} events;

static nopoll_bool note_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ((events*)data)->opened++;
    return nopoll_true;
}

static nopoll_bool note_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ((events*)data)->ready++;
    return nopoll_true;
}

static void note_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    assert_int_equal(nopoll_conn_is_ok(conn), 1);
    ((events*)data)->closed++;
    if (((events*)data)->ready > 0) return;
    /* What follows the refused line is not read, whoever asks: it would be answered once more. */
    assert_int_equal(nopoll_conn_is_ready(conn), 0);
    assert_null(nopoll_conn_get_msg(conn));
}

static nopoll_bool watch_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    nopoll_conn_set_on_close(conn, note_close, data);
    return nopoll_true;
}

/* Direct calls until the handshake is decided. */
static void drive_directly(noPollConn* conn, int fd, const char* request, size_t size, int step) {
    size_t sent = 0;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    while (!nopoll_conn_is_ready(conn) && nopoll_conn_is_ok(conn) && test_now_ms() < end) {
        const size_t part = step > 0 && size - sent > (size_t)step ? (size_t)step : size - sent;
        if (part > 0 && send(fd, request + sent, part, MSG_NOSIGNAL) > 0) sent += part;
        test_readable(nopoll_conn_socket(conn), 20);
    }
}

static void check_request(const struct request_row* row, enum drive drive) {
    const int good = row->reply == NULL || strncmp(row->reply, "HTTP/1.1 101", 12) == 0;
    const size_t size = strlen(row->request);
    events seen;
    peer_stream reply;
    test_log* const log = calloc(1, sizeof *log);
    noPollCtx* const ctx = nopoll_ctx_new();
    memset(&seen, 0, sizeof seen);
    nopoll_log_set_handler(ctx, test_log_record, log);
    nopoll_ctx_set_on_accept(ctx, watch_close, &seen);
    nopoll_ctx_set_on_open(ctx, note_open, &seen);
    nopoll_ctx_set_on_ready(ctx, note_ready, &seen);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    if (drive == BY_LOOP) {
        test_send_all(fd, row->request, size);
        if (good) {
            LOOP_UNTIL(ctx, seen.ready > 0);
            test_receive_head(fd, reply.bytes, sizeof reply.bytes);
        } else {
            peer_until_end(ctx, fd, &reply);
        }
    } else {
        noPollConn* const conn = nopoll_conn_accept(ctx, listener);
        drive_directly(conn, fd, row->request, size, drive == BYTE_BY_BYTE);
        ROW_CHECK(row->name, nopoll_conn_is_ready(conn) == good);
        ROW_CHECK(row->name, nopoll_conn_is_ok(conn) == good);
        if (good)
            test_receive_head(fd, reply.bytes, sizeof reply.bytes);
        else
            peer_read_to_end(fd, &reply);
    }
    if (row->reply != NULL && strcmp(reply.bytes, row->reply) != 0) {
        print_error("row \"%s\": answered\n%s--- instead of\n%s", row->name, reply.bytes,
                    row->reply);
        fail();
    }
    ROW_CHECK(row->name, seen.opened == good);
    ROW_CHECK(row->name, seen.ready == good);
    ROW_CHECK(row->name, seen.closed == !good);
    ROW_CHECK(row->name, log->criticals == !good);
    if (!good) {
        ROW_CHECK(row->name, !reply.reset); /* nothing destroys the answer */
        ROW_CHECK(row->name, strstr(log->text, "connection 3: ") != NULL);
    }
    close(fd);
    peer_close_accepted(ctx);
    nopoll_conn_close(listener);
    ROW_CHECK(row->name, nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
    free(log);
}

static void every_row_in_the_loop(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_request(&rows[i], BY_LOOP);
}

static void every_row_by_direct_calls(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_request(&rows[i], BY_DIRECT_CALLS);
}

static void every_row_byte_by_byte(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_request(&rows[i], BYTE_BY_BYTE);
}

/* The version that is wanted is the context's, and it is said. */
static void the_wanted_version_is_said(void** state) {
    (void)state;
    peer_stream seen;
    noPollCtx* const ctx = nopoll_ctx_new();
    nopoll_ctx_set_protocol_version(ctx, 7);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    peer_exchange(ctx, listener, TEST_REQUEST, strlen(TEST_REQUEST), &seen);
    assert_string_equal(seen.bytes, "HTTP/1.1 426 Upgrade Required\r\n" REFUSED
                                    "Sec-WebSocket-Version: 7\r\n\r\n");
    peer_close_accepted(ctx);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* The switch of the listener's options is looked at when the head is complete. */
static void origins_may_be_missing_where_the_options_say_so(void** state) {
    (void)state;
    static const char request[] = GET HOST UPGRADE CONNECTION KEY VERSION END;
    peer_stream seen;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    noPollConn* const listener = nopoll_listener_new_opts(ctx, options, "127.0.0.1", "0");
    peer_exchange(ctx, listener, request, strlen(request), &seen);
    assert_string_equal(seen.bytes, REPLY_403);
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    noPollConn* const conn = nopoll_conn_accept(ctx, listener);
    nopoll_conn_opts_skip_origin_check(options, nopoll_true);
    test_send_all(fd, request, strlen(request));
    POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
    assert_null(nopoll_conn_get_origin(conn));
    peer_close_accepted(ctx);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_in_the_loop),
        cmocka_unit_test(every_row_by_direct_calls),
        cmocka_unit_test(every_row_byte_by_byte),
        cmocka_unit_test(the_wanted_version_is_said),
        cmocka_unit_test(origins_may_be_missing_where_the_options_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
