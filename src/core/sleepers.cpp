// SPDX-License-Identifier: MIT
// The waits of a context that may have to be woken; see sleepers.hpp.
#include "core/sleepers.hpp"

namespace nopoll::core {

SleeperList::~SleeperList() {
    for (Sleeper* sleeper = head_.load(); sleeper != nullptr;) {
        Sleeper* const next = sleeper->next_;
        delete sleeper;
        sleeper = next;
    }
}

Sleeper& SleeperList::enter(ThreadToken thread) {
    Sleeper* idle = nullptr;
    for (Sleeper* s = head_.load(std::memory_order_acquire); s != nullptr; s = s->next_) {
        if (s->depth_ > 0 && s->owner_ == thread) {
            ++s->depth_;
            return *s;
        }
        if (s->depth_ == 0) idle = s;
    }
    if (idle == nullptr) {
        idle = new Sleeper;
        idle->next_ = head_.load(std::memory_order_relaxed);
        head_.store(idle, std::memory_order_release);
    }
    idle->owner_ = thread;
    idle->depth_ = 1;
    return *idle;
}

void SleeperList::leave(Sleeper& sleeper) {
    if (--sleeper.depth_ == 0) sleeper.owner_ = nullptr;
}

void SleeperList::wake_all() const {
    for (Sleeper* s = head_.load(std::memory_order_acquire); s != nullptr; s = s->next_)
        if (s->asleep.exchange(false)) s->pipe.signal();
}

}  // namespace nopoll::core
