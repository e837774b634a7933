// SPDX-License-Identifier: MIT
// Bytes of a connection that the socket has not taken yet, and the books about them: what the
// program was told, what it has still to be told, what is nobody's business but ours.
// Knows no descriptor: the owner asks for the next bytes, writes them, reports how far it came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace nopoll::core {

// Who answers for the bytes of a segment.
enum class Account {
    program,  // one frame of the program, reported in part: counts as pending, completed by its
              // calls
    waiting,  // a send call is waiting for this segment: it reports by itself
    queued,   // reported as written already while a loop is running (slow readers)
    library,  // pongs, Close frames, HTTP replies: pending, but never part of a result
};

class Outbox {
public:
    bool empty() const { return segments_.empty(); }
    bool has(Account) const;

    // Unsent bytes that a program sees as pending, credit included (headers too, queued bytes not).
    std::size_t pending_bytes() const;
    // Those of them that are in no result: pongs, pings, Close frames, HTTP replies.
    std::size_t library_bytes() const { return unsent_bytes(Account::library); }
    // Unsent bytes that were reported as written (6.3.1 of the frame rules).
    std::size_t queued_bytes() const { return queued_bytes_; }

    // Appends `head` and `body`; `header_bytes` of the whole are no payload. Returns the ticket by
    // which a waiting send recognises its segment. Throws std::bad_alloc and then changes nothing.
    std::uint64_t append(Account, std::span<const std::byte> head, std::span<const std::byte> body,
                         std::size_t header_bytes);
    // Appends a pong; an older one of which nothing was tried yet is dropped.
    void append_pong(std::span<const std::byte> frame, Account account = Account::library);

    // The next bytes in order, for one write; empty when there are none.
    std::span<const std::byte> next();
    bool last_segment() const { return segments_.size() - first_ <= 1; }
    // `bytes` of next() were written. Payload bytes of the program's frame are returned. Nothing
    // happens when those bytes were given up meanwhile.
    std::size_t written(std::size_t bytes);

    bool is_out(std::uint64_t ticket) const;
    // Given up with clear(), by another thread's failed write for example.
    bool is_lost(std::uint64_t ticket) const;
    // The caller of a waiting segment goes: because it has given up (then the rest is the
    // library's), or because a loop will write the rest (then it counts as queued).
    void stop_waiting(std::uint64_t ticket, Account heir);
    // Payload bytes of the program's frame that a loop wrote and nobody has reported yet.
    void add_credit(std::size_t bytes) { credit_ += bytes; }
    std::size_t take_credit();
    void forget_credit() { credit_ = 0; }

    void clear();
    // Segments and their books; each side goes on counting its own tickets.
    void swap(Outbox& other) noexcept;

private:
    struct Segment {
        std::unique_ptr<std::byte[]> bytes;
        std::size_t capacity = 0;
        std::size_t size = 0;
        std::size_t sent = 0;
        std::size_t header_bytes =
            0;  // of `size`, not counting as payload; 0 is for accounts without results
        std::uint64_t ticket = 0;
        Account account = Account::library;
        bool tried = false;  // handed to a write: a TLS record may hold its bytes already
        bool pong = false;
    };

    std::size_t unsent_bytes(Account) const;
    std::uint64_t push(Account, std::span<const std::byte> head, std::span<const std::byte> body,
                       std::size_t header_bytes, std::size_t capacity);
    bool extend_queue(std::span<const std::byte> head, std::span<const std::byte> body);
    void drop_front();

    std::vector<Segment> segments_;
    std::size_t first_ = 0;  // segments before this index are gone
    std::size_t queued_bytes_ = 0;
    std::size_t credit_ = 0;
    std::uint64_t last_ticket_ = 0;
    std::uint64_t offered_ = 0;  // the segment that next() gave
    std::uint64_t first_lost_ = 1;
    std::uint64_t last_lost_ = 0;
};

}  // namespace nopoll::core
