// SPDX-License-Identifier: MIT
// The one place where the interface's virtual table lives.
#include "loop/wait_engine.hpp"

namespace nopoll::loop {

WaitEngine::~WaitEngine() = default;

}  // namespace nopoll::loop
