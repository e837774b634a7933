// SPDX-License-Identifier: MIT
// TLS of one connection: settings, context, SSL object, names. See tls_setup.hpp.
#include "core/tls_setup.hpp"

#include "core/connection.hpp"
#include "core/exported_state.hpp"
#include "net/tls_transport.hpp"
#include "net/tls_verify.hpp"

namespace nopoll::core {
namespace {

std::string text(const std::optional<std::string>& value) {
    return value.value_or(std::string());
}
std::string text(const char* value) {
    return value != nullptr ? value : "";
}

int tls_method(int protocol) {
    return protocol == NOPOLL_METHOD_TLSV1_2 ? net::kTlsExactly12 : net::kTlsFlexible;
}

// Is the name compared as part of chain verification, afterwards on its own, or not at all?
enum class NameCheck { none, with_chain, alone };

NameCheck name_check(const Context& context, const std::optional<OptionValues>& values,
                     SSL_CTX* ssl_ctx, bool creators_context) {
    const bool verify_chain = !values || values->verify_peer;
    if (values && values->host_verify) {
        if (!*values->host_verify) return NameCheck::none;
        return verify_chain ? NameCheck::with_chain : NameCheck::alone;
    }
    if (!verify_chain || !context.host_verify_default.load()) return NameCheck::none;
    if (creators_context && net::has_host_in_verify_param(ssl_ctx)) return NameCheck::none;
    return NameCheck::with_chain;
}

const char* host_to_verify(const Connection& connection) {
    return connection.host_name != nullptr && *connection.host_name != '\0' ? connection.host_name
                                                                            : connection.host;
}

struct ContextChoice {
    net::SslCtxPtr context;
    bool creators = false;
    TlsFault fault;
};

ContextChoice choose_context(Context& context, Connection& connection, Options* options,
                             const net::TlsSettings& settings) {
    ContextChoice choice;
    const SslContextCreator creator =
        context.handler(context.context_creator, context.context_creator_data);
    if (!creator) {
        net::TlsContextResult made = context.tls_contexts().get(settings);
        choice.context = std::move(made.context);
        if (!choice.context) choice.fault = made.error;
        return choice;
    }
    choice.creators = true;
    const noPollPtr made = connection.inside_handshake_handler([&] {
        return creator.call(&context, &connection, options, settings.client ? 1 : 0, creator.data);
    });
    choice.context.reset(static_cast<SSL_CTX*>(made));
    if (!choice.context)
        choice.fault = "the program's context creator gave none";
    else if (!net::apply_tls_settings(choice.context.get(), settings, choice.fault))
        choice.context.reset();
    return choice;
}

TlsFault make_ssl(Connection& connection, ContextChoice& choice) {
    if (!choice.context) return choice.fault;
    net::SslPtr ssl(SSL_new(choice.context.get()));
    if (!ssl || !net::attach_descriptor(ssl.get(), &connection.session) ||
        !net::set_owner(ssl.get(), &connection))
        return "cannot make a TLS object: " + net::drain_error_queue();
    connection.attach_tls(choice.context.release(), ssl.release());
    return {};
}

// Runs inside the handshake.
bool choose_by_name(SSL* ssl, std::string_view server_name) {
    auto* const connection = static_cast<Connection*>(net::owner(ssl));
    if (connection == nullptr) return true;
    // A callback of the creator's context has chosen another one already.
    if (SSL_get_SSL_CTX(ssl) != connection->ssl_ctx) return true;
    return connection->present_certificate_for(server_name);
}

}  // namespace

net::TlsSettings client_tls_settings(const std::optional<OptionValues>& values) {
    net::TlsSettings settings;
    settings.client = true;
    settings.verify_peer = !values || values->verify_peer;
    if (!values) return settings;
    settings.method = tls_method(values->ssl_protocol);
    settings.certificate = text(values->certificate);
    settings.private_key = text(values->private_key);
    settings.chain = text(values->chain_certificate);
    settings.ca = text(values->ca_certificate);
    return settings;
}

TlsFault set_up_tls_client(Context& context, Connection& connection, Options* options,
                           const std::optional<OptionValues>& values) {
    note_tls_use();
    note_tls_debug_context(&context);
    ContextChoice choice =
        choose_context(context, connection, options, client_tls_settings(values));
    TlsFault fault = make_ssl(connection, choice);
    if (!fault.empty()) return fault;
    std::string name = net::sni_name(host_to_verify(connection));
    // What SSL_set_tlsext_host_name stands for.
    if (!name.empty() && SSL_ctrl(connection.ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
                                  TLSEXT_NAMETYPE_host_name, name.data()) != 1)
        return "the server name cannot be sent: " + net::drain_error_queue();
    if (name_check(context, values, connection.ssl_ctx, choice.creators) == NameCheck::with_chain &&
        !net::set_verify_host(connection.ssl, host_to_verify(connection)))
        return "there is no host name to verify";
    return {};
}

TlsFault check_tls_peer(Context& context, Connection& connection,
                        const std::optional<OptionValues>& values) {
    if (!net::has_peer_certificate(connection.ssl)) return "the server has no certificate";
    if (name_check(context, values, connection.ssl_ctx, false) == NameCheck::alone &&
        !net::peer_matches_host(connection.ssl, host_to_verify(connection)))
        return std::string("the certificate is not for host ") + host_to_verify(connection);
    return {};
}

TlsFault set_up_tls_listener(Context& context, Connection& connection, Connection* listener,
                             Options* options) {
    note_tls_use();
    note_tls_debug_context(&context);
    net::TlsSettings settings;
    std::optional<OptionValues> values;
    if (options != nullptr) values = options->values();
    const ListenerCertificate own =
        listener != nullptr ? listener->listener_certificate() : ListenerCertificate{};
    if (values) {
        settings.method = tls_method(values->ssl_protocol);
        settings.ca = text(values->ca_certificate);
        settings.demand_client_certificate = values->verify_peer;
    }
    if (values && values->certificate && values->private_key) {
        settings.certificate = *values->certificate;
        settings.private_key = *values->private_key;
    } else if (!own.certificate.empty() && !own.private_key.empty()) {
        settings.certificate = own.certificate;
        settings.private_key = own.private_key;
    } else {
        const std::lock_guard guard(context.mutex());
        const noPollCertificate* const entry = context.certificate_store().find(nullptr);
        if (entry == nullptr) return "no certificate is set";
        settings.certificate = text(entry->certificateFile);
        settings.private_key = text(entry->privateKey);
        settings.chain = text(entry->optionalChainFile);
        settings.sni = choose_by_name;
    }
    if (!own.chain.empty())
        settings.chain = own.chain;
    else if (values && values->chain_certificate)
        settings.chain = *values->chain_certificate;
    ContextChoice choice = choose_context(context, connection, options, settings);
    TlsFault fault = make_ssl(connection, choice);
    if (fault.empty() && choice.creators && settings.sni != nullptr)
        net::install_sni_callback(connection.ssl, settings.sni);
    return fault;
}

}  // namespace nopoll::core
