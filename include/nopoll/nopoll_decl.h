/* SPDX-License-Identifier: MIT */
/*
 * Types, enumerations, constants and macros that all other headers build on, the system headers
 * that programs get along with them, and the memory functions. C90 with GNU extensions and up,
 * C++11 and up.
 */
#ifndef __NOPOLL_DECL_H__
#define __NOPOLL_DECL_H__

#include "nopoll_config.h"

/**
 * Size in bytes of the buffer that a line of an opening handshake is collected in. A line,
 * together with its line end, may have one byte less than this.
 */
#define NOPOLL_HANDSHAKE_BUFFER_SIZE 8192

/**
 * Largest payload of a single frame, in bytes, that is accepted as long as nothing else was set
 * with nopoll_ctx_set_max_frame_size() or nopoll_conn_opts_set_max_frame_size().
 */
#define NOPOLL_MAX_FRAME_SIZE_DEFAULT (16777216)

/** Largest value, in bytes, that those two functions take. */
#define NOPOLL_MAX_FRAME_SIZE_LIMIT (2147483646)

/*
 * Before the first system header, so that a program which includes one of our headers first gets
 * the GNU extensions of libc. FD_SETSIZE is left as libc has it.
 */
#if defined(__GNUC__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#if defined(NOPOLL_HAVE_POLL)
#include <sys/poll.h>
#endif
#if defined(NOPOLL_HAVE_EPOLL)
#include <sys/epoll.h>
#endif

/**
 * BEGIN_C_DECLS and END_C_DECLS enclose declarations of C functions: extern "C" { and } in C++,
 * nothing in C. They stay defined, so programs may use them too.
 */
#undef BEGIN_C_DECLS
#undef END_C_DECLS
#ifdef __cplusplus
#define BEGIN_C_DECLS extern "C" {
#define END_C_DECLS }
#else
#define BEGIN_C_DECLS
#define END_C_DECLS
#endif

/**
 * The errno values that a program compares with after a call: constants of the system, usable in
 * case labels. NOPOLL_EWOULDBLOCK is the one that matters: "nothing there now, try again".
 */
#define NOPOLL_EINTR EINTR
#define NOPOLL_EWOULDBLOCK EWOULDBLOCK
#define NOPOLL_EINPROGRESS EINPROGRESS
#define NOPOLL_ENOTCONN ENOTCONN
#define NOPOLL_EAGAIN EAGAIN

/** The type of a socket descriptor. A macro, so that "unsigned NOPOLL_SOCKET" is a type too. */
#define NOPOLL_SOCKET int

/** No descriptor; the value of nopoll_conn_socket() once the connection has ended. */
#define NOPOLL_INVALID_SOCKET (-1)

/** What a failed socket function returns. */
#define NOPOLL_SOCKET_ERROR (-1)

/**
 * nopoll_close_socket (s): statement that closes the descriptor s if it is not negative. s is
 * evaluated once and keeps its value: set the variable to NOPOLL_INVALID_SOCKET yourself.
 */
#define nopoll_close_socket(s)                                                                     \
    do {                                                                                           \
        NOPOLL_SOCKET __nopoll_closed = (s);                                                       \
        if (__nopoll_closed >= 0) {                                                                \
            close(__nopoll_closed);                                                                \
        }                                                                                          \
    } while (0)

/**
 * Expression (no parentheses behind the name): the call that failed last did so because the peer
 * has gone. Looks at errno, so use it right after that call.
 */
#define nopoll_is_disconnected (errno == EPIPE)

/** The two values of nopoll_bool: plain int constants, usable in #if. Non-zero means true. */
#define nopoll_false (0)
#define nopoll_true (1)

/**
 * Function, line and file at the place where they are written. nopoll_log() and the two
 * nopoll_return macros use them.
 */
#if defined(__GNUC__)
#define __NOPOLL_PRETTY_FUNCTION__ (__extension__ __PRETTY_FUNCTION__)
#else
#define __NOPOLL_PRETTY_FUNCTION__ __func__
#endif
#define __NOPOLL_LINE__ __LINE__
#define __NOPOLL_FILE__ __FILE__

/**
 * nopoll_new (type, count): expression of type "type *", zeroed storage for count objects made
 * by nopoll_calloc(); NULL when memory is short. Give it back with nopoll_free(). In C++ no
 * constructor runs.
 */
#define nopoll_new(type, count) ((type*)nopoll_calloc((count), sizeof(type)))

/**
 * nopoll_return_if_fail (ctx, expr): if expr is false, reports the expression and the place at
 * NOPOLL_LEVEL_CRITICAL to the log of ctx (nowhere if ctx is NULL) and leaves the function, which
 * returns nothing. The report does not depend on SHOW_DEBUG_LOG. expr is evaluated once.
 *
 * It is an if with a block, usable with and without a semicolon behind it; an else that follows
 * belongs to it. Needs nopoll_log.h, which nopoll.h includes.
 */
#define nopoll_return_if_fail(ctx, expr)                                                           \
    if (!(expr)) {                                                                                 \
        __nopoll_log((ctx), __function_name__, __file__, __line__, NOPOLL_LEVEL_CRITICAL,          \
                     "condition failed: %s (in %s, %s:%d)", #expr, __function_name__, __file__,    \
                     __line__);                                                                    \
        return;                                                                                    \
    }

/**
 * nopoll_return_val_if_fail (ctx, expr, val): the same for functions with a result: returns val
 * and names it in the report. val is evaluated only then.
 */
#define nopoll_return_val_if_fail(ctx, expr, val)                                                  \
    if (!(expr)) {                                                                                 \
        __nopoll_log((ctx), __function_name__, __file__, __line__, NOPOLL_LEVEL_CRITICAL,          \
                     "condition failed: %s, returning %s (in %s, %s:%d)", #expr, #val,             \
                     __function_name__, __file__, __line__);                                       \
        return val;                                                                                \
    }

/** A truth value: 0 is false, everything else true. */
typedef int nopoll_bool;

/** A pointer to anything: user data of handlers, objects of handlers' own. */
typedef void* noPollPtr;

/** What connections, handlers, limits and log belong to. See nopoll_ctx.h. */
typedef struct _noPollCtx noPollCtx;

/** A client, an accepted connection or a listener. See nopoll_conn.h and nopoll_listener.h. */
typedef struct _noPollConn noPollConn;

/** Settings handed to a function that makes a connection. See nopoll_conn_opts.h. */
typedef struct _noPollConnOpts noPollConnOpts;

/** How a context waits for descriptors. See nopoll_io.h. */
typedef struct _noPollIoEngine noPollIoEngine;

/** A received frame, or a piece of one. See nopoll_msg.h. */
typedef struct _noPollMsg noPollMsg;

/** State of an opening handshake. Only the library uses it. */
typedef struct _noPollHandshake noPollHandShake;

/** How grave a log record is. */
typedef enum {
    /** What happens, step by step. */
    NOPOLL_LEVEL_DEBUG = 0,
    /** Something odd that the library copes with: a retry, an ignored setting. */
    NOPOLL_LEVEL_WARNING = 1,
    /** A refused peer, a protocol error, a failed system call, a wrong argument. */
    NOPOLL_LEVEL_CRITICAL = 2
} noPollDebugLevel;

/** What a noPollConn is. */
typedef enum {
    /** Result for a NULL connection. */
    NOPOLL_ROLE_UNKNOWN = 0,
    /** Our side opened the connection. */
    NOPOLL_ROLE_CLIENT = 1,
    /** Our side accepted the connection. */
    NOPOLL_ROLE_LISTENER = 2,
    /** A listening socket: accepts connections, carries no data. */
    NOPOLL_ROLE_MAIN_LISTENER = 3
} noPollRole;

/** Ways to wait for descriptors, for nopoll_io_get_engine() and nopoll_ctx_set_io_engine(). */
typedef enum {
    /** The library's choice: select. */
    NOPOLL_IO_ENGINE_DEFAULT = 0,
    /** select(2), without its limit of 1024 descriptors. */
    NOPOLL_IO_ENGINE_SELECT = 1,
    /** poll(2). */
    NOPOLL_IO_ENGINE_POLL = 2,
    /** epoll(7), for many mostly idle connections. */
    NOPOLL_IO_ENGINE_EPOLL = 3
} noPollIoEngineType;

/** Opcodes of frames, RFC 6455 section 5.2. */
typedef enum {
    /** Not an opcode: what nopoll_msg_opcode() says of a NULL message. */
    NOPOLL_UNKNOWN_OP_CODE = -1,
    /** Next frame of a message that an earlier frame began; also later pieces of one frame. */
    NOPOLL_CONTINUATION_FRAME = 0,
    /** First or only frame of a text message. */
    NOPOLL_TEXT_FRAME = 1,
    /** First or only frame of a binary message. */
    NOPOLL_BINARY_FRAME = 2,
    /** Close; handled by the library, never delivered. */
    NOPOLL_CLOSE_FRAME = 8,
    /** Ping; answered by the library, never delivered. */
    NOPOLL_PING_FRAME = 9,
    /** Pong; taken in and ignored. */
    NOPOLL_PONG_FRAME = 10
} noPollOpCode;

/**
 * TLS versions for nopoll_conn_opts_set_ssl_protocol(). Each exists only where the macro
 * NOPOLL_HAVE_..._ENABLED of nopoll_config.h is defined: programs test those with #if defined.
 */
typedef enum {
#if defined(NOPOLL_HAVE_SSLv23_ENABLED)
    NOPOLL_METHOD_SSLV23 = 2,
#endif
#if defined(NOPOLL_HAVE_SSLv3_ENABLED)
    NOPOLL_METHOD_SSLV3 = 3,
#endif
#if defined(NOPOLL_HAVE_TLSv10_ENABLED)
    /** Acts as NOPOLL_METHOD_TLS_FLEXIBLE: TLS 1.0 is not forced any more. */
    NOPOLL_METHOD_TLSV1 = 4,
#endif
#if defined(NOPOLL_HAVE_TLSv11_ENABLED)
    /** Acts as NOPOLL_METHOD_TLS_FLEXIBLE: TLS 1.1 is not forced any more. */
    NOPOLL_METHOD_TLSV1_1 = 5,
#endif
#if defined(NOPOLL_HAVE_TLSv12_ENABLED)
    /** TLS 1.2 and nothing else. */
    NOPOLL_METHOD_TLSV1_2 = 6,
#endif
    /** The default: the highest version that both sides have, within the limits of the system. */
    NOPOLL_METHOD_TLS_FLEXIBLE = 7
} noPollSslProtocol;

/** Address families of the internal connect and listen functions. */
typedef enum { NOPOLL_TRANSPORT_IPV4 = 1, NOPOLL_TRANSPORT_IPV6 = 2 } noPollTransport;

BEGIN_C_DECLS

/**
 * Zeroed memory for count objects of size bytes each, as calloc().
 *
 * @return memory that the caller gives back with nopoll_free() or free(), which are the same
 *         everywhere in this interface; NULL, with errno ENOMEM, when memory is short or the
 *         product does not fit in size_t.
 */
noPollPtr nopoll_calloc(size_t count, size_t size);

/**
 * Changes the size of a block, as realloc().
 *
 * @param ref  a block made by nopoll_calloc(), nopoll_realloc() or malloc(); NULL for a new one,
 *             whose content is not initialised.
 * @param size wanted size in bytes.
 * @return the block, perhaps moved, now the caller's instead of ref; NULL, with errno ENOMEM,
 *         when memory is short: then ref is still there, unchanged.
 */
noPollPtr nopoll_realloc(noPollPtr ref, size_t size);

/**
 * Gives memory back, as free(). For everything this interface hands out for the caller to
 * release; what free() takes is fine here and the other way round.
 *
 * @param ref the block, or NULL: nothing happens.
 */
void nopoll_free(noPollPtr ref);

/**
 * Tells whether a value can be a descriptor. No system call is made, so a closed descriptor
 * passes. The right test for the result of nopoll_listener_sock_listen(), which has two negative
 * failure values.
 *
 * @return nopoll_true for 0 and above, nopoll_false for negative values.
 */
nopoll_bool nopoll_socket_is_valid(NOPOLL_SOCKET sock);

END_C_DECLS

#endif /* __NOPOLL_DECL_H__ */
