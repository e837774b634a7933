// SPDX-License-Identifier: MIT
// Binding with the port rules and the retry that programs know from noPoll.
#include "net/listen.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include <poll.h>
#include <sys/socket.h>

#include "net/clock.hpp"
#include "net/socket_options.hpp"

namespace nopoll::net {

namespace {

using Step = ListenResult::Step;

ListenResult failure(Step step, int error, std::string reason) {
    ListenResult result;
    result.failed = step;
    result.error = error;
    result.reason = std::move(reason);
    return result;
}

ListenResult failure_of_call(Step step, const char* what) {
    const int error = errno;
    return failure(step, error, std::string(what) + ": " + std::strerror(error));
}

Resolved resolve_for_bind(Family family, const char* host, const char* port) {
    Resolved numeric = resolve_numeric(family, host, port);
    if (numeric.resolver_error == 0) return numeric;
    return resolve(family, host, port);
}

// Sleeps: there is no descriptor that would tell when an address becomes free.
void pause_ms(int duration_ms) {
    const Deadline deadline = Deadline::after_us(std::int64_t{duration_ms} * 1000);
    do {
        poll(nullptr, 0, deadline.poll_ms());
    } while (!deadline.passed());
}

// 0 or the errno of the last bind.
int bind_with_retry(int fd, const addrinfo& address, const BindRetry& retry) {
    for (int attempt = 1;; ++attempt) {
        if (bind(fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
        const int error = errno;
        const bool may_become_free = error == EADDRINUSE || error == EADDRNOTAVAIL;
        if (!may_become_free || attempt > retry.retries) return error;
        if (retry.log != nullptr) retry.log(retry.data, attempt, error);
        pause_ms(retry.pause_ms);
    }
}

}  // namespace

ListenResult listen_tcp(Family family, const char* host, const char* port, int backlog,
                        const BindRetry& retry) {
    if (host == nullptr || *host == '\0') return failure(Step::host, EINVAL, "no host given");
    if (port == nullptr || *port == '\0') return failure(Step::port, EINVAL, "no port given");
    const std::optional<std::string> wanted_port = checked_port(port);
    if (!wanted_port) {
        return failure(Step::port, EINVAL, std::string("port out of range: ") + port);
    }
    const Resolved found = resolve_for_bind(family, host, wanted_port->c_str());
    if (found.resolver_error != 0) {
        return failure(Step::resolve, found.system_error,
                       std::string("cannot resolve ") + host + " port " + port + ": " +
                           describe(found));
    }
    const addrinfo& address = *found.list;
    ListenResult result;
    result.fd = above_standard(
        UniqueFd(socket(address.ai_family, address.ai_socktype, address.ai_protocol)));
    if (!result.fd) return failure_of_call(Step::socket, "cannot make a socket");
    const int on = 1;
    if (setsockopt(result.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return failure_of_call(Step::reuse_address, "cannot set SO_REUSEADDR");
    }
    if (const int error = bind_with_retry(result.fd.get(), address, retry); error != 0) {
        return failure(Step::bind, error,
                       std::string("cannot bind ") + host + " port " + port + ": " +
                           std::strerror(error));
    }
    if (listen(result.fd.get(), std::max(backlog, kSmallestBacklog)) != 0) {
        return failure_of_call(Step::listen, "cannot listen");
    }
    return result;
}

int accept_one(int listening_fd) {
    constexpr int kTries = 5;
    for (int attempt = 1;; ++attempt) {
        const int fd = accept(listening_fd, nullptr, nullptr);
        if (fd >= 0) return fd;
        if (errno != EINTR || attempt == kTries) return -errno;
    }
}

}  // namespace nopoll::net
