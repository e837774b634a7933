// SPDX-License-Identifier: MIT
// The select engine: the common tests, and what is particular to it.
#include "loop/select_engine.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/wait.h>

#include "net/plain_transport.hpp"
#include "unit/loop/engine_cases.hpp"
#include "unit/net/net_test.hpp"

using namespace nopoll;
using namespace nopoll::loop;

namespace {

std::unique_ptr<WaitEngine> make_select() {
    return std::make_unique<SelectEngine>();
}

void bitmap_follows_its_members(void**) {
    FdBitmap set;
    assert_int_equal(set.limit(), 0);
    assert_null(set.for_select());
    for (const int fd : {0, 63, 64, 1023, 1024, 5000}) {
        assert_false(set.contains(fd));
        set.add(fd);
        assert_true(set.contains(fd));
        assert_true(set.limit() > fd);
    }
    assert_false(set.contains(-1));
    assert_false(set.contains(1 << 30));
    assert_false(set.contains(62));
    set.remove(5000);
    assert_true(set.limit() <= 1024 + FdBitmap::kWordBits);  // shrinks with its highest member
    set.remove(5000);
    set.remove(1 << 30);
    set.remove(1024);
    set.remove(1023);
    assert_true(set.contains(64));
    assert_int_equal(set.limit(), 2 * FdBitmap::kWordBits);
    set.clear();
    assert_false(set.contains(0));
    assert_int_equal(set.limit(), 0);
}

void closed_descriptor_is_an_error_value(void**) {
    SelectEngine engine;
    net::test::Pair pair = net::test::socket_pair();
    assert_true(engine.watch(pair.b.get(), {true, false}));
    const int number = pair.b.get();
    pair.b.reset();
    std::vector<Event> ready;
    assert_int_equal(engine.wait(0, ready), -EBADF);
    engine.forget(number);
    assert_int_equal(engine.wait(0, ready), 0);
}

// A child process may have a descriptor table too small for what the parent watched and closed:
// the kernel then neither looks at that bit nor clears it. It must not pass for readiness.
void bits_beyond_the_table_are_not_ready(void**) {
    const net::test::Pair pair = net::test::socket_pair();
    net::UniqueFd high(fcntl(pair.b.get(), F_DUPFD_CLOEXEC, 1000));
    if (!high) {
        print_message("skipped: no descriptors as high as 1000\n");
        skip();
    }
    SelectEngine engine;
    assert_true(engine.watch(high.get(), {true, false}));
    assert_true(engine.watch(pair.a.get(), {true, true}));
    high.reset();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        std::vector<Event> ready;
        const int result = engine.wait(0, ready);
        _exit(result == -EBADF && ready.empty() ? 0 : 1);
    }
    int status = -1;
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
}

void ready_ones_come_in_ascending_order(void**) {
    SelectEngine engine;
    std::vector<net::test::Pair> pairs;
    pairs.reserve(70);
    for (int i = 0; i < 70; ++i)
        pairs.push_back(net::test::socket_pair());
    for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair) {
        assert_true(engine.watch(pair->b.get(), {true, true}));
    }
    std::vector<Event> ready;
    assert_int_equal(engine.wait(0, ready), 70);
    for (std::size_t i = 0; i < ready.size(); ++i)
        assert_int_equal(ready[i].fd, pairs[i].b.get());
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(bitmap_follows_its_members),
        cmocka_unit_test(closed_descriptor_is_an_error_value),
        cmocka_unit_test(bits_beyond_the_table_are_not_ready),
        cmocka_unit_test(ready_ones_come_in_ascending_order),
    };
    return loop::test::run_engine_cases("select", make_select) +
           cmocka_run_group_tests_name("select only", tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return net::test::limited(run);
}
