// SPDX-License-Identifier: MIT
// The private end of closed connections. The program is done with the connection; a loop (or the
// end of the context) writes what the peer has not taken yet, ends the sending direction, and reads
// away what the peer still sends: a socket that is closed over unread input sends a reset, which
// destroys what the peer has not read, the Close frame first of all.
#pragma once

#include <cstdint>
#include <vector>

#include "core/outbox.hpp"
#include "net/tls_handles.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::core {

// Without progress in writing.
constexpr std::int64_t kLingerPatienceUs = 30'000'000;
// Reading away ends after this time or this much, whatever the peer does.
constexpr std::int64_t kDrainPatienceUs = 2'000'000;
constexpr std::size_t kDrainLimit = std::size_t{64} << 20;
// In one step: a loop has others to serve.
constexpr std::size_t kDrainStep = 64 * 1024;
// Descriptors that do nothing but this, in one context.
constexpr std::ptrdiff_t kMostDraining = 256;

struct Linger {
    net::UniqueFd fd;
    net::SslPtr ssl;  // of a TLS connection whose last bytes it has to encrypt
    Outbox outbox;
    int connection_id = -1;
    std::uint64_t serial = 0;     // ascending in a context's list
    std::int64_t give_up_us = 0;  // monotonic; moved on by progress in writing
    bool draining = false;        // all is written, the sending direction is ended
    std::size_t drained = 0;
};

// What a step came to.
enum class LingerState { waiting, done, gave_up, failed };

// Writes what the socket takes, then reads away what is there. Never waits. When it is done (the
// peer has ended its direction too, or time or measure are full) the caller closes the descriptor.
LingerState advance_linger(Linger& linger, std::int64_t now_us);

using LingerList = std::vector<Linger>;

// For the end of a context: waits up to 10 s for peers to take their last bytes, and lets those who
// are in the middle of sending finish. Empties the list.
void finish_lingering(LingerList& list);

// Where no loop can go on with it: SHUT_WR, read away what is there without waiting, close.
void close_gracefully(net::UniqueFd fd);

// Wakes threads that wait for input on this descriptor, then closes it.
void close_drained(net::UniqueFd fd);

}  // namespace nopoll::core
