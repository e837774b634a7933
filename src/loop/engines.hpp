// SPDX-License-Identifier: MIT
// Chooses a wait engine by the number that the C API has for it.
#pragma once

#include <memory>

#include "loop/wait_engine.hpp"

namespace nopoll::loop {

// 2 poll, 3 epoll (noPollIoEngineType); everything else is select, the default. Null when the
// engine's own descriptor cannot be had. Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<WaitEngine> make_engine(int type);

}  // namespace nopoll::loop
