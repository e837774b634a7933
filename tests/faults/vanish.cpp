// SPDX-License-Identifier: MIT
// Peers that vanish after every single byte of a conversation, in three ways: FIN, reset, silence.
// Servers and clients, on every wait engine, and over TLS, where handshake and records are cut too
// (every few bytes, as a handshake takes its time); between the attacks and after them others are
// served, and nothing is left over.
#include <openssl/evp.h>
#include <sys/socket.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "faults/cut_tls.hpp"
#include "faults/raw_peer.hpp"
#include "stress/certificate.hpp"

namespace nopoll::faults {
namespace {

using stress::now_us;

// Bytes from one end to the next; a handshake each.
#if defined(__SANITIZE_THREAD__)
constexpr std::size_t kTlsStep = 13;
#else
constexpr std::size_t kTlsStep = 3;
#endif

struct Figures {
    long peers = 0;
    long clients = 0;
    std::int64_t slowest_echo_us = 0;
    void note_echo(std::int64_t us) { slowest_echo_us = std::max(slowest_echo_us, us); }
};

// A request and frames of every kind.
std::string conversation() {
    std::string bytes(kRequest);
    bytes += frame(0x81, "hello");
    bytes += frame(0x89, "ping");
    bytes += frame(0x01, "first part, ");
    bytes += frame(0x8a, "");
    bytes += frame(0x80, "second part");
    bytes += frame(0x82, std::string(130, 'b'));
    bytes += frame(0x88, std::string("\x03\xe8", 2) + "bye");
    return bytes;
}

// Says the first `count` bytes of it; true when that was all.
using Speech = std::function<bool(const RawSocket& peer, std::size_t count)>;

bool speak_plainly(const RawSocket& peer, std::size_t count) {
    static const std::string bytes = conversation();
    REQUIRE(peer.send(std::string_view(bytes).substr(0, count)));
    return count >= bytes.size();
}

void attack_server(const EchoServer::Settings& settings, const Speech& speak, std::size_t step,
                   Figures& figures) {
    EchoServer server(settings);
    std::vector<RawSocket> silent;
    std::unique_ptr<RawSocket> good;
    if (!settings.tls) good = std::make_unique<RawSocket>(open_client(server.port()));
    bool all_said = false;
    for (std::size_t count = 0; !all_said; count += step) {
        for (const Leave way : kAllWays) {
            RawSocket peer = RawSocket::connect(server.port());
            all_said = speak(peer, count);
            peer.leave(way);
            if (way == Leave::silence) silent.push_back(std::move(peer));
            ++figures.peers;
        }
        if (good) figures.note_echo(echo(*good, "still there?"));
    }
    // Those in the handshake are ended by its time limit, the others by their own end.
    for (const RawSocket& peer : silent)
        ::shutdown(peer.get(), SHUT_WR);
    // The last to come is one of them: when it is served nobody waits to be accepted any more.
    for (const RawSocket& peer : silent)
        REQUIRE(peer.ends_within(20'000));
    const bool ended = eventually([&] { return server.connections() == (good ? 1 : 0); });
    REQUIRE(ended);
    if (good) good->leave(Leave::fin);
}

// --- clients of the library ---------------------------------------------------------------------

std::string accept_key(std::string_view request) {
    constexpr std::string_view kName = "Sec-WebSocket-Key: ";
    const std::size_t at = request.find(kName);
    REQUIRE(at != std::string_view::npos);
    const std::string key =
        std::string(request.substr(at + kName.size(), 24)) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    REQUIRE(EVP_Digest(key.data(), key.size(), digest, &size, EVP_sha1(), nullptr) == 1);
    unsigned char text[64];
    const int length = EVP_EncodeBlock(text, digest, static_cast<int>(size));
    return {reinterpret_cast<char*>(text), static_cast<std::size_t>(length)};
}

std::string server_side(std::string_view request) {
    std::string bytes =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " +
        accept_key(request) + "\r\n\r\n";
    bytes += frame(0x81, "hello", false);
    bytes += frame(0x89, "ping", false);
    bytes += frame(0x02, std::string(130, 'x'), false);
    bytes += frame(0x80, "end", false);
    bytes += frame(0x88, "", false);
    return bytes;
}

// The client drives itself, or a loop does.
void drive_client(noPollCtx* ctx, noPollConn* conn, bool looped, bool until_over) {
    const std::int64_t end = now_us() + 10'000'000;
    for (int turn = 0; nopoll_conn_is_ok(conn) && (until_over || turn < (looped ? 1 : 4)); ++turn) {
        REQUIRE(now_us() < end);
        if (looped) {
            const int result = nopoll_loop_wait(ctx, 1);
            REQUIRE(result == -3);
            continue;
        }
        if (!nopoll_conn_is_ready(conn)) continue;
        if (noPollMsg* const msg = nopoll_conn_get_msg(conn)) nopoll_msg_unref(msg);
    }
}

// Where clients of the library connect to.
class Door {
public:
    Door() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        REQUIRE(::listen(listening_.get(), 16) == 0);
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        const auto* const raw = reinterpret_cast<const unsigned char*>(&address);
        port_ = std::to_string(raw[2] * 256 + raw[3]);
    }
    [[nodiscard]] const char* port() const { return port_.c_str(); }
    [[nodiscard]] RawSocket accept() const {
        return RawSocket(::accept(listening_.get(), nullptr, nullptr));
    }

private:
    RawSocket listening_;
    std::string port_;
};

void end_context(noPollCtx* ctx) {
    REQUIRE(nopoll_ctx_conns(ctx) == 0);
    REQUIRE(nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
}

void attack_client(noPollIoEngineType engine, bool looped, Figures& figures) {
    noPollCtx* const ctx = nopoll_ctx_new();
    REQUIRE(nopoll_ctx_set_io_engine(ctx, engine));
    const Door door;
    std::size_t whole = 1;
    for (std::size_t count = 0; count <= whole; ++count) {
        for (const Leave way : kAllWays) {
            noPollConn* const conn =
                nopoll_conn_new(ctx, "127.0.0.1", door.port(), nullptr, nullptr, nullptr, nullptr);
            RawSocket peer = door.accept();
            REQUIRE(nopoll_conn_is_ok(conn) && peer.get() >= 0);
            const std::string bytes = server_side(peer.receive_head());
            whole = bytes.size();
            REQUIRE(peer.send(std::string_view(bytes).substr(0, count)));
            peer.leave(way);
            drive_client(ctx, conn, looped, way != Leave::silence || count == whole);
            nopoll_conn_close(conn);
            ++figures.clients;
        }
    }
    end_context(ctx);
}

// The creating call waits for the TLS handshake, so the peer has a thread.
void attack_tls_client(SSL_CTX* tls, bool looped, std::size_t step, Figures& figures) {
    noPollCtx* const ctx = nopoll_ctx_new();
    const Door door;
    bool all_said = false;
    for (std::size_t count = 0; !all_said; count += step) {
        for (const Leave way : kAllWays) {
            RawSocket peer;
            std::thread server([&] {
                peer = door.accept();
                CutTls end(tls, peer, count);
                std::string request;
                all_said = end.shake_hands() && !(request = end.receive_head()).empty() &&
                           end.send(server_side(request));
                peer.leave(way);
            });
            // For silence there is no other end to wait for.
            nopoll_conn_connect_timeout(ctx, way == Leave::silence ? 20'000 : 10'000'000);
            noPollConnOpts* const options = nopoll_conn_opts_new();
            nopoll_conn_opts_ssl_peer_verify(options, nopoll_false);
            noPollConn* const conn = nopoll_conn_tls_new(ctx, options, "127.0.0.1", door.port(),
                                                         nullptr, nullptr, nullptr, nullptr);
            REQUIRE(conn != nullptr);
            if (way == Leave::silence) {
                drive_client(ctx, conn, looped, false);
                nopoll_conn_shutdown(conn);
            }
            server.join();
            drive_client(ctx, conn, looped, true);
            nopoll_conn_close(conn);
            ++figures.clients;
        }
    }
    end_context(ctx);
}

}  // namespace
}  // namespace nopoll::faults

int main() {
    using namespace nopoll::faults;
    using namespace nopoll::stress;
    limit_run_time(110);
    (void)raise_descriptor_limit(8192);
    const TestCertificate files;
    const std::int64_t start = now_us();
    const std::size_t descriptors = open_descriptors();
    Figures figures;
    EchoServer::Settings settings;
    settings.handshake_timeout_us = 1'000'000;
    for (const noPollIoEngineType engine :
         {NOPOLL_IO_ENGINE_SELECT, NOPOLL_IO_ENGINE_POLL, NOPOLL_IO_ENGINE_EPOLL}) {
        settings.engine = engine;
        attack_server(settings, speak_plainly, engine == NOPOLL_IO_ENGINE_SELECT ? 1 : 7, figures);
        attack_client(engine, true, figures);
    }
    attack_client(NOPOLL_IO_ENGINE_DEFAULT, false, figures);
    settings.engine = NOPOLL_IO_ENGINE_DEFAULT;
    settings.tls = true;
    settings.certificate = files.certificate();
    settings.key = files.key();
    const SslCtxOwner client_side = tls_client_side();
    const SslCtxOwner server_side = tls_server_side(files.certificate(), files.key());
    attack_server(
        settings,
        [&](const RawSocket& peer, std::size_t count) {
            CutTls end(client_side.get(), peer, count);
            return end.shake_hands() && end.send(conversation());
        },
        kTlsStep, figures);
    attack_tls_client(server_side.get(), true, kTlsStep, figures);
    attack_tls_client(server_side.get(), false, kTlsStep, figures);
    std::printf(
        "%ld peers and %ld servers vanished in mid-sentence; slowest echo meanwhile %.1f ms; "
        "%.1f s\n",
        figures.peers, figures.clients, static_cast<double>(figures.slowest_echo_us) / 1e3,
        static_cast<double>(now_us() - start) / 1e6);
    REQUIRE(figures.slowest_echo_us < 2'000'000);
    REQUIRE(eventually([&] { return open_descriptors() == descriptors; }));
    return 0;
}
