/* SPDX-License-Identifier: MIT */
/* The pause between header and payload, masking as a function, and the internal functions that
 * programs have been seen to call (spec: frames.md 6.6, 7, 8). */
#include "raw_peer.h"

#include <limits.h>
#include <nopoll_private.h>
#include <pthread.h>

int __nopoll_conn_send_common(noPollConn* conn, const char* content, long length,
                              nopoll_bool has_fin, long sleep_in_header, noPollOpCode frame_type);
int __nopoll_conn_receive(noPollConn* conn, char* buffer, int maxlen);
void __nopoll_pack_content(char* buffer, int start, int bytes);
int __nopoll_conn_complete_pending_write_reduce_header(noPollConn* conn, int bytes_written);

/* --- pauses --- */

struct sender {
    struct raw_peer* peer;
    long pause_us;
    int raw;
    int result;
    long took_ms;
};

static void* send_pausing(void* data) {
    struct sender* sender = (struct sender*)data;
    noPollConn* conn = sender->peer->conn;
    char text[] = "paused";
    const long start = test_now_ms();
    if (sender->raw)
        sender->result = nopoll_conn_send_frame(conn, nopoll_true, sender->peer->side == RAW_CLIENT,
                                                NOPOLL_TEXT_FRAME, 6, text, sender->pause_us);
    else
        sender->result = __nopoll_conn_send_common(conn, text, 6, nopoll_true, sender->pause_us,
                                                   NOPOLL_TEXT_FRAME);
    sender->took_ms = test_now_ms() - start;
    return NULL;
}

/* The header goes out alone; then the pause; then the payload. On a busy machine we may come too
 * late to see the header alone, hence some tries. */
static void pause_behind_the_header(enum raw_side side) {
    int raw, tries;
    for (raw = 0; raw < 2; raw++) {
        int alone = 0;
        for (tries = 0; tries < 10 && !alone; tries++) {
            struct raw_peer peer;
            struct sender sender = {&peer, 100000, raw, 0, 0};
            pthread_t thread;
            unsigned char head[64];
            raw_open(&peer, side);
            assert_int_equal(pthread_create(&thread, NULL, send_pausing, &sender), 0);
            assert_true(test_readable(peer.fd, TEST_LIMIT_MS));
            alone = recv(peer.fd, head, sizeof head, MSG_PEEK) == (side == RAW_CLIENT ? 6 : 2);
            RAW_EXPECT_TEXT(&peer, "paused");
            pthread_join(thread, NULL);
            assert_int_equal(sender.result, 6);
            assert_true(sender.took_ms >= 99);
            assert_int_equal(nopoll_conn_pending_write_bytes(peer.conn), 0);
            assert_int_equal(nopoll_conn_send_text(peer.conn, "next", 4), 4);
            RAW_EXPECT_TEXT(&peer, "next");
            raw_close(&peer);
        }
        assert_true(alone);
    }
}

/* --- masking --- */

static void mask_content(void** state) {
    static const int offsets[] = {0, 1, 2, 3, 4, 5, 1000003, INT_MAX, INT_MAX - 1, INT_MAX - 2};
    char mask[4] = {0x11, 0x7f, (char)0xc3, 0x00};
    char original[70], masked[70];
    size_t n;
    int size, i;
    (void)state;
    for (i = 0; i < 70; i++)
        original[i] = (char)(i * 5 + 1);
    for (n = 0; n < sizeof offsets / sizeof *offsets; n++) {
        for (size = -1; size <= 66; size++) {
            memcpy(masked, original, sizeof masked);
            nopoll_conn_mask_content(NULL, masked + 1, size, mask, offsets[n]);
            assert_int_equal(masked[0], original[0]);
            for (i = 0; i < size; i++)
                assert_int_equal(
                    masked[1 + i],
                    (char)(original[1 + i] ^ mask[((unsigned)i + (unsigned)offsets[n]) % 4]));
            assert_memory_equal(masked + 1 + i, original + 1 + i, (size_t)(69 - i));
            nopoll_conn_mask_content(NULL, masked + 1, size, mask, offsets[n]);
            assert_memory_equal(masked, original, sizeof masked); /* twice restores */
        }
    }
}

/* --- internal functions --- */

static void receive_raw_bytes(enum raw_side side) {
    struct raw_peer peer;
    char buffer[16] = "";
    raw_open(&peer, side);
    assert_int_equal(__nopoll_conn_receive(NULL, buffer, 4), -1);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, -1), -1);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 0), 0);
    assert_true(nopoll_conn_is_ok(peer.conn));
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 4), 0); /* nothing there */
    assert_true(nopoll_conn_is_ok(peer.conn));
    test_send_all(peer.fd, "bytes", 5);
    raw_wait_arrived(&peer, 5);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 3), 3);
    assert_memory_equal(buffer, "byt\0", 4);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 16), 2);
    assert_memory_equal(buffer, "es", 2);
    shutdown(peer.fd, SHUT_WR);
    assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 4), 0); /* the end */
    assert_false(nopoll_conn_is_ok(peer.conn));
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 4), -1);
    raw_close(&peer);
}

static void receive_fails(enum raw_side side) {
    struct raw_peer peer;
    const struct linger hard = {1, 0};
    char buffer[4];
    raw_open(&peer, side);
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(peer.fd);
    peer.fd = -1;
    assert_true(test_readable(nopoll_conn_socket(peer.conn), TEST_LIMIT_MS));
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 4), -1);
    assert_false(nopoll_conn_is_ok(peer.conn));
    raw_close(&peer);
}

static void stop(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    (void)data;
    nopoll_loop_stop(ctx);
}

/* What the loop read ahead comes first. */
static void receive_begins_with_what_was_read_ahead(void** state) {
    struct raw_peer peer;
    unsigned char frames[32];
    char buffer[16];
    size_t one, two;
    (void)state;
    raw_open(&peer, RAW_CLIENT);
    nopoll_ctx_set_on_msg(peer.ctx, stop, NULL);
    one = raw_frame(&peer, frames, RAW_TEXT, "a", 1);
    two = raw_frame(&peer, frames + one, RAW_TEXT, "bb", 2);
    test_send_all(peer.fd, frames, one + two);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 60000000), 0);
    test_send_all(peer.fd, "later", 5);
    raw_wait_arrived(&peer, 5);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 1), 1);
    assert_int_equal((unsigned char)buffer[0], RAW_TEXT);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 16), 3);
    assert_memory_equal(buffer,
                        "\x02"
                        "bb",
                        3);
    assert_int_equal(__nopoll_conn_receive(peer.conn, buffer, 16), 5);
    assert_memory_equal(buffer, "later", 5);
    raw_close(&peer);
}

static void pack_content(void** state) {
    char buffer[] = "0123456789";
    (void)state;
    __nopoll_pack_content(buffer, 4, 6); /* overlapping */
    assert_string_equal(buffer, "4567896789");
    __nopoll_pack_content(buffer, 3, 0);
    assert_string_equal(buffer, "4567896789");
}

/* No header bytes are owed by connections of this library between its calls. */
static void reduce_header(void** state) {
    struct raw_peer peer;
    (void)state;
    raw_open(&peer, RAW_ACCEPTED);
    assert_int_equal(__nopoll_conn_complete_pending_write_reduce_header(peer.conn, 12), 12);
    assert_int_equal(__nopoll_conn_complete_pending_write_reduce_header(peer.conn, 0), 0);
    raw_close(&peer);
}

RAW_BOTH_SIDES(pause_behind_the_header)
RAW_BOTH_SIDES(receive_raw_bytes)
RAW_BOTH_SIDES(receive_fails)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(pause_behind_the_header),
        cmocka_unit_test(mask_content),
        RAW_BOTH_TESTS(receive_raw_bytes),
        RAW_BOTH_TESTS(receive_fails),
        cmocka_unit_test(receive_begins_with_what_was_read_ahead),
        cmocka_unit_test(pack_content),
        cmocka_unit_test(reduce_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
