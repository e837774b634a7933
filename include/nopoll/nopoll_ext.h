/* SPDX-License-Identifier: MIT */
/*
 * What this library offers beyond noPoll 0.4.8. nopoll.h includes it; a program that must build
 * with both tests "#ifdef __NOPOLL_EXT_H__".
 *
 * Setters act on what is created, accepted or waited for afterwards. They may be called in any
 * thread; with NULL they do nothing.
 *
 * For programs that cannot be changed, variables of the environment set the defaults. They are
 * read by nopoll_ctx_new(), kept per context, and ignored in set-user-ID programs; a call of the
 * program wins. A value not named here is ignored and reported once in the log.
 *
 *     NOPOLL_STRICT             0 or 1                    nopoll_ctx_set_strict()
 *     NOPOLL_TLS_HOST_VERIFY    0 or 1                    nopoll_conn_opts_ssl_host_verify()
 *     NOPOLL_HANDSHAKE_TIMEOUT  seconds, 0 = no limit     nopoll_ctx_set_handshake_timeout()
 *     NOPOLL_SEND_QUEUE_LIMIT   bytes, 0 = sends wait     nopoll_ctx_set_send_queue_limit()
 *     NOPOLL_IO_ENGINE          select, poll or epoll     nopoll_ctx_set_io_engine()
 */
#ifndef __NOPOLL_EXT_H__
#define __NOPOLL_EXT_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Chooses strict mode for the connections of a context. Strict mode enforces the two rules of RFC
 * 6455 that programs built with noPoll break among themselves:
 *
 * - Text must be UTF-8 (section 8.1), over the whole message. Received text that is not ends the
 *   connection with status 1007 at the first bad byte; nopoll_conn_send_text() and the like refuse
 *   it with errno EILSEQ.
 * - A text or binary frame inside an unfinished message (section 5.4) ends the connection with
 *   status 1002. Otherwise it counts as the next frame of that message.
 *
 * All other rules hold in both modes.
 *
 * @param ctx    the context.
 * @param strict non-zero for strict mode, 0 for the compatible one, which is the default.
 */
void nopoll_ctx_set_strict(noPollCtx* ctx, nopoll_bool strict);

/**
 * Chooses the mode for connections made with these options, or accepted by a listener that has
 * them, whatever their context says. Looked at when the connection is made. Without this call the
 * context decides.
 *
 * @param opts   the options.
 * @param strict as for nopoll_ctx_set_strict().
 */
void nopoll_conn_opts_set_strict(noPollConnOpts* opts, nopoll_bool strict);

/**
 * Chooses whether a TLS client compares the name in the server's certificate with the host name it
 * was given (RFC 6455 section 4.1, RFC 6125). By default it does exactly where it verifies the
 * peer: see nopoll_conn_opts_ssl_peer_verify().
 *
 * The name compared is host_name of the creating function, else host_ip, without port and
 * brackets; addresses are compared with the addresses in the certificate. A mismatch ends the
 * connection during its creation. No effect on listeners.
 *
 * @param opts   the options.
 * @param verify 0: only the chain of certificates is checked, if at all. Non-zero: the name is
 *               compared; if peer verification is off, it alone is, whoever signed the certificate.
 */
void nopoll_conn_opts_ssl_host_verify(noPollConnOpts* opts, nopoll_bool verify);

/**
 * Sets how long an accepted connection may take, from accept on, to finish its TLS and opening
 * handshakes while nopoll_loop_wait() serves it. When the time is over it is shut down, with a
 * warning in the log. Outside the loop there is no limit: nopoll_conn_get_msg() and the like do not
 * look at it.
 *
 * @param ctx          the context.
 * @param microseconds the time; 0 for no limit. The default is 60000000, one minute. Negative
 *                     values are ignored and logged.
 */
void nopoll_ctx_set_handshake_timeout(noPollCtx* ctx, long microseconds);

/**
 * Chooses the kind of I/O engine for the nopoll_loop_wait() of a context: from the next outermost
 * one on, not for one that is running.
 *
 * @param ctx  the context.
 * @param type the kind; NOPOLL_IO_ENGINE_DEFAULT means select.
 * @return 1; 0, with nothing changed, for NULL and for values that are not in noPollIoEngineType.
 */
nopoll_bool nopoll_ctx_set_io_engine(noPollCtx* ctx, noPollIoEngineType type);

/**
 * Bounds what is queued for a slow reader. While a nopoll_loop_wait() runs on the context, a send
 * on an accepted connection without TLS whose socket is in blocking mode, as accepted ones are,
 * does not wait for the peer: what the socket does not take is queued, reported as sent, and
 * written by the loop. Once more than the limit would be queued for one connection, sends on it
 * return -1 with errno NOPOLL_EWOULDBLOCK and the frame is not taken. Outside the loop sends wait.
 *
 * Data queued when a connection is closed is still written, unless there is no progress for 30 s.
 *
 * @param ctx   the context.
 * @param bytes the limit for each connection; 0: nothing is queued and sends wait. The default is
 *              16777216. Negative values are ignored and logged.
 */
void nopoll_ctx_set_send_queue_limit(noPollCtx* ctx, long bytes);

/**
 * Chooses whether frames sent on a connection, while the loop works off what has arrived on that
 * same connection, are gathered and written together at the end of the batch: fewer system calls
 * for many small answers, at the price of each answer leaving a little later. Results and errno of
 * the sends are as if written at once.
 *
 * @param ctx  the context.
 * @param cork non-zero to gather; 0, the default, to write each frame at once.
 */
void nopoll_ctx_set_cork(noPollCtx* ctx, nopoll_bool cork);

END_C_DECLS

#endif /* __NOPOLL_EXT_H__ */
