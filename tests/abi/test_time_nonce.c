/* SPDX-License-Identifier: MIT */
/* Sleeping, timeval arithmetic and random bytes (spec: messages-logging-utils.md section 5), and
 * that nopoll_cleanup_library harms nothing. */
#include <nopoll.h>

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern nopoll_bool __nopoll_nonce_init; /* exported, in no header */
extern nopoll_bool __nopoll_tls_was_init;

static long elapsed_us(void (*action)(long), long argument) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    action(argument);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000L + (end.tv_nsec - begin.tv_nsec) / 1000;
}

static void sleeps_at_least_that_long(void** state) {
    (void)state;
    assert_true(elapsed_us(nopoll_sleep, 1) >= 1);
    assert_true(elapsed_us(nopoll_sleep, 20000) >= 20000);
    assert_true(elapsed_us(nopoll_sleep, 1000001) >= 1000001); /* above one second */
}

static void nothing_to_sleep(void** state) {
    (void)state;
    /* far below what the original made of them, far above what a busy machine needs */
    assert_true(elapsed_us(nopoll_sleep, 0) < 30000000);
    assert_true(elapsed_us(nopoll_sleep, -1) < 30000000);
    assert_true(elapsed_us(nopoll_sleep, LONG_MIN) < 30000000);
}

static void on_alarm(int number) {
    (void)number;
}

/* A value that does not fit into 32 bits is a long sleep, not a short one: only the signal ends it.
 */
static void a_signal_may_end_a_long_sleep(void** state) {
    (void)state;
    struct sigaction action = {0}, old;
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, &old);
    const struct itimerval in_50_ms = {{0, 50000},
                                       {0, 50000}}; /* again, should the first be early */
    setitimer(ITIMER_REAL, &in_50_ms, NULL);
    errno = EAGAIN;
    const long took = elapsed_us(nopoll_sleep, sizeof(long) > 4 ? 4294967297L : 2000000000L);
    const int after = errno;
    const struct itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &old, NULL);
    assert_true(took >= 30000);
    assert_int_equal(after, EAGAIN); /* preserved, interrupted or not */
}

static void errno_survives_sleep(void** state) {
    (void)state;
    errno = EAGAIN;
    nopoll_sleep(1);
    assert_int_equal(errno, EAGAIN);
    nopoll_sleep(-1);
    assert_int_equal(errno, EAGAIN);
}

static struct timeval at(long sec, long usec) {
    struct timeval time;
    time.tv_sec = sec;
    time.tv_usec = usec;
    return time;
}

static void differences(void** state) {
    (void)state;
    static const struct {
        long a_sec, a_usec, b_sec, b_usec, sec, usec;
        int negative;
    } rows[] = {
        {0, 0, 0, 0, 0, 0, 0},
        {5, 500000, 2, 200000, 3, 300000, 0},
        {5, 200000, 2, 500000, 2, 700000, 0},
        {0, 0, 0, 500000, -1, 500000, 1},
        {0, 0, 1, 0, -1, 0, 1},
        {2, 0, 2, 1, -1, 999999, 1},
        {2, 1, 2, 0, 0, 1, 0},
        {-3, 0, -2, 0, -1, 0, 1},
        /* not normalised */
        {0, 1000000, 0, 0, 1, 0, 0},
        {0, 2500000, 1, 0, 1, 500000, 0},
        {1, 0, 0, 1000000, 0, 0, 0},
        {1, -1, 0, 0, 0, 999999, 0},
        {0, -1, 0, 0, -1, 999999, 1},
        {0, 0, 0, -3000001, 3, 1, 0},
        {0, 1000001, 1, 2, -1, 999999, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct timeval a = at(rows[i].a_sec, rows[i].a_usec);
        struct timeval b = at(rows[i].b_sec, rows[i].b_usec);
        struct timeval result = at(77, 77);
        assert_int_equal(nopoll_timeval_substract(&a, &b, &result), rows[i].negative);
        assert_int_equal(result.tv_sec, rows[i].sec);
        assert_int_equal(result.tv_usec, rows[i].usec);
        assert_int_equal(a.tv_sec, rows[i].a_sec); /* arguments untouched */
        assert_int_equal(a.tv_usec, rows[i].a_usec);
        assert_int_equal(b.tv_sec, rows[i].b_sec);
        assert_int_equal(b.tv_usec, rows[i].b_usec);

        struct timeval over_a = a;
        assert_int_equal(nopoll_timeval_substract(&over_a, &b, &over_a), rows[i].negative);
        assert_int_equal(over_a.tv_sec, rows[i].sec);
        assert_int_equal(over_a.tv_usec, rows[i].usec);
        struct timeval over_b = b;
        assert_int_equal(nopoll_timeval_substract(&a, &over_b, &over_b), rows[i].negative);
        assert_int_equal(over_b.tv_sec, rows[i].sec);
        assert_int_equal(over_b.tv_usec, rows[i].usec);
    }
    struct timeval same = at(4, 5);
    assert_int_equal(nopoll_timeval_substract(&same, &same, &same), 0);
    assert_int_equal(same.tv_sec, 0);
    assert_int_equal(same.tv_usec, 0);
}

/* No overflow in the library (UndefinedBehaviorSanitizer watches), and still normalised. */
static void extreme_differences(void** state) {
    (void)state;
    static const long ends[] = {LONG_MIN, -1, 0, 1, LONG_MAX};
    for (int i = 0; i < 625; i++) {
        struct timeval a = at(ends[i % 5], ends[i / 5 % 5]);
        struct timeval b = at(ends[i / 25 % 5], ends[i / 125]);
        struct timeval result;
        nopoll_timeval_substract(&a, &b, &result);
        assert_true(result.tv_usec >= 0 && result.tv_usec < 1000000);
    }
    struct timeval past = at(LONG_MIN, 0), future = at(LONG_MAX, 0), result;
    assert_int_equal(nopoll_timeval_substract(&past, &future, &result), 1);
    assert_true(result.tv_sec < 0);
    assert_int_equal(nopoll_timeval_substract(&future, &past, &result), 0);
    assert_true(result.tv_sec > 0);
}

static void null_times(void** state) {
    (void)state;
    struct timeval time = at(1, 2);
    assert_int_equal(nopoll_timeval_substract(NULL, &time, &time), 0);
    assert_int_equal(nopoll_timeval_substract(&time, NULL, &time), 0);
    assert_int_equal(nopoll_timeval_substract(&time, &time, NULL), 0);
    assert_int_equal(nopoll_timeval_substract(NULL, NULL, NULL), 0);
    assert_int_equal(time.tv_sec, 1);
    assert_int_equal(time.tv_usec, 2);
}

static void nonce_refuses_bad_arguments(void** state) {
    (void)state;
    char buffer[4] = "abc";
    assert_int_equal(nopoll_nonce(NULL, 4), 0);
    assert_int_equal(nopoll_nonce(buffer, 0), 0);
    assert_int_equal(nopoll_nonce(buffer, -4), 0);
    assert_string_equal(buffer, "abc");
}

static void nonce_fills_exactly(void** state) {
    (void)state;
    for (int size = 1; size <= 64; size++) {
        unsigned char seen[64] = {0};
        /* every byte takes different values in the end; the one behind never changes */
        for (int round = 0; round < 50; round++) {
            unsigned char bytes[65];
            memset(bytes, 0x5a, sizeof bytes);
            assert_int_equal(nopoll_nonce((char*)bytes, size), 1);
            for (int i = size; i < 65; i++)
                assert_int_equal(bytes[i], 0x5a);
            for (int i = 0; i < size; i++)
                seen[i] |= bytes[i] ^ 0x5a;
        }
        for (int i = 0; i < size; i++)
            assert_int_not_equal(seen[i], 0);
    }
    assert_int_equal(__nopoll_nonce_init, 1);
    char a[16], b[16];
    nopoll_nonce(a, 16);
    nopoll_nonce(b, 16);
    assert_memory_not_equal(a, b, 16);
}

static void nonce_leaves_the_programs_random_numbers_alone(void** state) {
    (void)state;
    char bytes[16];
    srandom(42);
    const long first = random(), second = random();
    srandom(42);
    nopoll_nonce(bytes, 16);
    assert_true(random() == first);
    nopoll_nonce(bytes, 16);
    assert_true(random() == second);
    srand(7);
    const int third = rand();
    srand(7);
    nopoll_nonce(bytes, 16);
    assert_int_equal(rand(), third);
}

static void cleanup_any_number_of_times(void** state) {
    (void)state;
    char bytes[8];
    nopoll_cleanup_library();
    __nopoll_tls_was_init = 1;
    nopoll_cleanup_library();
    assert_int_equal(__nopoll_tls_was_init, 0);
    nopoll_cleanup_library();
    assert_int_equal(nopoll_nonce(bytes, 8), 1); /* everything keeps working */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeps_at_least_that_long),
        cmocka_unit_test(nothing_to_sleep),
        cmocka_unit_test(a_signal_may_end_a_long_sleep),
        cmocka_unit_test(errno_survives_sleep),
        cmocka_unit_test(differences),
        cmocka_unit_test(extreme_differences),
        cmocka_unit_test(null_times),
        cmocka_unit_test(nonce_refuses_bad_arguments),
        cmocka_unit_test(nonce_fills_exactly),
        cmocka_unit_test(nonce_leaves_the_programs_random_numbers_alone),
        cmocka_unit_test(cleanup_any_number_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
