// SPDX-License-Identifier: MIT
// The BIO that joins an SSL object to a connection's descriptor. Private to the TLS transport.
#pragma once

#include "net/tls_handles.hpp"

namespace nopoll::net {

// Reads the descriptor from *fd for each call. Null: no memory.
[[nodiscard]] BioPtr make_descriptor_bio(const int* fd);

// Whether it is one of those: only they carry their type number. A program may have put another
// one into an SSL object.
[[nodiscard]] bool is_descriptor_bio(BIO* bio);

// errno of the last system call that failed in the BIO of ssl, 0 if none did.
[[nodiscard]] int last_io_error(const SSL* ssl);

}  // namespace nopoll::net
