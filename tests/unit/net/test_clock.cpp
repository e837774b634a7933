// SPDX-License-Identifier: MIT
// Deadlines for every value a program may pass.
#include "unit/net/net_test.hpp"

#include <limits>

using namespace nopoll::net;

namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();

void time_never_goes_back(void**) {
    std::int64_t last = now_us();
    for (int i = 0; i < 1000; ++i) {
        const std::int64_t now = now_us();
        assert_true(now >= last);
        last = now;
    }
}

void never_is_never(void**) {
    const Deadline deadline = Deadline::never();
    assert_true(deadline.is_never());
    assert_false(deadline.passed());
    assert_true(deadline.left_us() == kLargest);
    assert_int_equal(deadline.poll_ms(), -1);
}

void nothing_and_less_have_passed(void**) {
    for (const std::int64_t delay : {std::int64_t{0}, std::int64_t{-1}, kSmallest}) {
        const Deadline deadline = Deadline::after_us(delay);
        assert_true(deadline.passed());
        assert_true(deadline.left_us() == 0);
        assert_int_equal(deadline.poll_ms(), 0);
    }
}

void far_away_saturates(void**) {
    for (const std::int64_t delay : {kLargest, kLargest - 1, kLargest - now_us()}) {
        const Deadline deadline = Deadline::after_us(delay);
        assert_true(deadline.is_never());
        assert_int_equal(deadline.poll_ms(), -1);
    }
    const Deadline century = Deadline::after_us(std::int64_t{3153600000} * 1000000);
    assert_false(century.is_never());
    assert_int_equal(century.poll_ms(), std::numeric_limits<int>::max());
}

void milliseconds_are_rounded_up(void**) {
    const Deadline second = Deadline::after_us(1000000);
    const int ms = second.poll_ms();
    assert_true(ms > 0 && ms <= 1000);
    const Deadline soon = Deadline::after_us(1);
    assert_true(soon.poll_ms() <= 1);
    // Whatever is left counts as at least one: no turn of a loop spins.
    const Deadline deadline = Deadline::after_us(3000);
    while (!deadline.passed()) {
        const bool some_left = deadline.left_us() > 0;
        const int wait = deadline.poll_ms();
        assert_true(wait > 0 || !some_left || deadline.passed());
    }
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(time_never_goes_back),         cmocka_unit_test(never_is_never),
        cmocka_unit_test(nothing_and_less_have_passed), cmocka_unit_test(far_away_saturates),
        cmocka_unit_test(milliseconds_are_rounded_up),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
