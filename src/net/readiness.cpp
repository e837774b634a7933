// SPDX-License-Identifier: MIT
// poll(2) on one descriptor, with a deadline instead of a number of milliseconds.
#include "net/readiness.hpp"

#include <cerrno>

#include <poll.h>

namespace nopoll::net {

Ready wait_for(int fd, bool to_read, bool to_write, Deadline deadline) {
    if (fd < 0) {  // poll would ignore it and wait
        errno = EBADF;
        return Ready::failed;
    }
    pollfd entry{};
    entry.fd = fd;
    entry.events = static_cast<short>((to_read ? POLLIN : 0) | (to_write ? POLLOUT : 0));
    for (;;) {
        const int timeout_ms = deadline.poll_ms();
        const int count = poll(&entry, 1, timeout_ms);
        if (count > 0) {
            if ((entry.revents & POLLNVAL) == 0) return Ready::yes;
            errno = EBADF;
            return Ready::failed;
        }
        if (count < 0 && errno != EINTR) return Ready::failed;
        // Asked at least once, also when the deadline had passed before.
        if (deadline.passed()) return Ready::timeout;
    }
}

Ready wait_readable(int fd, Deadline deadline) {
    return wait_for(fd, true, false, deadline);
}

Ready wait_writable(int fd, Deadline deadline) {
    return wait_for(fd, false, true, deadline);
}

bool is_readable_now(int fd) {
    return wait_readable(fd, Deadline::after_us(0)) == Ready::yes;
}

}  // namespace nopoll::net
