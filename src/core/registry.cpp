// SPDX-License-Identifier: MIT
// Slot table of a context's connections; see registry.hpp.
#include "core/registry.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "core/connection.hpp"

namespace nopoll::core {

bool Registry::id_in_use(int id) const {
    return std::any_of(slots_.begin(), slots_.end(),
                       [id](const Connection* c) { return c != nullptr && c->id == id; });
}

// Ids are never used twice; after 2^31 registrations they start again and skip those in use.
int Registry::draw(int& counter) const {
    for (;;) {
        const int id = counter;
        if (counter == std::numeric_limits<int>::max()) {
            counter = 1;
            wrapped_ = true;
        } else {
            ++counter;
        }
        if (id > 0 && (!wrapped_ || !id_in_use(id))) return id;
    }
}

Registry::Place Registry::add(Connection* connection, int& counter) {
    int id = draw(counter);
    if (free_.empty()) {
        const std::size_t old = slots_.size();
        free_.reserve(old + kGrowth);  // so that giving a slot back can never fail
        slots_.resize(old + kGrowth, nullptr);
        for (std::size_t slot = old + kGrowth; slot-- > old;)
            free_.push_back(slot);
        std::make_heap(free_.begin(), free_.end(), std::greater<>{});
        id = draw(counter);
    }
    std::pop_heap(free_.begin(), free_.end(), std::greater<>{});
    const std::size_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = connection;
    ++count_;
    return {slot, id};
}

std::optional<std::size_t> Registry::find(const Connection* connection,
                                          std::size_t likely_slot) const {
    if (likely_slot < slots_.size() && slots_[likely_slot] == connection) return likely_slot;
    const auto it = std::find(slots_.begin(), slots_.end(), connection);
    if (it == slots_.end()) return std::nullopt;
    return static_cast<std::size_t>(it - slots_.begin());
}

bool Registry::contains(const Connection* connection, std::size_t likely_slot) const {
    return find(connection, likely_slot).has_value();
}

bool Registry::remove(const Connection* connection, std::size_t likely_slot) {
    const std::optional<std::size_t> slot = find(connection, likely_slot);
    if (!slot) return false;
    slots_[*slot] = nullptr;
    free_.push_back(*slot);
    std::push_heap(free_.begin(), free_.end(), std::greater<>{});
    --count_;
    return true;
}

}  // namespace nopoll::core
