// SPDX-License-Identifier: MIT
// epoll(7), level triggered: the cost of a wait follows the ready descriptors, not the watched
// ones.
#pragma once

#include <sys/epoll.h>

#include "loop/wait_engine.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::loop {

class EpollEngine final : public WaitEngine {
public:
    // False: no descriptor to be had for the epoll instance itself.
    [[nodiscard]] bool open();
    EpollEngine() = default;
    ~EpollEngine() override { close_ours(); }

    [[nodiscard]] bool watch(int fd, Interest interest) override;
    void forget(int fd) override;
    void forget_all() override;
    void release(int fd) override;
    void forget_released(int /*fd*/) override {}
    [[nodiscard]] bool notices_closed() const override { return false; }
    [[nodiscard]] int wait(std::int64_t timeout_us, std::vector<Event>& ready) override;

private:
    void close_ours();

    net::UniqueFd epoll_;
    std::vector<epoll_event> events_;
};

}  // namespace nopoll::loop
