// SPDX-License-Identifier: MIT
// Handlers of C++ programs that throw: the exception passes through the library unchanged, and the
// library's objects are whole afterwards (spec: design.md 9).
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
extern "C" {
#include <cmocka.h>
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include "raw_peer.h"

#include <nopoll_private.h>
#pragma GCC diagnostic pop

namespace {

struct Thrown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What a wait, or another call, threw; empty when it returned.
template <class Call>
std::string thrown_by(Call call) {
    try {
        call();
    } catch (const Thrown& thrown) {
        return thrown.what();
    }
    return {};
}

// Short waits until one throws.
std::string thrown_by_loop(noPollCtx* ctx) {
    std::string what;
    for (const long end = test_now_ms() + TEST_LIMIT_MS; what.empty() && test_now_ms() < end;)
        what = thrown_by([ctx] { nopoll_loop_wait(ctx, 1); });
    return what;
}

void check_text(const std::string& actual, const char* expected) {
    assert_string_equal(actual.c_str(), expected);
}

struct Seen {
    std::string text;
    std::string throw_at;  // the message that is too much
};

void on_msg(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollMsg* msg, noPollPtr data) {
    auto& seen = *static_cast<Seen*>(data);
    const std::string text(reinterpret_cast<const char*>(nopoll_msg_get_payload(msg)));
    if (text == seen.throw_at) throw Thrown(text);
    seen.text += text;
}

// The rest of what was read ahead is served by the next wait; counts and engine are as ever.
void message_handler(void** /*state*/) {
    for (const raw_side side : {RAW_ACCEPTED, RAW_CLIENT}) {
        raw_peer peer;
        Seen seen{"", "b"};
        unsigned char frames[64];
        raw_open(&peer, side);
        nopoll_ctx_set_on_msg(peer.ctx, on_msg, &seen);
        size_t size = 0;
        for (const char* letter : {"a", "b", "c", "d"})
            size += raw_frame(&peer, frames + size, RAW_TEXT, letter, 1);
        test_send_all(peer.fd, frames, size);
        check_text(thrown_by_loop(peer.ctx), "b");
        assert_null(peer.ctx->io_engine);
        assert_int_equal(peer.ctx->keep_looping, 0);
        assert_int_equal(nopoll_conn_ref_count(peer.conn), 2);
        assert_int_equal(nopoll_conn_read_pending(peer.conn), 2);
        check_text(thrown_by([&] { SERVE_UNTIL(peer.ctx, seen.text.size() == 3); }), "");
        check_text(seen.text, "acd");
        raw_send_text(&peer, "e");
        EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "e", 1, 1, 0);
        raw_close(&peer);
    }
}

// Through two waits, one inside the other; both are over afterwards.
void inside_a_nested_wait(void** /*state*/) {
    raw_peer peer;
    raw_open(&peer, RAW_ACCEPTED);
    static int depth;
    depth = 0;
    nopoll_ctx_set_on_msg(
        peer.ctx,
        [](noPollCtx* ctx, noPollConn* /*conn*/, noPollMsg* /*msg*/, noPollPtr /*data*/) {
            if (++depth == 2) throw Thrown("inner");
            if (depth == 1) nopoll_loop_wait(ctx, 0);
        },
        nullptr);
    raw_send_text(&peer, "a");
    raw_send_text(&peer, "b");
    check_text(thrown_by([&] { nopoll_loop_wait(peer.ctx, 0); }), "inner");
    assert_null(peer.ctx->io_engine);
    raw_send_text(&peer, "c");
    SERVE_UNTIL(peer.ctx, depth == 3);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 10000), -3);
    raw_close(&peer);
}

// --- the handlers of the opening handshake ---

nopoll_bool throwing_action(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr data) {
    throw Thrown(static_cast<const char*>(data));
}

using Setter = void (*)(noPollCtx*, noPollActionHandler, noPollPtr);

// The connection that could not be opened goes; the listener serves the next one.
void check_action(Setter set, const char* name) {
    char text[] = "handler";
    raw_peer peer{};
    peer.ctx = nopoll_ctx_new();
    peer.listener = nopoll_listener_new(peer.ctx, "127.0.0.1", "0");
    set(peer.ctx, throwing_action, text);
    const int fd = raw_connect(peer.listener);
    test_send_all(fd, TEST_REQUEST, strlen(TEST_REQUEST));
    print_message("%s\n", name);
    check_text(thrown_by_loop(peer.ctx), "handler");
    set(
        peer.ctx, [](noPollCtx*, noPollConn*, noPollPtr) -> nopoll_bool { return nopoll_true; },
        nullptr);
    close(fd);
    LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 1);
    raw_join(&peer, RAW_ACCEPTED);
    raw_send_text(&peer, "next");
    EXPECT_MSG(test_get_msg(peer.conn), NOPOLL_TEXT_FRAME, "next", 4, 1, 0);
    raw_close(&peer);
}

void handshake_handlers(void** /*state*/) {
    check_action(nopoll_ctx_set_on_accept, "on_accept");
    check_action(nopoll_ctx_set_on_open, "on_open");
    check_action(nopoll_ctx_set_on_ready, "on_ready");
}

// --- on_close ---

int closes;

void throwing_close(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr /*data*/) {
    ++closes;
    throw Thrown("close");
}

// The socket is given up all the same, whoever ended the connection.
void close_handler(void** /*state*/) {
    enum { by_peer_in_loop, by_peer_in_get_msg, by_shutdown };
    for (const int how : {by_peer_in_loop, by_peer_in_get_msg, by_shutdown}) {
        raw_peer peer;
        closes = 0;
        raw_open(&peer, RAW_ACCEPTED);
        nopoll_conn_set_on_close(peer.conn, throwing_close, nullptr);
        if (how != by_shutdown) raw_send(&peer, RAW_CLOSE, "\x03\xe8", 2);
        if (how == by_peer_in_loop) check_text(thrown_by_loop(peer.ctx), "close");
        if (how == by_peer_in_get_msg)
            check_text(thrown_by([&] { (void)test_get_msg(peer.conn); }), "close");
        if (how == by_shutdown)
            check_text(thrown_by([&] { nopoll_conn_shutdown(peer.conn); }), "close");
        assert_false(nopoll_conn_is_ok(peer.conn));
        assert_int_equal(closes, 1);
        if (how == by_shutdown)
            RAW_EXPECT_END(&peer);
        else
            RAW_EXPECT_CLOSE(&peer, 1000);
        LOOP_UNTIL(peer.ctx, nopoll_ctx_conns(peer.ctx) == 1);
        assert_int_equal(nopoll_conn_ref_count(peer.conn), 1);
        assert_int_equal(closes, 1);
        raw_close(&peer);
    }
}

// --- walks ---

void walk(void** /*state*/) {
    raw_peer peer;
    raw_open(&peer, RAW_ACCEPTED);
    check_text(
        thrown_by([&] {
            nopoll_ctx_foreach_conn(
                peer.ctx,
                [](noPollCtx*, noPollConn*, noPollPtr) -> nopoll_bool { throw Thrown("walk"); },
                nullptr);
        }),
        "walk");
    assert_int_equal(nopoll_conn_ref_count(peer.listener), 2);
    assert_int_equal(nopoll_conn_ref_count(peer.conn), 2);
    raw_close(&peer);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(message_handler),
        cmocka_unit_test(inside_a_nested_wait),
        cmocka_unit_test(handshake_handlers),
        cmocka_unit_test(close_handler),
        cmocka_unit_test(walk),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
