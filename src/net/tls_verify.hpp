// SPDX-License-Identifier: MIT
// Who the peer is: host names for SNI and certificate checks, the verification callback, and
// the link from an SSL object back to the connection it belongs to.
#pragma once

#include <string>
#include <string_view>

#include "net/tls_handles.hpp"

namespace nopoll::net {

// The connection's own pointer on an SSL object (ex data); null when none was set.
bool set_owner(SSL* ssl, void* owner);
[[nodiscard]] void* owner(const SSL* ssl);

// A Host value as programs write it, taken apart.
struct HostName {
    std::string name;  // without port, brackets, zone and trailing dot; IP addresses normalised
    bool is_ip = false;
};
[[nodiscard]] HostName parse_host(std::string_view host);

// Name for the SNI extension; "" (send none) for IP literals.
[[nodiscard]] std::string sni_name(std::string_view host);

// Chain verification of ssl will also compare the name. False (verify nothing then, fail): no
// usable name or no memory.
[[nodiscard]] bool set_verify_host(SSL* ssl, std::string_view host);

// After the handshake: does the peer's certificate carry the name, whoever signed it.
[[nodiscard]] bool peer_matches_host(const SSL* ssl, std::string_view host);

// The context (a program's own) already demands some host or IP address.
[[nodiscard]] bool has_host_in_verify_param(SSL_CTX* context);

[[nodiscard]] bool has_peer_certificate(const SSL* ssl);

// For SSL_CTX_set_verify: returns ok unchanged and remembers the first failure on the SSL object.
int verify_callback(int ok, X509_STORE_CTX* store);

// "certificate has expired (depth 0, CN=example.org)"; "" when verification found no fault.
[[nodiscard]] std::string verify_failure(const SSL* ssl);

}  // namespace nopoll::net
