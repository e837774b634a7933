/* SPDX-License-Identifier: MIT */
/* Contexts on their own (spec: context-and-loop.md sections 1, 3, 4, 5): life, references, values
 * and their ranges, handlers, the certificate store. */
#include "stream_peer.h"

#include <limits.h>
#include <nopoll_private.h>

static void fresh_context(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    assert_non_null(ctx);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    assert_true(nopoll_conn_get_connect_timeout(ctx) == 20000000);
    assert_true(nopoll_ctx_get_max_frame_size(ctx) == 16777216);
    assert_int_equal(ctx->refs, 1);
    assert_int_equal(ctx->not_executed, 1);
    assert_int_equal(ctx->not_executed_color, 1);
    assert_int_equal(ctx->debug_enabled, 0);
    assert_int_equal(ctx->debug_color_enabled, 0);
    assert_true(ctx->conn_connect_std_timeout == 20000000);
    assert_int_equal(ctx->backlog, 5);
    assert_int_equal(ctx->conn_id, 1);
    assert_int_equal(ctx->conn_num, 0);
    assert_int_equal(ctx->keep_looping, 0);
    assert_int_equal(ctx->protocol_version, 13);
    assert_true(ctx->max_frame_size == 16777216);
    assert_null(ctx->io_engine);
    assert_null(ctx->certificates);
    assert_int_equal(ctx->certificates_length, 0);
    assert_true(ctx->on_accept == NULL && ctx->on_open == NULL && ctx->on_ready == NULL);
    assert_true(ctx->on_msg == NULL && ctx->log_handler == NULL);
    assert_true(ctx->context_creator == NULL && ctx->post_ssl_check == NULL);
    nopoll_ctx_unref(ctx);
}

static nopoll_bool accept_all(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)data;
    return nopoll_true;
}

static nopoll_bool accept_too(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    return accept_all(ctx, conn, data);
}

static void take_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)msg;
    (void)data;
}

static noPollPtr make_no_context(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* opts,
                                 nopoll_bool is_client, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)opts;
    (void)is_client;
    return data;
}

static nopoll_bool check_nothing(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                                 noPollPtr data) {
    (void)ssl_ctx;
    (void)ssl;
    return accept_all(ctx, conn, data);
}

static void null_contexts_are_answered(void** state) {
    (void)state;
    const char* file = "untouched";
    assert_int_equal(nopoll_ctx_ref(NULL), 0);
    nopoll_ctx_unref(NULL);
    assert_int_equal(nopoll_ctx_ref_count(NULL), -1);
    assert_int_equal(nopoll_ctx_conns(NULL), -1);
    assert_true(nopoll_conn_get_connect_timeout(NULL) == 0);
    nopoll_conn_connect_timeout(NULL, 1);
    nopoll_ctx_set_protocol_version(NULL, 13);
    nopoll_ctx_set_max_frame_size(NULL, 10);
    assert_true(nopoll_ctx_get_max_frame_size(NULL) == 16777216);
    assert_int_equal(nopoll_ctx_set_certificate(NULL, NULL, "c", "k", NULL), 0);
    assert_int_equal(nopoll_ctx_find_certificate(NULL, NULL, &file, &file, &file), 0);
    assert_string_equal(file, "untouched");
    nopoll_ctx_set_on_accept(NULL, accept_all, NULL);
    nopoll_ctx_set_on_open(NULL, accept_all, NULL);
    nopoll_ctx_set_on_ready(NULL, accept_all, NULL);
    nopoll_ctx_set_on_msg(NULL, take_message, NULL);
    nopoll_ctx_set_ssl_context_creator(NULL, make_no_context, NULL);
    nopoll_ctx_set_post_ssl_check(NULL, check_nothing, NULL);
    nopoll_ctx_set_strict(NULL, nopoll_true);
    nopoll_ctx_set_handshake_timeout(NULL, 1);
    assert_int_equal(nopoll_ctx_set_io_engine(NULL, NOPOLL_IO_ENGINE_SELECT), 0);
    nopoll_ctx_set_send_queue_limit(NULL, 1);
    nopoll_ctx_set_cork(NULL, nopoll_true);
    assert_null(nopoll_ctx_foreach_conn(NULL, accept_all, NULL));
    assert_int_equal(nopoll_loop_wait(NULL, 1), -2);
    nopoll_loop_stop(NULL);
}

static void references_are_counted(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    assert_int_equal(nopoll_ctx_ref(ctx), 1);
    assert_int_equal(nopoll_ctx_ref(ctx), 1);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 3);
    nopoll_ctx_unref(ctx);
    nopoll_ctx_unref(ctx);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
}

/* The objects that exist are counted through the thread hooks: each makes a mutex. */
static int mutexes;

static noPollPtr count_create(void) {
    mutexes++;
    return malloc(1);
}

static void count_destroy(noPollPtr mutex) {
    mutexes--;
    free(mutex);
}

static void no_lock(noPollPtr mutex) {
    (void)mutex;
}

static int install_hooks(void** state) {
    (void)state;
    mutexes = 0;
    nopoll_thread_handlers(count_create, count_destroy, no_lock, no_lock);
    return 0;
}

static int remove_hooks(void** state) {
    (void)state;
    nopoll_thread_handlers(NULL, NULL, NULL, NULL);
    return 0;
}

static void every_connection_object_holds_the_context(void** state) {
    (void)state;
    test_pair pair;
    memset(&pair, 0, sizeof pair);
    pair.ctx = nopoll_ctx_new();
    assert_int_equal(nopoll_ctx_ref_count(pair.ctx), 1);
    pair.listener = nopoll_listener_new(pair.ctx, "127.0.0.1", "0");
    assert_int_equal(nopoll_ctx_ref_count(pair.ctx), 2);
    pair.client =
        nopoll_conn_new(pair.ctx, "127.0.0.1", test_port(pair.listener), NULL, NULL, NULL, NULL);
    assert_int_equal(nopoll_ctx_ref_count(pair.ctx), 3);
    pair.server = nopoll_conn_accept(pair.ctx, pair.listener);
    assert_int_equal(nopoll_ctx_ref_count(pair.ctx), 4);
    assert_int_equal(nopoll_ctx_conns(pair.ctx), 3);

    nopoll_ctx_unref(pair.ctx); /* the program's own reference: everything keeps working */
    POLL_UNTIL(nopoll_conn_socket(pair.server), nopoll_conn_is_ready(pair.server));
    POLL_UNTIL(nopoll_conn_socket(pair.client), nopoll_conn_is_ready(pair.client));
    assert_int_equal(nopoll_conn_send_text(pair.client, "hello", 5), 5);
    noPollMsg* msg = test_get_msg(pair.server);
    assert_non_null(msg);
    nopoll_msg_unref(msg);
    nopoll_conn_close(pair.client);
    nopoll_conn_close(pair.server);
    assert_int_equal(nopoll_ctx_ref_count(pair.ctx), 1);
    assert_int_not_equal(mutexes, 0);
    nopoll_conn_close(pair.listener); /* takes the context with it */
    assert_int_equal(mutexes, 0);
}

/* Unregistering is not the end of the object, so the context's reference stays with it. */
static void the_reference_goes_with_the_object(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    nopoll_ctx_unregister_conn(ctx, listener);
    assert_int_equal(nopoll_ctx_conns(ctx), 0);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 2);
    nopoll_conn_unref(listener);
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
    assert_int_equal(mutexes, 0);
}

static void frame_limit_has_a_range(void** state) {
    (void)state;
    static const long good[] = {1, 125, 126, 65536, 16777217, 2147483646};
    static const long bad[] = {0, -1, 2147483647, LONG_MAX, LONG_MIN};
    test_log* log = calloc(1, sizeof *log);
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_log_set_handler(ctx, test_log_record, log);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        nopoll_ctx_set_max_frame_size(ctx, good[i]);
        assert_true(nopoll_ctx_get_max_frame_size(ctx) == good[i]);
    }
    assert_int_equal(log->records, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nopoll_ctx_set_max_frame_size(ctx, bad[i]);
        assert_true(nopoll_ctx_get_max_frame_size(ctx) == 2147483646);
        assert_int_equal(log->criticals, (int)i + 1);
    }
    nopoll_ctx_unref(ctx);
    free(log);
}

static void connect_timeout_is_returned_unchanged(void** state) {
    (void)state;
    static const long values[] = {1, 0, -1, 20000000, LONG_MAX, LONG_MIN};
    noPollCtx* ctx = nopoll_ctx_new();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        nopoll_conn_connect_timeout(ctx, values[i]);
        assert_true(nopoll_conn_get_connect_timeout(ctx) == values[i]);
    }
    nopoll_ctx_unref(ctx);
}

static void negative_limits_are_ignored_and_logged(void** state) {
    (void)state;
    test_log* log = calloc(1, sizeof *log);
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_log_set_handler(ctx, test_log_record, log);
    nopoll_ctx_set_handshake_timeout(ctx, -1);
    assert_int_equal(log->criticals, 1);
    nopoll_ctx_set_send_queue_limit(ctx, LONG_MIN);
    assert_int_equal(log->criticals, 2);
    assert_int_equal(nopoll_loop_wait(ctx, -1), -2);
    assert_int_equal(log->criticals, 3);
    assert_int_equal(nopoll_ctx_set_io_engine(ctx, (noPollIoEngineType)17), 0);
    assert_int_equal(nopoll_ctx_set_io_engine(ctx, NOPOLL_IO_ENGINE_DEFAULT), 1);
    nopoll_ctx_unref(ctx);
    free(log);
}

/* on_accept, on_open and on_ready stay when NULL comes; the others are removed by it. */
static void handlers_are_replaced_or_removed(void** state) {
    (void)state;
    int one = 1;
    int two = 2;
    test_log* log = calloc(1, sizeof *log);
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_log_set_handler(ctx, test_log_record, log);
    nopoll_ctx_set_on_accept(ctx, accept_all, &one);
    nopoll_ctx_set_on_open(ctx, accept_all, &one);
    nopoll_ctx_set_on_ready(ctx, accept_all, &one);
    nopoll_ctx_set_on_accept(ctx, accept_too, &two);
    nopoll_ctx_set_on_open(ctx, accept_too, &two);
    nopoll_ctx_set_on_ready(ctx, accept_too, &two);
    assert_int_equal(log->criticals, 0);
    nopoll_ctx_set_on_accept(ctx, NULL, &one);
    nopoll_ctx_set_on_open(ctx, NULL, &one);
    nopoll_ctx_set_on_ready(ctx, NULL, &one);
    assert_int_equal(log->criticals, 3);
    assert_true(ctx->on_accept == accept_too && ctx->on_accept_data == &two);
    assert_true(ctx->on_open == accept_too && ctx->on_open_data == &two);
    assert_true(ctx->on_ready == accept_too && ctx->on_ready_data == &two);

    nopoll_ctx_set_on_msg(ctx, take_message, &one);
    nopoll_ctx_set_ssl_context_creator(ctx, make_no_context, &one);
    nopoll_ctx_set_post_ssl_check(ctx, check_nothing, &one);
    assert_true(ctx->on_msg == take_message && ctx->on_msg_data == &one);
    assert_true(ctx->context_creator == make_no_context && ctx->context_creator_data == &one);
    assert_true(ctx->post_ssl_check == check_nothing && ctx->post_ssl_check_data == &one);
    nopoll_ctx_set_on_msg(ctx, NULL, NULL);
    nopoll_ctx_set_ssl_context_creator(ctx, NULL, NULL);
    nopoll_ctx_set_post_ssl_check(ctx, NULL, NULL);
    assert_true(ctx->on_msg == NULL);
    assert_true(ctx->context_creator == NULL);
    assert_true(ctx->post_ssl_check == NULL);
    assert_int_equal(log->criticals, 3);
    nopoll_ctx_unref(ctx);
    free(log);
}

/* --- certificate store --- */

typedef struct {
    const char* certificate;
    const char* key;
    const char* chain;
} found_files;

static found_files found;

static const char* find(noPollCtx* ctx, const char* name) {
    found.certificate = found.key = found.chain = "untouched";
    return nopoll_ctx_find_certificate(ctx, name, &found.certificate, &found.key, &found.chain)
               ? found.certificate
               : NULL;
}

static void certificates_are_found_by_exact_name(void** state) {
    (void)state;
    char name[] = "one.test";
    noPollCtx* ctx = nopoll_ctx_new();
    assert_null(find(ctx, NULL));
    assert_null(find(ctx, "one.test"));
    assert_string_equal(found.chain, "untouched");
    /* Files are not looked at. */
    assert_int_equal(nopoll_ctx_set_certificate(ctx, name, "one.crt", "one.key", "one.chain"), 1);
    name[0] = 'X'; /* the strings were copied */
    assert_string_equal(find(ctx, "one.test"), "one.crt");
    assert_string_equal(found.key, "one.key");
    assert_string_equal(found.chain, "one.chain");
    assert_null(find(ctx, "One.test"));
    assert_null(find(ctx, "one.test."));
    assert_null(find(ctx, "www.one.test"));
    assert_null(find(ctx, ""));
    assert_string_equal(find(ctx, NULL), "one.crt"); /* no default: the first entry */

    assert_int_equal(nopoll_ctx_set_certificate(ctx, "*.test", "star.crt", "star.key", NULL), 1);
    assert_null(find(ctx, "two.test")); /* no wildcards */
    assert_string_equal(find(ctx, "*.test"), "star.crt");
    assert_null(found.chain);
    assert_string_equal(find(ctx, NULL), "one.crt");

    assert_int_equal(nopoll_ctx_set_certificate(ctx, NULL, "default.crt", "default.key", NULL), 1);
    assert_string_equal(find(ctx, NULL), "default.crt");
    assert_null(find(ctx, "two.test")); /* a name never falls back to the default */
    assert_int_equal(nopoll_ctx_set_certificate(ctx, "", "empty.crt", "empty.key", NULL), 1);
    assert_string_equal(find(ctx, ""), "empty.crt");
    assert_string_equal(find(ctx, NULL), "default.crt");
    assert_int_equal(ctx->certificates_length, 4);
    assert_string_equal(ctx->certificates[1].serverName, "*.test");
    nopoll_ctx_unref(ctx);
}

static void the_first_entry_of_a_name_stays(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_ctx_set_certificate(ctx, NULL, "a.crt", "a.key", NULL);
    nopoll_ctx_set_certificate(ctx, "n", "b.crt", "b.key", NULL);
    const char* const kept = find(ctx, "n");
    assert_int_equal(nopoll_ctx_set_certificate(ctx, NULL, "c.crt", "c.key", "c.chain"), 1);
    assert_int_equal(nopoll_ctx_set_certificate(ctx, "n", "d.crt", "d.key", "d.chain"), 1);
    assert_string_equal(find(ctx, NULL), "a.crt");
    assert_null(found.chain);
    assert_ptr_equal(find(ctx, "n"), kept); /* strings live as long as the context */
    for (int i = 0; i < 100; i++) {
        char other[16];
        snprintf(other, sizeof other, "n%d", i);
        assert_int_equal(nopoll_ctx_set_certificate(ctx, other, "x.crt", "x.key", NULL), 1);
    }
    assert_ptr_equal(find(ctx, "n"), kept);
    assert_string_equal(kept, "b.crt");
    assert_string_equal(find(ctx, "n99"), "x.crt");
    nopoll_ctx_unref(ctx);
}

static void incomplete_certificates_are_refused(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    assert_int_equal(nopoll_ctx_set_certificate(ctx, "n", NULL, "k", NULL), 0);
    assert_int_equal(nopoll_ctx_set_certificate(ctx, "n", "c", NULL, NULL), 0);
    assert_null(find(ctx, "n"));
    nopoll_ctx_set_certificate(ctx, "n", "c", "k", NULL);
    assert_int_equal(nopoll_ctx_find_certificate(ctx, "n", NULL, NULL, NULL), 1);
    assert_int_equal(nopoll_ctx_find_certificate(ctx, "m", NULL, NULL, NULL), 0);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_context),
        cmocka_unit_test(null_contexts_are_answered),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test_setup_teardown(every_connection_object_holds_the_context, install_hooks,
                                        remove_hooks),
        cmocka_unit_test_setup_teardown(the_reference_goes_with_the_object, install_hooks,
                                        remove_hooks),
        cmocka_unit_test(frame_limit_has_a_range),
        cmocka_unit_test(connect_timeout_is_returned_unchanged),
        cmocka_unit_test(negative_limits_are_ignored_and_logged),
        cmocka_unit_test(handlers_are_replaced_or_removed),
        cmocka_unit_test(certificates_are_found_by_exact_name),
        cmocka_unit_test(the_first_entry_of_a_name_stays),
        cmocka_unit_test(incomplete_certificates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
