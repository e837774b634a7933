// SPDX-License-Identifier: MIT
// Input and output on stream sockets (TCP, also AF_UNIX). No call raises SIGPIPE, EINTR is
// retried, and by default none of them waits, whatever the O_NONBLOCK flag says.
#pragma once

#include <cstddef>
#include <span>

#include "net/io_result.hpp"

namespace nopoll::net {

// `as_flagged` leaves it to O_NONBLOCK of the descriptor whether the call may wait.
enum class Waiting { never, as_flagged };

// An empty buffer gives ok with 0 bytes; `end` is the peer's half close.
IoResult receive(int fd, std::span<std::byte> into, Waiting waiting = Waiting::never);

// The same without taking the bytes out of the kernel.
IoResult peek(int fd, std::span<std::byte> into);

// Fills first, then second, in one system call. Either may be empty.
IoResult receive_scatter(int fd, std::span<std::byte> first, std::span<std::byte> second);

// Header and payload in one system call; short counts are normal. more = the kernel may hold the
// bytes back for what follows (MSG_MORE): push_tcp ends that.
IoResult send(int fd, std::span<const std::byte> header, std::span<const std::byte> payload,
              bool more, Waiting waiting = Waiting::never);

}  // namespace nopoll::net
