// SPDX-License-Identifier: MIT
// The BIO that joins an SSL object to a connection's descriptor. Private to the TLS transport.
#pragma once

#include "net/tls_handles.hpp"

namespace nopoll::net {

// Reads the descriptor from *fd for each call. Null: no memory.
[[nodiscard]] BioPtr make_descriptor_bio(const int* fd);

// errno of the last system call that failed in the BIO of ssl, 0 if none did.
[[nodiscard]] int last_io_error(const SSL* ssl);

}  // namespace nopoll::net
