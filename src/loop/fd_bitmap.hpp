// SPDX-License-Identifier: MIT
// A set of descriptors in the memory layout that select(2) works on, without the limit of fd_set:
// Linux takes bitmaps of any size. The FD_ macros are not used, they stop at FD_SETSIZE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <sys/select.h>

namespace nopoll::loop {

class FdBitmap {
public:
    using Word = unsigned long;
    static constexpr int kWordBits = std::numeric_limits<Word>::digits;

    // fd is never negative. Throws std::bad_alloc.
    void add(int fd) {
        if (index(fd) >= words_.size()) words_.resize(index(fd) + 1);
        words_[index(fd)] |= bit(fd);
    }

    void remove(int fd) {
        if (index(fd) >= words_.size()) return;
        words_[index(fd)] &= ~bit(fd);
        while (!words_.empty() && words_.back() == 0)
            words_.pop_back();
    }

    [[nodiscard]] bool contains(int fd) const {
        return fd >= 0 && index(fd) < words_.size() && (words_[index(fd)] & bit(fd)) != 0;
    }

    void clear() { words_.clear(); }

    // Makes room beforehand, so that add (fd) cannot fail.
    void reserve(int fd) { words_.reserve(index(fd) + 1); }

    [[nodiscard]] std::size_t word_count() const { return words_.size(); }
    [[nodiscard]] Word word(std::size_t i) const { return i < words_.size() ? words_[i] : 0; }

    // First argument of select for this set: one more than any member.
    [[nodiscard]] int limit() const { return static_cast<int>(words_.size()) * kWordBits; }

    // Copies other's members and appends empty words up to `words`.
    void assign(const FdBitmap& other, std::size_t words) {
        words_ = other.words_;
        words_.resize(words);
    }

    // Null for a set without words, which select takes for "nothing".
    [[nodiscard]] fd_set* for_select() {
        return words_.empty() ? nullptr : reinterpret_cast<fd_set*>(words_.data());
    }

private:
    static std::size_t index(int fd) { return static_cast<std::size_t>(fd / kWordBits); }
    static Word bit(int fd) { return Word{1} << (fd % kWordBits); }

    std::vector<Word> words_;
};

// Can select be asked for fd? Descriptors at or above FD_SETSIZE must be open, so that a wild
// number does not make the bitmap huge.
[[nodiscard]] bool is_selectable(int fd);

// select(2) on the two sets, which become the answer. Number of set bits, or -errno.
[[nodiscard]] int select_bitmaps(FdBitmap& read, FdBitmap& write, std::int64_t timeout_us);

}  // namespace nopoll::loop
