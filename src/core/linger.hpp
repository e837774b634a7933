// SPDX-License-Identifier: MIT
// The private end of closed connections: a descriptor whose last bytes the peer has not taken yet.
// The program is done with the connection; a loop (or the end of the context) writes the rest, then
// closes. After 30 s without progress it gives up.
#pragma once

#include <cstdint>
#include <vector>

#include "core/outbox.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::core {

constexpr std::int64_t kLingerPatienceUs = 30'000'000;

struct Linger {
    net::UniqueFd fd;
    Outbox outbox;
    int connection_id = -1;
    std::int64_t give_up_us = 0;  // monotonic; moved on by progress
};

// What a step came to.
enum class LingerState { waiting, done, gave_up, failed };

// Writes what the socket takes. The caller ends the descriptor: close_gracefully() when it is done.
LingerState advance_linger(Linger& linger, std::int64_t now_us);

using LingerList = std::vector<Linger>;

// frame, SHUT_WR, read away what is there (at most 64 KiB, never waiting), close: so that the last
// bytes are not destroyed by a reset over unread input.
void close_gracefully(net::UniqueFd fd);

}  // namespace nopoll::core
