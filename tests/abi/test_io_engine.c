/* SPDX-License-Identifier: MIT */
/* Engine objects and the six exported handlers of the select engine (spec: context-and-loop.md
 * section 9), called the way a program's own loop calls them. */
#include <nopoll.h>
#include <nopoll_private.h>

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* exported, in no header */
noPollPtr nopoll_io_wait_select_create(noPollCtx* ctx);
void nopoll_io_wait_select_destroy(noPollCtx* ctx, noPollPtr set);
void nopoll_io_wait_select_clear(noPollCtx* ctx, noPollPtr set);
int nopoll_io_wait_select_wait(noPollCtx* ctx, noPollPtr set);
nopoll_bool nopoll_io_wait_select_add_to(int fd, noPollCtx* ctx, noPollConn* conn, noPollPtr set);
nopoll_bool nopoll_io_wait_select_is_set(noPollCtx* ctx, int fd, noPollPtr set);

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void count_records(noPollCtx* ctx, noPollDebugLevel level, const char* text,
                          noPollPtr data) {
    (void)ctx;
    (void)text;
    int* counts = data;
    counts[level]++;
}

static void every_type_gives_an_engine(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    int counts[3] = {0, 0, 0};
    nopoll_log_set_handler(ctx, count_records, counts);
    static const int types[] = {NOPOLL_IO_ENGINE_DEFAULT,
                                NOPOLL_IO_ENGINE_SELECT,
                                NOPOLL_IO_ENGINE_POLL,
                                NOPOLL_IO_ENGINE_EPOLL,
                                4,
                                1000,
                                -1};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        counts[NOPOLL_LEVEL_WARNING] = 0;
        noPollIoEngine* engine = nopoll_io_get_engine(ctx, (noPollIoEngineType)types[i]);
        assert_non_null(engine);
        assert_non_null(engine->io_object);
        assert_ptr_equal(engine->ctx, ctx);
        assert_true(engine->create != NULL && engine->destroy != NULL && engine->clear != NULL);
        assert_true(engine->wait != NULL && engine->add_to != NULL && engine->is_set != NULL);
        const int known = types[i] >= 0 && types[i] <= NOPOLL_IO_ENGINE_EPOLL;
        assert_int_equal(counts[NOPOLL_LEVEL_WARNING], known ? 0 : 1);
        nopoll_io_release_engine(engine);
    }
    noPollIoEngine* without = nopoll_io_get_engine(NULL, NOPOLL_IO_ENGINE_DEFAULT);
    assert_non_null(without);
    assert_null(without->ctx);
    nopoll_io_release_engine(without);
    nopoll_io_release_engine(NULL);
    nopoll_ctx_unref(ctx);
}

static int destroyed;

static void count_destroy(noPollCtx* ctx, noPollPtr object) {
    (void)ctx;
    (void)object;
    destroyed++;
}

/* A program may make an engine itself and have it released. */
static void engines_of_the_program_are_released(void** state) {
    (void)state;
    noPollIoEngine* engine = nopoll_new(noPollIoEngine, 1);
    nopoll_io_release_engine(engine); /* no destroy handler: freed */
    engine = nopoll_new(noPollIoEngine, 1);
    engine->destroy = count_destroy;
    nopoll_io_release_engine(engine);
    assert_int_equal(destroyed, 1);
}

static void find_readable_descriptors(noPollIoEngineType type) {
    int quiet[2], loud[2];
    assert_int_equal(pipe(quiet), 0);
    assert_int_equal(pipe(loud), 0);
    assert_int_equal(write(loud[1], "x", 1), 1);
    noPollIoEngine* engine = nopoll_io_get_engine(NULL, type);
    noPollPtr set = engine->io_object;
    for (int round = 0; round < 3; round++) {
        engine->clear(NULL, set);
        assert_int_equal(engine->add_to(quiet[0], NULL, NULL, set), 1);
        assert_int_equal(engine->add_to(loud[0], NULL, NULL, set), 1);
        assert_int_equal(engine->add_to(loud[0], NULL, NULL, set), 1); /* again: still 1 */
        assert_int_equal(engine->wait(NULL, set), 1);
        assert_true(engine->is_set(NULL, loud[0], set));
        assert_false(engine->is_set(NULL, quiet[0], set));
        assert_false(engine->is_set(NULL, loud[1], set)); /* never added */
    }
    engine->clear(NULL, set);
    assert_false(engine->is_set(NULL, loud[0], set));

    assert_int_equal(engine->add_to(quiet[0], NULL, NULL, set), 1);
    assert_int_equal(engine->add_to(loud[0], NULL, NULL, set), 1);
    assert_int_equal(write(quiet[1], "x", 1), 1);
    assert_int_equal(engine->wait(NULL, set), 2);
    assert_true(engine->is_set(NULL, loud[0], set) && engine->is_set(NULL, quiet[0], set));

    engine->clear(NULL, set); /* the end of a stream is readable */
    close(quiet[1]);
    engine->add_to(quiet[0], NULL, NULL, set);
    assert_int_equal(engine->wait(NULL, set), 1);
    engine->clear(NULL, set);
    assert_int_equal(engine->add_to(-1, NULL, NULL, set), 0);
    assert_int_equal(engine->add_to(INT_MAX, NULL, NULL, set), 0);
    assert_false(engine->is_set(NULL, -1, set));
    assert_false(engine->is_set(NULL, INT_MAX, set));
    nopoll_io_release_engine(engine);
    close(quiet[0]);
    close(loud[0]);
    close(loud[1]);
}

static void readable_descriptors_are_found(void** state) {
    (void)state;
    find_readable_descriptors(NOPOLL_IO_ENGINE_SELECT);
}

/* The same contract by other means. */
static void poll_and_epoll_engines(void** state) {
    (void)state;
    find_readable_descriptors(NOPOLL_IO_ENGINE_POLL);
    find_readable_descriptors(NOPOLL_IO_ENGINE_EPOLL);
    noPollIoEngine* selects = nopoll_io_get_engine(NULL, NOPOLL_IO_ENGINE_SELECT);
    for (int type = NOPOLL_IO_ENGINE_POLL; type <= NOPOLL_IO_ENGINE_EPOLL; type++) {
        noPollIoEngine* engine = nopoll_io_get_engine(NULL, (noPollIoEngineType)type);
        assert_true(engine->wait != selects->wait); /* real ones */
        engine->clear(NULL, NULL);
        assert_int_equal(engine->add_to(0, NULL, NULL, NULL), 0);
        assert_false(engine->is_set(NULL, 0, NULL));
        assert_int_equal(engine->wait(NULL, NULL), -1);
        engine->destroy(NULL, NULL);
        const long begin = now_ms();
        assert_int_equal(engine->wait(NULL, engine->io_object), 0);
        assert_true(now_ms() - begin >= 490);
        nopoll_io_release_engine(engine);
    }
    nopoll_io_release_engine(selects);
}

static void a_wait_lasts_half_a_second(void** state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    noPollPtr set = nopoll_io_wait_select_create(NULL);
    assert_non_null(set);
    nopoll_io_wait_select_add_to(ends[0], NULL, NULL, set);
    const long begin = now_ms();
    assert_int_equal(nopoll_io_wait_select_wait(NULL, set), 0);
    assert_true(now_ms() - begin >= 490);
    assert_true(now_ms() - begin < 10000);
    nopoll_io_wait_select_clear(NULL, set);
    assert_int_equal(nopoll_io_wait_select_wait(NULL, set), 0); /* an empty set waits too */
    assert_true(now_ms() - begin >= 980);
    nopoll_io_wait_select_destroy(NULL, set);
    close(ends[0]);
    close(ends[1]);
}

static void on_alarm(int number) {
    (void)number;
}

static void a_signal_ends_the_wait_with_nothing(void** state) {
    (void)state;
    struct sigaction action = {0}, old;
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, &old);
    const struct itimerval soon = {{0, 50000}, {0, 50000}}, off = {{0, 0}, {0, 0}};
    noPollPtr set = nopoll_io_wait_select_create(NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_int_equal(nopoll_io_wait_select_wait(NULL, set), 0);
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &old, NULL);
    nopoll_io_wait_select_destroy(NULL, set);
}

static void a_closed_descriptor_is_an_error(void** state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    noPollPtr set = nopoll_io_wait_select_create(NULL);
    assert_int_equal(nopoll_io_wait_select_add_to(ends[0], NULL, NULL, set), 1);
    close(ends[0]);
    close(ends[1]);
    errno = 0;
    assert_int_equal(nopoll_io_wait_select_wait(NULL, set), -1);
    assert_int_equal(errno, EBADF);
    nopoll_io_wait_select_destroy(NULL, set);
}

static void wild_descriptors_are_refused(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    int counts[3] = {0, 0, 0};
    nopoll_log_set_handler(ctx, count_records, counts);
    noPollPtr set = nopoll_io_wait_select_create(ctx);
    assert_int_equal(nopoll_io_wait_select_add_to(-1, ctx, NULL, set), 0);
    assert_int_equal(nopoll_io_wait_select_add_to(INT_MIN, ctx, NULL, set), 0);
    assert_int_equal(nopoll_io_wait_select_add_to(FD_SETSIZE, ctx, NULL, set), 0); /* not open */
    assert_int_equal(nopoll_io_wait_select_add_to(INT_MAX, ctx, NULL, set), 0);
    assert_int_equal(counts[NOPOLL_LEVEL_CRITICAL], 4);
    assert_int_equal(nopoll_io_wait_select_is_set(ctx, -1, set), 0);
    assert_int_equal(counts[NOPOLL_LEVEL_CRITICAL], 5);
    assert_int_equal(nopoll_io_wait_select_is_set(ctx, FD_SETSIZE, set), 0);
    assert_int_equal(nopoll_io_wait_select_is_set(ctx, INT_MAX, set), 0);
    nopoll_io_wait_select_destroy(ctx, set);
    nopoll_ctx_unref(ctx);
}

static void descriptors_beyond_fd_setsize(void** state) {
    (void)state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t before = limit.rlim_cur;
    const int number = FD_SETSIZE + 500;
    if (limit.rlim_max <= (rlim_t)number + 1) skip();
    if (limit.rlim_cur <= (rlim_t)number + 1) {
        limit.rlim_cur = (rlim_t)number + 2;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], number), number);
    assert_int_equal(write(ends[1], "x", 1), 1);
    noPollPtr set = nopoll_io_wait_select_create(NULL);
    assert_int_equal(nopoll_io_wait_select_add_to(number, NULL, NULL, set), 1);
    assert_int_equal(nopoll_io_wait_select_wait(NULL, set), 1);
    assert_true(nopoll_io_wait_select_is_set(NULL, number, set));
    assert_false(nopoll_io_wait_select_is_set(NULL, number - 64, set));
    nopoll_io_wait_select_clear(NULL, set);
    assert_false(nopoll_io_wait_select_is_set(NULL, number, set));
    nopoll_io_wait_select_destroy(NULL, set);
    close(number);
    close(ends[0]);
    close(ends[1]);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void null_set(void** state) {
    (void)state;
    nopoll_io_wait_select_destroy(NULL, NULL);
    nopoll_io_wait_select_clear(NULL, NULL);
    assert_int_equal(nopoll_io_wait_select_add_to(0, NULL, NULL, NULL), 0);
    assert_int_equal(nopoll_io_wait_select_is_set(NULL, 0, NULL), 0);
    assert_int_equal(nopoll_io_wait_select_wait(NULL, NULL), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_gives_an_engine),
        cmocka_unit_test(engines_of_the_program_are_released),
        cmocka_unit_test(readable_descriptors_are_found),
        cmocka_unit_test(poll_and_epoll_engines),
        cmocka_unit_test(a_wait_lasts_half_a_second),
        cmocka_unit_test(a_signal_ends_the_wait_with_nothing),
        cmocka_unit_test(a_closed_descriptor_is_an_error),
        cmocka_unit_test(wild_descriptors_are_refused),
        cmocka_unit_test(descriptors_beyond_fd_setsize),
        cmocka_unit_test(null_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
