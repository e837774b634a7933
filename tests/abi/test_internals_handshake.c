/* SPDX-License-Identifier: MIT */
/* Exported parts of the opening handshake that no header declares: programs and their tests call
 * them (spec: handshake.md 7). Each declares them as those do. */
#include "stream_peer.h"

nopoll_bool __nopoll_conn_call_on_ready_if_defined(noPollCtx* ctx, noPollConn* conn);
nopoll_bool nopoll_conn_check_mime_header_repeated(noPollConn* conn, char* header, char* value,
                                                   const char* ref_header, noPollPtr check);
void nopoll_conn_complete_handshake_check(noPollConn* conn);
nopoll_bool nopoll_conn_complete_handshake_check_client(noPollCtx* ctx, noPollConn* conn);
nopoll_bool nopoll_conn_complete_handshake_check_listener(noPollCtx* ctx, noPollConn* conn);
int nopoll_conn_complete_handshake_client(noPollCtx* ctx, noPollConn* conn, char* buffer,
                                          int buffer_size);
int nopoll_conn_complete_handshake_listener(noPollCtx* ctx, noPollConn* conn, char* buffer,
                                            int buffer_size);
nopoll_bool nopoll_conn_get_http_url(noPollConn* conn, const char* buffer, int buffer_size,
                                     const char* method, char** url);
nopoll_bool nopoll_conn_get_mime_header(noPollCtx* ctx, noPollConn* conn, const char* buffer,
                                        int buffer_size, char** header, char** value);
int nopoll_conn_readline(noPollConn* conn, char* buffer, int maxlen);
char* __nopoll_conn_get_client_init(noPollConn* conn, noPollConnOpts* opts);

/* An accepted connection that has read nothing yet. */
static void open_accepted(peer_scene* scene) {
    memset(scene, 0, sizeof *scene);
    scene->ctx = nopoll_ctx_new();
    scene->listener = nopoll_listener_new(scene->ctx, "127.0.0.1", "0");
    scene->fd = test_connect(test_port_of(nopoll_conn_socket(scene->listener)));
    scene->listening = -1;
    scene->conn = nopoll_conn_accept(scene->ctx, scene->listener);
    assert_non_null(scene->conn);
    nopoll_conn_ref(scene->conn);
}

/* --- the accept value --- */

static void produce_accept_key(void** state) {
    static const char* const rows[][2] = {
        {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"", "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="}, /* SHA-1 of the fixed text alone */
    };
    noPollCtx* const ctx = nopoll_ctx_new();
    (void)state;
    assert_null(nopoll_conn_produce_accept_key(ctx, NULL));
    assert_null(nopoll_conn_produce_accept_key(NULL, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char* const with = nopoll_conn_produce_accept_key(ctx, rows[i][0]);
        char* const without = nopoll_conn_produce_accept_key(NULL, rows[i][0]);
        assert_string_equal(with, rows[i][1]);
        assert_string_equal(without, rows[i][1]);
        nopoll_free(with);
        free(without);
    }
    nopoll_ctx_unref(ctx);
}

/* --- a head, line by line --- */

static int opened, readied;

static nopoll_bool count_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    opened++;
    return nopoll_true;
}

static nopoll_bool count_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn;
    readied++;
    return data == NULL;
}

typedef int (*take_line)(noPollCtx* ctx, noPollConn* conn, char* buffer, int buffer_size);

/* Hands the lines of a head in; the last one, a blank line, says stop. */
static void give_head(peer_scene* scene, take_line take, const char* head) {
    while (*head != 0) {
        char line[256];
        const size_t size = (size_t)(strchr(head, '\n') - head) + 1;
        assert_true(size < sizeof line);
        memcpy(line, head, size);
        line[size] = 0;
        assert_int_equal(take(scene->ctx, scene->conn, line, (int)size), strcmp(line, "\r\n") != 0);
        head += size;
    }
}

#define HEAD_REST                                                                                  \
    "Host: example.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"              \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                 \
    "Origin: http://example.test\r\n\r\n"

static void request_line_by_line(void** state) {
    (void)state;
    for (int with_bool = 0; with_bool <= 1; with_bool++) {
        peer_scene scene;
        char reply[512];
        open_accepted(&scene);
        opened = readied = 0;
        nopoll_ctx_set_on_open(scene.ctx, count_open, NULL);
        nopoll_ctx_set_on_ready(scene.ctx, count_ready, NULL);
        give_head(&scene, nopoll_conn_complete_handshake_listener,
                  "GET /chat?a=b HTTP/1.1\r\n" HEAD_REST);
        assert_string_equal(nopoll_conn_get_requested_url(scene.conn), "/chat?a=b");
        assert_string_equal(nopoll_conn_get_host_header(scene.conn), "example.test");
        assert_string_equal(nopoll_conn_get_origin(scene.conn), "http://example.test");
        assert_int_equal(opened, 0);
        if (with_bool)
            assert_true(nopoll_conn_complete_handshake_check_listener(scene.ctx, scene.conn));
        else
            nopoll_conn_complete_handshake_check(scene.conn);
        assert_true(nopoll_conn_is_ready(scene.conn));
        assert_int_equal(opened, 1);
        assert_int_equal(readied, 1);
        assert_true(test_receive_head(scene.fd, reply, sizeof reply) > 0);
        assert_string_equal(reply, PEER_SWITCHING "\r\n");
        peer_end(&scene);
    }
}

static void bad_request_line_by_line(void** state) {
    (void)state;
    for (int with_bool = 0; with_bool <= 1; with_bool++) {
        peer_scene scene;
        open_accepted(&scene);
        opened = 0;
        nopoll_ctx_set_on_open(scene.ctx, count_open, NULL);
        give_head(&scene, nopoll_conn_complete_handshake_listener,
                  "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n");
        if (with_bool)
            assert_false(nopoll_conn_complete_handshake_check_listener(scene.ctx, scene.conn));
        else
            nopoll_conn_complete_handshake_check(scene.conn);
        assert_false(nopoll_conn_is_ok(scene.conn));
        assert_int_equal(opened, 0);
        peer_end(&scene);
    }
}

static void reply_line_by_line(void** state) {
    (void)state;
    for (int good = 0; good <= 1; good++) {
        for (int with_bool = 0; with_bool <= 1; with_bool++) {
            peer_scene scene;
            char head[512];
            peer_client_asking(&scene, NULL, NULL, NULL);
            readied = 0;
            nopoll_conn_set_on_ready(scene.conn, count_ready, NULL);
            snprintf(head, sizeof head,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     good ? peer_accept_value(scene.request) : PEER_ACCEPT);
            give_head(&scene, nopoll_conn_complete_handshake_client, head);
            if (with_bool)
                assert_int_equal(nopoll_conn_complete_handshake_check_client(scene.ctx, scene.conn),
                                 good);
            else
                nopoll_conn_complete_handshake_check(scene.conn);
            assert_int_equal(nopoll_conn_is_ok(scene.conn), good);
            assert_int_equal(nopoll_conn_is_ready(scene.conn), good);
            assert_int_equal(readied, good);
            peer_end(&scene);
        }
    }
}

static void lines_without_a_connection(void** state) {
    char line[] = "Host: example.test\r\n";
    const int size = (int)strlen(line);
    peer_scene scene;
    (void)state;
    open_accepted(&scene);
    assert_int_equal(nopoll_conn_complete_handshake_listener(scene.ctx, NULL, line, size), 0);
    assert_int_equal(nopoll_conn_complete_handshake_listener(scene.ctx, scene.conn, NULL, size), 0);
    assert_int_equal(nopoll_conn_complete_handshake_client(scene.ctx, NULL, line, size), 0);
    assert_int_equal(nopoll_conn_complete_handshake_client(scene.ctx, scene.conn, NULL, size), 0);
    nopoll_conn_complete_handshake_check(NULL);
    assert_int_equal(nopoll_conn_complete_handshake_check_listener(scene.ctx, NULL), 0);
    assert_int_equal(nopoll_conn_complete_handshake_check_client(scene.ctx, NULL), 0);
    nopoll_conn_complete_handshake(NULL);
    /* Nor do they do anything to a connection of the other role, or to a listener. */
    assert_int_equal(nopoll_conn_complete_handshake_client(scene.ctx, scene.conn, line, size), 0);
    assert_int_equal(nopoll_conn_complete_handshake_check_client(scene.ctx, scene.conn), 0);
    assert_int_equal(nopoll_conn_complete_handshake_listener(scene.ctx, scene.listener, line, size),
                     0);
    nopoll_conn_complete_handshake_check(scene.listener);
    assert_true(nopoll_conn_is_ok(scene.conn));
    assert_true(nopoll_conn_is_ok(scene.listener));
    peer_end(&scene);
}

/* --- on_ready --- */

static int own_readied;

static nopoll_bool own_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx, (void)conn, (void)data;
    own_readied++;
    return nopoll_true;
}

static void call_on_ready(void** state) {
    static char refuse;
    peer_scene scene;
    (void)state;
    peer_server_scene(&scene, NULL);
    readied = own_readied = 0;
    assert_false(__nopoll_conn_call_on_ready_if_defined(NULL, scene.conn));
    assert_false(__nopoll_conn_call_on_ready_if_defined(scene.ctx, NULL));
    assert_true(__nopoll_conn_call_on_ready_if_defined(scene.ctx, scene.conn));
    nopoll_ctx_set_on_ready(scene.ctx, count_ready, NULL);
    assert_true(__nopoll_conn_call_on_ready_if_defined(scene.ctx, scene.conn));
    assert_int_equal(readied, 1);
    nopoll_conn_set_on_ready(scene.conn, own_ready, NULL);
    assert_true(__nopoll_conn_call_on_ready_if_defined(scene.ctx, scene.conn));
    assert_int_equal(readied, 1);
    assert_int_equal(own_readied, 1);
    nopoll_conn_set_on_ready(scene.conn, count_ready, &refuse);
    assert_true(nopoll_conn_is_ok(scene.conn));
    assert_false(__nopoll_conn_call_on_ready_if_defined(scene.ctx, scene.conn));
    assert_false(nopoll_conn_is_ok(scene.conn));
    peer_end(&scene);
}

/* --- parts of heads --- */

static void readline(void** state) {
    char line[64];
    peer_scene scene;
    (void)state;
    open_accepted(&scene);
    assert_int_equal(nopoll_conn_readline(NULL, line, sizeof line), -1);
    assert_int_equal(nopoll_conn_readline(scene.conn, NULL, sizeof line), -1);
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), -2);
    test_send_all(scene.fd, "first\r\nsecond\nthi", 17);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), 7);
    assert_string_equal(line, "first\r\n");
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), 7);
    assert_string_equal(line, "second\n");
    /* A part is remembered. */
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), -2);
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), -2);
    test_send_all(scene.fd, "rd\n", 3);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), 6);
    assert_string_equal(line, "third\n");
    shutdown(scene.fd, SHUT_WR);
    assert_true(test_readable(nopoll_conn_socket(scene.conn), TEST_LIMIT_MS));
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), 0);
    assert_int_equal(nopoll_conn_readline(scene.conn, line, sizeof line), -1);
    peer_end(&scene);
}

static void http_url(void** state) {
    static const char* const good[][2] = {
        {"GET / HTTP/1.1\r\n", "/"},
        {"GET /a/b?c=d#e HTTP/1.1\r\n", "/a/b?c=d#e"},
        {"GET   /spaces   HTTP/1.1\n", "/spaces"},
    };
    static const char* const bad[] = {"GET x HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "GET\r\n",
                                      "GET / \r\n"};
    peer_scene scene;
    char* url = NULL;
    (void)state;
    open_accepted(&scene);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(
            nopoll_conn_get_http_url(scene.conn, good[i][0], (int)strlen(good[i][0]), "GET", &url));
        assert_string_equal(url, good[i][1]);
        nopoll_free(url);
        url = NULL;
    }
    assert_false(nopoll_conn_get_http_url(NULL, good[0][0], 16, "GET", &url));
    assert_false(nopoll_conn_get_http_url(scene.conn, NULL, 16, "GET", &url));
    assert_false(nopoll_conn_get_http_url(scene.conn, good[0][0], 16, NULL, &url));
    assert_false(nopoll_conn_get_http_url(scene.conn, good[0][0], 16, "GET", NULL));
    assert_true(nopoll_conn_is_ok(scene.conn));
    peer_end(&scene);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_accepted(&scene);
        assert_false(
            nopoll_conn_get_http_url(scene.conn, bad[i], (int)strlen(bad[i]), "GET", &url));
        assert_null(url);
        assert_false(nopoll_conn_is_ok(scene.conn));
        peer_end(&scene);
    }
}

static void mime_header(void** state) {
    static const char* const rows[][3] = {
        {"Host: example.test\r\n", "Host", "example.test"},
        {"X-Empty:\r\n", "X-Empty", ""},
        {"Time:  12:30 \t\r\n", "Time", "12:30"},
        {"Bare:lf\n", "Bare", "lf"},
    };
    peer_scene scene;
    char *name = NULL, *value = NULL;
    (void)state;
    open_accepted(&scene);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(nopoll_conn_get_mime_header(scene.ctx, scene.conn, rows[i][0],
                                                (int)strlen(rows[i][0]), &name, &value));
        assert_string_equal(name, rows[i][1]);
        assert_string_equal(value, rows[i][2]);
        nopoll_free(name);
        nopoll_free(value);
        name = value = NULL;
    }
    assert_false(
        nopoll_conn_get_mime_header(scene.ctx, scene.conn, "no colon\r\n", 10, &name, &value));
    assert_false(nopoll_conn_get_mime_header(NULL, NULL, NULL, 10, &name, &value));
    assert_false(nopoll_conn_get_mime_header(NULL, NULL, "a: b\r\n", 6, NULL, &value));
    assert_false(nopoll_conn_get_mime_header(NULL, NULL, "a: b\r\n", 6, &name, NULL));
    assert_null(name);
    assert_null(value);
    peer_end(&scene);
}

static void repeated_header(void** state) {
    peer_scene scene;
    char first[] = "Host";
    char* name = NULL;
    char* value = NULL;
    (void)state;
    open_accepted(&scene);
    assert_false(nopoll_conn_check_mime_header_repeated(scene.conn, first, first, "Host", NULL));
    assert_false(nopoll_conn_check_mime_header_repeated(scene.conn, first, first, "Origin", first));
    assert_false(nopoll_conn_check_mime_header_repeated(NULL, first, first, "Host", first));
    assert_false(nopoll_conn_check_mime_header_repeated(scene.conn, NULL, first, "Host", first));
    assert_true(nopoll_conn_is_ok(scene.conn));
    name = strdup("hOST"); /* both go with the call: a leak or a double free shows under ASan */
    value = strdup("again");
    assert_true(nopoll_conn_check_mime_header_repeated(scene.conn, name, value, "Host", first));
    assert_false(nopoll_conn_is_ok(scene.conn));
    peer_end(&scene);
}

/* The text of a request, and the key that its answer is checked against from then on. */
static void client_init(void** state) {
    static const char begin[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n";
    peer_scene scene;
    noPollConnOpts* const options = nopoll_conn_opts_new();
    char* text = NULL;
    char first[64], second[64];
    (void)state;
    peer_client_asking(&scene, NULL, NULL, NULL);
    assert_null(__nopoll_conn_get_client_init(NULL, NULL));
    nopoll_conn_opts_set_cookie(options, "a=b");
    text = __nopoll_conn_get_client_init(scene.conn, options);
    assert_non_null(text);
    assert_memory_equal(text, begin, sizeof begin - 1);
    assert_non_null(strstr(text, "\r\nCookie: a=b\r\n"));
    assert_non_null(peer_header(scene.request, "Sec-WebSocket-Key", first, sizeof first));
    assert_non_null(peer_header(text, "Sec-WebSocket-Key", second, sizeof second));
    assert_string_not_equal(first, second);
    assert_true(strlen(text) < sizeof scene.request);
    strcpy(scene.request, text);
    nopoll_free(text);
    peer_answer(&scene, "");
    POLL_UNTIL(nopoll_conn_socket(scene.conn), nopoll_conn_is_ready(scene.conn));
    nopoll_conn_opts_free(options);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(produce_accept_key),
        cmocka_unit_test(request_line_by_line),
        cmocka_unit_test(bad_request_line_by_line),
        cmocka_unit_test(reply_line_by_line),
        cmocka_unit_test(lines_without_a_connection),
        cmocka_unit_test(call_on_ready),
        cmocka_unit_test(readline),
        cmocka_unit_test(http_url),
        cmocka_unit_test(mime_header),
        cmocka_unit_test(repeated_header),
        cmocka_unit_test(client_init),
    };
    alarm((unsigned)(5 * TEST_LIMIT_MS / 1000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
