// SPDX-License-Identifier: MIT
// Slot table of the connections of a context. Slots are handed out lowest first; the table grows by
// ten, and ids count registration attempts, so that the ids are those that noPoll programs have
// always seen (2..11, 13..22, 24..33, ... while connections only accumulate).
// Knows no locking and no references: the context adds both.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace nopoll::core {

class Connection;

class Registry {
public:
    struct Place {
        std::size_t slot;
        int id;
    };
    // Draws an id from `counter` (advanced) and the lowest free slot. Throws std::bad_alloc with
    // the table unchanged (a drawn id stays drawn).
    Place add(Connection* connection, int& counter);
    // Clears the slot that holds the connection; false when there is none.
    bool remove(const Connection* connection, std::size_t likely_slot);
    bool contains(const Connection* connection, std::size_t likely_slot) const;

    std::size_t slots() const { return slots_.size(); }
    Connection* at(std::size_t slot) const { return slot < slots_.size() ? slots_[slot] : nullptr; }
    int count() const { return count_; }

private:
    static constexpr std::size_t kGrowth = 10;
    bool id_in_use(int id) const;
    int draw(int& counter) const;
    std::optional<std::size_t> find(const Connection* connection, std::size_t likely_slot) const;

    std::vector<Connection*> slots_;
    std::vector<std::size_t> free_;  // min-heap of free slots
    int count_ = 0;
    mutable bool wrapped_ = false;
};

}  // namespace nopoll::core
