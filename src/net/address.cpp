// SPDX-License-Identifier: MIT
// getaddrinfo(3) with the hints used here.
#include "net/address.hpp"

#include <algorithm>
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

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

}  // namespace

std::optional<std::string> checked_port(std::string_view port) {
    std::string_view text = port;
    while (!text.empty() && std::strchr(" \t\n\v\f\r", text.front()) != nullptr) {
        text.remove_prefix(1);
    }
    if (text.empty() || text.front() == '-') return std::nullopt;
    if (text.front() == '+' && text.size() > 1) text.remove_prefix(1);
    if (!std::all_of(text.begin(), text.end(), is_digit)) return std::string(port);
    long value = 0;
    for (const char digit : text) {
        value = value * 10 + (digit - '0');
        if (value > 65535) return std::nullopt;
    }
    return std::to_string(value);
}

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
