// SPDX-License-Identifier: MIT
// Peers with bad intentions, many at once: heads that never end, frames that are announced and
// never sent, floods of pings nobody reads the answers of, garbage, half-closed streams. Another
// client is served meanwhile, memory stays where it is, and afterwards everything is gone.
#include <malloc.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "faults/raw_peer.hpp"

namespace nopoll::faults {
namespace {

using stress::idle_us;
using stress::now_us;
using stress::Random;
using stress::resident_bytes;

constexpr std::size_t kMiB = std::size_t{1} << 20;
// Sanitizers keep freed memory back and shadow every byte: their figures mean nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsMeasured = false;
#else
constexpr bool kMemoryIsMeasured = true;
#endif

// A client that is watched while others attack.
class Witness {
public:
    explicit Witness(const EchoServer& server) : client_(open_client(server.port())) { look(); }
    void look() { slowest_us_ = std::max(slowest_us_, echo(client_, "is anybody there?")); }
    [[nodiscard]] double slowest_ms() const { return static_cast<double>(slowest_us_) / 1e3; }
    // Generous: the machine may be busy. What is shown is that nobody waits for an attacker.
    void judge() const { REQUIRE(slowest_us_ < 3'000'000); }

private:
    RawSocket client_;
    std::int64_t slowest_us_ = 0;
};

// Resident, or asked for and not touched yet, whichever is more.
struct Memory {
    std::size_t resident = resident_bytes();
    std::size_t allocated = [] {
        const struct mallinfo2 info = ::mallinfo2();
        return info.uordblks + info.hblkhd;
    }();
};

std::size_t growth_since(const Memory& before) {
    const Memory now;
    const auto growth = [](std::size_t from, std::size_t to) { return to > from ? to - from : 0; };
    return std::max(growth(before.resident, now.resident), growth(before.allocated, now.allocated));
}

// One byte now and then, for ever: only the time limit of the handshake ends it.
void slow_heads() {
    EchoServer::Settings settings;
    settings.handshake_timeout_us = 700'000;
    EchoServer server(settings);
    Witness witness(server);
    std::vector<RawSocket> peers;
    for (int i = 0; i < 200; ++i)
        peers.push_back(RawSocket::connect(server.port()));
    const std::int64_t start = now_us();
    long bytes = 0;
    std::size_t at = 0;
    while (server.connections() > 1 || server.accepted < 201) {
        REQUIRE(now_us() - start < 20'000'000);
        for (const RawSocket& peer : peers)
            if (::send(peer.get(), kRequest.data() + at % (kRequest.size() - 4), 1,
                       MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
                ++bytes;
        ++at;
        witness.look();
        idle_us(10'000);
    }
    std::printf("200 slow heads (%ld single bytes) ended by the time limit after %.2f s; slowest "
                "echo %.1f ms\n",
                bytes, static_cast<double>(now_us() - start) / 1e6, witness.slowest_ms());
    witness.judge();
    for (const RawSocket& peer : peers)
        REQUIRE(peer.ends_within(5000));
}

// 16 MiB are announced; memory must follow what arrives, which is nothing.
void empty_promises() {
    EchoServer server;
    Witness witness(server);
    const Memory before;
    std::vector<RawSocket> peers;
    for (int i = 0; i < 500; ++i) {
        peers.push_back(open_client(server.port()));
        REQUIRE(peers.back().send(frame_header(0x82, 16 * kMiB)));
    }
    witness.look();
    const std::size_t idle = growth_since(before);
    for (const RawSocket& peer : peers)
        REQUIRE(peer.send("x"));
    witness.look();
    const std::size_t after = growth_since(before);
    std::printf(
        "500 connections announced 16 MiB each: memory grew by %.1f MiB, by %.1f MiB with one byte "
        "of each; slowest echo %.1f ms\n",
        static_cast<double>(idle) / kMiB, static_cast<double>(after) / kMiB, witness.slowest_ms());
    if (kMemoryIsMeasured) REQUIRE(after < 20 * kMiB);
    witness.judge();
    for (RawSocket& peer : peers)
        peer.leave(Leave::reset);
}

// Pings without end, and nobody reads the pongs: they may not pile up.
void ping_flood() {
    EchoServer::Settings settings;
    settings.send_buffer = 4096;
    EchoServer server(settings);
    Witness witness(server);
    const Memory before;
    std::vector<RawSocket> peers;
    for (int i = 0; i < 20; ++i)
        peers.push_back(open_client(server.port(), 4096));
    std::string burst;
    while (burst.size() < 100'000)
        burst += frame(0x89, std::string(120, 'p'));
    long pings = 0;
    for (int round = 0; round < 20; ++round) {
        for (const RawSocket& peer : peers) {
            std::string_view left = burst;
            while (!left.empty()) {
                const ssize_t sent = ::send(peer.get(), left.data(), left.size(), MSG_NOSIGNAL);
                REQUIRE(sent > 0);
                left.remove_prefix(static_cast<std::size_t>(sent));
            }
            pings += static_cast<long>(burst.size() / 126);
        }
        witness.look();
    }
    const std::size_t grown = growth_since(before);
    // Whoever reads now gets whole pongs, the last ping's at the end.
    for (const RawSocket& peer : peers)
        REQUIRE(peer.send(frame(0x89, "last")));
    long pongs = 0;
    for (const RawSocket& peer : peers) {
        for (RawFrame pong;; ++pongs) {
            pong = receive_frame(peer);
            REQUIRE(pong.first_byte == 0x8a);
            if (pong.payload == "last") break;
            REQUIRE(pong.payload == std::string(120, 'p'));
        }
    }
    std::printf("%ld pings nobody read the answers of: memory grew by %.1f MiB, %ld pongs came; "
                "slowest echo %.1f ms\n",
                pings, static_cast<double>(grown) / kMiB, pongs, witness.slowest_ms());
    if (kMemoryIsMeasured) REQUIRE(grown < 10 * kMiB);
    witness.judge();
    for (RawSocket& peer : peers)
        peer.leave(Leave::fin);
}

// Noise instead of a request, or behind a good one.
void garbage(std::uint64_t seed) {
    EchoServer::Settings settings;
    settings.handshake_timeout_us = 1'000'000;
    EchoServer server(settings);
    Witness witness(server);
    Random random(seed);
    long bytes = 0;
    constexpr int kPeers = 600;
    std::vector<RawSocket> peers;
    for (int i = 0; i < kPeers; ++i) {
        peers.push_back(RawSocket::connect(server.port()));
        std::string noise;
        if (random.one_in(2)) noise = kRequest;
        for (std::size_t left = random.below(3000); left > 0; --left)
            noise.push_back(static_cast<char>(random.below(256)));
        if (!noise.empty()) noise[random.below(noise.size())] = '\n';
        bytes += static_cast<long>(noise.size());
        (void)peers.back().send(noise);  // it may be refused before it is all there
        if (random.one_in(3)) peers.back().leave(random.one_in(2) ? Leave::fin : Leave::reset);
        if (i % 50 == 0) witness.look();
    }
    for (const RawSocket& peer : peers)
        if (peer.get() >= 0) ::shutdown(peer.get(), SHUT_WR);
    REQUIRE(eventually([&] { return server.connections() == 1; }));
    witness.look();
    std::printf("%d peers sent %ld bytes of noise; slowest echo %.1f ms\n", kPeers, bytes,
                witness.slowest_ms());
    witness.judge();
}

// A peer that has said all and still listens gets its answers.
void half_closed() {
    EchoServer server;
    for (int i = 0; i < 100; ++i) {
        const RawSocket peer = open_client(server.port());
        const std::string text(1 + static_cast<std::size_t>(i) * 997, 'h');
        REQUIRE(peer.send(frame(0x82, text) + frame(0x81, "last words")));
        ::shutdown(peer.get(), SHUT_WR);
        REQUIRE(receive_frame(peer).payload == text);
        REQUIRE(receive_frame(peer).payload == "last words");
        REQUIRE(peer.ends_within(20'000));
    }
    std::printf("100 half-closed peers got every answer\n");
}

}  // namespace
}  // namespace nopoll::faults

int main(int argc, char** argv) {
    using namespace nopoll::faults;
    nopoll::stress::limit_run_time(110);
    const std::uint64_t seed =
        nopoll::stress::choose_seed(std::span(argv, static_cast<std::size_t>(argc)));
    slow_heads();
    empty_promises();
    ping_flood();
    garbage(seed);
    half_closed();
    return 0;
}
