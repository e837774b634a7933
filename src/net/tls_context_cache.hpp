// SPDX-License-Identifier: MIT
// The SSL_CTX objects and parsed certificates of one noPoll context: each distinct setting is
// built once and shared; a file that changed on disk is noticed at the next look-up by stat(2).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/file_version.hpp"
#include "net/tls_context.hpp"
#include "net/versioned_cache.hpp"

namespace nopoll::net {

// Safe for use by several threads. No lock is held while files are read.
class TlsContextCache {
public:
    static constexpr std::size_t kMostEntries = 64;

    TlsContextCache() = default;
    TlsContextCache(const TlsContextCache&) = delete;
    TlsContextCache& operator=(const TlsContextCache&) = delete;

    // A context for these settings with a reference of the caller's own. Nobody may change it.
    TlsContextResult get(const TlsSettings& settings);

    // Puts the certificate on one SSL object; for SNI callbacks.
    [[nodiscard]] bool use_certificate(SSL* ssl, const std::string& certificate,
                                       const std::string& private_key, const std::string& chain,
                                       std::string& error);

    // A handshake failed. Mostly that is the peer's doing; but where memory was short for a moment
    // while a file was read, OpenSSL can have made something useless of it without a word. So all
    // is read anew, at most once a second: peers could make us do it.
    void distrust();

    [[nodiscard]] std::size_t contexts() const { return contexts_.size(); }
    [[nodiscard]] std::size_t certificates() const { return certificates_.size(); }

private:
    using ContextFiles = std::array<FileVersion, 4>;  // certificate, key, chain, ca
    using CertificateVersions = std::array<FileVersion, 3>;

    VersionedCache<TlsSettings, ContextFiles, SSL_CTX> contexts_{kMostEntries};
    VersionedCache<CertificateFiles, CertificateVersions, const LoadedCertificate> certificates_{
        kMostEntries};
    std::atomic<std::int64_t> distrusted_us_{0};
};

}  // namespace nopoll::net
