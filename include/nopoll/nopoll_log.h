/* SPDX-License-Identifier: MIT */
/*
 * The log of a context: switched on, coloured, taken over by a handler, written to.
 *
 * A context logs nothing until nopoll_log_enable() or nopoll_log_set_handler() is called. All
 * functions may be called from any thread; errno is left as it was.
 */
#ifndef __NOPOLL_LOG_H__
#define __NOPOLL_LOG_H__

#include "nopoll_decl.h"
#include "nopoll_handlers.h"

/** Function, line and file at the place of use, as the nopoll_return macros need them. */
#define __function_name__ __NOPOLL_PRETTY_FUNCTION__
#define __line__ __NOPOLL_LINE__
#define __file__ __NOPOLL_FILE__

/**
 * nopoll_log (ctx, level, format, ...): a log record of the program, printf-like, in the log of
 * ctx, with or without arguments behind the format.
 *
 * Only with SHOW_DEBUG_LOG defined before the first of our headers is included. Without it the
 * macro is nothing at all: the arguments are not evaluated, and nothing is logged even if a log
 * handler is set. With SHOW_FORMAT_BUGS defined it is printf (format, ...) instead, so that the
 * compiler checks the arguments against the format.
 *
 * The format is counted among the variadic arguments: that way a record without arguments is
 * standard C99.
 */
#if defined(SHOW_FORMAT_BUGS)
#define nopoll_log(ctx, level, ...) printf(__VA_ARGS__)
#elif defined(SHOW_DEBUG_LOG)
#define nopoll_log(ctx, level, ...)                                                                \
    __nopoll_log((ctx), __function_name__, __file__, __line__, (level), __VA_ARGS__)
#else
#define nopoll_log(ctx, level, ...)
#endif

BEGIN_C_DECLS

/**
 * Switches the console log of a context on or off. While it is on and no log handler is set, each
 * record is one line on standard output, flushed at once:
 *
 *     (proc 4711): (debug)conn.cpp:42 text of the record
 *
 * @param ctx   the context; NULL: nothing happens.
 * @param value 0 for off, anything else for on. Off is the state of a new context.
 */
void nopoll_log_enable(noPollCtx* ctx, nopoll_bool value);

/**
 * @return the value given to nopoll_log_enable() last, as it was given (5 reads back as 5); 0 for
 *         a new context and for NULL. Says nothing about a log handler.
 */
nopoll_bool nopoll_log_is_enabled(noPollCtx* ctx);

/**
 * Chooses whether the console log uses the colour sequences of terminals. Independent of
 * nopoll_log_enable(), and without effect on what a log handler gets.
 *
 * @param ctx   the context; NULL: nothing happens.
 * @param value 0 for plain text (the state of a new context), anything else for colours.
 */
void nopoll_log_color_enable(noPollCtx* ctx, nopoll_bool value);

/**
 * @return the value given to nopoll_log_color_enable() last, as it was given; 0 for a new context
 *         and for NULL.
 */
nopoll_bool nopoll_log_color_is_enabled(noPollCtx* ctx);

/**
 * Hands all log records of a context to a function of the program. From then on it gets every
 * level, whether or not the log is enabled, and nothing goes to the console.
 *
 * The handler runs in the thread that logs, with no lock of the library held, and may call any
 * function of the interface; records caused by such calls are delivered to it as well, so it must
 * not log without end.
 *
 * @param ctx       the context; NULL: nothing happens.
 * @param handler   the function, see noPollLogHandler; NULL takes the present one away.
 * @param user_data passed through to it; stays the program's.
 */
void nopoll_log_set_handler(noPollCtx* ctx, noPollLogHandler handler, noPollPtr user_data);

/**
 * The function behind nopoll_log(): formats a record and gives it to the log handler, or, if none
 * is set and the log is enabled, writes it to standard output in one piece.
 *
 * @param ctx           whose log; NULL: nothing happens.
 * @param function_name where the record comes from; not printed.
 * @param file          file name to print, as it is.
 * @param line          line number to print.
 * @param level         a level; other values are printed without a level name.
 * @param message       format of printf(), with its arguments behind it; NULL prints "(null)".
 */
void __nopoll_log(noPollCtx* ctx, const char* function_name, const char* file, int line,
                  noPollDebugLevel level, const char* message, ...);

END_C_DECLS

#endif /* __NOPOLL_LOG_H__ */
