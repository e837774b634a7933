// SPDX-License-Identifier: MIT
// Handshake, input and output of one TLS connection over a descriptor. No call here waits or
// raises SIGPIPE. Before each one OpenSSL's error queue is emptied; after a failure it holds the
// reasons (drain_error_queue). Calls on one SSL must not overlap.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "net/io_result.hpp"
#include "net/tls_handles.hpp"

namespace nopoll::net {

// Connects ssl with the descriptor that *fd holds at the time of each read or write, read as an
// atomic: it may be set to -1 or replaced meanwhile. *fd must outlive ssl. False: no memory.
[[nodiscard]] bool attach_descriptor(SSL* ssl, const int* fd);

// For what is left to do after the program's side has ended: from now on ssl writes to this
// descriptor, looks at no *fd and knows no owner any more, and callbacks of the program that watch
// it do not run. False: the program has put in a BIO of its own.
[[nodiscard]] bool take_private(SSL* ssl, int fd);

enum class TlsStep { done, want_read, want_write, failed };

[[nodiscard]] TlsStep tls_accept(SSL* ssl);
[[nodiscard]] TlsStep tls_connect(SSL* ssl);

// A close_notify and a bare end of the stream both give `end`. would_block does not mean that the
// socket is empty: after some records without data the caller gets a chance to serve others.
IoResult tls_receive(SSL* ssl, std::span<std::byte> into);

// As receive, but the bytes stay. Only what fits into one record can be seen.
IoResult tls_peek(SSL* ssl, std::span<std::byte> into);

// Sends as much as the socket takes; short counts are normal. After would_block or a short count
// the next call must begin with the first unsent byte and offer no fewer bytes than are left of
// that record: at least min(rest of this call's bytes, 16384). The memory may move.
IoResult tls_send(SSL* ssl, std::span<const std::byte> bytes);

// Decrypted bytes that wait inside ssl: no select shows them.
[[nodiscard]] std::size_t tls_pending(const SSL* ssl);

// One try to tell the peer that the stream ends here; nothing when the handshake is not over.
// False: the socket does not take it now, another try may.
bool tls_close_notify(SSL* ssl);

// Readable text of OpenSSL's error queue of this thread, which is empty afterwards; "" if it was.
[[nodiscard]] std::string drain_error_queue();

// Why tls_accept or tls_connect has just failed, for whoever reads the log; never "". Empties the
// error queue.
[[nodiscard]] std::string handshake_failure(const SSL* ssl);

}  // namespace nopoll::net
