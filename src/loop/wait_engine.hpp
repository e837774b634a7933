// SPDX-License-Identifier: MIT
// Waiting for many descriptors at once: the interface behind which select, poll and epoll stand.
// The watched set is kept between waits; only changes are told. Level triggered.
#pragma once

#include <cstdint>
#include <vector>

namespace nopoll::loop {

struct Interest {
    bool read = false;
    bool write = false;
};

struct Event {
    int fd = -1;
    bool readable = false;
    bool writable = false;
};

// No single wait takes longer: a lost wake-up costs at most this much.
inline constexpr std::int64_t kLongestWaitUs = 500000;

// The time a wait may really take: timeout_us within 0..kLongestWaitUs, negative = the longest.
[[nodiscard]] constexpr std::int64_t bounded_wait_us(std::int64_t timeout_us) {
    return timeout_us < 0 || timeout_us > kLongestWaitUs ? kLongestWaitUs : timeout_us;
}

// One engine belongs to one wait loop; it is not for use by two threads at once.
class WaitEngine {
public:
    WaitEngine() = default;
    WaitEngine(const WaitEngine&) = delete;
    WaitEngine& operator=(const WaitEngine&) = delete;
    virtual ~WaitEngine();

    // Adds fd or changes what it is watched for; no interest = forget. False: refused (bad
    // descriptor), nothing changed. Throws std::bad_alloc, also with nothing changed: a want of
    // memory passes, so nobody's connection is to end of it.
    [[nodiscard]] virtual bool watch(int fd, Interest interest) = 0;
    virtual void forget(int fd) = 0;
    virtual void forget_all() = 0;

    // A descriptor goes away in two steps. Whoever is about to close it (or to give it to somebody
    // else) ends what the kernel remembers of it, in any thread, with release(); the loop's thread
    // then does the books with forget_released(), when the number may mean something else already.
    virtual void release(int /*fd*/) {}
    virtual void forget_released(int fd) { forget(fd); }

    // False: a descriptor that was closed simply leaves the set, wait() says nothing of it.
    [[nodiscard]] virtual bool notices_closed() const { return true; }

    // Fills ready with the descriptors that can be read or written (errors and hang-ups count as
    // what was asked for). Returns their number, 0 on timeout or signal, -errno on failure.
    [[nodiscard]] virtual int wait(std::int64_t timeout_us, std::vector<Event>& ready) = 0;
};

}  // namespace nopoll::loop
