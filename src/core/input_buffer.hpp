// SPDX-License-Identifier: MIT
// Bytes that a loop has read ahead for a connection. The block behind them is borrowed from a pool
// for as long as there are bytes, so that a thousand idle connections hold none.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace nopoll::core {

constexpr std::size_t kInputBlock = 64 * 1024;

class InputBufferPool {
public:
    using Block = std::unique_ptr<std::byte[]>;
    Block take();  // throws std::bad_alloc
    void give(Block block) noexcept;

private:
    static constexpr std::size_t kKept = 4;
    std::mutex mutex_;
    std::vector<Block> kept_;
};

class InputBuffer {
public:
    bool empty() const { return begin_ == end_; }
    std::span<const std::byte> bytes() const { return {block_.get() + begin_, end_ - begin_}; }
    // Room for one read; only while empty.
    std::span<std::byte> room(InputBufferPool& pool) {
        if (!block_) block_ = pool.take();
        begin_ = end_ = 0;
        return {block_.get(), kInputBlock};
    }
    void filled(std::size_t bytes) { end_ = begin_ + bytes; }
    void consume(std::size_t bytes) { begin_ += bytes; }
    // Gives the block back when nothing is left in it.
    void settle(InputBufferPool& pool) noexcept {
        if (!empty() || !block_) return;
        begin_ = end_ = 0;
        pool.give(std::move(block_));
    }
    void drop(InputBufferPool& pool) noexcept {
        begin_ = end_ = 0;
        settle(pool);
    }

private:
    InputBufferPool::Block block_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

inline InputBufferPool::Block InputBufferPool::take() {
    {
        const std::lock_guard guard(mutex_);
        if (!kept_.empty()) {
            Block block = std::move(kept_.back());
            kept_.pop_back();
            return block;
        }
        kept_.reserve(kKept);
    }
    return Block(new std::byte[kInputBlock]);
}

inline void InputBufferPool::give(Block block) noexcept {
    const std::lock_guard guard(mutex_);
    if (kept_.size() < kKept && kept_.size() < kept_.capacity()) kept_.push_back(std::move(block));
}

}  // namespace nopoll::core
