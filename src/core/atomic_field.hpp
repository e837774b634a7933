// SPDX-License-Identifier: MIT
//
// Atomic access to plain fields of the public structs (reference counts, flags, handlers). The
// recorded layout allows no std::atomic there, and programs may look at such a field at any moment.
#pragma once

#include <atomic>
#include <type_traits>

namespace nopoll::core {

template <class T>
[[nodiscard]] T load_field(const T& field) {
    static_assert(std::atomic_ref<T>::is_always_lock_free);
    static_assert(std::atomic_ref<T>::required_alignment == alignof(T));
    // atomic_ref takes no const object in C++20; a load does not write.
    return std::atomic_ref<T>(const_cast<T&>(field)).load(std::memory_order_acquire);
}

template <class T>
void store_field(T& field, std::type_identity_t<T> value) {
    std::atomic_ref<T>(field).store(value, std::memory_order_release);
}

// Both return the value before the change.
template <class T>
T exchange_field(T& field, std::type_identity_t<T> value) {
    return std::atomic_ref<T>(field).exchange(value, std::memory_order_acq_rel);
}

template <class T>
T fetch_add_field(T& field, std::type_identity_t<T> delta) {
    return std::atomic_ref<T>(field).fetch_add(delta, std::memory_order_acq_rel);
}

// Adds one unless the count is 0 or below (the object is on its way out); false then.
[[nodiscard]] inline bool increment_if_positive(int& field) {
    std::atomic_ref<int> count(field);
    int seen = count.load(std::memory_order_relaxed);
    while (seen > 0) {
        if (count.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

// Takes one off unless the count is 0 or below already. True: that was the last one.
[[nodiscard]] inline bool decrement_to_zero(int& field) {
    std::atomic_ref<int> count(field);
    int seen = count.load(std::memory_order_relaxed);
    while (seen > 0) {
        if (count.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
            return seen == 1;
        }
    }
    return false;
}

}  // namespace nopoll::core
