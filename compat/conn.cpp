// SPDX-License-Identifier: MIT
// nopoll_conn.h: making, asking and ending connections. Sending and receiving: conn_io.cpp.
#include "boundary.hpp"
#include "core/accept.hpp"
#include "core/c_enum.hpp"
#include "core/client.hpp"
#include "net/socket_options.hpp"
#include "result.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using compat::boundary;
using compat::to_bool;
using core::Acceptor;
using core::ClientRequest;
using core::Connection;
using core::Context;
using core::load_field;
using core::Options;

namespace {

Options* options_of(noPollConnOpts* opts) {
    return opts == nullptr ? nullptr : &Options::from(*opts);
}

noPollConn* new_client(noPollCtx* ctx, noPollConnOpts* opts, int transport, bool tls, int fd,
                       const char* host_ip, const char* host_port, const char* host_name,
                       const char* get_url, const char* protocols, const char* origin) {
    const bool known = transport == NOPOLL_TRANSPORT_IPV4 || transport == NOPOLL_TRANSPORT_IPV6;
    if (ctx == nullptr || host_ip == nullptr || !known) {
        if (opts != nullptr) Options::from(*opts).release_if_needed();
        return nullptr;
    }
    ClientRequest request;
    request.options = options_of(opts);
    request.family = transport == NOPOLL_TRANSPORT_IPV6 ? net::Family::v6 : net::Family::v4;
    request.tls = tls;
    request.socket = fd >= 0 ? fd : NOPOLL_INVALID_SOCKET;
    request.host_ip = host_ip;
    request.host_port = host_port;
    request.host_name = host_name;
    request.get_url = get_url;
    request.protocols = protocols;
    request.origin = origin;
    Context& context = Context::from(*ctx);
    const core::ContextPin pin(context);
    int error = 0;
    noPollConn* const connection = boundary<noPollConn*>(
        nullptr, [&] { return core::ClientBuilder::create(context, request, error); });
    if (connection == nullptr && error != 0) errno = error;  // the resolver has none
    return connection;
}

template <class Field>
const char* text(noPollConn* conn, Field field) {
    return conn == nullptr ? nullptr : load_field(conn->*field);
}

}  // namespace

extern "C" {

noPollConn* nopoll_conn_new(noPollCtx* ctx, const char* host_ip, const char* host_port,
                            const char* host_name, const char* get_url, const char* protocols,
                            const char* origin) {
    return new_client(ctx, nullptr, NOPOLL_TRANSPORT_IPV4, false, -1, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* nopoll_conn_new6(noPollCtx* ctx, const char* host_ip, const char* host_port,
                             const char* host_name, const char* get_url, const char* protocols,
                             const char* origin) {
    return new_client(ctx, nullptr, NOPOLL_TRANSPORT_IPV6, false, -1, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* nopoll_conn_new_opts(noPollCtx* ctx, noPollConnOpts* opts, const char* host_ip,
                                 const char* host_port, const char* host_name, const char* get_url,
                                 const char* protocols, const char* origin) {
    return new_client(ctx, opts, NOPOLL_TRANSPORT_IPV4, false, -1, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* nopoll_conn_new_with_socket(noPollCtx* ctx, noPollConnOpts* opts, int fd,
                                        const char* host_ip, const char* host_port,
                                        const char* host_name, const char* get_url,
                                        const char* protocols, const char* origin) {
    return new_client(ctx, opts, NOPOLL_TRANSPORT_IPV4, false, fd, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* nopoll_conn_tls_new(noPollCtx* ctx, noPollConnOpts* options, const char* host_ip,
                                const char* host_port, const char* host_name, const char* get_url,
                                const char* protocols, const char* origin) {
    return new_client(ctx, options, NOPOLL_TRANSPORT_IPV4, true, -1, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* nopoll_conn_tls_new6(noPollCtx* ctx, noPollConnOpts* options, const char* host_ip,
                                 const char* host_port, const char* host_name, const char* get_url,
                                 const char* protocols, const char* origin) {
    return new_client(ctx, options, NOPOLL_TRANSPORT_IPV6, true, -1, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* nopoll_conn_tls_new_with_socket(noPollCtx* ctx, noPollConnOpts* options, int fd,
                                            const char* host_ip, const char* host_port,
                                            const char* host_name, const char* get_url,
                                            const char* protocols, const char* origin) {
    return new_client(ctx, options, NOPOLL_TRANSPORT_IPV4, true, fd, host_ip, host_port, host_name,
                      get_url, protocols, origin);
}

noPollConn* __nopoll_conn_new_common(noPollCtx* ctx, noPollConnOpts* options,
                                     noPollTransport transport, nopoll_bool enable_tls, int fd,
                                     const char* host_ip, const char* host_port,
                                     const char* host_name, const char* get_url,
                                     const char* protocols, const char* origin) {
    return new_client(ctx, options, core::number_of(transport), enable_tls != 0, fd, host_ip,
                      host_port, host_name, get_url, protocols, origin);
}

void nopoll_conn_connect_timeout(noPollCtx* ctx, long microseconds_to_wait) {
    if (ctx != nullptr) core::store_field(ctx->conn_connect_std_timeout, microseconds_to_wait);
}

long nopoll_conn_get_connect_timeout(noPollCtx* ctx) {
    return ctx == nullptr ? 0 : load_field(ctx->conn_connect_std_timeout);
}

// --- accepting ---

noPollConn* nopoll_conn_accept(noPollCtx* ctx, noPollConn* listener) {
    if (ctx == nullptr || listener == nullptr) return nullptr;
    int error = 0;
    Connection* const connection = boundary<Connection*>(nullptr, [&] {
        return Acceptor::accept(Context::from(*ctx), Connection::from(*listener),
                                core::AcceptWaiting::as_flagged, error);
    });
    if (error != 0) errno = error;
    return connection;
}

noPollConn* nopoll_conn_accept_socket(noPollCtx* ctx, noPollConn* listener, NOPOLL_SOCKET session) {
    if (ctx == nullptr || listener == nullptr) return nullptr;
    return boundary<noPollConn*>(nullptr, [&] {
        bool made = false;
        return Acceptor::accept_socket(Context::from(*ctx), Connection::from(*listener), session,
                                       made);
    });
}

nopoll_bool nopoll_conn_accept_complete(noPollCtx* ctx, noPollConn* listener, noPollConn* conn,
                                        NOPOLL_SOCKET session, nopoll_bool tls_on) {
    if (conn == nullptr) return nopoll_false;
    Connection& connection = Connection::from(*conn);
    if (ctx == nullptr) {
        connection.shutdown();
        return nopoll_false;
    }
    return to_bool(boundary(false, [&] {
        return Acceptor::complete(Context::from(*ctx),
                                  listener == nullptr ? nullptr : &Connection::from(*listener),
                                  connection, session, tls_on != 0);
    }));
}

nopoll_bool __nopoll_conn_accept_complete_common(noPollCtx* ctx, noPollConnOpts* options,
                                                 noPollConn* listener, noPollConn* conn,
                                                 int session, nopoll_bool tls_on) {
    const nopoll_bool result = nopoll::compat::to_bool(false);
    if (ctx == nullptr || conn == nullptr) {
        if (conn != nullptr) Connection::from(*conn).shutdown();
        if (options != nullptr) Options::from(*options).release_if_needed();
        return result;
    }
    return to_bool(boundary(false, [&] {
        return Acceptor::complete_with(Context::from(*ctx), options_of(options),
                                       listener == nullptr ? nullptr : &Connection::from(*listener),
                                       Connection::from(*conn), session, tls_on != 0);
    }));
}

// --- life ---

nopoll_bool nopoll_conn_ref(noPollConn* conn) {
    return to_bool(conn != nullptr && Connection::from(*conn).ref());
}

int nopoll_conn_ref_count(noPollConn* conn) {
    return conn == nullptr ? -1 : load_field(conn->refs);
}

void nopoll_conn_unref(noPollConn* conn) {
    if (conn != nullptr) Connection::from(*conn).unref();
}

nopoll_bool __nopoll_conn_transient_ref(noPollConn* conn) {
    return to_bool(conn != nullptr && Connection::from(*conn).transient_ref());
}

void __nopoll_conn_transient_unref(noPollConn* conn) {
    if (conn != nullptr) Connection::from(*conn).transient_unref();
}

int __nopoll_conn_owner_ref_count(noPollConn* conn) {
    return conn == nullptr ? -1 : Connection::from(*conn).owner_ref_count();
}

void nopoll_conn_shutdown(noPollConn* conn) {
    if (conn != nullptr) Connection::from(*conn).shutdown();
}

void nopoll_conn_close(noPollConn* conn) {
    if (conn != nullptr) compat::boundary([&] { Connection::from(*conn).close(0, {}); });
}

void nopoll_conn_close_ext(noPollConn* conn, int status, const char* reason, int reason_size) {
    if (conn == nullptr) return;
    const bool has_reason = reason != nullptr && reason_size > 0;
    const std::string_view text =
        has_reason ? std::string_view(reason, static_cast<std::size_t>(reason_size))
                   : std::string_view();
    compat::boundary([&] { Connection::from(*conn).close(status, text); });
}

// --- state ---

nopoll_bool nopoll_conn_is_ok(noPollConn* conn) {
    return to_bool(conn != nullptr && Connection::from(*conn).is_ok());
}

nopoll_bool nopoll_conn_is_ready(noPollConn* conn) {
    return to_bool(conn != nullptr && Connection::from(*conn).is_ready());
}

nopoll_bool nopoll_conn_wait_until_connection_ready(noPollConn* conn, int timeout) {
    return to_bool(conn != nullptr && Connection::from(*conn).wait_until_ready(timeout));
}

void nopoll_conn_complete_handshake(noPollConn* conn) {
    if (conn != nullptr) Connection::from(*conn).complete_handshake();
}

nopoll_bool nopoll_conn_is_tls_on(noPollConn* conn) {
    return to_bool(conn != nullptr && load_field(conn->tls_on) != 0);
}

NOPOLL_SOCKET nopoll_conn_socket(noPollConn* conn) {
    return conn == nullptr ? NOPOLL_INVALID_SOCKET : Connection::from(*conn).descriptor_to_watch();
}

void nopoll_conn_set_socket(noPollConn* conn, NOPOLL_SOCKET _socket) {
    if (conn != nullptr) Connection::from(*conn).set_descriptor(_socket);
}

noPollCtx* nopoll_conn_ctx(noPollConn* conn) {
    return conn == nullptr ? nullptr : conn->ctx;
}

noPollRole nopoll_conn_role(noPollConn* conn) {
    return conn == nullptr ? NOPOLL_ROLE_UNKNOWN : load_field(conn->role);
}

int nopoll_conn_get_id(noPollConn* conn) {
    return conn == nullptr ? -1 : load_field(conn->id);
}

const char* nopoll_conn_host(noPollConn* conn) {
    return text(conn, &noPollConn::host);
}

const char* nopoll_conn_port(noPollConn* conn) {
    return text(conn, &noPollConn::port);
}

const char* nopoll_conn_get_origin(noPollConn* conn) {
    return text(conn, &noPollConn::origin);
}

const char* nopoll_conn_get_host_header(noPollConn* conn) {
    return text(conn, &noPollConn::host_name);
}

const char* nopoll_conn_get_requested_url(noPollConn* conn) {
    return text(conn, &noPollConn::get_url);
}

const char* nopoll_conn_get_requested_protocol(noPollConn* conn) {
    return text(conn, &noPollConn::protocols);
}

const char* nopoll_conn_get_accepted_protocol(noPollConn* conn) {
    return text(conn, &noPollConn::accepted_protocol);
}

const char* nopoll_conn_get_x_real_ip_header(noPollConn* conn) {
    return text(conn, &noPollConn::x_real_ip_address);
}

const char* nopoll_conn_get_close_reason(noPollConn* conn) {
    return text(conn, &noPollConn::peer_close_reason);
}

int nopoll_conn_get_close_status(noPollConn* conn) {
    return conn == nullptr ? 0 : load_field(conn->peer_close_status);
}

const char* nopoll_conn_get_cookie(noPollConn* conn) {
    return conn == nullptr ? nullptr : Connection::from(*conn).cookie();
}

noPollConn* nopoll_conn_get_listener(noPollConn* conn) {
    return conn == nullptr ? nullptr : load_field(conn->listener);
}

long nopoll_conn_get_max_frame_size(noPollConn* conn) {
    return conn == nullptr ? NOPOLL_MAX_FRAME_SIZE_DEFAULT : Connection::from(*conn).frame_limit();
}

void __nopoll_conn_set_max_frame_size(noPollConn* conn, noPollConnOpts* options) {
    if (conn == nullptr || options == nullptr) return;
    const long limit = Options::from(*options).frame_size_limit();
    if (limit > 0) core::store_field(conn->max_frame_size, limit);
}

void nopoll_conn_set_accepted_protocol(noPollConn* conn, const char* protocol) {
    if (conn != nullptr && protocol != nullptr)
        compat::boundary([&] { Connection::from(*conn).set_accepted_protocol(protocol); });
}

void nopoll_conn_set_hook(noPollConn* conn, noPollPtr ptr) {
    if (conn != nullptr) core::store_field(conn->hook, ptr);
}

noPollPtr nopoll_conn_get_hook(noPollConn* conn) {
    return conn == nullptr ? nullptr : load_field(conn->hook);
}

// --- handlers ---

void nopoll_conn_set_on_msg(noPollConn* conn, noPollOnMessageHandler on_msg, noPollPtr user_data) {
    if (conn == nullptr) return;
    Connection::from(*conn).set_handler(conn->on_msg, conn->on_msg_data, on_msg, user_data);
}

void nopoll_conn_set_on_ready(noPollConn* conn, noPollActionHandler on_ready, noPollPtr user_data) {
    if (conn == nullptr) return;
    Connection::from(*conn).set_handler(conn->on_ready, conn->on_ready_data, on_ready,
                                        on_ready == nullptr ? nullptr : user_data);
}

void nopoll_conn_set_on_close(noPollConn* conn, noPollOnCloseHandler on_close,
                              noPollPtr user_data) {
    if (conn == nullptr) return;
    Connection::from(*conn).set_handler(conn->on_close, conn->on_close_data, on_close, user_data);
}

}  // extern "C"
