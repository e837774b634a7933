// SPDX-License-Identifier: MIT
// From an accepted descriptor to a connection that a loop, or the program, drives.
#pragma once

#include "core/connection.hpp"

namespace nopoll::core {

// Whether accept(2) may wait when nobody is there: loops do not.
enum class AcceptWaiting { never, as_flagged };

class Acceptor {
public:
    // accept(2) on the listener, then as accept_socket; the new descriptor is closed on every
    // failure. `error` gets the errno of a failed accept(2), ENOMEM when memory is short, else 0.
    static Connection* accept(Context& context, Connection& listener, AcceptWaiting waiting,
                              int& error);
    // nullptr: no object could be made (fd stays the caller's), or the connection was refused (fd
    // closed, object gone); `made` tells which, also when std::bad_alloc is thrown.
    static Connection* accept_socket(Context& context, Connection& listener, int fd, bool& made);
    // A connected socket that the program accepted itself.
    static Connection* from_socket(Context& context, int fd);
    // on_accept and TLS set-up. False: the connection is shut down, but stays registered; so it is
    // when std::bad_alloc is thrown.
    static bool complete(Context& context, Connection* listener, Connection& connection, int fd,
                         bool tls);

    // The same with options instead of those of the listener; consumes one reference of them.
    static bool complete_with(Context& context, Options* options, Connection* listener,
                              Connection& connection, int fd, bool tls);

private:
    static void inherit_options(Options& options, Connection& connection);
    // Not registered, with one reference and a pin, both the caller's.
    static Connection* make(Context& context, Connection* listener, int fd);
    static int accept_pending(Connection& listener);  // the descriptor, or -errno
    static void abandon(Connection& connection);
    static void hand_to_registry(Context& context, Connection& connection);
    static void inherit(Connection& listener, Connection& connection);
    static bool complete_claimed(Context& context, Connection* listener, Connection& connection,
                                 bool tls);
    static bool start_tls(Context& context, Connection* listener, Connection& connection);
};

}  // namespace nopoll::core
