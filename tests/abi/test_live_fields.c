/* SPDX-License-Identifier: MIT */
/* The fields of connections that programs see through nopoll_private.h: at every moment they hold
 * what the getters say, and those that programs write do what they should. Contexts: test_ctx.c,
 * options: test_conn_opts.c, messages: test_msg.c. */
#include "server_request.h"

#include <nopoll_private.h>
#include <pthread.h>

static void check_text(const char* field, const char* getter) {
    assert_ptr_equal(field, getter); /* the only storage of the value */
}

/* Live fields against getters; reserved ones read as zero. */
static void check_fields(noPollConn* conn) {
    assert_int_equal(conn->id, nopoll_conn_get_id(conn));
    assert_ptr_equal(conn->ctx, nopoll_conn_ctx(conn));
    assert_int_equal(conn->session, nopoll_conn_socket(conn));
    assert_int_equal(conn->role, nopoll_conn_role(conn));
    assert_int_equal(conn->refs, nopoll_conn_ref_count(conn));
    assert_int_equal(conn->tls_on, nopoll_conn_is_tls_on(conn));
    assert_int_equal(conn->peer_close_status, nopoll_conn_get_close_status(conn));
    check_text(conn->peer_close_reason, nopoll_conn_get_close_reason(conn));
    check_text(conn->host, nopoll_conn_host(conn));
    check_text(conn->port, nopoll_conn_port(conn));
    check_text(conn->host_name, nopoll_conn_get_host_header(conn));
    check_text(conn->origin, nopoll_conn_get_origin(conn));
    check_text(conn->get_url, nopoll_conn_get_requested_url(conn));
    check_text(conn->protocols, nopoll_conn_get_requested_protocol(conn));
    check_text(conn->accepted_protocol, nopoll_conn_get_accepted_protocol(conn));
    check_text(conn->x_real_ip_address, nopoll_conn_get_x_real_ip_header(conn));
    assert_ptr_equal(conn->listener, nopoll_conn_get_listener(conn));
    assert_ptr_equal(conn->hook, nopoll_conn_get_hook(conn));
    assert_true(conn->receive != NULL && conn->send != NULL);
    assert_int_equal(conn->__force_stop_after_header, 0);
    assert_null(conn->ssl);
    assert_null(conn->ssl_ctx);
    assert_int_equal(conn->pending_ssl_accept, 0);
    assert_int_equal(conn->pending_ssl_connect, 0);
    assert_true(conn->handshake == NULL && conn->pending_line == NULL);
    assert_true(conn->pending_msg == NULL && conn->previous_msg == NULL);
    assert_true(conn->pending_diff == 0 && conn->pending_desp == 0);
    assert_true(conn->pending_buf_bytes == 0 && conn->pending_write == NULL);
    assert_true(conn->previous_was_fragment == 0 && conn->read_pending_header == 0);
}

static int checks;

static nopoll_bool check_action(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    check_fields(conn);
    assert_int_equal(conn->handshake_ok, 0); /* not before on_ready has said yes */
    nopoll_conn_set_hook(conn, &checks);
    nopoll_conn_set_accepted_protocol(conn, "b");
    check_fields(conn);
    checks++;
    return nopoll_true;
}

static void check_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)msg;
    (void)data;
    check_fields(conn);
    assert_int_equal(conn->handshake_ok, 1);
    assert_int_equal(conn->transient_refs, 1);
    checks++;
}

static void check_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    check_fields(conn);
    assert_true(conn->session >= 0);
    checks++;
}

static void fields_say_what_getters_say(void** state) {
    (void)state;
    checks = 0;
    noPollCtx* const ctx = nopoll_ctx_new();
    nopoll_ctx_set_on_accept(ctx, check_action, NULL);
    nopoll_ctx_set_on_open(ctx, check_action, NULL);
    nopoll_ctx_set_on_ready(ctx, check_action, NULL);
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_max_frame_size(options, 1234);
    noPollConn* const listener = nopoll_listener_new_opts(ctx, options, "127.0.0.1", "0");
    check_fields(listener);
    assert_ptr_equal(listener->opts, options);
    assert_int_equal(listener->handshake_ok, 1);
    noPollConn* const client = nopoll_conn_new(ctx, "127.0.0.1", test_port(listener), "named.test",
                                               "/url", "a, b", "http://page.test");
    check_fields(client);
    assert_int_equal(client->handshake_ok, 0);
    assert_true(client->max_frame_size == 0);
    noPollConn* const server = nopoll_conn_accept(ctx, listener);
    check_fields(server);
    assert_true(server->max_frame_size == 1234);
    LOOP_UNTIL(ctx, server->handshake_ok && client->handshake_ok);
    check_fields(client);
    check_fields(server);
    assert_string_equal(client->accepted_protocol, "b");
    nopoll_conn_set_on_msg(server, check_msg, &checks);
    nopoll_conn_set_on_ready(server, check_action, &checks);
    nopoll_conn_set_on_close(server, check_close, &checks);
    assert_true(server->on_msg == check_msg && server->on_msg_data == &checks);
    assert_true(server->on_ready == check_action && server->on_ready_data == &checks);
    assert_true(server->on_close == check_close && server->on_close_data == &checks);
    nopoll_conn_set_on_ready(server, NULL, &checks); /* the data goes with it */
    assert_true(server->on_ready == NULL && server->on_ready_data == NULL);
    const int before = checks;
    assert_int_equal(before, 4); /* on_accept and on_open, and on_ready of both */
    nopoll_conn_send_text(client, "x", 1);
    LOOP_UNTIL(ctx, checks == before + 1);
    nopoll_conn_ref(server);
    nopoll_conn_close_ext(client, 1001, "bye", 3);
    LOOP_UNTIL(ctx, checks == before + 2);
    check_fields(server);
    assert_int_equal(server->session, -1);
    assert_int_equal(server->peer_close_status, 1001);
    assert_string_equal(server->peer_close_reason, "bye");
    nopoll_loop_wait(ctx, 1);
    nopoll_conn_close(server);
    assert_int_equal(server->refs, 1);
    nopoll_conn_unref(server);
    nopoll_conn_close(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

/* --- receive and send replaced by functions of the program --- */

enum { kMangle = 0x5a };

static int received_calls;
static int sent_calls;
static int most_at_once; /* 0: no limit of the functions' own */

static void mangle(char* bytes, int size) {
    for (int i = 0; i < size; i++)
        bytes[i] = (char)(bytes[i] ^ kMangle);
}

/* What the wire carries is mangled; both ends do the same. */
static int mangled_receive(noPollConn* conn, char* buffer, int size) {
    const int most = most_at_once > 0 && size > most_at_once ? most_at_once : size;
    const int got = nopoll_conn_default_receive(conn, buffer, most);
    received_calls++;
    if (got > 0) mangle(buffer, got);
    return got;
}

static int mangled_send(noPollConn* conn, char* buffer, int size) {
    const int most = most_at_once > 0 && size > most_at_once ? most_at_once : size;
    char* const copy = malloc((size_t)most);
    memcpy(copy, buffer, (size_t)most);
    mangle(copy, most);
    const int sent = nopoll_conn_default_send(conn, copy, most);
    const int error = errno;
    free(copy);
    errno = error;
    sent_calls++;
    return sent;
}

static void replace_both(noPollConn* conn) {
    conn->receive = mangled_receive;
    conn->send = mangled_send;
}

static int messages;
static size_t message_bytes;

static void answer_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)data;
    messages++;
    message_bytes = (size_t)nopoll_msg_get_payload_size(msg);
    if (message_bytes > 0 && nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER)
        nopoll_conn_send_binary(conn, (const char*)nopoll_msg_get_payload(msg),
                                (long)message_bytes);
}

static void replaced_functions_carry_all_bytes(void** state) {
    (void)state;
    static const int limits[] = {0, 1, 7};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        char content[3000];
        test_pair pair;
        test_pair_open(&pair);
        for (size_t k = 0; k < sizeof content; k++)
            content[k] = (char)k;
        received_calls = sent_calls = 0;
        most_at_once = limits[i];
        replace_both(pair.client);
        replace_both(pair.server);
        /* By direct calls. */
        static const long sizes[] = {1, 125, 126, 3000};
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            assert_true(nopoll_conn_send_binary(pair.client, content, sizes[k]) == sizes[k]);
            noPollMsg* msg = test_get_msg(pair.server);
            assert_non_null(msg);
            assert_true(nopoll_msg_get_payload_size(msg) == sizes[k]);
            assert_memory_equal(nopoll_msg_get_payload(msg), content, (size_t)sizes[k]);
            nopoll_msg_unref(msg);
            assert_true(nopoll_conn_send_text(pair.server, "back", 4) == 4);
            msg = test_get_msg(pair.client);
            assert_non_null(msg);
            assert_string_equal((const char*)nopoll_msg_get_payload(msg), "back");
            nopoll_msg_unref(msg);
        }
        assert_true(received_calls > 0 && sent_calls >= 8);
        /* A ping, by the loop, with two messages behind it: the answers come back. */
        nopoll_ctx_set_on_msg(pair.ctx, answer_msg, NULL);
        messages = 0;
        assert_int_equal(nopoll_conn_send_ping(pair.client), 1);
        assert_int_equal(nopoll_conn_send_binary(pair.client, content, 3000), 3000);
        assert_int_equal(nopoll_conn_send_binary(pair.client, content, 300), 300);
        LOOP_UNTIL(pair.ctx, messages == 4);
        assert_int_equal(message_bytes, 300);
        nopoll_conn_close_ext(pair.client, 1000, "bye", 3);
        nopoll_conn_ref(pair.server);
        LOOP_UNTIL(pair.ctx, !nopoll_conn_is_ok(pair.server));
        assert_string_equal(nopoll_conn_get_close_reason(pair.server), "bye");
        nopoll_loop_wait(pair.ctx, 1); /* the registry's reference goes */
        nopoll_conn_unref(pair.server);
        pair.client = pair.server = NULL;
        test_pair_close(&pair);
        most_at_once = 0;
    }
}

static nopoll_bool replace_on_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    replace_both(conn);
    return nopoll_true;
}

/* From on_accept on: the whole handshake goes through them. */
static void replaced_functions_see_the_handshake(void** state) {
    (void)state;
    for (int in_loop = 0; in_loop < 2; in_loop++) {
        char request[512];
        char head[512];
        unsigned char frame[32];
        const size_t size = strlen(TEST_REQUEST);
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_ctx_set_on_accept(ctx, replace_on_accept, NULL);
        nopoll_ctx_set_on_msg(ctx, answer_msg, NULL);
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
        memcpy(request, TEST_REQUEST, size);
        mangle(request, (int)size);
        test_send_all(fd, request, size);
        const size_t frame_size = test_frame(frame, 0x82, 1, "hello", 5);
        mangle((char*)frame, (int)frame_size);
        test_send_all(fd, frame, frame_size);
        messages = 0;
        if (in_loop) {
            LOOP_UNTIL(ctx, messages == 1);
        } else {
            noPollConn* const conn = nopoll_conn_accept(ctx, listener);
            assert_int_equal(nopoll_conn_wait_until_connection_ready(conn, 5), 1);
            noPollMsg* const msg = test_get_msg(conn);
            assert_non_null(msg);
            assert_int_equal(nopoll_conn_send_binary(conn, "hello", 5), 5);
            nopoll_msg_unref(msg);
        }
        const size_t wanted = strlen(REPLY_101) + 7;
        assert_int_equal(test_receive(fd, head, wanted), wanted);
        mangle(head, (int)wanted);
        assert_memory_equal(head, REPLY_101 "\x82\x05hello", wanted);
        peer_close_accepted(ctx);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
        close(fd);
    }
}

/* --- what their results mean --- */

static int next_result;
static int next_error;

static int scripted(noPollConn* conn, char* buffer, int size) {
    (void)conn;
    (void)buffer;
    (void)size;
    errno = next_error;
    return next_result;
}

static void results_of_replaced_functions(void** state) {
    (void)state;
    static const struct {
        const char* name;
        int result;
        int error;
        int receive_ends; /* the connection is over after a read */
        int sent;         /* what send_text of 2 bytes says */
    } ways[] = {
        {"would block", -1, EWOULDBLOCK, 0, -2},
        {"interrupted", -1, EINTR, 0, -2},
        {"would block, as TLS says it", -2, EWOULDBLOCK, 0, -2},
        {"broken", -1, ECONNRESET, 1, -1},
        {"end", 0, 0, 1, -1},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        peer_scene scene;
        peer_client_scene(&scene, NULL);
        next_result = ways[i].result;
        next_error = ways[i].error;
        scene.conn->send = scripted;
        errno = 0;
        ROW_CHECK(ways[i].name, nopoll_conn_send_text(scene.conn, "ab", 2) == ways[i].sent);
        ROW_CHECK(ways[i].name, (errno == EWOULDBLOCK) == (ways[i].sent == -2));
        ROW_CHECK(ways[i].name,
                  nopoll_conn_pending_write_bytes(scene.conn) == (ways[i].sent == -2 ? 8 : 0));
        ROW_CHECK(ways[i].name, nopoll_conn_is_ok(scene.conn));
        scene.conn->send = nopoll_conn_default_send;
        if (ways[i].sent == -2) {
            char frame[16];
            ROW_CHECK(ways[i].name, nopoll_conn_complete_pending_write(scene.conn) == 2);
            ROW_CHECK(ways[i].name, test_receive(scene.fd, frame, 8) == 8);
        }
        scene.conn->receive = scripted;
        ROW_CHECK(ways[i].name, nopoll_conn_get_msg(scene.conn) == NULL);
        ROW_CHECK(ways[i].name, nopoll_conn_is_ok(scene.conn) == !ways[i].receive_ends);
        peer_end(&scene);
    }
}

static void answer_into_a_block(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)msg;
    (void)data;
    next_result = -1;
    next_error = EWOULDBLOCK;
    conn->send = scripted;
    assert_int_equal(nopoll_conn_send_text(conn, "secret", 6), 6); /* it is queued */
    nopoll_conn_shutdown(conn);
}

/* What is queued is for that function alone, also when the connection has ended. */
static void nothing_goes_past_a_replaced_function(void** state) {
    (void)state;
    peer_scene scene;
    peer_stream seen;
    peer_server_scene(&scene, NULL);
    nopoll_ctx_set_on_msg(scene.ctx, answer_into_a_block, NULL);
    test_send_all(scene.fd, "\x81\x80\0\0\0\0", 6);
    peer_until_end(scene.ctx, scene.fd, &seen);
    assert_int_equal(seen.size, 0);
    LOOP_UNTIL(scene.ctx, nopoll_ctx_conns(scene.ctx) == 1);
    scene.conn = NULL;
    peer_end(&scene);
}

/* --- __force_stop_after_header --- */

typedef struct {
    int fd;
    size_t first;
    long gap_ms;
    char bytes[16];
} gap_reader;

static void* read_with_gap(void* data) {
    gap_reader* const now = data;
    now->first = test_receive(now->fd, now->bytes, 3);
    const long start = test_now_ms();
    test_receive(now->fd, now->bytes + 3, 4);
    now->gap_ms = test_now_ms() - start;
    return NULL;
}

/* Takes five seconds, which is what the field is for. */
static void a_forced_stop_pauses_inside_a_frame(void** state) {
    (void)state;
    peer_scene scene;
    pthread_t thread;
    peer_server_scene(&scene, NULL);
    scene.conn->__force_stop_after_header = 7; /* the frame is no longer: no pause */
    const long start = test_now_ms();
    assert_int_equal(nopoll_conn_send_text(scene.conn, "hello", 5), 5);
    assert_true(test_now_ms() - start < 2000);
    gap_reader reader = {scene.fd, 0, 0, {0}};
    assert_int_equal(test_receive(scene.fd, reader.bytes, 7), 7);
    scene.conn->__force_stop_after_header = 3;
    assert_int_equal(pthread_create(&thread, NULL, read_with_gap, &reader), 0);
    assert_int_equal(nopoll_conn_send_text(scene.conn, "hello", 5), 5);
    pthread_join(thread, NULL);
    scene.conn->__force_stop_after_header = 0;
    assert_int_equal(reader.first, 3);
    assert_memory_equal(reader.bytes, "\x81\x05hello", 7);
    assert_true(reader.gap_ms >= 4900);
    assert_true(reader.gap_ms <= 7000);
    peer_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_say_what_getters_say),
        cmocka_unit_test(replaced_functions_carry_all_bytes),
        cmocka_unit_test(replaced_functions_see_the_handshake),
        cmocka_unit_test(results_of_replaced_functions),
        cmocka_unit_test(nothing_goes_past_a_replaced_function),
        cmocka_unit_test(a_forced_stop_pauses_inside_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
