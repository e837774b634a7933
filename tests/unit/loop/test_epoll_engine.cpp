// SPDX-License-Identifier: MIT
// The epoll engine: the tests that all engines share, and what is particular to it.
#include "loop/epoll_engine.hpp"

#include <cerrno>

#include "unit/loop/engine_cases.hpp"
#include "unit/net/net_test.hpp"

using namespace nopoll;
using namespace nopoll::loop;

namespace {

std::unique_ptr<WaitEngine> make_epoll() {
    auto engine = std::make_unique<EpollEngine>();
    assert_true(engine->open());
    return engine;
}

// The kernel takes a closed descriptor out of the set; the number can come again.
void a_reused_number_is_watched_anew(void**) {
    EpollEngine engine;
    assert_true(engine.open());
    assert_false(engine.notices_closed());
    net::test::Pair first = net::test::socket_pair();
    const int number = first.b.get();
    assert_true(engine.watch(number, {false, true}));
    first.b.reset();
    std::vector<Event> ready;
    assert_int_equal(engine.wait(0, ready), 0);
    net::test::Pair second = net::test::socket_pair();
    assert_int_equal(dup2(second.b.get(), number), number);
    const net::UniqueFd again(number);
    assert_true(engine.watch(number, {false, true}));
    assert_int_equal(engine.wait(0, ready), 1);
    assert_int_equal(ready[0].fd, number);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_reused_number_is_watched_anew),
    };
    return loop::test::run_engine_cases("epoll", make_epoll) +
           cmocka_run_group_tests_name("epoll only", tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return net::test::limited(run);
}
