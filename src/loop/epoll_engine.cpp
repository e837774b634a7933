// SPDX-License-Identifier: MIT
// The kernel keeps the set. Descriptors that are closed leave it by themselves, so a number that
// comes again is simply added anew.
#include "loop/epoll_engine.hpp"

#include <cerrno>
#include <span>

#include "net/unique_fd.hpp"

namespace nopoll::loop {
namespace {

constexpr std::size_t kEventsAtOnce = 256;

// What was asked for travels with the descriptor: errors and hang-ups come unasked.
constexpr std::uint64_t kAskedRead = std::uint64_t{1} << 32;
constexpr std::uint64_t kAskedWrite = std::uint64_t{1} << 33;

}  // namespace

bool EpollEngine::open() {
    // Above the standard streams, as every descriptor of the library.
    epoll_ = net::above_standard(net::UniqueFd(::epoll_create1(EPOLL_CLOEXEC)),
                                 net::OnExec::close);
    events_.resize(kEventsAtOnce);
    return epoll_.valid();
}

bool EpollEngine::watch(int fd, Interest interest) {
    if (!interest.read && !interest.write) {
        forget(fd);
        return true;
    }
    epoll_event event{};
    event.events = (interest.read ? EPOLLIN : 0U) | (interest.write ? EPOLLOUT : 0U);
    event.data.u64 = static_cast<std::uint32_t>(fd) | (interest.read ? kAskedRead : 0) |
                     (interest.write ? kAskedWrite : 0);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return true;
    return errno == ENOENT && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void EpollEngine::forget(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void EpollEngine::forget_all() { (void)open(); }

int EpollEngine::wait(std::int64_t timeout_us, std::vector<Event>& ready) {
    ready.clear();
    const std::int64_t us = bounded_wait_us(timeout_us);
    // Whole milliseconds, rounded up: never back before the time that was asked for.
    const int timeout_ms = static_cast<int>((us + 999) / 1000);
    const int count =
        ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (const epoll_event& event : std::span(events_).first(static_cast<std::size_t>(count))) {
        const bool ended = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
        const std::uint64_t asked = event.data.u64;
        ready.push_back({static_cast<int>(static_cast<std::uint32_t>(asked)),
                         (asked & kAskedRead) != 0 && ((event.events & EPOLLIN) != 0 || ended),
                         (asked & kAskedWrite) != 0 && ((event.events & EPOLLOUT) != 0 || ended)});
    }
    return count;
}

}  // namespace nopoll::loop
