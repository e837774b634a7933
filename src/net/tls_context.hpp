// SPDX-License-Identifier: MIT
// SSL_CTX objects: made from settings, or settings applied to one that the program made.
// TLS 1.2 and 1.3 (the system's configuration may narrow that), OpenSSL 3.
#pragma once

#include <string>

#include "net/tls_certificate.hpp"
#include "net/tls_handles.hpp"
#include "net/tls_sni.hpp"
#include "net/tls_verify.hpp"

namespace nopoll::net {

inline constexpr int kTlsFlexible = 0;
inline constexpr int kTlsExactly12 = 1;

// Empty string = not set.
struct TlsSettings {
    bool client = false;
    int method = kTlsFlexible;
    std::string certificate, private_key, chain, ca;
    bool verify_peer = false;                // client: the server's chain
    bool demand_client_certificate = false;  // listener
    SniCallback sni = nullptr;               // listener: chooses the certificate in the handshake

    [[nodiscard]] CertificateFiles certificate_files() const {
        return {certificate, private_key, chain};
    }
    bool operator==(const TlsSettings&) const = default;
};

struct [[nodiscard]] TlsContextResult {
    SslCtxPtr context;  // its own reference; null on failure
    std::string error;
};

TlsContextResult build_tls_context(const TlsSettings& settings);

// Everything but method and sni, for a context that the program's creator made. Only ever adds:
// what the creator demands of its peers stays. False: error says file and reason.
[[nodiscard]] bool apply_tls_settings(SSL_CTX* context, const TlsSettings& settings,
                                      std::string& error);

}  // namespace nopoll::net
