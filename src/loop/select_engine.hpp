// SPDX-License-Identifier: MIT
// The default engine: select(2) on bitmaps as large as the highest descriptor needs.
#pragma once

#include "loop/fd_bitmap.hpp"
#include "loop/wait_engine.hpp"

namespace nopoll::loop {

class SelectEngine final : public WaitEngine {
public:
    [[nodiscard]] bool watch(int fd, Interest interest) override;
    void forget(int fd) override;
    void forget_all() override;
    [[nodiscard]] int wait(std::int64_t timeout_us, std::vector<Event>& ready) override;

private:
    FdBitmap read_, write_;         // what is watched
    FdBitmap readable_, writable_;  // copies that select turns into its answer
};

}  // namespace nopoll::loop
