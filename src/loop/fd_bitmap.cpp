// SPDX-License-Identifier: MIT
// The check that keeps wild descriptor numbers out of the bitmaps, and the system call itself.
#include "loop/fd_bitmap.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>

namespace nopoll::loop {

bool is_selectable(int fd) {
    return fd >= 0 && (fd < FD_SETSIZE || fcntl(fd, F_GETFD) >= 0);
}

int select_bitmaps(FdBitmap& read, FdBitmap& write, std::int64_t timeout_us) {
    timeval timeout{};
    timeout.tv_sec = static_cast<decltype(timeout.tv_sec)>(timeout_us / 1000000);
    timeout.tv_usec = static_cast<decltype(timeout.tv_usec)>(timeout_us % 1000000);
    const int count = select(std::max(read.limit(), write.limit()), read.for_select(),
                             write.for_select(), nullptr, &timeout);
    return count < 0 ? -errno : count;
}

}  // namespace nopoll::loop
