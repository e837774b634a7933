// SPDX-License-Identifier: MIT
// What the program around the two connections does: handlers that send, close, give references
// back and stop, and the calls outside them. Each decision is a byte of the input.
#include <nopoll_private.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "connection_world.hpp"
#include "undeclared.hpp"

namespace nopoll::fuzz {

namespace {

constexpr int kDeepest = 3;

struct Running {
    int& count;
    explicit Running(int& counter) : count(counter) { ++count; }
    ~Running() { --count; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
};

Side& side_of(noPollPtr data) {
    return *static_cast<Side*>(data);
}

// Letters for text, so that strict mode takes it, or bytes of the input.
std::string content(Input& input) {
    const unsigned choice = input.byte();
    if (choice < 32) return std::string(input.text(64));
    const std::size_t size = choice < 192 ? choice % 32 : choice < 248 ? choice * 2 : choice * 64;
    return std::string(size, static_cast<char>('a' + choice % 26));
}

// --- sending -----------------------------------------------------------------------------------

void send_data(Side& side, unsigned kind) {
    const std::string payload = content(side.world->input);
    const auto size = static_cast<long>(payload.size());
    const char* const text = payload.c_str();
    if (!may_send(side)) return;
    if (*side.loops > 0)
        side.sent_in_loop = true;
    else if (side.may_block)
        absorb(side, SIZE_MAX);
    errno = 0;
    int result = -1;
    switch (kind % 6) {
    case 0: result = nopoll_conn_send_text(side.conn, text, size); break;
    case 1: result = nopoll_conn_send_binary(side.conn, text, size); break;
    case 2: result = nopoll_conn_send_text_fragment(side.conn, text, size); break;
    case 3: result = nopoll_conn_send_binary_fragment(side.conn, text, size); break;
    case 4:
        result = __nopoll_conn_send_common(side.conn, text, size, nopoll_true, 0,
                                           NOPOLL_CONTINUATION_FRAME);
        break;
    default: {
        std::string copy = payload;
        result = nopoll_conn_send_frame(side.conn, side.world->input.flag(),
                                        side.is_client ? nopoll_true : nopoll_false,
                                        NOPOLL_BINARY_FRAME, size, copy.data(), 0);
        break;
    }
    }
    if (size == 0 && kind % 6 != 5) {
        FUZZ_CHECK(result == -1);
        return;
    }
    note_sent(side, payload, result, errno);
}

void send_control(Side& side, unsigned kind) {
    Input& input = side.world->input;
    if (!may_send(side)) return;
    switch (kind % 4) {
    case 0: nopoll_conn_send_ping(side.conn); break;
    case 1: {
        std::string payload = content(input);
        payload.resize(std::min<std::size_t>(payload.size(), 130));
        const bool sent = nopoll_conn_send_pong(side.conn, static_cast<long>(payload.size()),
                                                payload.data()) != nopoll_false;
        FUZZ_CHECK(!sent || payload.size() <= 125);
        break;
    }
    case 2: {  // a raw frame: opcode, mask and FIN as the input says, right or wrong
        std::string payload = content(input);
        const unsigned opcode = input.below(16);
        side.sent_is_known = side.sent_is_known && opcode > 2;
        nopoll_conn_send_frame(side.conn, input.flag(), input.flag(),
                               static_cast<noPollOpCode>(opcode), static_cast<long>(payload.size()),
                               payload.data(), 0);
        break;
    }
    default: nopoll_conn_complete_pending_write(side.conn); break;
    }
}

// --- receiving ---------------------------------------------------------------------------------

void take_message(Side& side) {
    noPollConn* const conn = side.conn;
    const bool was_ok = nopoll_conn_is_ok(conn) != nopoll_false;
    errno = 0;
    noPollMsg* const message = nopoll_conn_get_msg(conn);
    const int error = errno;
    if (message != nullptr) {
        if (side.streams) side.order_is_known = side.peer->order_is_known = false;
        note_message(side, message);
        nopoll_msg_unref(message);
    } else if (was_ok && error == EWOULDBLOCK) {
        FUZZ_CHECK(side.conn == nullptr || nopoll_conn_is_ok(conn) != nopoll_false);
    }
}

void read_stream(Side& side) {
    char buffer[300];
    const int size = static_cast<int>(side.world->input.byte()) + 1;
    // A read that waits has something to find, or its millisecond is over soon.
    const bool block = something_is_ready(*side.world, side.ctx) && side.world->input.flag();
    const int got =
        nopoll_conn_read(side.conn, buffer, size, block ? nopoll_true : nopoll_false, 1);
    FUZZ_CHECK(got >= -1 && got <= size);
    if (!side.streams) side.peer->order_is_known = false;  // overtakes messages, or is overtaken
    if (got > 0) note_received(side, {buffer, static_cast<std::size_t>(got)});
}

void serve_in_loop(Side& side) {
    World& world = *side.world;
    if (world.depth >= kDeepest) return;
    if (!something_is_ready(world, side.ctx)) {
        if (side.conn != nullptr && may_send(side)) nopoll_loop_process_data(side.ctx, side.conn);
        return;
    }
    const Running running(*side.loops);
    const int result = nopoll_loop_wait(side.ctx, 1);
    FUZZ_CHECK(result == 0 || result == -3);
    for (Side* const served : {&world.server, &world.client}) {
        served->write_seen = nopoll_conn_pending_write_bytes(served->conn);
        served->read_seen = nopoll_conn_read_pending(served->conn);
    }
}

void look(const Side& side) {
    FUZZ_CHECK(nopoll_conn_ref_count(side.conn) >= 1);
    FUZZ_CHECK(nopoll_conn_pending_write_bytes(side.conn) >= 0);
    FUZZ_CHECK(nopoll_conn_read_pending(side.conn) >= 0);
    FUZZ_CHECK(nopoll_conn_host(side.conn) != nullptr);
    FUZZ_CHECK(nopoll_conn_get_requested_url(side.conn) != nullptr);
    FUZZ_CHECK(nopoll_ctx_conns(side.ctx) >= 0);
    (void)nopoll_conn_get_close_status(side.conn);
    (void)nopoll_conn_get_cookie(side.conn);
}

void change_registration(Side& side) {
    if (is_registered(side)) {
        noPollConn* const conn = side.conn;
        if (side.owned == 0) side.conn = nullptr;  // gone with the registry's reference
        nopoll_ctx_unregister_conn(side.ctx, conn);
    } else {
        FUZZ_CHECK(nopoll_ctx_register_conn(side.ctx, side.conn) != nopoll_false);
    }
}

// Programs hand a descriptor on to a child process this way.
void take_descriptor_away(Side& side) {
    const int fd = nopoll_conn_socket(side.conn);
    if (fd < 0 || side.world->depth > 0) return;
    nopoll_conn_set_socket(side.conn, NOPOLL_INVALID_SOCKET);
    ::close(fd);
    if (side.owned == 0) side.conn = nullptr;  // the loop drops it, and says nothing
}

// --- handlers ----------------------------------------------------------------------------------

// The program's own functions in the place of the socket's: they move less than they could, nothing
// at times, and do what handlers do.
int own_receive(noPollConn* conn, char* buffer, int size) {
    Side& side = side_of(nopoll_conn_get_hook(conn));
    const Running running(side.world->depth);
    const unsigned choice = side.world->input.byte();
    if (choice > 224) act_in_handler(side);
    const int fd = nopoll_conn_socket(conn);
    if (choice % 8 == 7 || fd < 0) {
        errno = fd < 0 ? EBADF : EWOULDBLOCK;
        return choice % 16 == 7 ? -2 : -1;
    }
    const auto most = std::min(static_cast<std::size_t>(size), std::size_t{choice % 64 + 1});
    return static_cast<int>(::recv(fd, buffer, most, MSG_DONTWAIT));
}

int own_send(noPollConn* conn, char* bytes, int size) {
    Side& side = side_of(nopoll_conn_get_hook(conn));
    const Running running(side.world->depth);
    const unsigned choice = side.world->input.byte();
    if (choice > 224) act_in_handler(side);
    const int fd = nopoll_conn_socket(conn);
    if (choice % 8 == 7 || fd < 0) {
        errno = fd < 0 ? EBADF : EWOULDBLOCK;
        return choice % 16 == 7 ? -2 : -1;
    }
    const unsigned few = choice % 3 == 0 ? choice % 5 + 1 : choice % 64 * 8 + 1;
    const auto most = std::min(static_cast<std::size_t>(size), std::size_t{few});
    return static_cast<int>(::send(fd, bytes, most, MSG_DONTWAIT | MSG_NOSIGNAL));
}

nopoll_bool on_open(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    Side& side = side_of(nopoll_conn_get_hook(conn));
    FUZZ_CHECK(&side == &side_of(data) || side.world->one_context);
    const Running running(side.world->depth);
    const unsigned choice = side.world->input.byte();
    if (choice > 240) return nopoll_false;
    if (choice % 4 == 1) nopoll_conn_set_accepted_protocol(conn, "b");
    if (choice % 4 == 2) act_in_handler(side);
    return nopoll_true;
}

void on_message(noPollCtx* /*ctx*/, noPollConn* conn, noPollMsg* message, noPollPtr data) {
    Side& side = side_of(data);
    FUZZ_CHECK(conn == side.conn);
    const Running running(side.world->depth);
    if (side.streams) side.peer->order_is_known = false;
    note_message(side, message);
    act_in_handler(side);
    if (side.conn != nullptr && side.world->input.flag()) act_in_handler(side);
}

void on_close(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    Side& side = side_of(data);
    FUZZ_CHECK(nopoll_conn_is_ok(conn) != nopoll_false);
    const Running running(side.world->depth);
    act_in_handler(side);
    if (side.owned == 0) side.conn = nullptr;  // from now on it may go at any moment
}

}  // namespace

void use_own_functions(Side& side) {
    side.conn->receive = own_receive;
    side.conn->send = own_send;
}

void take_handlers(Side& side) {
    nopoll_conn_set_hook(side.conn, &side);
    nopoll_conn_set_on_close(side.conn, on_close, &side);
    nopoll_conn_set_on_msg(side.conn, on_message, &side);
    nopoll_ctx_set_on_accept(side.ctx, on_open, &side);
    nopoll_ctx_set_on_open(side.ctx, on_open, &side);
    nopoll_conn_set_on_ready(side.conn, on_open, &side);
}

// A reference that keeps the object alive, but does not count as an owner's, shows what is left.
void close_side(Side& side) {
    Input& input = side.world->input;
    const unsigned choice = input.byte();
    const std::string reason = choice % 3 == 2 ? content(input) : std::string();
    noPollConn* const conn = side.conn;
    const bool registry_only = side.owned == 0;
    if (!registry_only) __nopoll_conn_transient_ref(conn);
    if (choice % 3 == 0)
        nopoll_conn_close(conn);
    else
        nopoll_conn_close_ext(conn, static_cast<int>(1000 + choice), reason.data(),
                              static_cast<int>(reason.size()));
    if (registry_only) {
        side.conn = nullptr;
        return;
    }
    FUZZ_CHECK(nopoll_conn_is_ok(conn) == nopoll_false || side.world->depth > 0);
    const bool registered = __nopoll_ctx_conn_is_registered(side.ctx, conn) != nopoll_false;
    FUZZ_CHECK(!registered);
    const int left = __nopoll_conn_owner_ref_count(conn);
    // Of the loops and walks that are running, each has one of its own which counts as transient.
    FUZZ_CHECK(left >= 0 && left <= side.owned);
    side.owned = left;
    if (left == 0) side.conn = nullptr;
    __nopoll_conn_transient_unref(conn);
}

void give_up_reference(Side& side) {
    noPollConn* const conn = side.conn;
    const bool stays = is_registered(side) && nopoll_conn_is_ok(conn) != nopoll_false;
    if (--side.owned == 0 && !stays) side.conn = nullptr;
    nopoll_conn_unref(conn);
}

void act_in_handler(Side& side) {
    World& world = *side.world;
    Input& input = world.input;
    // A handler before this one may have given the connection up.
    if (side.conn == nullptr || world.depth > kDeepest) return;
    const unsigned choice = input.byte();
    if (choice < 96) return;  // most handlers do nothing remarkable
    switch (choice % 16) {
    case 0:
    case 1: send_data(side, input.byte()); break;
    case 2: send_control(side, input.byte()); break;
    case 3: close_side(side); break;
    case 4: nopoll_conn_shutdown(side.conn); break;
    case 5:
        if (side.owned > 0) give_up_reference(side);
        break;
    case 6: nopoll_loop_stop(side.ctx); break;
    case 7:
        if (input.byte() > 160) serve_in_loop(side);
        break;
    case 8: take_message(side); break;
    case 9: read_stream(side); break;
    case 10:
        if (side.peer->conn != nullptr) send_data(*side.peer, input.byte());
        break;
    case 11:
        if (side.peer->conn != nullptr) close_side(*side.peer);
        break;
    case 12: change_registration(side); break;
    case 13: look(side); break;
    case 14: (void)nopoll_conn_is_ready(side.conn); break;
    default:
        absorb(side, SIZE_MAX);
        forward(side, SIZE_MAX);
        break;
    }
}

void step(World& world) {
    Input& input = world.input;
    const unsigned choice = input.byte();
    Side& side = (choice & 1U) != 0 ? world.client : world.server;
    const unsigned what = (choice >> 1) % 24;
    // The wire works on when a program has gone.
    switch (what) {
    case 0:
        absorb(side, SIZE_MAX);
        forward(side, SIZE_MAX);
        return;
    case 1:
        absorb(side, input.byte() + 1U);
        forward(side, input.byte() + 1U);
        return;
    case 2: forward(side, input.below(8) + 1); return;
    case 3: {  // bytes nobody sent, to this side
        side.peer->order_is_known = false;
        side.peer->on_the_wire += input.text(120);
        return;
    }
    case 4:
        if (input.byte() > 200) hang_up(side, static_cast<int>(input.below(4)));
        return;
    case 5: serve_in_loop(side); return;
    default: break;
    }
    if (side.conn == nullptr) return;
    switch (what) {
    case 6:
    case 7:
    case 8: serve_in_loop(side); break;
    case 9:
    case 10:
    case 11: side.streams ? read_stream(side) : take_message(side); break;
    case 12:
    case 13:
    case 14: send_data(side, input.byte()); break;
    case 15: send_control(side, input.byte()); break;
    case 16: (void)nopoll_conn_is_ready(side.conn); break;
    case 17: look(side); break;
    case 18: nopoll_conn_flush_writes(side.conn, 0, 0); break;
    case 19:
        if (input.byte() > 160) close_side(side);
        break;
    case 20:
        if (input.byte() > 160) change_registration(side);
        break;
    case 21:
        if (input.byte() > 200) take_descriptor_away(side);
        break;
    case 22:
        if (side.owned > 0 && input.byte() > 160) give_up_reference(side);
        break;
    default:
        if (input.byte() > 200) nopoll_conn_shutdown(side.conn);
        break;
    }
}

}  // namespace nopoll::fuzz
