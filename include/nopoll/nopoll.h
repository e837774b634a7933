/* SPDX-License-Identifier: MIT */
/*
 * WebSocket (RFC 6455) for C programs: clients and servers, plain and over TLS. This header brings
 * in the whole interface; struct bodies alone are elsewhere, in nopoll_private.h.
 *
 * A server: nopoll_ctx_new(), nopoll_listener_new(), nopoll_ctx_set_on_msg(), nopoll_loop_wait().
 * A client: nopoll_ctx_new(), nopoll_conn_new(), nopoll_conn_wait_until_connection_ready(),
 * nopoll_conn_send_text(), nopoll_conn_get_msg().
 *
 * What holds everywhere unless a function says otherwise:
 * - Strings handed in are copied. Strings handed out as const belong to the object they were asked
 *   of. Memory handed out for the caller to release comes from malloc().
 * - NULL in place of an object is safe: the function does nothing, or returns the value that its
 *   description names.
 * - nopoll_bool results are non-zero for success. errno is meaningful only where it is mentioned.
 * - Times are microseconds where not said otherwise, measured on a clock that nobody sets.
 * - Reference counts, nopoll_loop_stop() and sends are safe in any thread. With mutex hooks
 *   installed (nopoll_thread_handlers()) any function may be called in any thread: one thread at a
 *   time reads a connection, any number send on it.
 * - Deliberate differences to noPoll 0.4.8 are listed in docs/compatibility.md.
 */
#ifndef __NOPOLL_H__
#define __NOPOLL_H__

/* These two first: the others, reached from here, rely on them. */
#include "nopoll_decl.h"
#include "nopoll_handlers.h"

#include "nopoll_conn.h"
#include "nopoll_conn_opts.h"
#include "nopoll_ctx.h"
#include "nopoll_io.h"
#include "nopoll_listener.h"
#include "nopoll_log.h"
#include "nopoll_loop.h"
#include "nopoll_msg.h"

BEGIN_C_DECLS

/**
 * Installs the mutex functions of the program, for the whole process. Call it once, before the
 * first context is made: objects made earlier go without a mutex for all their life, and mutexes
 * are destroyed by the hooks in force when their object ends.
 *
 * They are used, in pairs, in addition to the library's own locks; what the hooks may do is said
 * at their types in nopoll_handlers.h. NULL leaves that one step out, all NULL removes the hooks.
 *
 * @param mutex_create  makes a mutex.
 * @param mutex_destroy frees one.
 * @param mutex_lock    locks one.
 * @param mutex_unlock  unlocks one.
 */
void nopoll_thread_handlers(noPollMutexCreate mutex_create, noPollMutexDestroy mutex_destroy,
                            noPollMutexLock mutex_lock, noPollMutexUnlock mutex_unlock);

/**
 * Makes a mutex with the create hook of nopoll_thread_handlers().
 *
 * @return what the hook returned, to be given to nopoll_mutex_destroy(); NULL without a hook.
 */
noPollPtr nopoll_mutex_create(void);

/**
 * Frees a mutex with the destroy hook.
 *
 * @param mutex a mutex that nobody holds; NULL, or no hook: nothing happens.
 */
void nopoll_mutex_destroy(noPollPtr mutex);

/**
 * Locks a mutex with the lock hook, waiting for it as long as that does.
 *
 * @param mutex the mutex; NULL, or no hook: returns at once with nothing locked.
 */
void nopoll_mutex_lock(noPollPtr mutex);

/**
 * Unlocks a mutex with the unlock hook.
 *
 * @param mutex a mutex locked by this thread; NULL, or no hook: nothing happens.
 */
void nopoll_mutex_unlock(noPollPtr mutex);

/**
 * Says that the program is done with TLS. OpenSSL cleans up by itself at the end of the process,
 * so nothing in use is freed: the call is harmless at any time, also with contexts alive, any
 * number of times, and everything keeps working afterwards.
 */
void nopoll_cleanup_library(void);

/**
 * Compares two strings, upper and lower case being different.
 *
 * @return 1 when they are equal or both are NULL, else 0.
 */
nopoll_bool nopoll_cmp(const char* string1, const char* string2);

/**
 * Compares the beginnings of two strings. Nothing behind a terminator is read.
 *
 * @param bytes how many bytes must be there, and equal, in both.
 * @return 1 when they are, or when both strings are NULL; 0 when they differ, one string is shorter
 *         ("ab" and "ab" in 3 bytes), one is NULL, or bytes is 0 or negative.
 */
nopoll_bool nopoll_ncmp(const char* string1, const char* string2, int bytes);

/**
 * Removes blanks, tabs, CR and LF from both ends of a string, in place.
 *
 * @param chunk   the string; NULL: nothing happens and trimmed is not written.
 * @param trimmed gets the number of bytes removed, INT_MAX at most; may be NULL.
 */
void nopoll_trim(char* chunk, int* trimmed);

/**
 * Copies a string.
 *
 * @return the copy, to be released with nopoll_free(); NULL for NULL and when memory is short.
 */
char* nopoll_strdup(const char* buffer);

/**
 * Makes a string of any length from a format of printf() and its arguments.
 *
 * @param chunk the format.
 * @return the text, to be released with nopoll_free(); NULL when the format is NULL or wrong, or
 *         memory is short.
 */
char* nopoll_strdup_printf(const char* chunk, ...);

/**
 * nopoll_strdup_printf() with the arguments in a list.
 *
 * @param chunk the format.
 * @param args  the arguments; used up by the call, so only va_end() may follow.
 * @return as nopoll_strdup_printf().
 */
char* nopoll_strdup_printfv(const char* chunk, va_list args);

/**
 * Encodes bytes in base64, standard alphabet, padded, with a newline after each 64 characters but
 * not behind the last ones (RFC 4648, lines as in PEM files).
 *
 * @param content     the bytes.
 * @param length      how many; must be positive.
 * @param output      gets the text and a 0 byte.
 * @param output_size room in output; needed are 4 * ceil (length / 3) characters, a newline for
 *                    each full line of 64 that others follow, and the 0 byte.
 * @return 1 on success, *output_size unchanged. 0 with *output_size set to the room needed and
 *         output untouched when there is too little of it; 0 with nothing written when a pointer is
 *         NULL or length is not positive.
 */
nopoll_bool nopoll_base64_encode(const char* content, int length, char* output, int* output_size);

/**
 * Decodes base64 text. White space may be anywhere in it. Anything else that is not complete,
 * padded base64 in the standard alphabet makes it fail.
 *
 * @param content     the text.
 * @param length      its length.
 * @param output      gets the bytes and a 0 byte behind them.
 * @param output_size room in output, the 0 byte included; set to the number of bytes decoded. With
 *                    less room than needed the first bytes that fit are given, and counted, and the
 *                    result is 1: offer length bytes to be sure.
 * @return 1 on success. 0 for text that is not base64 (then *output_size is 0 and output begins
 *         with a 0 byte), and for NULL, lengths and sizes below 1 (then nothing is written).
 */
nopoll_bool nopoll_base64_decode(const char* content, int length, char* output, int* output_size);

/**
 * Fills a buffer with random bytes from a cryptographic generator. rand() and random() of the
 * program are not touched.
 *
 * @param buffer     gets exactly nonce_size bytes.
 * @param nonce_size how many; must be positive.
 * @return 1, or 0 for a wrong argument or when no randomness can be had.
 */
nopoll_bool nopoll_nonce(char* buffer, int nonce_size);

/**
 * Lets the calling thread sleep. errno is kept.
 *
 * @param microseconds for at least this long, unless a signal comes; 0 and below return at once.
 */
void nopoll_sleep(long microseconds);

/**
 * The time between two instants: result = a - b, with 0 <= tv_usec < 1000000, also when the
 * arguments are not in that form. A negative difference has a negative tv_sec: {0, 0} less
 * {0, 500000} is {-1, 500000}.
 *
 * @param a      the later one, if all is well; unchanged.
 * @param b      the earlier one; unchanged.
 * @param result gets the difference; may be a or b.
 * @return 1 when the difference is negative, else 0; 0 with nothing done when a pointer is NULL.
 */
int nopoll_timeval_substract(struct timeval* a, struct timeval* b, struct timeval* result);

/**
 * @param value    the byte.
 * @param position which bit, 0 for the least significant one up to 7.
 * @return the bit, 0 or 1; 0 for any other position.
 */
int nopoll_get_bit(char value, int position);

/**
 * Sets one bit of a byte to 1.
 *
 * @param buffer   the byte; NULL: nothing happens.
 * @param position which bit, 0 (least significant) to 7; others: nothing happens.
 */
void nopoll_set_bit(char* buffer, int position);

/**
 * @return the byte at buffer as a number from 0 to 255; 0 for NULL.
 */
int nopoll_get_8bit(const char* buffer);

/**
 * @return the two bytes at buffer, in network order, as a number from 0 to 65535; 0 for NULL.
 */
int nopoll_get_16bit(const char* buffer);

/**
 * @return the four bytes at buffer, in network order, as an int: negative when the top bit is set;
 *         0 for NULL.
 */
int nopoll_get_32bit(const char* buffer);

/**
 * Writes the low 16 bits of value to two bytes, in network order.
 *
 * @param buffer where to; NULL: nothing happens.
 */
void nopoll_set_16bit(int value, char* buffer);

/**
 * Writes the low 32 bits of value to four bytes, in network order.
 *
 * @param buffer where to; NULL: nothing happens.
 */
void nopoll_set_32bit(int value, char* buffer);

/**
 * Writes the 32 binary digits of a number, two's complement, most significant one first, into the
 * last 32 places of a buffer. No terminator is added.
 *
 * @param a        the number.
 * @param buffer   where to.
 * @param buf_size its size, at least 32.
 * @return a pointer to the place before the first digit (that is buffer - 1 for a size of 32, not
 *         to be read); buffer itself, with nothing written, when it is NULL or too small.
 */
char* nopoll_int2bin(int a, char* buffer, int buf_size);

/**
 * Logs a number at level debug: decimal, then its 32 binary digits.
 *
 * @param ctx whose log; NULL: nothing happens.
 */
void nopoll_int2bin_print(noPollCtx* ctx, int value);

/**
 * Logs the bits of a byte at level debug, as "  byte (LABEL) = 1 0 1 0  0 1 0 1".
 *
 * @param ctx   whose log; NULL: nothing happens.
 * @param value the byte.
 * @param label what to call it; NULL prints "(null)".
 */
void nopoll_show_byte(noPollCtx* ctx, char value, const char* label);

END_C_DECLS

/* Last: what is not in noPoll 0.4.8. */
#include "nopoll_ext.h"

#endif /* __NOPOLL_H__ */
