// SPDX-License-Identifier: MIT
// Thin wrappers over fcntl, setsockopt and getpeername.
#include "net/socket_options.hpp"

#include <cstring>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace nopoll::net {

bool set_blocking(int fd, bool blocking) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return false;
    const int wanted = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    return wanted == flags || fcntl(fd, F_SETFL, wanted) == 0;
}

bool is_blocking(int fd) {
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

bool set_tcp_nodelay(int fd, bool on) {
    const int value = on ? 1 : 0;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) == 0;
}

bool set_bind_interface(int fd, const char* interface) {
    const auto size = static_cast<socklen_t>(std::strlen(interface));
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, size) == 0;
}

void push_tcp(int fd) {
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) != 0) return;
    // Setting the option sends what is queued, also when it was set before (tcp(7)).
    set_tcp_nodelay(fd, true);
    if (value == 0) set_tcp_nodelay(fd, false);
}

std::optional<PeerName> peer_name(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (getpeername(fd, generic, &size) != 0) return std::nullopt;
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) {
        return PeerName{"0.0.0.0", "0"};
    }
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo(generic, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return std::nullopt;
    }
    return PeerName{host, port};
}

}  // namespace nopoll::net
