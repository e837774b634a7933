// SPDX-License-Identifier: MIT
//
// timeval arithmetic, see time_value.hpp. Sums saturate: values at the ends of time_t come from
// programs.
#include "core/time_value.hpp"

#include <ctime>
#include <limits>

namespace nopoll::core {
namespace {

constexpr long kMicrosPerSecond = 1000000;

time_t saturating_add(time_t a, time_t b) {
    time_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b < 0 ? std::numeric_limits<time_t>::min() : std::numeric_limits<time_t>::max();
    }
    return sum;
}

time_t saturating_subtract(time_t a, time_t b) {
    time_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference)) {
        return b > 0 ? std::numeric_limits<time_t>::min() : std::numeric_limits<time_t>::max();
    }
    return difference;
}

timeval normalised(const timeval& time) {
    time_t carry = time.tv_usec / kMicrosPerSecond;
    suseconds_t micros = time.tv_usec % kMicrosPerSecond;
    if (micros < 0) {
        micros += kMicrosPerSecond;
        --carry;
    }
    return {saturating_add(time.tv_sec, carry), micros};
}

}  // namespace

TimeDifference subtract(const timeval& first, const timeval& second) {
    const timeval a = normalised(first);
    const timeval b = normalised(second);
    TimeDifference difference{};
    difference.negative = a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_usec < b.tv_usec);
    difference.value = {saturating_subtract(a.tv_sec, b.tv_sec), a.tv_usec - b.tv_usec};
    if (difference.value.tv_usec < 0) {
        difference.value.tv_usec += kMicrosPerSecond;
        difference.value.tv_sec = saturating_subtract(difference.value.tv_sec, 1);
    }
    return difference;
}

void sleep_us(long microseconds) {
    if (microseconds <= 0) {
        return;
    }
    const timespec time = {microseconds / kMicrosPerSecond,
                           (microseconds % kMicrosPerSecond) * 1000};
    nanosleep(&time, nullptr);
}

}  // namespace nopoll::core
