// SPDX-License-Identifier: MIT
// recv, recvmsg and sendmsg with the flags that every call needs.
#include "net/plain_transport.hpp"

#include <cerrno>
#include <optional>

#include <sys/socket.h>
#include <sys/uio.h>

#include "net/no_cancel.hpp"

namespace nopoll::net {

namespace {

int wait_flag(Waiting waiting) {
    return waiting == Waiting::never ? MSG_DONTWAIT : 0;
}

// A thread that is cancelled between a system call and the books about its bytes would leave a
// stream that nobody can read any more. Calls that do not wait are therefore no place to end;
// those that wait (poll, select) are.
template <class Call>
ssize_t repeated(Waiting waiting, Call call) {
    std::optional<NoCancel> no_cancel;
    if (waiting == Waiting::never) no_cancel.emplace();
    ssize_t count = -1;
    do {
        count = call();
    } while (count < 0 && errno == EINTR);
    return count;
}

IoResult failure_of_call(bool writing) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return IoResult::blocked(writing);
    return IoResult::failure(errno);
}

// Of a read into a buffer that has room: there 0 means the end.
IoResult result_of_read(ssize_t count) {
    if (count > 0) return IoResult::moved(static_cast<std::size_t>(count));
    return count == 0 ? IoResult::ended() : failure_of_call(false);
}

IoResult receive_with(int fd, std::span<std::byte> into, Waiting waiting, int flags) {
    if (into.empty()) return IoResult::moved(0);
    flags |= wait_flag(waiting);
    return result_of_read(
        repeated(waiting, [&] { return recv(fd, into.data(), into.size(), flags); }));
}

iovec io_vector(std::span<std::byte> bytes) {
    return {bytes.data(), bytes.size()};
}

// sendmsg only reads what iovec points at, but the type has no const.
iovec io_vector(std::span<const std::byte> bytes) {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

}  // namespace

IoResult receive(int fd, std::span<std::byte> into, Waiting waiting) {
    return receive_with(fd, into, waiting, 0);
}

IoResult peek(int fd, std::span<std::byte> into) {
    return receive_with(fd, into, Waiting::never, MSG_PEEK);
}

IoResult receive_scatter(int fd, std::span<std::byte> first, std::span<std::byte> second) {
    if (second.empty()) return receive(fd, first);
    if (first.empty()) return receive(fd, second);
    iovec vectors[2] = {io_vector(first), io_vector(second)};
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = 2;
    return result_of_read(
        repeated(Waiting::never, [&] { return recvmsg(fd, &message, MSG_DONTWAIT); }));
}

IoResult send(int fd, std::span<const std::byte> header, std::span<const std::byte> payload,
              bool more, Waiting waiting) {
    if (header.empty() && payload.empty()) return IoResult::moved(0);
    iovec vectors[2];
    msghdr message{};
    message.msg_iov = vectors;
    if (!header.empty()) vectors[message.msg_iovlen++] = io_vector(header);
    if (!payload.empty()) vectors[message.msg_iovlen++] = io_vector(payload);
    const int flags = MSG_NOSIGNAL | wait_flag(waiting) | (more ? MSG_MORE : 0);
    const ssize_t count = repeated(waiting, [&] { return sendmsg(fd, &message, flags); });
    if (count < 0) return failure_of_call(true);
    return IoResult::moved(static_cast<std::size_t>(count));
}

}  // namespace nopoll::net
