// SPDX-License-Identifier: MIT
// A TLS end made of bytes: what it has to say, handshake and records alike, is cut off after a
// given number of them.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "faults/raw_peer.hpp"

namespace nopoll::faults {

using SslCtxOwner = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

[[nodiscard]] SslCtxOwner tls_client_side();
[[nodiscard]] SslCtxOwner tls_server_side(const std::string& certificate, const std::string& key);

class CutTls {
public:
    // Sends `limit` bytes to the socket at most. The context's role is that of its method.
    CutTls(SSL_CTX* tls, const RawSocket& socket, std::size_t limit);

    // Each is false from when the limit is reached or the other side has gone.
    [[nodiscard]] bool shake_hands();
    [[nodiscard]] bool send(std::string_view plain);
    // Up to and with the blank line; "" as above.
    [[nodiscard]] std::string receive_head();

private:
    bool flush();
    bool feed();

    const RawSocket& socket_;
    std::size_t left_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

}  // namespace nopoll::faults
