// SPDX-License-Identifier: MIT
// WebSocket++, both roles: websocketpp_peer client HOST PORT AUTHORITY FEATURE...
//                          websocketpp_peer server HOST PORT [CERTIFICATE KEY]
#include "expectations.hpp"

#include <cstdio>
#include <deque>
#include <map>
#include <websocketpp/client.hpp>
#include <websocketpp/config/asio.hpp>
#include <websocketpp/config/asio_client.hpp>
#include <websocketpp/server.hpp>

namespace {

namespace ssl = websocketpp::lib::asio::ssl;
namespace opcode = websocketpp::frame::opcode;
using interop::Closed;
using interop::CloseStatus;
using interop::Message;
using websocketpp::connection_hdl;
using PlainClient = websocketpp::client<websocketpp::config::asio_client>;
using TlsClient = websocketpp::client<websocketpp::config::asio_tls_client>;
using PlainServer = websocketpp::server<websocketpp::config::asio>;
using TlsServer = websocketpp::server<websocketpp::config::asio_tls>;
using TlsContext = websocketpp::lib::shared_ptr<ssl::context>;

void check(const websocketpp::lib::error_code& error) {
    if (error) throw std::runtime_error(error.message());
}

template <class ConnectionPtr>
void send_message(const ConnectionPtr& to, const Message& message) {
    check(to->send(message.data, message.binary ? opcode::binary : opcode::text));
}

// Frames with chosen FIN bits are made by hand; the library masks and checks them as any other.
template <class ConnectionPtr>
void send_frames(const ConnectionPtr& to, bool binary, const std::vector<std::string>& parts) {
    const auto first = binary ? opcode::binary : opcode::text;
    for (std::size_t index = 0; index < parts.size(); index++) {
        const auto frame =
            to->get_message(index == 0 ? first : opcode::continuation, parts[index].size());
        frame->set_payload(parts[index]);
        frame->set_fin(index + 1 == parts.size());
        check(to->send(frame));
    }
}

template <class ConnectionPtr>
CloseStatus status_of(const ConnectionPtr& connection) {
    return {connection->get_remote_close_code(), connection->get_remote_close_reason()};
}

// --- Client ----------------------------------------------------------------------------------

void set_tls(PlainClient&, const std::string&) {}

void set_tls(TlsClient& client, const std::string& authority) {
    client.set_tls_init_handler([authority](connection_hdl) {
        auto tls = websocketpp::lib::make_shared<ssl::context>(ssl::context::tls_client);
        tls->load_verify_file(authority);
        tls->set_verify_mode(ssl::verify_peer);
        tls->set_verify_callback(ssl::host_name_verification("localhost"));
        return tls;
    });
}

// A client with an event loop of its own, which runs while something is waited for.
template <class Client>
class ClientConnection final : public interop::Connection {
public:
    ClientConnection(const std::string& base, const std::string& authority,
                     const interop::Request& request) {
        client_.clear_access_channels(websocketpp::log::alevel::all);
        client_.clear_error_channels(websocketpp::log::elevel::all);
        client_.init_asio();
        set_tls(client_, authority);
        set_handlers();
        websocketpp::lib::error_code error;
        connection_ = client_.get_connection(base + request.path, error);
        check(error);
        for (const std::string& protocol : request.protocols)
            connection_->add_subprotocol(protocol);
        if (!request.origin.empty()) connection_->append_header("Origin", request.origin);
        for (const auto& [name, value] : request.headers)
            connection_->append_header(name, value);
        client_.connect(connection_);
        run([this] { return opened_ || over_; });
        if (!opened_) {
            const int status = connection_->get_response_code();
            if (status != 0) throw interop::Refused(status);
            throw std::runtime_error(connection_->get_ec().message());
        }
        // get_subprotocol() is for servers: on clients it stays empty.
        subprotocol = connection_->get_response_header("Sec-WebSocket-Protocol");
    }

    void send(const Message& message) override { send_message(connection_, message); }

    void send_fragments(bool binary, const std::vector<std::string>& parts) override {
        send_frames(connection_, binary, parts);
    }

    Message receive() override {
        run([this] { return over_ || !messages_.empty(); });
        if (messages_.empty()) throw Closed();
        Message message = std::move(messages_.front());
        messages_.pop_front();
        return message;
    }

    void ping(const std::string& payload) override { connection_->ping(payload); }

    void close(int code, const std::string& reason) override {
        connection_->close(static_cast<websocketpp::close::status::value>(code), reason);
    }

    CloseStatus wait_closed() override {
        run([this] { return over_; });
        return status_of(connection_);
    }

private:
    void set_handlers() {
        client_.set_open_handler([this](connection_hdl) { opened_ = true; });
        client_.set_fail_handler([this](connection_hdl) { over_ = true; });
        client_.set_close_handler([this](connection_hdl) { over_ = true; });
        client_.set_message_handler([this](connection_hdl, const auto& message) {
            messages_.push_back({message->get_opcode() == opcode::binary, message->get_payload()});
        });
        client_.set_ping_handler([this](connection_hdl, const std::string& payload) {
            pinged = payload;
            return true;
        });
        client_.set_pong_handler(
            [this](connection_hdl, const std::string& payload) { ponged = payload; });
    }

    template <class Condition>
    void run(Condition condition) {
        while (!condition() && client_.run_one() > 0) {
        }
    }

    Client client_;
    typename Client::connection_ptr connection_;
    std::deque<Message> messages_;
    bool opened_ = false, over_ = false;
};

int client(const std::string& host, const std::string& port, const std::string& authority,
           const std::vector<std::string>& features) {
    const std::string address =
        (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
    return interop::run_checks(
        [&](const interop::Request& request) -> std::unique_ptr<interop::Connection> {
            if (authority == "-")
                return std::make_unique<ClientConnection<PlainClient>>("ws://" + address, "",
                                                                       request);
            return std::make_unique<ClientConnection<TlsClient>>("wss://" + address, authority,
                                                                 request);
        },
        features);
}

// --- Server ----------------------------------------------------------------------------------

void set_tls(PlainServer&, const std::vector<std::string>&) {}

void set_tls(TlsServer& server, const std::vector<std::string>& files) {
    server.set_tls_init_handler([files](connection_hdl) {
        auto tls = websocketpp::lib::make_shared<ssl::context>(ssl::context::tls_server);
        tls->use_certificate_chain_file(files.at(0));
        tls->use_private_key_file(files.at(1), ssl::context::pem);
        return tls;
    });
}

template <class Server>
class InteropServer {
public:
    explicit InteropServer(const std::vector<std::string>& files) {
        server_.clear_access_channels(websocketpp::log::alevel::all);
        server_.clear_error_channels(websocketpp::log::elevel::all);
        server_.init_asio();
        server_.set_reuse_addr(true);
        set_tls(server_, files);
        server_.set_validate_handler([this](connection_hdl handle) { return accepts(handle); });
        server_.set_open_handler([this](connection_hdl handle) { opened(handle); });
        server_.set_message_handler([this](connection_hdl handle, const auto& message) {
            received(handle, {message->get_opcode() == opcode::binary, message->get_payload()});
        });
        server_.set_ping_handler([this](connection_hdl handle, const std::string& payload) {
            pings_[handle] = payload;
            return true;
        });
        server_.set_pong_handler([this](connection_hdl handle, const std::string& payload) {
            send_message(at(handle), {false, "pong " + payload});
        });
        server_.set_close_handler([this](connection_hdl handle) {
            interop::print_closed(at(handle)->get_resource(), status_of(at(handle)));
            pings_.erase(handle);
        });
    }

    int run(const std::string& host, const std::string& port) {
        server_.listen(host, port);
        server_.start_accept();
        std::printf("listening %s\n", port.c_str());
        server_.run();
        return 0;
    }

private:
    typename Server::connection_ptr at(connection_hdl handle) {
        return server_.get_con_from_hdl(handle);
    }

    bool accepts(connection_hdl handle) {
        const auto connection = at(handle);
        for (const std::string& protocol : connection->get_requested_subprotocols())
            if (protocol == "chat") connection->select_subprotocol(protocol);
        if (interop::path_is_known(connection->get_resource())) return true;
        connection->set_status(websocketpp::http::status_code::not_found);
        return false;
    }

    void opened(connection_hdl handle) {
        const auto connection = at(handle);
        const std::string path = interop::path_of(connection->get_resource());
        if (path == "/push")
            for (const Message& message : interop::pushed())
                send_message(connection, message);
        if (path == "/ping") connection->ping(interop::kPing);
        if (path == "/info") {
            std::string text = "url: " + connection->get_resource() + "\n";
            for (const auto& [name, value] : connection->get_request().get_headers()) {
                for (const char letter : name)
                    text += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
                text += ": " + value + "\n";
            }
            send_message(connection, {false, text});
        }
    }

    void received(connection_hdl handle, const Message& message) {
        const auto connection = at(handle);
        const std::string path = interop::path_of(connection->get_resource());
        if (path == "/echo") send_message(connection, message);
        if (path == "/fragments")
            send_frames(connection, message.binary, interop::thirds(message.data));
        if (path == "/pinged") send_message(connection, {false, "ping " + pings_[handle]});
        if (path == "/close") {
            const CloseStatus going = interop::parse_going(message.data);
            connection->close(static_cast<websocketpp::close::status::value>(going.code),
                              going.reason);
        }
    }

    Server server_;
    std::map<connection_hdl, std::string, std::owner_less<connection_hdl>> pings_;
};

}  // namespace

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.at(0) == "client")
            return client(words.at(1), words.at(2), words.at(3), {words.begin() + 4, words.end()});
        if (words.size() > 3)
            return InteropServer<TlsServer>({words.begin() + 3, words.end()})
                .run(words.at(1), words.at(2));
        return InteropServer<PlainServer>({}).run(words.at(1), words.at(2));
    } catch (const std::exception& error) {
        std::printf("websocketpp_peer: %s\n", error.what());
        return 2;
    }
}
