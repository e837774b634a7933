// SPDX-License-Identifier: MIT
// Name resolution by getaddrinfo(3), always for TCP and for one address family.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <netdb.h>
#include <sys/socket.h>

namespace nopoll::net {

enum class Family { v4, v6 };

[[nodiscard]] constexpr int address_family(Family family) {
    return family == Family::v4 ? AF_INET : AF_INET6;
}

struct AddrInfoDeleter {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddrInfoPtr = std::unique_ptr<addrinfo, AddrInfoDeleter>;

struct Resolved {
    AddrInfoPtr list;        // at least one entry unless resolver_error is set
    int resolver_error = 0;  // EAI_*
    int system_error = 0;    // errno when resolver_error is EAI_SYSTEM
};

// The port as getaddrinfo shall see it: the resolver itself would wrap numbers above 65535.
// Nothing: not a valid number. Service names pass unchanged.
[[nodiscard]] std::optional<std::string> checked_port(std::string_view port);

// Host and port may be names; blocks as long as the resolver does.
[[nodiscard]] Resolved resolve(Family family, const char* host, const char* port);

// The same without asking any name service for the host.
[[nodiscard]] Resolved resolve_numeric(Family family, const char* host, const char* port);

// Text for a Resolved that failed.
[[nodiscard]] std::string describe(const Resolved& failed);

}  // namespace nopoll::net
