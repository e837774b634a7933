// SPDX-License-Identifier: MIT
// Random bytes and masking keys.
#include "unit/net/net_test.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <sys/wait.h>

#include "net/random.hpp"

using namespace nopoll::net;

namespace {

void bytes_are_not_constant(void**) {
    std::array<std::byte, 64> first{};
    std::array<std::byte, 64> second{};
    assert_true(random_bytes(first));
    assert_true(random_bytes(second));
    assert_false(std::equal(first.begin(), first.end(), second.begin()));
    assert_true(random_bytes({}));
}

void keys_do_not_repeat(void**) {
    MaskKeys keys;
    std::set<MaskKeys::Key> seen;
    constexpr std::size_t kMany = 1000;  // several batches; two equal ones: once in 10000 runs
    for (std::size_t i = 0; i < kMany; ++i) {
        const auto key = keys.next();
        assert_true(key.has_value());
        seen.insert(*key);
    }
    assert_true(seen.size() >= kMany - 1);
}

void child_does_not_reuse_the_parents_keys(void**) {
    MaskKeys keys;
    (void)keys.next();  // a batch is drawn, most of it is left
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const UniqueFd from_child(ends[0]);
    UniqueFd to_parent(ends[1]);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 16; ++i) {
            const auto key = keys.next();
            if (!key || write(to_parent.get(), key->data(), key->size()) != 4) _exit(1);
        }
        _exit(0);
    }
    to_parent.reset();
    std::set<MaskKeys::Key> parents;
    for (int i = 0; i < 16; ++i)
        parents.insert(*keys.next());
    int common = 0;
    int read_keys = 0;
    MaskKeys::Key key{};
    while (read(from_child.get(), key.data(), key.size()) == 4) {
        ++read_keys;
        if (parents.contains(key)) ++common;
    }
    int status = -1;
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    assert_int_equal(read_keys, 16);
    assert_true(common <= 1);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_not_constant),
        cmocka_unit_test(keys_do_not_repeat),
        cmocka_unit_test(child_does_not_reuse_the_parents_keys),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
