// SPDX-License-Identifier: MIT
// The watched sets are copied for each wait, the answer is read word by word.
#include "loop/select_engine.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace nopoll::loop {

bool SelectEngine::watch(int fd, Interest interest) {
    if (!interest.read && !interest.write) {
        forget(fd);
        return true;
    }
    const bool known = read_.contains(fd) || write_.contains(fd);
    if (!known && !is_selectable(fd)) return false;
    read_.reserve(fd);
    write_.reserve(fd);
    if (interest.read)
        read_.add(fd);
    else
        read_.remove(fd);
    if (interest.write)
        write_.add(fd);
    else
        write_.remove(fd);
    return true;
}

void SelectEngine::forget(int fd) {
    if (fd < 0) return;
    read_.remove(fd);
    write_.remove(fd);
}

void SelectEngine::forget_all() {
    read_.clear();
    write_.clear();
}

int SelectEngine::wait(std::int64_t timeout_us, std::vector<Event>& ready) {
    ready.clear();
    const std::size_t words = std::max(read_.word_count(), write_.word_count());
    readable_.assign(read_, words);
    writable_.assign(write_, write_.word_count() == 0 ? 0 : words);
    const int count = select_bitmaps(readable_, writable_, bounded_wait_us(timeout_us));
    if (count <= 0) return count == -EINTR ? 0 : count;

    int bits = 0;
    for (std::size_t i = 0; i < words; ++i) {
        const FdBitmap::Word readable = readable_.word(i);
        const FdBitmap::Word writable = writable_.word(i);
        bits += std::popcount(readable) + std::popcount(writable);
        for (FdBitmap::Word left = readable | writable; left != 0; left &= left - 1) {
            const int position = std::countr_zero(left);
            const int fd = static_cast<int>(i) * FdBitmap::kWordBits + position;
            ready.push_back(
                {fd, ((readable >> position) & 1) != 0, ((writable >> position) & 1) != 0});
        }
    }
    // Linux neither looks at nor clears bits above the size of the process's descriptor table,
    // which can only hold closed descriptors. Their bits must not pass for readiness.
    if (bits != count) {
        ready.clear();
        return -EBADF;
    }
    return static_cast<int>(ready.size());
}

}  // namespace nopoll::loop
