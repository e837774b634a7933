// SPDX-License-Identifier: MIT
// OpenSSL's results turned into those of io_result.hpp.
#include "net/tls_transport.hpp"

#include <algorithm>
#include <cstring>

#include <openssl/err.h>

#include "net/tls_bio.hpp"
#include "net/tls_verify.hpp"

namespace nopoll::net {

namespace {

// The stream ended without close_notify. Common on the web and no different from a plain socket's
// end: frames say where a message is complete.
bool is_bare_end() {
    const unsigned long code = ERR_peek_error();
    return ERR_GET_LIB(code) == ERR_LIB_SSL &&
           ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

TlsStep step_result(SSL* ssl, int result) {
    if (result == 1) return TlsStep::done;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ: return TlsStep::want_read;
    case SSL_ERROR_WANT_WRITE: return TlsStep::want_write;
    default: return TlsStep::failed;
    }
}

// Of a read or write that moved nothing.
IoResult unsuccessful(SSL* ssl, int result) {
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ: return IoResult::blocked(false);
    case SSL_ERROR_WANT_WRITE: return IoResult::blocked(true);
    case SSL_ERROR_ZERO_RETURN: return IoResult::ended();
    case SSL_ERROR_SYSCALL: return IoResult::failure(last_io_error(ssl));
    default:
        if (!is_bare_end()) return IoResult::failure(0);
        ERR_clear_error();
        return IoResult::ended();
    }
}

// OpenSSL's words for a peer that is none of TLS at all say little to others; nullptr: clear
// enough.
const char* in_plain_words(unsigned long code) {
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) return nullptr;
    switch (ERR_GET_REASON(code)) {
    case SSL_R_HTTP_REQUEST: return "the peer speaks plain HTTP, not TLS";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE: return "the peer does not speak TLS";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "the peer ended the connection";
    default: return nullptr;
    }
}

using ReadCall = int (*)(SSL*, void*, std::size_t, std::size_t*);

IoResult read_with(ReadCall call, SSL* ssl, std::span<std::byte> into) {
    if (into.empty()) return IoResult::moved(0);
    const ReadLimit limit(ssl);
    ERR_clear_error();
    std::size_t count = 0;
    const int result = call(ssl, into.data(), into.size(), &count);
    return result == 1 ? IoResult::moved(count) : unsuccessful(ssl, result);
}

}  // namespace

bool attach_descriptor(SSL* ssl, const int* fd) {
    BIO* bio = make_descriptor_bio(fd).release();
    if (bio == nullptr) return false;
    SSL_set_bio(ssl, bio, bio);  // takes the one reference for both directions
    return true;
}

bool take_private(SSL* ssl, int fd) {
    BIO* bio = SSL_get_wbio(ssl);
    if (!is_descriptor_bio(bio) || BIO_set_fd(bio, fd, BIO_NOCLOSE) != 1) return false;
    // Without one of its own it would ask its context for one.
    SSL_set_info_callback(ssl, [](const SSL*, int, int) {});
    SSL_set_msg_callback(ssl, nullptr);
    return set_owner(ssl, nullptr);
}

TlsStep tls_accept(SSL* ssl) {
    const ReadLimit limit(ssl);
    ERR_clear_error();
    return step_result(ssl, SSL_accept(ssl));
}

TlsStep tls_connect(SSL* ssl) {
    const ReadLimit limit(ssl);
    ERR_clear_error();
    return step_result(ssl, SSL_connect(ssl));
}

IoResult tls_receive(SSL* ssl, std::span<std::byte> into) {
    return read_with(SSL_read_ex, ssl, into);
}

IoResult tls_peek(SSL* ssl, std::span<std::byte> into) {
    return read_with(SSL_peek_ex, ssl, into);
}

IoResult tls_send(SSL* ssl, std::span<const std::byte> bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {  // one record a turn: that is how partial writes work
        ERR_clear_error();
        std::size_t count = 0;
        const auto rest = bytes.subspan(sent);
        const int result = SSL_write_ex(ssl, rest.data(), rest.size(), &count);
        if (result != 1) {
            // What went out counts first; the next call meets the same obstacle again.
            return sent > 0 ? IoResult::moved(sent) : unsuccessful(ssl, result);
        }
        sent += count;
    }
    return IoResult::moved(sent);
}

std::size_t tls_pending(const SSL* ssl) {
    return static_cast<std::size_t>(std::max(SSL_pending(ssl), 0));
}

bool tls_close_notify(SSL* ssl) {
    if (SSL_is_init_finished(ssl) != 1) return true;
    ERR_clear_error();
    const int result = SSL_shutdown(ssl);
    const bool would_block = result < 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();  // a failure makes no difference any more
    return !would_block;
}

std::string drain_error_queue() {
    std::string text;
    const char* data = nullptr;
    int flags = 0;
    while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
        if (!text.empty()) text += "; ";
        if (ERR_SYSTEM_ERROR(code)) {
            text += std::strerror(ERR_GET_REASON(code));
        } else if (const char* reason = ERR_reason_error_string(code)) {
            text += reason;
        } else {
            char number[64];
            ERR_error_string_n(code, number, sizeof number);
            text += number;
        }
        if ((flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0') {
            text.append(" (").append(data).append(")");
        }
    }
    return text;
}

std::string handshake_failure(const SSL* ssl) {
    const unsigned long code = ERR_peek_error();
    const bool about_certificate =
        ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    std::string why = about_certificate ? verify_failure(ssl) : std::string();
    const char* const plain = in_plain_words(code);
    std::string details = drain_error_queue();
    if (!why.empty()) return "certificate refused: " + why;
    if (plain != nullptr) return std::string(plain) + " (" + details + ")";
    if (!details.empty()) return details;
    const int error = last_io_error(ssl);
    return error != 0 ? std::strerror(error) : "the peer ended the connection";
}

}  // namespace nopoll::net
