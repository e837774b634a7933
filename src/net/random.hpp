// SPDX-License-Identifier: MIT
// Unpredictable bytes for handshake keys and masking keys (RFC 6455 10.3), from OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include <sys/types.h>

namespace nopoll::net {

[[nodiscard]] bool random_bytes(std::span<std::byte> out);

// Masking keys of one connection, drawn in batches because each call into the generator costs
// about as much as sending a frame. Not for use by two threads at once.
class MaskKeys {
public:
    using Key = std::array<std::byte, 4>;

    // Nothing when the generator failed: then no frame may be sent.
    [[nodiscard]] std::optional<Key> next();

private:
    static constexpr std::size_t kBatch = 64;
    std::array<Key, kBatch> keys_{};
    std::size_t left_ = 0;
    pid_t owner_ = 0;  // a child process must not reuse the keys of its parent
};

}  // namespace nopoll::net
