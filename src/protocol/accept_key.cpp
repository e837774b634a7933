// SPDX-License-Identifier: MIT
// Sec-WebSocket-Accept (RFC 6455 4.2.2). SHA-1 comes from OpenSSL: the only use of a foreign
// library in this layer.
#include "protocol/accept_key.hpp"

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <span>

#include "protocol/base64.hpp"

namespace nopoll::protocol {

std::string accept_key_for(std::string_view key) {
    std::string text(key);
    text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
        return {};
    }
    return base64_encode(std::as_bytes(std::span(digest).first(size)));
}

}  // namespace nopoll::protocol
