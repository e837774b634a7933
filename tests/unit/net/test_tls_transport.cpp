// SPDX-License-Identifier: MIT
// TLS over a live descriptor field: handshake, data, ends, failures; never SIGPIPE, never waiting.
#include "unit/net/net_test.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <vector>

#include <openssl/err.h>

#include "net/plain_transport.hpp"
#include "net/socket_options.hpp"
#include "unit/net/certificates.hpp"
#include "unit/net/tls_pair.hpp"

using namespace nopoll::net;
using test::bytes;
using test::TlsPair;
using Status = IoResult::Status;

namespace {

struct Fixture {
    test::CertificateFolder folder;
    SslCtxPtr client, server;
};
Fixture* fixture = nullptr;

int set_up_group(void**) {
    fixture = new Fixture;
    fixture->folder.authority("ca");
    fixture->folder.leaf("server", "ca");
    TlsSettings server;
    server.certificate = fixture->folder.pem("server");
    server.private_key = fixture->folder.key("server");
    fixture->server = test::context_for(server);
    TlsSettings client;
    client.client = true;
    fixture->client = test::context_for(client);
    return 0;
}

int tear_down_group(void**) {
    delete fixture;
    return 0;
}

struct Connected : TlsPair {
    explicit Connected(bool tcp = false)
        : TlsPair(fixture->client.get(), fixture->server.get(), tcp) {
        assert_true(shake_hands());
    }
};

std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> data(size);
    for (std::size_t i = 0; i < size; ++i)
        data[i] = static_cast<std::byte>(i * 7 + i / 251);
    return data;
}

void handshake_and_data_both_ways(void**) {
    for (const bool tcp : {false, true}) {
        Connected pair(tcp);
        std::array<std::byte, 64> buffer{};
        const IoResult nothing = tls_receive(pair.server.ssl.get(), buffer);
        assert_true(nothing.status == Status::would_block);
        assert_false(nothing.want_write);
        assert_int_equal(tls_send(pair.client.ssl.get(), bytes("to server")).bytes, 9);
        IoResult got = test::read_patiently(pair.server, buffer);
        assert_string_equal(test::text(std::span(buffer).first(got.bytes)).c_str(), "to server");
        assert_int_equal(tls_send(pair.server.ssl.get(), bytes("to client")).bytes, 9);
        got = test::read_patiently(pair.client, buffer);
        assert_string_equal(test::text(std::span(buffer).first(got.bytes)).c_str(), "to client");
        assert_true(tls_send(pair.client.ssl.get(), {}).ok());
        assert_true(tls_receive(pair.client.ssl.get(), {}).ok());
        assert_int_equal(ERR_peek_error(), 0);
    }
}

// A blocking descriptor must not make any of this wait.
void blocking_flag_does_not_matter(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    assert_true(is_blocking(pair.client.fd));
    assert_true(is_blocking(pair.server.fd));
    assert_true(tls_accept(pair.server.ssl.get()) == TlsStep::want_read);
    assert_true(pair.shake_hands());
    std::array<std::byte, 8> buffer{};
    assert_true(tls_receive(pair.server.ssl.get(), buffer).status == Status::would_block);
}

void pending_bytes_are_counted(void**) {
    Connected pair;
    assert_int_equal(tls_pending(pair.server.ssl.get()), 0);
    assert_true(tls_send(pair.client.ssl.get(), bytes("0123456789")).ok());
    std::array<std::byte, 16> buffer{};
    IoResult got = tls_peek(pair.server.ssl.get(), std::span(buffer).first(2));
    assert_int_equal(got.bytes, 2);
    assert_int_equal(tls_pending(pair.server.ssl.get()), 10);
    got = tls_receive(pair.server.ssl.get(), std::span(buffer).first(4));
    assert_int_equal(got.bytes, 4);
    assert_int_equal(tls_pending(pair.server.ssl.get()), 6);
    got = tls_receive(pair.server.ssl.get(), buffer);
    assert_int_equal(got.bytes, 6);
    assert_int_equal(tls_pending(pair.server.ssl.get()), 0);
}

// More than the socket takes: short counts, would-block for writing, going on from moved memory.
void large_data_in_short_steps(void**) {
    Connected pair;
    const std::vector<std::byte> data = pattern(3 << 20);
    std::vector<std::byte> received;
    std::vector<std::byte> buffer(50000);
    std::size_t sent = 0;
    bool blocked = false;
    while (received.size() < data.size()) {
        if (sent < data.size()) {
            // The rest lies at another address each time.
            const std::vector<std::byte> rest(data.begin() + static_cast<std::ptrdiff_t>(sent),
                                              data.end());
            const IoResult step = tls_send(pair.client.ssl.get(), rest);
            if (step.ok()) {
                assert_true(step.bytes > 0);
                sent += step.bytes;
            } else {
                assert_true(step.status == Status::would_block);
                assert_true(step.want_write);
                blocked = true;
            }
        }
        if (sent < data.size() && !blocked) continue;
        for (int i = 0; i < 3; ++i) {
            const IoResult got = tls_receive(pair.server.ssl.get(), buffer);
            if (!got.ok()) break;
            received.insert(received.end(), buffer.begin(),
                            buffer.begin() + static_cast<std::ptrdiff_t>(got.bytes));
        }
    }
    assert_true(blocked);
    assert_true(received == data);
}

void close_notify_is_an_end(void**) {
    Connected pair;
    std::array<std::byte, 8> buffer{};
    assert_true(tls_send(pair.client.ssl.get(), bytes("bye")).ok());
    tls_close_notify(pair.client.ssl.get());
    assert_int_equal(test::read_patiently(pair.server, buffer).bytes, 3);
    assert_true(test::read_patiently(pair.server, buffer).status == Status::end);
    assert_true(tls_receive(pair.server.ssl.get(), buffer).status == Status::end);
    assert_string_equal(drain_error_queue().c_str(), "");
}

void bare_end_is_an_end(void**) {
    for (const bool tcp : {false, true}) {
        Connected pair(tcp);
        std::array<std::byte, 8> buffer{};
        // The client takes the session tickets first, so that its close does not reset.
        (void)tls_receive(pair.client.ssl.get(), buffer);
        pair.client.close();
        assert_true(test::read_patiently(pair.server, buffer).status == Status::end);
        assert_string_equal(drain_error_queue().c_str(), "");
    }
}

void reset_is_a_failure_with_errno(void**) {
    Connected pair(true);
    std::array<std::byte, 8> buffer{};
    const linger abort_at_once{1, 0};
    assert_int_equal(
        setsockopt(pair.client.fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof abort_at_once), 0);
    pair.client.close();
    const IoResult got = test::read_patiently(pair.server, buffer);
    assert_true(got.status == Status::failed);
    assert_int_equal(got.error, ECONNRESET);
}

void broken_pipe_is_a_value(void**) {
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    Connected pair;
    pair.client.close();
    const IoResult sent = tls_send(pair.server.ssl.get(), bytes("x"));
    assert_true(sent.status == Status::failed);
    assert_int_equal(sent.error, EPIPE);
    tls_close_notify(pair.server.ssl.get());
    assert_string_equal(drain_error_queue().c_str(), "");
}

void descriptor_is_looked_up_each_time(void**) {
    Connected pair;
    std::array<std::byte, 8> buffer{};
    // The field says "closed": nothing touches the old number.
    const int number = pair.server.fd;
    pair.server.fd = -1;
    const IoResult closed = tls_receive(pair.server.ssl.get(), buffer);
    assert_true(closed.status == Status::failed);
    assert_int_equal(closed.error, EBADF);
    assert_int_equal(SSL_get_fd(pair.server.ssl.get()), -1);
    pair.server.fd = number;
    assert_int_equal(SSL_get_fd(pair.server.ssl.get()), number);
}

void moved_descriptor_keeps_working(void**) {
    Connected pair;
    std::array<std::byte, 8> buffer{};
    UniqueFd other(dup(pair.server.fd));
    pair.server.close();
    pair.server.fd = other.release();
    assert_true(tls_send(pair.client.ssl.get(), bytes("abc")).ok());
    assert_int_equal(test::read_patiently(pair.server, buffer).bytes, 3);
}

void handshake_failures_say_why(void**) {
    for (const bool as_server : {true, false}) {
        test::Pair sockets = test::socket_pair();
        test::TlsEnd end;
        test::set_up(end, as_server ? fixture->server.get() : fixture->client.get(),
                     std::move(sockets.a));
        assert_true(
            nopoll::net::send(sockets.b.get(), bytes("GET / HTTP/1.1\r\n\r\n"), {}, false).ok());
        const TlsStep step = as_server ? tls_accept(end.ssl.get()) : tls_connect(end.ssl.get());
        assert_true(step == TlsStep::failed);
        assert_string_not_equal(drain_error_queue().c_str(), "");
        assert_string_equal(drain_error_queue().c_str(), "");
    }
}

// SSL_accept gives 0 or less here; both must count as failure.
void peer_that_goes_away_is_a_failure(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    assert_true(tls_connect(pair.client.ssl.get()) == TlsStep::want_read);
    assert_true(tls_accept(pair.server.ssl.get()) == TlsStep::want_read);
    pair.client.close();
    assert_true(tls_accept(pair.server.ssl.get()) == TlsStep::failed);
    TlsPair silent(fixture->client.get(), fixture->server.get());
    silent.client.close();
    assert_true(tls_accept(silent.server.ssl.get()) == TlsStep::failed);
    ERR_clear_error();
}

// A peer that sends key updates and nothing else does not keep the reader: it comes back, with more
// in the socket, and gets to the data behind them in the end.
void records_without_data_do_not_keep_the_reader(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    assert_true(pair.shake_hands());
    for (int i = 0; i < 200; ++i) {
        assert_int_equal(SSL_key_update(pair.client.ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(pair.client.ssl.get()), 1);
    }
    assert_true(tls_send(pair.client.ssl.get(), bytes("data")).ok());
    std::array<std::byte, 8> buffer{};
    int returns = 0;
    IoResult got = tls_receive(pair.server.ssl.get(), buffer);
    for (; got.status == Status::would_block; ++returns) {
        assert_false(got.want_write);
        assert_true(is_readable_now(pair.server.fd));
        got = tls_receive(pair.server.ssl.get(), buffer);
    }
    assert_int_equal(got.bytes, 4);
    assert_in_range(returns, 2, 199);
}

int callbacks_seen = 0;

// After its connection ssl goes on with a descriptor of its own, not with what the field holds, and
// the program hears of it no more.
void private_ends_know_their_descriptor(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    assert_true(pair.shake_hands());
    UniqueFd own(fcntl(pair.server.fd, F_DUPFD_CLOEXEC, 3));
    SSL_CTX_set_info_callback(fixture->server.get(),
                              [](const SSL*, int, int) { ++callbacks_seen; });
    SSL_set_msg_callback(pair.server.ssl.get(), [](int, int, int, const void*, std::size_t, SSL*,
                                                   void*) { ++callbacks_seen; });
    assert_true(take_private(pair.server.ssl.get(), own.get()));
    pair.server.close();
    assert_true(tls_send(pair.server.ssl.get(), bytes("late")).ok());
    assert_true(tls_close_notify(pair.server.ssl.get()));
    assert_int_equal(callbacks_seen, 0);
    SSL_CTX_set_info_callback(fixture->server.get(), nullptr);
    std::array<std::byte, 8> buffer{};
    assert_int_equal(read_patiently(pair.client, buffer).bytes, 4);
    // A BIO that is not ours knows its descriptor by itself.
    BIO* foreign = BIO_new(BIO_s_mem());
    SSL_set_bio(pair.server.ssl.get(), foreign, foreign);
    assert_false(take_private(pair.server.ssl.get(), own.get()));
}

// What other code left in the queue must not be taken for a failure here.
void old_errors_do_not_leak_in(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    const auto poison = [] { ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING); };
    poison();
    assert_true(tls_connect(pair.client.ssl.get()) == TlsStep::want_read);
    poison();
    assert_true(tls_accept(pair.server.ssl.get()) == TlsStep::want_read);
    assert_true(pair.shake_hands());
    std::array<std::byte, 8> buffer{};
    poison();
    assert_true(tls_receive(pair.server.ssl.get(), buffer).status == Status::would_block);
    poison();
    assert_true(tls_send(pair.server.ssl.get(), bytes("x")).ok());
    poison();
    tls_close_notify(pair.server.ssl.get());
    assert_string_equal(drain_error_queue().c_str(), "");
}

void error_text_is_readable(void**) {
    ERR_clear_error();
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    ERR_raise_data(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, "seen %d", 7);
    assert_string_equal(drain_error_queue().c_str(),
                        "no shared cipher; wrong version number (seen 7)");
}

// Where the socket is full it is told, and the next try goes on.
void close_notify_can_be_repeated(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    assert_true(pair.shake_hands());
    std::array<std::byte, 16384> buffer{};
    while (send(pair.server.fd, buffer, {}, false).ok()) {
    }
    assert_false(tls_close_notify(pair.server.ssl.get()));
    assert_false(tls_close_notify(pair.server.ssl.get()));
    while (receive(pair.client.fd, buffer).ok()) {
    }
    assert_true(tls_close_notify(pair.server.ssl.get()));
    assert_true(is_readable_now(pair.client.fd));
    assert_string_equal(drain_error_queue().c_str(), "");
}

void close_notify_before_the_handshake_is_nothing(void**) {
    TlsPair pair(fixture->client.get(), fixture->server.get());
    tls_close_notify(pair.server.ssl.get());
    assert_false(is_readable_now(pair.client.fd));
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(handshake_and_data_both_ways),
        cmocka_unit_test(blocking_flag_does_not_matter),
        cmocka_unit_test(pending_bytes_are_counted),
        cmocka_unit_test(large_data_in_short_steps),
        cmocka_unit_test(close_notify_is_an_end),
        cmocka_unit_test(bare_end_is_an_end),
        cmocka_unit_test(reset_is_a_failure_with_errno),
        cmocka_unit_test(broken_pipe_is_a_value),
        cmocka_unit_test(descriptor_is_looked_up_each_time),
        cmocka_unit_test(moved_descriptor_keeps_working),
        cmocka_unit_test(handshake_failures_say_why),
        cmocka_unit_test(peer_that_goes_away_is_a_failure),
        cmocka_unit_test(records_without_data_do_not_keep_the_reader),
        cmocka_unit_test(private_ends_know_their_descriptor),
        cmocka_unit_test(old_errors_do_not_leak_in),
        cmocka_unit_test(error_text_is_readable),
        cmocka_unit_test(close_notify_can_be_repeated),
        cmocka_unit_test(close_notify_before_the_handshake_is_nothing),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}

}  // namespace

int main() {
    return test::limited(run);
}
