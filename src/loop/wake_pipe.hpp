// SPDX-License-Identifier: MIT
// Ends a wait from another thread or from a signal handler: a pipe whose read end is watched.
// Programs that close every descriptor (daemons) are expected; so are forks.
#pragma once

#include <atomic>
#include <mutex>

#include <sys/types.h>

namespace nopoll::loop {

class WakePipe {
public:
    WakePipe() = default;
    WakePipe(const WakePipe&) = delete;
    WakePipe& operator=(const WakePipe&) = delete;
    // Closes only what is still ours.
    ~WakePipe();

    // Makes the pipe, or makes it anew when its descriptors are no longer the ones we opened or
    // belong to a parent process. False: no descriptors left. Call at the entry of each wait.
    [[nodiscard]] bool ensure();

    // -1 before the first ensure().
    [[nodiscard]] int read_end() const { return read_end_.load(std::memory_order_relaxed); }

    // Counts the pipes made so far: another number tells that the descriptors are others.
    [[nodiscard]] unsigned generation() const { return generation_; }

    // Takes all wake-ups that came so far.
    void drain() const;

    // Async-signal-safe; errno is kept. Nothing before the first ensure().
    void signal();

private:
    struct Identity {
        dev_t device = 0;
        ino_t inode = 0;
    };
    [[nodiscard]] bool is_ours(int fd) const;
    void close_ours();

    std::mutex mutex_;  // ensure only
    std::atomic<int> read_end_{-1};
    std::atomic<int> write_end_{-1};
    unsigned generation_ = 0;
    Identity identity_;  // both ends of a pipe have the same
    pid_t owner_ = 0;
};

static_assert(std::atomic<int>::is_always_lock_free, "signal() runs in signal handlers");

}  // namespace nopoll::loop
