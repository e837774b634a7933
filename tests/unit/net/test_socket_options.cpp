// SPDX-License-Identifier: MIT
// Flags, options and peer names.
#include "unit/net/net_test.hpp"

#include <cerrno>

#include <fcntl.h>

#include "net/socket_options.hpp"

using namespace nopoll::net;

namespace {

void blocking_flag_follows(void**) {
    const test::Pair pair = test::socket_pair();
    const int fd = pair.a.get();
    assert_true(is_blocking(fd));
    assert_true(set_blocking(fd, false));
    assert_false(is_blocking(fd));
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(set_blocking(fd, true));
    assert_true(is_blocking(fd));
    errno = 0;
    assert_false(set_blocking(-1, true));
    assert_int_equal(errno, EBADF);
    assert_false(is_blocking(-1));
}

void other_flags_stay(void**) {
    const test::Pair pair = test::socket_pair();
    assert_int_equal(fcntl(pair.a.get(), F_SETFL, O_ASYNC), 0);
    assert_true(set_blocking(pair.a.get(), false));
    assert_true(fcntl(pair.a.get(), F_GETFL) & O_ASYNC);
}

void nodelay_needs_tcp(void**) {
    const test::Pair tcp = test::tcp_pair();
    assert_true(set_tcp_nodelay(tcp.b.get(), true));
    assert_true(set_tcp_nodelay(tcp.b.get(), false));
    const test::Pair local = test::socket_pair();
    assert_false(set_tcp_nodelay(local.a.get(), true));
    assert_false(set_tcp_nodelay(-1, true));
}

void unknown_interface_is_refused(void**) {
    const test::Pair tcp = test::tcp_pair();
    assert_false(set_bind_interface(tcp.a.get(), "no-such-if0"));
    assert_false(set_bind_interface(-1, "lo"));
}

void peer_names_are_numeric(void**) {
    const test::Pair tcp = test::tcp_pair();
    const auto seen = peer_name(tcp.b.get());
    assert_true(seen.has_value());
    assert_string_equal(seen->host.c_str(), "127.0.0.1");
    assert_string_equal(seen->port.c_str(), test::local_port(tcp.a.get()).c_str());

    const test::Pair local = test::socket_pair();
    const auto none = peer_name(local.a.get());
    assert_true(none.has_value());
    assert_string_equal(none->host.c_str(), "0.0.0.0");
    assert_string_equal(none->port.c_str(), "0");
}

void no_peer_no_name(void**) {
    const ListenResult listener = listen_tcp(Family::v4, "127.0.0.1", "0", 5);
    assert_true(listener.ok());
    assert_false(peer_name(listener.fd.get()).has_value());
    assert_false(peer_name(-1).has_value());
    const UniqueFd file(open("/dev/null", O_RDONLY));
    assert_false(peer_name(file.get()).has_value());
}

void ipv6_peers_are_named(void**) {
    const ListenResult listener = listen_tcp(Family::v6, "::1", "0", 5);
    if (!listener.ok()) {
        print_message("skipped: no IPv6 here (%s)\n", listener.reason.c_str());
        skip();
    }
    const ConnectResult client =
        connect_tcp(Family::v6, "::1", test::local_port(listener.fd.get()).c_str(), nullptr);
    assert_true(client.ok());
    const UniqueFd accepted(accept_one(listener.fd.get()));
    assert_string_equal(peer_name(accepted.get())->host.c_str(), "::1");
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(blocking_flag_follows),  cmocka_unit_test(other_flags_stay),
        cmocka_unit_test(nodelay_needs_tcp),      cmocka_unit_test(unknown_interface_is_refused),
        cmocka_unit_test(peer_names_are_numeric), cmocka_unit_test(no_peer_no_name),
        cmocka_unit_test(ipv6_peers_are_named),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
