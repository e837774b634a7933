// SPDX-License-Identifier: MIT
// PEM reading. Errors are made of the file's name and OpenSSL's reason.
#include "net/tls_certificate.hpp"

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "net/tls_transport.hpp"

namespace nopoll::net {

namespace {

struct PasswordSource {
    pem_password_cb* callback = nullptr;
    void* data = nullptr;
};

int note_and_refuse(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

// Without one of the program's, OpenSSL would ask on the terminal, in the middle of a connection.
PasswordSource password_of(SSL_CTX* context, bool& asked) {
    PasswordSource own{note_and_refuse, &asked};
    if (context == nullptr) return own;
    pem_password_cb* const callback = SSL_CTX_get_default_passwd_cb(context);
    void* const data = SSL_CTX_get_default_passwd_cb_userdata(context);
    // Data alone is the password itself.
    return callback == nullptr && data == nullptr ? own : PasswordSource{callback, data};
}

std::string with_reason(const std::string& path, const char* what) {
    const std::string reason = drain_error_queue();
    return path + ": " + what + (reason.empty() ? "" : ": " + reason);
}

BioPtr open_file(const std::string& path, std::string& error) {
    ERR_clear_error();
    errno = 0;
    BioPtr file(BIO_new_file(path.c_str(), "re"));  // e: not for children
    if (!file) {
        const int reason = errno;
        ERR_clear_error();
        error = path + ": cannot read: " + (reason != 0 ? std::strerror(reason) : "no memory");
    }
    return file;
}

// All certificates of a file, at least one.
bool read_certificates(const std::string& path, const PasswordSource& password, X509StackPtr& out,
                       std::string& error) {
    const BioPtr file = open_file(path, error);
    if (!file) return false;
    out.reset(sk_X509_new_null());
    if (!out) throw std::bad_alloc();
    // The first may be in the form with trust settings, as OpenSSL's own loader allows.
    auto* read = PEM_read_bio_X509_AUX;
    while (X509Ptr next{read(file.get(), nullptr, password.callback, password.data)}) {
        if (sk_X509_push(out.get(), next.get()) == 0) throw std::bad_alloc();
        (void)next.release();  // the stack owns it now
        read = PEM_read_bio_X509;
    }
    const unsigned long last = ERR_peek_last_error();
    const bool at_end =
        ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (at_end && sk_X509_num(out.get()) > 0) {
        ERR_clear_error();
        return true;
    }
    error = with_reason(path, at_end ? "no certificate in this file" : "not a valid certificate");
    return false;
}

bool read_key(const std::string& path, const PasswordSource& password, PkeyPtr& out,
              std::string& error) {
    const BioPtr file = open_file(path, error);
    if (!file) return false;
    out.reset(PEM_read_bio_PrivateKey(file.get(), nullptr, password.callback, password.data));
    if (out) {
        ERR_clear_error();
        return true;
    }
    error = with_reason(path, "no usable private key in this file");
    return false;
}

bool append_chain(const X509StackPtr& from, LoadedCertificate& to) {
    for (X509* next; (next = sk_X509_shift(from.get())) != nullptr;) {
        X509Ptr owned(next);
        if (to.leaf && X509_cmp(to.leaf.get(), next) == 0) continue;
        if (sk_X509_push(to.chain.get(), next) == 0) return false;
        (void)owned.release();
    }
    return true;
}

// The same four calls exist for contexts and for single connections.
struct ContextCalls {
    SSL_CTX* target;
    int certificate(X509* leaf) const { return SSL_CTX_use_certificate(target, leaf); }
    int key(EVP_PKEY* key) const { return SSL_CTX_use_PrivateKey(target, key); }
    long chain(STACK_OF(X509) * chain) const {
        return SSL_CTX_ctrl(target, SSL_CTRL_CHAIN, 1, chain);  // 1: with references of its own
    }
};
struct ConnectionCalls {
    SSL* target;
    int certificate(X509* leaf) const { return SSL_use_certificate(target, leaf); }
    int key(EVP_PKEY* key) const { return SSL_use_PrivateKey(target, key); }
    long chain(STACK_OF(X509) * chain) const { return SSL_ctrl(target, SSL_CTRL_CHAIN, 1, chain); }
};

template <class Calls>
bool put_in_place(const Calls& calls, const LoadedCertificate& loaded, std::string& error) {
    ERR_clear_error();
    const std::string& name =
        loaded.files.certificate.empty() ? loaded.files.chain : loaded.files.certificate;
    if (loaded.leaf) {
        if (calls.certificate(loaded.leaf.get()) != 1 || calls.chain(loaded.chain.get()) != 1) {
            error = with_reason(name, "certificate refused");
            return false;
        }
    }
    if (loaded.key && calls.key(loaded.key.get()) != 1) {
        error = with_reason(loaded.files.private_key, "private key refused");
        return false;
    }
    return true;
}

}  // namespace

bool load_certificate(const CertificateFiles& files, SSL_CTX* password_source,
                      LoadedCertificate& out, std::string& error) {
    bool asked = false;
    const PasswordSource password = password_of(password_source, asked);
    LoadedCertificate loaded;
    loaded.files = files;
    loaded.chain.reset(sk_X509_new_null());
    if (!loaded.chain) throw std::bad_alloc();
    for (const std::string* path : {&files.certificate, &files.chain}) {
        if (path->empty()) continue;
        X509StackPtr found;
        if (!read_certificates(*path, password, found, error)) return false;
        if (!loaded.leaf) loaded.leaf.reset(sk_X509_shift(found.get()));
        if (!append_chain(found, loaded)) throw std::bad_alloc();
    }
    if (!files.private_key.empty() && !read_key(files.private_key, password, loaded.key, error)) {
        if (asked) error = files.private_key + ": the private key is encrypted and has no password";
        return false;
    }
    if (loaded.leaf && loaded.key &&
        X509_check_private_key(loaded.leaf.get(), loaded.key.get()) != 1) {
        ERR_clear_error();
        error = files.private_key + ": private key does not match certificate " +
                (files.certificate.empty() ? files.chain : files.certificate);
        return false;
    }
    out = std::move(loaded);
    return true;
}

bool use_certificate(SSL_CTX* context, const LoadedCertificate& loaded, std::string& error) {
    return put_in_place(ContextCalls{context}, loaded, error);
}

bool use_certificate(SSL* ssl, const LoadedCertificate& loaded, std::string& error) {
    SSL_certs_clear(ssl);  // one of another key type would stay beside the new one
    return put_in_place(ConnectionCalls{ssl}, loaded, error);
}

}  // namespace nopoll::net
