// SPDX-License-Identifier: MIT
// Accepted connections: making the object, on_accept, TLS set-up. The handshakes come later, as
// bytes arrive.
#include "core/accept.hpp"

#include <cerrno>
#include <new>

#include "core/c_string.hpp"
#include "core/io_entries.hpp"
#include "core/log.hpp"
#include "core/tls_setup.hpp"
#include "net/listen.hpp"
#include "net/no_cancel.hpp"
#include "net/readiness.hpp"
#include "net/socket_options.hpp"

namespace nopoll::core {

Connection* Acceptor::make(Context& context, Connection* listener, int fd) {
    // Descriptor 0 is refused, as the original does.
    std::optional<net::PeerName> peer;
    if (fd > 0) peer = net::peer_name(fd);
    if (!peer) {
        NOPOLL_LOG(&context, NOPOLL_LEVEL_CRITICAL, "descriptor %d is no connected socket", fd);
        return nullptr;
    }
    Connection* const connection =
        Connection::create(context, NOPOLL_ROLE_LISTENER, context.strict.load());
    connection->pin();
    struct Draft {
        Connection* connection;
        ~Draft() {
            if (connection != nullptr) abandon(*connection);
        }
    };
    Draft draft{connection};
    connection->host = duplicate(std::string_view(peer->host));
    connection->port = duplicate(std::string_view(peer->port));
    connection->get_url = duplicate("/");
    connection->opening_ = std::make_unique<Connection::Opening>();
    connection->opening_->server.emplace();
    connection->accepted_at_us_ = net::now_us();
    store_field(connection->session, fd);
    if (listener != nullptr) inherit(*listener, *connection);
    draft.connection = nullptr;
    return connection;
}

// Something threw before others could see it: the descriptor is still the caller's.
void Acceptor::abandon(Connection& connection) {
    store_field(connection.session, NOPOLL_INVALID_SOCKET);
    connection.unref();
    connection.unpin();
}

void Acceptor::hand_to_registry(Context& context, Connection& connection) {
    try {
        context.register_connection(connection, Context::Reference::hand_over);
    } catch (const std::bad_alloc&) {
        connection.pin();  // abandon() gives one back, the caller's guard the other
        abandon(connection);
        throw;
    }
}

// Values of this moment, and a hold on the options: the listener may go before the connection.
void Acceptor::inherit(Connection& listener, Connection& connection) {
    if (connection.accepting_listener() == nullptr)
        connection.context_.adopt_child(listener, connection);
    if (listener.opts != nullptr) inherit_options(Options::from(*listener.opts), connection);
}

void Acceptor::inherit_options(Options& options, Connection& connection) {
    if (connection.accept_options_ != nullptr) return;
    options.hold();
    connection.accept_options_ = &options;
    if (const long limit = options.frame_size_limit(); limit > 0)
        store_field(connection.max_frame_size, limit);
    if (const std::optional<bool> strict = options.strict(); strict) {
        connection.strict_ = *strict;
        connection.decoder_ = protocol::FrameDecoder(protocol::Role::server, *strict);
    }
}

bool Acceptor::complete_with(Context& context, Options* options, Connection* listener,
                             Connection& connection, int fd, bool tls) {
    struct Consumed {
        Options* options;
        ~Consumed() {
            if (options != nullptr) options->release_if_needed();
        }
    };
    const Consumed consumed{options};
    if (options != nullptr) inherit_options(*options, connection);
    return complete(context, listener, connection, fd, tls);
}

Connection* Acceptor::accept(Context& context, Connection& listener, AcceptWaiting waiting,
                             int& error) {
    error = 0;
    const int fd = waiting == AcceptWaiting::never ? accept_pending(listener)
                                                   : net::accept_one(listener.descriptor());
    if (fd < 0) {
        error = -fd;
        return nullptr;
    }
    struct Given {  // the connection's once there is one, also when a handler throws
        net::UniqueFd fd;
        bool made = false;
        ~Given() {
            if (made) (void)fd.release();
        }
    };
    Given given{net::above_standard(net::UniqueFd(fd))};
    if (!given.fd.valid()) {  // a standard stream was closed, and no other number is left
        error = EMFILE;
        return nullptr;
    }
    try {  // a loop goes on with its other connections, and tries again later
        return accept_socket(context, listener, given.fd.get(), given.made);
    } catch (const std::bad_alloc&) {
        error = ENOMEM;
    }
    return nullptr;
}

// The listening socket is in blocking mode and several waits may be told that somebody is there:
// look and accept are one step. The lock also keeps the descriptor from being closed in between.
int Acceptor::accept_pending(Connection& listener) {
    const net::NoCancel no_cancel;
    const std::lock_guard guard(listener.mutex_);
    const int fd = listener.descriptor();
    if (fd < 0 || !net::is_readable_now(fd)) return -EAGAIN;
    return net::accept_one(fd);
}

Connection* Acceptor::accept_socket(Context& context, Connection& listener, int fd, bool& made) {
    made = false;
    const ConnectionPin listener_pin(listener);
    Connection* const connection = make(context, &listener, fd);
    if (connection == nullptr) return nullptr;
    const AdoptedPin pin(*connection);
    // From here on others may see it, but not read from it until it is complete.
    const ReaderClaim claim(*connection);
    hand_to_registry(context, *connection);
    made = true;
    struct Refused {  // also when on_accept throws: then without on_close, a handler too
        Context& context;
        Connection* connection;
        ~Refused() {
            if (connection == nullptr) return;
            if (connection->is_ok()) connection->give_up_descriptor(Ending::abrupt);
            context.unregister_connection(*connection);
        }
    };
    Refused refused{context, connection};
    if (!complete(context, &listener, *connection, fd, load_field(listener.tls_on) != 0))
        return nullptr;
    refused.connection = nullptr;
    return connection;
}

Connection* Acceptor::from_socket(Context& context, int fd) {
    Connection* const connection = make(context, nullptr, fd);
    if (connection == nullptr) return nullptr;
    const AdoptedPin pin(*connection);
    hand_to_registry(context, *connection);
    return connection;
}

bool Acceptor::complete(Context& context, Connection* listener, Connection& connection, int fd,
                        bool tls) {
    const ConnectionPin pin(connection);
    if (fd == NOPOLL_INVALID_SOCKET) {
        connection.shutdown();
        return false;
    }
    // Until this is done no loop in another thread may read.
    const ReaderClaim claim(connection);
    if (!claim) return false;
    if (listener == &connection) listener = nullptr;
    const bool use_tls = tls || (listener != nullptr && load_field(listener->tls_on) != 0);
    // Another thread may have closed it already: then its number is not to be brought back.
    if (connection.descriptor() != fd) {
        if (connection.was_shut_down()) return false;
        connection.set_descriptor(fd);
    }
    try {
        if (listener != nullptr) inherit(*listener, connection);
        if (net::set_blocking(fd, true) && complete_claimed(context, listener, connection, use_tls))
            return true;
    } catch (const std::bad_alloc&) {
        connection.shutdown();
        throw;
    }
    connection.shutdown();
    return false;
}

bool Acceptor::complete_claimed(Context& context, Connection* listener, Connection& connection,
                                bool tls) {
    if (!connection.is_ok()) return false;  // shut down by another thread already
    net::set_tcp_nodelay(connection.descriptor(), true);
    const bool accepted = connection.run_handshake_handler(
        context.handler(context.on_accept, context.on_accept_data));
    if (!accepted)
        NOPOLL_CONN_LOG(connection, NOPOLL_LEVEL_CRITICAL, "%s refused by the program's on_accept",
                        connection.host);
    if (!accepted || !connection.is_ok()) return false;
    // A second call, for what nopoll_conn_accept has completed already, finds TLS set up.
    if (connection.ssl != nullptr) return net::set_blocking(connection.descriptor(), false);
    return !tls || start_tls(context, listener, connection);
}

bool Acceptor::start_tls(Context& context, Connection* listener, Connection& connection) {
    const TlsFault fault =
        set_up_tls_listener(context, connection, listener, connection.accept_options_);
    if (!fault.empty()) {
        NOPOLL_CONN_LOG(connection, NOPOLL_LEVEL_CRITICAL, "TLS set-up failed: %s", fault.c_str());
        return false;
    }
    if (!net::set_blocking(connection.descriptor(), false)) return false;
    store_field(connection.receive, &tls_receive_entry);
    store_field(connection.send, &tls_send_entry);
    store_field(connection.pending_ssl_accept, 1);
    store_field(connection.tls_on, 1);
    connection.set_phase(Phase::tls_accepting);
    return true;
}

}  // namespace nopoll::core
