// SPDX-License-Identifier: MIT
//
// The process-wide variables that the library exports besides the mutex hooks (spec: connection.md
// section 11, messages-logging-utils.md section 5), and the SIGPIPE handler that contexts install.
// Nothing in the library depends on the values; programs may look at them.
#pragma once

#include "core/face.hpp"

#pragma GCC visibility push(default)
extern "C" {
extern noPollCtx* __nopoll_conn_ssl_ctx_debug;
extern nopoll_bool __nopoll_tls_was_init;
extern nopoll_bool __nopoll_nonce_init;
void __nopoll_ctx_sigpipe_do_nothing(int signal_number);
}
#pragma GCC visibility pop

namespace nopoll::core {

// First TLS client or TLS accept of the process (or the first one after forget_tls_use).
void note_tls_use();
void forget_tls_use();
[[nodiscard]] bool tls_was_used();

void note_nonce_use();

// The context that verify callbacks logged to last; kept for readers only, never followed.
void note_tls_debug_context(noPollCtx* ctx);

}  // namespace nopoll::core
