// SPDX-License-Identifier: MIT
// The lock over the program's mutex handlers: order, pairs, and what happens without hooks or when
// one throws.
#include "core/mutex_hooks.hpp"

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "unit/unit_test.hpp"

using namespace nopoll::core;

namespace {

// What the hooks did, one letter each: Create, Lock, Unlock, Destroy.
std::string* trace = nullptr;
int mutex_stands_for = 0;

noPollPtr hook_create() {
    *trace += 'C';
    return &mutex_stands_for;
}

void hook_destroy(noPollPtr mutex) {
    CHECK(mutex == &mutex_stands_for);
    *trace += 'D';
}

void hook_lock(noPollPtr mutex) {
    CHECK(mutex == &mutex_stands_for);
    *trace += 'L';
}

void hook_unlock(noPollPtr mutex) {
    CHECK(mutex == &mutex_stands_for);
    *trace += 'U';
}

void throwing_lock(noPollPtr) {
    throw std::runtime_error("no lock today");
}

// Installs the hooks above for one test.
class Hooks {
public:
    Hooks() {
        trace = &calls;
        set_mutex_hooks(hook_create, hook_destroy, hook_lock, hook_unlock);
    }
    ~Hooks() { set_mutex_hooks(nullptr, nullptr, nullptr, nullptr); }
    Hooks(const Hooks&) = delete;
    Hooks& operator=(const Hooks&) = delete;
    std::string calls;
};

void nothing_happens_without_hooks(void**) {
    CHECK(create_hook_mutex() == nullptr);
    lock_hook_mutex(&mutex_stands_for);
    unlock_hook_mutex(&mutex_stands_for);
    destroy_hook_mutex(&mutex_stands_for);
    noPollPtr field = &mutex_stands_for;
    {
        Mutex mutex(field);
        CHECK(field == nullptr);
        const MutexGuard guard(mutex);
    }
    CHECK(field == nullptr);
}

void null_is_never_handed_to_a_hook(void**) {
    const Hooks hooks;
    lock_hook_mutex(nullptr);
    unlock_hook_mutex(nullptr);
    destroy_hook_mutex(nullptr);
    { const HookLock lock(nullptr); }
    CHECK_EQUAL(hooks.calls, std::string());
}

void a_mutex_uses_its_hooks_in_pairs(void**) {
    const Hooks hooks;
    noPollPtr field = nullptr;
    {
        Mutex mutex(field);
        CHECK(field == &mutex_stands_for);
        { const MutexGuard guard(mutex); }
        { const MutexGuard guard(mutex); }
    }
    CHECK(field == nullptr);
    CHECK_EQUAL(hooks.calls, std::string("CLULUD"));
}

void a_hook_lock_lasts_for_its_scope(void**) {
    const Hooks hooks;
    noPollPtr mutex = create_hook_mutex();
    {
        const HookLock lock(mutex);
        CHECK_EQUAL(hooks.calls, std::string("CL"));
        mutex = nullptr;  // the object that held it may be gone
    }
    CHECK_EQUAL(hooks.calls, std::string("CLU"));
}

void hooks_installed_later_are_not_used(void**) {
    noPollPtr field = nullptr;
    Mutex mutex(field);
    const Hooks hooks;
    { const MutexGuard guard(mutex); }
    CHECK_EQUAL(hooks.calls, std::string());
}

// The next caller must not find the lock taken by one that never got it.
void a_throwing_lock_hook_leaves_the_mutex_free(void**) {
    const Hooks hooks;
    noPollPtr field = nullptr;
    Mutex mutex(field);
    set_mutex_hooks(hook_create, hook_destroy, throwing_lock, hook_unlock);
    bool thrown = false;
    try {
        mutex.lock();
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    CHECK(thrown);
    set_mutex_hooks(hook_create, hook_destroy, hook_lock, hook_unlock);
    mutex.lock();
    mutex.unlock();
    CHECK_EQUAL(hooks.calls, std::string("CLU"));
}

// With do-nothing hooks only the internal lock keeps the threads apart.
void a_mutex_excludes_other_threads(void**) {
    noPollPtr field = nullptr;
    Mutex mutex(field);
    long counter = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 10000; ++round) {
                const MutexGuard guard(mutex);
                ++counter;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK_EQUAL(counter, 40000L);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_without_hooks),
        cmocka_unit_test(null_is_never_handed_to_a_hook),
        cmocka_unit_test(a_mutex_uses_its_hooks_in_pairs),
        cmocka_unit_test(a_hook_lock_lasts_for_its_scope),
        cmocka_unit_test(hooks_installed_later_are_not_used),
        cmocka_unit_test(a_throwing_lock_hook_leaves_the_mutex_free),
        cmocka_unit_test(a_mutex_excludes_other_threads),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
