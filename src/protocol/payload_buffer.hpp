// SPDX-License-Identifier: MIT
// The payload of a frame while it arrives: a malloc'ed block that grows with the bytes received,
// never on the word of a length field, and that a C program may free in the end.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace nopoll::protocol {

class PayloadBuffer {
public:
    PayloadBuffer() = default;
    PayloadBuffer(PayloadBuffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    PayloadBuffer& operator=(PayloadBuffer&& other) noexcept {
        PayloadBuffer taken(std::move(other));
        std::swap(data_, taken.data_);
        std::swap(size_, taken.size_);
        std::swap(capacity_, taken.capacity_);
        return *this;
    }
    PayloadBuffer(const PayloadBuffer&) = delete;
    PayloadBuffer& operator=(const PayloadBuffer&) = delete;
    ~PayloadBuffer();

    [[nodiscard]] std::byte* data() { return data_; }
    [[nodiscard]] const std::byte* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

    // Uninitialised space behind the content for bytes about to be received: at least one, at most
    // `most`. `total` (> size()) is what the content may become; the block doubles as it fills up
    // but never goes beyond total + 1. Throws std::bad_alloc.
    [[nodiscard]] std::span<std::byte> room(std::size_t most, std::size_t total);

    // Uninitialised space for `count` bytes that are there already. Same growth, same `total`.
    [[nodiscard]] std::span<std::byte> room_for(std::size_t count, std::size_t total);

    // `count` bytes were written at the start of the last room.
    void commit(std::size_t count) { size_ += count; }

    void append(std::span<const std::byte> bytes);

    // The block, with a 0 byte behind the content; never null, to be given to free(). Leaves the
    // buffer empty. Throws std::bad_alloc only when nothing was ever stored.
    [[nodiscard]] char* release();

    void clear();

private:
    void grow(std::size_t wanted, std::size_t most);

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;  // 0 or > size_: the 0 byte of release() always fits
};

}  // namespace nopoll::protocol
