// SPDX-License-Identifier: MIT
// Many peers that hardly read, with tiny buffers on both sides, and others that must not notice:
// every byte that was reported as sent arrives, in order, also what was sent just before a close;
// the limit of the queue holds; the accounting of non-blocking senders is exact to the byte.
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <vector>

#include "faults/raw_peer.hpp"
#include "stress/payload.hpp"

namespace nopoll::faults {
namespace {

using stress::idle_us;
using stress::Note;
using stress::now_us;
using stress::Random;

constexpr int kTinyBuffer = 2048;  // the kernel makes some 4 KiB of it
constexpr unsigned kSlowPeers = 40;

struct Scene {
    std::mutex mutex;
    std::vector<noPollConn*> conns;  // each with a reference of ours
    std::atomic<long> refused{0};
};

nopoll_bool on_ready(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    auto& scene = *static_cast<Scene*>(data);
    REQUIRE(nopoll_conn_ref(conn));
    const std::lock_guard guard(scene.mutex);
    scene.conns.push_back(conn);
    return nopoll_true;
}

// Sends until `bytes` are out or the queue is full; numbers go on from `number`.
void fill(noPollConn* conn, Random& random, std::size_t bytes, unsigned& number, Scene& scene) {
    while (bytes > 0) {
        const Note note{9, number, static_cast<unsigned>(random.below(6000))};
        const std::string text = stress::write_note(note);
        errno = 0;
        const int result = nopoll_conn_send_text(conn, text.data(), static_cast<long>(text.size()));
        if (result != static_cast<int>(text.size())) {
            REQUIRE(result == -1 && errno == NOPOLL_EWOULDBLOCK);
            ++scene.refused;
            return;
        }
        ++number;
        bytes -= std::min(bytes, text.size());
    }
}

// Reads everything up to the Close frame, in small steps; the number of messages.
unsigned read_to_the_end(const RawSocket& peer, bool expect_close) {
    for (unsigned number = 0;; ++number) {
        const RawFrame got = receive_frame(peer);
        if (got.first_byte == 0x88 || (!expect_close && got.first_byte < 0)) return number;
        REQUIRE(got.first_byte == 0x81);
        Note note;
        REQUIRE(stress::read_note(got.payload, note));
        REQUIRE(note.number == number);
    }
}

void many_slow_readers() {
    const std::int64_t start = now_us();
    EchoServer::Settings settings;
    settings.send_buffer = kTinyBuffer;
    settings.start = false;
    Scene scene;
    std::int64_t slowest = 0;
    std::size_t messages = 0;
    {
        EchoServer server(settings);
        nopoll_ctx_set_send_queue_limit(server.ctx(), 300'000);
        server.start();
        const RawSocket good = open_client(server.port());
        REQUIRE(eventually([&] { return server.opened == 1; }));
        // Connections are kept from now on; the good client is none of them.
        nopoll_ctx_set_on_ready(server.ctx(), on_ready, &scene);
        std::vector<RawSocket> peers;
        for (unsigned i = 0; i < kSlowPeers; ++i)
            peers.push_back(open_client(server.port(), kTinyBuffer));
        REQUIRE(eventually([&] {
            const std::lock_guard guard(scene.mutex);
            return scene.conns.size() == kSlowPeers;
        }));
        Random random(1);
        std::vector<unsigned> numbers(kSlowPeers, 0);
        for (int round = 0; round < 5; ++round) {
            for (unsigned i = 0; i < kSlowPeers; ++i) {
                const std::int64_t before = now_us();
                fill(scene.conns[i], random, 100'000, numbers[i], scene);
                REQUIRE(now_us() - before < 5'000'000);  // it does not wait for its peer
                slowest = std::max(slowest, echo(good, "and me?"));
            }
        }
        REQUIRE(scene.refused > 0);
        // Half of them are closed while their queues are full.
        for (unsigned i = 0; i < kSlowPeers; ++i) {
            if (i % 2 == 0) nopoll_conn_close_ext(scene.conns[i], 1000, "done", 4);
        }
        slowest = std::max(slowest, echo(good, "and me?"));
        // The peers come in any order; the accepted connections too: count over all of them.
        std::size_t sent = 0;
        for (const unsigned number : numbers)
            sent += number;
        std::vector<std::thread> readers;
        std::atomic<std::size_t> received{0};
        for (unsigned i = 0; i < kSlowPeers; ++i)
            readers.emplace_back([&, i] { received += read_to_the_end(peers[i], false); });
        REQUIRE(eventually([&] {
            bool pending = false;
            for (unsigned i = 1; i < kSlowPeers; i += 2)
                pending = pending || nopoll_conn_pending_write_bytes(scene.conns[i]) > 0;
            return !pending;
        }));
        for (unsigned i = 1; i < kSlowPeers; i += 2)
            nopoll_conn_close_ext(scene.conns[i], 1000, "done", 4);
        for (std::thread& reader : readers)
            reader.join();
        REQUIRE(received == sent);
        messages = sent;
    }
    std::printf(
        "%u slow readers: %zu messages all arrived, %ld refused by full queues, slowest echo "
        "of another client %.1f ms, %.1f s\n",
        kSlowPeers, messages, scene.refused.load(), static_cast<double>(slowest) / 1e3,
        static_cast<double>(now_us() - start) / 1e6);
    REQUIRE(slowest < 2'000'000);
}

// A client with O_NONBLOCK: result and completions add up to the length, whoever writes.
void exact_accounting(bool with_loop) {
    EchoServer server;
    noPollCtx* const ctx = nopoll_ctx_new();
    const std::string port = std::to_string(server.port());
    long frames = 0;
    long partial = 0;
    {
        noPollConn* const conn =
            nopoll_conn_new(ctx, "127.0.0.1", port.c_str(), nullptr, nullptr, nullptr, nullptr);
        REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 20));
        const int size = kTinyBuffer;
        REQUIRE(::setsockopt(nopoll_conn_socket(conn), SOL_SOCKET, SO_SNDBUF, &size, sizeof size) ==
                0);
        Random random(2);
        std::string text(200'000, 'x');
        for (int round = 0; round < 40; ++round) {
            const auto length = static_cast<int>(random.between(1, text.size()));
            const int first = nopoll_conn_send_binary(conn, text.data(), length);
            REQUIRE(first == length || first == -2 || (first > 0 && first < length));
            int written = first == -2 ? 0 : first;
            if (written < length) ++partial;
            while (nopoll_conn_pending_write_bytes(conn) > 0) {
                if (with_loop) REQUIRE(nopoll_loop_wait(ctx, 10'000) == -3);
                const int more = random.one_in(2) ? nopoll_conn_complete_pending_write(conn)
                                                  : nopoll_conn_flush_writes(conn, 1000, 0);
                if (more > 0) written += more;
                REQUIRE(more >= 0 || errno == NOPOLL_EWOULDBLOCK);
                // What the server sends back has to be read, or both sides wait.
                while (noPollMsg* const msg = with_loop ? nullptr : nopoll_conn_get_msg(conn))
                    nopoll_msg_unref(msg);
            }
            REQUIRE(written == length);
            ++frames;
        }
        nopoll_conn_close(conn);
    }
    nopoll_ctx_unref(ctx);
    std::printf(
        "accounting %s a loop: %ld frames, %ld of them written in parts, every byte counted once\n",
        with_loop ? "with" : "without", frames, partial);
    REQUIRE(partial > 0);
}

}  // namespace
}  // namespace nopoll::faults

int main() {
    nopoll::stress::limit_run_time(110);
    nopoll::faults::many_slow_readers();
    nopoll::faults::exact_accounting(false);
    nopoll::faults::exact_accounting(true);
    return 0;
}
