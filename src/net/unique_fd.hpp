// SPDX-License-Identifier: MIT
// Ownership of one file descriptor. Closing keeps errno and is no place where a thread can be
// cancelled, so that destructors may run while a cancelled thread unwinds.
#pragma once

#include <utility>

namespace nopoll::net {

// Closes fd (negative: nothing) with thread cancellation disabled; errno is left as it was.
void close_quietly(int fd) noexcept;

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(other.release());
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
    explicit operator bool() const noexcept { return valid(); }

    // Gives the descriptor up without closing it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    void reset(int fd = -1) noexcept { close_quietly(std::exchange(fd_, fd)); }

private:
    int fd_ = -1;
};

enum class OnExec { keep, close };

// Moves descriptors 0, 1 and 2 to 3 or above: a program that closed its standard streams must not
// find a socket there. An invalid result means the move failed and the descriptor is closed.
[[nodiscard]] UniqueFd above_standard(UniqueFd fd, OnExec on_exec = OnExec::keep);

}  // namespace nopoll::net
