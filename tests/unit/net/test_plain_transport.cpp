// SPDX-License-Identifier: MIT
// Receiving and sending on socket pairs and TCP: counts, ends, would-block, no SIGPIPE.
#include "unit/net/net_test.hpp"

#include <cerrno>
#include <csignal>
#include <vector>

#include "net/plain_transport.hpp"
#include "net/socket_options.hpp"

using namespace nopoll::net;
using test::bytes;
using test::text;
using Status = IoResult::Status;

namespace {

void bytes_arrive_whole(void**) {
    for (const bool tcp : {false, true}) {
        const test::Pair pair = tcp ? test::tcp_pair() : test::socket_pair();
        const IoResult sent =
            nopoll::net::send(pair.a.get(), bytes("head"), bytes("payload"), false);
        assert_true(sent.ok());
        assert_int_equal(sent.bytes, 11);
        assert_true(wait_readable(pair.b.get(), test::patience()) == Ready::yes);
        std::array<std::byte, 64> buffer{};
        const IoResult seen = peek(pair.b.get(), std::span(buffer).first(4));
        assert_true(seen.ok());
        assert_string_equal(text(std::span(buffer).first(seen.bytes)).c_str(), "head");
        const IoResult got = receive(pair.b.get(), buffer);
        assert_true(got.ok());
        assert_string_equal(text(std::span(buffer).first(got.bytes)).c_str(), "headpayload");
    }
}

void either_part_may_be_empty(void**) {
    const test::Pair pair = test::socket_pair();
    assert_int_equal(nopoll::net::send(pair.a.get(), {}, {}, false).bytes, 0);
    assert_true(nopoll::net::send(pair.a.get(), {}, {}, false).ok());
    assert_int_equal(nopoll::net::send(pair.a.get(), bytes("ab"), {}, false).bytes, 2);
    assert_int_equal(nopoll::net::send(pair.a.get(), {}, bytes("cd"), false).bytes, 2);
    std::array<std::byte, 8> buffer{};
    assert_int_equal(receive(pair.b.get(), {}).bytes, 0);
    assert_true(receive(pair.b.get(), {}).ok());
    assert_int_equal(receive(pair.b.get(), buffer).bytes, 4);
}

void scatter_fills_in_order(void**) {
    const test::Pair pair = test::socket_pair();
    std::array<std::byte, 3> first{};
    std::array<std::byte, 8> second{};
    assert_true(nopoll::net::send(pair.a.get(), {}, bytes("abcdef"), false).ok());
    const IoResult got = receive_scatter(pair.b.get(), first, second);
    assert_int_equal(got.bytes, 6);
    assert_string_equal(text(first).c_str(), "abc");
    assert_string_equal(text(std::span(second).first(3)).c_str(), "def");
    assert_true(receive_scatter(pair.b.get(), first, second).status == Status::would_block);

    assert_true(nopoll::net::send(pair.a.get(), {}, bytes("xyz"), false).ok());
    assert_int_equal(receive_scatter(pair.b.get(), std::span(first).first(1), {}).bytes, 1);
    assert_int_equal(receive_scatter(pair.b.get(), {}, second).bytes, 2);
    assert_string_equal(text(std::span(second).first(2)).c_str(), "yz");
}

void nothing_there_does_not_wait(void**) {
    const test::Pair pair = test::socket_pair();
    assert_true(is_blocking(pair.b.get()));
    std::array<std::byte, 8> buffer{};
    const IoResult got = receive(pair.b.get(), buffer);
    assert_true(got.status == Status::would_block);
    assert_false(got.want_write);
    assert_true(peek(pair.b.get(), buffer).status == Status::would_block);
    // Left to the flag of the descriptor, which says the same here.
    assert_true(set_blocking(pair.b.get(), false));
    assert_true(receive(pair.b.get(), buffer, Waiting::as_flagged).status == Status::would_block);
}

void full_socket_takes_a_part_then_blocks(void**) {
    const test::Pair pair = test::socket_pair();
    assert_true(is_blocking(pair.a.get()));
    const std::vector<std::byte> much(8 << 20);
    const IoResult part = nopoll::net::send(pair.a.get(), bytes("head"), much, false);
    assert_true(part.ok());
    assert_true(part.bytes > 0 && part.bytes < much.size());
    IoResult last = part;
    for (int i = 0; i < 100000 && last.ok(); ++i)
        last = nopoll::net::send(pair.a.get(), {}, much, false);
    assert_true(last.status == Status::would_block);
    assert_true(last.want_write);
}

void end_and_errors_are_told_apart(void**) {
    test::Pair pair = test::socket_pair();
    std::array<std::byte, 8> buffer{};
    assert_int_equal(shutdown(pair.a.get(), SHUT_WR), 0);
    assert_true(receive(pair.b.get(), buffer).status == Status::end);
    assert_true(peek(pair.b.get(), buffer).status == Status::end);
    assert_true(
        receive_scatter(pair.b.get(), std::span(buffer).first(1), std::span(buffer).subspan(1))
            .status == Status::end);
    const IoResult bad = receive(-1, buffer);
    assert_true(bad.status == Status::failed);
    assert_int_equal(bad.error, EBADF);
}

void broken_pipe_is_a_value(void**) {
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);  // would end this program
    test::Pair pair = test::socket_pair();
    pair.b.reset();
    const IoResult sent = nopoll::net::send(pair.a.get(), bytes("x"), bytes("y"), false);
    assert_true(sent.status == Status::failed);
    assert_int_equal(sent.error, EPIPE);
}

// "more" holds bytes back in the kernel, push_tcp lets them go and leaves the option alone.
void held_back_bytes_are_pushed(void**) {
    for (const bool nodelay : {true, false}) {
        const test::Pair pair = test::tcp_pair();
        assert_true(set_tcp_nodelay(pair.a.get(), nodelay));
        assert_true(nopoll::net::send(pair.a.get(), bytes("head"), bytes("tail"), true).ok());
        assert_false(is_readable_now(pair.b.get()));
        push_tcp(pair.a.get());
        // At once, not when the kernel's 200 ms for such bytes are over.
        assert_true(is_readable_now(pair.b.get()));
        int value = -1;
        socklen_t size = sizeof value;
        assert_int_equal(getsockopt(pair.a.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &value, &size),
                         0);
        assert_int_equal(value != 0, nodelay);
    }
    const test::Pair local = test::socket_pair();
    assert_true(nopoll::net::send(local.a.get(), bytes("x"), {}, true).ok());
    push_tcp(local.a.get());  // no TCP: nothing to do
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whole),
        cmocka_unit_test(either_part_may_be_empty),
        cmocka_unit_test(scatter_fills_in_order),
        cmocka_unit_test(nothing_there_does_not_wait),
        cmocka_unit_test(full_socket_takes_a_part_then_blocks),
        cmocka_unit_test(end_and_errors_are_told_apart),
        cmocka_unit_test(broken_pipe_is_a_value),
        cmocka_unit_test(held_back_bytes_are_pushed),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

}  // namespace

int main() {
    return test::limited(run);
}
