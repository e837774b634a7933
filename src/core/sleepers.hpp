// SPDX-License-Identifier: MIT
// The waits of a context that may have to be woken: each has a pipe of its own, so that none can
// take a wake-up that was meant for another. wake_all() is async-signal-safe: it reads a list that
// only ever grows, and writes one byte to each pipe whose wait is asleep.
#pragma once

#include <atomic>

#include "core/thread_token.hpp"
#include "loop/wake_pipe.hpp"

namespace nopoll::core {

class Sleeper {
public:
    loop::WakePipe pipe;
    std::atomic<bool> asleep{false};

private:
    friend class SleeperList;
    ThreadToken owner_ = nullptr;
    int depth_ = 0;
    Sleeper* next_ = nullptr;
};

class SleeperList {
public:
    SleeperList() = default;
    ~SleeperList();
    SleeperList(const SleeperList&) = delete;
    SleeperList& operator=(const SleeperList&) = delete;

    // enter/leave under the context's lock. Nested waits of a thread share a sleeper: only the
    // innermost one sleeps. Throws std::bad_alloc.
    Sleeper& enter(ThreadToken thread);
    static void leave(Sleeper& sleeper);

    void wake_all() const;

private:
    std::atomic<Sleeper*> head_{nullptr};
};

}  // namespace nopoll::core
