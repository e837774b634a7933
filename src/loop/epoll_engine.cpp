// SPDX-License-Identifier: MIT
// The kernel keeps the set. A closed descriptor leaves it by itself only if no other one refers to
// the same socket: a child process may hold one. Hence release(), before the close.
#include "loop/epoll_engine.hpp"

#include <cerrno>
#include <span>

#include "net/no_cancel.hpp"
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
    epoll_ = net::above_standard(net::UniqueFd(::epoll_create1(EPOLL_CLOEXEC)), net::OnExec::close);
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

void EpollEngine::forget(int fd) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EpollEngine::release(int fd) {
    forget(fd);
}

void EpollEngine::forget_all() {
    close_ours();
    (void)open();
}

// Programs that become daemons close every descriptor: the number may be a file of theirs by now.
void EpollEngine::close_ours() {
    epoll_event event{};
    const net::NoCancel no_cancel;
    const bool ours =
        epoll_.valid() && (::epoll_wait(epoll_.get(), &event, 1, 0) >= 0 || errno == EINTR);
    if (!ours) (void)epoll_.release();
    epoll_.reset();
}

int EpollEngine::wait(std::int64_t timeout_us, std::vector<Event>& ready) {
    ready.clear();
    const std::int64_t us = bounded_wait_us(timeout_us);
    // Whole milliseconds, rounded up: never back before the time that was asked for.
    const int timeout_ms = static_cast<int>((us + 999) / 1000);
    int count =
        ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
    // A pass serves everybody who is ready: ask again, with room for all.
    while (count == static_cast<int>(events_.size())) {
        events_.resize(2 * events_.size());
        count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), 0);
    }
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
