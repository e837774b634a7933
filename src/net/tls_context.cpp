// SPDX-License-Identifier: MIT
// How each SSL_CTX is set up.
#include "net/tls_context.hpp"

#include <new>
#include <utility>

#include <openssl/err.h>

#include "net/tls_transport.hpp"

namespace nopoll::net {

namespace {

constexpr int kClientVerifyDepth = 10;
constexpr int kListenerVerifyDepth = 5;
// Only clients without tickets use the cache; each session takes 1 to 2 KB.
constexpr long kSessionCacheEntries = 256;

std::string failure_text(const char* what) {
    const std::string reason = drain_error_queue();
    return reason.empty() ? what : std::string(what) + ": " + reason;
}

bool apply_method(SSL_CTX* context, int method) {
    if (method == kTlsExactly12) {
        return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
               SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION) == 1;
    }
    // The system's configuration may ask for more, never for less than TLS 1.2.
    const long lowest = SSL_CTX_get_min_proto_version(context);
    return lowest >= TLS1_2_VERSION || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

// Sessions: listeners issue tickets and keep a small cache; clients never resume.
void apply_session_rules(SSL_CTX* context, bool client) {
    if (client) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        return;
    }
    // Without an id context OpenSSL refuses to resume where client certificates are asked for.
    static constexpr unsigned char kIdContext[] = {'n', 'o', 'p', 'o', 'l', 'l'};
    SSL_CTX_set_session_id_context(context, kIdContext, sizeof kIdContext);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(context, kSessionCacheEntries);
}

// The names a listener tells its clients, so that they can pick the right certificate.
bool add_client_authorities(SSL_CTX* context, const std::string& path) {
    const STACK_OF(X509_NAME)* known = SSL_CTX_get_client_CA_list(context);
    STACK_OF(X509_NAME)* names =
        known != nullptr ? SSL_dup_CA_list(known) : sk_X509_NAME_new_null();
    if (names == nullptr) throw std::bad_alloc();
    if (SSL_add_file_cert_subjects_to_stack(names, path.c_str()) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return false;
    }
    SSL_CTX_set_client_CA_list(context, names);  // takes the stack
    return true;
}

bool apply_trust(SSL_CTX* context, const TlsSettings& settings, std::string& error) {
    const bool verifies =
        settings.client ? settings.verify_peer : settings.demand_client_certificate;
    if (!settings.ca.empty()) {
        if (SSL_CTX_load_verify_locations(context, settings.ca.c_str(), nullptr) != 1 ||
            (!settings.client && verifies && !add_client_authorities(context, settings.ca))) {
            error = settings.ca + ": " + failure_text("cannot use certificate authorities");
            return false;
        }
    }
    if (!verifies) return true;
    if (SSL_CTX_set_default_verify_paths(context) != 1) {
        error = failure_text("cannot use the system's certificate authorities");
        return false;
    }
    ERR_clear_error();  // a missing default file is no failure but leaves a trace
    // A callback of the program's creator stays in charge.
    SSL_verify_cb callback = SSL_CTX_get_verify_callback(context);
    const int mode =
        settings.client ? SSL_VERIFY_PEER : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context) | mode,
                       callback != nullptr ? callback : verify_callback);
    SSL_CTX_set_verify_depth(context, settings.client ? kClientVerifyDepth : kListenerVerifyDepth);
    return true;
}

bool apply_certificates(SSL_CTX* context, const TlsSettings& settings, std::string& error) {
    const CertificateFiles files = settings.certificate_files();
    if (files.empty()) return true;
    LoadedCertificate loaded;
    return load_certificate(files, context, loaded, error) &&
           use_certificate(context, loaded, error);
}

}  // namespace

bool apply_tls_settings(SSL_CTX* context, const TlsSettings& settings, std::string& error) {
    ERR_clear_error();
    // Released buffers are what keeps an idle connection small.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    return apply_trust(context, settings, error) && apply_certificates(context, settings, error);
}

TlsContextResult build_tls_context(const TlsSettings& settings) {
    ERR_clear_error();
    TlsContextResult result;
    SslCtxPtr context(SSL_CTX_new(settings.client ? TLS_client_method() : TLS_server_method()));
    if (!context) {
        result.error = failure_text("cannot make a TLS context");
        return result;
    }
    if (!apply_method(context.get(), settings.method)) {
        result.error = failure_text("the system does not allow this TLS version");
        return result;
    }
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
    apply_session_rules(context.get(), settings.client);
    if (settings.sni != nullptr) install_sni_callback(context.get(), settings.sni);
    if (apply_tls_settings(context.get(), settings, result.error)) {
        result.context = std::move(context);
    }
    return result;
}

}  // namespace nopoll::net
