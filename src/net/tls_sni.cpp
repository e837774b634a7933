// SPDX-License-Identifier: MIT
// OpenSSL calls back through C code: exceptions stop here.
#include "net/tls_sni.hpp"

#include <new>

#include <openssl/tls1.h>

namespace nopoll::net {

namespace {

bool accepts(SSL* ssl, const char* name, void* callback) {
    try {
        return reinterpret_cast<SniCallback>(callback)(ssl, name != nullptr ? name : "");
    } catch (const std::bad_alloc&) {
        return false;
    }
}

// OpenSSL calls this at the end of the ClientHello's extensions, with or without a name in it.
int choose_by_name(SSL* ssl, int* alert, void* callback) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!accepts(ssl, name, callback)) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return name != nullptr ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int choose_late(SSL* ssl, void* callback) {
    return accepts(ssl, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), callback) ? 1 : 0;
}

}  // namespace

void install_sni_callback(SSL_CTX* context, SniCallback callback) {
    // What the macro of OpenSSL does, without its C cast.
    SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                          reinterpret_cast<void (*)()>(choose_by_name));
    SSL_CTX_set_tlsext_servername_arg(context, reinterpret_cast<void*>(callback));
}

void install_sni_callback(SSL* ssl, SniCallback callback) {
    SSL_set_cert_cb(ssl, choose_late, reinterpret_cast<void*>(callback));
}

}  // namespace nopoll::net
