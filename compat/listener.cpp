// SPDX-License-Identifier: MIT
// nopoll_listener.h: listeners, their certificates, and sockets that the program accepts itself.
#include "core/listener.hpp"

#include "boundary.hpp"
#include "core/accept.hpp"
#include "core/c_enum.hpp"
#include "core/log.hpp"
#include "net/listen.hpp"
#include "result.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using compat::boundary;
using compat::to_bool;
using core::Connection;
using core::Context;
using core::Options;

namespace {

bool is_set(const char* text) {
    return text != nullptr && *text != '\0';
}

bool is_known(int transport) {
    return transport == NOPOLL_TRANSPORT_IPV4 || transport == NOPOLL_TRANSPORT_IPV6;
}

net::Family family_of(int transport) {
    return transport == NOPOLL_TRANSPORT_IPV6 ? net::Family::v6 : net::Family::v4;
}

noPollConn* new_listener(noPollCtx* ctx, int transport, noPollConnOpts* opts, const char* host,
                         const char* port, bool tls) {
    if (ctx == nullptr || !is_set(host) || !is_set(port) || !is_known(transport)) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "a listener needs a host, a port and a transport");
        if (opts != nullptr) Options::from(*opts).release_if_needed();
        return nullptr;
    }
    int error = 0;
    noPollConn* const listener = boundary<noPollConn*>(nullptr, [&] {
        return core::ListenerBuilder::create(Context::from(*ctx),
                                             opts == nullptr ? nullptr : &Options::from(*opts),
                                             family_of(transport), host, port, tls, error);
    });
    if (listener == nullptr && error != 0) errno = error;
    return listener;
}

}  // namespace

extern "C" {

noPollConn* nopoll_listener_new(noPollCtx* ctx, const char* host, const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV4, nullptr, host, port, false);
}

noPollConn* nopoll_listener_new6(noPollCtx* ctx, const char* host, const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV6, nullptr, host, port, false);
}

noPollConn* nopoll_listener_new_opts(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                     const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV4, opts, host, port, false);
}

noPollConn* nopoll_listener_new_opts6(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                      const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV6, opts, host, port, false);
}

noPollConn* nopoll_listener_tls_new(noPollCtx* ctx, const char* host, const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV4, nullptr, host, port, true);
}

noPollConn* nopoll_listener_tls_new6(noPollCtx* ctx, const char* host, const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV6, nullptr, host, port, true);
}

noPollConn* nopoll_listener_tls_new_opts(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                         const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV4, opts, host, port, true);
}

noPollConn* nopoll_listener_tls_new_opts6(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                          const char* port) {
    return new_listener(ctx, NOPOLL_TRANSPORT_IPV6, opts, host, port, true);
}

noPollConn* __nopoll_listener_new_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                                noPollConnOpts* opts, const char* host,
                                                const char* port) {
    return new_listener(ctx, core::number_of(transport), opts, host, port, false);
}

noPollConn* __nopoll_listener_tls_new_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                                    noPollConnOpts* opts, const char* host,
                                                    const char* port) {
    return new_listener(ctx, core::number_of(transport), opts, host, port, true);
}

int __nopoll_listener_sock_listen_internal(noPollCtx* ctx, noPollTransport transport,
                                           const char* host, const char* port) {
    if (ctx == nullptr || host == nullptr || !is_set(port)) return -2;
    const int number = core::number_of(transport);
    if (!is_known(number)) return -1;
    return compat::to_c(boundary(core::CallResult{-1, ENOMEM}, [&]() -> core::CallResult {
        int error = 0;
        net::UniqueFd fd =
            core::open_listening_socket(Context::from(*ctx), family_of(number), host, port, error);
        if (!fd.valid()) return {-1, error != 0 ? error : core::kKeepErrno};
        return {fd.release(), core::kKeepErrno};
    }));
}

NOPOLL_SOCKET nopoll_listener_sock_listen(noPollCtx* ctx, const char* host, const char* port) {
    return __nopoll_listener_sock_listen_internal(ctx, NOPOLL_TRANSPORT_IPV4, host, port);
}

nopoll_bool nopoll_listener_set_certificate(noPollConn* listener, const char* certificate,
                                            const char* private_key, const char* chain_file) {
    if (listener == nullptr || certificate == nullptr || private_key == nullptr)
        return nopoll_false;
    return to_bool(boundary(false, [&] {
        return Connection::from(*listener).set_listener_certificate(certificate, private_key,
                                                                    chain_file);
    }));
}

noPollConn* nopoll_listener_from_socket(noPollCtx* ctx, NOPOLL_SOCKET session) {
    if (ctx == nullptr) return nullptr;
    return boundary<noPollConn*>(
        nullptr, [&] { return core::Acceptor::from_socket(Context::from(*ctx), session); });
}

NOPOLL_SOCKET nopoll_listener_accept(NOPOLL_SOCKET server_socket) {
    const int fd = net::accept_one(server_socket);
    if (fd >= 0) return fd;
    errno = -fd;
    return -1;
}

}  // extern "C"
