// SPDX-License-Identifier: MIT
// Ownership of descriptors, and moving them away from the standard ones.
#include "unit/net/net_test.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <pthread.h>

using namespace nopoll::net;

namespace {

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

int a_descriptor() {
    const int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    return fd;
}

void closes_at_the_end_and_keeps_errno(void**) {
    const int fd = a_descriptor();
    errno = EAGAIN;
    { const UniqueFd owner(fd); }
    assert_false(is_open(fd));
    errno = EAGAIN;
    close_quietly(fd);  // fails with EBADF inside
    assert_int_equal(errno, EAGAIN);
}

void moves_without_closing(void**) {
    UniqueFd first(a_descriptor());
    const int fd = first.get();
    UniqueFd second(std::move(first));
    assert_int_equal(second.get(), fd);
    UniqueFd third(a_descriptor());
    const int old = third.get();
    third = std::move(second);
    assert_int_equal(third.get(), fd);
    assert_false(is_open(old));
    assert_true(is_open(fd));
    UniqueFd& same = third;
    third = std::move(same);
    assert_true(is_open(fd));
}

void release_gives_up(void**) {
    UniqueFd owner(a_descriptor());
    const int fd = owner.release();
    assert_false(owner.valid());
    assert_int_equal(owner.get(), -1);
    owner.reset();
    assert_true(is_open(fd));
    owner.reset(fd);
    owner.reset();
    assert_false(is_open(fd));
}

// Cancelled threads run destructors; close(2) must not throw the cancellation out of them.
void* cancelled_thread(void* fd) {
    int old = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    pthread_cancel(pthread_self());
    {
        const UniqueFd owner(*static_cast<int*>(fd));
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    }
    return fd;  // reached: close was no cancellation point
}

void closing_cannot_be_cancelled(void**) {
    int fd = a_descriptor();
    pthread_t thread{};
    void* result = nullptr;
    assert_int_equal(pthread_create(&thread, nullptr, cancelled_thread, &fd), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &fd);
    assert_false(is_open(fd));
}

void standard_descriptors_are_avoided(void**) {
    const UniqueFd kept(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10));
    UniqueFd low(a_descriptor());
    close(STDIN_FILENO);
    low.reset(a_descriptor());
    assert_int_equal(low.get(), STDIN_FILENO);
    const UniqueFd moved = above_standard(std::move(low));
    assert_true(moved.get() >= 3);
    assert_false(is_open(STDIN_FILENO));
    assert_int_equal(fcntl(moved.get(), F_GETFD), 0);  // inherited, as asked
    const UniqueFd private_one = above_standard(UniqueFd(a_descriptor()), OnExec::close);
    assert_int_equal(fcntl(private_one.get(), F_GETFD), FD_CLOEXEC);
    const int high = moved.get();
    UniqueFd again(fcntl(high, F_DUPFD, 3));
    const int number = again.get();
    assert_int_equal(above_standard(std::move(again)).get(), number);
    assert_false(above_standard(UniqueFd()).valid());
    if (kept) dup2(kept.get(), STDIN_FILENO);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(closes_at_the_end_and_keeps_errno),
        cmocka_unit_test(moves_without_closing),
        cmocka_unit_test(release_gives_up),
        cmocka_unit_test(closing_cannot_be_cancelled),
        cmocka_unit_test(standard_descriptors_are_avoided),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
