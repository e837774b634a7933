// SPDX-License-Identifier: MIT
// The array is kept between waits; a forgotten entry is replaced by the last one.
#include "loop/poll_engine.hpp"

#include <cerrno>
#include <fcntl.h>

namespace nopoll::loop {

bool PollEngine::watch(int fd, Interest interest) {
    if (!interest.read && !interest.write) {
        forget(fd);
        return true;
    }
    if (fd < 0) return false;
    const auto at = static_cast<std::size_t>(fd);
    const bool known = at < index_.size() && index_[at] >= 0;
    // A wild number must not make the index huge.
    if (!known && ::fcntl(fd, F_GETFD) < 0) return false;
    if (at >= index_.size()) index_.resize(at + 1, -1);
    if (!known) entries_.push_back({fd, 0, 0});
    if (!known) index_[at] = static_cast<std::int32_t>(entries_.size() - 1);
    pollfd& entry = entries_[static_cast<std::size_t>(index_[at])];
    entry.events =
        static_cast<short>((interest.read ? POLLIN : 0) | (interest.write ? POLLOUT : 0));
    return true;
}

void PollEngine::forget(int fd) {
    const auto at = static_cast<std::size_t>(fd);
    if (fd < 0 || at >= index_.size() || index_[at] < 0) return;
    const auto hole = static_cast<std::size_t>(index_[at]);
    index_[at] = -1;
    entries_[hole] = entries_.back();
    entries_.pop_back();
    if (hole < entries_.size())
        index_[static_cast<std::size_t>(entries_[hole].fd)] = static_cast<std::int32_t>(hole);
}

void PollEngine::forget_all() {
    entries_.clear();
    index_.clear();
}

int PollEngine::wait(std::int64_t timeout_us, std::vector<Event>& ready) {
    ready.clear();
    const std::int64_t us = bounded_wait_us(timeout_us);
    const timespec timeout{static_cast<time_t>(us / 1'000'000),
                           static_cast<long>(us % 1'000'000) * 1000};
    const int count = ::ppoll(entries_.data(), entries_.size(), &timeout, nullptr);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    int left = count;
    bool lost = false;
    for (const pollfd& entry : entries_) {
        if (left == 0) break;
        if (entry.revents == 0) continue;
        --left;
        lost = lost || (entry.revents & POLLNVAL) != 0;
        const bool ended = (entry.revents & (POLLERR | POLLHUP)) != 0;
        const bool asked_read = (entry.events & POLLIN) != 0;
        const bool asked_write = (entry.events & POLLOUT) != 0;
        ready.push_back({entry.fd, asked_read && ((entry.revents & POLLIN) != 0 || ended),
                         asked_write && ((entry.revents & POLLOUT) != 0 || ended)});
    }
    if (!lost) return count;
    ready.clear();
    return -EBADF;
}

}  // namespace nopoll::loop
