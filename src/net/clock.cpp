// SPDX-License-Identifier: MIT
// The monotonic clock.
#include "net/clock.hpp"

#include <algorithm>
#include <ctime>

namespace nopoll::net {

std::int64_t now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1000000 + now.tv_nsec / 1000;
}

Deadline Deadline::after_us(std::int64_t delay_us) {
    const std::int64_t now = now_us();
    Deadline deadline;
    if (delay_us < deadline.at_us - now) deadline.at_us = now + std::max<std::int64_t>(delay_us, 0);
    return deadline;
}

std::int64_t Deadline::left_us() const {
    if (is_never()) return at_us;
    const std::int64_t now = now_us();
    return at_us > now ? at_us - now : 0;
}

int Deadline::poll_ms() const {
    if (is_never()) return -1;
    const std::int64_t left = left_us();
    const std::int64_t ms = left / 1000 + (left % 1000 != 0 ? 1 : 0);
    return static_cast<int>(std::min<std::int64_t>(ms, std::numeric_limits<int>::max()));
}

}  // namespace nopoll::net
