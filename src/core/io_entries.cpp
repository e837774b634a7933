// SPDX-License-Identifier: MIT
// Raw reads and writes of a connection, as programs use them: no frames, no accounting.
#include "core/io_entries.hpp"

#include <cerrno>
#include <mutex>

#include "core/connection.hpp"
#include "net/plain_transport.hpp"
#include "net/readiness.hpp"
#include "net/socket_options.hpp"
#include "net/tls_transport.hpp"

namespace nopoll::core {
namespace {

int to_c(const CallResult& result) {
    if (result.error != kKeepErrno) errno = result.error;
    return result.value;
}

template <class Call>
int guarded(noPollConn* conn, const char* buffer, int size, Call call) {
    if (conn == nullptr || buffer == nullptr || size < 0) return to_c({-1, EINVAL});
    Connection& connection = Connection::from(*conn);
    const ConnectionPin pin(connection);
    return to_c(call(connection));
}

// What a TLS step means to callers of the raw functions: -2 for "later".
CallResult from_tls(const net::IoResult& result) {
    switch (result.status) {
    case net::IoResult::Status::ok: return {static_cast<int>(result.bytes), kKeepErrno};
    case net::IoResult::Status::would_block: return {-2, EWOULDBLOCK};
    case net::IoResult::Status::end: return {0, 0};
    default: return {-1, result.error == 0 ? EIO : result.error};
    }
}

}  // namespace

int plain_receive_entry(noPollConn* conn, char* buffer, int size) {
    return guarded(conn, buffer, size, [&](Connection& c) {
        return c.plain_receive({buffer, static_cast<std::size_t>(size)});
    });
}

int plain_send_entry(noPollConn* conn, char* buffer, int size) {
    return guarded(conn, buffer, size, [&](Connection& c) {
        return c.plain_send({buffer, static_cast<std::size_t>(size)});
    });
}

int tls_receive_entry(noPollConn* conn, char* buffer, int size) {
    return guarded(conn, buffer, size, [&](Connection& c) {
        return c.tls_receive({buffer, static_cast<std::size_t>(size)});
    });
}

int tls_send_entry(noPollConn* conn, char* buffer, int size) {
    return guarded(conn, buffer, size, [&](Connection& c) {
        return c.tls_send({buffer, static_cast<std::size_t>(size)});
    });
}

// Both plain functions honour O_NONBLOCK, but wait without the lock: other threads may write or
// close meanwhile.
CallResult Connection::plain_receive(std::span<char> buffer) {
    for (;;) {
        int fd = NOPOLL_INVALID_SOCKET;
        {
            const std::lock_guard guard(mutex_);
            fd = descriptor();
            if (fd == NOPOLL_INVALID_SOCKET) return {-1, EBADF};
            const net::IoResult got = net::receive(fd, std::as_writable_bytes(buffer));
            if (got.status == net::IoResult::Status::ok)
                return {static_cast<int>(got.bytes), kKeepErrno};
            if (got.status == net::IoResult::Status::end) return {0, kKeepErrno};
            if (got.status == net::IoResult::Status::failed) return {-1, got.error};
        }
        if (!net::is_blocking(fd)) return {-1, EWOULDBLOCK};
        if (await_descriptor(true, false, net::Deadline::never()) == net::Ready::failed)
            return {-1, errno};
    }
}

CallResult Connection::plain_send(std::span<const char> buffer) {
    std::span<const std::byte> left = std::as_bytes(buffer);
    std::size_t sent = 0;
    for (;;) {
        int fd = NOPOLL_INVALID_SOCKET;
        {
            const std::lock_guard guard(mutex_);
            fd = descriptor();
            if (fd == NOPOLL_INVALID_SOCKET) return {sent > 0 ? static_cast<int>(sent) : -1, EBADF};
            program_wrote_ = true;
            const net::IoResult put = net::send(fd, left, {}, false);
            if (put.status == net::IoResult::Status::ok) {
                sent += put.bytes;
                left = left.subspan(put.bytes);
                if (left.empty()) return {static_cast<int>(sent), kKeepErrno};
                continue;
            }
            if (put.status != net::IoResult::Status::would_block)
                return {sent > 0 ? static_cast<int>(sent) : -1, put.error};
        }
        if (!net::is_blocking(fd)) {
            if (sent > 0) return {static_cast<int>(sent), kKeepErrno};
            return {-1, EWOULDBLOCK};
        }
        if (await_descriptor(false, true, net::Deadline::never()) == net::Ready::failed)
            return {sent > 0 ? static_cast<int>(sent) : -1, errno};
    }
}

CallResult Connection::tls_receive(std::span<char> buffer) {
    const std::lock_guard guard(mutex_);
    if (!is_ok() || ssl == nullptr) return {-1, EBADF};
    if (tls_handshaking_) return {-2, EWOULDBLOCK};
    return from_tls(net::tls_receive(ssl, std::as_writable_bytes(buffer)));
}

CallResult Connection::tls_send(std::span<const char> buffer) {
    const std::lock_guard guard(mutex_);
    if (!is_ok() || ssl == nullptr) return {-1, EBADF};
    if (tls_handshaking_) return {-2, EWOULDBLOCK};
    program_wrote_ = true;
    return from_tls(net::tls_send(ssl, std::as_bytes(buffer)));
}

}  // namespace nopoll::core
