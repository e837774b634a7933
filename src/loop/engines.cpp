// SPDX-License-Identifier: MIT
// Chooses a wait engine by the number that the C API has for it.
#include "loop/engines.hpp"

#include "loop/epoll_engine.hpp"
#include "loop/poll_engine.hpp"
#include "loop/select_engine.hpp"

namespace nopoll::loop {

std::unique_ptr<WaitEngine> make_engine(int type) {
    if (type == 2) return std::make_unique<PollEngine>();
    if (type != 3) return std::make_unique<SelectEngine>();
    auto epoll = std::make_unique<EpollEngine>();
    if (!epoll->open()) return nullptr;
    return epoll;
}

}  // namespace nopoll::loop
