// SPDX-License-Identifier: MIT
// Identity of the calling thread that can be compared and stored atomically. Not a thread_local:
// that would make the library depend on the dynamic loader by name.
#pragma once

#include <bit>
#include <pthread.h>

namespace nopoll::core {

using ThreadToken = const void*;

inline ThreadToken this_thread_token() {
    static_assert(sizeof(pthread_t) == sizeof(ThreadToken));
    return std::bit_cast<ThreadToken>(::pthread_self());
}

}  // namespace nopoll::core
