// SPDX-License-Identifier: MIT
// Client connections: from a host name to a request that is on its way.
#pragma once

#include <optional>
#include <string>

#include "core/connection.hpp"
#include "core/options.hpp"
#include "net/address.hpp"
#include "net/clock.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::core {

struct ClientRequest {
    Options* options = nullptr;  // one reference is consumed on every path, unless reused
    net::Family family = net::Family::v4;
    bool tls = false;
    int socket = NOPOLL_INVALID_SOCKET;  // given by the program, or -1: make one
    const char* host_ip = nullptr;
    const char* host_port = nullptr;
    const char* host_name = nullptr;
    const char* get_url = nullptr;
    const char* protocols = nullptr;
    const char* origin = nullptr;
};

class ClientBuilder {
public:
    // nullptr: there is no connection at all (name, service, interface, connect failed at once).
    // Then error is the errno to report, 0 where there is none. A connection that failed later is
    // returned dead (not ok) and has to be closed.
    static Connection* create(Context& context, const ClientRequest& request, int& error);
    // The request text; the key in it is remembered for the reply's check. Empty: no randomness.
    static std::string build_request(Connection& connection,
                                     const std::optional<OptionValues>& values);

private:
    static Connection* make(Context& context, const ClientRequest& request, net::UniqueFd& fd,
                            const std::optional<OptionValues>& values, MakersClaim& claim);
    static void take_back(Connection& connection, bool socket_given);
    static bool open(Connection& connection, const ClientRequest& request,
                     const std::optional<OptionValues>& values);
    static bool await_tcp(Connection& connection, net::Deadline deadline);
    static bool start_tls(Connection& connection, const ClientRequest& request,
                          const std::optional<OptionValues>& values, net::Deadline deadline);
    static bool tls_handshake(Connection& connection, net::Deadline deadline);
    static bool send_request(Connection& connection, const std::string& request,
                             net::Deadline deadline);
};

// A connecting, non-blocking descriptor; invalid on failure, which is logged.
net::UniqueFd open_connecting_socket(Context& context, net::Family family, const char* host,
                                     const char* port, const Options* options, int& error);

}  // namespace nopoll::core
