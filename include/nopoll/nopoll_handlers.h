/* SPDX-License-Identifier: MIT */
/*
 * Types of the functions that a program gives to the library.
 *
 * For all of them:
 * - No lock of the library, and none made by the hooks of nopoll_thread_handlers(), is held while
 *   a handler runs, unless said otherwise. It may call any function, also on other connections
 *   and on its own: send, close, set handlers, read, stop the loop, run a nested loop.
 * - ctx and conn stay valid until the handler has returned, whatever it does. What is passed
 *   carries no reference for the program: keep a connection with nopoll_conn_ref(), a message
 *   with nopoll_msg_ref(), a context with nopoll_ctx_ref().
 * - In handlers run by nopoll_loop_wait() or nopoll_ctx_foreach_conn() the reference count of conn
 *   reads one higher than outside; in those run by nopoll_conn_get_msg() and the like it does not.
 * - user_data is the pointer given along with the handler; it always belongs to that handler, also
 *   when another thread replaces both meanwhile. The library never looks at it or frees it.
 * - Handlers run in the thread that called the library. Two threads never run handlers of one
 *   connection at once, as long as only loops and one reader at a time work on it.
 * - Exceptions of C++ handlers, and thread cancellation, pass through the library.
 */
#ifndef __NOPOLL_HANDLERS_H__
#define __NOPOLL_HANDLERS_H__

#include "nopoll_decl.h"

/**
 * A step in the life of a connection. Depending on the function it was set with:
 *
 * on_accept - nopoll_ctx_set_on_accept(). Right after the TCP connection was accepted, before any
 *     TLS and HTTP. conn is registered, host and port of the peer are known,
 *     nopoll_conn_is_tls_on() is 0, the requested URL still reads "/". Sending fails with errno
 *     ENOTCONN.
 *     Result 0: the close handler runs if one was set here, the socket is closed without a byte,
 *     conn is unregistered, and the accepting function reports failure.
 * on_open - nopoll_ctx_set_on_open(). On accepted connections, when the request head is complete
 *     and valid and before it is answered: all getters are filled. The place to look at origin,
 *     URL and cookie and to call nopoll_conn_set_accepted_protocol(). Sending messages fails with
 *     errno ENOTCONN. A handler may answer by itself in HTTP, with nopoll_conn_default_send(), and
 *     return 0.
 *     Result 0: answered with 403 (unless the handler wrote something itself) and shut down.
 * on_ready - nopoll_conn_set_on_ready(), else nopoll_ctx_set_on_ready(). On both sides, when the
 *     opening handshake has succeeded: messages may be sent. nopoll_conn_is_ready() still says 0
 *     until the handler has returned.
 *     Result 0: a Close frame with status 1008 is sent and the connection is shut down.
 *
 * Each runs at most once for a connection. Called on conn itself from one of them, or from a
 * noPollSslContextCreator or noPollSslPostCheck, nopoll_conn_is_ready(), nopoll_conn_get_msg() and
 * nopoll_conn_read() return "not ready", NULL and -1 (0 with block) at once, without touching the
 * socket.
 *
 * @return non-zero to go on, 0 to refuse.
 */
typedef nopoll_bool (*noPollActionHandler)(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);

/**
 * I/O engine: makes an empty set of descriptors.
 *
 * @param ctx the context the engine was made for; may be NULL.
 * @return the set, passed as io_object to the other five; NULL when memory is short.
 */
typedef noPollPtr (*noPollIoMechCreate)(noPollCtx* ctx);

/**
 * I/O engine: frees a set made by the create function. The descriptors in it stay open.
 */
typedef void (*noPollIoMechDestroy)(noPollCtx* ctx, noPollPtr io_object);

/**
 * I/O engine: empties the set. Due before descriptors are added again after a wait, because the
 * wait leaves only those that are ready.
 */
typedef void (*noPollIoMechClear)(noPollCtx* ctx, noPollPtr io_object);

/**
 * I/O engine: waits until a descriptor of the set is readable, at most 500 ms.
 *
 * @return the number of ready descriptors, to be found with the is-set function; 0 when none got
 *         ready or a signal came; -1 on failure, with errno set. After 0 or -1 the content of the
 *         set means nothing.
 */
typedef int (*noPollIoMechWait)(noPollCtx* ctx, noPollPtr io_object);

/**
 * I/O engine: adds a descriptor, to be watched for reading.
 *
 * @param fds  the descriptor.
 * @param conn the connection it belongs to; may be NULL.
 * @return non-zero when it is in the set, also if it was before; 0 when refused: a negative
 *         descriptor, or one of FD_SETSIZE or above that is not open.
 */
typedef nopoll_bool (*noPollIoMechAddTo)(int fds, noPollCtx* ctx, noPollConn* conn,
                                         noPollPtr io_object);

/**
 * I/O engine: tells whether a descriptor was found ready by the last wait.
 *
 * @return non-zero when it was; 0 when not, when it was never added, and after clear.
 */
typedef nopoll_bool (*noPollIoMechIsSet)(noPollCtx* ctx, int fds, noPollPtr io_object);

/**
 * Visits a connection for nopoll_ctx_foreach_conn(). It may close or unregister conn or others,
 * register new ones, and start another walk.
 *
 * @return 0 to go on with the next connection, non-zero to end the walk with conn as its result.
 */
typedef nopoll_bool (*noPollForeachConn)(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);

/**
 * Moves bytes between a connection and its socket: the type of the fields receive and send of a
 * noPollConn (nopoll_private.h), which a program may replace.
 *
 * Unlike the other handlers it may run while the connection is being read or written, so it must
 * not call functions that read, write or close that connection.
 *
 * @param buffer      where received bytes go, or the bytes to send.
 * @param buffer_size room or number of bytes.
 * @return bytes moved, at most buffer_size; 0 at the end of the stream; -1 on failure with errno
 *         set, NOPOLL_EWOULDBLOCK when the socket cannot go on now; -2 with that errno means the
 *         same (TLS functions report it that way).
 */
typedef int (*noPollRead)(noPollConn* conn, char* buffer, int buffer_size);

/**
 * A message, or a piece of one, has arrived. Called by nopoll_loop_wait() only; the connection's
 * own handler wins over the context's, and without any the message is dropped.
 *
 * @param msg a frame, or a piece of a very large one: see nopoll_conn_get_msg(). The loop releases
 *            its reference after the handler; nopoll_msg_ref() keeps the message longer, also
 *            beyond connection and context.
 */
typedef void (*noPollOnMessageHandler)(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg,
                                       noPollPtr user_data);

/**
 * An open socket is about to be shut down, by the peer, the library or the program itself (also by
 * nopoll_conn_close()), on listeners too. Not called when the socket field is -1 already, nor when
 * the object is merely destroyed.
 *
 * The socket is still open and nopoll_conn_is_ok() is true: sending works unless a Close frame has
 * gone out. Nothing more is read where the peer has ended the connection or has broken the rules:
 * nopoll_conn_get_msg() is NULL then. Close status and reason are final. A handler that calls
 * nopoll_conn_set_socket (conn, NOPOLL_INVALID_SOCKET) takes the descriptor over: it is not closed
 * then.
 *
 * nopoll_conn_shutdown() in here does nothing; nopoll_conn_close() gives up the reference only.
 */
typedef void (*noPollOnCloseHandler)(noPollCtx* ctx, noPollConn* conn, noPollPtr user_data);

/**
 * Thread hook: makes a mutex, which need not be recursive.
 *
 * @return the mutex; NULL when it cannot be made: the object it is for then does without.
 */
typedef noPollPtr (*noPollMutexCreate)(void);

/**
 * Thread hook: frees a mutex made by the create hook. It is not locked.
 */
typedef void (*noPollMutexDestroy)(noPollPtr mutex);

/**
 * Thread hook: locks a mutex, waiting until it is free. The library never locks one twice in a
 * thread, and holds none while it calls other handlers. This hook and the three others must not
 * call the library.
 */
typedef void (*noPollMutexLock)(noPollPtr mutex);

/**
 * Thread hook: unlocks a mutex, in the thread that locked it.
 */
typedef void (*noPollMutexUnlock)(noPollPtr mutex);

/**
 * Takes the log records of a context, of all levels, whether or not its log is enabled.
 *
 * @param level   how grave it is.
 * @param log_msg "FILE:LINE TEXT " with one blank and no newline at the end; valid only during the
 *                call. Control bytes that a peer sent are escaped.
 */
typedef void (*noPollLogHandler)(noPollCtx* ctx, noPollDebugLevel level, const char* log_msg,
                                 noPollPtr user_data);

/**
 * Makes the SSL_CTX of a TLS connection in place of the library. Called for each client that uses
 * TLS, inside the function that makes it, and for each accepted TLS connection after on_accept.
 *
 * @param conn      the connection; it has no SSL object yet.
 * @param opts      the options of the client, or of the listener it was accepted by; may be NULL.
 *                  Valid during the call.
 * @param is_client nopoll_true for a client, nopoll_false for an accepted connection.
 * @return a new SSL_CTX, whose reference passes to the connection and is freed with it.
 *         Certificates, CA files and peer verification of opts are applied to it afterwards, the
 *         TLS version is not; encrypted keys need its password callback. NULL: the TLS set-up has
 *         failed and the connection ends.
 */
typedef noPollPtr (*noPollSslContextCreator)(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* opts,
                                             nopoll_bool is_client, noPollPtr user_data);

/**
 * Looks at a TLS session right after its handshake has succeeded, and before any HTTP: on clients
 * inside the function that makes the connection, where nopoll_conn_is_tls_on() still says 0, on
 * accepted connections in the call that finishes the handshake. Not called when the verification
 * of the peer has failed.
 *
 * @param ssl_ctx the SSL_CTX in use; equal to SSL_get_SSL_CTX (ssl). It may serve several
 *                connections with the same settings: do not change it.
 * @param ssl     the connection's SSL object. Both stay the library's.
 * @return non-zero to go on, 0 to refuse: the connection is shut down.
 */
typedef nopoll_bool (*noPollSslPostCheck)(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx,
                                          noPollPtr ssl, noPollPtr user_data);

#endif /* __NOPOLL_HANDLERS_H__ */
