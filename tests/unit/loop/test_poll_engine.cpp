// SPDX-License-Identifier: MIT
// The poll engine: the tests that all engines share, and what is particular to it.
#include "loop/poll_engine.hpp"

#include <cerrno>

#include "unit/loop/engine_cases.hpp"
#include "unit/net/net_test.hpp"

using namespace nopoll;
using namespace nopoll::loop;

namespace {

std::unique_ptr<WaitEngine> make_poll() {
    auto engine = std::make_unique<PollEngine>();

    return engine;
}

void closed_descriptor_is_an_error_value(void**) {
    PollEngine engine;
    net::test::Pair pair = net::test::socket_pair();
    assert_true(engine.watch(pair.b.get(), {true, false}));
    const int number = pair.b.get();
    pair.b.reset();
    std::vector<Event> ready;
    assert_int_equal(engine.wait(0, ready), -EBADF);
    assert_true(ready.empty());
    engine.forget(number);
    assert_int_equal(engine.wait(0, ready), 0);
}

// Forgetting moves the last entry into the hole: the others must still be found.
void forgetting_one_keeps_the_others(void**) {
    PollEngine engine;
    std::vector<net::test::Pair> pairs;
    for (int i = 0; i < 5; ++i) {
        pairs.push_back(net::test::socket_pair());
        assert_true(engine.watch(pairs.back().b.get(), {false, true}));
    }
    engine.forget(pairs[0].b.get());
    engine.forget(pairs[2].b.get());
    engine.forget(pairs[2].b.get());
    std::vector<Event> ready;
    assert_int_equal(engine.wait(0, ready), 3);
    assert_true(engine.watch(pairs[4].b.get(), {true, false}));
    assert_int_equal(engine.wait(0, ready), 2);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(closed_descriptor_is_an_error_value),
        cmocka_unit_test(forgetting_one_keeps_the_others),
    };
    return loop::test::run_engine_cases("poll", make_poll) +
           cmocka_run_group_tests_name("poll only", tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return net::test::limited(run);
}
