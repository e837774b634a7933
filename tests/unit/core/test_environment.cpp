// SPDX-License-Identifier: MIT
// Reading of the NOPOLL_* variables: every value that is understood, and what is said about the
// others. What programs see: tests/abi/test_environment.c.
#include "core/environment.hpp"

#include <cstdlib>
#include <limits>

#include "unit/unit_test.hpp"

using namespace nopoll::core;

namespace {

constexpr const char* kNames[] = {"NOPOLL_STRICT", "NOPOLL_TLS_HOST_VERIFY",
                                  "NOPOLL_HANDSHAKE_TIMEOUT", "NOPOLL_SEND_QUEUE_LIMIT",
                                  "NOPOLL_IO_ENGINE"};

int clean(void**) {
    for (const char* const name : kNames)
        ::unsetenv(name);
    return 0;
}

Environment with(const char* name, const char* value) {
    ::setenv(name, value, 1);
    Environment found = read_environment();
    ::unsetenv(name);
    return found;
}

void nothing_set_means_nothing_found(void**) {
    for (int round = 0; round < 2; ++round) {
        const Environment found = read_environment();
        CHECK(!found.strict);
        CHECK(!found.host_verify);
        CHECK(!found.handshake_timeout_us);
        CHECK(!found.send_queue_limit);
        CHECK(!found.engine);
        CHECK(found.complaints.empty());
        for (const char* const name : kNames)
            ::setenv(name, "", 1);  // empty is as good as unset
    }
}

void switches_are_0_or_1(void**) {
    CHECK(with("NOPOLL_STRICT", "1").strict == true);
    CHECK(with("NOPOLL_STRICT", "0").strict == false);
    CHECK(with("NOPOLL_TLS_HOST_VERIFY", "1").host_verify == true);
    CHECK(with("NOPOLL_TLS_HOST_VERIFY", "0").host_verify == false);
    for (const char* const bad : {"2", "-1", "00", "01", "1 ", " 1", "yes", "true", "on", "\n"}) {
        const Environment found = with("NOPOLL_STRICT", bad);
        CHECK_ROW(bad, !found.strict);
        CHECK_ROW(bad, found.complaints.starts_with("NOPOLL_STRICT="));
    }
}

void seconds_become_microseconds(void**) {
    CHECK(with("NOPOLL_HANDSHAKE_TIMEOUT", "0").handshake_timeout_us == 0);
    CHECK(with("NOPOLL_HANDSHAKE_TIMEOUT", "1").handshake_timeout_us == 1'000'000);
    CHECK(with("NOPOLL_HANDSHAKE_TIMEOUT", "60").handshake_timeout_us == 60'000'000);
    CHECK(with("NOPOLL_HANDSHAKE_TIMEOUT", "4000000000").handshake_timeout_us ==
          4'000'000'000'000'000);
    for (const char* const bad : {"-1", "1.5", "60s", "1e3", "+1", "0x10", "one",
                                  "9223372036854775807", "99999999999999999999"}) {
        const Environment found = with("NOPOLL_HANDSHAKE_TIMEOUT", bad);
        CHECK_ROW(bad, !found.handshake_timeout_us);
        CHECK_ROW(bad, !found.complaints.empty());
    }
}

void limits_are_bytes(void**) {
    CHECK(with("NOPOLL_SEND_QUEUE_LIMIT", "0").send_queue_limit == 0);
    CHECK(with("NOPOLL_SEND_QUEUE_LIMIT", "16777216").send_queue_limit == 16'777'216);
    CHECK(with("NOPOLL_SEND_QUEUE_LIMIT", "9223372036854775807").send_queue_limit ==
          std::numeric_limits<std::int64_t>::max());
    for (const char* const bad : {"-1", "16M", "1,000", "9223372036854775808", "-0x1"}) {
        const Environment found = with("NOPOLL_SEND_QUEUE_LIMIT", bad);
        CHECK_ROW(bad, !found.send_queue_limit);
        CHECK_ROW(bad, !found.complaints.empty());
    }
}

void engines_have_names(void**) {
    CHECK(with("NOPOLL_IO_ENGINE", "select").engine == EngineChoice::select);
    CHECK(with("NOPOLL_IO_ENGINE", "poll").engine == EngineChoice::poll);
    CHECK(with("NOPOLL_IO_ENGINE", "epoll").engine == EngineChoice::epoll);
    for (const char* const bad : {"Select", "EPOLL", "epoll ", "1", "default", "kqueue"}) {
        const Environment found = with("NOPOLL_IO_ENGINE", bad);
        CHECK_ROW(bad, !found.engine);
        CHECK_ROW(bad, !found.complaints.empty());
    }
}

// One line for all of them, fit for a log whatever the values are.
void complaints_name_the_values(void**) {
    ::setenv("NOPOLL_STRICT", "maybe", 1);
    ::setenv("NOPOLL_TLS_HOST_VERIFY", "1", 1);
    ::setenv("NOPOLL_HANDSHAKE_TIMEOUT", "soon\n\x1b[31m", 1);
    ::setenv("NOPOLL_IO_ENGINE", std::string(1000, 'x').c_str(), 1);
    const Environment found = read_environment();
    CHECK(found.host_verify == true);  // the others are judged on their own
    CHECK_EQUAL(found.complaints, "NOPOLL_STRICT=maybe, "
                                  "NOPOLL_HANDSHAKE_TIMEOUT=soon\\n\\x1b[31m, "
                                  "NOPOLL_IO_ENGINE=" +
                                      std::string(40, 'x'));
}

#define ENVIRONMENT_TEST(name) cmocka_unit_test_setup_teardown(name, clean, clean)

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        ENVIRONMENT_TEST(nothing_set_means_nothing_found),
        ENVIRONMENT_TEST(switches_are_0_or_1),
        ENVIRONMENT_TEST(seconds_become_microseconds),
        ENVIRONMENT_TEST(limits_are_bytes),
        ENVIRONMENT_TEST(engines_have_names),
        ENVIRONMENT_TEST(complaints_name_the_values),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
