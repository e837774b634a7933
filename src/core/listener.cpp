// SPDX-License-Identifier: MIT
// Main listeners and the certificates they present.
#include "core/listener.hpp"

#include <cstring>
#include <unistd.h>

#include "core/c_string.hpp"
#include "core/log.hpp"
#include "net/listen.hpp"

namespace nopoll::core {

net::UniqueFd open_listening_socket(Context& context, net::Family family, const char* host,
                                    const char* port, int& error) {
    net::BindRetry retry;
    retry.data = &context;
    retry.log = [](void* data, int attempt, int bind_error) {
        NOPOLL_LOG(static_cast<Context*>(data), NOPOLL_LEVEL_WARNING,
                   "address not free (%s), try %d", ::strerror(bind_error), attempt);
    };
    net::ListenResult result =
        net::listen_tcp(family, host, port, load_field(context.backlog), retry);
    error = result.error;
    // A host of the other family, or one that nobody knows, may be a try of the program.
    const bool try_of_host =
        result.failed == net::ListenResult::Step::resolve && std::strcmp(host, "0.0.0.0") != 0;
    if (!result.ok())
        NOPOLL_LOG(&context, try_of_host ? NOPOLL_LEVEL_WARNING : NOPOLL_LEVEL_CRITICAL,
                   "cannot listen on %s port %s: %s", printable(host).c_str(),
                   printable(port).c_str(), result.reason.c_str());
    return std::move(result.fd);
}

Connection* ListenerBuilder::create(Context& context, Options* options, net::Family family,
                                    const char* host, const char* port, bool tls, int& error) {
    struct Consumed {  // unless the listener takes them
        Options* options;
        ~Consumed() {
            if (options != nullptr) options->release_if_needed();
        }
    };
    Consumed consumed{options};
    context.report_environment();
    net::UniqueFd fd = open_listening_socket(context, family, host, port, error);
    if (!fd.valid()) return nullptr;
    Connection* const listener =
        Connection::create(context, NOPOLL_ROLE_MAIN_LISTENER, context.strict.load());
    struct Draft {
        Connection* listener;
        ~Draft() {
            if (listener != nullptr) listener->unref();
        }
    };
    Draft draft{listener};
    listener->set_phase(Phase::listening);
    listener->host = duplicate(host);
    listener->port = duplicate(port);
    listener->get_url = duplicate("/");
    store_field(listener->handshake_ok, 1);
    store_field(listener->tls_on, tls ? 1 : 0);
    if (options != nullptr) {
        if (const long limit = options->frame_size_limit(); limit > 0)
            listener->max_frame_size = limit;
        listener->options_held_ = options->reused();
        if (listener->options_held_) options->hold();
        listener->opts = options;
        consumed.options = nullptr;
    }
    store_field(listener->session, fd.release());
    // From the next line on another thread may find it in the registry, and close it.
    const ConnectionPin pin(*listener);
    context.register_connection(*listener);
    draft.listener = nullptr;
    NOPOLL_CONN_LOG(*listener, NOPOLL_LEVEL_DEBUG, "listening on %s port %s", host, port);
    return listener;
}

bool Connection::set_listener_certificate(const char* certificate_file, const char* key_file,
                                          const char* chain_file) {
    for (const char* file : {certificate_file, key_file, chain_file}) {
        if (file == nullptr || ::access(file, R_OK) == 0) continue;
        NOPOLL_CONN_LOG(*this, NOPOLL_LEVEL_CRITICAL, "cannot read %s: %s", file,
                        ::strerror(errno));
        return false;
    }
    const std::lock_guard guard(mutex_);
    replace(certificate, certificate_file);
    replace(private_key, key_file);
    if (chain_file != nullptr) replace(chain_certificate, chain_file);
    return true;
}

ListenerCertificate Connection::listener_certificate() const {
    const std::lock_guard guard(mutex_);
    const auto text = [](const char* value) { return std::string(value != nullptr ? value : ""); };
    return {text(certificate), text(private_key), text(chain_certificate)};
}

bool Connection::present_certificate_for(std::string_view server_name) {
    std::string files[3];
    {
        const std::lock_guard guard(context_.mutex());
        const Certificates& store = context_.certificate_store();
        const noPollCertificate* const entry = store.find_for_sni(server_name);
        // What the shared SSL_CTX presents anyway.
        if (entry == nullptr || entry == store.find(nullptr)) return true;
        files[0] = entry->certificateFile;
        files[1] = entry->privateKey;
        if (entry->optionalChainFile != nullptr) files[2] = entry->optionalChainFile;
    }
    if (accept_options_ != nullptr) {
        const std::optional<std::string> chain = accept_options_->values().chain_certificate;
        if (chain) files[2] = *chain;
    }
    return context_.tls_contexts().use_certificate(ssl, files[0], files[1], files[2], tls_note_);
}

}  // namespace nopoll::core
