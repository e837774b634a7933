// SPDX-License-Identifier: MIT
// Last bytes of closed connections: written as the peer takes them, given up after 30 s without
// progress (the clock is ours here), and the end of the stream that does not destroy them: what the
// peer still sends is read away, for a while.
#include "core/linger.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/plain_transport.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll;
using namespace nopoll::core;
using namespace nopoll::test;

namespace {

constexpr std::int64_t kStart = 1'000'000;

struct Pair {
    net::UniqueFd ours;
    net::UniqueFd peers;
    Pair() {
        std::array<int, 2> ends{};
        CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        ours.reset(ends[0]);
        peers.reset(ends[1]);
        const int small = 1;
        setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
};

Linger linger_over(Pair& pair, std::string_view bytes) {
    Linger linger;
    linger.fd = std::move(pair.ours);
    linger.outbox.append(Account::queued, {}, std::as_bytes(std::span(bytes)), 0);
    linger.give_up_us = kStart + kLingerPatienceUs;
    return linger;
}

// What the peer can read now.
std::string taken(const Pair& pair, std::size_t most) {
    std::string text(most, '\0');
    const ssize_t count = recv(pair.peers.get(), text.data(), most, MSG_DONTWAIT);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
}

void short_rest_goes_at_once(void**) {
    Pair pair;
    Linger linger = linger_over(pair, "last bytes");
    linger.outbox.append(Account::library, {}, bytes_of(", close"), 0);
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::waiting);
    CHECK(linger.draining);
    CHECK(linger.outbox.empty());
    CHECK_EQUAL(taken(pair, 100), "last bytes, close");
    char byte = 0;
    CHECK_EQUAL(recv(pair.peers.get(), &byte, 1, MSG_DONTWAIT), 0);
    pair.peers.reset();
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::done);
}

Linger draining_linger(Pair& pair) {
    Linger linger = linger_over(pair, "x");
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::waiting);
    CHECK(linger.draining);
    return linger;
}

// What the peer still sends is read away, until it ends its direction too.
void input_is_read_away(void**) {
    Pair pair;
    Linger linger = draining_linger(pair);
    const std::string input(10'000, 'i');
    for (int i = 0; i < 5; ++i) {
        CHECK_EQUAL(send(pair.peers.get(), input.data(), input.size(), 0), 10'000);
        CHECK_EQUAL(advance_linger(linger, kStart), LingerState::waiting);
    }
    CHECK_EQUAL(linger.drained, std::size_t{50'000});
    CHECK_EQUAL(shutdown(pair.peers.get(), SHUT_WR), 0);
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::done);
}

// Nothing that the peer does moves the end of it on.
void reading_away_takes_two_seconds_at_most(void**) {
    Pair pair;
    Linger linger = draining_linger(pair);
    CHECK_EQUAL(linger.give_up_us, kStart + 2'000'000);
    CHECK_EQUAL(send(pair.peers.get(), "more", 4, 0), 4);
    CHECK_EQUAL(advance_linger(linger, kStart + 1'999'999), LingerState::waiting);
    CHECK_EQUAL(send(pair.peers.get(), "more", 4, 0), 4);
    CHECK_EQUAL(advance_linger(linger, kStart + 2'000'000), LingerState::done);
}

// One step takes a bounded amount, and so do all steps together.
void reading_away_is_bounded(void**) {
    Pair pair;
    Linger linger = draining_linger(pair);
    const std::string flood(100'000, 'f');
    const auto fill = [&] {
        while (send(pair.peers.get(), flood.data(), flood.size(), MSG_DONTWAIT) > 0) {
        }
    };
    fill();
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::waiting);
    CHECK(linger.drained >= kDrainStep && linger.drained < 2 * kDrainStep);
    std::size_t steps = 0;
    do {
        fill();
        ++steps;
    } while (advance_linger(linger, kStart) == LingerState::waiting);
    CHECK(linger.drained >= kDrainLimit && linger.drained < kDrainLimit + 2 * kDrainStep);
    CHECK(steps > kDrainLimit / kDrainStep / 2);
}

// At the end of a context nobody is waited for but peers that owe us the end of what they send.
void nobody_is_waited_for_in_vain(void**) {
    LingerList list;
    Pair silent;
    Pair gone;
    list.push_back(draining_linger(silent));
    list.push_back(draining_linger(gone));
    gone.peers.reset();
    finish_lingering(list);
    CHECK(list.empty());
    CHECK_EQUAL(send(silent.peers.get(), "x", 1, MSG_NOSIGNAL), -1);
}

// Each bit of progress moves the end on; without any, 30 s are the end, not a microsecond earlier.
void patience_counts_from_the_last_progress(void**) {
    Pair pair;
    const std::string bytes(200'000, 'x');
    Linger linger = linger_over(pair, bytes);
    std::int64_t now = kStart;
    CHECK_EQUAL(advance_linger(linger, now), LingerState::waiting);
    std::size_t received = 0;
    for (int i = 0; i < 5; ++i) {
        now += kLingerPatienceUs - 1;
        CHECK_EQUAL(advance_linger(linger, now), LingerState::waiting);  // no progress, in time
        received += taken(pair, bytes.size()).size();
        CHECK_EQUAL(advance_linger(linger, now), LingerState::waiting);
        CHECK_EQUAL(linger.give_up_us, now + kLingerPatienceUs);
    }
    CHECK(received > 0);
    CHECK(received < bytes.size());
    now += kLingerPatienceUs - 1;
    CHECK_EQUAL(advance_linger(linger, now), LingerState::waiting);
    CHECK_EQUAL(advance_linger(linger, now + 1), LingerState::gave_up);
}

// Progress in the very moment of the end counts.
void progress_in_the_last_moment(void**) {
    Pair pair;
    const std::string bytes(200'000, 'x');
    Linger linger = linger_over(pair, bytes);
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::waiting);
    CHECK(!taken(pair, bytes.size()).empty());
    const std::int64_t late = kStart + 10 * kLingerPatienceUs;
    CHECK_EQUAL(advance_linger(linger, late), LingerState::waiting);
    CHECK_EQUAL(linger.give_up_us, late + kLingerPatienceUs);
}

void everything_arrives_in_the_end(void**) {
    Pair pair;
    const std::string bytes = text_of(Sequence(7).bytes(300'000));
    Linger linger = linger_over(pair, bytes);
    std::string received;
    LingerState state = LingerState::waiting;
    while (state == LingerState::waiting) {
        state = advance_linger(linger, kStart);
        for (std::string more = taken(pair, 10'000); !more.empty(); more = taken(pair, 10'000))
            received += more;
        if (linger.draining) pair.peers.reset();
    }
    CHECK_EQUAL(state, LingerState::done);
    CHECK(received == bytes);
}

void peer_is_gone(void**) {
    Pair pair;
    Linger linger = linger_over(pair, std::string(200'000, 'x'));
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::waiting);
    pair.peers.reset();
    CHECK_EQUAL(advance_linger(linger, kStart), LingerState::failed);
}

// The peer sees the last bytes and then the end, though we left input unread.
void graceful_end(void**) {
    Pair pair;
    CHECK_EQUAL(send(pair.peers.get(), "unread", 6, 0), 6);
    CHECK_EQUAL(send(pair.ours.get(), "goodbye", 7, 0), 7);
    const int number = pair.ours.get();
    close_gracefully(std::move(pair.ours));
    CHECK_EQUAL(fcntl(number, F_GETFD), -1);
    CHECK_EQUAL(taken(pair, 100), "goodbye");
    char byte = 0;
    CHECK_EQUAL(recv(pair.peers.get(), &byte, 1, MSG_DONTWAIT), 0);
}

// A peer that goes on sending does not keep us.
void graceful_end_is_bounded(void**) {
    std::array<int, 2> ends{};
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    net::UniqueFd ours(ends[0]);
    const net::UniqueFd peers(ends[1]);
    const std::string flood(100'000, 'f');
    while (send(peers.get(), flood.data(), flood.size(), MSG_DONTWAIT) > 0) {
    }
    close_gracefully(std::move(ours));
    CHECK_EQUAL(send(peers.get(), "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
    CHECK_EQUAL(errno, EPIPE);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(short_rest_goes_at_once),
        cmocka_unit_test(input_is_read_away),
        cmocka_unit_test(reading_away_takes_two_seconds_at_most),
        cmocka_unit_test(reading_away_is_bounded),
        cmocka_unit_test(nobody_is_waited_for_in_vain),
        cmocka_unit_test(patience_counts_from_the_last_progress),
        cmocka_unit_test(progress_in_the_last_moment),
        cmocka_unit_test(everything_arrives_in_the_end),
        cmocka_unit_test(peer_is_gone),
        cmocka_unit_test(graceful_end),
        cmocka_unit_test(graceful_end_is_bounded),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
