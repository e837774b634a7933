// SPDX-License-Identifier: MIT
// From a context, its handlers and a set of options to the SSL object of one connection.
#pragma once

#include <optional>
#include <string>

#include "core/face.hpp"
#include "core/options.hpp"
#include "net/tls_context.hpp"

namespace nopoll::core {

class Connection;
class Context;

// Reason in words, empty on success.
using TlsFault = std::string;

// Makes conn.ssl_ctx and conn.ssl (the program's creator runs inside) and leaves the handshake to
// the caller. `options` is what the program gave for this connection or its listener, or nullptr.
TlsFault set_up_tls_client(Context& context, Connection& connection, Options* options,
                           const std::optional<OptionValues>& values);
TlsFault set_up_tls_listener(Context& context, Connection& connection, Connection* listener,
                             Options* options);

// After a client's handshake: is there a certificate, and is it for the host that was asked for?
TlsFault check_tls_peer(Context& context, Connection& connection,
                        const std::optional<OptionValues>& values);

net::TlsSettings client_tls_settings(const std::optional<OptionValues>& values);

}  // namespace nopoll::core
