// SPDX-License-Identifier: MIT
//
// Exported process-wide variables and the signal handler, see exported_state.hpp.
#include "core/exported_state.hpp"

#include "core/atomic_field.hpp"

extern "C" {
noPollCtx* __nopoll_conn_ssl_ctx_debug = nullptr;
nopoll_bool __nopoll_tls_was_init = nopoll_false;
nopoll_bool __nopoll_nonce_init = nopoll_false;

void __nopoll_ctx_sigpipe_do_nothing(int /*signal_number*/) {}
}

namespace nopoll::core {

void note_tls_use() {
    store_field(__nopoll_tls_was_init, nopoll_true);
}

void forget_tls_use() {
    store_field(__nopoll_tls_was_init, nopoll_false);
}

bool tls_was_used() {
    return load_field(__nopoll_tls_was_init) != nopoll_false;
}

void note_nonce_use() {
    store_field(__nopoll_nonce_init, nopoll_true);
}

void note_tls_debug_context(noPollCtx* ctx) {
    store_field(__nopoll_conn_ssl_ctx_debug, ctx);
}

}  // namespace nopoll::core
