// SPDX-License-Identifier: MIT
// Listening sockets: which arguments work, the retry of a busy address, the descriptor's state.
#include "unit/net/net_test.hpp"

#include <cerrno>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "net/socket_options.hpp"

using namespace nopoll::net;
using Step = ListenResult::Step;

namespace {

constexpr BindRetry kNoRetry{0, 0, nullptr, nullptr};

ListenResult listen4(const char* host, const char* port) {
    return listen_tcp(Family::v4, host, port, 5, kNoRetry);
}

void numeric_hosts_and_names_work(void**) {
    for (const char* host : {"127.0.0.1", "127.1", "0.0.0.0", "localhost"}) {
        const ListenResult result = listen4(host, "0");
        if (!result.ok()) print_message("%s: %s\n", host, result.reason.c_str());
        assert_true(result.ok());
        assert_true(result.fd.get() >= 3);
        assert_true(is_blocking(result.fd.get()));
        assert_int_equal(fcntl(result.fd.get(), F_GETFD), 0);
        assert_true(test::local_port(result.fd.get()) != "0");
    }
}

void options_are_the_promised_ones(void**) {
    const ListenResult result = listen4("127.0.0.1", "0");
    const auto option = [&](int level, int name) {
        int value = -1;
        socklen_t size = sizeof value;
        assert_int_equal(getsockopt(result.fd.get(), level, name, &value, &size), 0);
        return value;
    };
    assert_true(option(SOL_SOCKET, SO_REUSEADDR) != 0);
    assert_true(option(SOL_SOCKET, SO_ACCEPTCONN) != 0);
    assert_int_equal(option(SOL_SOCKET, SO_REUSEPORT), 0);
    assert_int_equal(option(IPPROTO_TCP, TCP_NODELAY), 0);
}

void wrong_arguments_are_refused(void**) {
    const struct {
        const char* host;
        const char* port;
        Step step;
    } table[] = {
        {nullptr, "0", Step::host},          {"", "0", Step::host},
        {"127.0.0.1", nullptr, Step::port},  {"127.0.0.1", "", Step::port},
        {"127.0.0.1", "  ", Step::port},     {"127.0.0.1", "-1", Step::port},
        {"127.0.0.1", "65536", Step::port},  {"127.0.0.1", "70000", Step::port},
        {"127.0.0.1", "-0", Step::port},     {"127.0.0.1", "99999999999999999999", Step::port},
        {"127.0.0.1", "abc", Step::resolve}, {"127.0.0.1", "80x", Step::resolve},
        {"::1", "0", Step::resolve},         {"no such host", "0", Step::resolve},
    };
    for (const auto& row : table) {
        const ListenResult result = listen4(row.host, row.port);
        assert_false(result.ok());
        assert_true(result.failed == row.step);
        assert_false(result.reason.empty());
    }
    for (const char* host : {"0.0.0.0", "127.0.0.1"}) {
        assert_true(listen_tcp(Family::v6, host, "0", 5, kNoRetry).failed == Step::resolve);
    }
}

void ports_are_read_as_before(void**) {
    std::string port;
    {
        const ListenResult any = listen4("127.0.0.1", "0");
        port = test::local_port(any.fd.get());
    }
    for (const std::string& text : {" " + port, "\t " + port, "0" + port, "+" + port}) {
        const ListenResult result = listen4("127.0.0.1", text.c_str());
        assert_true(result.ok());
        assert_string_equal(test::local_port(result.fd.get()).c_str(), port.c_str());
    }
}

void ipv6_takes_mapped_addresses(void**) {
    for (const char* host : {"::1", "::", "::ffff:127.0.0.1"}) {
        const ListenResult result = listen_tcp(Family::v6, host, "0", 5, kNoRetry);
        if (!result.ok()) {
            print_message("skipped: no IPv6 here (%s)\n", result.reason.c_str());
            skip();
        }
    }
}

struct Busy {
    UniqueFd holder;
    int calls = 0;
    int last_error = 0;
    int free_at = 0;
};

void note_retry(void* data, int attempt, int error) {
    auto* busy = static_cast<Busy*>(data);
    ++busy->calls;
    busy->last_error = error;
    if (attempt == busy->free_at) busy->holder.reset();
}

void busy_port_is_tried_again(void**) {
    Busy busy;
    ListenResult first = listen4("127.0.0.1", "0");
    const std::string port = test::local_port(first.fd.get());
    busy.holder = std::move(first.fd);
    busy.free_at = 3;
    const ListenResult second =
        listen_tcp(Family::v4, "127.0.0.1", port.c_str(), 5, {24, 1, note_retry, &busy});
    assert_true(second.ok());
    assert_int_equal(busy.calls, 3);
    assert_int_equal(busy.last_error, EADDRINUSE);
}

void busy_port_is_given_up(void**) {
    Busy busy;
    const ListenResult holder = listen4("127.0.0.1", "0");
    const std::string port = test::local_port(holder.fd.get());
    const std::int64_t start = now_us();
    const ListenResult second =
        listen_tcp(Family::v4, "127.0.0.1", port.c_str(), 5, {5, 2, note_retry, &busy});
    assert_true(second.failed == Step::bind);
    assert_int_equal(second.error, EADDRINUSE);
    assert_int_equal(busy.calls, 5);
    assert_true(now_us() - start >= 10000);
    constexpr BindRetry kUsual;
    assert_int_equal(kUsual.retries, 24);
    assert_int_equal(kUsual.pause_ms, 100);
}

void foreign_address_is_tried_again(void**) {
    Busy busy;
    const ListenResult result =
        listen_tcp(Family::v4, "192.0.2.1", "0", 5, {2, 1, note_retry, &busy});
    assert_true(result.failed == Step::bind);
    assert_int_equal(result.error, EADDRNOTAVAIL);
    assert_int_equal(busy.calls, 2);
}

void other_bind_errors_fail_at_once(void**) {
    Busy busy;
    // Multicast is no address to listen on.
    const ListenResult result =
        listen_tcp(Family::v6, "ff02::1", "0", 5, {24, 100, note_retry, &busy});
    if (result.failed == Step::socket) skip();  // no IPv6
    assert_true(result.failed == Step::bind);
    if (result.error != EADDRNOTAVAIL) assert_int_equal(busy.calls, 0);
}

void accepting_tells_errors(void**) {
    const ListenResult listener = listen4("127.0.0.1", "0");
    assert_true(set_blocking(listener.fd.get(), false));
    assert_int_equal(accept_one(listener.fd.get()), -EAGAIN);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(accept_one(-1), -EBADF);
    const ConnectResult client =
        connect_tcp(Family::v4, "127.0.0.1", test::local_port(listener.fd.get()).c_str(), nullptr);
    assert_true(wait_readable(listener.fd.get(), test::patience()) == Ready::yes);
    const UniqueFd accepted(accept_one(listener.fd.get()));
    assert_true(accepted.valid());
    assert_true(is_blocking(accepted.get()));
    assert_int_equal(fcntl(accepted.get(), F_GETFD), 0);
}

void closed_standard_streams_do_no_harm(void**) {
    const UniqueFd kept(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10));
    close(STDIN_FILENO);
    const ListenResult listener = listen4("127.0.0.1", "0");
    assert_true(listener.ok());
    assert_true(listener.fd.get() >= 3);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
    if (kept) dup2(kept.get(), STDIN_FILENO);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(numeric_hosts_and_names_work),
        cmocka_unit_test(options_are_the_promised_ones),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(ports_are_read_as_before),
        cmocka_unit_test(ipv6_takes_mapped_addresses),
        cmocka_unit_test(busy_port_is_tried_again),
        cmocka_unit_test(busy_port_is_given_up),
        cmocka_unit_test(foreign_address_is_tried_again),
        cmocka_unit_test(other_bind_errors_fail_at_once),
        cmocka_unit_test(accepting_tells_errors),
        cmocka_unit_test(closed_standard_streams_do_no_harm),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
