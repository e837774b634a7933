// SPDX-License-Identifier: MIT
// Making the two connections, the wire between them, and the books about what went over it.
#include "connection_world.hpp"

#include <fcntl.h>
#include <nopoll_ext.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "undeclared.hpp"

namespace nopoll::fuzz {

namespace {

struct Pair {
    int library = -1;
    int wire = -1;
};

Pair make_pair_of_sockets(bool tiny_buffers) {
    int ends[2];
    FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    // The number 0 is refused for accepted connections, and the standard streams are the fuzzer's.
    FUZZ_CHECK(ends[0] > 2 && ends[1] > 2);
    if (tiny_buffers) {
        const int size = 1;  // the kernel makes its smallest of it
        for (const int end : ends)
            FUZZ_CHECK(::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
    }
    return {ends[0], ends[1]};
}

void count_record(noPollCtx* /*ctx*/, noPollDebugLevel /*level*/, const char* text,
                  noPollPtr data) {
    FUZZ_CHECK(text != nullptr && *text != '\0');
    ++static_cast<World*>(data)->log_records;
}

}  // namespace

World::World(Input& bytes) : input(bytes) {
    const unsigned choice = input.byte();
    one_context = (choice & 1U) != 0;
    tiny_buffers = (choice & 2U) != 0;
    server.world = client.world = this;
    server.peer = &client;
    client.peer = &server;
    client.is_client = true;
    server.loops = &loops[0];
    client.loops = &loops[one_context ? 0 : 1];
    make_contexts(choice);
    const Pair at_server = make_pair_of_sockets(tiny_buffers);
    const Pair at_client = make_pair_of_sockets(tiny_buffers);
    server.wire_fd = at_server.wire;
    client.wire_fd = at_client.wire;
    make_server(at_server.library);
    make_client(at_client.library);
}

void World::make_contexts(unsigned choice) {
    server.ctx = nopoll_ctx_new();
    client.ctx = server.ctx;
    if (one_context)
        nopoll_ctx_ref(server.ctx);
    else
        client.ctx = nopoll_ctx_new();
    constexpr noPollIoEngineType engines[] = {NOPOLL_IO_ENGINE_DEFAULT, NOPOLL_IO_ENGINE_SELECT,
                                              NOPOLL_IO_ENGINE_POLL, NOPOLL_IO_ENGINE_EPOLL};
    for (noPollCtx* const ctx : {server.ctx, client.ctx}) {
        FUZZ_CHECK(ctx != nullptr);
        nopoll_log_set_handler(ctx, count_record, this);
        nopoll_ctx_set_strict(ctx, (choice & 4U) != 0);
        nopoll_ctx_set_cork(ctx, (choice & 8U) != 0);
        nopoll_ctx_set_io_engine(ctx, engines[(choice >> 4) % 4]);
        if ((choice & 64U) != 0) nopoll_ctx_set_max_frame_size(ctx, 200);
        if ((choice & 128U) != 0) nopoll_ctx_set_send_queue_limit(ctx, 3000);
        // No peer of ours takes its time: a creating call that has to wait has lost.
        nopoll_conn_connect_timeout(ctx, 1000);
    }
    server.streams = input.flag();
    client.streams = input.flag();
}

void World::make_server(int fd) {
    server.conn = nopoll_listener_from_socket(server.ctx, fd);
    FUZZ_CHECK(server.conn != nullptr && nopoll_conn_ref_count(server.conn) == 1);
    const unsigned choice = input.byte();
    if ((choice & 1U) != 0) {
        nopoll_conn_ref(server.conn);
        server.owned = 1;
    }
    take_handlers(server);
    if ((choice & 2U) != 0) {  // the second half of accepting may never be done
        nopoll_conn_set_sock_block(fd, nopoll_false);
        return;
    }
    const bool accepted = nopoll_conn_accept_complete(server.ctx, nullptr, server.conn, fd,
                                                      nopoll_false) != nopoll_false;
    if (server.conn == nullptr) return;
    FUZZ_CHECK(accepted == (nopoll_conn_is_ok(server.conn) != nopoll_false));
    server.may_block = (choice & 4U) != 0;
    if (accepted && !server.may_block) nopoll_conn_set_sock_block(fd, nopoll_false);
    // Not where a send may wait: nobody would let it go on.
    if (!server.may_block && (choice & 8U) != 0) use_own_functions(server);
}

void World::make_client(int fd) {
    FUZZ_CHECK(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    noPollConnOpts* options = nullptr;
    const unsigned choice = input.byte();
    if ((choice & 1U) != 0) {
        options = nopoll_conn_opts_new();
        nopoll_conn_opts_set_cookie(options, "theme=dark");
        nopoll_conn_opts_set_extra_headers(options, "\r\nX-Real-IP: 192.0.2.1");
        nopoll_conn_opts_add_origin_header(options, (choice & 2U) != 0);
        nopoll_conn_opts_set_strict(options, (choice & 4U) != 0);
    }
    client.conn =
        nopoll_conn_new_with_socket(client.ctx, options, fd, "fuzz.example", "80", nullptr,
                                    "/path?query", (choice & 8U) != 0 ? "a, b" : nullptr, nullptr);
    FUZZ_CHECK(client.conn != nullptr && nopoll_conn_is_ok(client.conn) != nopoll_false);
    client.owned = 1;
    take_handlers(client);
    if ((choice & 16U) != 0) use_own_functions(client);
}

void World::run() {
    for (int steps = 0; steps < 400 && !input.empty(); ++steps)
        step(*this);
}

World::~World() {
    // First the peers go: queued bytes have nobody to wait for.
    for (Side* const side : {&server, &client})
        if (side->wire_fd >= 0) ::close(side->wire_fd);
    for (Side* const side : {&server, &client}) {
        side->wire_fd = -1;
        nopoll_msg_unref(side->kept);
        if (side->conn != nullptr) close_side(*side);
        while (side->conn != nullptr && side->owned > 0)
            give_up_reference(*side);
    }
    for (noPollCtx* const ctx : {server.ctx, client.ctx}) {
        // Dead connections of which nobody has a reference leave with a pass of the loop. That
        // takes 10 ms where nothing else happens, so mostly they are shown out one by one.
        if (nopoll_ctx_conns(ctx) > 0 && input.byte() % 16 == 15) nopoll_loop_wait(ctx, 1);
        nopoll_ctx_foreach_conn(ctx, nopoll_loop_register, nullptr);
        FUZZ_CHECK(nopoll_ctx_conns(ctx) == 0);
    }
    FUZZ_CHECK(nopoll_ctx_ref_count(server.ctx) == (one_context ? 2 : 1));
    nopoll_ctx_unref(server.ctx);
    nopoll_ctx_unref(client.ctx);
}

// --- the wire ----------------------------------------------------------------------------------

void absorb(Side& side, std::size_t most) {
    std::vector<char> bytes(std::min<std::size_t>(most, 65536));
    while (side.wire_fd >= 0 && most > 0) {
        const ssize_t got =
            ::recv(side.wire_fd, bytes.data(), std::min(most, bytes.size()), MSG_DONTWAIT);
        if (got <= 0) return;
        side.on_the_wire.append(bytes.data(), static_cast<std::size_t>(got));
        most -= static_cast<std::size_t>(got);
    }
}

void forward(Side& from, std::size_t most) {
    const std::size_t size = std::min(most, from.on_the_wire.size());
    if (size == 0 || from.peer->wire_fd < 0) return;
    const ssize_t put =
        ::send(from.peer->wire_fd, from.on_the_wire.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put > 0) from.on_the_wire.erase(0, static_cast<std::size_t>(put));
}

void hang_up(Side& side, int how) {
    if (side.wire_fd < 0) return;
    if (how < 3) {
        ::shutdown(side.wire_fd, how);
        return;
    }
    ::close(side.wire_fd);
    side.wire_fd = -1;
}

// --- the books ---------------------------------------------------------------------------------

void note_sent(Side& side, std::string_view payload, int result, int error) {
    FUZZ_CHECK(result >= -2 && result <= static_cast<int>(payload.size()));
    if (result >= 0 || result == -2) {
        side.sent += payload;
        FUZZ_CHECK(result == static_cast<int>(payload.size()) || error == EWOULDBLOCK);
    } else if (error != EWOULDBLOCK && error != EILSEQ && error != ENOTCONN) {
        side.sent_is_known = false;  // part of the frame may have gone out
    }
}

void note_received(Side& side, std::string_view payload) {
    side.received += payload;
    const Side& peer = *side.peer;
    if (!peer.sent_is_known || !peer.order_is_known) return;
    FUZZ_CHECK(side.received.size() <= peer.sent.size());
    FUZZ_CHECK(peer.sent.compare(0, side.received.size(), side.received) == 0);
}

void note_message(Side& side, noPollMsg* message) {
    FUZZ_CHECK(nopoll_msg_ref_count(message) == 1);
    const long size = nopoll_msg_get_payload_size(message);
    const unsigned char* const payload = nopoll_msg_get_payload(message);
    FUZZ_CHECK(size >= 0 && payload != nullptr && payload[size] == 0);
    const int opcode = nopoll_msg_opcode(message);
    FUZZ_CHECK(opcode >= 0 && opcode <= 2);
    FUZZ_CHECK(nopoll_msg_is_final(message) != 0 || nopoll_msg_is_fragment(message) != 0);
    note_received(side, {reinterpret_cast<const char*>(payload), static_cast<std::size_t>(size)});
    // As programs do that put fragments together.
    noPollMsg* const joined = nopoll_msg_join(side.kept, message);
    FUZZ_CHECK(joined != nullptr);
    nopoll_msg_unref(side.kept);
    side.kept = joined;
    if (nopoll_msg_is_final(message) != 0) {
        nopoll_msg_unref(side.kept);
        side.kept = nullptr;
    }
}

// False where a send might wait for ever: nobody reads meanwhile.
bool may_send(const Side& side) {
    if (!side.may_block || *side.loops > 0) return true;
    return !side.world->tiny_buffers && side.world->depth == 0 && !side.sent_in_loop;
}

bool something_is_ready(const World& world, const noPollCtx* ctx) {
    for (const Side* const side : {&world.server, &world.client}) {
        if (side->ctx != ctx || side->conn == nullptr || !is_registered(*side)) continue;
        if (nopoll_conn_is_ok(side->conn) == nopoll_false) continue;
        const int held = nopoll_conn_read_pending(side->conn);
        if (held > 0 && held != side->read_seen) return true;
        pollfd waited{nopoll_conn_socket(side->conn), POLLIN, 0};
        const int pending = nopoll_conn_pending_write_bytes(side->conn);
        if (pending > 0 && pending != side->write_seen) waited.events |= POLLOUT;
        if (::poll(&waited, 1, 0) > 0) return true;
    }
    return false;
}

bool is_registered(const Side& side) {
    return __nopoll_ctx_conn_is_registered(side.ctx, side.conn) != nopoll_false;
}

}  // namespace nopoll::fuzz
