// SPDX-License-Identifier: MIT
// A TCP client socket whose connection is under way: resolve, socket, TCP_NODELAY, interface,
// O_NONBLOCK, connect. Nothing here waits for the connection to be made.
#pragma once

#include <string>

#include "net/address.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::net {

struct [[nodiscard]] ConnectResult {
    enum class Step { none, resolve, socket, nodelay, interface, nonblocking, connect };

    UniqueFd fd;  // valid on success
    Step failed = Step::none;
    int error = 0;       // errno of the failed step, 0 when the resolver refused
    std::string reason;  // one line for the log, empty on success

    [[nodiscard]] bool ok() const { return fd.valid(); }
};

// Addresses are tried in order while connect fails at once. interface may be null.
ConnectResult connect_tcp(Family family, const char* host, const char* port, const char* interface);

}  // namespace nopoll::net
