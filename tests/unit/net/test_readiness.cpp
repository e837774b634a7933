// SPDX-License-Identifier: MIT
// Waiting for one descriptor.
#include "unit/net/net_test.hpp"

#include <cerrno>
#include <csignal>

#include <pthread.h>

#include "net/plain_transport.hpp"

using namespace nopoll::net;

namespace {

void tells_what_is_there(void**) {
    const test::Pair pair = test::socket_pair();
    assert_false(is_readable_now(pair.b.get()));
    assert_true(wait_writable(pair.b.get(), Deadline::never()) == Ready::yes);
    assert_true(wait_for(pair.b.get(), true, true, Deadline::never()) == Ready::yes);
    assert_true(nopoll::net::send(pair.a.get(), test::bytes("x"), {}, false).ok());
    assert_true(is_readable_now(pair.b.get()));
    assert_true(wait_readable(pair.b.get(), Deadline::never()) == Ready::yes);
}

void time_out_is_not_early(void**) {
    const test::Pair pair = test::socket_pair();
    const std::int64_t start = now_us();
    assert_true(wait_readable(pair.b.get(), Deadline::after_us(3500)) == Ready::timeout);
    assert_true(now_us() - start >= 3500);
}

void hang_up_counts_as_ready(void**) {
    test::Pair pair = test::socket_pair();
    pair.a.reset();
    assert_true(is_readable_now(pair.b.get()));
    assert_true(wait_writable(pair.b.get(), Deadline::after_us(0)) == Ready::yes);
}

void no_descriptor_is_a_failure(void**) {
    test::Pair pair = test::socket_pair();
    const int closed = pair.a.get();
    pair.a.reset();
    for (const int fd : {-1, closed}) {
        errno = 0;
        assert_true(wait_readable(fd, Deadline::never()) == Ready::failed);
        assert_int_equal(errno, EBADF);
    }
    assert_false(is_readable_now(-1));
}

void do_nothing(int) {}

struct Interrupted {
    int fd;
    Ready result;
};

void* interrupted_thread(void* argument) {
    auto* shared = static_cast<Interrupted*>(argument);
    shared->result = wait_readable(shared->fd, test::patience());
    return nullptr;
}

void signals_do_not_end_the_wait(void**) {
    struct sigaction action {};
    action.sa_handler = do_nothing;  // no SA_RESTART: poll gives EINTR
    assert_int_equal(sigaction(SIGUSR1, &action, nullptr), 0);
    const test::Pair pair = test::socket_pair();
    Interrupted shared{pair.b.get(), Ready::failed};
    pthread_t thread{};
    assert_int_equal(pthread_create(&thread, nullptr, interrupted_thread, &shared), 0);
    for (int i = 0; i < 200; ++i)
        pthread_kill(thread, SIGUSR1);
    assert_true(nopoll::net::send(pair.a.get(), test::bytes("x"), {}, false).ok());
    assert_int_equal(pthread_join(thread, nullptr), 0);
    assert_true(shared.result == Ready::yes);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_is_there),         cmocka_unit_test(time_out_is_not_early),
        cmocka_unit_test(hang_up_counts_as_ready),     cmocka_unit_test(no_descriptor_is_a_failure),
        cmocka_unit_test(signals_do_not_end_the_wait),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
