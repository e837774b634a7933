/* SPDX-License-Identifier: MIT */
/* The request of a client, byte for byte (spec: connection.md section 3). */
#include "stream_peer.h"

#include <limits.h>

struct request_row {
    const char* name;
    const char* host_ip;
    const char* host_name;
    const char* url;
    const char* protocols;
    const char* origin;
    const char* cookie;
    const char* extra;
    int no_origin;
    const char* target; /* what is expected behind GET */
    const char* host;   /* behind "Host: " */
    const char* lines;  /* behind the version line, with line ends */
};

static const struct request_row rows[] = {
    {"defaults", "10.1.2.3", NULL, NULL, NULL, NULL, NULL, NULL, 0, "/", "10.1.2.3",
     "Origin: http://10.1.2.3\r\n"},
    {"all given", "10.1.2.3", "named.test", "/a?b=c#d", "chat", "https://page.test", "k=v",
     "\r\nX-One: 1\r\nX-Two: 2", 0, "/a?b=c#d", "named.test",
     "Origin: https://page.test\r\nCookie: k=v\r\nSec-WebSocket-Protocol: chat\r\n"
     "X-One: 1\r\nX-Two: 2\r\n"},
    {"host name with a port", "10.1.2.3", "named.test:8080", NULL, NULL, NULL, NULL, NULL, 0, "/",
     "named.test:8080", "Origin: http://named.test:8080\r\n"},
    {"no Origin", "10.1.2.3", NULL, NULL, NULL, "http://o.test", "k=v", NULL, 1, "/", "10.1.2.3",
     "Cookie: k=v\r\n"},
    {"empty is not NULL", "10.1.2.3", "", "", "", "", "", "", 0, "", "",
     "Origin: \r\nCookie: \r\nSec-WebSocket-Protocol: \r\n"},
    {"IPv6 literal", "::1", NULL, NULL, NULL, NULL, NULL, NULL, 0, "/", "[::1]",
     "Origin: http://[::1]\r\n"},
    {"IPv6 literal with a name", "::1", "named.test", NULL, NULL, NULL, NULL, NULL, 0, "/",
     "named.test", "Origin: http://named.test\r\n"},
    {"IPv6 literal with an origin", "fe80::1", NULL, NULL, NULL, "x", NULL, NULL, 0, "/",
     "[fe80::1]", "Origin: x\r\n"},
    {"protocols separated by blanks", "h", NULL, NULL, "chat  superchat\tother", NULL, NULL, NULL,
     1, "/", "h", "Sec-WebSocket-Protocol: chat, superchat, other\r\n"},
    {"protocols separated by commas", "h", NULL, NULL, "chat,superchat other", NULL, NULL, NULL, 1,
     "/", "h", "Sec-WebSocket-Protocol: chat,superchat other\r\n"},
    {"one protocol", "h", NULL, NULL, "chat", NULL, NULL, NULL, 1, "/", "h",
     "Sec-WebSocket-Protocol: chat\r\n"},
    {"protocols with a header of the program", "h", NULL, NULL, "chat one\r\nX-Extra: a b", NULL,
     NULL, NULL, 1, "/", "h", "Sec-WebSocket-Protocol: chat one\r\nX-Extra: a b\r\n"},
    {"target with a header of the program", "h", NULL, "/ HTTP/1.1\r\nX-Old: trick", NULL, NULL,
     NULL, NULL, 1, "/ HTTP/1.1\r\nX-Old: trick", "h", ""},
    {"extra headers without leading line end", "h", NULL, NULL, NULL, NULL, "k=v", "X-One: 1", 1,
     "/", "h", "Cookie: k=v\r\nX-One: 1\r\n"},
    {"extra headers with a trailing line end", "h", NULL, NULL, NULL, NULL, NULL,
     "\r\nX-One: 1\r\nX-Two: 2\r\n\r\n", 1, "/", "h", "X-One: 1\r\nX-Two: 2\r\n"},
    {"extra headers with a protocol", "h", NULL, NULL, NULL, NULL, NULL,
     "\r\nSec-WebSocket-Protocol: chat", 1, "/", "h", "Sec-WebSocket-Protocol: chat\r\n"},
    {"extra headers of line ends only", "h", NULL, NULL, NULL, NULL, NULL, "\r\n\r\n", 1, "/", "h",
     ""},
};

#define ROWS (sizeof rows / sizeof *rows)

/* Makes a client over a local socket pair and reads its request. */
static void take_request(noPollCtx* ctx, const struct request_row* row, char* head,
                         size_t capacity) {
    int fds[2];
    noPollConnOpts* const options = nopoll_conn_opts_new();
    if (row->cookie != NULL) nopoll_conn_opts_set_cookie(options, row->cookie);
    if (row->extra != NULL) nopoll_conn_opts_set_extra_headers(options, row->extra);
    if (row->no_origin) nopoll_conn_opts_add_origin_header(options, nopoll_false);
    peer_socketpair(fds);
    noPollConn* const conn =
        nopoll_conn_new_with_socket(ctx, options, fds[0], row->host_ip, "8080", row->host_name,
                                    row->url, row->protocols, row->origin);
    ROW_CHECK(row->name, nopoll_conn_is_ok(conn));
    const ssize_t size = recv(fds[1], head, capacity - 1, 0);
    ROW_CHECK(row->name, size > 0);
    head[size] = 0;
    /* Getters tell the arguments, whatever was made of them on the wire. */
    ROW_CHECK(row->name, strcmp(nopoll_conn_get_host_header(conn),
                                row->host_name != NULL ? row->host_name : row->host_ip) == 0);
    if (row->protocols != NULL)
        ROW_CHECK(row->name, strcmp(nopoll_conn_get_requested_protocol(conn), row->protocols) == 0);
    nopoll_conn_close(conn);
    close(fds[1]);
}

static void requests_are_exact(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    for (size_t i = 0; i < ROWS; i++) {
        char head[2048];
        char expected[2048];
        char key[64];
        take_request(ctx, &rows[i], head, sizeof head);
        ROW_CHECK(rows[i].name, peer_header(head, "Sec-WebSocket-Key", key, sizeof key) != NULL);
        snprintf(expected, sizeof expected,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                 rows[i].target, rows[i].host, key, rows[i].lines);
        if (strcmp(head, expected) != 0) {
            print_error("row \"%s\":\n%s--- instead of\n%s", rows[i].name, head, expected);
            fail();
        }
    }
    nopoll_ctx_unref(ctx);
}

/* 16 random bytes in base64: 24 characters, never the same. */
static void keys_are_random(void** state) {
    (void)state;
    enum { kKeys = 40 };
    char keys[kKeys][64];
    unsigned char seen[256] = {0};
    int different = 0;
    noPollCtx* const ctx = nopoll_ctx_new();
    for (int i = 0; i < kKeys; i++) {
        char head[2048];
        char bytes[64];
        int size = sizeof bytes;
        take_request(ctx, &rows[0], head, sizeof head);
        assert_non_null(peer_header(head, "Sec-WebSocket-Key", keys[i], sizeof keys[i]));
        assert_int_equal(strlen(keys[i]), 24);
        assert_int_equal(nopoll_base64_decode(keys[i], 24, bytes, &size), 1);
        assert_int_equal(size, 16);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(keys[i], keys[k]);
        for (int k = 0; k < 16; k++)
            seen[(unsigned char)bytes[k]] = 1;
    }
    for (int value = 0; value < 256; value++)
        different += seen[value];
    assert_true(different > 200); /* of 640 bytes; half of them zero would give about 180 */
    nopoll_ctx_unref(ctx);
}

static void the_version_is_the_contexts(void** state) {
    (void)state;
    static const int versions[] = {8, 0, -1, INT_MAX, 13};
    noPollCtx* const ctx = nopoll_ctx_new();
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        char head[2048];
        char version[32];
        char expected[32];
        nopoll_ctx_set_protocol_version(ctx, versions[i]);
        take_request(ctx, &rows[0], head, sizeof head);
        snprintf(expected, sizeof expected, "%d", versions[i]);
        assert_non_null(peer_header(head, "Sec-WebSocket-Version", version, sizeof version));
        assert_string_equal(version, expected);
    }
    nopoll_ctx_unref(ctx);
}

/* Without options there is neither cookie nor extra header, and the origin is on; no port is added
 * to Host, whatever the port. */
static void plain_clients_send_the_same(void** state) {
    (void)state;
    peer_scene scene;
    char key[64];
    char expected[512];
    peer_client_asking(&scene, NULL, NULL, NULL);
    assert_non_null(peer_header(scene.request, "Sec-WebSocket-Key", key, sizeof key));
    snprintf(expected, sizeof expected,
             "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1\r\n"
             "\r\n",
             key);
    assert_string_equal(scene.request, expected);
    peer_end(&scene);
}

/* Many programs send as soon as is_ok says so: the frame follows the request (frames.md 6.4). */
static void frames_may_follow_the_request(void** state) {
    (void)state;
    peer_scene scene;
    unsigned char frame[16];
    peer_client_asking(&scene, NULL, NULL, NULL);
    assert_int_equal(nopoll_conn_send_text(scene.conn, "early", 5), 5);
    assert_int_equal(test_receive(scene.fd, frame, 11), 11);
    assert_int_equal(frame[0], 0x81);
    assert_int_equal(frame[1], 0x85);
    for (int i = 0; i < 5; i++)
        assert_int_equal(frame[6 + i] ^ frame[2 + i % 4], "early"[i]);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_exact),
        cmocka_unit_test(keys_are_random),
        cmocka_unit_test(the_version_is_the_contexts),
        cmocka_unit_test(plain_clients_send_the_same),
        cmocka_unit_test(frames_may_follow_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
