/* SPDX-License-Identifier: MIT */
/* Connection options on their own (spec: connection.md section 1): values, references, file checks.
 * What connections do with them is tested with connections. */
#include <nopoll.h>
#include <nopoll_private.h>

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void __nopoll_conn_opts_free_common(noPollConnOpts* opts); /* exported, in no header */

/* Two readable files and one name that does not exist, in a folder of their own. */
struct files {
    char folder[64];
    char one[96];
    char two[96];
    char missing[96];
};

static void write_file(const char* name) {
    FILE* file = fopen(name, "w");
    assert_non_null(file);
    fputs("junk: content is not looked at\n", file);
    fclose(file);
}

static int make_files(void** state) {
    static struct files files;
    strcpy(files.folder, "/tmp/nopoll-opts-XXXXXX");
    if (mkdtemp(files.folder) == NULL) return -1;
    snprintf(files.one, sizeof files.one, "%s/one.pem", files.folder);
    snprintf(files.two, sizeof files.two, "%s/two.pem", files.folder);
    snprintf(files.missing, sizeof files.missing, "%s/missing.pem", files.folder);
    write_file(files.one);
    write_file(files.two);
    *state = &files;
    return 0;
}

static int remove_files(void** state) {
    struct files* files = *state;
    unlink(files->one);
    unlink(files->two);
    return rmdir(files->folder);
}

static void fresh_options(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    assert_non_null(opts);
    assert_int_equal(opts->refs, 1);
    assert_int_equal(opts->ssl_protocol, 7);
    assert_int_equal(opts->disable_ssl_verify, 1);
    assert_int_equal(opts->add_origin_header, 1);
    assert_int_equal(opts->reuse, 0);
    assert_int_equal(opts->skip_origin_header_check, 0);
    assert_true(opts->max_frame_size == 0);
    assert_null(opts->mutex);
    assert_null(opts->certificate);
    assert_null(opts->private_key);
    assert_null(opts->chain_certificate);
    assert_null(opts->ca_certificate);
    assert_null(opts->cookie);
    assert_null(opts->_interface);
    assert_null(opts->extra_headers);
    nopoll_conn_opts_free(opts);
}

static void null_options_do_nothing(void** state) {
    (void)state;
    assert_int_equal(nopoll_conn_opts_ref(NULL), 0);
    nopoll_conn_opts_unref(NULL);
    nopoll_conn_opts_free(NULL);
    __nopoll_conn_opts_free_common(NULL);
    __nopoll_conn_opts_release_if_needed(NULL);
    assert_int_equal(nopoll_conn_opts_set_ssl_certs(NULL, NULL, NULL, NULL, NULL), 0);
    nopoll_conn_opts_ssl_peer_verify(NULL, nopoll_true);
    nopoll_conn_opts_set_ssl_protocol(NULL, NOPOLL_METHOD_TLSV1_2);
    nopoll_conn_opts_set_cookie(NULL, "a=1");
    nopoll_conn_opts_set_extra_headers(NULL, "X: y");
    nopoll_conn_opts_set_interface(NULL, "lo");
    nopoll_conn_opts_skip_origin_check(NULL, nopoll_true);
    nopoll_conn_opts_add_origin_header(NULL, nopoll_true);
    nopoll_conn_opts_set_max_frame_size(NULL, 7);
    nopoll_conn_opts_set_reuse(NULL, nopoll_true);
    nopoll_conn_opts_set_strict(NULL, nopoll_true);
    nopoll_conn_opts_ssl_host_verify(NULL, nopoll_true);
}

static void references_are_counted(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    assert_int_equal(nopoll_conn_opts_ref(opts), 1);
    assert_int_equal(opts->refs, 2);
    nopoll_conn_opts_free(opts); /* the same as unref */
    assert_int_equal(opts->refs, 1);
    assert_int_equal(nopoll_conn_opts_ref(opts), 1);
    nopoll_conn_opts_unref(opts);
    assert_int_equal(opts->refs, 1);
    nopoll_conn_opts_ref(opts);
    __nopoll_conn_opts_free_common(opts);
    assert_int_equal(opts->refs, 1);
    nopoll_conn_opts_unref(opts);
}

static void a_count_of_zero_cannot_be_raised(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    opts->refs = 0;
    assert_int_equal(nopoll_conn_opts_ref(opts), 0);
    assert_int_equal(opts->refs, 0);
    opts->refs = -3;
    assert_int_equal(nopoll_conn_opts_ref(opts), 0);
    assert_int_equal(opts->refs, -3);
    opts->refs = 1;
    nopoll_conn_opts_unref(opts);
}

static void release_if_needed_spares_reused_options(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    nopoll_conn_opts_set_reuse(opts, nopoll_true);
    __nopoll_conn_opts_release_if_needed(opts);
    assert_int_equal(opts->refs, 1);
    nopoll_conn_opts_ref(opts);
    nopoll_conn_opts_set_reuse(opts, nopoll_false);
    __nopoll_conn_opts_release_if_needed(opts);
    assert_int_equal(opts->refs, 1);
    __nopoll_conn_opts_release_if_needed(opts); /* the last one */
}

static void strings_are_copied_replaced_and_unset(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    char text[] = "a=1";
    nopoll_conn_opts_set_cookie(opts, text);
    text[0] = 'z';
    assert_string_equal(opts->cookie, "a=1");
    nopoll_conn_opts_set_cookie(opts, "b=2");
    assert_string_equal(opts->cookie, "b=2");
    nopoll_conn_opts_set_cookie(opts, opts->cookie + 2); /* part of the old value */
    assert_string_equal(opts->cookie, "2");
    nopoll_conn_opts_set_cookie(opts, "");
    assert_string_equal(opts->cookie, "");
    nopoll_conn_opts_set_cookie(opts, NULL);
    assert_null(opts->cookie);

    nopoll_conn_opts_set_extra_headers(opts, "\r\nX-A: b");
    assert_string_equal(opts->extra_headers, "\r\nX-A: b");
    nopoll_conn_opts_set_extra_headers(opts, NULL);
    assert_null(opts->extra_headers);
    nopoll_conn_opts_set_interface(opts, "lo");
    assert_string_equal(opts->_interface, "lo");
    nopoll_conn_opts_set_interface(opts, NULL);
    assert_null(opts->_interface);

    nopoll_conn_opts_set_cookie(opts, "left to the destructor");
    nopoll_conn_opts_set_extra_headers(opts, "left to the destructor");
    nopoll_conn_opts_set_interface(opts, "left to the destructor");
    nopoll_conn_opts_free(opts);
}

static void flags_and_protocol(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    nopoll_conn_opts_ssl_peer_verify(opts, nopoll_true);
    assert_int_equal(opts->disable_ssl_verify, 0);
    nopoll_conn_opts_ssl_peer_verify(opts, nopoll_false);
    assert_int_equal(opts->disable_ssl_verify, 1);
    nopoll_conn_opts_ssl_peer_verify(opts, 5);
    assert_int_equal(opts->disable_ssl_verify, 0);

    nopoll_conn_opts_add_origin_header(opts, nopoll_false);
    assert_int_equal(opts->add_origin_header, 0);
    nopoll_conn_opts_add_origin_header(opts, nopoll_true);
    assert_true(opts->add_origin_header);
    nopoll_conn_opts_skip_origin_check(opts, nopoll_true);
    assert_true(opts->skip_origin_header_check);
    nopoll_conn_opts_skip_origin_check(opts, nopoll_false);
    assert_false(opts->skip_origin_header_check);
    nopoll_conn_opts_set_reuse(opts, nopoll_true);
    assert_true(opts->reuse);
    nopoll_conn_opts_set_reuse(opts, nopoll_false);
    assert_false(opts->reuse);

    nopoll_conn_opts_set_ssl_protocol(opts, NOPOLL_METHOD_TLSV1_2);
    assert_int_equal(opts->ssl_protocol, NOPOLL_METHOD_TLSV1_2);
    nopoll_conn_opts_set_strict(opts, nopoll_true);
    nopoll_conn_opts_set_strict(opts, nopoll_false);
    nopoll_conn_opts_ssl_host_verify(opts, nopoll_true);
    nopoll_conn_opts_ssl_host_verify(opts, nopoll_false);
    nopoll_conn_opts_free(opts);
}

static void frame_size_outside_the_range_is_ignored(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    nopoll_conn_opts_set_max_frame_size(opts, 1);
    assert_true(opts->max_frame_size == 1);
    nopoll_conn_opts_set_max_frame_size(opts, NOPOLL_MAX_FRAME_SIZE_LIMIT);
    assert_true(opts->max_frame_size == 2147483646L);
    static const long refused[] = {0, -1, LONG_MIN, 2147483647L, LONG_MAX};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        nopoll_conn_opts_set_max_frame_size(opts, refused[i]);
        assert_true(opts->max_frame_size == 2147483646L);
    }
    nopoll_conn_opts_free(opts);
}

static void all_files_readable(void** state) {
    const struct files* files = *state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    assert_int_equal(nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, NULL), 1);
    assert_int_equal(
        nopoll_conn_opts_set_ssl_certs(opts, files->one, files->two, files->one, files->two), 1);
    assert_string_equal(opts->certificate, files->one);
    assert_string_equal(opts->private_key, files->two);
    assert_string_equal(opts->chain_certificate, files->one);
    assert_string_equal(opts->ca_certificate, files->two);

    /* all old values go, also those not given again */
    assert_int_equal(nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, files->one), 1);
    assert_null(opts->certificate);
    assert_null(opts->private_key);
    assert_null(opts->chain_certificate);
    assert_string_equal(opts->ca_certificate, files->one);
    assert_int_equal(nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, NULL), 1);
    assert_null(opts->ca_certificate);

    /* the object's own strings as arguments */
    nopoll_conn_opts_set_ssl_certs(opts, files->one, files->two, NULL, NULL);
    assert_int_equal(
        nopoll_conn_opts_set_ssl_certs(opts, opts->private_key, opts->certificate, NULL, NULL), 1);
    assert_string_equal(opts->certificate, files->two);
    assert_string_equal(opts->private_key, files->one);
    nopoll_conn_opts_free(opts);
}

/* The first unreadable file stays stored, those after it are unset. */
static void first_unreadable_file_ends_the_list(void** state) {
    const struct files* files = *state;
    for (int bad = 0; bad < 4; bad++) {
        noPollConnOpts* opts = nopoll_conn_opts_new();
        nopoll_conn_opts_set_ssl_certs(opts, files->two, files->two, files->two, files->two);
        const char* names[4] = {files->one, files->one, files->one, files->one};
        names[bad] = files->missing;
        assert_int_equal(
            nopoll_conn_opts_set_ssl_certs(opts, names[0], names[1], names[2], names[3]), 0);
        const char* stored[4] = {opts->certificate, opts->private_key, opts->chain_certificate,
                                 opts->ca_certificate};
        for (int i = 0; i < 4; i++) {
            if (i < bad)
                assert_string_equal(stored[i], files->one);
            else if (i == bad)
                assert_string_equal(stored[i], files->missing);
            else
                assert_null(stored[i]);
        }
        nopoll_conn_opts_free(opts);
    }
}

enum { kThreads = 4, kRounds = 5000 };

static void* use_options(void* data) {
    noPollConnOpts* opts = data;
    for (int i = 0; i < kRounds; i++) {
        if (!nopoll_conn_opts_ref(opts))
            abort(); /* CMocka's assertions belong to the main thread */
        nopoll_conn_opts_set_cookie(opts, i % 2 == 0 ? "even" : "odd");
        nopoll_conn_opts_set_max_frame_size(opts, 1 + i);
        nopoll_conn_opts_skip_origin_check(opts, i % 2);
        nopoll_conn_opts_unref(opts);
    }
    nopoll_conn_opts_unref(opts);
    return NULL;
}

static void options_are_shared_between_threads(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    pthread_t threads[kThreads];
    for (int i = 0; i < kThreads; i++) {
        nopoll_conn_opts_ref(opts);
        assert_int_equal(pthread_create(&threads[i], NULL, use_options, opts), 0);
    }
    for (int i = 0; i < kThreads; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(opts->refs, 1);
    nopoll_conn_opts_free(opts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_options),
        cmocka_unit_test(null_options_do_nothing),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(a_count_of_zero_cannot_be_raised),
        cmocka_unit_test(release_if_needed_spares_reused_options),
        cmocka_unit_test(strings_are_copied_replaced_and_unset),
        cmocka_unit_test(flags_and_protocol),
        cmocka_unit_test(frame_size_outside_the_range_is_ignored),
        cmocka_unit_test(all_files_readable),
        cmocka_unit_test(first_unreadable_file_ends_the_list),
        cmocka_unit_test(options_are_shared_between_threads),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
