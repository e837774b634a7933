// SPDX-License-Identifier: MIT
// Accounting of unsent bytes; see outbox.hpp.
#include "core/outbox.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nopoll::core {
namespace {

// Small queued frames share blocks of this size, so that a long queue is not a long list.
constexpr std::size_t kQueueBlock = 64 * 1024;

void copy_both(std::byte* to, std::span<const std::byte> head, std::span<const std::byte> body) {
    if (!head.empty()) std::memcpy(to, head.data(), head.size());
    if (!body.empty()) std::memcpy(to + head.size(), body.data(), body.size());
}

}  // namespace

bool Outbox::has(Account account) const {
    return std::any_of(segments_.begin() + static_cast<std::ptrdiff_t>(first_), segments_.end(),
                       [account](const Segment& s) { return s.account == account; });
}

std::size_t Outbox::unsent_bytes(Account account) const {
    std::size_t total = 0;
    for (std::size_t i = first_; i < segments_.size(); ++i)
        if (segments_[i].account == account) total += segments_[i].size - segments_[i].sent;
    return total;
}

std::size_t Outbox::pending_bytes() const {
    return credit_ + unsent_bytes(Account::program) + library_bytes();
}

std::uint64_t Outbox::append(Account account, std::span<const std::byte> head,
                             std::span<const std::byte> body, std::size_t header_bytes) {
    if (account == Account::queued && extend_queue(head, body)) return last_ticket_;
    const std::size_t size = head.size() + body.size();
    return push(account, head, body, header_bytes,
                account == Account::queued ? std::max(size, kQueueBlock) : size);
}

std::uint64_t Outbox::push(Account account, std::span<const std::byte> head,
                           std::span<const std::byte> body, std::size_t header_bytes,
                           std::size_t capacity) {
    const std::size_t size = head.size() + body.size();
    Segment segment;
    segment.capacity = capacity;
    segment.bytes.reset(new std::byte[std::max<std::size_t>(segment.capacity, 1)]);
    copy_both(segment.bytes.get(), head, body);
    segment.size = size;
    segment.header_bytes = header_bytes;
    segment.account = account;
    segment.ticket = last_ticket_ + 1;
    segments_.push_back(std::move(segment));
    if (account == Account::queued) queued_bytes_ += size;
    return ++last_ticket_;
}

bool Outbox::extend_queue(std::span<const std::byte> head, std::span<const std::byte> body) {
    if (segments_.empty()) return false;
    Segment& back = segments_.back();
    const std::size_t size = head.size() + body.size();
    if (back.account != Account::queued || back.pong || back.capacity - back.size < size)
        return false;
    copy_both(back.bytes.get() + back.size, head, body);
    back.size += size;
    queued_bytes_ += size;
    return true;
}

void Outbox::append_pong(std::span<const std::byte> frame, Account account) {
    std::size_t older = segments_.size();
    while (older > first_ && !(segments_[older - 1].pong && !segments_[older - 1].tried))
        --older;
    push(account, frame, {}, 0, frame.size());
    segments_.back().pong = true;
    if (older == first_) return;
    // The new one is at the end, so that pongs stay in the order of their pings.
    const auto replaced = segments_.begin() + static_cast<std::ptrdiff_t>(older - 1);
    if (replaced->account == Account::queued) queued_bytes_ -= replaced->size;
    segments_.erase(replaced);
}

std::span<const std::byte> Outbox::next() {
    if (first_ == segments_.size()) return {};
    Segment& front = segments_[first_];
    front.tried = true;
    offered_ = front.ticket;
    return {front.bytes.get() + front.sent, front.size - front.sent};
}

std::size_t Outbox::written(std::size_t bytes) {
    if (first_ == segments_.size() || segments_[first_].ticket != offered_) return 0;
    Segment& front = segments_[first_];
    const std::size_t before = std::max(front.sent, front.header_bytes);
    front.sent += bytes;
    if (front.account == Account::queued) queued_bytes_ -= bytes;
    const std::size_t payload = front.sent > before ? front.sent - before : 0;
    const bool counts = front.account == Account::program;
    if (front.sent == front.size) drop_front();
    return counts ? payload : 0;
}

void Outbox::drop_front() {
    segments_[first_] = Segment{};
    if (++first_ == segments_.size()) {
        segments_.clear();
        first_ = 0;
        if (segments_.capacity() > 16) segments_.shrink_to_fit();
    } else if (first_ >= 64) {
        segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
}

bool Outbox::is_out(std::uint64_t ticket) const {
    return std::none_of(segments_.begin() + static_cast<std::ptrdiff_t>(first_), segments_.end(),
                        [ticket](const Segment& s) { return s.ticket == ticket; });
}

void Outbox::stop_waiting(std::uint64_t ticket, Account heir) {
    for (std::size_t i = first_; i < segments_.size(); ++i) {
        Segment& segment = segments_[i];
        if (segment.ticket != ticket || segment.account != Account::waiting) continue;
        segment.account = heir;
        if (heir == Account::queued) queued_bytes_ += segment.size - segment.sent;
    }
}

std::size_t Outbox::take_credit() {
    return std::exchange(credit_, 0);
}

bool Outbox::is_lost(std::uint64_t ticket) const {
    return ticket >= first_lost_ && ticket <= last_lost_;
}

void Outbox::clear() {
    if (first_ < segments_.size()) {
        first_lost_ = segments_[first_].ticket;
        last_lost_ = last_ticket_;
    }
    segments_.clear();
    segments_.shrink_to_fit();
    first_ = 0;
    queued_bytes_ = 0;
    credit_ = 0;
}

void Outbox::swap(Outbox& other) noexcept {
    segments_.swap(other.segments_);
    std::swap(first_, other.first_);
    std::swap(queued_bytes_, other.queued_bytes_);
    std::swap(credit_, other.credit_);
}

}  // namespace nopoll::core
