// SPDX-License-Identifier: MIT
// Main listeners: connections that only accept.
#pragma once

#include "core/connection.hpp"
#include "net/address.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::core {

class ListenerBuilder {
public:
    // A registered listener, or nullptr with errno of the failing call in `error`. One reference of
    // `options` is consumed on every path, unless they are reused.
    static Connection* create(Context& context, Options* options, net::Family family,
                              const char* host, const char* port, bool tls, int& error);
};

// A listening descriptor without an object; invalid on failure, which is logged.
net::UniqueFd open_listening_socket(Context& context, net::Family family, const char* host,
                                    const char* port, int& error);

}  // namespace nopoll::core
