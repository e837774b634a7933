// SPDX-License-Identifier: MIT
// Waking a wait: from threads and signal handlers, after descriptors were closed, after a fork.
#include "loop/wake_pipe.hpp"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "unit/net/net_test.hpp"

using namespace nopoll;
using namespace nopoll::loop;
using net::is_readable_now;

namespace {

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

void nothing_before_the_first_ensure(void**) {
    WakePipe pipe;
    assert_int_equal(pipe.read_end(), -1);
    errno = EAGAIN;
    pipe.signal();
    pipe.drain();
    assert_int_equal(errno, EAGAIN);
}

void signal_makes_readable_drain_takes_back(void**) {
    WakePipe pipe;
    assert_true(pipe.ensure());
    const int fd = pipe.read_end();
    assert_true(fd >= 3);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_false(is_readable_now(fd));
    for (const int times : {1, 3, 64, 65, 200000}) {  // the last: more than a pipe holds
        errno = EINTR;
        for (int i = 0; i < times; ++i)
            pipe.signal();
        assert_int_equal(errno, EINTR);
        assert_true(is_readable_now(fd));
        pipe.drain();
        assert_false(is_readable_now(fd));
    }
    assert_true(pipe.ensure());
    assert_int_equal(pipe.read_end(), fd);  // kept
}

void closed_pipe_is_remade(void**) {
    WakePipe pipe;
    assert_true(pipe.ensure());
    const int fd = pipe.read_end();
    close(fd);
    assert_true(pipe.ensure());
    pipe.signal();
    assert_true(is_readable_now(pipe.read_end()));
}

// A daemon closed everything and opened files of its own: the numbers are foreign now.
void foreign_descriptors_are_left_alone(void**) {
    const net::UniqueFd null(open("/dev/null", O_RDWR));
    int reused = -1;
    {
        WakePipe pipe;
        assert_true(pipe.ensure());
        reused = pipe.read_end();
        assert_int_equal(dup2(null.get(), reused), reused);
        assert_true(pipe.ensure());
        assert_true(pipe.read_end() != reused);
        assert_true(is_open(reused));
        pipe.signal();
        assert_true(is_readable_now(pipe.read_end()));
        pipe.drain();
        close(reused);
        // The same once more without an ensure: the destructor must see it.
        reused = pipe.read_end();
        assert_int_equal(dup2(null.get(), reused), reused);
    }
    assert_true(is_open(reused));
    close(reused);
}

void nothing_stays_open(void**) {
    int fd = -1;
    const int next = dup(STDERR_FILENO);
    close(next);
    {
        WakePipe pipe;
        assert_true(pipe.ensure());
        fd = pipe.read_end();
        assert_true(is_open(fd));
    }
    assert_false(is_open(fd));
    const int again = dup(STDERR_FILENO);
    assert_int_equal(again, next);
    close(again);
}

void child_gets_its_own(void**) {
    WakePipe pipe;
    assert_true(pipe.ensure());
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!pipe.ensure()) _exit(1);
        pipe.signal();
        _exit(is_readable_now(pipe.read_end()) ? 0 : 2);
    }
    int status = -1;
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    assert_false(is_readable_now(pipe.read_end()));
    pipe.signal();
    assert_true(is_readable_now(pipe.read_end()));
}

void low_descriptors_are_avoided(void**) {
    const net::UniqueFd kept(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10));
    close(STDIN_FILENO);
    WakePipe pipe;
    assert_true(pipe.ensure());
    assert_true(pipe.read_end() >= 3);
    assert_false(is_open(STDIN_FILENO));
    if (kept) dup2(kept.get(), STDIN_FILENO);
}

WakePipe* handler_pipe = nullptr;
void wake_handler(int) {
    handler_pipe->signal();
}

void* signalling_thread(void* pipe) {
    for (int i = 0; i < 1000; ++i)
        static_cast<WakePipe*>(pipe)->signal();
    return nullptr;
}

void threads_and_handlers_wake(void**) {
    WakePipe pipe;
    assert_true(pipe.ensure());
    handler_pipe = &pipe;
    struct sigaction action {};
    action.sa_handler = wake_handler;
    assert_int_equal(sigaction(SIGUSR1, &action, nullptr), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_true(is_readable_now(pipe.read_end()));
    pipe.drain();
    pthread_t threads[2]{};
    for (pthread_t& thread : threads) {
        assert_int_equal(pthread_create(&thread, nullptr, signalling_thread, &pipe), 0);
    }
    assert_true(net::wait_readable(pipe.read_end(), net::test::patience()) == net::Ready::yes);
    for (int i = 0; i < 100; ++i) {
        pipe.drain();
        assert_true(pipe.ensure());
    }
    for (const pthread_t thread : threads)
        assert_int_equal(pthread_join(thread, nullptr), 0);
    pipe.signal();
    assert_true(is_readable_now(pipe.read_end()));
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_first_ensure),
        cmocka_unit_test(signal_makes_readable_drain_takes_back),
        cmocka_unit_test(closed_pipe_is_remade),
        cmocka_unit_test(foreign_descriptors_are_left_alone),
        cmocka_unit_test(nothing_stays_open),
        cmocka_unit_test(child_gets_its_own),
        cmocka_unit_test(low_descriptors_are_avoided),
        cmocka_unit_test(threads_and_handlers_wake),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return net::test::limited(run);
}
