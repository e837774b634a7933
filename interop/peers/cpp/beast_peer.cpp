// SPDX-License-Identifier: MIT
// Boost.Beast, both roles: beast_peer client HOST PORT AUTHORITY FEATURE...
//                          beast_peer server HOST PORT [CERTIFICATE KEY]
#include "expectations.hpp"

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <cstdio>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using interop::Closed;
using interop::CloseStatus;
using interop::Message;
using Error = boost::system::error_code;

// A socket with an io_context of its own, which goes last.
template <class Stream>
struct Endpoint {
    std::unique_ptr<asio::io_context> io;
    std::unique_ptr<websocket::stream<Stream>> socket;
};

// Its reads go on while other things are waited for.
template <class Stream>
class BeastConnection final : public interop::Connection {
public:
    explicit BeastConnection(Endpoint<Stream> endpoint)
        : io_(std::move(endpoint.io)), socket_(std::move(endpoint.socket)) {
        socket_->read_message_max(0);
        socket_->auto_fragment(false);
        socket_->control_callback([this](websocket::frame_type type, beast::string_view payload) {
            if (type == websocket::frame_type::ping) pinged = std::string(payload);
            if (type == websocket::frame_type::pong) ponged = std::string(payload);
        });
    }

    void send(const Message& message) override {
        socket_->binary(message.binary);
        socket_->write(asio::buffer(message.data));
    }

    void send_fragments(bool binary, const std::vector<std::string>& parts) override {
        socket_->binary(binary);
        for (std::size_t index = 0; index < parts.size(); index++)
            socket_->write_some(index + 1 == parts.size(), asio::buffer(parts[index]));
    }

    Message receive() override {
        run([this] { return arrived_; });
        arrived_ = false;
        Message message{socket_->got_binary(), beast::buffers_to_string(buffer_.data())};
        buffer_.clear();
        return message;
    }

    void ping(const std::string& payload) override { socket_->ping(websocket::ping_data(payload)); }

    void wait_pong() {
        run([this] { return !ponged.empty(); });
    }

    void close(int code, const std::string& reason) override {
        Error error;
        socket_->close({static_cast<websocket::close_code>(code), reason}, error);
        ended_ = true;
    }

    CloseStatus wait_closed() override {
        try {
            while (!ended_)
                receive();
        } catch (const Closed&) {
        }
        const websocket::close_reason& reason = socket_->reason();
        return {reason.code ? reason.code : 1005,
                std::string(reason.reason.data(), reason.reason.size())};
    }

private:
    // Reads until the condition holds; a message that has come stays until it is taken.
    template <class Condition>
    void run(Condition condition) {
        while (!condition()) {
            if (ended_) throw Closed();
            if (!reading_ && !arrived_) {
                reading_ = true;
                socket_->async_read(buffer_, [this](Error error, std::size_t) {
                    reading_ = false;
                    arrived_ = !error;
                    ended_ = bool(error);
                });
            }
            io_->restart();
            io_->run_one();
        }
    }

    std::unique_ptr<asio::io_context> io_;
    std::unique_ptr<websocket::stream<Stream>> socket_;
    beast::flat_buffer buffer_;
    bool reading_ = false, arrived_ = false, ended_ = false;
};

// --- Client ----------------------------------------------------------------------------------

void tls_handshake(beast::tcp_stream&) {}

void tls_handshake(beast::ssl_stream<beast::tcp_stream>& stream) {
    stream.handshake(ssl::stream_base::client);
}

template <class Stream, class... Tls>
std::unique_ptr<interop::Connection> connect(const std::string& host, const std::string& port,
                                             const interop::Request& request, Tls&... tls) {
    Endpoint<Stream> endpoint;
    endpoint.io = std::make_unique<asio::io_context>();
    endpoint.socket = std::make_unique<websocket::stream<Stream>>(*endpoint.io, tls...);
    auto& socket = endpoint.socket;
    tcp::resolver resolver(*endpoint.io);
    beast::get_lowest_layer(*socket).connect(resolver.resolve(host, port));
    tls_handshake(socket->next_layer());
    socket->set_option(websocket::stream_base::decorator([&](websocket::request_type& head) {
        if (!request.origin.empty()) head.set(http::field::origin, request.origin);
        for (const auto& [name, value] : request.headers)
            head.set(name, value);
        std::string protocols;
        for (const std::string& protocol : request.protocols)
            protocols += (protocols.empty() ? "" : ", ") + protocol;
        if (!protocols.empty()) head.set(http::field::sec_websocket_protocol, protocols);
    }));
    websocket::response_type answer;
    Error error;
    // Only the asynchronous form gives the answer when it is a refusal.
    socket->async_handshake(answer, host + ":" + port, request.path,
                            [&error](Error result) { error = result; });
    endpoint.io->run();
    if (error == websocket::error::upgrade_declined)
        throw interop::Refused(static_cast<int>(answer.result_int()));
    if (error) throw boost::system::system_error(error);
    auto connection = std::make_unique<BeastConnection<Stream>>(std::move(endpoint));
    connection->subprotocol = std::string(answer[http::field::sec_websocket_protocol]);
    return connection;
}

int client(const std::string& host, const std::string& port, const std::string& authority,
           const std::vector<std::string>& features) {
    if (authority == "-")
        return interop::run_checks(
            [&](const interop::Request& request) {
                return connect<beast::tcp_stream>(host, port, request);
            },
            features);
    ssl::context tls(ssl::context::tls_client);
    tls.load_verify_file(authority);
    tls.set_verify_mode(ssl::verify_peer);
    tls.set_verify_callback(ssl::host_name_verification("localhost"));
    return interop::run_checks(
        [&](const interop::Request& request) {
            return connect<beast::ssl_stream<beast::tcp_stream>>(host, port, request, tls);
        },
        features);
}

// --- Server ----------------------------------------------------------------------------------

template <class Stream>
void act(BeastConnection<Stream>& connection, const http::request<http::string_body>& head) {
    const std::string path = interop::path_of(std::string(head.target()));
    if (path == "/echo")
        for (;;)
            connection.send(connection.receive());
    if (path == "/fragments")
        for (;;) {
            const Message message = connection.receive();
            connection.send_fragments(message.binary, interop::thirds(message.data));
        }
    if (path == "/close") {
        const CloseStatus going = interop::parse_going(connection.receive().data);
        connection.close(going.code, going.reason);
    }
    if (path == "/info") {
        std::string text = "url: " + std::string(head.target()) + "\n";
        for (const auto& field : head) {
            std::string name(field.name_string());
            for (char& letter : name)
                letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
            text += name + ": " + std::string(field.value()) + "\n";
        }
        connection.send({false, text});
    }
    if (path == "/push")
        for (const Message& message : interop::pushed())
            connection.send(message);
    if (path == "/ping") {
        connection.ping(interop::kPing);
        connection.wait_pong();
        connection.send({false, "pong " + connection.ponged});
    }
    if (path == "/pinged") {
        connection.receive();
        connection.send({false, "ping " + connection.pinged});
    }
}

template <class Stream>
void serve(Endpoint<Stream>& endpoint) {
    auto& socket = endpoint.socket;
    beast::flat_buffer buffer;
    http::request<http::string_body> head;
    http::read(socket->next_layer(), buffer, head);
    const std::string target(head.target());
    if (!interop::path_is_known(target)) {
        http::response<http::string_body> answer(http::status::not_found, head.version());
        answer.keep_alive(false);
        answer.prepare_payload();
        http::write(socket->next_layer(), answer);
        return;
    }
    socket->set_option(websocket::stream_base::decorator([&](websocket::response_type& answer) {
        if (head[http::field::sec_websocket_protocol].find("chat") != beast::string_view::npos)
            answer.set(http::field::sec_websocket_protocol, "chat");
    }));
    socket->accept(head);
    BeastConnection<Stream> connection(std::move(endpoint));
    try {
        act(connection, head);
    } catch (const std::exception&) {
        // It has ended; wait_closed() knows how.
    }
    interop::print_closed(target, connection.wait_closed());
}

template <class Stream, class... Tls>
Endpoint<Stream> adopt(int descriptor, Tls&... tls) {
    Endpoint<Stream> endpoint;
    endpoint.io = std::make_unique<asio::io_context>();
    endpoint.socket = std::make_unique<websocket::stream<Stream>>(
        tcp::socket(*endpoint.io, tcp::v4(), descriptor), tls...);
    return endpoint;
}

void serve_client(int descriptor, ssl::context* tls) {
    try {
        if (tls == nullptr) {
            auto endpoint = adopt<beast::tcp_stream>(descriptor);
            serve(endpoint);
        } else {
            auto endpoint = adopt<beast::ssl_stream<beast::tcp_stream>>(descriptor, *tls);
            endpoint.socket->next_layer().handshake(ssl::stream_base::server);
            serve(endpoint);
        }
    } catch (const std::exception& error) {
        std::printf("no connection: %s\n", error.what());
    }
}

int server(const std::string& host, const std::string& port,
           const std::vector<std::string>& files) {
    ssl::context tls(ssl::context::tls_server);
    if (!files.empty()) {
        tls.use_certificate_chain_file(files.at(0));
        tls.use_private_key_file(files.at(1), ssl::context::pem);
    }
    asio::io_context io;
    tcp::acceptor acceptor(
        io, {asio::ip::make_address(host), static_cast<unsigned short>(std::stoi(port))});
    std::printf("listening %s\n", port.c_str());
    for (;;)
        std::thread(serve_client, acceptor.accept().release(), files.empty() ? nullptr : &tls)
            .detach();
}

}  // namespace

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.at(0) == "server")
            return server(words.at(1), words.at(2), {words.begin() + 3, words.end()});
        return client(words.at(1), words.at(2), words.at(3), {words.begin() + 4, words.end()});
    } catch (const std::exception& error) {
        std::printf("beast_peer: %s\n", error.what());
        return 2;
    }
}
