// SPDX-License-Identifier: MIT
// poll(2): one array entry per descriptor, whatever its number.
#pragma once

#include <poll.h>

#include "loop/wait_engine.hpp"

namespace nopoll::loop {

class PollEngine final : public WaitEngine {
public:
    [[nodiscard]] bool watch(int fd, Interest interest) override;
    void forget(int fd) override;
    void forget_all() override;
    [[nodiscard]] int wait(std::int64_t timeout_us, std::vector<Event>& ready) override;

private:
    std::vector<pollfd> entries_;
    std::vector<std::int32_t> index_;  // of a descriptor's entry, -1: not watched
};

}  // namespace nopoll::loop
