// SPDX-License-Identifier: MIT
// Mutex hooks as a careful port would install them: error-checking pthread mutexes that are not
// recursive, with books about everything, and a count of what this thread holds.
#pragma once

namespace nopoll::stress {

struct HookBooks {
    long created;
    long destroyed;
    long locked;
    long unlocked;
};

void install_hooks();
[[nodiscard]] HookBooks hook_books();

// Hook mutexes that the calling thread holds now; 0 without hooks. Inside every handler of the
// program it has to be 0.
[[nodiscard]] int hooks_held();

}  // namespace nopoll::stress
