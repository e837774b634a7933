// SPDX-License-Identifier: MIT
//
// Ownership of memory that a program may free or replace: it comes from malloc, never from new
// (spec: messages-logging-utils.md, "nopoll_free and free are interchangeable").
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace nopoll::core {

struct FreeDeleter {
    void operator()(void* block) const noexcept { std::free(block); }
};

// MallocPtr<char[]> for text and payloads, MallocPtr<T> for a plain struct.
template <class T>
using MallocPtr = std::unique_ptr<T, FreeDeleter>;

// A block of at least one byte with unspecified content; throws std::bad_alloc.
[[nodiscard]] inline MallocPtr<char[]> allocate_bytes(std::size_t bytes) {
    MallocPtr<char[]> block(static_cast<char*>(std::malloc(bytes == 0 ? 1 : bytes)));
    if (!block) {
        throw std::bad_alloc();
    }
    return block;
}

// One zeroed plain struct that C code may release with free(); throws std::bad_alloc.
template <class T>
[[nodiscard]] MallocPtr<T> allocate_zeroed() {
    MallocPtr<T> block(static_cast<T*>(std::calloc(1, sizeof(T))));
    if (!block) {
        throw std::bad_alloc();
    }
    return block;
}

}  // namespace nopoll::core
