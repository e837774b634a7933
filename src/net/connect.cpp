// SPDX-License-Identifier: MIT
// See connect.hpp for the order of steps.
#include "net/connect.hpp"

#include <cerrno>
#include <cstring>

#include "net/socket_options.hpp"

namespace nopoll::net {

namespace {

ConnectResult failure(ConnectResult::Step step, int error, std::string reason) {
    ConnectResult result;
    result.failed = step;
    result.error = error;
    result.reason = std::move(reason);
    return result;
}

ConnectResult failure_of_call(ConnectResult::Step step, const char* what) {
    const int error = errno;
    return failure(step, error, std::string(what) + ": " + std::strerror(error));
}

ConnectResult connect_address(const addrinfo& address, const char* interface) {
    using Step = ConnectResult::Step;
    ConnectResult result;
    UniqueFd fd = above_standard(
        UniqueFd(socket(address.ai_family, address.ai_socktype, address.ai_protocol)));
    if (!fd) return failure_of_call(Step::socket, "cannot make a socket");
    if (!set_tcp_nodelay(fd.get(), true)) {
        return failure_of_call(Step::nodelay, "cannot set TCP_NODELAY");
    }
    if (interface != nullptr && !set_bind_interface(fd.get(), interface)) {
        return failure_of_call(Step::interface, "cannot bind to the interface");
    }
    if (!set_blocking(fd.get(), false)) {
        return failure_of_call(Step::nonblocking, "cannot set O_NONBLOCK");
    }
    // An interrupted connect goes on by itself, like one in progress.
    if (connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
        return failure_of_call(Step::connect, "cannot connect");
    }
    result.fd = std::move(fd);
    return result;
}

}  // namespace

ConnectResult connect_tcp(Family family, const char* host, const char* port,
                          const char* interface) {
    using Step = ConnectResult::Step;
    const std::optional<std::string> wanted_port = checked_port(port);
    if (!wanted_port)
        return failure(Step::resolve, EINVAL, std::string("port out of range: ") + port);
    const Resolved found = resolve(family, host, wanted_port->c_str());
    if (found.resolver_error != 0) {
        return failure(Step::resolve, found.system_error,
                       std::string("cannot resolve ") + host + " port " + port + ": " +
                           describe(found));
    }
    ConnectResult result;
    for (const addrinfo* entry = found.list.get(); entry != nullptr; entry = entry->ai_next) {
        result = connect_address(*entry, interface);
        if (result.ok() || result.failed != Step::connect) break;
    }
    return result;
}

}  // namespace nopoll::net
