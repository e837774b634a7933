// SPDX-License-Identifier: MIT
// Connections that several threads work on. The shelf holds two references of each: with two of
// its own a thread may close and then release a connection, whether a loop has dropped it before
// or not (nopoll_conn_close takes at most one of them then, nopoll_conn_unref the other).
#pragma once

#include <nopoll.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "stress/support.hpp"

namespace nopoll::stress {

// One reference, for as long as a thread works on a connection.
class Borrowed {
public:
    Borrowed() = default;
    explicit Borrowed(noPollConn* conn) : conn_(conn) {}
    Borrowed(Borrowed&& other) noexcept : conn_(std::exchange(other.conn_, nullptr)) {}
    Borrowed& operator=(Borrowed&&) = delete;
    ~Borrowed() {
        if (conn_ != nullptr) nopoll_conn_unref(conn_);
    }
    [[nodiscard]] noPollConn* get() const { return conn_; }
    explicit operator bool() const { return conn_ != nullptr; }

private:
    noPollConn* conn_ = nullptr;
};

// Ends a connection for a thread that owns two references of it.
inline void close_and_release(noPollConn* conn) {
    nopoll_conn_close_ext(conn, 1000, "enough", 6);
    nopoll_conn_unref(conn);
}

class Shelf {
public:
    // The caller has a reference, or is a handler of the connection.
    void put(noPollConn* conn) {
        REQUIRE(nopoll_conn_ref(conn));
        REQUIRE(nopoll_conn_ref(conn));
        const std::lock_guard guard(mutex_);
        conns_.push_back(conn);
    }
    Borrowed borrow(Random& random) {
        const std::lock_guard guard(mutex_);
        if (conns_.empty()) return {};
        noPollConn* const conn = conns_[random.below(conns_.size())];
        REQUIRE(nopoll_conn_ref(conn));
        return Borrowed(conn);
    }
    // Both references go to the caller.
    noPollConn* take(Random& random) {
        const std::lock_guard guard(mutex_);
        if (conns_.empty()) return nullptr;
        std::swap(conns_[random.below(conns_.size())], conns_.back());
        noPollConn* const conn = conns_.back();
        conns_.pop_back();
        return conn;
    }
    // One that is over already, if there is one.
    noPollConn* take_dead() {
        const std::lock_guard guard(mutex_);
        const auto it = std::find_if(conns_.begin(), conns_.end(),
                                     [](noPollConn* conn) { return !nopoll_conn_is_ok(conn); });
        if (it == conns_.end()) return nullptr;
        noPollConn* const conn = *it;
        conns_.erase(it);
        return conn;
    }
    std::size_t size() {
        const std::lock_guard guard(mutex_);
        return conns_.size();
    }

private:
    std::mutex mutex_;
    std::vector<noPollConn*> conns_;
};

}  // namespace nopoll::stress
