// SPDX-License-Identifier: MIT
// Both ends of a TLS connection over a socket pair, driven in turns by one thread.
#pragma once

#include <string>

#include "net/tls_context.hpp"
#include "net/tls_transport.hpp"
#include "unit/net/net_test.hpp"

namespace nopoll::net::test {

// One end. Stays where it is: the SSL object points at the descriptor.
struct TlsEnd {
    TlsEnd() = default;
    TlsEnd(const TlsEnd&) = delete;
    TlsEnd& operator=(const TlsEnd&) = delete;
    ~TlsEnd() {
        ssl.reset();
        close_quietly(fd);
    }
    void close() {
        close_quietly(fd);
        fd = -1;
    }

    int fd = -1;
    SslPtr ssl;
    TlsStep step = TlsStep::want_read;
    std::string fault;  // error queue of a failed handshake
};

inline void set_up(TlsEnd& end, SSL_CTX* context, UniqueFd fd) {
    end.fd = fd.release();
    end.ssl.reset(SSL_new(context));
    assert_non_null(end.ssl.get());
    assert_true(attach_descriptor(end.ssl.get(), &end.fd));
}

struct TlsPair {
    TlsEnd client, server;

    TlsPair(SSL_CTX* client_context, SSL_CTX* server_context, bool tcp = false) {
        Pair sockets = tcp ? tcp_pair() : socket_pair();
        set_up(client, client_context, std::move(sockets.a));
        set_up(server, server_context, std::move(sockets.b));
    }

    // True when both ends got through.
    bool shake_hands() {
        for (int turn = 0; turn < 100; ++turn) {
            advance(client, tls_connect);
            advance(server, tls_accept);
            if (is_over(client) && is_over(server)) break;
            if (client.step == TlsStep::failed && !is_over(server)) client.close();
            if (server.step == TlsStep::failed && !is_over(client)) server.close();
        }
        return client.step == TlsStep::done && server.step == TlsStep::done;
    }

private:
    static bool is_over(const TlsEnd& end) {
        return end.step == TlsStep::done || end.step == TlsStep::failed;
    }
    static void advance(TlsEnd& end, TlsStep (*step)(SSL*)) {
        if (is_over(end)) return;
        end.step = step(end.ssl.get());
        if (end.step == TlsStep::failed) end.fault = drain_error_queue();
    }
};

// Reads until something comes, the end or a failure.
inline IoResult read_patiently(TlsEnd& end, std::span<std::byte> into) {
    for (;;) {
        const IoResult result = tls_receive(end.ssl.get(), into);
        if (result.status != IoResult::Status::would_block) return result;
        if (wait_for(end.fd, !result.want_write, result.want_write, patience()) != Ready::yes) {
            return result;
        }
    }
}

inline SslCtxPtr context_for(const TlsSettings& settings) {
    TlsContextResult result = build_tls_context(settings);
    if (!result.context) print_message("%s\n", result.error.c_str());
    assert_non_null(result.context.get());
    return std::move(result.context);
}

}  // namespace nopoll::net::test
