// SPDX-License-Identifier: MIT
// Monotonic time in microseconds and points in time at which a wait has to end.
// All arithmetic saturates: any timeout a program passes in is fine.
#pragma once

#include <cstdint>
#include <limits>

namespace nopoll::net {

// CLOCK_MONOTONIC in microseconds.
[[nodiscard]] std::int64_t now_us();

struct Deadline {
    // Absolute, on the clock of now_us(); the largest value means never.
    std::int64_t at_us = std::numeric_limits<std::int64_t>::max();

    [[nodiscard]] static Deadline never() { return {}; }
    // A point delay_us from now; zero and negative delays have passed already.
    [[nodiscard]] static Deadline after_us(std::int64_t delay_us);

    [[nodiscard]] bool is_never() const {
        return at_us == std::numeric_limits<std::int64_t>::max();
    }
    // Microseconds left, never negative; the largest value for never().
    [[nodiscard]] std::int64_t left_us() const;
    [[nodiscard]] bool passed() const { return left_us() == 0; }
    // For poll(2): -1 for never, else whole milliseconds rounded up, so that a wait that timed
    // out is not before the deadline.
    [[nodiscard]] int poll_ms() const;
};

}  // namespace nopoll::net
