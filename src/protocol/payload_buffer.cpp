// SPDX-License-Identifier: MIT
// The payload of a frame while it arrives: growth by doubling within the announced size.
#include "protocol/payload_buffer.hpp"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace nopoll::protocol {

namespace {

constexpr std::size_t kFirstCapacity = 4096;
constexpr std::size_t kLargest = PTRDIFF_MAX - 1;  // no object is larger than PTRDIFF_MAX

}  // namespace

PayloadBuffer::~PayloadBuffer() {
    std::free(data_);
}

void PayloadBuffer::grow(std::size_t wanted, std::size_t most) {
    if (wanted > kLargest) throw std::bad_alloc();
    const std::size_t doubled = capacity_ <= kLargest / 2 ? capacity_ * 2 : kLargest;
    const std::size_t generous = std::max({wanted + 1, doubled, kFirstCapacity});
    const std::size_t capacity = std::min(generous, std::min(most, kLargest) + 1);
    auto* data = static_cast<std::byte*>(std::realloc(data_, capacity));
    if (data == nullptr) throw std::bad_alloc();
    data_ = data;
    capacity_ = capacity;
}

std::span<std::byte> PayloadBuffer::room(std::size_t most, std::size_t total) {
    assert(most > 0 && total > size_);
    const std::size_t useful = std::min(most, total - size_);
    const std::size_t free = capacity_ > 0 ? capacity_ - 1 - size_ : 0;
    // A few bytes at the end of the block are not worth a receive call of their own.
    if (free < useful && free < std::max<std::size_t>(capacity_ / 4, 1)) grow(size_ + 1, total);
    return {data_ + size_, std::min(useful, capacity_ - 1 - size_)};
}

std::span<std::byte> PayloadBuffer::room_for(std::size_t count, std::size_t total) {
    assert(count <= total - size_);
    if (capacity_ == 0 || capacity_ - 1 - size_ < count) grow(size_ + count, total);
    return {data_ + size_, count};
}

void PayloadBuffer::append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > kLargest - size_) throw std::bad_alloc();
    std::memcpy(room_for(bytes.size(), kLargest).data(), bytes.data(), bytes.size());
    commit(bytes.size());
}

char* PayloadBuffer::release() {
    if (data_ == nullptr) grow(0, 0);
    // The program may keep the message for long: give back what doubling left over.
    if (capacity_ / 2 > size_ + 1) {
        if (void* fitted = std::realloc(data_, size_ + 1); fitted != nullptr) {
            data_ = static_cast<std::byte*>(fitted);
        }
    }
    data_[size_] = std::byte{0};
    size_ = 0;
    capacity_ = 0;
    return reinterpret_cast<char*>(std::exchange(data_, nullptr));
}

void PayloadBuffer::clear() {
    std::free(std::exchange(data_, nullptr));
    size_ = 0;
    capacity_ = 0;
}

}  // namespace nopoll::protocol
