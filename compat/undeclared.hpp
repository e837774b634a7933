// SPDX-License-Identifier: MIT
// The 53 exported names that no installed header declares: 46 functions and 7 variables. Programs
// have been seen to declare and call them, so names and signatures are part of the ABI. The
// variables are defined in src/core (mutex_hooks.cpp, exported_state.cpp), which uses them.
#pragma once

#include "core/face.hpp"

#pragma GCC visibility push(default)
extern "C" {

// Creating connections and listeners (connection.md section 11, listener.md).
nopoll_bool __nopoll_conn_accept_complete_common(noPollCtx* ctx, noPollConnOpts* options,
                                                 noPollConn* listener, noPollConn* conn,
                                                 int session, nopoll_bool tls_on);
char* __nopoll_conn_get_client_init(noPollConn* conn, noPollConnOpts* opts);
noPollConn* __nopoll_conn_new_common(noPollCtx* ctx, noPollConnOpts* options,
                                     noPollTransport transport, nopoll_bool enable_tls, int socket,
                                     const char* host_ip, const char* host_port,
                                     const char* host_name, const char* get_url,
                                     const char* protocols, const char* origin);
void __nopoll_conn_opts_free_common(noPollConnOpts* opts);
int __nopoll_conn_sock_connect_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                             const char* host, const char* port,
                                             noPollConnOpts* options);
noPollConn* __nopoll_listener_new_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                                noPollConnOpts* opts, const char* host,
                                                const char* port);
int __nopoll_listener_sock_listen_internal(noPollCtx* ctx, noPollTransport transport,
                                           const char* host, const char* port);
noPollConn* __nopoll_listener_tls_new_opts_internal(noPollCtx* ctx, noPollTransport transport,
                                                    noPollConnOpts* opts, const char* host,
                                                    const char* port);
nopoll_bool nopoll_conn_set_bind_interface(int socket, noPollConnOpts* options);
nopoll_bool nopoll_conn_set_sock_tcp_nodelay(int socket, nopoll_bool enable);
int nopoll_conn_sock_connect(noPollCtx* ctx, const char* host, const char* port);
int nopoll_conn_sock_connect_opts(noPollCtx* ctx, const char* host, const char* port,
                                  noPollConnOpts* options);

// TLS (connection.md sections 10 and 11).
SSL_CTX* __nopoll_conn_get_ssl_context(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* opts,
                                       nopoll_bool is_client);
nopoll_bool __nopoll_conn_set_ssl_client_options(noPollCtx* ctx, noPollConn* conn,
                                                 noPollConnOpts* options);
int __nopoll_conn_ssl_verify_callback(int ok, X509_STORE_CTX* store);
int __nopoll_conn_tls_handle_error(noPollConn* conn, int res, const char* label,
                                   nopoll_bool* needs_retry);
int nopoll_conn_log_ssl(noPollConn* conn);
int nopoll_conn_tls_receive(noPollConn* conn, char* buffer, int buffer_size);
int nopoll_conn_tls_send(noPollConn* conn, char* buffer, int buffer_size);

// Opening handshake (handshake.md).
nopoll_bool __nopoll_conn_call_on_ready_if_defined(noPollCtx* ctx, noPollConn* conn);
nopoll_bool nopoll_conn_check_mime_header_repeated(noPollConn* conn, char* header, char* value,
                                                   const char* ref_header, noPollPtr check);
void nopoll_conn_complete_handshake_check(noPollConn* conn);
nopoll_bool nopoll_conn_complete_handshake_check_client(noPollCtx* ctx, noPollConn* conn);
nopoll_bool nopoll_conn_complete_handshake_check_listener(noPollCtx* ctx, noPollConn* conn);
int nopoll_conn_complete_handshake_client(noPollCtx* ctx, noPollConn* conn, char* buffer,
                                          int buffer_size);
int nopoll_conn_complete_handshake_listener(noPollCtx* ctx, noPollConn* conn, char* buffer,
                                            int buffer_size);
nopoll_bool nopoll_conn_get_http_url(noPollConn* conn, const char* buffer, int buffer_size,
                                     const char* method, char** url);
nopoll_bool nopoll_conn_get_mime_header(noPollCtx* ctx, noPollConn* conn, const char* buffer,
                                        int buffer_size, char** header, char** value);
char* nopoll_conn_produce_accept_key(noPollCtx* ctx, const char* websocket_key);
int nopoll_conn_readline(noPollConn* conn, char* buffer, int maxlen);

// Frames (frames.md section 8).
int __nopoll_conn_complete_pending_write_reduce_header(noPollConn* conn, int bytes_written);
int __nopoll_conn_receive(noPollConn* conn, char* buffer, int maxlen);
void __nopoll_pack_content(char* buffer, int start, int bytes);

// Loop and engine (context-and-loop.md sections 6, 8 and 9).
// NOLINTNEXTLINE(readability-redundant-declaration): src/core has it, this is the list of all
void __nopoll_ctx_sigpipe_do_nothing(int signal_number);
nopoll_bool nopoll_io_wait_select_add_to(int fd, noPollCtx* ctx, noPollConn* conn, noPollPtr set);
void nopoll_io_wait_select_clear(noPollCtx* ctx, noPollPtr set);
noPollPtr nopoll_io_wait_select_create(noPollCtx* ctx);
void nopoll_io_wait_select_destroy(noPollCtx* ctx, noPollPtr set);
nopoll_bool nopoll_io_wait_select_is_set(noPollCtx* ctx, int fd, noPollPtr set);
int nopoll_io_wait_select_wait(noPollCtx* ctx, noPollPtr set);
void nopoll_loop_init(noPollCtx* ctx);
nopoll_bool nopoll_loop_process(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);
void nopoll_loop_process_data(noPollCtx* ctx, noPollConn* conn);
nopoll_bool nopoll_loop_register(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);

// Strings (messages-logging-utils.md section 3).
nopoll_bool nopoll_is_white_space(char* chunk);
int nopoll_vprintf_len(const char* format, va_list args);

// Variables. NOLINTBEGIN(readability-redundant-declaration)
extern noPollMutexCreate __nopoll_mutex_create;
extern noPollMutexDestroy __nopoll_mutex_destroy;
extern noPollMutexLock __nopoll_mutex_lock;
extern noPollMutexUnlock __nopoll_mutex_unlock;
extern noPollCtx* __nopoll_conn_ssl_ctx_debug;
extern nopoll_bool __nopoll_tls_was_init;
extern nopoll_bool __nopoll_nonce_init;
// NOLINTEND(readability-redundant-declaration)
}
#pragma GCC visibility pop
