// SPDX-License-Identifier: MIT
// What every wait engine must do, whatever system call it stands on: the same tests run over each.
#pragma once

#include <memory>

#include "loop/wait_engine.hpp"

namespace nopoll::loop::test {

using MakeEngine = std::unique_ptr<WaitEngine> (*)();

// Runs the group under this name; number of failures.
int run_engine_cases(const char* name, MakeEngine make);

}  // namespace nopoll::loop::test
