// SPDX-License-Identifier: MIT
// Replaces the allocation functions of a unit test program, so that one of them can fail. To be
// included by one source file of it.
#pragma once

#include <cstdlib>
#include <new>

namespace nopoll::test {

// The n-th allocation from now on fails; 0: none.
inline int failing_allocation = 0;

}  // namespace nopoll::test

// Not inlined: the compiler would complain that free() does not belong to new.
[[gnu::noinline]] void* operator new(std::size_t size) {
    if (nopoll::test::failing_allocation > 0 && --nopoll::test::failing_allocation == 0)
        throw std::bad_alloc();
    void* const block = std::malloc(size == 0 ? 1 : size);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
    std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept {
    std::free(block);
}
// A sanitizer's other forms would not come here by themselves.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    try {
        return operator new(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
[[gnu::noinline]] void* operator new[](std::size_t size) {
    return operator new(size);
}
[[gnu::noinline]] void operator delete[](void* block) noexcept {
    std::free(block);
}
[[gnu::noinline]] void operator delete[](void* block, std::size_t) noexcept {
    std::free(block);
}
