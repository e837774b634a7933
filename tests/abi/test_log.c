/* SPDX-License-Identifier: MIT */
/* The log of a context (spec: messages-logging-utils.md section 2): who gets a record, and the
 * exact text of it. Console lines are read back from a file that takes the place of stdout. */
#define SHOW_DEBUG_LOG 1 /* makes the nopoll_log macro call the library */
#include <nopoll.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ESC "\x1b"

/* What a handler got. */
struct record {
    int calls;
    noPollCtx* ctx;
    noPollDebugLevel level;
    char text[512];
};

static void keep_record(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    struct record* record = data;
    record->calls++;
    record->ctx = ctx;
    record->level = level;
    snprintf(record->text, sizeof record->text, "%s", text);
}

/* Puts a temporary file in the place of stdout; `console_text` gives what was written since. */
struct console {
    int saved;
    FILE* file;
    char text[4096];
};

static void console_begin(struct console* console) {
    fflush(stdout);
    console->file = tmpfile();
    assert_non_null(console->file);
    console->saved = dup(1);
    assert_true(dup2(fileno(console->file), 1) == 1);
}

static const char* console_end(struct console* console) {
    /* no fflush of stdout here: the library has to do that itself */
    const off_t size = lseek(fileno(console->file), 0, SEEK_END);
    const ssize_t got = pread(fileno(console->file), console->text, sizeof console->text - 1, 0);
    dup2(console->saved, 1);
    close(console->saved);
    fclose(console->file);
    assert_true(got >= 0 && got == size);
    console->text[got] = '\0';
    return console->text;
}

static void switches_keep_the_value_given(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    assert_int_equal(nopoll_log_is_enabled(ctx), 0);
    assert_int_equal(nopoll_log_color_is_enabled(ctx), 0);
    nopoll_log_enable(ctx, 5);
    assert_int_equal(nopoll_log_is_enabled(ctx), 5);
    assert_int_equal(nopoll_log_color_is_enabled(ctx), 0);
    nopoll_log_color_enable(ctx, -2);
    assert_int_equal(nopoll_log_color_is_enabled(ctx), -2);
    assert_int_equal(nopoll_log_is_enabled(ctx), 5);
    nopoll_log_enable(ctx, nopoll_false);
    nopoll_log_color_enable(ctx, nopoll_false);
    assert_int_equal(nopoll_log_is_enabled(ctx), 0);
    assert_int_equal(nopoll_log_color_is_enabled(ctx), 0);
    nopoll_ctx_unref(ctx);
}

static void null_context(void** state) {
    (void)state;
    struct console console;
    console_begin(&console);
    nopoll_log_enable(NULL, nopoll_true);
    nopoll_log_color_enable(NULL, nopoll_true);
    nopoll_log_set_handler(NULL, keep_record, NULL);
    __nopoll_log(NULL, "f", "file.c", 1, NOPOLL_LEVEL_CRITICAL, "text %d", 5);
    assert_int_equal(nopoll_log_is_enabled(NULL), 0);
    assert_int_equal(nopoll_log_color_is_enabled(NULL), 0);
    assert_string_equal(console_end(&console), "");
}

static void nothing_without_handler_and_switch(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct console console;
    console_begin(&console);
    __nopoll_log(ctx, "f", "file.c", 1, NOPOLL_LEVEL_CRITICAL, "text");
    nopoll_log_color_enable(ctx, nopoll_true); /* colour alone switches nothing on */
    __nopoll_log(ctx, "f", "file.c", 1, NOPOLL_LEVEL_CRITICAL, "text");
    assert_string_equal(console_end(&console), "");
    nopoll_ctx_unref(ctx);
}

static void handler_gets_every_level_without_enabling(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct record record = {0};
    struct console console;
    nopoll_log_set_handler(ctx, keep_record, &record);
    console_begin(&console);
    for (int level = 0; level < 3; level++) {
        __nopoll_log(ctx, "f", "file.c", 17 + level, (noPollDebugLevel)level, "n=%d s=%s", 5, "x");
        assert_int_equal(record.calls, level + 1);
        assert_ptr_equal(record.ctx, ctx);
        assert_int_equal(record.level, level);
        char expected[64];
        snprintf(expected, sizeof expected, "file.c:%d n=5 s=x ", 17 + level);
        assert_string_equal(record.text, expected);
    }
    nopoll_log_enable(ctx, nopoll_true); /* the console stays quiet while a handler is set */
    __nopoll_log(ctx, "f", "file.c", 1, NOPOLL_LEVEL_DEBUG, "again");
    assert_int_equal(record.calls, 4);
    assert_string_equal(console_end(&console), "");

    nopoll_log_set_handler(ctx, NULL, NULL);
    nopoll_log_enable(ctx, nopoll_false);
    __nopoll_log(ctx, "f", "file.c", 1, NOPOLL_LEVEL_DEBUG, "gone");
    assert_int_equal(record.calls, 4);
    nopoll_ctx_unref(ctx);
}

static void null_format_and_file(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct record record = {0};
    nopoll_log_set_handler(ctx, keep_record, &record);
    __nopoll_log(ctx, NULL, "file.c", 3, NOPOLL_LEVEL_DEBUG, NULL);
    assert_string_equal(record.text, "file.c:3 (null) ");
    __nopoll_log(ctx, NULL, NULL, 0, NOPOLL_LEVEL_DEBUG, "x");
    assert_string_equal(record.text, "(null):0 x ");
    nopoll_ctx_unref(ctx);
}

static void long_records_are_not_cut(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct record record = {0};
    char text[401];
    memset(text, 'y', 400);
    text[400] = '\0';
    nopoll_log_set_handler(ctx, keep_record, &record);
    __nopoll_log(ctx, "f", "f.c", 9, NOPOLL_LEVEL_DEBUG, "%s|", text);
    assert_int_equal(strlen(record.text), strlen("f.c:9 ") + 400 + 2);
    nopoll_ctx_unref(ctx);
}

static void console_lines(void** state) {
    (void)state;
    static const struct {
        int level;
        int colour;
        const char* format; /* %d is the process id */
    } rows[] = {
        {NOPOLL_LEVEL_DEBUG, 0, "(proc %d): (debug)here.c:12 hello 7\n"},
        {NOPOLL_LEVEL_WARNING, 0, "(proc %d): (warning)here.c:12 hello 7\n"},
        {NOPOLL_LEVEL_CRITICAL, 0, "(proc %d): (critical) here.c:12 hello 7\n"},
        {4711, 0, "(proc %d): here.c:12 hello 7\n"},
        {NOPOLL_LEVEL_DEBUG, 1,
         ESC "[1;36m(proc %d)" ESC "[0m: (" ESC "[1;32mdebug" ESC "[0m) here.c:12 hello 7\n"},
        {NOPOLL_LEVEL_WARNING, 1,
         ESC "[1;36m(proc %d)" ESC "[0m: (" ESC "[1;33mwarning" ESC "[0m) here.c:12 hello 7\n"},
        {NOPOLL_LEVEL_CRITICAL, 1,
         ESC "[1;36m(proc %d)" ESC "[0m: (" ESC "[1;31mcritical" ESC "[0m) here.c:12 hello 7\n"},
        {4711, 1, ESC "[1;36m(proc %d)" ESC "[0m: here.c:12 hello 7\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        noPollCtx* ctx = nopoll_ctx_new();
        nopoll_log_enable(ctx, nopoll_true);
        nopoll_log_color_enable(ctx, rows[i].colour);
        struct console console;
        console_begin(&console);
        __nopoll_log(ctx, "f", "here.c", 12, (noPollDebugLevel)rows[i].level, "hello %d", 7);
        char expected[256];
        const char* number = strstr(rows[i].format, "%d");
        snprintf(expected, sizeof expected, "%.*s%d%s", (int)(number - rows[i].format),
                 rows[i].format, (int)getpid(), number + 2);
        assert_string_equal(console_end(&console), expected);
        nopoll_ctx_unref(ctx);
    }
}

static void contexts_do_not_share_their_log(void** state) {
    (void)state;
    noPollCtx* loud = nopoll_ctx_new();
    noPollCtx* quiet = nopoll_ctx_new();
    struct record record = {0};
    nopoll_log_set_handler(loud, keep_record, &record);
    __nopoll_log(quiet, "f", "f.c", 1, NOPOLL_LEVEL_CRITICAL, "x");
    assert_int_equal(record.calls, 0);
    __nopoll_log(loud, "f", "f.c", 1, NOPOLL_LEVEL_CRITICAL, "x");
    assert_int_equal(record.calls, 1);
    nopoll_ctx_unref(loud);
    nopoll_ctx_unref(quiet);
}

static void change_errno(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    (void)ctx;
    (void)level;
    (void)text;
    (void)data;
    errno = EPERM;
}

static void errno_survives(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct console console;
    errno = EAGAIN;
    __nopoll_log(ctx, "f", "f.c", 1, NOPOLL_LEVEL_DEBUG, "nobody listens");
    assert_int_equal(errno, EAGAIN);
    nopoll_log_set_handler(ctx, change_errno, NULL);
    errno = EAGAIN;
    __nopoll_log(ctx, "f", "f.c", 1, NOPOLL_LEVEL_DEBUG, "handler");
    assert_int_equal(errno, EAGAIN);
    nopoll_log_set_handler(ctx, NULL, NULL);
    nopoll_log_enable(ctx, nopoll_true);
    console_begin(&console);
    close(1); /* a console that takes nothing */
    errno = EAGAIN;
    __nopoll_log(ctx, "f", "f.c", 1, NOPOLL_LEVEL_DEBUG, "console");
    const int after = errno;
    clearerr(stdout);
    console_end(&console);
    assert_int_equal(after, EAGAIN);
    nopoll_ctx_unref(ctx);
}

/* The record may talk about errno itself. */
static void error_text_of_the_caller(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct record record = {0};
    nopoll_log_set_handler(ctx, keep_record, &record);
    char expected[128];
    snprintf(expected, sizeof expected, "f.c:1 %s ", strerror(ECONNRESET));
    errno = ECONNRESET;
    __nopoll_log(ctx, "f", "f.c", 1, NOPOLL_LEVEL_DEBUG, "%s", strerror(errno));
    assert_string_equal(record.text, expected);
    nopoll_ctx_unref(ctx);
}

struct nested {
    int depth;
    int calls;
};

static void log_again(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    struct nested* nested = data;
    (void)text;
    nested->calls++;
    if (++nested->depth < 4) {
        nopoll_log_is_enabled(ctx);
        nopoll_ctx_conns(ctx);
        nopoll_log_set_handler(ctx, log_again, data);
        __nopoll_log(ctx, "f", "f.c", nested->depth, level, "nested");
    }
    nested->depth--;
}

/* No lock is held while a handler runs, and records from inside one are delivered. */
static void handler_may_log_and_call_the_library(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct nested nested = {0, 0};
    nopoll_log_set_handler(ctx, log_again, &nested);
    __nopoll_log(ctx, "f", "f.c", 0, NOPOLL_LEVEL_DEBUG, "outer");
    assert_int_equal(nested.calls, 4);
    nopoll_ctx_unref(ctx);
}

static void macro_fills_in_the_place(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct record record = {0};
    nopoll_log_set_handler(ctx, keep_record, &record);
    nopoll_log(ctx, NOPOLL_LEVEL_WARNING, "value %d", 3);
    char expected[512];
    snprintf(expected, sizeof expected, "%s:%d value 3 ", __FILE__, __LINE__ - 2);
    assert_string_equal(record.text, expected);
    assert_int_equal(record.level, NOPOLL_LEVEL_WARNING);
    nopoll_log(ctx, NOPOLL_LEVEL_WARNING, "no argument");
    assert_non_null(strstr(record.text, " no argument "));
    nopoll_ctx_unref(ctx);
}

static void helpers_leave_a_debug_record(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    struct record record = {0};
    nopoll_log_set_handler(ctx, keep_record, &record);

    nopoll_int2bin_print(ctx, 5);
    assert_int_equal(record.calls, 1);
    assert_int_equal(record.level, NOPOLL_LEVEL_DEBUG);
    assert_non_null(strstr(record.text, " 5 = 00000000000000000000000000000101 "));
    nopoll_int2bin_print(ctx, -1);
    assert_non_null(strstr(record.text, " -1 = 11111111111111111111111111111111 "));

    nopoll_show_byte(ctx, (char)0xa5, "x");
    assert_int_equal(record.calls, 3);
    assert_int_equal(record.level, NOPOLL_LEVEL_DEBUG);
    assert_non_null(strstr(record.text, "   byte (x) = 1 0 1 0  0 1 0 1 "));
    nopoll_show_byte(ctx, 1, NULL);
    assert_non_null(strstr(record.text, "   byte ((null)) = 0 0 0 0  0 0 0 1 "));

    nopoll_int2bin_print(NULL, 5);
    nopoll_show_byte(NULL, 1, "x");
    assert_int_equal(record.calls, 4);
    nopoll_ctx_unref(ctx);
}

/* Each handler checks that it got its own data. */
static int data_of_one, data_of_two;
static int mixed_up;

static void handler_one(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    (void)ctx;
    (void)level;
    (void)text;
    if (data != &data_of_one) __atomic_store_n(&mixed_up, 1, __ATOMIC_RELAXED);
}

static void handler_two(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    (void)ctx;
    (void)level;
    (void)text;
    if (data != &data_of_two) __atomic_store_n(&mixed_up, 1, __ATOMIC_RELAXED);
}

struct logger {
    noPollCtx* ctx;
    int done;
};

static void* log_many(void* data) {
    struct logger* logger = data;
    for (int i = 0; i < 200000; i++)
        __nopoll_log(logger->ctx, "f", "f.c", i, NOPOLL_LEVEL_DEBUG, "x");
    __atomic_store_n(&logger->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void handler_and_data_stay_together(void** state) {
    (void)state;
    struct logger logger = {nopoll_ctx_new(), 0};
    nopoll_log_set_handler(logger.ctx, handler_one, &data_of_one);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, log_many, &logger), 0);
    while (!__atomic_load_n(&logger.done, __ATOMIC_ACQUIRE)) {
        nopoll_log_set_handler(logger.ctx, handler_two, &data_of_two);
        nopoll_log_set_handler(logger.ctx, handler_one, &data_of_one);
    }
    pthread_join(thread, NULL);
    assert_int_equal(mixed_up, 0);
    nopoll_ctx_unref(logger.ctx);
}

struct writer {
    noPollCtx* ctx;
    char letter;
};

enum { kLines = 200, kWidth = 60 };

static void* write_lines(void* data) {
    const struct writer* writer = data;
    char text[kWidth + 1];
    memset(text, writer->letter, kWidth);
    text[kWidth] = '\0';
    for (int i = 0; i < kLines; i++)
        __nopoll_log(writer->ctx, "f", "f.c", 1, NOPOLL_LEVEL_DEBUG, "%s", text);
    return NULL;
}

/* One write for each line: lines of two threads do not mix. */
static void console_lines_of_threads_stay_whole(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_log_enable(ctx, nopoll_true);
    fflush(stdout);
    FILE* file = tmpfile();
    assert_non_null(file);
    const int saved = dup(1);
    dup2(fileno(file), 1);
    setvbuf(stdout, NULL, _IONBF, 0); /* the hardest case: nothing is gathered for us */
    struct writer writers[2] = {{ctx, 'a'}, {ctx, 'b'}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    dup2(saved, 1);
    close(saved);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);

    rewind(file);
    char line[256], head[64];
    snprintf(head, sizeof head, "(proc %d): (debug)f.c:1 ", (int)getpid());
    int count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        count++;
        assert_memory_equal(line, head, strlen(head));
        const char* body = line + strlen(head);
        assert_int_equal(strlen(body), kWidth + 1);
        assert_int_equal(strspn(body, body[0] == 'a' ? "a" : "b"), kWidth);
    }
    fclose(file);
    assert_int_equal(count, 2 * kLines);
    nopoll_ctx_unref(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_keep_the_value_given),
        cmocka_unit_test(null_context),
        cmocka_unit_test(nothing_without_handler_and_switch),
        cmocka_unit_test(handler_gets_every_level_without_enabling),
        cmocka_unit_test(null_format_and_file),
        cmocka_unit_test(long_records_are_not_cut),
        cmocka_unit_test(console_lines),
        cmocka_unit_test(contexts_do_not_share_their_log),
        cmocka_unit_test(errno_survives),
        cmocka_unit_test(error_text_of_the_caller),
        cmocka_unit_test(handler_may_log_and_call_the_library),
        cmocka_unit_test(macro_fills_in_the_place),
        cmocka_unit_test(helpers_leave_a_debug_record),
        cmocka_unit_test(handler_and_data_stay_together),
        cmocka_unit_test(console_lines_of_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
