// SPDX-License-Identifier: MIT
// RAND_bytes and batches of masking keys.
#include "net/random.hpp"

#include <algorithm>
#include <limits>

#include <openssl/rand.h>

#include "net/process.hpp"

namespace nopoll::net {

bool random_bytes(std::span<std::byte> out) {
    constexpr std::size_t kMost = std::numeric_limits<int>::max();
    while (!out.empty()) {
        const std::size_t count = std::min(out.size(), kMost);
        auto* bytes = reinterpret_cast<unsigned char*>(out.data());
        if (RAND_bytes(bytes, static_cast<int>(count)) != 1) return false;
        out = out.subspan(count);
    }
    return true;
}

std::optional<MaskKeys::Key> MaskKeys::next() {
    const pid_t here = process_id();
    if (left_ == 0 || owner_ != here) {
        left_ = 0;
        if (!random_bytes(std::as_writable_bytes(std::span(keys_)))) return std::nullopt;
        left_ = kBatch;
        owner_ = here;
    }
    return keys_[--left_];
}

}  // namespace nopoll::net
