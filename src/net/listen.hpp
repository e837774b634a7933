// SPDX-License-Identifier: MIT
// TCP listening sockets and accept(2). The sockets are blocking and inherited by children, and
// they carry no option but SO_REUSEADDR: programs hand them on.
#pragma once

#include <string>

#include "net/address.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::net {

struct [[nodiscard]] ListenResult {
    enum class Step { none, host, port, resolve, socket, reuse_address, bind, listen };

    UniqueFd fd;  // valid on success, 3 or above
    Step failed = Step::none;
    int error = 0;       // errno of the failed step (EINVAL for arguments, 0: resolver refused)
    std::string reason;  // one line for the log, empty on success

    [[nodiscard]] bool ok() const { return fd.valid(); }
};

// A busy or not yet local address may become free: bind is tried again for those two errors.
struct BindRetry {
    int retries = 24;
    int pause_ms = 100;
    // Called before each pause; may be null. attempt counts from 1.
    void (*log)(void* data, int attempt, int error) = nullptr;
    void* data = nullptr;
};

inline constexpr int kSmallestBacklog = 128;

// host: numeric address, else a name. port: decimal 0..65535 (leading blanks allowed) or a service
// name. backlog: raised to kSmallestBacklog.
ListenResult listen_tcp(Family family, const char* host, const char* port, int backlog,
                        const BindRetry& retry = {});

// A new descriptor (blocking, not close-on-exec), or -errno; errno holds the same. At most five
// tries on EINTR. Waits if the listening socket is blocking.
[[nodiscard]] int accept_one(int listening_fd);

}  // namespace nopoll::net
