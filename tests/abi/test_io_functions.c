/* SPDX-License-Identifier: MIT */
/* Functions of the program in the place of the socket's (fields receive and send) that do what they
 * must not: read, send or close the connection they are working for. Nothing breaks: such a read
 * finds nothing, such a send is put off, and the end is the end. */
#include "abi_test.h"

#include <errno.h>
#include <nopoll_private.h>
#include <sys/socket.h>

/* What the functions do when they are called, and what came of it. */
static enum { nothing, read_inside, send_inside, close_inside } what;
static int calls_inside, wrong_results;

static void do_it(noPollConn* conn) {
    noPollMsg* msg = NULL;
    char buffer[16];
    if (what == nothing) return;
    calls_inside++;
    switch (what) {
    case read_inside:
        msg = nopoll_conn_get_msg(conn);
        if (msg != NULL || errno != EWOULDBLOCK) wrong_results++;
        nopoll_msg_unref(msg);
        if (nopoll_conn_read(conn, buffer, sizeof buffer, nopoll_false, 0) != -1) wrong_results++;
        (void)nopoll_conn_is_ready(conn);
        break;
    case send_inside:
        if (nopoll_conn_send_text(conn, "inside", 6) != -1 || errno != EWOULDBLOCK) wrong_results++;
        break;
    default: nopoll_conn_shutdown(conn); break;
    }
}

/* Single bytes, so that each frame needs many calls. */
static int own_receive(noPollConn* conn, char* buffer, int size) {
    (void)size;
    do_it(conn);
    return (int)recv(nopoll_conn_socket(conn), buffer, 1, MSG_DONTWAIT);
}

static int own_send(noPollConn* conn, char* buffer, int size) {
    (void)size;
    do_it(conn);
    return (int)send(nopoll_conn_socket(conn), buffer, 1, MSG_NOSIGNAL);
}

static void open_pair(test_pair* pair) {
    what = nothing;
    calls_inside = wrong_results = 0;
    test_pair_open(pair);
    pair->client->receive = own_receive;
    pair->client->send = own_send;
}

static void expect(noPollConn* conn, const char* text) {
    noPollMsg* msg = test_get_msg(conn);
    assert_non_null(msg);
    assert_int_equal(nopoll_msg_get_payload_size(msg), strlen(text));
    assert_memory_equal(nopoll_msg_get_payload(msg), text, strlen(text));
    nopoll_msg_unref(msg);
}

static void reading_while_receiving(void** state) {
    test_pair pair;
    (void)state;
    open_pair(&pair);
    what = read_inside;
    assert_int_equal(nopoll_conn_send_text(pair.server, "one", 3), 3);
    assert_int_equal(nopoll_conn_send_text(pair.server, "two", 3), 3);
    expect(pair.client, "one");
    expect(pair.client, "two");
    assert_true(calls_inside >= 10); /* each byte of the two frames */
    assert_int_equal(wrong_results, 0);
    what = nothing;
    test_pair_close(&pair);
}

/* The reply of the server is read the same way, and must not be over before its reader is. */
static void reading_in_the_handshake(void** state) {
    test_pair pair;
    (void)state;
    what = nothing;
    calls_inside = wrong_results = 0;
    memset(&pair, 0, sizeof pair);
    pair.ctx = nopoll_ctx_new();
    pair.listener = nopoll_listener_new(pair.ctx, "127.0.0.1", "0");
    pair.client =
        nopoll_conn_new(pair.ctx, "127.0.0.1", test_port(pair.listener), NULL, NULL, NULL, NULL);
    pair.client->receive = own_receive;
    pair.client->send = own_send;
    pair.server = nopoll_conn_accept(pair.ctx, pair.listener);
    POLL_UNTIL(nopoll_conn_socket(pair.server), nopoll_conn_is_ready(pair.server));
    what = read_inside;
    POLL_UNTIL(nopoll_conn_socket(pair.client), nopoll_conn_is_ready(pair.client));
    assert_true(calls_inside > 100);
    assert_int_equal(wrong_results, 0);
    what = nothing;
    test_pair_close(&pair);
}

static void sending_while_sending(void** state) {
    test_pair pair;
    (void)state;
    open_pair(&pair);
    what = send_inside;
    assert_int_equal(nopoll_conn_send_text(pair.client, "outer", 5), 5);
    what = nothing;
    assert_int_equal(nopoll_conn_send_text(pair.client, "next", 4), 4);
    assert_int_equal(calls_inside, 2 + 4 + 5); /* header, key, payload */
    assert_int_equal(wrong_results, 0);
    expect(pair.server, "outer");
    expect(pair.server, "next");
    test_pair_close(&pair);
}

static void closing_inside(void** state) {
    test_pair pair;
    (void)state;
    open_pair(&pair);
    what = close_inside;
    assert_int_equal(nopoll_conn_send_text(pair.client, "never", 5), -1);
    assert_false(nopoll_conn_is_ok(pair.client));
    assert_int_equal(calls_inside, 1);
    what = nothing;
    test_pair_close(&pair);

    open_pair(&pair);
    assert_int_equal(nopoll_conn_send_text(pair.server, "lost", 4), 4);
    assert_true(test_readable(nopoll_conn_socket(pair.client), TEST_LIMIT_MS));
    what = close_inside;
    assert_null(nopoll_conn_get_msg(pair.client));
    assert_false(nopoll_conn_is_ok(pair.client));
    what = nothing;
    test_pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_while_receiving),
        cmocka_unit_test(reading_in_the_handshake),
        cmocka_unit_test(sending_while_sending),
        cmocka_unit_test(closing_inside),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
