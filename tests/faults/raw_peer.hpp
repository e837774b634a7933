// SPDX-License-Identifier: MIT
// A peer made of bytes: no library between the test and the socket. And a server of the library
// with its loop in a thread, for such peers to attack.
#pragma once

#include <nopoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "stress/support.hpp"

namespace nopoll::faults {

// How a peer goes away.
enum class Leave { fin, reset, silence };
constexpr Leave kAllWays[] = {Leave::fin, Leave::reset, Leave::silence};

class RawSocket {
public:
    RawSocket() = default;
    explicit RawSocket(int fd) : fd_(fd) {}
    RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    RawSocket& operator=(RawSocket&& other) noexcept;
    ~RawSocket();

    // To a local port; receive_buffer > 0: SO_RCVBUF, set before connecting.
    static RawSocket connect(int port, int receive_buffer = 0);
    // The same in two steps: the descriptor exists before the connection does.
    static RawSocket unconnected(int receive_buffer = 0);
    void connect_to(int port) const;

    [[nodiscard]] int get() const { return fd_; }
    // False when the other side has gone.
    bool send(std::string_view bytes) const;
    // What is there, at most `most` bytes, waiting up to `ms` for the first; "" at the end.
    [[nodiscard]] std::string receive(std::size_t most, int ms) const;
    // Exactly this many, or less when the stream ends or 20 s are over.
    [[nodiscard]] std::string receive_exactly(std::size_t bytes) const;
    // Up to and with the blank line.
    [[nodiscard]] std::string receive_head() const;
    // Waits for the end of the stream (FIN or reset), reading away what comes.
    [[nodiscard]] bool ends_within(int ms) const;
    // fin: shutdown and close, reset: RST, silence: nothing happens, the socket stays open.
    void leave(Leave way);

private:
    int fd_ = -1;
};

constexpr std::string_view kRequest =
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Origin: http://localhost\r\n\r\n";

// One frame as a client sends it (masked), or as a server does.
[[nodiscard]] std::string frame(int first_byte, std::string_view payload, bool masked = true);
// Only its header, announcing `size` bytes.
[[nodiscard]] std::string frame_header(int first_byte, std::uint64_t size, bool masked = true);
// The next frame of the stream: first byte and payload; first byte -1 when there is none.
struct RawFrame {
    int first_byte = -1;
    std::string payload;
};
[[nodiscard]] RawFrame receive_frame(const RawSocket& socket);

// A client that has shaken hands.
[[nodiscard]] RawSocket open_client(int port, int receive_buffer = 0);
void shake_hands(const RawSocket& client);
// It sends a text and gets it back; the time that took in microseconds.
[[nodiscard]] std::int64_t echo(const RawSocket& client, std::string_view text);

[[nodiscard]] int port_of(noPollConn* listener);

// Waits for a condition, at most 30 s.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

// An echo server on its own context; counts its connections.
class EchoServer {
public:
    struct Settings {
        noPollIoEngineType engine = NOPOLL_IO_ENGINE_DEFAULT;
        long handshake_timeout_us = 60'000'000;
        int send_buffer = 0;  // SO_SNDBUF of accepted sockets
        bool tls = false;
        std::string certificate;
        std::string key;
        bool start = true;
    };
    explicit EchoServer(const Settings& settings);
    EchoServer() : EchoServer(Settings{}) {}
    ~EchoServer();  // stops the loop, checks that nothing is left over
    EchoServer(const EchoServer&) = delete;
    EchoServer& operator=(const EchoServer&) = delete;

    void start();
    void stop();
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] noPollCtx* ctx() const { return ctx_; }
    [[nodiscard]] noPollConn* listener() const { return listener_; }
    // Accepted connections that still exist.
    [[nodiscard]] int connections() const { return nopoll_ctx_conns(ctx_) - 1; }
    [[nodiscard]] bool becomes_idle() const;

    std::atomic<long> accepted{0};
    std::atomic<long> opened{0};
    std::atomic<long> closed{0};
    std::atomic<long> messages{0};

private:
    static nopoll_bool on_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data);
    static nopoll_bool on_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data);
    static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data);
    static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data);

    Settings settings_;
    noPollCtx* ctx_ = nullptr;
    noPollConn* listener_ = nullptr;
    int port_ = 0;
    std::atomic<bool> done_{false};
    std::thread loop_;
};

}  // namespace nopoll::faults
