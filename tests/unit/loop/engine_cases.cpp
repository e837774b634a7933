// SPDX-License-Identifier: MIT
// The common tests of wait engines.
#include "unit/loop/engine_cases.hpp"

#include <algorithm>
#include <csignal>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#include "net/plain_transport.hpp"
#include "unit/net/net_test.hpp"

namespace nopoll::loop::test {

namespace {

using net::Deadline;
using net::UniqueFd;
using net::test::bytes;
using net::test::Pair;
using net::test::socket_pair;

constexpr Interest kRead{true, false};
constexpr Interest kWrite{false, true};
constexpr Interest kBoth{true, true};
constexpr Interest kNothing{false, false};

MakeEngine make_engine = nullptr;

void put(const UniqueFd& fd) {
    assert_true(net::send(fd.get(), bytes("x"), {}, false).ok());
}

// The one ready descriptor of a wait that has exactly one.
Event only_event(WaitEngine& engine) {
    std::vector<Event> ready;
    assert_int_equal(engine.wait(net::test::kPatienceUs, ready), 1);
    assert_int_equal(ready.size(), 1);
    return ready.front();
}

void expect_none(WaitEngine& engine) {
    std::vector<Event> ready{{99, true, true}};
    assert_int_equal(engine.wait(0, ready), 0);
    assert_true(ready.empty());
}

void empty_engine_waits(void**) {
    const auto engine = make_engine();
    expect_none(*engine);
    std::vector<Event> ready;
    const std::int64_t start = net::now_us();
    assert_int_equal(engine->wait(5000, ready), 0);
    assert_true(net::now_us() - start >= 5000);
}

void reading_is_told(void**) {
    const auto engine = make_engine();
    const Pair pair = socket_pair();
    const Pair quiet = socket_pair();
    assert_true(engine->watch(pair.b.get(), kRead));
    assert_true(engine->watch(quiet.b.get(), kRead));
    expect_none(*engine);
    put(pair.a);
    for (int i = 0; i < 2; ++i) {  // level triggered: told again while it is there
        const Event event = only_event(*engine);
        assert_int_equal(event.fd, pair.b.get());
        assert_true(event.readable);
        assert_false(event.writable);
    }
    std::array<std::byte, 4> buffer{};
    assert_true(net::receive(pair.b.get(), buffer).ok());
    expect_none(*engine);
}

void writing_is_told(void**) {
    const auto engine = make_engine();
    const Pair pair = socket_pair();
    assert_true(engine->watch(pair.a.get(), kWrite));
    const Event event = only_event(*engine);
    assert_true(event.writable);
    assert_false(event.readable);
    // Fill it up: no longer writable, until the peer has read.
    const std::vector<std::byte> much(1 << 20);
    while (net::send(pair.a.get(), {}, much, false).ok()) {
    }
    expect_none(*engine);
    std::vector<std::byte> sink(1 << 20);
    while (net::receive(pair.b.get(), sink).ok()) {
    }
    assert_true(only_event(*engine).writable);
}

void interest_can_change(void**) {
    const auto engine = make_engine();
    const Pair pair = socket_pair();
    put(pair.a);
    assert_true(engine->watch(pair.b.get(), kBoth));
    Event event = only_event(*engine);
    assert_true(event.readable && event.writable);
    assert_true(engine->watch(pair.b.get(), kWrite));
    event = only_event(*engine);
    assert_true(!event.readable && event.writable);
    assert_true(engine->watch(pair.b.get(), kRead));
    event = only_event(*engine);
    assert_true(event.readable && !event.writable);
    assert_true(engine->watch(pair.b.get(), kNothing));
    expect_none(*engine);
    assert_true(engine->watch(pair.b.get(), kNothing));  // unknown by now: fine
}

void forgotten_is_silent(void**) {
    const auto engine = make_engine();
    const Pair one = socket_pair();
    const Pair two = socket_pair();
    put(one.a);
    put(two.a);
    assert_true(engine->watch(one.b.get(), kBoth));
    assert_true(engine->watch(two.b.get(), kRead));
    engine->forget(one.b.get());
    assert_int_equal(only_event(*engine).fd, two.b.get());
    engine->forget(one.b.get());
    engine->forget(-1);
    engine->forget(500);
    engine->forget_all();
    expect_none(*engine);
    assert_true(engine->watch(one.b.get(), kRead));
    assert_int_equal(only_event(*engine).fd, one.b.get());
}

void hang_up_is_readable(void**) {
    const auto engine = make_engine();
    Pair pair = socket_pair();
    assert_true(engine->watch(pair.b.get(), kRead));
    pair.a.reset();
    const Event event = only_event(*engine);
    assert_true(event.readable);
    assert_false(event.writable);
}

void bad_descriptors_are_refused(void**) {
    const auto engine = make_engine();
    assert_false(engine->watch(-1, kRead));
    assert_false(engine->watch(1 << 30, kRead));
    expect_none(*engine);
}

void many_descriptors_in_order(void**) {
    const auto engine = make_engine();
    std::vector<Pair> pairs;
    std::vector<int> expected;
    pairs.reserve(100);
    for (int i = 0; i < 100; ++i)
        pairs.push_back(socket_pair());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        assert_true(engine->watch(pairs[i].b.get(), kRead));
        if (i % 3 != 0) continue;
        put(pairs[i].a);
        expected.push_back(pairs[i].b.get());
    }
    std::sort(expected.begin(), expected.end());
    std::vector<Event> ready;
    assert_int_equal(engine->wait(0, ready), expected.size());
    std::vector<int> got;
    got.reserve(ready.size());
    for (const Event& event : ready)
        got.push_back(event.fd);
    std::sort(got.begin(), got.end());
    assert_true(got == expected);
}

// fd_set ends at 1024.
void high_descriptors_work(void**) {
    constexpr int kHigh = 4500;
    rlimit limit{};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit before = limit;
    if (limit.rlim_cur <= kHigh) {
        limit.rlim_cur = kHigh + 1;
        if (limit.rlim_max < limit.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            print_message("skipped: no descriptors as high as %d\n", kHigh);
            skip();
        }
    }
    {
        const auto engine = make_engine();
        const Pair pair = socket_pair();
        const Pair low = socket_pair();
        UniqueFd high(fcntl(pair.b.get(), F_DUPFD_CLOEXEC, kHigh));
        assert_true(high.get() >= kHigh);
        assert_true(engine->watch(high.get(), kRead));
        assert_true(engine->watch(low.b.get(), kRead));
        expect_none(*engine);
        put(pair.a);
        assert_int_equal(only_event(*engine).fd, high.get());
        assert_true(engine->watch(high.get(), kBoth));
        const Event event = only_event(*engine);
        assert_true(event.readable && event.writable);
        const int number = high.get();
        engine->forget(number);
        high.reset();
        assert_false(engine->watch(number, kRead));  // closed
        expect_none(*engine);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

void waits_are_bounded(void**) {
    assert_true(bounded_wait_us(-1) == kLongestWaitUs);
    assert_true(bounded_wait_us(0) == 0);
    assert_true(bounded_wait_us(499999) == 499999);
    assert_true(bounded_wait_us(INT64_MAX) == kLongestWaitUs);
    assert_true(bounded_wait_us(INT64_MIN) == kLongestWaitUs);
    const auto engine = make_engine();
    const Pair pair = socket_pair();
    assert_true(engine->watch(pair.b.get(), kRead));
    std::vector<Event> ready;
    const std::int64_t start = net::now_us();
    assert_int_equal(engine->wait(net::test::kPatienceUs, ready), 0);
    assert_true(net::now_us() - start >= kLongestWaitUs);
}

void do_nothing(int) {}

struct Waiter {
    WaitEngine* engine;
    int result;
};

void* waiting_thread(void* argument) {
    auto* waiter = static_cast<Waiter*>(argument);
    std::vector<Event> ready;
    for (int i = 0; i < 1000; ++i) {  // each wait may be ended by a signal with 0
        waiter->result = waiter->engine->wait(-1, ready);
        if (waiter->result != 0) return nullptr;
    }
    return nullptr;
}

void signals_give_nothing(void**) {
    struct sigaction action {};
    action.sa_handler = do_nothing;
    assert_int_equal(sigaction(SIGUSR1, &action, nullptr), 0);
    const auto engine = make_engine();
    const Pair pair = socket_pair();
    assert_true(engine->watch(pair.b.get(), kRead));
    Waiter waiter{engine.get(), -1};
    pthread_t thread{};
    assert_int_equal(pthread_create(&thread, nullptr, waiting_thread, &waiter), 0);
    for (int i = 0; i < 200; ++i)
        pthread_kill(thread, SIGUSR1);
    put(pair.a);
    assert_int_equal(pthread_join(thread, nullptr), 0);
    assert_int_equal(waiter.result, 1);
}

}  // namespace

int run_engine_cases(const char* name, MakeEngine make) {
    make_engine = make;
    const CMUnitTest tests[] = {
        cmocka_unit_test(empty_engine_waits),
        cmocka_unit_test(reading_is_told),
        cmocka_unit_test(writing_is_told),
        cmocka_unit_test(interest_can_change),
        cmocka_unit_test(forgotten_is_silent),
        cmocka_unit_test(hang_up_is_readable),
        cmocka_unit_test(bad_descriptors_are_refused),
        cmocka_unit_test(many_descriptors_in_order),
        cmocka_unit_test(high_descriptors_work),
        cmocka_unit_test(waits_are_bounded),
        cmocka_unit_test(signals_give_nothing),
    };
    return _cmocka_run_group_tests(name, tests, std::size(tests), nullptr, nullptr);
}

}  // namespace nopoll::loop::test
