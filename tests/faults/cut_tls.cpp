// SPDX-License-Identifier: MIT
// See cut_tls.hpp.
#include "faults/cut_tls.hpp"

#include <algorithm>

namespace nopoll::faults {
namespace {

constexpr int kPatienceMs = 20'000;
constexpr std::size_t kRecord = 64;  // small: frames go over the edges of records

SslCtxOwner owned(SSL_CTX* tls) {
    REQUIRE(tls != nullptr);
    return {tls, SSL_CTX_free};
}

}  // namespace

SslCtxOwner tls_client_side() {
    return owned(SSL_CTX_new(TLS_client_method()));
}

SslCtxOwner tls_server_side(const std::string& certificate, const std::string& key) {
    SslCtxOwner tls = owned(SSL_CTX_new(TLS_server_method()));
    REQUIRE(SSL_CTX_use_certificate_chain_file(tls.get(), certificate.c_str()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(tls.get(), key.c_str(), SSL_FILETYPE_PEM) == 1);
    return tls;
}

CutTls::CutTls(SSL_CTX* tls, const RawSocket& socket, std::size_t limit)
    : socket_(socket), left_(limit), ssl_(SSL_new(tls), SSL_free) {
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (SSL_is_server(ssl_.get()) != 0)
        SSL_set_accept_state(ssl_.get());
    else
        SSL_set_connect_state(ssl_.get());
}

// What TLS has made goes to the socket.
bool CutTls::flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &data);
    const std::size_t now = std::min(left_, static_cast<std::size_t>(size));
    const bool all = now == static_cast<std::size_t>(size);
    const bool sent = now == 0 || socket_.send({data, now});
    left_ -= now;
    (void)BIO_reset(SSL_get_wbio(ssl_.get()));
    return sent && all;
}

bool CutTls::feed() {
    const std::string bytes = socket_.receive(16 * 1024, kPatienceMs);
    if (bytes.empty()) return false;
    return BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool CutTls::shake_hands() {
    for (;;) {
        const int result = SSL_do_handshake(ssl_.get());
        if (!flush()) return false;
        if (result == 1) return true;
        if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ || !feed()) return false;
    }
}

bool CutTls::send(std::string_view plain) {
    for (; !plain.empty(); plain.remove_prefix(std::min(kRecord, plain.size()))) {
        const auto size = static_cast<int>(std::min(kRecord, plain.size()));
        REQUIRE(SSL_write(ssl_.get(), plain.data(), size) == size);
        if (!flush()) return false;
    }
    return true;
}

std::string CutTls::receive_head() {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
        char byte = 0;
        const int result = SSL_read(ssl_.get(), &byte, 1);
        if (result == 1)
            head += byte;
        else if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ || !feed())
            return "";
    }
    return head;
}

}  // namespace nopoll::faults
