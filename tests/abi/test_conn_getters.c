/* SPDX-License-Identifier: MIT */
/* What connections of each role say about themselves, and when (spec: connection.md section 6,
 * listener.md section 2). */
#include "stream_peer.h"

/* A getter result and what it should be, NULL included. */
static void check_text(const char* what, const char* actual, const char* expected) {
    const int equal =
        actual == NULL || expected == NULL ? actual == expected : strcmp(actual, expected) == 0;
    if (!equal) {
        print_error("%s is %s, not %s\n", what, actual != NULL ? actual : "NULL",
                    expected != NULL ? expected : "NULL");
        fail();
    }
}

#define CHECK_TEXT(call, expected) check_text(#call, call, expected)

static void null_connections_are_answered(void** state) {
    (void)state;
    assert_null(nopoll_conn_ctx(NULL));
    assert_int_equal(nopoll_conn_role(NULL), NOPOLL_ROLE_UNKNOWN);
    assert_int_equal(nopoll_conn_role(NULL), 0);
    assert_int_equal(nopoll_conn_socket(NULL), -1);
    assert_int_equal(nopoll_conn_get_id(NULL), -1);
    CHECK_TEXT(nopoll_conn_host(NULL), NULL);
    CHECK_TEXT(nopoll_conn_port(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_host_header(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_origin(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_requested_url(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_cookie(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_requested_protocol(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_accepted_protocol(NULL), NULL);
    CHECK_TEXT(nopoll_conn_get_x_real_ip_header(NULL), NULL);
    assert_null(nopoll_conn_get_listener(NULL));
    assert_int_equal(nopoll_conn_get_close_status(NULL), 0);
    CHECK_TEXT(nopoll_conn_get_close_reason(NULL), NULL);
    assert_true(nopoll_conn_get_max_frame_size(NULL) == 16777216);
    assert_null(nopoll_conn_get_hook(NULL));
    assert_int_equal(nopoll_conn_is_ok(NULL), 0);
    assert_int_equal(nopoll_conn_is_ready(NULL), 0);
    assert_int_equal(nopoll_conn_is_tls_on(NULL), 0);
    assert_int_equal(nopoll_conn_read_pending(NULL), 0);
    assert_int_equal(nopoll_conn_pending_write_bytes(NULL), 0);
    nopoll_conn_set_accepted_protocol(NULL, "p");
    nopoll_conn_set_hook(NULL, NULL);
    nopoll_conn_set_socket(NULL, -1);
}

static void clients_say_what_they_were_given(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    const char* const port = test_port(listener);
    noPollConn* const conn = nopoll_conn_new(ctx, "127.0.0.1", port, "named.test:99", "/path?q=1",
                                             "chat, other", "http://origin.test");
    assert_ptr_equal(nopoll_conn_ctx(conn), ctx);
    assert_int_equal(nopoll_conn_role(conn), NOPOLL_ROLE_CLIENT);
    assert_int_equal(nopoll_conn_role(conn), 1);
    assert_int_equal(nopoll_conn_is_ok(conn), 1); /* TCP may still be connecting */
    assert_true(nopoll_conn_socket(conn) >= 3);
    for (int dead = 0; dead < 2; dead++) { /* strings stay after the shutdown */
        CHECK_TEXT(nopoll_conn_host(conn), "127.0.0.1");
        CHECK_TEXT(nopoll_conn_port(conn), port);
        CHECK_TEXT(nopoll_conn_get_host_header(conn), "named.test:99");
        CHECK_TEXT(nopoll_conn_get_origin(conn), "http://origin.test");
        CHECK_TEXT(nopoll_conn_get_requested_url(conn), "/path?q=1");
        CHECK_TEXT(nopoll_conn_get_requested_protocol(conn), "chat, other");
        CHECK_TEXT(nopoll_conn_get_accepted_protocol(conn), NULL);
        CHECK_TEXT(nopoll_conn_get_cookie(conn), NULL);
        CHECK_TEXT(nopoll_conn_get_x_real_ip_header(conn), NULL);
        CHECK_TEXT(nopoll_conn_get_close_reason(conn), NULL);
        assert_null(nopoll_conn_get_listener(conn));
        assert_int_equal(nopoll_conn_get_close_status(conn), 1006);
        assert_int_equal(nopoll_conn_is_tls_on(conn), 0);
        if (dead == 0) nopoll_conn_shutdown(conn);
    }
    assert_int_equal(nopoll_conn_socket(conn), -1);
    assert_int_equal(nopoll_conn_is_ok(conn), 0);
    nopoll_conn_close(conn);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

static void clients_have_defaults(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_cookie(options, "a=b");
    nopoll_conn_opts_add_origin_header(options, nopoll_false);
    noPollConn* const conn = nopoll_conn_new_opts(ctx, options, "127.0.0.1", test_port(listener),
                                                  NULL, NULL, NULL, NULL);
    CHECK_TEXT(nopoll_conn_get_host_header(conn), "127.0.0.1");
    CHECK_TEXT(nopoll_conn_get_origin(conn), "http://127.0.0.1"); /* also when not sent */
    CHECK_TEXT(nopoll_conn_get_requested_url(conn), "/");
    CHECK_TEXT(nopoll_conn_get_requested_protocol(conn), NULL);
    CHECK_TEXT(nopoll_conn_get_cookie(conn), NULL);
    nopoll_conn_close(conn);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

static void listeners_say_what_they_were_given(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    for (int tls = 0; tls < 2; tls++) {
        noPollConn* const conn = tls ? nopoll_listener_tls_new(ctx, "127.0.0.1", "0")
                                     : nopoll_listener_new(ctx, "127.0.0.1", "0");
        assert_ptr_equal(nopoll_conn_ctx(conn), ctx);
        assert_int_equal(nopoll_conn_role(conn), NOPOLL_ROLE_MAIN_LISTENER);
        assert_int_equal(nopoll_conn_role(conn), 3);
        assert_int_equal(nopoll_conn_is_tls_on(conn), tls);
        assert_true(nopoll_conn_socket(conn) >= 3);
        assert_int_equal(nopoll_conn_pending_write_bytes(conn), 0);
        assert_int_equal(nopoll_conn_read_pending(conn), 0);
        assert_int_equal(nopoll_conn_send_text(conn, "x", 1), -1);
        assert_int_equal(nopoll_conn_send_binary(conn, "x", 1), -1);
        for (int dead = 0; dead < 2; dead++) {
            CHECK_TEXT(nopoll_conn_host(conn), "127.0.0.1");
            CHECK_TEXT(nopoll_conn_port(conn), "0");
            CHECK_TEXT(nopoll_conn_get_requested_url(conn), "/");
            CHECK_TEXT(nopoll_conn_get_host_header(conn), NULL);
            CHECK_TEXT(nopoll_conn_get_origin(conn), NULL);
            CHECK_TEXT(nopoll_conn_get_cookie(conn), NULL);
            CHECK_TEXT(nopoll_conn_get_requested_protocol(conn), NULL);
            CHECK_TEXT(nopoll_conn_get_accepted_protocol(conn), NULL);
            CHECK_TEXT(nopoll_conn_get_x_real_ip_header(conn), NULL);
            CHECK_TEXT(nopoll_conn_get_close_reason(conn), NULL);
            assert_int_equal(nopoll_conn_get_close_status(conn), 0);
            assert_null(nopoll_conn_get_listener(conn));
            assert_null(nopoll_conn_get_hook(conn));
            assert_int_equal(nopoll_conn_is_ok(conn), !dead);
            if (dead == 0) nopoll_conn_shutdown(conn);
        }
        assert_int_equal(nopoll_conn_socket(conn), -1);
        nopoll_conn_close(conn);
    }
    nopoll_ctx_unref(ctx);
}

/* Values of an accepted connection appear as the lines of the head are read. */
static void accepted_values_appear_line_by_line(void** state) {
    (void)state;
    peer_scene scene;
    memset(&scene, 0, sizeof scene);
    scene.listening = -1;
    scene.ctx = nopoll_ctx_new();
    scene.listener = nopoll_listener_new(scene.ctx, "127.0.0.1", "0");
    scene.fd = test_connect(test_port_of(nopoll_conn_socket(scene.listener)));
    noPollConn* const conn = nopoll_conn_accept(scene.ctx, scene.listener);
    scene.conn = conn;
    assert_int_equal(nopoll_conn_role(conn), NOPOLL_ROLE_LISTENER);
    assert_int_equal(nopoll_conn_role(conn), 2);
    assert_ptr_equal(nopoll_conn_ctx(conn), scene.ctx);
    assert_ptr_equal(nopoll_conn_get_listener(conn), scene.listener);
    CHECK_TEXT(nopoll_conn_host(conn), "127.0.0.1");
    CHECK_TEXT(nopoll_conn_port(conn), peer_port(scene.fd));
    assert_int_equal(nopoll_conn_get_close_status(conn), 0);

    static const char rest[] =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const char* const lines[] = {"GET /chat?room=1#top HTTP/1.1\r\n",
                                 "Host: server.test:8080\r\n",
                                 "Origin: http://page.test\r\n",
                                 "Sec-WebSocket-Protocol: a, b\r\n",
                                 "Cookie: session=1; theme=dark\r\n",
                                 "X-Real-IP: 192.0.2.7\r\n",
                                 rest};
    enum { kLines = sizeof lines / sizeof *lines };
    for (int sent = 0; sent <= kLines; sent++) {
        CHECK_TEXT(nopoll_conn_get_requested_url(conn), sent > 0 ? "/chat?room=1#top" : "/");
        CHECK_TEXT(nopoll_conn_get_host_header(conn), sent > 1 ? "server.test:8080" : NULL);
        CHECK_TEXT(nopoll_conn_get_origin(conn), sent > 2 ? "http://page.test" : NULL);
        CHECK_TEXT(nopoll_conn_get_requested_protocol(conn), sent > 3 ? "a, b" : NULL);
        CHECK_TEXT(nopoll_conn_get_cookie(conn), sent > 4 ? "session=1; theme=dark" : NULL);
        CHECK_TEXT(nopoll_conn_get_x_real_ip_header(conn), sent > 5 ? "192.0.2.7" : NULL);
        CHECK_TEXT(nopoll_conn_get_accepted_protocol(conn), NULL); /* the library chose */
        if (sent == kLines) break;
        test_send_all(scene.fd, lines[sent], strlen(lines[sent]));
        assert_true(test_readable(nopoll_conn_socket(conn), TEST_LIMIT_MS));
        assert_int_equal(nopoll_conn_is_ready(conn), sent == kLines - 1);
    }
    peer_end(&scene);
}

static nopoll_bool look_at_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    ++*(int*)data;
    CHECK_TEXT(nopoll_conn_get_host_header(conn), "localhost");
    CHECK_TEXT(nopoll_conn_get_origin(conn), "http://localhost");
    CHECK_TEXT(nopoll_conn_get_requested_url(conn), "/");
    CHECK_TEXT(nopoll_conn_get_cookie(conn), "");
    CHECK_TEXT(nopoll_conn_get_requested_protocol(conn), NULL);
    nopoll_conn_set_accepted_protocol(conn, "first");
    nopoll_conn_set_accepted_protocol(conn, NULL); /* nothing */
    CHECK_TEXT(nopoll_conn_get_accepted_protocol(conn), "first");
    nopoll_conn_set_accepted_protocol(conn, "second");
    return nopoll_true;
}

static void all_values_are_there_in_on_open(void** state) {
    (void)state;
    int opened = 0;
    char request[512];
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    nopoll_ctx_set_on_open(ctx, look_at_open, &opened);
    const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    /* An empty header is there. */
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nCookie:\r\n%s",
             strchr(TEST_REQUEST, '\n') + 1);
    test_send_all(fd, request, strlen(request));
    noPollConn* const conn = nopoll_conn_accept(ctx, listener);
    POLL_UNTIL(nopoll_conn_socket(conn), nopoll_conn_is_ready(conn));
    assert_int_equal(opened, 1);
    CHECK_TEXT(nopoll_conn_get_accepted_protocol(conn), "second"); /* though none was asked */
    nopoll_conn_close(conn);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    close(fd);
}

static void frame_limits_come_from_options_then_the_context(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_max_frame_size(options, 1000);
    noPollConn* const limited = nopoll_listener_new_opts(ctx, options, "127.0.0.1", "0");
    noPollConn* const free_one = nopoll_listener_new(ctx, "127.0.0.1", "0");
    options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_max_frame_size(options, 77);
    noPollConn* const client =
        nopoll_conn_new_opts(ctx, options, "127.0.0.1", test_port(limited), NULL, NULL, NULL, NULL);
    noPollConn* const other =
        nopoll_conn_new(ctx, "127.0.0.1", test_port(free_one), NULL, NULL, NULL, NULL);
    noPollConn* const accepted = nopoll_conn_accept(ctx, limited);
    noPollConn* const accepted_too = nopoll_conn_accept(ctx, free_one);
    for (int round = 0; round < 2; round++) { /* the context is asked each time */
        const long of_context = round == 0 ? 16777216 : 4242;
        assert_true(nopoll_conn_get_max_frame_size(limited) == 1000);
        assert_true(nopoll_conn_get_max_frame_size(accepted) == 1000);
        assert_true(nopoll_conn_get_max_frame_size(client) == 77);
        assert_true(nopoll_conn_get_max_frame_size(free_one) == of_context);
        assert_true(nopoll_conn_get_max_frame_size(accepted_too) == of_context);
        assert_true(nopoll_conn_get_max_frame_size(other) == of_context);
        nopoll_ctx_set_max_frame_size(ctx, 4242);
    }
    noPollConn* const all[] = {client, other, accepted, accepted_too, limited, free_one};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nopoll_conn_close(all[i]);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

static void hooks_are_pointers_only(void** state) {
    (void)state;
    int thing = 0;
    test_pair pair;
    test_pair_open(&pair);
    noPollConn* const all[] = {pair.listener, pair.client, pair.server};
    for (size_t i = 0; i < 3; i++) {
        assert_null(nopoll_conn_get_hook(all[i]));
        nopoll_conn_set_hook(all[i], &thing);
        assert_ptr_equal(nopoll_conn_get_hook(all[i]), &thing);
        nopoll_conn_shutdown(all[i]);
        assert_ptr_equal(nopoll_conn_get_hook(all[i]), &thing);
        nopoll_conn_set_hook(all[i], NULL);
        assert_null(nopoll_conn_get_hook(all[i]));
    }
    test_pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_connections_are_answered),
        cmocka_unit_test(clients_say_what_they_were_given),
        cmocka_unit_test(clients_have_defaults),
        cmocka_unit_test(listeners_say_what_they_were_given),
        cmocka_unit_test(accepted_values_appear_line_by_line),
        cmocka_unit_test(all_values_are_there_in_on_open),
        cmocka_unit_test(frame_limits_come_from_options_then_the_context),
        cmocka_unit_test(hooks_are_pointers_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
