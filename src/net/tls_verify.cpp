// SPDX-License-Identifier: MIT
// Host name checks are OpenSSL's own with default flags (RFC 6125); here it is only decided which
// name or address is compared.
#include "net/tls_verify.hpp"

#include <atomic>
#include <cctype>
#include <cstdio>
#include <mutex>
#include <type_traits>
#include <utility>

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>

namespace nopoll::net {

namespace {

// Slots on every SSL object; -1 as long as OpenSSL had no memory for them.
constinit std::mutex slots_guard;
static_assert(std::is_trivially_destructible_v<std::mutex>);
constinit std::atomic<int> owner_slot{-1};
constinit std::atomic<int> failure_slot{-1};

void free_text(void*, void* text, CRYPTO_EX_DATA*, int, long, void*) {
    OPENSSL_free(text);
}

// Not CRYPTO_ONCE, which remembers failures: a moment without memory is not to end TLS for good.
bool slots_ready() {
    if (owner_slot.load() >= 0 && failure_slot.load() >= 0) return true;
    const std::lock_guard guard(slots_guard);
    if (owner_slot.load() < 0)
        owner_slot.store(SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr));
    if (failure_slot.load() < 0)
        failure_slot.store(SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_text));
    return owner_slot.load() >= 0 && failure_slot.load() >= 0;
}

// Puts an address into its usual form: what certificates and OpenSSL compare.
bool normalise_ip(std::string& text) {
    char printed[INET6_ADDRSTRLEN];
    in6_addr v6{};
    const std::string bare = text.substr(0, text.find('%'));  // a zone names our interface
    if (inet_pton(AF_INET6, bare.c_str(), &v6) == 1) {
        text = inet_ntop(AF_INET6, &v6, printed, sizeof printed);
        return true;
    }
    // inet_aton takes the short forms that the resolver takes too ("127.1"), but also a tail.
    in_addr v4{};
    if (text.find_first_not_of("0123456789abcdefABCDEFxX.") != std::string::npos ||
        inet_aton(text.c_str(), &v4) == 0) {
        return false;
    }
    text = inet_ntop(AF_INET, &v4, printed, sizeof printed);
    return true;
}

// OpenSSL's words for these say where it looked rather than what is wrong.
bool is_unknown_authority(int error) {
    return error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
}

// One line about the certificate under the callback's eyes, e.g. "CN=example.org".
void print_subject(X509_STORE_CTX* store, char* out, std::size_t size) {
    const X509* certificate = X509_STORE_CTX_get_current_cert(store);
    if (certificate == nullptr) {
        std::snprintf(out, size, "no certificate");
        return;
    }
    const X509_NAME* subject = X509_get_subject_name(certificate);
    char name[200];
    if (X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof name) > 0) {
        std::snprintf(out, size, "CN=%s", name);
    } else if (X509_NAME_oneline(subject, name, sizeof name) != nullptr) {
        std::snprintf(out, size, "%s", name);
    } else {
        std::snprintf(out, size, "unnamed");
    }
    // The peer chose these bytes, and they go into a log.
    for (char* byte = out; *byte != '\0'; ++byte) {
        if (std::iscntrl(static_cast<unsigned char>(*byte)) != 0) *byte = '?';
    }
}

}  // namespace

bool set_owner(SSL* ssl, void* owner) {
    return slots_ready() && SSL_set_ex_data(ssl, owner_slot, owner) == 1;
}

void* owner(const SSL* ssl) {
    return slots_ready() ? SSL_get_ex_data(ssl, owner_slot) : nullptr;
}

HostName parse_host(std::string_view host) {
    if (host.starts_with('[')) {
        host.remove_prefix(1);
        host = host.substr(0, host.find(']'));
    } else if (const auto colon = host.find(':');
               colon != host.npos && host.find(':', colon + 1) == host.npos) {
        host = host.substr(0, colon);  // with more than one colon it is an IPv6 address
    }
    if (host.ends_with('.')) host.remove_suffix(1);
    HostName result{std::string(host), false};
    result.is_ip = normalise_ip(result.name);
    return result;
}

std::string sni_name(std::string_view host) {
    HostName parsed = parse_host(host);
    return parsed.is_ip ? std::string() : std::move(parsed.name);  // RFC 6066 3
}

bool set_verify_host(SSL* ssl, std::string_view host) {
    const HostName parsed = parse_host(host);
    // OpenSSL takes an empty name for "do not compare", and would cut at a NUL byte.
    if (parsed.name.empty() || parsed.name.find('\0') != std::string::npos) return false;
    X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
    if (parsed.is_ip) {
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, parsed.name.c_str()) == 1;
    }
    return X509_VERIFY_PARAM_set1_host(parameters, parsed.name.c_str(), parsed.name.size()) == 1;
}

bool peer_matches_host(const SSL* ssl, std::string_view host) {
    const HostName parsed = parse_host(host);
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr || parsed.name.empty()) return false;
    if (parsed.is_ip) return X509_check_ip_asc(certificate, parsed.name.c_str(), 0) == 1;
    return X509_check_host(certificate, parsed.name.c_str(), parsed.name.size(), 0, nullptr) == 1;
}

bool has_host_in_verify_param(SSL_CTX* context) {
    X509_VERIFY_PARAM* parameters = SSL_CTX_get0_param(context);
    if (X509_VERIFY_PARAM_get0_host(parameters, 0) != nullptr) return true;
    char* address = X509_VERIFY_PARAM_get1_ip_asc(parameters);
    OPENSSL_free(address);
    return address != nullptr;
}

bool has_peer_certificate(const SSL* ssl) {
    return SSL_get0_peer_certificate(ssl) != nullptr;
}

int verify_callback(int ok, X509_STORE_CTX* store) {
    if (ok == 1 || !slots_ready()) return ok;
    auto* ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    if (ssl == nullptr || SSL_get_ex_data(ssl, failure_slot) != nullptr) return ok;
    // Called through C code: fixed buffers, so that nothing can be thrown.
    char subject[256];
    char text[512];
    print_subject(store, subject, sizeof subject);
    const int error = X509_STORE_CTX_get_error(store);
    std::snprintf(text, sizeof text, "%s%s (depth %d, %s)",
                  is_unknown_authority(error) ? "signed by an unknown authority: " : "",
                  X509_verify_cert_error_string(error), X509_STORE_CTX_get_error_depth(store),
                  subject);
    char* copy = OPENSSL_strdup(text);
    if (copy != nullptr && SSL_set_ex_data(ssl, failure_slot, copy) != 1) OPENSSL_free(copy);
    return ok;
}

std::string verify_failure(const SSL* ssl) {
    if (slots_ready()) {
        if (const void* text = SSL_get_ex_data(ssl, failure_slot)) {
            return static_cast<const char*>(text);
        }
    }
    const long result = SSL_get_verify_result(ssl);
    return result == X509_V_OK ? std::string() : X509_verify_cert_error_string(result);
}

}  // namespace nopoll::net
