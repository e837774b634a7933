// SPDX-License-Identifier: MIT
// The choice of a listener's certificate by the name that the client asks for (SNI, RFC 6066 3).
// The SSL object keeps the context it was made from.
#pragma once

#include <string_view>

#include "net/tls_handles.hpp"

namespace nopoll::net {

// Called on a listener's side in each handshake; server_name is "" when the client sent none.
// May put a certificate on ssl; false refuses the client. owner(ssl) tells the connection.
// std::bad_alloc refuses too; other exceptions must not leave it.
using SniCallback = bool (*)(SSL* ssl, std::string_view server_name);

void install_sni_callback(SSL_CTX* context, SniCallback callback);

// For an SSL object of a context that is not ours, which keeps its own callback for names: this
// one runs later, when the certificate is needed.
void install_sni_callback(SSL* ssl, SniCallback callback);

}  // namespace nopoll::net
