/* SPDX-License-Identifier: MIT */
/*
 * What the platform offers, fixed for every Linux architecture: nothing here is generated, so
 * one copy serves 32-bit and 64-bit builds. No other header is needed before it.
 */
#ifndef __NOPOLL_CONFIG_H__
#define __NOPOLL_CONFIG_H__

/** Defined on everything but Windows. */
#ifndef NOPOLL_OS_WIN32
#define NOPOLL_OS_UNIX (1)
#endif

/** libc has vasprintf(). */
#define NOPOLL_HAVE_VASPRINTF (1)

/** Defined where pointers have 8 bytes; not defined at all where they have 4. */
#if defined(__SIZEOF_POINTER__)
#if __SIZEOF_POINTER__ == 8
#define NOPOLL_64BIT_PLATFORM (1)
#endif
#elif defined(__LP64__) || defined(_LP64)
#define NOPOLL_64BIT_PLATFORM (1)
#endif

/**
 * INT_TO_PTR (integer): a noPollPtr that carries the int value, as user data for a handler.
 * PTR_TO_INT (ptr): the int that INT_TO_PTR put into the pointer.
 * A program that defined its own before keeps them.
 */
#if defined(NOPOLL_64BIT_PLATFORM)
#ifndef INT_TO_PTR
#define INT_TO_PTR(integer) ((noPollPtr)(long)((int)(integer)))
#endif
#ifndef PTR_TO_INT
#define PTR_TO_INT(ptr) ((int)(long)(ptr))
#endif
#else
#ifndef INT_TO_PTR
#define INT_TO_PTR(integer) ((noPollPtr)((int)(integer)))
#endif
#ifndef PTR_TO_INT
#define PTR_TO_INT(ptr) ((int)(ptr))
#endif
#endif

/**
 * Each says that the noPollSslProtocol value of the same name exists and can be passed to
 * nopoll_conn_opts_set_ssl_protocol(). SSL 2 and SSL 3 are gone from OpenSSL, so
 * NOPOLL_HAVE_SSLv23_ENABLED and NOPOLL_HAVE_SSLv3_ENABLED are not defined.
 */
#define NOPOLL_HAVE_TLSv10_ENABLED (1)
#define NOPOLL_HAVE_TLSv11_ENABLED (1)
#define NOPOLL_HAVE_TLSv12_ENABLED (1)
#define NOPOLL_HAVE_TLS_FLEXIBLE_ENABLED (1)

#endif /* __NOPOLL_CONFIG_H__ */
