// SPDX-License-Identifier: MIT
// What the tests of sockets share. No test waits for time to pass: where something has to arrive,
// the descriptor is polled with a generous limit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <unistd.h>

#include "net/connect.hpp"
#include "net/listen.hpp"
#include "net/readiness.hpp"
#include "net/unique_fd.hpp"
#include "unit/unit_test.hpp"

namespace nopoll::net::test {

inline constexpr std::int64_t kPatienceUs = 20000000;

inline Deadline patience() {
    return Deadline::after_us(kPatienceUs);
}

inline std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text(std::span<const std::byte> from) {
    std::string result;
    for (const std::byte byte : from)
        result.push_back(static_cast<char>(byte));
    return result;
}

struct Pair {
    UniqueFd a, b;
};

inline Pair socket_pair() {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The port the kernel gave to a socket.
inline std::string local_port(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    char port[NI_MAXSERV];
    assert_int_equal(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    assert_int_equal(getnameinfo(reinterpret_cast<sockaddr*>(&address), size, nullptr, 0, port,
                                 sizeof port, NI_NUMERICSERV),
                     0);
    return port;
}

// a: the connecting side (non-blocking, TCP_NODELAY), b: the accepted one (blocking).
inline Pair tcp_pair() {
    const ListenResult listener = listen_tcp(Family::v4, "127.0.0.1", "0", 5);
    assert_true(listener.ok());
    ConnectResult client =
        connect_tcp(Family::v4, "127.0.0.1", local_port(listener.fd.get()).c_str(), nullptr);
    assert_true(client.ok());
    assert_true(wait_readable(listener.fd.get(), patience()) == Ready::yes);
    UniqueFd accepted(accept_one(listener.fd.get()));
    assert_true(accepted.valid());
    assert_true(wait_writable(client.fd.get(), patience()) == Ready::yes);
    return {std::move(client.fd), std::move(accepted)};
}

// A program that hangs is ended by the alarm, whoever started it.
inline int limited(int (*run)()) {
    alarm(110);
    return run();
}

}  // namespace nopoll::net::test
