// SPDX-License-Identifier: MIT
// The proof of RFC 6455 4.2.2 (5.4) that the server read the client's key.
#pragma once

#include <string>
#include <string_view>

namespace nopoll::protocol {

// Base64 of the SHA-1 of the key text, as it is, and the GUID of the RFC. Any text will do as key.
// Empty only if the crypto library refuses SHA-1.
[[nodiscard]] std::string accept_key_for(std::string_view key);

}  // namespace nopoll::protocol
