/* SPDX-License-Identifier: MIT */
/* Request heads as bytes (spec: handshake.md section 2 and 4): what is no HTTP at all, heads that
 * end early, limits of lines and heads, heads that come in parts, zero bytes. */
#include "server_request.h"

typedef struct {
    noPollCtx* ctx;
    noPollConn* listener;
    test_log* log;
    int fd;
} scene;

static void begin(scene* now) {
    now->log = calloc(1, sizeof *now->log);
    now->ctx = nopoll_ctx_new();
    nopoll_log_set_handler(now->ctx, test_log_record, now->log);
    now->listener = nopoll_listener_new(now->ctx, "127.0.0.1", "0");
    now->fd = test_connect(test_port_of(nopoll_conn_socket(now->listener)));
}

static void end(scene* now) {
    peer_close_accepted(now->ctx);
    nopoll_conn_close(now->listener);
    assert_int_equal(nopoll_ctx_ref_count(now->ctx), 1);
    nopoll_ctx_unref(now->ctx);
    close(now->fd);
    free(now->log);
}

/* Sends all of it while the loop reads, and takes what comes back, up to a 101 or the end. */
static void push(scene* now, const char* bytes, size_t size, peer_stream* seen) {
    const long stop = test_now_ms() + TEST_LIMIT_MS;
    size_t sent = 0;
    memset(seen, 0, sizeof *seen);
    while (!seen->ended && test_now_ms() < stop) {
        if (sent < size) {
            const ssize_t n = send(now->fd, bytes + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0) sent += (size_t)n;
        }
        nopoll_loop_wait(now->ctx, 1);
        peer_take(now->fd, seen);
        if (strncmp(seen->bytes, "HTTP/1.1 101", 12) == 0 && strstr(seen->bytes, "\r\n\r\n"))
            return;
    }
}

struct byte_row {
    const char* name;
    const char* bytes;
    size_t size;
};

#define BYTES(text) text, sizeof(text) - 1

/* The first of them are enough to see that this is no HTTP: no answer, at once. */
static const struct byte_row foreign[] = {
    {"TLS ClientHello", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
    {"a TLS alert", BYTES("\x15\x03\x01\x00\x02\x02\x28")},
    {"old TLS", BYTES("\x80\x2e\x01\x03\x01")},
    {"binary", BYTES("\x01\x02\x03\x04")},
    {"a zero byte", BYTES("\0")},
    {"a frame", BYTES("\x81\x85\x11\x22\x33\x44")},
    {"zero byte in the first word", BYTES("GE\0T / HTTP/1.1\r\n")},
};

static void what_is_no_http_gets_no_answer(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        peer_stream seen;
        scene now;
        begin(&now);
        test_send_all(now.fd, foreign[i].bytes, foreign[i].size);
        peer_until_end(now.ctx, now.fd, &seen);
        ROW_CHECK(foreign[i].name, seen.size == 0);
        ROW_CHECK(foreign[i].name, now.log->criticals == 1);
        ROW_CHECK(foreign[i].name, strstr(now.log->text, "connection 3: ") != NULL);
        end(&now);
    }
}

/* Also when a line end follows much later, and when it never does. */
static void much_binary_gets_no_answer(void** state) {
    (void)state;
    static char bytes[20000];
    memset(bytes, 0xf0, sizeof bytes);
    peer_stream seen;
    scene now;
    begin(&now);
    push(&now, bytes, sizeof bytes, &seen);
    assert_true(seen.ended);
    assert_int_equal(seen.size, 0);
    assert_int_equal(now.log->criticals, 1);
    end(&now);
}

static const struct byte_row cut[] = {
    {"nothing", BYTES("")},
    {"a letter", BYTES("G")},
    {"half a request line", BYTES("GET / HT")},
    {"a request line", BYTES(GET)},
    {"all but the end", BYTES(GET HEADERS)},
    {"all but the last line feed", BYTES(GET HEADERS "\r")},
};

static void heads_that_end_early_get_no_answer(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        for (int reset = 0; reset < 2; reset++) {
            peer_stream seen;
            scene now;
            begin(&now);
            test_send_all(now.fd, cut[i].bytes, cut[i].size);
            LOOP_UNTIL(now.ctx, nopoll_ctx_conns(now.ctx) == 2);
            if (reset) {
                const struct linger hard = {1, 0};
                setsockopt(now.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
                close(now.fd);
                LOOP_UNTIL(now.ctx, nopoll_ctx_conns(now.ctx) == 1);
                now.fd = -1;
            } else {
                shutdown(now.fd, SHUT_WR);
                peer_until_end(now.ctx, now.fd, &seen);
                ROW_CHECK(cut[i].name, seen.size == 0);
            }
            end(&now);
        }
    }
}

/* --- zero bytes --- */

static const struct byte_row with_zero[] = {
    {"in the target", BYTES("GET /a\0b HTTP/1.1\r\n" HEADERS END)},
    {"behind the version", BYTES("GET / HTTP/1.1\0\r\n" HEADERS END)},
    {"in a name", BYTES(GET "X\0Y: 1\r\n" HEADERS END)},
    {"in a value", BYTES(GET "X: 1\0"
                             "2\r\n" HEADERS END)},
    {"in the Host", BYTES(GET "Host: a\0b\r\n" UPGRADE CONNECTION KEY VERSION ORIGIN END)},
};

static void zero_bytes_are_refused(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof with_zero / sizeof *with_zero; i++) {
        peer_stream seen;
        scene now;
        begin(&now);
        test_send_all(now.fd, with_zero[i].bytes, with_zero[i].size);
        peer_until_end(now.ctx, now.fd, &seen);
        ROW_CHECK(with_zero[i].name, strcmp(seen.bytes, REPLY_400) == 0);
        ROW_CHECK(with_zero[i].name, seen.size == strlen(REPLY_400));
        end(&now);
    }
}

/* --- limits --- */

/* GET, then `count` header lines of `size` bytes each with their ends, then the rest. */
static char* head_with(size_t line_size, size_t count, size_t* size) {
    static const char rest[] = HEADERS END;
    char* const head = malloc(sizeof GET + line_size * count + sizeof rest);
    char* at = head;
    memcpy(at, GET, sizeof GET - 1);
    at += sizeof GET - 1;
    for (size_t i = 0; i < count; i++) {
        memset(at, 'x', line_size);
        memcpy(at, "X: ", 3);
        memcpy(at + line_size - 2, "\r\n", 2);
        at += line_size;
    }
    memcpy(at, rest, sizeof rest - 1);
    *size = (size_t)(at - head) + sizeof rest - 1;
    return head;
}

static void lines_and_heads_have_limits(void** state) {
    (void)state;
    static const struct {
        const char* name;
        size_t line;
        size_t count;
        const char* reply;
    } heads[] = {
        {"a line of 8191 bytes", 8191, 1, REPLY_101},
        {"a line of 8192 bytes", 8192, 1, REPLY_431},
        {"a line of 100000 bytes", 100000, 1, REPLY_431},
        {"64 KiB in long lines", 8000, 8, REPLY_101},
        {"1000 lines", 60, 990, REPLY_101},
        {"a megabyte in lines", 8000, 131, REPLY_431},
        {"a hundred thousand short lines", 5, 100000, REPLY_431},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        peer_stream seen;
        scene now;
        size_t size = 0;
        char* const head = head_with(heads[i].line, heads[i].count, &size);
        begin(&now);
        push(&now, head, size, &seen);
        /* What the peer went on writing may have been answered with a reset, behind the reply. */
        ROW_CHECK(heads[i].name, strcmp(seen.bytes, heads[i].reply) == 0);
        free(head);
        end(&now);
    }
}

/* A line without end is refused as soon as no end can make it fit, not when its end comes. */
static void endless_lines_are_refused(void** state) {
    (void)state;
    char line[8192];
    peer_stream seen;
    scene now;
    memset(line, 'a', sizeof line);
    memcpy(line, "GET /", 5);
    begin(&now);
    test_send_all(now.fd, line, 8190);
    for (int i = 0; i < 5; i++)
        nopoll_loop_wait(now.ctx, 1);
    assert_int_equal(now.log->criticals, 0); /* a line feed would still do */
    test_send_all(now.fd, "aa", 2);
    peer_until_end(now.ctx, now.fd, &seen);
    assert_string_equal(seen.bytes, REPLY_431);
    assert_int_equal(now.log->criticals, 1);
    end(&now);
}

/* --- parts --- */

static void heads_come_in_any_parts(void** state) {
    (void)state;
    const size_t size = strlen(TEST_REQUEST);
    for (size_t step = 1; step < 40; step += 6) {
        peer_stream seen;
        scene now;
        size_t sent = 0;
        begin(&now);
        memset(&seen, 0, sizeof seen);
        const long stop = test_now_ms() + TEST_LIMIT_MS;
        nopoll_loop_wait(now.ctx, 1);
        noPollConn* const conn = nopoll_ctx_foreach_conn(now.ctx, peer_is_accepted, NULL);
        assert_non_null(conn);
        while (seen.size == 0 && test_now_ms() < stop) {
            const size_t part = size - sent < step ? size - sent : step;
            if (part > 0) test_send_all(now.fd, &TEST_REQUEST[sent], part);
            sent += part;
            test_readable(nopoll_conn_socket(conn), 20);
            nopoll_loop_wait(now.ctx, 1);
            peer_take(now.fd, &seen);
            if (sent < size) assert_int_equal(seen.size, 0);
        }
        assert_string_equal(seen.bytes, REPLY_101);
        assert_int_equal(now.log->criticals, 0);
        end(&now);
    }
}

/* The first frame comes with the last bytes of the head, or cut through. */
static int messages;

static void count_messages(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)data;
    assert_string_equal((const char*)nopoll_msg_get_payload(msg), "hello");
    messages++;
}

static void frames_may_come_with_the_head(void** state) {
    (void)state;
    char bytes[512];
    const size_t head = strlen(TEST_REQUEST);
    memcpy(bytes, TEST_REQUEST, head);
    const size_t size = head + test_frame((unsigned char*)bytes + head, 0x81, 1, "hello", 5);
    for (size_t at = head - 2; at <= size; at++) {
        scene now;
        begin(&now);
        messages = 0;
        nopoll_ctx_set_on_msg(now.ctx, count_messages, NULL);
        test_send_all(now.fd, bytes, at);
        nopoll_loop_wait(now.ctx, 1);
        test_send_all(now.fd, bytes + at, size - at);
        LOOP_UNTIL(now.ctx, messages == 1);
        end(&now);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_http_gets_no_answer),
        cmocka_unit_test(much_binary_gets_no_answer),
        cmocka_unit_test(heads_that_end_early_get_no_answer),
        cmocka_unit_test(zero_bytes_are_refused),
        cmocka_unit_test(lines_and_heads_have_limits),
        cmocka_unit_test(endless_lines_are_refused),
        cmocka_unit_test(heads_come_in_any_parts),
        cmocka_unit_test(frames_may_come_with_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
