/* SPDX-License-Identifier: MIT */
/*
 * I/O engines for programs that want to wait for descriptors with the library's means.
 *
 * nopoll_loop_wait() makes its own: to choose which kind it uses, call nopoll_ctx_set_io_engine()
 * (nopoll_ext.h).
 */
#ifndef __NOPOLL_IO_H__
#define __NOPOLL_IO_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Makes an engine: a set of descriptors with the six functions that work on it, reached through
 * the fields of noPollIoEngine (nopoll_private.h). What those do is said at the noPollIoMech types
 * in nopoll_handlers.h.
 *
 * An engine that a program puts into the field io_engine of a context is used by the next
 * outermost nopoll_loop_wait() of that context and released at its end; that wait is not woken by
 * other threads then, only by the descriptors of connections and its own limit of 500 ms.
 *
 * One engine is for one thread at a time.
 *
 * @param ctx         passed to the six functions; may be NULL. No reference is taken.
 * @param engine_type the kind. Descriptors above FD_SETSIZE work with each of them. A value that
 *                    is not in noPollIoEngineType gives select and a warning in the log.
 * @return an engine that the caller gives back with nopoll_io_release_engine(); NULL when memory is
 *         short or the system refuses.
 */
noPollIoEngine* nopoll_io_get_engine(noPollCtx* ctx, noPollIoEngineType engine_type);

/**
 * Calls the engine's destroy function with its set and frees the engine. Descriptors in the set
 * are not closed.
 *
 * @param engine an engine of nopoll_io_get_engine(); NULL: nothing happens.
 */
void nopoll_io_release_engine(noPollIoEngine* engine);

END_C_DECLS

#endif /* __NOPOLL_IO_H__ */
