// SPDX-License-Identifier: MIT
// Look-up by settings and file versions; building happens with no lock held, so two threads may
// now and then build the same thing and the later one stays.
#include "net/tls_context_cache.hpp"

#include <algorithm>
#include <memory>

#include "net/clock.hpp"

namespace nopoll::net {

namespace {

SslCtxPtr another_reference(SSL_CTX* context) {
    SSL_CTX_up_ref(context);
    return SslCtxPtr(context);
}

template <class Versions>
bool all_settled(const Versions& versions) {
    return std::all_of(versions.begin(), versions.end(),
                       [](const FileVersion& version) { return version.settled(); });
}

}  // namespace

TlsContextResult TlsContextCache::get(const TlsSettings& settings) {
    const auto look = [&settings] {
        return ContextFiles{FileVersion::of(settings.certificate),
                            FileVersion::of(settings.private_key), FileVersion::of(settings.chain),
                            FileVersion::of(settings.ca)};
    };
    const ContextFiles before = look();
    if (const auto known = contexts_.find(settings, before)) {
        return {another_reference(known.get()), {}};
    }
    const bool settled = all_settled(before);
    TlsContextResult built = build_tls_context(settings);
    if (!built.context) return built;
    // Files that changed while they were read: right for this connection at most.
    if (look() == before) {
        contexts_.store(settings, before, settled,
                        std::shared_ptr<SSL_CTX>(another_reference(built.context.get())));
    }
    return built;
}

bool TlsContextCache::use_certificate(SSL* ssl, const std::string& certificate,
                                      const std::string& private_key, const std::string& chain,
                                      std::string& error) {
    const CertificateFiles files{certificate, private_key, chain};
    const auto look = [&files] {
        return CertificateVersions{FileVersion::of(files.certificate),
                                   FileVersion::of(files.private_key),
                                   FileVersion::of(files.chain)};
    };
    const CertificateVersions before = look();
    std::shared_ptr<const LoadedCertificate> loaded = certificates_.find(files, before);
    if (!loaded) {
        const bool settled = all_settled(before);
        auto fresh = std::make_shared<LoadedCertificate>();
        if (!load_certificate(files, SSL_get_SSL_CTX(ssl), *fresh, error)) return false;
        loaded = std::move(fresh);
        if (look() == before) certificates_.store(files, before, settled, loaded);
    }
    return net::use_certificate(ssl, *loaded, error);
}

void TlsContextCache::distrust() {
    constexpr std::int64_t kPauseUs = 1'000'000;
    const std::int64_t now = now_us();
    std::int64_t last = distrusted_us_.load();
    if (last != 0 && now - last < kPauseUs) return;
    if (!distrusted_us_.compare_exchange_strong(last, now)) return;
    contexts_.clear();
    certificates_.clear();
}

}  // namespace nopoll::net
