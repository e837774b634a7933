// SPDX-License-Identifier: MIT
// The object behind the six exported handlers of the select engine (nopoll_io_wait_select_*):
// filled anew before each wait, for reading only.
#pragma once

#include <cstdint>

#include "loop/fd_bitmap.hpp"
#include "loop/wait_engine.hpp"

namespace nopoll::loop {

class SelectSet {
public:
    void clear();

    // False: negative, or at or above FD_SETSIZE and not open, or no memory.
    [[nodiscard]] bool add(int fd);

    // Number of ready descriptors, to which the set is reduced; 0 on timeout or signal, -errno on
    // failure (the set is empty then).
    [[nodiscard]] int wait();

    [[nodiscard]] bool is_set(int fd) const { return set_.contains(fd); }

    // A loop that has less time than the usual 500 ms says so before wait.
    void limit_wait_us(std::int64_t longest_us) { longest_us_ = longest_us; }

private:
    FdBitmap set_;
    std::int64_t longest_us_ = kLongestWaitUs;
};

}  // namespace nopoll::loop
