// SPDX-License-Identifier: MIT
// Waiting for one descriptor with poll(2). A socket error or a hang-up counts as ready: the
// next read or write tells what happened.
#pragma once

#include "net/clock.hpp"

namespace nopoll::net {

enum class Ready {
    yes,
    timeout,
    failed,  // no open descriptor, or poll failed; errno tells
};

[[nodiscard]] Ready wait_readable(int fd, Deadline deadline);
[[nodiscard]] Ready wait_writable(int fd, Deadline deadline);

// Ready when either asked direction is.
[[nodiscard]] Ready wait_for(int fd, bool to_read, bool to_write, Deadline deadline);

[[nodiscard]] bool is_readable_now(int fd);

}  // namespace nopoll::net
