// SPDX-License-Identifier: MIT
// What stops at the C boundary and what passes it: only running out of memory stops.
#include "../../../compat/boundary.hpp"

#include <cerrno>
#include <pthread.h>
#include <stdexcept>

#include "unit/unit_test.hpp"

using nopoll::compat::boundary;

namespace {

void results_pass(void**) {
    errno = EAGAIN;
    CHECK_EQUAL(boundary(-1, [] { return 5; }), 5);
    CHECK(boundary<const char*>("failed", [] { return nullptr; }) == nullptr);
    int calls = 0;
    boundary([&] { ++calls; });
    CHECK_EQUAL(calls, 1);
    CHECK_EQUAL(errno, EAGAIN);
}

// Sets errno while the exception passes, as a destructor that closes a descriptor would.
struct ChangesErrno {
    ChangesErrno() = default;
    ~ChangesErrno() { errno = EBADF; }
    ChangesErrno(const ChangesErrno&) = delete;
    ChangesErrno& operator=(const ChangesErrno&) = delete;
};

void short_memory_becomes_the_failure_value(void**) {
    errno = 0;
    CHECK_EQUAL(boundary(-1,
                         []() -> int {
                             const ChangesErrno last;
                             throw std::bad_alloc();
                         }),
                -1);
    CHECK_EQUAL(errno, ENOMEM);
    errno = 0;
    boundary([] { throw std::bad_array_new_length(); });
    CHECK_EQUAL(errno, ENOMEM);
}

void exceptions_of_the_program_pass(void**) {
    bool thrown = false;
    try {
        static_cast<void>(boundary(-1, []() -> int { throw std::runtime_error("own"); }));
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    CHECK(thrown);
    int number = 0;
    try {
        boundary([] { throw 7; });
    } catch (int thrown_number) {
        number = thrown_number;
    }
    CHECK_EQUAL(number, 7);
}

void* leave_from_inside(void*) {
    boundary([] { pthread_exit(nullptr); });
    return &errno;  // not reached
}

void* be_cancelled_inside(void*) {
    boundary([] {
        pthread_cancel(pthread_self());
        pthread_testcancel();
    });
    return &errno;  // not reached
}

void thread_end_passes(void**) {
    pthread_t thread;
    void* result = &thread;
    CHECK_EQUAL(pthread_create(&thread, nullptr, leave_from_inside, nullptr), 0);
    CHECK_EQUAL(pthread_join(thread, &result), 0);
    CHECK(result == nullptr);
    CHECK_EQUAL(pthread_create(&thread, nullptr, be_cancelled_inside, nullptr), 0);
    CHECK_EQUAL(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(results_pass),
        cmocka_unit_test(short_memory_becomes_the_failure_value),
        cmocka_unit_test(exceptions_of_the_program_pass),
        cmocka_unit_test(thread_end_passes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
