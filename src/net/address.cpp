// SPDX-License-Identifier: MIT
// getaddrinfo(3) with the hints used here.
#include "net/address.hpp"

#include <cerrno>
#include <cstring>

namespace nopoll::net {

namespace {

Resolved resolve_with(Family family, const char* host, const char* port, int flags) {
    addrinfo hints{};
    hints.ai_family = address_family(family);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    Resolved result;
    result.resolver_error = getaddrinfo(host, port, &hints, &list);
    if (result.resolver_error == EAI_SYSTEM) result.system_error = errno;
    if (result.resolver_error == EAI_MEMORY) result.system_error = ENOMEM;
    if (result.resolver_error == 0) result.list.reset(list);
    return result;
}

}  // namespace

Resolved resolve(Family family, const char* host, const char* port) {
    return resolve_with(family, host, port, 0);
}

Resolved resolve_numeric(Family family, const char* host, const char* port) {
    return resolve_with(family, host, port, AI_NUMERICHOST);
}

std::string describe(const Resolved& failed) {
    if (failed.resolver_error == EAI_SYSTEM) return std::strerror(failed.system_error);
    return gai_strerror(failed.resolver_error);
}

}  // namespace nopoll::net
