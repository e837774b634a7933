// SPDX-License-Identifier: MIT
// The private end of closed connections; see linger.hpp.
#include "core/linger.hpp"

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>

#include "net/clock.hpp"
#include "net/no_cancel.hpp"
#include "net/plain_transport.hpp"
#include "net/readiness.hpp"
#include "net/tls_transport.hpp"

namespace nopoll::core {
namespace {

// More than a socket buffers by default: all that is there can be read away in one call.
constexpr std::size_t kDrainInOneCall = std::size_t{8} << 20;
// At the end of a context nobody runs a loop any more: closed connections may still owe their
// peers some bytes, for which this much time is given.
constexpr std::int64_t kLastWritesUs = 10'000'000;
// A peer that was sending, and now is silent for so long, has read our last frame or never will.
constexpr int kSilenceMs = 100;

enum class Drained { some, nothing_now, ended };

// At most `most` bytes are thrown away and counted.
Drained drain(int fd, std::size_t most, std::size_t& count) {
    std::array<std::byte, 16 * 1024> scratch;
    for (std::size_t taken = 0; taken < most;) {
        const net::IoResult got = net::receive(fd, scratch);
        if (got.status == net::IoResult::Status::would_block) return Drained::nothing_now;
        if (got.status != net::IoResult::Status::ok) return Drained::ended;
        taken += got.bytes;
        count += got.bytes;
    }
    return Drained::some;
}

net::IoResult write_next(const Linger& linger, std::span<const std::byte> bytes) {
    if (!linger.ssl) return net::send(linger.fd.get(), bytes, {}, !linger.outbox.last_segment());
    net::IoResult sent = net::tls_send(linger.ssl.get(), bytes);
    // Nobody reads from this peer any more: what it wants to talk over will never come to an end.
    if (sent.status == net::IoResult::Status::would_block && !sent.want_write)
        sent = net::IoResult::failure(EPIPE);
    if (sent.status == net::IoResult::Status::failed) (void)net::drain_error_queue();
    return sent;
}

LingerState advance_draining(Linger& linger, std::int64_t now_us) {
    const Drained drained = drain(linger.fd.get(), kDrainStep, linger.drained);
    const bool enough = linger.drained >= kDrainLimit || now_us >= linger.give_up_us;
    return drained == Drained::ended || enough ? LingerState::done : LingerState::waiting;
}

}  // namespace

void close_drained(net::UniqueFd fd) {
    (void)::shutdown(fd.get(), SHUT_RD);
    fd.reset();
}

void close_gracefully(net::UniqueFd fd) {
    std::size_t count = 0;
    if (::shutdown(fd.get(), SHUT_WR) == 0) (void)drain(fd.get(), kDrainInOneCall, count);
    close_drained(std::move(fd));
}

LingerState advance_linger(Linger& linger, std::int64_t now_us) {
    const auto blocked = [&] {
        return now_us >= linger.give_up_us ? LingerState::gave_up : LingerState::waiting;
    };
    while (!linger.draining) {
        const std::span<const std::byte> bytes = linger.outbox.next();
        if (bytes.empty()) {
            if (linger.ssl && !net::tls_close_notify(linger.ssl.get())) return blocked();
            if (::shutdown(linger.fd.get(), SHUT_WR) != 0) return LingerState::done;
            linger.draining = true;
            linger.give_up_us = now_us + kDrainPatienceUs;
            break;
        }
        const net::IoResult sent = write_next(linger, bytes);
        switch (sent.status) {
        case net::IoResult::Status::ok:
            linger.outbox.written(sent.bytes);
            linger.give_up_us = now_us + kLingerPatienceUs;
            break;
        case net::IoResult::Status::would_block: return blocked();
        default: return LingerState::failed;
        }
    }
    return advance_draining(linger, now_us);
}

void finish_lingering(LingerList& list) {
    const net::NoCancel no_cancel;  // destructors come here
    const net::Deadline deadline = net::Deadline::after_us(kLastWritesUs);
    for (Linger& linger : list)
        while (!linger.draining && advance_linger(linger, net::now_us()) == LingerState::waiting &&
               !linger.draining)
            if (net::wait_writable(linger.fd.get(), deadline) != net::Ready::yes) break;
    for (;;) {
        const std::int64_t now = net::now_us();
        std::erase_if(list, [now](Linger& linger) {
            return !linger.draining || advance_linger(linger, now) != LingerState::waiting ||
                   linger.drained == 0;
        });
        std::array<pollfd, kMostDraining> sending{};
        nfds_t count = 0;
        for (const Linger& linger : list)
            if (count < sending.size()) sending[count++] = {linger.fd.get(), POLLIN, 0};
        if (count == 0) return;
        const int ready = ::poll(sending.data(), count, kSilenceMs);
        if (ready == 0 || (ready < 0 && errno != EINTR)) break;
    }
    list.clear();
}

}  // namespace nopoll::core
