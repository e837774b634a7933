// SPDX-License-Identifier: MIT
// Making client connections: TCP, TLS, request, all within one deadline. The reply is read later.
// RFC 6455 4.1.
#include "core/client.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/socket.h>

#include "core/c_string.hpp"
#include "core/io_entries.hpp"
#include "core/log.hpp"
#include "core/tls_setup.hpp"
#include "net/connect.hpp"
#include "net/random.hpp"
#include "net/readiness.hpp"
#include "net/tls_transport.hpp"
#include "net/tls_verify.hpp"
#include "protocol/base64.hpp"

namespace nopoll::core {
namespace {

bool is_ipv6_literal(const char* host) {
    return std::strchr(host, ':') != nullptr && *host != '[';
}

std::string in_brackets(const char* host) {
    return std::string("[") + host + "]";
}

bool failed(Connection& connection, const char* step, const char* why) {
    const std::string host = printable(connection.host);
    // The name is what a certificate has to be for.
    std::string name = printable(connection.host_name);
    if (name.empty() || name == host)
        name.clear();
    else
        name = " (" + name + ")";
    NOPOLL_CONN_LOG(connection, NOPOLL_LEVEL_CRITICAL, "%s %s port %s%s: %s", step, host.c_str(),
                    printable(connection.port).c_str(), name.c_str(), why);
    return false;
}

}  // namespace

net::UniqueFd open_connecting_socket(Context& context, net::Family family, const char* host,
                                     const char* port, const Options* options, int& error) {
    std::optional<std::string> interface;
    if (options != nullptr) interface = options->values().interface;
    const char* const device = interface ? interface->c_str() : nullptr;
    net::ConnectResult result = net::connect_tcp(family, host, port, device);
    const bool none_left = result.error == EMFILE || result.error == ENFILE;
    if (!result.ok() && none_left && context.end_all_draining())
        result = net::connect_tcp(family, host, port, device);
    error = result.error;
    if (!result.ok())
        NOPOLL_LOG(&context, NOPOLL_LEVEL_CRITICAL, "cannot connect to %s port %s: %s",
                   printable(host).c_str(), printable(port).c_str(), result.reason.c_str());
    return std::move(result.fd);
}

Connection* ClientBuilder::create(Context& context, const ClientRequest& request, int& error) {
    struct Consumed {
        Options* options;
        ~Consumed() {
            if (options != nullptr) options->release_if_needed();
        }
    };
    const Consumed consumed{request.options};
    context.report_environment();
    std::optional<OptionValues> values;
    if (request.options != nullptr) values = request.options->values();

    ClientRequest complete = request;
    if (complete.host_port == nullptr) complete.host_port = complete.tls ? "443" : "80";
    net::UniqueFd fd(request.socket);
    const bool given = fd.valid();
    if (!given) {
        fd = open_connecting_socket(context, complete.family, complete.host_ip, complete.host_port,
                                    complete.options, error);
        if (!fd.valid()) return nullptr;
    }
    error = 0;
    Connection* connection = nullptr;
    MakersClaim claim;
    try {
        connection = make(context, complete, fd, values, claim);
    } catch (...) {
        if (given) (void)fd.release();  // stays the program's
        throw;
    }
    const AdoptedPin pin(*connection);
    try {
        if (!open(*connection, complete, values)) connection->shutdown();
    } catch (const std::bad_alloc&) {
        take_back(*connection, given);
        throw;
    }
    return connection;
}

// Memory is short: nothing is left behind but the program's socket.
void ClientBuilder::take_back(Connection& connection, bool socket_given) {
    if (socket_given) connection.set_descriptor(NOPOLL_INVALID_SOCKET);
    connection.shutdown();
    connection.release();
}

// The object, complete but for its handshakes, which only this thread may touch for now.
Connection* ClientBuilder::make(Context& context, const ClientRequest& request, net::UniqueFd& fd,
                                const std::optional<OptionValues>& values, MakersClaim& claim) {
    const bool strict = values && values->strict ? *values->strict : context.strict.load();
    Connection* const connection = Connection::create(context, NOPOLL_ROLE_CLIENT, strict);
    struct Draft {
        Connection* connection;
        ~Draft() {  // something threw: the descriptor is still the caller's
            if (connection == nullptr) return;
            store_field(connection->session, NOPOLL_INVALID_SOCKET);
            connection->unref();
            connection->unpin();
        }
    };
    connection->pin();  // before others can see it; the caller's in the end
    Draft draft{connection};
    const char* const name = request.host_name != nullptr ? request.host_name : request.host_ip;
    connection->set_phase(Phase::connecting);
    connection->host = duplicate(request.host_ip);
    connection->port = duplicate(request.host_port);
    connection->host_name = duplicate(name);
    connection->get_url = duplicate(request.get_url != nullptr ? request.get_url : "/");
    connection->protocols = duplicate(request.protocols);
    if (request.origin != nullptr) {
        connection->origin = duplicate(request.origin);
    } else {
        const bool literal = request.host_name == nullptr && is_ipv6_literal(request.host_ip);
        connection->origin =
            duplicate(std::string_view("http://" + (literal ? in_brackets(name) : name)));
    }
    if (values && values->max_frame_size > 0) connection->max_frame_size = values->max_frame_size;
    connection->pending_ssl_connect = request.tls ? 1 : 0;
    connection->bare_host_ = request.host_name == nullptr;
    store_field(connection->session, fd.get());
    claim.take(*connection);
    context.register_connection(*connection);
    (void)fd.release();
    draft.connection = nullptr;
    return connection;
}

bool ClientBuilder::open(Connection& connection, const ClientRequest& request,
                         const std::optional<OptionValues>& values) {
    const net::Deadline deadline =
        net::Deadline::after_us(connection.context_.connect_timeout_us());
    struct Settled {
        Connection& connection;
        ~Settled() {
            store_field(connection.pending_ssl_connect, 0);
            connection.context().changed();
        }
    };
    const Settled settled{connection};
    if (!await_tcp(connection, deadline)) return false;
    if (request.tls && !start_tls(connection, request, values, deadline)) return false;
    const std::string text = build_request(connection, values);
    if (text.empty()) return failed(connection, "connecting to", "no random bytes to be had");
    if (!send_request(connection, text, deadline)) return false;
    connection.set_phase(Phase::awaiting_head);
    return true;
}

bool ClientBuilder::await_tcp(Connection& connection, net::Deadline deadline) {
    net::Ready ready = net::Ready::timeout;
    do {
        ready = connection.await_descriptor(false, true, deadline);
    } while (ready == net::Ready::timeout && !deadline.passed());
    const int fd = connection.descriptor();
    if (ready == net::Ready::timeout) return failed(connection, "connecting to", "time is over");
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
        return failed(connection, "connecting to", ::strerror(error));
    return ready == net::Ready::yes || failed(connection, "connecting to", ::strerror(errno));
}

bool ClientBuilder::start_tls(Connection& connection, const ClientRequest& request,
                              const std::optional<OptionValues>& values, net::Deadline deadline) {
    Context& context = connection.context_;
    const auto refuse = [&connection](const TlsFault& fault) {
        return failed(connection, "TLS with", fault.c_str());
    };
    if (const TlsFault fault = set_up_tls_client(context, connection, request.options, values);
        !fault.empty())
        return refuse(fault);
    if (!tls_handshake(connection, deadline)) return false;
    if (const TlsFault fault = check_tls_peer(context, connection, values); !fault.empty())
        return refuse(fault);
    const SslPostCheck check = context.handler(context.post_ssl_check, context.post_ssl_check_data);
    if (check && check.call(&context, &connection, SSL_get_SSL_CTX(connection.ssl), connection.ssl,
                            check.data) == 0)
        return refuse("refused by the program's check");
    store_field(connection.receive, &tls_receive_entry);
    store_field(connection.send, &tls_send_entry);
    store_field(connection.tls_on, 1);
    return connection.is_ok();
}

bool ClientBuilder::tls_handshake(Connection& connection, net::Deadline deadline) {
    for (;;) {
        const net::TlsStep step = connection.tls_handshake_step(net::tls_connect);
        if (!connection.is_ok()) return failed(connection, "TLS with", "closed meanwhile");
        if (step == net::TlsStep::done) return true;
        if (step == net::TlsStep::failed) {
            connection.context_.tls_contexts().distrust();
            const std::string why = net::handshake_failure(connection.ssl);
            return failed(connection, "TLS with", why.c_str());
        }
        const bool for_writing = step == net::TlsStep::want_write;
        if (deadline.passed()) return failed(connection, "TLS with", "time is over");
        if (connection.await_descriptor(!for_writing, for_writing, deadline) == net::Ready::failed)
            return failed(connection, "TLS with", "closed meanwhile");
    }
}

std::string ClientBuilder::build_request(Connection& connection,
                                         const std::optional<OptionValues>& values) {
    std::array<std::byte, 16> nonce;
    if (!net::random_bytes(nonce)) return {};
    const std::string key = protocol::base64_encode(nonce);
    std::string host = connection.host_name;
    if (connection.bare_host_ && is_ipv6_literal(host.c_str())) host = in_brackets(host.c_str());
    protocol::RequestParts parts;
    parts.target = connection.get_url;
    parts.host = host;
    parts.key = key;
    parts.version = load_field(connection.context_.protocol_version);
    if (!values || values->add_origin_header) parts.origin = connection.origin;
    if (values && values->cookie) parts.cookie = *values->cookie;
    if (values && values->extra_headers) parts.extra_headers = *values->extra_headers;
    if (connection.protocols != nullptr) parts.protocols = connection.protocols;
    std::string text = protocol::build_request(parts);
    connection.opening_ = std::make_unique<Connection::Opening>();
    connection.opening_->client.emplace(text, key);
    return text;
}

bool ClientBuilder::send_request(Connection& connection, const std::string& request,
                                 net::Deadline deadline) {
    std::span<const std::byte> left = std::as_bytes(std::span(request));
    for (;;) {
        net::IoResult wrote;
        {
            Connection::Lock lock(connection.mutex_);
            wrote = connection.write_locked(lock, left, {}, false);
        }
        if (wrote.ok()) {
            left = left.subspan(wrote.bytes);
            if (left.empty()) return true;
            continue;
        }
        if (wrote.status != net::IoResult::Status::would_block)
            return failed(connection, "sending the request to", ::strerror(wrote.error));
        const bool for_reading = connection.ssl != nullptr && !wrote.want_write;
        if (deadline.passed()) return failed(connection, "sending the request to", "time is over");
        if (connection.await_descriptor(for_reading, !for_reading, deadline) == net::Ready::failed)
            return failed(connection, "sending the request to", "closed meanwhile");
    }
}

}  // namespace nopoll::core
