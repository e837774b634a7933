// SPDX-License-Identifier: MIT
// See hooks.hpp. Any misuse ends the program: locking twice, unlocking what is not held, destroying
// what is locked.
#include "stress/hooks.hpp"

#include <nopoll.h>
#include <pthread.h>

#include <atomic>

#include "stress/support.hpp"

namespace nopoll::stress {
namespace {

std::atomic<long> created{0};
std::atomic<long> destroyed{0};
std::atomic<long> locked{0};
std::atomic<long> unlocked{0};
thread_local int held = 0;

struct HookMutex {
    pthread_mutex_t mutex{};
    bool alive = true;
};

extern "C" noPollPtr stress_create() {
    auto* const made = new HookMutex;
    pthread_mutexattr_t kind;
    REQUIRE(pthread_mutexattr_init(&kind) == 0);
    REQUIRE(pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) == 0);
    REQUIRE(pthread_mutex_init(&made->mutex, &kind) == 0);
    pthread_mutexattr_destroy(&kind);
    ++created;
    return made;
}

extern "C" void stress_destroy(noPollPtr mutex) {
    auto* const old = static_cast<HookMutex*>(mutex);
    REQUIRE(old->alive);
    REQUIRE(pthread_mutex_destroy(&old->mutex) == 0);
    old->alive = false;
    delete old;
    ++destroyed;
}

extern "C" void stress_lock(noPollPtr mutex) {
    REQUIRE(pthread_mutex_lock(&static_cast<HookMutex*>(mutex)->mutex) == 0);
    ++held;
    ++locked;
}

extern "C" void stress_unlock(noPollPtr mutex) {
    --held;
    ++unlocked;
    REQUIRE(pthread_mutex_unlock(&static_cast<HookMutex*>(mutex)->mutex) == 0);
}

}  // namespace

void install_hooks() {
    nopoll_thread_handlers(stress_create, stress_destroy, stress_lock, stress_unlock);
}

HookBooks hook_books() {
    return {created, destroyed, locked, unlocked};
}

int hooks_held() {
    return held;
}

}  // namespace nopoll::stress
