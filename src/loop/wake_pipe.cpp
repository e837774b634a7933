// SPDX-License-Identifier: MIT
// A pipe that survives programs which close all descriptors, and forks.
#include "loop/wake_pipe.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/unique_fd.hpp"

namespace nopoll::loop {

WakePipe::~WakePipe() {
    close_ours();
}

bool WakePipe::is_ours(int fd) const {
    struct stat status {};
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == identity_.device &&
           status.st_ino == identity_.inode;
}

void WakePipe::close_ours() {
    for (std::atomic<int>* end : {&write_end_, &read_end_}) {
        const int fd = end->exchange(-1);
        if (is_ours(fd)) net::close_quietly(fd);
    }
}

bool WakePipe::ensure() {
    const std::lock_guard lock(mutex_);
    if (owner_ == getpid() && is_ours(read_end_.load()) && is_ours(write_end_.load())) return true;
    close_ours();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    net::UniqueFd first(ends[0]);
    net::UniqueFd second(ends[1]);
    first = net::above_standard(std::move(first), net::OnExec::close);
    second = net::above_standard(std::move(second), net::OnExec::close);
    struct stat status {};
    if (!first || !second || fstat(first.get(), &status) != 0) return false;
    identity_ = {status.st_dev, status.st_ino};
    ++generation_;
    owner_ = getpid();
    read_end_.store(first.release());
    write_end_.store(second.release());
    return true;
}

void WakePipe::drain() const {
    char bytes[64];
    const int fd = read_end();
    if (fd < 0) return;
    ssize_t count = 0;
    do {
        count = read(fd, bytes, sizeof bytes);
    } while (count == static_cast<ssize_t>(sizeof bytes) || (count < 0 && errno == EINTR));
}

void WakePipe::signal() {
    const int saved_errno = errno;
    const int fd = write_end_.load();
    if (fd >= 0) {
        // A full pipe already wakes; an error means the program closed it: then the bounded wait
        // has to do.
        ssize_t count = 0;
        do {
            count = write(fd, "", 1);
        } while (count < 0 && errno == EINTR);
    }
    errno = saved_errno;
}

}  // namespace nopoll::loop
