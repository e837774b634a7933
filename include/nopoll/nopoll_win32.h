/* SPDX-License-Identifier: MIT */
/*
 * Names that the interface has on Windows only. This library is for Unix systems: the header is
 * installed because programs include it, and it is empty unless NOPOLL_OS_WIN32 is defined.
 * Nothing here is defined by the library.
 */
#ifndef __NOPOLL_WIN32_H__
#define __NOPOLL_WIN32_H__

#include "nopoll_config.h"

#if defined(NOPOLL_OS_WIN32)

#include "nopoll_ctx.h"

BEGIN_C_DECLS

/** Entry point of the library as a DLL: always lets it load. */
BOOL DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);

/** Makes a socket blocking. @return non-zero when it is. */
int nopoll_win32_blocking_enable(NOPOLL_SOCKET sock);

/** Time of day, for systems without gettimeofday(). @return 0. */
int nopoll_win32_gettimeofday(struct timeval* tv, noPollPtr not_used);

/** Starts the socket library of Windows. @return non-zero when it is up. */
int nopoll_win32_init(noPollCtx* ctx);

/** Makes a socket non-blocking. @return non-zero when it is. */
int nopoll_win32_nonblocking_enable(NOPOLL_SOCKET sock);

END_C_DECLS

#endif /* NOPOLL_OS_WIN32 */

#endif /* __NOPOLL_WIN32_H__ */
