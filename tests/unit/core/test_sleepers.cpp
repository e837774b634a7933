// SPDX-License-Identifier: MIT
// Who is woken: each wait that sleeps, once, through a pipe of its own; nobody else. That it works
// from signal handlers and at once: tests/abi/test_loop_time.c.
#include "core/sleepers.hpp"

#include <array>
#include <poll.h>

#include "unit/unit_test.hpp"

using namespace nopoll::core;

namespace {

// Stand for threads: only compared.
const std::array<char, 3> kMarks{};
const ThreadToken kFirst = &kMarks[0];
const ThreadToken kSecond = &kMarks[1];

bool is_awake(const Sleeper& sleeper) {
    pollfd entry{sleeper.pipe.read_end(), POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
}

void fall_asleep(Sleeper& sleeper) {
    CHECK(sleeper.pipe.ensure());
    sleeper.asleep.store(true);
}

void nested_waits_share(void**) {
    SleeperList list;
    Sleeper& outer = list.enter(kFirst);
    Sleeper& inner = list.enter(kFirst);
    CHECK(&outer == &inner);
    Sleeper& other = list.enter(kSecond);
    CHECK(&other != &outer);
    SleeperList::leave(inner);
    CHECK(&list.enter(kFirst) == &outer);  // still that thread's
    SleeperList::leave(inner);
    SleeperList::leave(outer);
    SleeperList::leave(other);
}

// Those that are left serve the next waits, of whatever thread: the list does not grow.
void sleepers_are_used_again(void**) {
    SleeperList list;
    Sleeper& one = list.enter(kFirst);
    Sleeper& two = list.enter(kSecond);
    SleeperList::leave(one);
    CHECK(&list.enter(&kMarks[2]) == &one);
    SleeperList::leave(two);
    SleeperList::leave(one);
    for (int i = 0; i < 100; ++i) {
        Sleeper& again = list.enter(kFirst);
        CHECK(&again == &one || &again == &two);
        SleeperList::leave(again);
    }
}

void only_sleepers_are_woken(void**) {
    SleeperList list;
    list.wake_all();  // nobody there
    Sleeper& asleep = list.enter(kFirst);
    Sleeper& awake = list.enter(kSecond);
    fall_asleep(asleep);
    CHECK(awake.pipe.ensure());
    list.wake_all();
    CHECK(is_awake(asleep));
    CHECK(!is_awake(awake));
    CHECK(!asleep.asleep.load());
    // Once woken it is not written to again, however many changes follow.
    asleep.pipe.drain();
    list.wake_all();
    CHECK(!is_awake(asleep));
    // Asleep again: woken again.
    fall_asleep(asleep);
    fall_asleep(awake);
    list.wake_all();
    CHECK(is_awake(asleep));
    CHECK(is_awake(awake));
    SleeperList::leave(asleep);
    SleeperList::leave(awake);
}

// A thread that was cancelled in its sleep left the mark behind: harmless.
void mark_left_behind(void**) {
    SleeperList list;
    Sleeper& sleeper = list.enter(kFirst);
    fall_asleep(sleeper);
    SleeperList::leave(sleeper);
    list.wake_all();
    Sleeper& next = list.enter(kSecond);
    CHECK(&next == &sleeper);
    CHECK(next.pipe.ensure());
    CHECK(is_awake(next));
    next.pipe.drain();
    CHECK(!is_awake(next));
    SleeperList::leave(next);
}

// Without a pipe (no descriptors left) waking does nothing.
void no_pipe(void**) {
    SleeperList list;
    Sleeper& sleeper = list.enter(kFirst);
    sleeper.asleep.store(true);
    CHECK_EQUAL(sleeper.pipe.read_end(), -1);
    list.wake_all();
    CHECK(!sleeper.asleep.load());
    SleeperList::leave(sleeper);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(nested_waits_share),
        cmocka_unit_test(sleepers_are_used_again),
        cmocka_unit_test(only_sleepers_are_woken),
        cmocka_unit_test(mark_left_behind),
        cmocka_unit_test(no_pipe),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
