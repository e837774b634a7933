/* SPDX-License-Identifier: MIT */
/* The NOPOLL_* variables (spec: headers.md section 8): what they set, when they are read, that a
 * call of the program wins, and the one complaint about values that are not understood.
 * NOPOLL_HANDSHAKE_TIMEOUT: test_handshake_timeout.c. */
#include "stream_peer.h"

#include <dirent.h>

static const char* const variables[] = {"NOPOLL_STRICT", "NOPOLL_TLS_HOST_VERIFY",
                                        "NOPOLL_HANDSHAKE_TIMEOUT", "NOPOLL_SEND_QUEUE_LIMIT",
                                        "NOPOLL_IO_ENGINE"};

static int clean_environment(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    return 0;
}

/* --- strict mode --- */

static int sends_bad_text(noPollCtx* ctx, noPollConnOpts* options) {
    peer_scene scene;
    nopoll_ctx_ref(ctx);
    peer_client_asking(&scene, ctx, options, NULL);
    peer_answer(&scene, "");
    assert_int_equal(nopoll_conn_wait_until_connection_ready(scene.conn, 5), 1);
    errno = 0;
    const int sent = nopoll_conn_send_text(scene.conn, "a\xff", 2);
    assert_true(sent == 2 || (sent == -1 && errno == EILSEQ));
    nopoll_conn_close(scene.conn);
    close(scene.fd);
    close(scene.listening);
    nopoll_ctx_unref(ctx);
    return sent == 2;
}

static void strict_mode_by_environment(void** state) {
    (void)state;
    static const struct {
        const char* value;
        int strict;
    } values[] = {{NULL, 0}, {"", 0}, {"0", 0}, {"1", 1}, {"2", 0}, {"yes", 0}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i].value != NULL) setenv("NOPOLL_STRICT", values[i].value, 1);
        noPollCtx* const ctx = nopoll_ctx_new();
        setenv("NOPOLL_STRICT", values[i].strict ? "0" : "1", 1); /* too late */
        assert_int_equal(sends_bad_text(ctx, NULL), !values[i].strict);
        /* Calls win, and options win over the context. */
        nopoll_ctx_set_strict(ctx, !values[i].strict);
        assert_int_equal(sends_bad_text(ctx, NULL), values[i].strict);
        for (int strict = 0; strict < 2; strict++) {
            noPollConnOpts* const options = nopoll_conn_opts_new();
            nopoll_conn_opts_set_strict(options, strict);
            assert_int_equal(sends_bad_text(ctx, options), !strict);
        }
        nopoll_ctx_unref(ctx);
        unsetenv("NOPOLL_STRICT");
    }
}

/* --- the engine, as far as it can be seen: epoll has a descriptor of its own --- */

static int epoll_descriptors(void) {
    int count = 0;
    char link[512];
    char target[256];
    DIR* const folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        const ssize_t size = readlink(link, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = 0;
        if (strstr(target, "eventpoll") != NULL) count++;
    }
    closedir(folder);
    return count;
}

static void look_at_descriptors(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)conn;
    (void)msg;
    *(int*)data = epoll_descriptors();
    nopoll_loop_stop(ctx);
}

/* Descriptors of that kind while a loop runs. */
static int in_use(noPollCtx* ctx) {
    int seen = -1;
    unsigned char frame[16];
    peer_scene scene;
    nopoll_ctx_ref(ctx);
    peer_server_scene(&scene, ctx);
    nopoll_ctx_set_on_msg(ctx, look_at_descriptors, &seen);
    test_send_all(scene.fd, frame, test_frame(frame, 0x81, 1, "x", 1));
    LOOP_UNTIL(ctx, seen >= 0);
    nopoll_conn_close(scene.conn);
    nopoll_conn_close(scene.listener);
    close(scene.fd);
    nopoll_ctx_unref(ctx);
    return seen;
}

static void the_engine_by_environment(void** state) {
    (void)state;
    static const struct {
        const char* value;
        int epoll;
    } values[] = {{NULL, 0}, {"", 0}, {"select", 0}, {"poll", 0}, {"epoll", 1}, {"EPOLL", 0}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i].value != NULL) setenv("NOPOLL_IO_ENGINE", values[i].value, 1);
        noPollCtx* const ctx = nopoll_ctx_new();
        unsetenv("NOPOLL_IO_ENGINE");
        assert_int_equal(in_use(ctx), values[i].epoll);
        assert_int_equal(nopoll_ctx_set_io_engine(ctx, NOPOLL_IO_ENGINE_EPOLL), 1);
        assert_int_equal(in_use(ctx), 1);
        assert_int_equal(nopoll_ctx_set_io_engine(ctx, NOPOLL_IO_ENGINE_SELECT), 1);
        assert_int_equal(in_use(ctx), 0);
        nopoll_ctx_unref(ctx);
        assert_int_equal(epoll_descriptors(), 0);
    }
}

/* Chosen while a wait runs, it is the next wait's. */
static void look_and_choose_epoll(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg,
                                  noPollPtr data) {
    look_at_descriptors(ctx, conn, msg, data);
    assert_int_equal(nopoll_ctx_set_io_engine(ctx, NOPOLL_IO_ENGINE_EPOLL), 1);
}

static void the_engine_chosen_in_a_handler(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    peer_scene scene;
    int seen = -1;
    unsigned char frame[16];
    const size_t size = test_frame(frame, 0x81, 1, "x", 1);
    nopoll_ctx_ref(ctx);
    peer_server_scene(&scene, ctx);
    nopoll_ctx_set_on_msg(ctx, look_and_choose_epoll, &seen);
    for (int wait = 0; wait < 3; wait++) {
        seen = -1;
        test_send_all(scene.fd, frame, size);
        LOOP_UNTIL(ctx, seen >= 0);
        assert_int_equal(seen, wait > 0);
    }
    nopoll_conn_close(scene.conn);
    nopoll_conn_close(scene.listener);
    close(scene.fd);
    nopoll_ctx_unref(ctx);
    nopoll_ctx_unref(ctx);
}

/* --- the send queue --- */

typedef struct {
    int frames;
    int error;
} flood;

static char frame_content[65536];

/* Sends to a peer that does not read until the queue is full. */
static void send_much(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    flood* const now = data;
    (void)msg;
    while (now->frames < 600) {
        errno = 0;
        const int sent = nopoll_conn_send_binary(conn, frame_content, sizeof frame_content);
        now->error = errno;
        if (sent != (int)sizeof frame_content) break;
        now->frames++;
    }
    nopoll_loop_stop(ctx);
}

/* How many frames of 64 KiB a connection takes for a peer that does not read. */
static flood flood_of(noPollCtx* ctx) {
    flood now = {0, -1};
    unsigned char frame[16];
    peer_scene scene;
    nopoll_ctx_ref(ctx);
    peer_server_scene(&scene, ctx);
    nopoll_ctx_set_on_msg(ctx, send_much, &now);
    test_send_all(scene.fd, frame, test_frame(frame, 0x81, 1, "x", 1));
    LOOP_UNTIL(ctx, now.error >= 0);
    nopoll_conn_shutdown(scene.conn);
    nopoll_conn_close(scene.conn);
    nopoll_conn_close(scene.listener);
    close(scene.fd);
    nopoll_ctx_unref(ctx);
    return now;
}

static void the_send_queue_by_environment(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    const flood usual = flood_of(ctx);
    nopoll_ctx_unref(ctx);
    assert_true(usual.frames >= 256 && usual.frames < 600); /* 16 MiB and what the kernel takes */
    assert_int_equal(usual.error, EWOULDBLOCK);
    setenv("NOPOLL_SEND_QUEUE_LIMIT", "70000", 1);
    ctx = nopoll_ctx_new();
    unsetenv("NOPOLL_SEND_QUEUE_LIMIT");
    const flood small = flood_of(ctx);
    assert_int_equal(small.error, EWOULDBLOCK);
    assert_true(small.frames <= usual.frames - 200);
    nopoll_ctx_set_send_queue_limit(ctx, 16777216); /* the call wins */
    assert_true(flood_of(ctx).frames >= 256);
    nopoll_ctx_unref(ctx);
}

/* --- complaints --- */

typedef struct {
    int warnings;
    int others;
    char text[1024];
} complaints;

static void note_warning(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    complaints* const seen = data;
    (void)ctx;
    if (level == NOPOLL_LEVEL_WARNING) {
        seen->warnings++;
        snprintf(seen->text, sizeof seen->text, "%s", text);
    } else if (level == NOPOLL_LEVEL_CRITICAL) {
        seen->others++;
    }
}

enum first { LISTENER, CLIENT, WAIT };

static void bad_values_are_reported_once(void** state) {
    (void)state;
    setenv("NOPOLL_STRICT", "maybe", 1);
    setenv("NOPOLL_TLS_HOST_VERIFY", "on", 1);
    setenv("NOPOLL_HANDSHAKE_TIMEOUT", "-5", 1);
    setenv("NOPOLL_SEND_QUEUE_LIMIT", "16M", 1);
    setenv("NOPOLL_IO_ENGINE", "ep\x1b[31m\noll", 1);
    for (int first = LISTENER; first <= WAIT; first++) {
        complaints seen;
        memset(&seen, 0, sizeof seen);
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_log_set_handler(ctx, note_warning, &seen);
        nopoll_ctx_set_max_frame_size(ctx, 1000);
        assert_int_equal(seen.warnings, 0); /* nobody could have listened to nopoll_ctx_new */
        const int silent = peer_listen(4);
        noPollConn* listener = NULL;
        noPollConn* client = NULL;
        for (int round = 0; round < 2; round++) {
            for (int turn = 0; turn < 3; turn++) {
                const int what = (first + turn) % 3;
                if (what == LISTENER) {
                    nopoll_conn_close(listener);
                    listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
                } else if (what == CLIENT) {
                    nopoll_conn_close(client);
                    client = nopoll_conn_new(ctx, "127.0.0.1", peer_port(silent), NULL, NULL, NULL,
                                             NULL);
                } else {
                    nopoll_loop_wait(ctx, 1);
                }
                assert_int_equal(seen.warnings, 1);
            }
        }
        assert_int_equal(seen.others, 0);
        for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
            assert_non_null(strstr(seen.text, variables[i]));
        assert_non_null(strstr(seen.text, "maybe"));
        assert_non_null(strstr(seen.text, "16M"));
        assert_null(strchr(seen.text, 0x1b)); /* control bytes are escaped */
        assert_null(strchr(seen.text, '\n'));
        nopoll_conn_close(client);
        nopoll_conn_close(listener);
        close(silent);
        nopoll_ctx_unref(ctx);
    }
}

static void good_and_empty_values_are_not_reported(void** state) {
    (void)state;
    static const char* const values[][5] = {{"0", "0", "0", "0", "select"},
                                            {"1", "1", "60", "16777216", "poll"},
                                            {"1", "1", "86400", "1", "epoll"},
                                            {"", "", "", "", ""}};
    for (size_t row = 0; row < sizeof values / sizeof *values; row++) {
        complaints seen;
        memset(&seen, 0, sizeof seen);
        for (size_t i = 0; i < 5; i++)
            setenv(variables[i], values[row][i], 1);
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_log_set_handler(ctx, note_warning, &seen);
        noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
        nopoll_loop_wait(ctx, 1);
        assert_int_equal(seen.warnings, 0);
        assert_int_equal(seen.others, 0);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

static void values_out_of_form_are_reported(void** state) {
    (void)state;
    static const struct {
        const char* name;
        const char* value;
    } bad[] = {{"NOPOLL_STRICT", "2"},
               {"NOPOLL_STRICT", "01"},
               {"NOPOLL_STRICT", " 1"},
               {"NOPOLL_STRICT", "true"},
               {"NOPOLL_TLS_HOST_VERIFY", "no"},
               {"NOPOLL_HANDSHAKE_TIMEOUT", "1.5"},
               {"NOPOLL_HANDSHAKE_TIMEOUT", "60s"},
               {"NOPOLL_HANDSHAKE_TIMEOUT", "99999999999999999999"},
               {"NOPOLL_SEND_QUEUE_LIMIT", "-1"},
               {"NOPOLL_SEND_QUEUE_LIMIT", "0x10"},
               {"NOPOLL_IO_ENGINE", "kqueue"},
               {"NOPOLL_IO_ENGINE", "Select"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        complaints seen;
        memset(&seen, 0, sizeof seen);
        setenv(bad[i].name, bad[i].value, 1);
        noPollCtx* const ctx = nopoll_ctx_new();
        unsetenv(bad[i].name);
        nopoll_log_set_handler(ctx, note_warning, &seen);
        nopoll_loop_wait(ctx, 1);
        ROW_CHECK(bad[i].value, seen.warnings == 1);
        ROW_CHECK(bad[i].value, strstr(seen.text, bad[i].name) != NULL);
        for (size_t k = 0; k < sizeof variables / sizeof *variables; k++)
            ROW_CHECK(bad[i].value, strcmp(variables[k], bad[i].name) == 0 ||
                                        strstr(seen.text, variables[k]) == NULL);
        nopoll_ctx_unref(ctx);
    }
}

#define ENVIRONMENT_TEST(name)                                                                     \
    cmocka_unit_test_setup_teardown(name, clean_environment, clean_environment)

int main(void) {
    const struct CMUnitTest tests[] = {
        ENVIRONMENT_TEST(strict_mode_by_environment),
        ENVIRONMENT_TEST(the_engine_by_environment),
        ENVIRONMENT_TEST(the_engine_chosen_in_a_handler),
        ENVIRONMENT_TEST(the_send_queue_by_environment),
        ENVIRONMENT_TEST(bad_values_are_reported_once),
        ENVIRONMENT_TEST(good_and_empty_values_are_not_reported),
        ENVIRONMENT_TEST(values_out_of_form_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
