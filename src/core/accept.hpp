// SPDX-License-Identifier: MIT
// From an accepted descriptor to a connection that a loop, or the program, drives.
#pragma once

#include "core/connection.hpp"

namespace nopoll::core {

class Acceptor {
public:
    // accept(2) on the listener, which waits if nobody is there, then as accept_socket; the new
    // descriptor is closed on every failure. `error` gets the errno of a failed accept(2), else 0.
    static Connection* accept(Context& context, Connection& listener, int& error);
    // nullptr: no object could be made (fd stays the caller's), or the connection was refused (fd
    // closed, object gone); `made` tells which.
    static Connection* accept_socket(Context& context, Connection& listener, int fd, bool& made);
    // A connected socket that the program accepted itself.
    static Connection* from_socket(Context& context, int fd);
    // on_accept and TLS set-up. False: the connection is shut down, but stays registered.
    static bool complete(Context& context, Connection* listener, Connection& connection, int fd,
                         bool tls);

    // The same with options instead of those of the listener; consumes one reference of them.
    static bool complete_with(Context& context, Options* options, Connection* listener,
                              Connection& connection, int fd, bool tls);

private:
    static void inherit_options(Options& options, Connection& connection);
    static Connection* make(Context& context, Connection* listener, int fd);
    static void inherit(Connection& listener, Connection& connection);
    static bool complete_claimed(Context& context, Connection* listener, Connection& connection,
                                 bool tls);
    static bool start_tls(Context& context, Connection* listener, Connection& connection);
};

}  // namespace nopoll::core
