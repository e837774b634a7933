// SPDX-License-Identifier: MIT
// Exported parts of the TLS code that no header declares, and what is left of pending writes.
#include "boundary.hpp"
#include "core/exported_state.hpp"
#include "core/log.hpp"
#include "core/tls_setup.hpp"
#include "net/tls_transport.hpp"
#include "net/tls_verify.hpp"
#include "result.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using compat::boundary;
using core::Connection;
using core::Context;
using core::Options;

namespace {

void log_fault(Connection& connection, const std::string& fault) {
    NOPOLL_CONN_LOG(connection, NOPOLL_LEVEL_CRITICAL, "TLS set-up failed: %s", fault.c_str());
}

}  // namespace

extern "C" {

// A context with a reference of the caller's: from the program's creator, or a plain default.
SSL_CTX* __nopoll_conn_get_ssl_context(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* opts,
                                       nopoll_bool is_client) {
    if (ctx == nullptr || conn == nullptr) return nullptr;
    Context& context = Context::from(*ctx);
    const core::SslContextCreator creator =
        context.handler(ctx->context_creator, ctx->context_creator_data);
    if (creator)
        return static_cast<SSL_CTX*>(creator.call(ctx, conn, opts, is_client, creator.data));
    return boundary<SSL_CTX*>(nullptr, [&]() -> SSL_CTX* {
        net::TlsSettings settings;
        settings.client = is_client != 0;
        if (opts != nullptr && Options::from(*opts).values().ssl_protocol == NOPOLL_METHOD_TLSV1_2)
            settings.method = net::kTlsExactly12;
        net::TlsContextResult made = net::build_tls_context(settings);
        if (!made.context) log_fault(Connection::from(*conn), made.error);
        return made.context.release();
    });
}

nopoll_bool __nopoll_conn_set_ssl_client_options(noPollCtx* ctx, noPollConn* conn,
                                                 noPollConnOpts* options) {
    if (ctx == nullptr || conn == nullptr || conn->ssl_ctx == nullptr) return nopoll_false;
    return compat::to_bool(boundary(false, [&] {
        std::optional<core::OptionValues> values;
        if (options != nullptr) values = Options::from(*options).values();
        std::string fault;
        if (net::apply_tls_settings(conn->ssl_ctx, core::client_tls_settings(values), fault))
            return true;
        log_fault(Connection::from(*conn), fault);
        return false;
    }));
}

int __nopoll_conn_ssl_verify_callback(int ok, X509_STORE_CTX* store) {
    return store == nullptr ? ok : net::verify_callback(ok, store);
}

// What the result of an SSL_read or SSL_write means: -2 try again, the result itself at the end of
// the stream, -1 for everything else.
int __nopoll_conn_tls_handle_error(noPollConn* conn, int res, const char* label,
                                   nopoll_bool* needs_retry) {
    if (needs_retry != nullptr) *needs_retry = nopoll_false;
    if (conn == nullptr || conn->ssl == nullptr) return -1;
    const int saved_errno = errno;
    switch (SSL_get_error(conn->ssl, res)) {
    case SSL_ERROR_NONE: return res;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        if (needs_retry != nullptr) *needs_retry = nopoll_true;
        return -2;
    case SSL_ERROR_ZERO_RETURN: return res;
    case SSL_ERROR_SYSCALL:
        if (saved_errno == EINTR) return -2;
        if (res == 0) return res;
        break;
    default: break;
    }
    const std::string queue = boundary(std::string(), [] { return net::drain_error_queue(); });
    NOPOLL_CONN_LOG(Connection::from(*conn), NOPOLL_LEVEL_CRITICAL, "TLS error in %s: %s",
                    label != nullptr ? label : "?", queue.c_str());
    return -1;
}

int nopoll_conn_log_ssl(noPollConn* conn) {
    const std::string queue = boundary(std::string(), [] { return net::drain_error_queue(); });
    if (conn != nullptr && !queue.empty())
        NOPOLL_CONN_LOG(Connection::from(*conn), NOPOLL_LEVEL_CRITICAL, "OpenSSL: %s",
                        queue.c_str());
    return 0;
}

// Header bytes that are still owed are taken off; what remains are payload bytes.
int __nopoll_conn_complete_pending_write_reduce_header(noPollConn* conn, int bytes_written) {
    if (conn == nullptr || bytes_written <= 0) return bytes_written;
    const int owed = core::load_field(conn->pending_write_added_header);
    const int taken = owed < bytes_written ? owed : bytes_written;
    if (taken <= 0) return bytes_written;
    core::store_field(conn->pending_write_added_header, owed - taken);
    return bytes_written - taken;
}

}  // extern "C"
