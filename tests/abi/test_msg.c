/* SPDX-License-Identifier: MIT */
/* Messages as a program makes, fills, joins and releases them (spec: messages-logging-utils.md
 * section 1). The struct's fields are live, so the tests write them through nopoll_private.h. */
#include <nopoll.h>
#include <nopoll_private.h>

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Allocations that cannot succeed are part of the tests: let AddressSanitizer refuse them quietly.
 */
const char* __asan_default_options(void);
const char* __asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char* __tsan_default_options(void);
const char* __tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

/* A message with its own payload; text NULL leaves it without one. */
static noPollMsg* filled(const char* text, noPollOpCode op_code, nopoll_bool has_fin) {
    noPollMsg* msg = nopoll_msg_new();
    assert_non_null(msg);
    if (text != NULL) {
        msg->payload = nopoll_strdup(text);
        msg->payload_size = (long)strlen(text);
    }
    msg->op_code = (short)op_code;
    msg->has_fin = has_fin;
    return msg;
}

static void fresh_message_is_empty(void** state) {
    (void)state;
    noPollMsg* msg = nopoll_msg_new();
    assert_non_null(msg);
    assert_int_equal(nopoll_msg_ref_count(msg), 1);
    assert_null(nopoll_msg_get_payload(msg));
    assert_int_equal(nopoll_msg_get_payload_size(msg), 0);
    assert_int_equal(nopoll_msg_opcode(msg), NOPOLL_CONTINUATION_FRAME);
    assert_false(nopoll_msg_is_final(msg));
    assert_true(nopoll_msg_is_fragment(msg)); /* FIN is off */
    assert_int_equal(msg->is_fragment, 0);    /* but the flag is not set */
    assert_int_equal(msg->has_fin, 0);
    assert_int_equal(msg->is_masked, 0);
    assert_int_equal(msg->remain_bytes, 0);
    assert_int_equal(msg->unmask_desp, 0);
    assert_null(msg->ref_mutex);
    nopoll_msg_unref(msg);
}

static void null_gives_the_documented_values(void** state) {
    (void)state;
    assert_null(nopoll_msg_get_payload(NULL));
    assert_int_equal(nopoll_msg_get_payload_size(NULL), -1);
    assert_int_equal(nopoll_msg_ref(NULL), 0);
    assert_int_equal(nopoll_msg_ref_count(NULL), -1);
    assert_int_equal(nopoll_msg_opcode(NULL), NOPOLL_UNKNOWN_OP_CODE);
    assert_int_equal(nopoll_msg_is_final(NULL), 0);
    assert_int_equal(nopoll_msg_is_fragment(NULL), 0);
    assert_null(nopoll_msg_join(NULL, NULL));
    nopoll_msg_unref(NULL);
}

static void references_are_counted(void** state) {
    (void)state;
    noPollMsg* msg = nopoll_msg_new();
    assert_int_equal(nopoll_msg_ref(msg), 1);
    assert_int_equal(nopoll_msg_ref_count(msg), 2);
    assert_int_equal(msg->refs, 2);
    nopoll_msg_unref(msg);
    assert_int_equal(nopoll_msg_ref_count(msg), 1);
    nopoll_msg_unref(msg);
}

static void fields_written_by_the_program_count(void** state) {
    (void)state;
    noPollMsg* msg = filled("hello", NOPOLL_BINARY_FRAME, nopoll_true);
    assert_string_equal((const char*)nopoll_msg_get_payload(msg), "hello");
    assert_int_equal(nopoll_msg_get_payload_size(msg), 5);
    assert_int_equal(nopoll_msg_opcode(msg), NOPOLL_BINARY_FRAME);
    assert_true(nopoll_msg_is_final(msg));
    assert_false(nopoll_msg_is_fragment(msg));

    free(msg->payload); /* replaced: malloc'ed, so that the program may free it */
    msg->payload = malloc(4);
    assert_non_null(msg->payload);
    memcpy(msg->payload, "bye", 4);
    msg->payload_size = 3;
    assert_string_equal((const char*)nopoll_msg_get_payload(msg), "bye");
    assert_int_equal(nopoll_msg_get_payload_size(msg), 3);
    msg->op_code = 4711;
    assert_int_equal(nopoll_msg_opcode(msg), 4711);
    nopoll_msg_unref(msg); /* frees the replacement */
}

static void sizes_beyond_int_are_kept(void** state) {
    (void)state;
    noPollMsg* msg = nopoll_msg_new();
    msg->payload_size = LONG_MAX;
    assert_true(nopoll_msg_get_payload_size(msg) == LONG_MAX);
    msg->payload_size = 0;
    nopoll_msg_unref(msg);
}

static void final_means_fin_and_nothing_outstanding(void** state) {
    (void)state;
    static const struct {
        int has_fin, remain, flag, is_final, is_fragment;
    } rows[] = {
        {0, 0, 0, 0, 1}, {1, 0, 0, 1, 0}, {1, 5, 0, 0, 0}, {1, 5, 1, 0, 1},
        {1, 0, 1, 1, 1}, {0, 5, 0, 0, 1}, {0, 0, 1, 0, 1},
    };
    noPollMsg* msg = nopoll_msg_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        msg->has_fin = rows[i].has_fin;
        msg->remain_bytes = rows[i].remain;
        msg->is_fragment = rows[i].flag;
        assert_int_equal(nopoll_msg_is_final(msg), rows[i].is_final);
        assert_int_equal(nopoll_msg_is_fragment(msg), rows[i].is_fragment);
    }
    nopoll_msg_unref(msg);
}

static void join_with_null_is_the_other_one(void** state) {
    (void)state;
    noPollMsg* msg = filled("x", NOPOLL_TEXT_FRAME, nopoll_true);
    assert_ptr_equal(nopoll_msg_join(msg, NULL), msg);
    assert_int_equal(nopoll_msg_ref_count(msg), 2);
    assert_ptr_equal(nopoll_msg_join(NULL, msg), msg);
    assert_int_equal(nopoll_msg_ref_count(msg), 3);
    nopoll_msg_unref(msg);
    nopoll_msg_unref(msg);
    nopoll_msg_unref(msg);
}

static void join_copies_both_payloads(void** state) {
    (void)state;
    noPollMsg* a = filled("first ", NOPOLL_TEXT_FRAME, nopoll_false);
    noPollMsg* b = filled("second", NOPOLL_CONTINUATION_FRAME, nopoll_true);
    noPollMsg* joined = nopoll_msg_join(a, b);
    assert_non_null(joined);
    assert_ptr_not_equal(joined, a);
    assert_ptr_not_equal(joined, b);
    assert_int_equal(nopoll_msg_ref_count(joined), 1);
    assert_int_equal(nopoll_msg_ref_count(a), 1);
    assert_int_equal(nopoll_msg_ref_count(b), 1);
    nopoll_msg_unref(a);
    nopoll_msg_unref(b);
    assert_int_equal(nopoll_msg_get_payload_size(joined), 12);
    assert_string_equal((const char*)nopoll_msg_get_payload(joined), "first second");
    nopoll_msg_unref(joined);
}

static void join_takes_the_headers_of_the_first(void** state) {
    (void)state;
    noPollMsg* a = filled("a", NOPOLL_TEXT_FRAME, nopoll_false);
    noPollMsg* b = filled("b", NOPOLL_BINARY_FRAME, nopoll_true);
    a->is_masked = nopoll_true;
    memcpy(a->mask, "\x01\x02\x03\xff", 4);
    a->is_fragment = nopoll_true;
    a->remain_bytes = 7;
    memcpy(b->mask, "\x09\x09\x09\x09", 4);

    noPollMsg* ab = nopoll_msg_join(a, b);
    assert_int_equal(nopoll_msg_opcode(ab), NOPOLL_TEXT_FRAME);
    assert_int_equal(ab->has_fin, 0);
    assert_int_equal(ab->is_masked, 1);
    assert_memory_equal(ab->mask, "\x01\x02\x03\xff", 4);
    assert_int_equal(ab->is_fragment, 0);  /* not copied */
    assert_int_equal(ab->remain_bytes, 0); /* not copied */
    assert_false(nopoll_msg_is_final(ab)); /* for ever, whatever is joined to it */
    assert_true(nopoll_msg_is_fragment(ab));

    noPollMsg* ba = nopoll_msg_join(b, a);
    assert_int_equal(nopoll_msg_opcode(ba), NOPOLL_BINARY_FRAME);
    assert_true(nopoll_msg_is_final(ba));
    assert_false(nopoll_msg_is_fragment(ba));
    assert_int_equal(ba->is_masked, 0);
    assert_memory_equal(ba->mask, "\x09\x09\x09\x09", 4);
    nopoll_msg_unref(ab);
    nopoll_msg_unref(ba);
    nopoll_msg_unref(a);
    nopoll_msg_unref(b);
}

/* The first piece of a frame with FIN has bytes outstanding and is not final; joined with the rest
 * it is final and no fragment. */
static void pieces_of_one_frame_join_to_a_final_message(void** state) {
    (void)state;
    noPollMsg* first = filled("abc", NOPOLL_BINARY_FRAME, nopoll_true);
    noPollMsg* rest = filled("def", NOPOLL_CONTINUATION_FRAME, nopoll_true);
    first->is_fragment = nopoll_true;
    first->remain_bytes = 3;
    rest->is_fragment = nopoll_true;
    assert_false(nopoll_msg_is_final(first));
    noPollMsg* whole = nopoll_msg_join(first, rest);
    assert_true(nopoll_msg_is_final(whole));
    assert_false(nopoll_msg_is_fragment(whole));
    nopoll_msg_unref(first);
    nopoll_msg_unref(rest);
    nopoll_msg_unref(whole);
}

static void join_of_a_message_with_itself(void** state) {
    (void)state;
    noPollMsg* msg = filled("ab", NOPOLL_TEXT_FRAME, nopoll_true);
    noPollMsg* twice = nopoll_msg_join(msg, msg);
    assert_int_equal(nopoll_msg_get_payload_size(twice), 4);
    assert_string_equal((const char*)nopoll_msg_get_payload(twice), "abab");
    assert_int_equal(nopoll_msg_ref_count(msg), 1);
    nopoll_msg_unref(msg);
    nopoll_msg_unref(twice);
}

static void join_of_empty_messages_has_a_payload(void** state) {
    (void)state;
    noPollMsg* a = nopoll_msg_new();
    noPollMsg* b = filled("", NOPOLL_TEXT_FRAME, nopoll_true);
    noPollMsg* joined = nopoll_msg_join(a, b);
    assert_non_null(nopoll_msg_get_payload(joined));
    assert_int_equal(nopoll_msg_get_payload(joined)[0], 0);
    assert_int_equal(nopoll_msg_get_payload_size(joined), 0);
    nopoll_msg_unref(joined);
    nopoll_msg_unref(a);
    nopoll_msg_unref(b);
}

static void join_keeps_zero_bytes_inside(void** state) {
    (void)state;
    noPollMsg* a = nopoll_msg_new();
    a->payload = nopoll_calloc(1, 3);
    a->payload_size = 3;
    noPollMsg* b = filled("z", NOPOLL_TEXT_FRAME, nopoll_true);
    noPollMsg* joined = nopoll_msg_join(a, b);
    assert_int_equal(nopoll_msg_get_payload_size(joined), 4);
    assert_memory_equal(nopoll_msg_get_payload(joined), "\0\0\0z\0", 5);
    nopoll_msg_unref(joined);
    nopoll_msg_unref(a);
    nopoll_msg_unref(b);
}

static void join_refuses_impossible_sizes(void** state) {
    (void)state;
    noPollMsg* good = filled("good", NOPOLL_TEXT_FRAME, nopoll_true);
    noPollMsg* bad = nopoll_msg_new();

    bad->payload_size = -1;
    assert_null(nopoll_msg_join(good, bad));
    assert_null(nopoll_msg_join(bad, good));
    bad->payload_size = 3; /* without payload */
    assert_null(nopoll_msg_join(good, bad));
    assert_null(nopoll_msg_join(bad, good));

    bad->payload = nopoll_strdup("x");
    bad->payload_size = LONG_MAX - 4; /* 4 + this + 1 is one too many */
    assert_null(nopoll_msg_join(good, bad));
    assert_null(nopoll_msg_join(bad, good));
    bad->payload_size = LONG_MAX;
    assert_null(nopoll_msg_join(bad, bad));

    assert_int_equal(nopoll_msg_ref_count(good), 1);
    assert_int_equal(nopoll_msg_ref_count(bad), 1);
    nopoll_msg_unref(good);
    nopoll_msg_unref(bad);
}

/* A size that long can hold but no machine can: nothing is read before the allocation fails. */
static void join_reports_short_memory(void** state) {
    (void)state;
    noPollMsg* huge = filled("x", NOPOLL_TEXT_FRAME, nopoll_true);
    huge->payload_size = LONG_MAX / 2 - 1;
    errno = 0;
    assert_null(nopoll_msg_join(huge, huge));
    assert_int_equal(errno, ENOMEM);
    nopoll_msg_unref(huge);
}

enum { kThreads = 4, kRounds = 20000 };

static void* ref_and_unref(void* data) {
    noPollMsg* msg = data;
    for (int i = 0; i < kRounds; i++) {
        nopoll_msg_ref(msg);
        nopoll_msg_unref(msg);
    }
    nopoll_msg_unref(msg); /* the one taken for this thread */
    return NULL;
}

/* Counts are atomic without mutex handlers; whoever is last frees the message. */
static void references_are_counted_across_threads(void** state) {
    (void)state;
    noPollMsg* msg = filled("shared", NOPOLL_TEXT_FRAME, nopoll_true);
    pthread_t threads[kThreads];
    for (int i = 0; i < kThreads; i++) {
        nopoll_msg_ref(msg);
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, msg), 0);
    }
    for (int i = 0; i < kThreads; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(nopoll_msg_ref_count(msg), 1);
    assert_string_equal((const char*)nopoll_msg_get_payload(msg), "shared");
    nopoll_msg_unref(msg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_message_is_empty),
        cmocka_unit_test(null_gives_the_documented_values),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(fields_written_by_the_program_count),
        cmocka_unit_test(sizes_beyond_int_are_kept),
        cmocka_unit_test(final_means_fin_and_nothing_outstanding),
        cmocka_unit_test(join_with_null_is_the_other_one),
        cmocka_unit_test(join_copies_both_payloads),
        cmocka_unit_test(join_takes_the_headers_of_the_first),
        cmocka_unit_test(pieces_of_one_frame_join_to_a_final_message),
        cmocka_unit_test(join_of_a_message_with_itself),
        cmocka_unit_test(join_of_empty_messages_has_a_payload),
        cmocka_unit_test(join_keeps_zero_bytes_inside),
        cmocka_unit_test(join_refuses_impossible_sizes),
        cmocka_unit_test(join_reports_short_memory),
        cmocka_unit_test(references_are_counted_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
