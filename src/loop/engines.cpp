// SPDX-License-Identifier: MIT
// Chooses a wait engine by the number that the C API has for it.
#include "loop/engines.hpp"

#include "loop/select_engine.hpp"

namespace nopoll::loop {

std::unique_ptr<WaitEngine> make_engine(int) {
    return std::make_unique<SelectEngine>();
}

}  // namespace nopoll::loop
