// SPDX-License-Identifier: MIT
//
// The mutex handlers a program may install (spec: context-and-loop.md section 7) and the lock built
// on them. The hooks live in four exported variables; every call uses the hook in force at that
// time. Hooks are assumed to be non-recursive, and no lock is held while a callback of the program
// runs.
#pragma once

#include "core/face.hpp"

#include <mutex>

#pragma GCC visibility push(default)
extern "C" {
extern noPollMutexCreate __nopoll_mutex_create;
extern noPollMutexDestroy __nopoll_mutex_destroy;
extern noPollMutexLock __nopoll_mutex_lock;
extern noPollMutexUnlock __nopoll_mutex_unlock;
}
#pragma GCC visibility pop

namespace nopoll::core {

// Stores all four hooks; each may be nullptr.
void set_mutex_hooks(noPollMutexCreate create, noPollMutexDestroy destroy, noPollMutexLock lock,
                     noPollMutexUnlock unlock);

// nullptr without a hook, or when the hook makes none.
[[nodiscard]] noPollPtr create_hook_mutex();
// Nothing happens for a nullptr mutex or without a hook.
void destroy_hook_mutex(noPollPtr mutex);
void lock_hook_mutex(noPollPtr mutex);
void unlock_hook_mutex(noPollPtr mutex);

// Holds a hook mutex for a scope. The pointer is copied: what held it may be gone at the end of the
// scope.
class HookLock {
public:
    explicit HookLock(noPollPtr mutex) : mutex_(mutex) { lock_hook_mutex(mutex_); }
    ~HookLock() { unlock_hook_mutex(mutex_); }
    HookLock(const HookLock&) = delete;
    HookLock& operator=(const HookLock&) = delete;

private:
    noPollPtr mutex_;
};

// An always-on lock that also takes the program's mutex, which lives in a field of a public struct.
// The hook mutex is made in the constructor and destroyed in the destructor. Works with
// std::lock_guard and std::unique_lock.
class Mutex {
public:
    explicit Mutex(noPollPtr& field) : field_(field) { field_ = create_hook_mutex(); }
    ~Mutex();
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock();
    void unlock();

private:
    std::mutex internal_;
    noPollPtr& field_;
};

using MutexGuard = std::lock_guard<Mutex>;

}  // namespace nopoll::core
