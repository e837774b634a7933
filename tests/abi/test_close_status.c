/* SPDX-License-Identifier: MIT */
/* nopoll_conn_get_close_status and nopoll_conn_get_close_reason: what the peer said, and nothing
 * else (spec: connection.md section 6.1). */
#include "stream_peer.h"

struct close_row {
    const char* name;
    const char* frame; /* as a client sends it, masked with zeros */
    size_t size;
    int status;
    const char* reason;
};

#define FRAME(bytes) bytes, sizeof(bytes) - 1
#define MASK "\0\0\0\0"

static const struct close_row close_rows[] = {
    {"empty", FRAME("\x88\x80" MASK), 1005, NULL},
    {"one byte", FRAME("\x88\x81" MASK "\x03"), 1005, NULL},
    {"code alone", FRAME("\x88\x82" MASK "\x03\xe8"), 1000, ""},
    {"code and reason",
     FRAME("\x88\x85" MASK "\x0b\xb8"
           "bye"),
     3000, "bye"},
    {"a code that programs use", FRAME("\x88\x82" MASK "\x04\x18"), 1048, ""},
    {"a code nobody may send",
     FRAME("\x88\x83" MASK "\x03\xee"
           "x"),
     1006, "x"},
    {"reason that is not UTF-8",
     FRAME("\x88\x84" MASK "\x03\xe8"
           "a\xff"),
     1000, NULL},
};

struct seen_close {
    int runs;
    int status;
    char reason[64];
    int has_reason;
};

static void remember_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    struct seen_close* const seen = data;
    const char* const reason = nopoll_conn_get_close_reason(conn);
    (void)ctx;
    seen->runs++;
    seen->status = nopoll_conn_get_close_status(conn);
    seen->has_reason = reason != NULL;
    if (reason != NULL) snprintf(seen->reason, sizeof seen->reason, "%s", reason);
}

static void close_frames_are_told_before_on_close(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof close_rows / sizeof *close_rows; i++) {
        const struct close_row* const row = &close_rows[i];
        for (int client = 0; client < 2; client++) {
            struct seen_close seen;
            peer_scene scene;
            memset(&seen, 0, sizeof seen);
            if (client) {
                unsigned char frame[16];
                peer_client_scene(&scene, NULL);
                frame[0] = (unsigned char)row->frame[0];
                frame[1] = row->frame[1] & 0x7f;
                memcpy(frame + 2, row->frame + 6, row->size - 6);
                test_send_all(scene.fd, frame, row->size - 4);
            } else {
                peer_server_scene(&scene, NULL);
                test_send_all(scene.fd, row->frame, row->size);
            }
            nopoll_conn_set_on_close(scene.conn, remember_close, &seen);
            assert_null(test_get_msg(scene.conn));
            ROW_CHECK(row->name, seen.runs == 1);
            ROW_CHECK(row->name, seen.status == row->status);
            ROW_CHECK(row->name, seen.has_reason == (row->reason != NULL));
            if (row->reason != NULL) ROW_CHECK(row->name, strcmp(seen.reason, row->reason) == 0);
            ROW_CHECK(row->name, nopoll_conn_get_close_status(scene.conn) == row->status);
            const char* const reason = nopoll_conn_get_close_reason(scene.conn);
            ROW_CHECK(row->name, (reason == NULL) == (row->reason == NULL));
            if (reason != NULL) ROW_CHECK(row->name, strcmp(reason, row->reason) == 0);
            peer_end(&scene);
        }
    }
}

/* Our own Close, a protocol error found here, a lost connection: nothing came from the peer. */
static void other_ends_leave_the_status_alone(void** state) {
    (void)state;
    for (int client = 0; client < 2; client++) {
        for (int way = 0; way < 3; way++) {
            struct seen_close seen;
            peer_scene scene;
            memset(&seen, 0, sizeof seen);
            if (client)
                peer_client_scene(&scene, NULL);
            else
                peer_server_scene(&scene, NULL);
            nopoll_conn_set_on_close(scene.conn, remember_close, &seen);
            nopoll_conn_ref(scene.conn);
            if (way == 0) {
                nopoll_conn_close_ext(scene.conn, 1001, "mine", 4);
            } else if (way == 1) {
                test_send_all(scene.fd, "\xff\xff", 2); /* reserved bits */
                assert_null(test_get_msg(scene.conn));
            } else {
                shutdown(scene.fd, SHUT_RDWR);
                assert_null(test_get_msg(scene.conn));
            }
            assert_int_equal(seen.runs, 1);
            assert_int_equal(seen.status, client ? 1006 : 0);
            assert_int_equal(seen.has_reason, 0);
            if (way > 0) nopoll_conn_close(scene.conn);
            /* An accepted connection's own reference was consumed by the close. */
            if (client) {
                assert_int_equal(nopoll_conn_get_close_status(scene.conn), 1006);
                nopoll_conn_unref(scene.conn);
            }
            scene.conn = NULL;
            peer_end(&scene);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_frames_are_told_before_on_close),
        cmocka_unit_test(other_ends_leave_the_status_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
