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

// While it lives ssl reads from its descriptor so many times at most, then it would block.
// OpenSSL goes on by itself after records that carry no data of the program (key updates, tickets,
// alerts): a peer that sends nothing else would keep the caller for as long as it likes.
class ReadLimit {
public:
    explicit ReadLimit(SSL* ssl);
    ReadLimit(const ReadLimit&) = delete;
    ReadLimit& operator=(const ReadLimit&) = delete;
    ~ReadLimit();

private:
    void set(int reads);
    SSL* ssl_;
};

// errno of the last system call that failed in the BIO of ssl, 0 if none did.
[[nodiscard]] int last_io_error(const SSL* ssl);

}  // namespace nopoll::net
