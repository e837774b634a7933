/* SPDX-License-Identifier: MIT */
/*
 * Contexts: what connections, handlers, certificates, limits and a log belong to. A program may
 * have any number of them; they share nothing but the mutex hooks and OpenSSL.
 *
 * All setters here may be called in any thread, also while a loop runs; they act on what happens
 * afterwards.
 */
#ifndef __NOPOLL_CTX_H__
#define __NOPOLL_CTX_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Makes a context with one reference, no connections and the log off.
 *
 * Unless the program handles or ignores SIGPIPE, a handler that does nothing is installed for it
 * and stays. The NOPOLL_ variables of the environment, described in nopoll_ext.h, are read now.
 *
 * @return the context, to be released with nopoll_ctx_unref(); NULL when memory is short.
 */
noPollCtx* nopoll_ctx_new(void);

/**
 * Takes a reference.
 *
 * @return nopoll_true; nopoll_false for NULL.
 */
nopoll_bool nopoll_ctx_ref(noPollCtx* ctx);

/**
 * Gives a reference back; with the last one the context is freed.
 *
 * Each connection object holds a reference of its own, from its registration until it is freed. So
 * a program may drop its reference while connections live: they keep working, and the context ends
 * with the last of them. They are not closed by this call.
 *
 * Data that nopoll_loop_wait() had queued for slow readers (see nopoll_ctx_set_send_queue_limit())
 * is written at the end, waiting for at most 10 s.
 *
 * @param ctx the context; NULL: nothing happens.
 */
void nopoll_ctx_unref(noPollCtx* ctx);

/**
 * @return the number of references at this moment: the program's and one for each connection object
 *         that is alive; -1 for NULL.
 */
int nopoll_ctx_ref_count(noPollCtx* ctx);

/**
 * Declared for old sources only and defined nowhere: a program that calls it does not link. Use
 * nopoll_ctx_unref().
 */
void nopoll_ctx_free(noPollCtx* ctx);

/**
 * @return the number of connections registered now: listeners, clients and accepted ones, also
 *         those that have ended but were neither closed nor yet dropped by the loop; -1 for NULL.
 */
int nopoll_ctx_conns(noPollCtx* ctx);

/**
 * Registers a connection, so that the loop serves it. All functions that make connections do this
 * themselves; a program needs it only after nopoll_ctx_unregister_conn().
 *
 * Gives the connection an id not used in the context before, and takes a reference on it; on the
 * context one is taken with the first registration only. Registering a registered connection is a
 * mistake that is not detected.
 *
 * @return nopoll_true; nopoll_false, with nothing changed, when an argument is NULL or memory is
 *         short.
 */
nopoll_bool nopoll_ctx_register_conn(noPollCtx* ctx, noPollConn* conn);

/**
 * Takes a connection out of a context and gives the registry's reference back, which frees the
 * object if that was the last one. Its socket stays as it is and on_close is not called: to end a
 * connection use nopoll_conn_close(). The connection goes on holding its context reference.
 *
 * @param ctx  the context.
 * @param conn the connection. NULL, or not registered here: nothing happens.
 */
void nopoll_ctx_unregister_conn(noPollCtx* ctx, noPollConn* conn);

/**
 * Calls a function for each registered connection, in the order of their places in the registry,
 * until it returns non-zero. What it may do meanwhile is said at noPollForeachConn: a connection
 * that goes before its turn is left out, one that comes may be visited still. Other threads may
 * change the registry during the walk.
 *
 * @param ctx       the context. It stays alive until the walk is over.
 * @param visitor   the function.
 * @param user_data passed through to it.
 * @return the connection for which it returned non-zero, without a reference for the caller: if
 *         the function has closed it, the pointer is good for comparing only. NULL when there was
 *         none or ctx or visitor is NULL.
 */
noPollConn* nopoll_ctx_foreach_conn(noPollCtx* ctx, noPollForeachConn visitor, noPollPtr user_data);

/**
 * Adds a certificate for accepted TLS connections to the store of a context.
 *
 * An accepted connection presents what the options of its listener carry, else what was given to
 * nopoll_listener_set_certificate(), else one from here: the entry for the name that the client
 * asks for (SNI, regardless of case), else the default entry, else the first one. With none of
 * these the client is refused.
 *
 * The strings are copied; the files are opened when a client comes, so mistakes in them show only
 * then. An entry cannot be changed or removed: a second call with the same name does nothing.
 *
 * @param ctx              the context.
 * @param server_name      host name the entry is for; NULL for the default entry.
 * @param certificate_file PEM file, the certificate first, intermediate ones may follow.
 * @param private_key      PEM file with its key, not encrypted.
 * @param chain_file       PEM file with (further) intermediate certificates, which are sent after
 *                         those of certificate_file; NULL for none.
 * @return 1; 0 when ctx, certificate_file or private_key is NULL or memory is short.
 */
nopoll_bool nopoll_ctx_set_certificate(noPollCtx* ctx, const char* server_name,
                                       const char* certificate_file, const char* private_key,
                                       const char* chain_file);

/**
 * Looks an entry up that nopoll_ctx_set_certificate() has stored. Names are compared with regard
 * to case; there are no wildcards, and a name that is not there does not fall back to the default.
 *
 * @param ctx              the context.
 * @param server_name      the name; NULL for the default entry, or without one the first entry.
 * @param certificate_file gets the file name. Each of the three may be NULL. What is set belongs to
 *                         the context and stays until that is freed.
 * @param private_key      gets the file name.
 * @param chain_file       gets the file name, or NULL if the entry has none.
 * @return 1 when found; 0, with nothing set, when not or ctx is NULL.
 */
nopoll_bool nopoll_ctx_find_certificate(noPollCtx* ctx, const char* server_name,
                                        const char** certificate_file, const char** private_key,
                                        const char** chain_file);

/**
 * Sets what is called for each accepted connection before anything is read from it; it may refuse
 * the connection. When and how: noPollActionHandler, on_accept.
 *
 * @param ctx       the context; NULL: nothing happens.
 * @param on_accept the handler, in place of the one before. NULL is ignored and logged: a handler
 *                  cannot be removed.
 * @param user_data passed through to it.
 */
void nopoll_ctx_set_on_accept(noPollCtx* ctx, noPollActionHandler on_accept, noPollPtr user_data);

/**
 * Sets what is called for each accepted connection when its request is complete and valid, before
 * it is answered; it may refuse the request. When and how: noPollActionHandler, on_open.
 *
 * @param ctx       the context; NULL: nothing happens.
 * @param on_open   the handler, in place of the one before. NULL is ignored and logged.
 * @param user_data passed through to it.
 */
void nopoll_ctx_set_on_open(noPollCtx* ctx, noPollActionHandler on_open, noPollPtr user_data);

/**
 * Sets what is called for each connection, client or accepted, when its opening handshake has
 * succeeded and messages may be sent. A connection with a handler of its own
 * (nopoll_conn_set_on_ready()) calls that one instead. When and how: noPollActionHandler, on_ready.
 *
 * @param ctx       the context; NULL: nothing happens.
 * @param on_ready  the handler, in place of the one before. NULL is ignored and logged.
 * @param user_data passed through to it.
 */
void nopoll_ctx_set_on_ready(noPollCtx* ctx, noPollActionHandler on_ready, noPollPtr user_data);

/**
 * Sets what nopoll_loop_wait() calls for each message. A connection with a handler of its own
 * (nopoll_conn_set_on_msg()) calls that one instead; without any, messages are dropped.
 *
 * nopoll_conn_get_msg() and nopoll_conn_read() never call it.
 *
 * @param ctx       the context; NULL: nothing happens.
 * @param on_msg    the handler, in place of the one before; NULL removes it.
 * @param user_data passed through to it.
 */
void nopoll_ctx_set_on_msg(noPollCtx* ctx, noPollOnMessageHandler on_msg, noPollPtr user_data);

/**
 * Sets a function that makes the SSL_CTX of each TLS connection, client and accepted, in place of
 * the library. What it must return: noPollSslContextCreator.
 *
 * @param ctx             the context; NULL: nothing happens.
 * @param context_creator the function; NULL lets the library make them again.
 * @param user_data       passed through to it.
 */
void nopoll_ctx_set_ssl_context_creator(noPollCtx* ctx, noPollSslContextCreator context_creator,
                                        noPollPtr user_data);

/**
 * Sets a function that looks at each TLS session after its handshake, client and accepted, and may
 * refuse it. When and how: noPollSslPostCheck.
 *
 * @param ctx            the context; NULL: nothing happens.
 * @param post_ssl_check the function; NULL removes it.
 * @param user_data      passed through to it.
 */
void nopoll_ctx_set_post_ssl_check(noPollCtx* ctx, noPollSslPostCheck post_ssl_check,
                                   noPollPtr user_data);

/**
 * Sets the protocol version that clients announce in Sec-WebSocket-Version and that listeners
 * demand there. 13 is the one of RFC 6455 (section 4.1) and the default; other values serve tests.
 *
 * @param ctx     the context; NULL: nothing happens.
 * @param version the number; any is taken.
 */
void nopoll_ctx_set_protocol_version(noPollCtx* ctx, int version);

/**
 * Sets the largest frame payload that connections of this context take. A frame that announces more
 * ends the connection with status 1009 (RFC 6455 section 7.4.1) before anything is stored. The
 * limit counts single frames, not messages of several ones; sending is not limited.
 *
 * Options of the connection, or of its listener, that carry a limit win over it. Frames above 16
 * MiB, possible only with a higher limit, are delivered in pieces: see nopoll_conn_get_msg().
 *
 * @param ctx            the context; NULL: nothing happens.
 * @param max_frame_size bytes, from 1 to NOPOLL_MAX_FRAME_SIZE_LIMIT; other values are ignored and
 *                       logged.
 */
void nopoll_ctx_set_max_frame_size(noPollCtx* ctx, long max_frame_size);

/**
 * @return the limit in bytes set with nopoll_ctx_set_max_frame_size(), or
 *         NOPOLL_MAX_FRAME_SIZE_DEFAULT when none was set and for NULL.
 */
long nopoll_ctx_get_max_frame_size(noPollCtx* ctx);

/**
 * For the library's own use, kept for programs that call it.
 *
 * @return 1 when the connection is registered in the context now, found by its id; else, and for
 *         NULL, 0.
 */
nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn);

END_C_DECLS

#endif /* __NOPOLL_CTX_H__ */
