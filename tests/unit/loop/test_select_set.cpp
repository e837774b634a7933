// SPDX-License-Identifier: MIT
// The set behind the exported handlers of the select engine.
#include "loop/select_set.hpp"

#include <cerrno>

#include <fcntl.h>

#include "net/plain_transport.hpp"
#include "unit/net/net_test.hpp"

using namespace nopoll;
using namespace nopoll::loop;

namespace {

void ready_ones_remain(void**) {
    SelectSet set;
    const net::test::Pair one = net::test::socket_pair();
    const net::test::Pair two = net::test::socket_pair();
    assert_true(net::send(one.a.get(), net::test::bytes("x"), {}, false).ok());
    assert_true(set.add(one.b.get()));
    assert_true(set.add(one.b.get()));
    assert_true(set.add(two.b.get()));
    assert_int_equal(set.wait(), 1);
    assert_true(set.is_set(one.b.get()));
    assert_false(set.is_set(two.b.get()));
    assert_false(set.is_set(one.a.get()));
    set.clear();
    assert_false(set.is_set(one.b.get()));
}

void range_is_kept(void**) {
    SelectSet set;
    assert_false(set.add(-1));
    assert_false(set.add(FD_SETSIZE));  // not open
    assert_false(set.add(1 << 30));
    assert_false(set.is_set(-1));
    assert_false(set.is_set(FD_SETSIZE));
    assert_false(set.is_set(1 << 30));
    const net::test::Pair pair = net::test::socket_pair();
    const net::UniqueFd high(fcntl(pair.b.get(), F_DUPFD_CLOEXEC, FD_SETSIZE));
    if (!high) {
        print_message("skipped: no descriptors as high as %d\n", FD_SETSIZE);
        skip();
    }
    assert_true(set.add(high.get()));
    assert_true(net::send(pair.a.get(), net::test::bytes("x"), {}, false).ok());
    assert_int_equal(set.wait(), 1);
    assert_true(set.is_set(high.get()));
}

void time_out_and_errors(void**) {
    SelectSet set;
    net::test::Pair pair = net::test::socket_pair();
    assert_true(set.add(pair.b.get()));
    set.limit_wait_us(1000);
    std::int64_t start = net::now_us();
    assert_int_equal(set.wait(), 0);
    assert_true(net::now_us() - start >= 1000);
    assert_false(set.is_set(pair.b.get()));

    assert_true(set.add(pair.b.get()));
    set.limit_wait_us(INT64_MAX);  // never longer than 500 ms
    start = net::now_us();
    assert_int_equal(set.wait(), 0);
    assert_true(net::now_us() - start >= kLongestWaitUs);

    assert_true(set.add(pair.b.get()));
    const int number = pair.b.get();
    pair.b.reset();
    assert_int_equal(set.wait(), -EBADF);
    assert_false(set.is_set(number));
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(ready_ones_remain),
        cmocka_unit_test(range_is_kept),
        cmocka_unit_test(time_out_and_errors),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return net::test::limited(run);
}
