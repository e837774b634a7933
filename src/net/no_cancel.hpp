// SPDX-License-Identifier: MIT
// Keeps pthread_cancel out of a scope: for clean-up code that makes system calls while a cancelled
// thread unwinds, or that must not be left half done.
#pragma once

#include <pthread.h>

namespace nopoll::net {

class NoCancel {
public:
    NoCancel() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NoCancel() { ::pthread_setcancelstate(before_, nullptr); }
    NoCancel(const NoCancel&) = delete;
    NoCancel& operator=(const NoCancel&) = delete;

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace nopoll::net
