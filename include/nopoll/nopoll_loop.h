/* SPDX-License-Identifier: MIT */
/*
 * The loop: waits for all connections of a context and serves them. Programs with an event loop
 * of their own do without: they watch nopoll_conn_socket() and call nopoll_conn_get_msg() or
 * nopoll_conn_read().
 */
#ifndef __NOPOLL_LOOP_H__
#define __NOPOLL_LOOP_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Waits for the connections registered in a context and serves them in this thread until the time
 * is over or nopoll_loop_stop() is called: accepts, finishes TLS and opening handshakes, writes
 * what is pending, answers pings and Close frames, and calls the handlers for everything else.
 *
 * - Nothing done for one connection makes the others wait: reads never block, whatever the mode of
 *   the socket.
 * - Connections that have ended are unregistered at the start of the next pass; the object goes
 *   then unless the program has a reference. Without any connection the wait goes on all the same.
 * - Each call looks at every connection at least once before it asks for the time.
 * - Handlers may call it again on the same context, to any depth. Several threads may wait on one
 *   context at once: a connection is served by one of them at a time. Connections that other
 *   threads make or close during the wait are noticed at once.
 * - Signals do not end the wait.
 * - While it runs, sends on accepted connections do not wait for slow readers; see
 *   nopoll_ctx_set_send_queue_limit().
 *
 * @param ctx     the context. It stays alive until the wait has returned.
 * @param timeout microseconds, of a clock that is not set; 0 means until stopped. 1 to 9999 act as
 *                10000, for programs that took the unit for milliseconds.
 * @return 0 stopped; -3 time over, never early; -2 ctx NULL or timeout negative; -4 the waiting
 *         itself failed, with errno set.
 */
int nopoll_loop_wait(noPollCtx* ctx, long timeout);

/**
 * Ends every nopoll_loop_wait() that is running on a context, in whatever thread and however deep
 * it is nested: it returns 0 at once. Called from a handler, the present pass is finished for the
 * other connections; the connection of that handler gets no further message, what was read ahead
 * for it is kept for the next call.
 *
 * May be called from any thread and from signal handlers (it is async-signal-safe); errno is kept.
 * Without a wait running it has no effect: a later wait is not stopped by it.
 *
 * @param ctx the context; NULL: nothing happens. The caller makes sure that it lives.
 */
void nopoll_loop_stop(noPollCtx* ctx);

END_C_DECLS

#endif /* __NOPOLL_LOOP_H__ */
