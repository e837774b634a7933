// SPDX-License-Identifier: MIT
// Certificates with key and chain: read from PEM files, put on contexts or on single SSL objects.
#pragma once

#include <string>

#include "net/tls_handles.hpp"

namespace nopoll::net {

// Empty = not given.
struct CertificateFiles {
    std::string certificate, private_key, chain;

    [[nodiscard]] bool empty() const {
        return certificate.empty() && private_key.empty() && chain.empty();
    }
    bool operator==(const CertificateFiles&) const = default;
};

struct LoadedCertificate {
    CertificateFiles files;  // where it came from, for messages
    X509Ptr leaf;            // null when no certificate file was given
    X509StackPtr chain;      // what follows the leaf; null = nothing
    PkeyPtr key;             // null when no key file was given
};

// Reads the files: the certificate file as a chain, then the chain file's certificates unless
// equal to the leaf. A chain file without certificate file takes its place. password_source:
// context whose passphrase callback is used, may be null. False: error says file and reason.
[[nodiscard]] bool load_certificate(const CertificateFiles& files, SSL_CTX* password_source,
                                    LoadedCertificate& out, std::string& error);

// Puts a loaded certificate in place. On an SSL object it takes the place of all that came from
// the context, which stays as it is.
[[nodiscard]] bool use_certificate(SSL_CTX* context, const LoadedCertificate& loaded,
                                   std::string& error);
[[nodiscard]] bool use_certificate(SSL* ssl, const LoadedCertificate& loaded, std::string& error);

}  // namespace nopoll::net
