// SPDX-License-Identifier: MIT
//
// timeval arithmetic and sleeping (spec: messages-logging-utils.md section 5).
#pragma once

#include <sys/time.h>

namespace nopoll::core {

struct TimeDifference {
    timeval value;  // 0 <= tv_usec < 1000000; tv_sec is floored and saturates
    bool negative;
};

// first - second; both may be unnormalised.
[[nodiscard]] TimeDifference subtract(const timeval& first, const timeval& second);

// At least that long, unless a signal handler runs meanwhile; returns at once for 0 and below.
void sleep_us(long microseconds);

}  // namespace nopoll::core
