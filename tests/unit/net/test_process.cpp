// SPDX-License-Identifier: MIT
// The process id is right before and after a fork, in both processes.
#include "net/process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include "unit/net/net_test.hpp"

using namespace nopoll;

namespace {

void a_child_has_its_own(void**) {
    const pid_t before = net::process_id();
    assert_int_equal(before, getpid());
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(net::process_id() == getpid() && net::process_id() != before ? 0 : 1);
    int status = -1;
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    assert_int_equal(net::process_id(), before);
}

int run() {
    const CMUnitTest tests[] = {cmocka_unit_test(a_child_has_its_own)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return net::test::limited(run);
}
