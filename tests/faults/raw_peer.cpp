// SPDX-License-Identifier: MIT
// See raw_peer.hpp.
#include "faults/raw_peer.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace nopoll::faults {
namespace {

constexpr int kPatienceMs = 20'000;
constexpr std::array<unsigned char, 4> kMask = {0x11, 0x22, 0x33, 0x44};

bool readable(int fd, int ms) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, ms) > 0;
}

}  // namespace

RawSocket& RawSocket::operator=(RawSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

RawSocket::~RawSocket() {
    if (fd_ >= 0) ::close(fd_);
}

RawSocket RawSocket::connect(int port, int receive_buffer) {
    RawSocket made = unconnected(receive_buffer);
    made.connect_to(port);
    return made;
}

RawSocket RawSocket::unconnected(int receive_buffer) {
    RawSocket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(made.get() >= 0);
    if (receive_buffer > 0)
        REQUIRE(::setsockopt(made.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer,
                             sizeof receive_buffer) == 0);
    return made;
}

void RawSocket::connect_to(int port) const {
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool RawSocket::send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

std::string RawSocket::receive(std::size_t most, int ms) const {
    std::string bytes(most, '\0');
    if (!readable(fd_, ms)) return {};
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
}

std::string RawSocket::receive_exactly(std::size_t bytes) const {
    std::string all;
    while (all.size() < bytes) {
        const std::string some = receive(bytes - all.size(), kPatienceMs);
        if (some.empty()) break;
        all += some;
    }
    return all;
}

std::string RawSocket::receive_head() const {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
        const std::string byte = receive(1, kPatienceMs);
        if (byte.empty()) break;
        head += byte;
    }
    return head;
}

bool RawSocket::ends_within(int ms) const {
    const std::int64_t end = stress::now_us() + std::int64_t{ms} * 1000;
    std::array<char, 65536> scratch;
    for (;;) {
        const std::int64_t left = end - stress::now_us();
        if (left <= 0 || !readable(fd_, static_cast<int>(left / 1000) + 1)) return false;
        if (::recv(fd_, scratch.data(), scratch.size(), 0) <= 0) return true;
    }
}

void RawSocket::leave(Leave way) {
    if (way == Leave::silence) return;
    if (way == Leave::fin) ::shutdown(fd_, SHUT_RDWR);
    const linger at_once{1, 0};
    if (way == Leave::reset) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(std::exchange(fd_, -1));
}

std::string frame_header(int first_byte, std::uint64_t size, bool masked) {
    std::string head(1, static_cast<char>(first_byte));
    const int bit = masked ? 0x80 : 0;
    int length_bytes = 0;
    if (size < 126) {
        head.push_back(static_cast<char>(static_cast<int>(size) | bit));
    } else {
        head.push_back(static_cast<char>((size < 65536 ? 126 : 127) | bit));
        length_bytes = size < 65536 ? 2 : 8;
    }
    while (length_bytes-- > 0)
        head.push_back(static_cast<char>(size >> (8 * length_bytes)));
    if (masked)
        for (const unsigned char byte : kMask)
            head.push_back(static_cast<char>(byte));
    return head;
}

std::string frame(int first_byte, std::string_view payload, bool masked) {
    std::string bytes = frame_header(first_byte, payload.size(), masked);
    for (std::size_t i = 0; i < payload.size(); ++i)
        bytes.push_back(static_cast<char>(masked ? payload[i] ^ kMask[i % 4] : payload[i]));
    return bytes;
}

RawFrame receive_frame(const RawSocket& socket) {
    RawFrame got;
    const std::string head = socket.receive_exactly(2);
    if (head.size() < 2) return got;
    const auto byte = [](char c) { return static_cast<unsigned char>(c); };
    const bool masked = (byte(head[1]) & 0x80) != 0;
    std::uint64_t size = byte(head[1]) & 0x7f;
    if (size >= 126) {
        const std::string length = socket.receive_exactly(size == 126 ? 2 : 8);
        size = 0;
        for (const char c : length)
            size = size << 8 | byte(c);
    }
    const std::string mask = masked ? socket.receive_exactly(4) : std::string(4, '\0');
    got.payload = socket.receive_exactly(static_cast<std::size_t>(size));
    if (mask.size() < 4 || got.payload.size() < size) return got;
    for (std::size_t i = 0; i < got.payload.size(); ++i)
        got.payload[i] = static_cast<char>(got.payload[i] ^ mask[i % 4]);
    got.first_byte = byte(head[0]);
    return got;
}

RawSocket open_client(int port, int receive_buffer) {
    RawSocket client = RawSocket::connect(port, receive_buffer);
    shake_hands(client);
    return client;
}

void shake_hands(const RawSocket& client) {
    REQUIRE(client.send(kRequest));
    REQUIRE(client.receive_head().starts_with("HTTP/1.1 101"));
}

std::int64_t echo(const RawSocket& client, std::string_view text) {
    const std::int64_t start = stress::now_us();
    REQUIRE(client.send(frame(0x81, text)));
    const RawFrame answer = receive_frame(client);
    REQUIRE(answer.first_byte == 0x81);
    REQUIRE(answer.payload == text);
    return stress::now_us() - start;
}

int port_of(noPollConn* listener) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(nopoll_conn_socket(listener), reinterpret_cast<sockaddr*>(&address),
                          &size) == 0);
    return ntohs(address.sin_port);
}

bool eventually(const std::function<bool()>& condition) {
    const std::int64_t end = stress::now_us() + 30'000'000;
    while (!condition()) {
        if (stress::now_us() > end) return false;
        stress::idle_us(1000);
    }
    return true;
}

EchoServer::EchoServer(const Settings& settings) : settings_(settings) {
    ctx_ = nopoll_ctx_new();
    REQUIRE(nopoll_ctx_set_io_engine(ctx_, settings_.engine));
    nopoll_ctx_set_handshake_timeout(ctx_, settings_.handshake_timeout_us);
    nopoll_ctx_set_on_accept(ctx_, on_accept, this);
    nopoll_ctx_set_on_ready(ctx_, on_ready, this);
    nopoll_ctx_set_on_msg(ctx_, on_msg, this);
    listener_ = settings_.tls ? nopoll_listener_tls_new(ctx_, "127.0.0.1", "0")
                              : nopoll_listener_new(ctx_, "127.0.0.1", "0");
    REQUIRE(nopoll_conn_is_ok(listener_));
    if (settings_.tls)
        REQUIRE(nopoll_listener_set_certificate(listener_, settings_.certificate.c_str(),
                                                settings_.key.c_str(), nullptr));
    port_ = port_of(listener_);
    if (settings_.start) start();
}

EchoServer::~EchoServer() {
    REQUIRE(becomes_idle());
    stop();
    nopoll_conn_close(listener_);
    REQUIRE(nopoll_ctx_conns(ctx_) == 0);
    REQUIRE(nopoll_ctx_ref_count(ctx_) == 1);
    REQUIRE(accepted == closed);
    nopoll_ctx_unref(ctx_);
}

void EchoServer::start() {
    done_ = false;
    loop_ = std::thread([this] {
        while (!done_) {
            const int result = nopoll_loop_wait(ctx_, 200'000);
            REQUIRE(result == 0 || result == -3);
        }
    });
}

void EchoServer::stop() {
    if (!loop_.joinable()) return;
    done_ = true;
    nopoll_loop_stop(ctx_);
    loop_.join();
}

bool EchoServer::becomes_idle() const {
    return eventually([this] { return connections() == 0; });
}

nopoll_bool EchoServer::on_accept(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    auto& self = *static_cast<EchoServer*>(data);
    ++self.accepted;
    nopoll_conn_set_on_close(conn, on_close, data);
    const int size = self.settings_.send_buffer;
    if (size > 0)
        REQUIRE(::setsockopt(nopoll_conn_socket(conn), SOL_SOCKET, SO_SNDBUF, &size, sizeof size) ==
                0);
    return nopoll_true;
}

nopoll_bool EchoServer::on_ready(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr data) {
    ++static_cast<EchoServer*>(data)->opened;
    return nopoll_true;
}

void EchoServer::on_msg(noPollCtx* /*ctx*/, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    ++static_cast<EchoServer*>(data)->messages;
    const auto* const payload = reinterpret_cast<const char*>(nopoll_msg_get_payload(msg));
    const long size = nopoll_msg_get_payload_size(msg);
    if (nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME)
        (void)nopoll_conn_send_binary(conn, payload, size);
    else if (size > 0)
        (void)nopoll_conn_send_text(conn, payload, size);
}

void EchoServer::on_close(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr data) {
    ++static_cast<EchoServer*>(data)->closed;
}

}  // namespace nopoll::faults
