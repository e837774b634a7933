/* SPDX-License-Identifier: MIT */
/* The mutex handlers of a program (spec: context-and-loop.md section 7): the four wrappers, and
 * that objects made after their installation create, lock, unlock and destroy in pairs. The
 * handlers are strict: error-checking mutexes, so locking twice or unlocking a foreign one is seen.
 */
#include <nopoll.h>
#include <nopoll_private.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* exported, in no header */
extern noPollMutexCreate __nopoll_mutex_create;
extern noPollMutexDestroy __nopoll_mutex_destroy;
extern noPollMutexLock __nopoll_mutex_lock;
extern noPollMutexUnlock __nopoll_mutex_unlock;

static int created, destroyed, locked, unlocked, faults;

static void count(int* counter) {
    __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static noPollPtr hook_create(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_t* mutex = malloc(sizeof *mutex);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    count(&created);
    return mutex;
}

static void hook_destroy(noPollPtr mutex) {
    if (pthread_mutex_destroy(mutex) != 0) count(&faults);
    free(mutex);
    count(&destroyed);
}

static void hook_lock(noPollPtr mutex) {
    if (pthread_mutex_lock(mutex) != 0) count(&faults);
    count(&locked);
}

static void hook_unlock(noPollPtr mutex) {
    count(&unlocked);
    if (pthread_mutex_unlock(mutex) != 0) count(&faults);
}

static noPollPtr no_mutex(void) {
    count(&created);
    return NULL;
}

static int install(void** state) {
    (void)state;
    created = destroyed = locked = unlocked = faults = 0;
    nopoll_thread_handlers(hook_create, hook_destroy, hook_lock, hook_unlock);
    return 0;
}

static int uninstall(void** state) {
    (void)state;
    nopoll_thread_handlers(NULL, NULL, NULL, NULL);
    return 0;
}

static void handlers_are_stored(void** state) {
    (void)state;
    assert_true(__nopoll_mutex_create == hook_create);
    assert_true(__nopoll_mutex_destroy == hook_destroy);
    assert_true(__nopoll_mutex_lock == hook_lock);
    assert_true(__nopoll_mutex_unlock == hook_unlock);
    nopoll_thread_handlers(NULL, hook_destroy, NULL, hook_unlock); /* each may be NULL alone */
    assert_true(__nopoll_mutex_create == NULL);
    assert_true(__nopoll_mutex_destroy == hook_destroy);
    assert_true(__nopoll_mutex_lock == NULL);
    assert_true(__nopoll_mutex_unlock == hook_unlock);
}

static void wrappers_without_hooks(void** state) {
    (void)state;
    int anything = 0;
    nopoll_thread_handlers(NULL, NULL, NULL, NULL);
    assert_null(nopoll_mutex_create());
    nopoll_mutex_lock(&anything);
    nopoll_mutex_unlock(&anything);
    nopoll_mutex_destroy(&anything);
    nopoll_mutex_lock(NULL);
    nopoll_mutex_unlock(NULL);
    nopoll_mutex_destroy(NULL);
    assert_int_equal(created + destroyed + locked + unlocked, 0);
}

static void wrappers_with_hooks(void** state) {
    (void)state;
    noPollPtr mutex = nopoll_mutex_create();
    assert_non_null(mutex);
    nopoll_mutex_lock(mutex);
    assert_int_equal(pthread_mutex_trylock(mutex), EBUSY);
    nopoll_mutex_unlock(mutex);
    nopoll_mutex_destroy(mutex);
    assert_int_equal(created, 1);
    assert_int_equal(locked, 1);
    assert_int_equal(unlocked, 1);
    assert_int_equal(destroyed, 1);
    nopoll_mutex_lock(NULL); /* never handed to a hook */
    nopoll_mutex_unlock(NULL);
    nopoll_mutex_destroy(NULL);
    assert_int_equal(locked + unlocked + destroyed, 3);
    assert_int_equal(faults, 0);
}

static void assert_balanced(int creates_at_least) {
    assert_true(created >= creates_at_least);
    assert_int_equal(created, destroyed);
    assert_int_equal(locked, unlocked);
    assert_int_equal(faults, 0);
}

static void messages_have_a_mutex(void** state) {
    (void)state;
    noPollMsg* msg = nopoll_msg_new();
    assert_int_equal(created, 1);
    assert_non_null(msg->ref_mutex);
    nopoll_msg_ref(msg);
    nopoll_msg_unref(msg);
    assert_true(locked >= 2);
    noPollMsg* joined = nopoll_msg_join(msg, msg);
    assert_int_equal(created, 2);
    nopoll_msg_unref(joined);
    nopoll_msg_unref(msg);
    assert_balanced(2);
}

static void options_have_a_mutex(void** state) {
    (void)state;
    noPollConnOpts* opts = nopoll_conn_opts_new();
    assert_int_equal(created, 1);
    assert_non_null(opts->mutex);
    nopoll_conn_opts_ref(opts);
    nopoll_conn_opts_set_cookie(opts, "a=1");
    nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, NULL);
    nopoll_conn_opts_set_max_frame_size(opts, 10);
    nopoll_conn_opts_unref(opts);
    nopoll_conn_opts_free(opts);
    assert_balanced(1);
}

static void contexts_have_a_mutex(void** state) {
    (void)state;
    noPollCtx* ctx = nopoll_ctx_new();
    assert_true(created >= 1);
    nopoll_ctx_ref(ctx);
    nopoll_ctx_unref(ctx);
    nopoll_ctx_unref(ctx);
    assert_balanced(1);
}

/* An object made before the hooks stays without for life. */
static void hooks_come_too_late(void** state) {
    (void)state;
    nopoll_thread_handlers(NULL, NULL, NULL, NULL);
    noPollMsg* msg = nopoll_msg_new();
    noPollConnOpts* opts = nopoll_conn_opts_new();
    nopoll_thread_handlers(hook_create, hook_destroy, hook_lock, hook_unlock);
    nopoll_msg_ref(msg);
    nopoll_msg_unref(msg);
    nopoll_msg_unref(msg);
    nopoll_conn_opts_set_cookie(opts, "a=1");
    nopoll_conn_opts_free(opts);
    assert_int_equal(created + destroyed + locked + unlocked, 0);
}

static void a_hook_may_make_no_mutex(void** state) {
    (void)state;
    nopoll_thread_handlers(no_mutex, hook_destroy, hook_lock, hook_unlock);
    noPollMsg* msg = nopoll_msg_new();
    noPollConnOpts* opts = nopoll_conn_opts_new();
    assert_int_equal(created, 2);
    nopoll_msg_ref(msg);
    nopoll_msg_unref(msg);
    nopoll_msg_unref(msg);
    nopoll_conn_opts_set_cookie(opts, "a=1");
    nopoll_conn_opts_free(opts);
    assert_int_equal(destroyed + locked + unlocked, 0);
}

/* Removed while an object lives: its mutex is not destroyed, and nothing breaks. */
static void hooks_are_removed(void** state) {
    (void)state;
    noPollMsg* msg = nopoll_msg_new();
    noPollPtr mutex = msg->ref_mutex;
    nopoll_thread_handlers(NULL, NULL, NULL, NULL);
    nopoll_msg_ref(msg);
    nopoll_msg_unref(msg);
    nopoll_msg_unref(msg);
    assert_int_equal(created, 1);
    assert_int_equal(destroyed + locked + unlocked, 0);
    hook_destroy(mutex);
}

enum { kThreads = 3, kRounds = 2000 };

struct shared {
    noPollMsg* msg;
    noPollConnOpts* opts;
};

static void* use_shared(void* data) {
    const struct shared* shared = data;
    for (int i = 0; i < kRounds; i++) {
        nopoll_msg_ref(shared->msg);
        nopoll_conn_opts_ref(shared->opts);
        nopoll_conn_opts_set_cookie(shared->opts, "text");
        nopoll_conn_opts_unref(shared->opts);
        nopoll_msg_unref(shared->msg);
    }
    nopoll_msg_unref(shared->msg);
    nopoll_conn_opts_unref(shared->opts);
    return NULL;
}

static void pairs_from_many_threads(void** state) {
    (void)state;
    struct shared shared = {nopoll_msg_new(), nopoll_conn_opts_new()};
    pthread_t threads[kThreads];
    for (int i = 0; i < kThreads; i++) {
        nopoll_msg_ref(shared.msg);
        nopoll_conn_opts_ref(shared.opts);
        assert_int_equal(pthread_create(&threads[i], NULL, use_shared, &shared), 0);
    }
    nopoll_msg_unref(shared.msg); /* the threads' references remain: one of them is the last */
    nopoll_conn_opts_unref(shared.opts);
    for (int i = 0; i < kThreads; i++)
        pthread_join(threads[i], NULL);
    assert_balanced(2);
    assert_true(locked >= kThreads * kRounds * 2);
}

static void hook_destroy_rudely(noPollPtr mutex) {
    hook_destroy(mutex);
    errno = EDOM;
}

/* The options go with the call, and their mutex with them. */
static void errno_is_not_the_hooks(void** state) {
    (void)state;
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const opts = nopoll_conn_opts_new();
    nopoll_conn_opts_set_interface(opts, "no-such-if0");
    nopoll_thread_handlers(hook_create, hook_destroy_rudely, hook_lock, hook_unlock);
    errno = 0;
    assert_null(nopoll_conn_new_opts(ctx, opts, "127.0.0.1", "9", NULL, NULL, NULL, NULL));
    assert_true(errno == ENODEV || errno == EPERM);
    nopoll_ctx_unref(ctx);
    assert_int_equal(faults, 0);
}

#define hook_test(name) cmocka_unit_test_setup_teardown(name, install, uninstall)

int main(void) {
    const struct CMUnitTest tests[] = {
        hook_test(handlers_are_stored),    hook_test(wrappers_without_hooks),
        hook_test(wrappers_with_hooks),    hook_test(messages_have_a_mutex),
        hook_test(options_have_a_mutex),   hook_test(contexts_have_a_mutex),
        hook_test(hooks_come_too_late),    hook_test(a_hook_may_make_no_mutex),
        hook_test(hooks_are_removed),      hook_test(pairs_from_many_threads),
        hook_test(errno_is_not_the_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
