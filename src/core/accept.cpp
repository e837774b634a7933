// SPDX-License-Identifier: MIT
// Accepted connections: making the object, on_accept, TLS set-up. The handshakes come later, as
// bytes arrive.
#include "core/accept.hpp"

#include "core/c_string.hpp"
#include "core/io_entries.hpp"
#include "core/log.hpp"
#include "core/tls_setup.hpp"
#include "net/listen.hpp"
#include "net/socket_options.hpp"

namespace nopoll::core {

Connection* Acceptor::make(Context& context, Connection* listener, int fd) {
    if (fd <= 0) return nullptr;
    const std::optional<net::PeerName> peer = net::peer_name(fd);
    if (!peer) {
        NOPOLL_LOG(&context, NOPOLL_LEVEL_CRITICAL, "descriptor %d is no connected socket", fd);
        return nullptr;
    }
    Connection* const connection =
        Connection::create(context, NOPOLL_ROLE_LISTENER, context.strict.load());
    struct Draft {  // the creator's reference, and nothing of the descriptor when something throws
        Connection& connection;
        bool finished = false;
        ~Draft() {
            if (!finished) store_field(connection.session, NOPOLL_INVALID_SOCKET);
            connection.unref();
        }
    };
    Draft draft{*connection};
    connection->host = duplicate(std::string_view(peer->host));
    connection->port = duplicate(std::string_view(peer->port));
    connection->get_url = duplicate("/");
    connection->opening_ = std::make_unique<Connection::Opening>();
    connection->opening_->server.emplace();
    connection->accepted_at_us_ = net::now_us();
    store_field(connection->session, fd);
    if (listener != nullptr) inherit(*listener, *connection);
    context.register_connection(*connection);
    draft.finished = true;
    return connection;
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
    if (const std::optional<bool> strict = options.values().strict; strict) {
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

Connection* Acceptor::accept(Context& context, Connection& listener, int& error) {
    error = 0;
    const int fd = net::accept_one(listener.descriptor());
    if (fd < 0) {
        error = -fd;
        return nullptr;
    }
    net::UniqueFd owned = net::above_standard(net::UniqueFd(fd));
    bool made = false;
    Connection* const connection = accept_socket(context, listener, owned.get(), made);
    if (made) (void)owned.release();
    return connection;
}

Connection* Acceptor::accept_socket(Context& context, Connection& listener, int fd, bool& made) {
    made = false;
    const ConnectionPin listener_pin(listener);
    Connection* const connection = make(context, &listener, fd);
    if (connection == nullptr) return nullptr;
    made = true;
    const ConnectionPin pin(*connection);
    if (complete(context, &listener, *connection, fd, load_field(listener.tls_on) != 0))
        return connection;
    context.unregister_connection(*connection);
    return nullptr;
}

Connection* Acceptor::from_socket(Context& context, int fd) { return make(context, nullptr, fd); }

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
    connection.set_descriptor(fd);
    if (listener != nullptr) inherit(*listener, connection);
    if (!net::set_blocking(fd, true) || !complete_claimed(context, listener, connection, use_tls)) {
        connection.shutdown();
        return false;
    }
    return true;
}

bool Acceptor::complete_claimed(Context& context, Connection* listener, Connection& connection,
                                bool tls) {
    net::set_tcp_nodelay(connection.descriptor(), true);
    const bool accepted = connection.run_handshake_handler(
        context.handler(context.on_accept, context.on_accept_data));
    if (!accepted)
        NOPOLL_CONN_LOG(connection, NOPOLL_LEVEL_CRITICAL, "%s refused by the program's on_accept",
                        connection.host);
    if (!accepted || !connection.is_ok()) return false;
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
