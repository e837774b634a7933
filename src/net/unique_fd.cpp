// SPDX-License-Identifier: MIT
// Closing without side effects. close(2) is a cancellation point and overwrites errno; neither
// may show where a destructor runs.
#include "net/unique_fd.hpp"

#include <cerrno>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace nopoll::net {

void close_quietly(int fd) noexcept {
    if (fd < 0) return;
    const int saved_errno = errno;
    int old_state = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old_state);
    // Not repeated on EINTR: Linux has released the number by then, a second call could hit a
    // descriptor that another thread just opened.
    close(fd);
    pthread_setcancelstate(old_state, nullptr);
    errno = saved_errno;
}

UniqueFd above_standard(UniqueFd fd, OnExec on_exec) {
    constexpr int kFirst = 3;
    if (!fd.valid() || fd.get() >= kFirst) return fd;
    return UniqueFd(fcntl(fd.get(), on_exec == OnExec::close ? F_DUPFD_CLOEXEC : F_DUPFD, kFirst));
}

}  // namespace nopoll::net
