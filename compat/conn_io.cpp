// SPDX-License-Identifier: MIT
// nopoll_conn.h: sending and receiving, and the small socket functions.
#include "boundary.hpp"
#include "core/c_enum.hpp"
#include "core/client.hpp"
#include "core/io_entries.hpp"
#include "net/socket_options.hpp"
#include "protocol/masking.hpp"
#include "result.hpp"
#include "undeclared.hpp"

#include <cstring>

using namespace nopoll;
using compat::boundary;
using compat::kBadArgument;
using compat::to_bool;
using compat::to_c;
using core::CallResult;
using core::Connection;
using core::SendRequest;
using protocol::Opcode;

namespace {

std::span<const std::byte> bytes_of(const void* content, long length) {
    return {static_cast<const std::byte*>(content), static_cast<std::size_t>(length)};
}

int send(noPollConn* conn, const SendRequest& request) {
    return to_c(boundary(CallResult{-1, ENOMEM},
                         [&] { return Connection::from(*conn).send_frame(request); }));
}

// The data functions: -1 as length means a C string, for text only.
int send_data(noPollConn* conn, const char* content, long length, bool fin, long pause_us,
              Opcode opcode) {
    if (conn == nullptr || content == nullptr || length == 0 || length < -1)
        return to_c(kBadArgument);
    if (length == -1) {
        if (opcode != Opcode::text && opcode != Opcode::continuation) return to_c(kBadArgument);
        length = static_cast<long>(std::strlen(content));
    }
    SendRequest request;
    request.payload = bytes_of(content, length);
    request.opcode = opcode;
    request.fin = fin;
    request.pause_us = pause_us;
    return send(conn, request);
}

bool is_control_frame_allowed(Opcode opcode, bool fin, long length) {
    return !protocol::is_control(opcode) || (fin && length <= 125);
}

}  // namespace

extern "C" {

int nopoll_conn_send_text(noPollConn* conn, const char* content, long length) {
    return send_data(conn, content, length, true, 0, Opcode::text);
}

int nopoll_conn_send_text_fragment(noPollConn* conn, const char* content, long length) {
    return send_data(conn, content, length, false, 0, Opcode::text);
}

int nopoll_conn_send_binary(noPollConn* conn, const char* content, long length) {
    return send_data(conn, content, length, true, 0, Opcode::binary);
}

int nopoll_conn_send_binary_fragment(noPollConn* conn, const char* content, long length) {
    return send_data(conn, content, length, false, 0, Opcode::binary);
}

int __nopoll_conn_send_common(noPollConn* conn, const char* content, long length,
                              nopoll_bool has_fin, long sleep_in_header, noPollOpCode frame_type) {
    const int raw = core::number_of(frame_type);
    if (raw != 0 && raw != 1 && raw != 2) return to_c(kBadArgument);
    return send_data(conn, content, length, has_fin != 0, sleep_in_header,
                     static_cast<Opcode>(raw));
}

int nopoll_conn_send_frame(noPollConn* conn, nopoll_bool fin, nopoll_bool masked,
                           noPollOpCode op_code, long length, noPollPtr content,
                           long sleep_in_header) {
    const int raw = core::number_of(op_code);
    if (conn == nullptr || length < 0 || (content == nullptr && length > 0))
        return to_c(kBadArgument);
    if (raw < 0 || raw > 15 || !protocol::is_known_opcode(static_cast<std::uint8_t>(raw)))
        return to_c(kBadArgument);
    SendRequest request;
    request.opcode = static_cast<Opcode>(raw);
    if (!is_control_frame_allowed(request.opcode, fin != 0, length)) return to_c(kBadArgument);
    request.payload = bytes_of(content, length);
    request.fin = fin != 0;
    request.raw = true;
    request.masked = masked != 0;
    request.pause_us = sleep_in_header;
    return send(conn, request);
}

nopoll_bool nopoll_conn_send_ping(noPollConn* conn) {
    if (conn == nullptr) return nopoll_false;
    return to_bool(
        boundary(false, [&] { return Connection::from(*conn).send_control(Opcode::ping, {}); }));
}

nopoll_bool nopoll_conn_send_pong(noPollConn* conn, long length, noPollPtr content) {
    if (conn == nullptr || length < 0 || length > 125 || (content == nullptr && length > 0))
        return nopoll_false;
    return to_bool(boundary(false, [&] {
        return Connection::from(*conn).send_control(Opcode::pong, bytes_of(content, length));
    }));
}

int nopoll_conn_pending_write_bytes(noPollConn* conn) {
    return conn == nullptr ? 0 : Connection::from(*conn).pending_write_bytes();
}

int nopoll_conn_complete_pending_write(noPollConn* conn) {
    if (conn == nullptr) return 0;
    return to_c(boundary(CallResult{-1, ENOMEM},
                         [&] { return Connection::from(*conn).complete_pending_write(); }));
}

int nopoll_conn_flush_writes(noPollConn* conn, long timeout, int previous_result) {
    const int before = previous_result > 0 ? previous_result : 0;
    if (conn == nullptr) return before;
    return to_c(boundary(CallResult{before, ENOMEM}, [&] {
        return Connection::from(*conn).flush_writes(timeout, previous_result);
    }));
}

noPollMsg* nopoll_conn_get_msg(noPollConn* conn) {
    const core::MessageResult result = conn == nullptr ? core::MessageResult{nullptr, EBADF}
                                                       : Connection::from(*conn).get_message();
    if (result.error != core::kKeepErrno) errno = result.error;
    return result.message;
}

int nopoll_conn_read(noPollConn* conn, char* buffer, int bytes, nopoll_bool block, long timeout) {
    if (conn == nullptr || buffer == nullptr || bytes <= 0) return to_c(kBadArgument);
    return to_c(Connection::from(*conn).read({buffer, static_cast<std::size_t>(bytes)}, block != 0,
                                             timeout));
}

int nopoll_conn_read_pending(noPollConn* conn) {
    return conn == nullptr ? 0 : Connection::from(*conn).read_pending();
}

// --- raw bytes ---

int nopoll_conn_default_receive(noPollConn* conn, char* buffer, int buffer_size) {
    return core::plain_receive_entry(conn, buffer, buffer_size);
}

int nopoll_conn_default_send(noPollConn* conn, char* buffer, int buffer_size) {
    return core::plain_send_entry(conn, buffer, buffer_size);
}

int nopoll_conn_tls_receive(noPollConn* conn, char* buffer, int buffer_size) {
    return core::tls_receive_entry(conn, buffer, buffer_size);
}

int nopoll_conn_tls_send(noPollConn* conn, char* buffer, int buffer_size) {
    return core::tls_send_entry(conn, buffer, buffer_size);
}

int __nopoll_conn_receive(noPollConn* conn, char* buffer, int maxlen) {
    if (conn == nullptr || buffer == nullptr || maxlen < 0) return to_c(kBadArgument);
    if (maxlen == 0) return 0;
    return to_c(boundary(CallResult{-1, ENOMEM}, [&] {
        return Connection::from(*conn).receive_raw({buffer, static_cast<std::size_t>(maxlen)});
    }));
}

void nopoll_conn_mask_content(noPollCtx* /*ctx*/, char* payload, int payload_size, char* mask,
                              int desp) {
    if (payload == nullptr || mask == nullptr || payload_size <= 0) return;
    protocol::MaskingKey key;
    std::memcpy(key.data(), mask, key.size());
    protocol::apply_mask(
        {reinterpret_cast<std::byte*>(payload), static_cast<std::size_t>(payload_size)}, key,
        static_cast<unsigned>(desp) % 4U);
}

// --- sockets ---

nopoll_bool nopoll_conn_set_sock_block(NOPOLL_SOCKET fd, nopoll_bool enable) {
    return to_bool(net::set_blocking(fd, enable != 0));
}

nopoll_bool nopoll_conn_set_sock_tcp_nodelay(int fd, nopoll_bool enable) {
    return to_bool(net::set_tcp_nodelay(fd, enable != 0));
}

nopoll_bool nopoll_conn_set_bind_interface(int fd, noPollConnOpts* options) {
    if (options == nullptr) return nopoll_true;
    return to_bool(boundary(false, [&] {
        const std::optional<std::string> name = core::Options::from(*options).values().interface;
        return !name || net::set_bind_interface(fd, name->c_str());
    }));
}

int __nopoll_conn_sock_connect_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                             const char* host, const char* port,
                                             noPollConnOpts* options) {
    const int number = core::number_of(transport);
    const bool known = number == NOPOLL_TRANSPORT_IPV4 || number == NOPOLL_TRANSPORT_IPV6;
    if (ctx == nullptr || host == nullptr || port == nullptr || !known) return -1;
    return to_c(boundary(CallResult{-1, ENOMEM}, [&]() -> CallResult {
        int error = 0;
        net::UniqueFd fd = core::open_connecting_socket(
            core::Context::from(*ctx),
            number == NOPOLL_TRANSPORT_IPV6 ? net::Family::v6 : net::Family::v4, host, port,
            options == nullptr ? nullptr : &core::Options::from(*options), error);
        if (!fd.valid()) return {-1, error != 0 ? error : core::kKeepErrno};
        return {fd.release(), core::kKeepErrno};
    }));
}

int nopoll_conn_sock_connect_opts(noPollCtx* ctx, const char* host, const char* port,
                                  noPollConnOpts* options) {
    return __nopoll_conn_sock_connect_opts_internal(ctx, NOPOLL_TRANSPORT_IPV4, host, port,
                                                    options);
}

int nopoll_conn_sock_connect(noPollCtx* ctx, const char* host, const char* port) {
    return __nopoll_conn_sock_connect_opts_internal(ctx, NOPOLL_TRANSPORT_IPV4, host, port,
                                                    nullptr);
}

}  // extern "C"
