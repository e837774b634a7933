// SPDX-License-Identifier: MIT
// See soak_crowd.hpp. Each script takes a few seconds at most. A member that is treated wrongly
// ends the whole program.
#include "stress/soak_crowd.hpp"

#include <fcntl.h>
#include <nopoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "faults/raw_peer.hpp"
#include "stress/support.hpp"

namespace nopoll::stress {
namespace {

using faults::frame;
using faults::kRequest;
using faults::Leave;
using faults::RawFrame;
using faults::RawSocket;

struct Member {
    const CrowdPlan& plan;
    Random random;
    noPollCtx* ctx;
    noPollConnOpts* options;  // for TLS: no verification
    const std::atomic<bool>& done;
};

Leave any_way(Random& random) {
    return random.one_in(2) ? Leave::fin : Leave::reset;
}

std::string any_text(Random& random) {
    const std::size_t most = random.one_in(40) ? 60'000 : (random.one_in(5) ? 4000 : 120);
    return std::string(1 + random.below(most), static_cast<char>('a' + random.below(26)));
}

void pause(Random& random, std::size_t most_ms) {
    idle_us(static_cast<std::int64_t>(random.below(most_ms * 1000) + 1));
}

// --- the well-behaved ----------------------------------------------------------------------------

void talk(Member& m) {
    RawSocket peer = faults::open_client(m.plan.plain_port);
    for (std::size_t i = 1 + m.random.below(20); i > 0 && !m.done; --i) {
        (void)faults::echo(peer, any_text(m.random));
        pause(m.random, 100);
    }
    REQUIRE(peer.send(frame(0x88, std::string("\x03\xe8", 2))));
    REQUIRE(faults::receive_frame(peer).first_byte == 0x88);
}

void talk_in_fragments(Member& m) {
    RawSocket peer = faults::open_client(m.plan.plain_port);
    for (std::size_t i = 1 + m.random.below(5); i > 0; --i) {
        // Each fragment is a message to the echo server.
        REQUIRE(peer.send(frame(0x01, "frag") + frame(0x89, "in between") + frame(0x80, "ment")));
        REQUIRE(faults::receive_frame(peer).payload == "frag");
        REQUIRE(faults::receive_frame(peer).payload == "in between");
        REQUIRE(faults::receive_frame(peer).payload == "ment");
        pause(m.random, 100);
    }
    peer.leave(any_way(m.random));
}

void use_library(Member& m, bool tls) {
    const std::string port = std::to_string(tls ? m.plan.tls_port : m.plan.plain_port);
    noPollConn* const conn =
        tls ? nopoll_conn_tls_new(m.ctx, m.options, "127.0.0.1", port.c_str(), nullptr, nullptr,
                                  nullptr, nullptr)
            : nopoll_conn_new(m.ctx, "127.0.0.1", port.c_str(), nullptr, nullptr, nullptr, nullptr);
    REQUIRE(nopoll_conn_wait_until_connection_ready(conn, 20));
    for (std::size_t i = 1 + m.random.below(20); i > 0 && !m.done; --i) {
        const std::string text = any_text(m.random);
        const int sent = nopoll_conn_send_binary(conn, text.data(), static_cast<long>(text.size()));
        REQUIRE(sent > 0 || sent == -2);
        (void)nopoll_conn_flush_writes(conn, 20'000'000, 0);
        std::string back(text.size(), '\0');
        REQUIRE(nopoll_conn_read(conn, back.data(), static_cast<int>(back.size()), nopoll_true,
                                 20'000) == static_cast<int>(back.size()));
        REQUIRE(back == text);
        pause(m.random, 100);
    }
    if (m.random.one_in(3)) nopoll_conn_shutdown(conn);
    nopoll_conn_close(conn);
}

void use_library_plain(Member& m) {
    use_library(m, false);
}
void use_library_tls(Member& m) {
    use_library(m, true);
}

// --- the others ----------------------------------------------------------------------------------

void vanish_in_handshake(Member& m) {
    RawSocket peer = RawSocket::connect(m.random.one_in(4) ? m.plan.tls_port : m.plan.plain_port);
    REQUIRE(peer.send(kRequest.substr(0, m.random.below(kRequest.size()))));
    pause(m.random, 50);
    peer.leave(any_way(m.random));
}

void vanish_in_frame(Member& m) {
    RawSocket peer = faults::open_client(m.plan.plain_port);
    const std::string bytes = frame(0x82, any_text(m.random));
    REQUIRE(peer.send(std::string_view(bytes).substr(0, m.random.below(bytes.size()))));
    pause(m.random, 50);
    peer.leave(any_way(m.random));
}

// Nothing, until the time limit of the handshake; or idle for a while.
void be_silent(Member& m) {
    if (m.random.one_in(2)) {
        const RawSocket peer = RawSocket::connect(m.plan.plain_port);
        REQUIRE(peer.ends_within(20'000));
        return;
    }
    RawSocket peer = faults::open_client(m.plan.plain_port);
    pause(m.random, 3000);
    peer.leave(any_way(m.random));
}

void be_slow(Member& m) {
    const RawSocket peer = RawSocket::connect(m.plan.plain_port);
    for (const char byte : kRequest) {
        if (m.done || ::send(peer.get(), &byte, 1, MSG_NOSIGNAL) != 1) return;
        pause(m.random, 30);
    }
}

void make_noise(Member& m) {
    RawSocket peer = RawSocket::connect(m.random.one_in(4) ? m.plan.tls_port : m.plan.plain_port);
    std::string noise;
    if (m.random.one_in(2)) noise = kRequest;
    for (std::size_t left = m.random.below(2000); left > 0; --left)
        noise.push_back(static_cast<char>(m.random.below(256)));
    (void)peer.send(noise);
    ::shutdown(peer.get(), SHUT_WR);
    REQUIRE(peer.ends_within(20'000));
}

void break_the_rules(Member& m) {
    static const std::array<std::string, 5> kOffences = {
        frame(0x81, "unmasked", false), frame(0xc1, "reserved bit"), frame(0x83, "unknown opcode"),
        frame(0x09, "fragmented ping"), faults::frame_header(0x82, std::uint64_t{1} << 40)};
    const RawSocket peer = faults::open_client(m.plan.plain_port);
    REQUIRE(peer.send(kOffences[m.random.below(kOffences.size())]));
    REQUIRE(faults::receive_frame(peer).first_byte == 0x88);
    REQUIRE(peer.ends_within(20'000));
}

void flood_with_pings(Member& m) {
    RawSocket peer = faults::open_client(m.plan.plain_port);
    std::string pings;
    for (int i = 0; i < 200; ++i)
        pings += frame(0x89, std::string(100, 'p'));
    REQUIRE(peer.send(pings));
    if (m.random.one_in(2)) REQUIRE(faults::receive_frame(peer).first_byte == 0x8a);
    peer.leave(any_way(m.random));
}

// Asks for much and reads little of it.
void read_slowly(Member& m) {
    RawSocket peer = faults::open_client(m.plan.plain_port, 4096);
    const std::string text(20'000, 's');
    for (int i = 0; i < 10; ++i)
        REQUIRE(peer.send(frame(0x82, text)));
    for (std::size_t i = m.random.below(10); i > 0; --i) {
        (void)peer.receive(2000, 1000);
        pause(m.random, 50);
    }
    peer.leave(any_way(m.random));
}

void promise_much(Member& m) {
    RawSocket peer = faults::open_client(m.plan.plain_port);
    REQUIRE(peer.send(faults::frame_header(0x82, 16 * 1024 * 1024) + "and that is all"));
    pause(m.random, 500);
    peer.leave(any_way(m.random));
}

struct Script {
    void (*run)(Member&);
    unsigned weight;
};
constexpr Script kScripts[] = {
    {talk, 6},         {talk_in_fragments, 2},   {use_library_plain, 4}, {use_library_tls, 2},
    {be_silent, 1},    {vanish_in_handshake, 2}, {vanish_in_frame, 2},   {be_slow, 1},
    {make_noise, 2},   {break_the_rules, 2},     {flood_with_pings, 1},  {read_slowly, 2},
    {promise_much, 1},
};

void (*choose(Random& random))(Member&) {
    std::size_t total = 0;
    for (const Script& script : kScripts)
        total += script.weight;
    std::size_t at = random.below(total);
    for (const Script& script : kScripts) {
        if (at < script.weight) return script.run;
        at -= script.weight;
    }
    return talk;
}

void run_member(const CrowdPlan& plan, unsigned index, const std::atomic<bool>& done,
                std::atomic<long>& scripts) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConnOpts* const options = nopoll_conn_opts_new();
    nopoll_conn_opts_set_reuse(options, nopoll_true);
    nopoll_conn_opts_ssl_peer_verify(options, nopoll_false);
    Member member{plan, Random(plan.seed + index), ctx, options, done};
    while (!done) {
        choose(member.random)(member);
        ++scripts;
        pause(member.random, 1000);
    }
    nopoll_conn_opts_free(options);
    nopoll_ctx_unref(ctx);
}

void run_crowd(const CrowdPlan& plan, int orders, int answers) {
    std::atomic<bool> done{false};
    std::atomic<long> scripts{0};
    std::vector<std::thread> members;
    for (unsigned i = 0; i < plan.members; ++i)
        members.emplace_back([&plan, i, &done, &scripts] { run_member(plan, i, done, scripts); });
    char byte = 0;
    (void)!::read(orders, &byte, 1);
    done = true;
    for (std::thread& member : members)
        member.join();
    const std::string text = std::to_string(plan.members) + " members ran " +
                             std::to_string(scripts.load()) + " scripts of " +
                             std::to_string(std::size(kScripts)) + " kinds";
    REQUIRE(::write(answers, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

Crowd::Crowd(const CrowdPlan& plan) {
    int to_child[2];
    int from_child[2];
    REQUIRE(::pipe2(to_child, O_CLOEXEC) == 0 && ::pipe2(from_child, O_CLOEXEC) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
        ::close(to_child[1]);
        ::close(from_child[0]);
        run_crowd(plan, to_child[0], from_child[1]);
        ::_exit(0);
    }
    ::close(to_child[0]);
    ::close(from_child[1]);
    order_ = to_child[1];
    answer_ = from_child[0];
}

Crowd::~Crowd() {
    if (child_ > 0) (void)finish();
}

std::string Crowd::finish() {
    ::close(order_);
    std::string text(200, '\0');
    const ssize_t size = ::read(answer_, text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    ::close(answer_);
    int status = 0;
    REQUIRE(::waitpid(child_, &status, 0) == child_);
    child_ = -1;
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return text;
}

}  // namespace nopoll::stress
