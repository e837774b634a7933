// SPDX-License-Identifier: MIT
//
// The program's mutex handlers, see mutex_hooks.hpp. The four variables are read and written
// atomically one by one: a program is expected to install its hooks once, before the first context.
#include "core/mutex_hooks.hpp"

#include "core/atomic_field.hpp"

extern "C" {
noPollMutexCreate __nopoll_mutex_create = nullptr;
noPollMutexDestroy __nopoll_mutex_destroy = nullptr;
noPollMutexLock __nopoll_mutex_lock = nullptr;
noPollMutexUnlock __nopoll_mutex_unlock = nullptr;
}

namespace nopoll::core {

void set_mutex_hooks(noPollMutexCreate create, noPollMutexDestroy destroy, noPollMutexLock lock,
                     noPollMutexUnlock unlock) {
    store_field(__nopoll_mutex_create, create);
    store_field(__nopoll_mutex_destroy, destroy);
    store_field(__nopoll_mutex_lock, lock);
    store_field(__nopoll_mutex_unlock, unlock);
}

noPollPtr create_hook_mutex() {
    const noPollMutexCreate hook = load_field(__nopoll_mutex_create);
    return hook == nullptr ? nullptr : hook();
}

void destroy_hook_mutex(noPollPtr mutex) {
    const noPollMutexDestroy hook = load_field(__nopoll_mutex_destroy);
    if (mutex != nullptr && hook != nullptr) {
        hook(mutex);
    }
}

void lock_hook_mutex(noPollPtr mutex) {
    if (mutex == nullptr) {
        return;
    }
    const noPollMutexLock hook = load_field(__nopoll_mutex_lock);
    if (hook != nullptr) {
        hook(mutex);
    }
}

void unlock_hook_mutex(noPollPtr mutex) {
    if (mutex == nullptr) {
        return;
    }
    const noPollMutexUnlock hook = load_field(__nopoll_mutex_unlock);
    if (hook != nullptr) {
        hook(mutex);
    }
}

Mutex::~Mutex() {
    destroy_hook_mutex(field_);
    field_ = nullptr;
}

void Mutex::lock() {
    std::unique_lock guard(internal_);  // given back when the hook throws (it may be C++)
    lock_hook_mutex(field_);
    guard.release();
}

void Mutex::unlock() {
    unlock_hook_mutex(field_);
    internal_.unlock();
}

}  // namespace nopoll::core
