// SPDX-License-Identifier: MIT
// Identity of the calling thread that can be compared, stored atomically and costs nothing to get.
#pragma once

namespace nopoll::core {

using ThreadToken = const void*;

inline ThreadToken this_thread_token() {
    static thread_local char mark;  // no destructor: only its address is used
    return &mark;
}

}  // namespace nopoll::core
