// SPDX-License-Identifier: MIT
// The private end of closed connections; see linger.hpp.
#include "core/linger.hpp"

#include <array>
#include <sys/socket.h>

#include "net/plain_transport.hpp"

namespace nopoll::core {

void close_gracefully(net::UniqueFd fd) {
    constexpr std::size_t kDrainLimit = 64 * 1024;
    if (::shutdown(fd.get(), SHUT_WR) == 0) {
        std::array<std::byte, 4096> scratch;
        for (std::size_t drained = 0; drained < kDrainLimit;) {
            const net::IoResult got = net::receive(fd.get(), scratch);
            if (got.status != net::IoResult::Status::ok) break;
            drained += got.bytes;
        }
    }
    // Says nothing to the peer, but wakes a thread that waits for input on this descriptor.
    (void)::shutdown(fd.get(), SHUT_RD);
    fd.reset();
}

LingerState advance_linger(Linger& linger, std::int64_t now_us) {
    for (;;) {
        const std::span<const std::byte> bytes = linger.outbox.next();
        if (bytes.empty()) return LingerState::done;
        const net::IoResult sent =
            net::send(linger.fd.get(), bytes, {}, !linger.outbox.last_segment());
        switch (sent.status) {
        case net::IoResult::Status::ok:
            linger.outbox.written(sent.bytes);
            linger.give_up_us = now_us + kLingerPatienceUs;
            break;
        case net::IoResult::Status::would_block:
            return now_us >= linger.give_up_us ? LingerState::gave_up : LingerState::waiting;
        default: return LingerState::failed;
        }
    }
}

}  // namespace nopoll::core
