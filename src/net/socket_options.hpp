// SPDX-License-Identifier: MIT
// Flags, options and names of sockets. Failures leave errno as the system call set it.
#pragma once

#include <optional>
#include <string>

#include "net/unique_fd.hpp"

namespace nopoll::net {

[[nodiscard]] bool set_blocking(int fd, bool blocking);
// True when O_NONBLOCK is off; false also for a bad descriptor.
[[nodiscard]] bool is_blocking(int fd);

bool set_tcp_nodelay(int fd, bool on);
// SO_BINDTODEVICE.
[[nodiscard]] bool set_bind_interface(int fd, const char* interface);

// Makes the kernel send what MSG_MORE held back. The TCP_NODELAY setting stays as it is; sockets
// other than TCP are left alone.
void push_tcp(int fd);

struct PeerName {
    std::string host;
    std::string port;
};

// Numeric address and port of the other end; "0.0.0.0" and "0" for families without ports
// (AF_UNIX), nothing when not connected.
[[nodiscard]] std::optional<PeerName> peer_name(int fd);

}  // namespace nopoll::net
