/* SPDX-License-Identifier: MIT */
/* What a client makes of a server's reply (spec: handshake.md section 5): every row, good and bad;
 * what a refusal does and does not do. */
#include "stream_peer.h"

#define STATUS "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: @\r\n" /* @ stands for the right value */
#define BASE STATUS UPGRADE CONNECTION ACCEPT
#define END "\r\n"

struct reply_row {
    const char* name;
    const char* reply;
    int good;
    const char* asked;    /* subprotocols of the client */
    const char* accepted; /* what nopoll_conn_get_accepted_protocol says afterwards */
};

static const struct reply_row rows[] = {
    {"complete", BASE END, 1, NULL, NULL},
    {"bare line feeds inside",
     "HTTP/1.1 101 X\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: @\n" END, 1,
     NULL, NULL},
    {"no reason phrase", "HTTP/1.1 101\r\n" UPGRADE CONNECTION ACCEPT END, 1, NULL, NULL},
    {"names in any case",
     STATUS "UPGRADE: WebSocket\r\nconnection:upgrade\r\nsec-websocket-ACCEPT:   @  \r\n" END, 1,
     NULL, NULL},
    {"Connection with several tokens",
     STATUS UPGRADE "Connection: keep-alive, Upgrade\r\n" ACCEPT END, 1, NULL, NULL},
    {"headers nobody knows",
     STATUS "Server: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n" UPGRADE CONNECTION ACCEPT
            "X: \xc3\xa9\r\n" END,
     1, NULL, NULL},

    {"another status", "HTTP/1.1 200 OK\r\n" UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"redirect", "HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1/\r\n" END, 0, NULL, NULL},
    {"login wanted", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n" END, 0, NULL, NULL},
    {"1019", "HTTP/1.1 1019 X\r\n" UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"101 and a letter", "HTTP/1.1 101X\r\n" UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"HTTP/1.0", "HTTP/1.0 101 X\r\n" UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"no status line", UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"status line second", UPGRADE STATUS CONNECTION ACCEPT END, 0, NULL, NULL},
    {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", 0, NULL, NULL},
    {"empty head", END, 0, NULL, NULL},

    {"no Upgrade", STATUS CONNECTION ACCEPT END, 0, NULL, NULL},
    {"Upgrade to something else", STATUS "Upgrade: h2c\r\n" CONNECTION ACCEPT END, 0, NULL, NULL},
    {"empty Upgrade", STATUS "Upgrade:\r\n" CONNECTION ACCEPT END, 0, NULL, NULL},
    {"Upgrade that only begins well", STATUS "Upgrade: websockets\r\n" CONNECTION ACCEPT END, 0,
     NULL, NULL},
    {"Upgrade twice", STATUS UPGRADE UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"no Connection", STATUS UPGRADE ACCEPT END, 0, NULL, NULL},
    {"Connection: close", STATUS UPGRADE "Connection: close\r\n" ACCEPT END, 0, NULL, NULL},
    {"Connection twice", STATUS UPGRADE CONNECTION CONNECTION ACCEPT END, 0, NULL, NULL},

    {"no accept value", STATUS UPGRADE CONNECTION END, 0, NULL, NULL},
    {"wrong accept value",
     STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" END, 0,
     NULL, NULL},
    {"empty accept value", STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept:\r\n" END, 0, NULL,
     NULL},
    {"accept value with something behind it",
     STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: @x\r\n" END, 0, NULL, NULL},
    {"accept value twice", STATUS UPGRADE CONNECTION ACCEPT ACCEPT END, 0, NULL, NULL},

    {"a protocol that was asked for", BASE "Sec-WebSocket-Protocol: chat\r\n" END, 1, "chat",
     "chat"},
    {"one of several", BASE "Sec-WebSocket-Protocol: b\r\n" END, 1, "a, b,c", "b"},
    {"the whole list, as old servers echo it", BASE "Sec-WebSocket-Protocol: a, b\r\n" END, 1,
     "a, b", "a, b"},
    {"asked for, and not answered", BASE END, 1, "chat", NULL},
    {"a protocol that was not asked for", BASE "Sec-WebSocket-Protocol: other\r\n" END, 0, "chat",
     NULL},
    {"a protocol where none was asked for", BASE "Sec-WebSocket-Protocol: chat\r\n" END, 0, NULL,
     NULL},
    {"two of three", BASE "Sec-WebSocket-Protocol: a, b\r\n" END, 0, "a, b, c", NULL},
    {"a protocol in another case", BASE "Sec-WebSocket-Protocol: Chat\r\n" END, 0, "chat", NULL},
    {"a protocol twice", BASE "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n" END, 0,
     "a", NULL},
    {"an extension", BASE "Sec-WebSocket-Extensions: permessage-deflate\r\n" END, 0, NULL, NULL},
    {"an empty extension header", BASE "Sec-WebSocket-Extensions:\r\n" END, 0, NULL, NULL},

    {"line without colon", STATUS "nonsense\r\n" UPGRADE CONNECTION ACCEPT END, 0, NULL, NULL},
    {"continuation line", STATUS UPGRADE " more\r\n" CONNECTION ACCEPT END, 0, NULL, NULL},
    {"blank before the colon", STATUS UPGRADE "X : 1\r\n" CONNECTION ACCEPT END, 0, NULL, NULL},
    {"empty name", STATUS UPGRADE ": 1\r\n" CONNECTION ACCEPT END, 0, NULL, NULL},
    {"head that ends with a bare line feed", BASE "\n", 0, NULL, NULL},
};

#define ROWS (sizeof rows / sizeof *rows)

typedef struct {
    int ready;
    int closed;
    int close_status;
    int was_ok;
} events;

static nopoll_bool note_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    ((events*)data)->ready++;
    return nopoll_true;
}

static void note_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    events* const seen = data;
    (void)ctx;
    seen->closed++;
    seen->close_status = nopoll_conn_get_close_status(conn);
    seen->was_ok = nopoll_conn_is_ok(conn);
}

/* The reply with the right accept value in place of each @. */
static size_t fill_in(const char* reply, const char* request, char* out) {
    const char* const value = peer_accept_value(request);
    char* at = out;
    for (; *reply != 0; reply++) {
        if (*reply != '@') {
            *at++ = *reply;
        } else {
            memcpy(at, value, strlen(value));
            at += strlen(value);
        }
    }
    return (size_t)(at - out);
}

enum drive { BY_LOOP, BY_IS_READY, BY_GET_MSG, BYTE_BY_BYTE };

static void drive_until(peer_scene* scene, enum drive drive, const events* seen, const char* name) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    while (seen->ready + seen->closed == 0 && test_now_ms() < end) {
        if (drive == BY_LOOP) {
            nopoll_loop_wait(scene->ctx, 1);
            continue;
        }
        test_readable(nopoll_conn_socket(scene->conn), 20);
        if (drive == BY_GET_MSG)
            nopoll_conn_get_msg(scene->conn);
        else
            nopoll_conn_is_ready(scene->conn);
    }
    ROW_CHECK(name, seen->ready + seen->closed == 1);
}

static void check_reply(const struct reply_row* row, enum drive drive) {
    peer_scene scene;
    events seen;
    char reply[1024];
    test_log* const log = calloc(1, sizeof *log);
    memset(&seen, 0, sizeof seen);
    peer_client_asking(&scene, NULL, NULL, row->asked);
    nopoll_log_set_handler(scene.ctx, test_log_record, log);
    nopoll_conn_set_on_ready(scene.conn, note_ready, &seen);
    nopoll_conn_set_on_close(scene.conn, note_close, &seen);
    const size_t size = fill_in(row->reply, scene.request, reply);
    if (drive == BYTE_BY_BYTE) {
        for (size_t i = 0; i < size && seen.closed == 0; i++) {
            test_send_all(scene.fd, reply + i, 1);
            assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
            const int ready = nopoll_conn_is_ready(scene.conn);
            ROW_CHECK(row->name, ready == (row->good && i + 1 == size));
        }
    } else {
        test_send_all(scene.fd, reply, size);
    }
    drive_until(&scene, drive, &seen, row->name);
    ROW_CHECK(row->name, seen.ready == row->good);
    ROW_CHECK(row->name, nopoll_conn_is_ready(scene.conn) == row->good);
    ROW_CHECK(row->name, nopoll_conn_is_ok(scene.conn) == row->good);
    const char* const accepted = nopoll_conn_get_accepted_protocol(scene.conn);
    if (row->good) {
        ROW_CHECK(row->name, (accepted == NULL) == (row->accepted == NULL));
        if (accepted != NULL) ROW_CHECK(row->name, strcmp(accepted, row->accepted) == 0);
        ROW_CHECK(row->name, log->criticals == 0);
    } else {
        peer_stream rest;
        char id[32];
        ROW_CHECK(row->name, seen.was_ok && seen.close_status == 1006);
        peer_read_to_end(scene.fd, &rest);
        ROW_CHECK(row->name, rest.size == 0); /* no Close frame, nothing */
        snprintf(id, sizeof id, "connection %d: ", nopoll_conn_get_id(scene.conn));
        ROW_CHECK(row->name, log->criticals == 1 && strstr(log->text, id) != NULL);
    }
    peer_end(&scene);
    free(log);
}

static void every_row_driven_by_is_ready(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_reply(&rows[i], BY_IS_READY);
}

static void every_row_driven_by_the_loop(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_reply(&rows[i], BY_LOOP);
}

static void every_row_driven_by_get_msg(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_reply(&rows[i], BY_GET_MSG);
}

static void every_row_byte_by_byte(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_reply(&rows[i], BYTE_BY_BYTE);
}

/* A protocol asked for in extra headers counts as well. */
static void protocols_may_be_asked_in_extra_headers(void** state) {
    (void)state;
    for (int good = 0; good < 2; good++) {
        peer_scene scene;
        noPollConnOpts* const options = nopoll_conn_opts_new();
        nopoll_conn_opts_set_extra_headers(options, "\r\nSec-WebSocket-Protocol: x, y");
        peer_client_asking(&scene, NULL, options, NULL);
        peer_answer(&scene,
                    good ? "Sec-WebSocket-Protocol: y\r\n" : "Sec-WebSocket-Protocol: z\r\n");
        assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 5), good);
        if (good) assert_string_equal(nopoll_conn_get_accepted_protocol(scene.conn), "y");
        peer_end(&scene);
    }
}

/* set_accepted_protocol on a client is stored, and replaced by what the server says. */
static void the_servers_protocol_replaces_the_clients(void** state) {
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        peer_scene scene;
        peer_client_asking(&scene, NULL, NULL, "a, b");
        nopoll_conn_set_accepted_protocol(scene.conn, "mine");
        assert_string_equal(nopoll_conn_get_accepted_protocol(scene.conn), "mine");
        peer_answer(&scene, answered ? "Sec-WebSocket-Protocol: b\r\n" : "");
        assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 5), 1);
        assert_string_equal(nopoll_conn_get_accepted_protocol(scene.conn), answered ? "b" : "mine");
        peer_end(&scene);
    }
}

/* Lines of 8191 bytes pass, longer ones do not; long heads pass (section 2). */
static void reply_heads_have_limits(void** state) {
    (void)state;
    static const struct {
        size_t line;
        int count;
        int good;
    } heads[] = {{8191, 1, 1}, {8192, 1, 0}, {100000, 1, 0},
                 {8191, 7, 1}, {60, 900, 1}, {8000, 200, 0}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        peer_scene scene;
        peer_stream rest;
        peer_client_asking(&scene, NULL, NULL, NULL);
        const size_t total = heads[i].line * (size_t)heads[i].count;
        char* const reply = malloc(total + 512);
        size_t size = fill_in(BASE, scene.request, reply);
        for (int k = 0; k < heads[i].count; k++) {
            memset(reply + size, 'x', heads[i].line);
            memcpy(reply + size, "X: ", 3);
            memcpy(reply + size + heads[i].line - 2, "\r\n", 2);
            size += heads[i].line;
        }
        memcpy(reply + size, END, 2);
        size += 2;
        /* The client reads while the server writes: neither waits for the other. */
        size_t sent = 0;
        const long end = test_now_ms() + TEST_LIMIT_MS;
        while (nopoll_conn_is_ok(scene.conn) && !nopoll_conn_is_ready(scene.conn) &&
               test_now_ms() < end) {
            const ssize_t n =
                send(scene.fd, reply + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0) sent += (size_t)n;
            test_readable(nopoll_conn_socket(scene.conn), 20);
        }
        assert_int_equal(nopoll_conn_is_ok(scene.conn), heads[i].good);
        if (!heads[i].good) {
            peer_read_to_end(scene.fd, &rest);
            assert_int_equal(rest.size, 0);
        }
        free(reply);
        peer_end(&scene);
    }
}

/* The rest of a refusal may be of use to nobody, but it is read: a reset would reach the server. */
static void other_statuses_are_read_to_the_end_of_their_head(void** state) {
    (void)state;
    static const char* const parts[] = {"HTTP/1.1 403 No\r\n", "Not a header\r\n", "X: y\r\n",
                                        "\r\n"};
    peer_scene scene;
    peer_client_asking(&scene, NULL, NULL, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nopoll_conn_is_ok(scene.conn), 1);
        test_send_all(scene.fd, parts[i], strlen(parts[i]));
        assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
        assert_int_equal(nopoll_conn_is_ready(scene.conn), 0);
    }
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 0);
    peer_end(&scene);
}

static void ends_inside_the_head_end_the_client(void** state) {
    (void)state;
    static const char* const parts[] = {"", "HTT", STATUS, BASE};
    for (size_t i = 0; i < 4; i++) {
        peer_scene scene;
        events seen;
        memset(&seen, 0, sizeof seen);
        peer_client_asking(&scene, NULL, NULL, NULL);
        nopoll_conn_set_on_ready(scene.conn, note_ready, &seen);
        nopoll_conn_set_on_close(scene.conn, note_close, &seen);
        test_send_all(scene.fd, parts[i], strlen(parts[i]));
        shutdown(scene.fd, SHUT_WR);
        assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 5), 0);
        assert_int_equal(seen.ready, 0);
        assert_int_equal(seen.closed, 1);
        assert_int_equal(seen.close_status, 1006);
        peer_end(&scene);
    }
}

static nopoll_bool refuse_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    assert_int_equal(nopoll_conn_is_ready(conn), 0);
    ((events*)data)->ready++;
    return nopoll_false;
}

static void on_ready_may_refuse(void** state) {
    (void)state;
    peer_scene scene;
    events seen;
    peer_stream rest;
    memset(&seen, 0, sizeof seen);
    peer_client_asking(&scene, NULL, NULL, NULL);
    nopoll_conn_set_on_ready(scene.conn, refuse_ready, &seen);
    nopoll_conn_set_on_close(scene.conn, note_close, &seen);
    peer_answer(&scene, "");
    assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 5), 0);
    assert_int_equal(seen.ready, 1);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(nopoll_conn_is_ok(scene.conn), 0);
    peer_read_to_end(scene.fd, &rest); /* Close 1008, masked */
    assert_int_equal(rest.size, 8);
    assert_memory_equal(rest.bytes, "\x88\x82", 2);
    assert_int_equal((unsigned char)(rest.bytes[6] ^ rest.bytes[2]), 0x03);
    assert_int_equal((unsigned char)(rest.bytes[7] ^ rest.bytes[3]), 0xf0);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_driven_by_is_ready),
        cmocka_unit_test(every_row_driven_by_the_loop),
        cmocka_unit_test(every_row_driven_by_get_msg),
        cmocka_unit_test(every_row_byte_by_byte),
        cmocka_unit_test(protocols_may_be_asked_in_extra_headers),
        cmocka_unit_test(the_servers_protocol_replaces_the_clients),
        cmocka_unit_test(reply_heads_have_limits),
        cmocka_unit_test(other_statuses_are_read_to_the_end_of_their_head),
        cmocka_unit_test(ends_inside_the_head_end_the_client),
        cmocka_unit_test(on_ready_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
