// SPDX-License-Identifier: MIT
// Read-only sets for programs that drive the engine's six handlers themselves.
#include "loop/select_set.hpp"

#include <cerrno>
#include <new>

namespace nopoll::loop {

void SelectSet::clear() {
    set_.clear();
}

bool SelectSet::add(int fd) {
    if (!set_.contains(fd) && !is_selectable(fd)) return false;
    try {  // the handler's contract has a "refused", so no exception leaves for want of memory
        set_.add(fd);
    } catch (const std::bad_alloc&) {
        return false;
    }
    return true;
}

int SelectSet::wait() {
    FdBitmap none;
    const int count = select_bitmaps(set_, none, bounded_wait_us(longest_us_));
    if (count <= 0) set_.clear();
    return count == -EINTR ? 0 : count;
}

}  // namespace nopoll::loop
