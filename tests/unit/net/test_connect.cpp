// SPDX-License-Identifier: MIT
// Client sockets: flags, and which step a failure is told to be.
#include "unit/net/net_test.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "net/socket_options.hpp"

using namespace nopoll::net;
using Step = ConnectResult::Step;

namespace {

void socket_is_set_up(void**) {
    const test::Pair pair = test::tcp_pair();
    assert_false(is_blocking(pair.a.get()));
    assert_true(is_blocking(pair.b.get()));
    int nodelay = 0;
    socklen_t size = sizeof nodelay;
    assert_int_equal(getsockopt(pair.a.get(), IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
    assert_true(nodelay != 0);
    assert_int_equal(fcntl(pair.a.get(), F_GETFD), 0);
}

void unknown_names_fail_at_resolving(void**) {
    const ConnectResult family = connect_tcp(Family::v6, "127.0.0.1", "80", nullptr);
    assert_false(family.ok());
    assert_true(family.failed == Step::resolve);
    assert_true(family.reason.find("127.0.0.1") != std::string::npos);
    const ConnectResult service = connect_tcp(Family::v4, "127.0.0.1", "no-such-service", nullptr);
    assert_true(service.failed == Step::resolve);
    assert_true(service.reason.find("no-such-service") != std::string::npos);
}

void interface_failure_is_named(void**) {
    const ConnectResult result = connect_tcp(Family::v4, "127.0.0.1", "1", "no-such-if0");
    assert_false(result.ok());
    assert_true(result.failed == Step::interface);
    assert_true(result.error != 0);
}

// A refusal on loopback comes after connect returned: the socket exists and tells later.
void refusal_shows_on_the_socket(void**) {
    std::string port;
    {
        const ListenResult listener = listen_tcp(Family::v4, "127.0.0.1", "0", 5);
        port = test::local_port(listener.fd.get());
    }
    const ConnectResult result = connect_tcp(Family::v4, "127.0.0.1", port.c_str(), nullptr);
    if (!result.ok()) {
        assert_true(result.failed == Step::connect);
        return;
    }
    assert_true(wait_writable(result.fd.get(), test::patience()) == Ready::yes);
    int error = 0;
    socklen_t size = sizeof error;
    assert_int_equal(getsockopt(result.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
    assert_int_equal(error, ECONNREFUSED);
}

// Nothing can be reached there without asking for SO_BROADCAST: connect fails at once.
void immediate_failure_of_connect_is_named(void**) {
    const ConnectResult result = connect_tcp(Family::v4, "255.255.255.255", "80", nullptr);
    assert_false(result.ok());
    assert_true(result.failed == Step::connect);
    assert_true(result.error != 0);
    assert_false(result.reason.empty());
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(socket_is_set_up),
        cmocka_unit_test(unknown_names_fail_at_resolving),
        cmocka_unit_test(interface_failure_is_named),
        cmocka_unit_test(refusal_shows_on_the_socket),
        cmocka_unit_test(immediate_failure_of_connect_is_named),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
