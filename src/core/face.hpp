// SPDX-License-Identifier: MIT
//
// The only file that includes the installed headers. They carry no export marks, so they are read
// with default visibility here; everything else in the library is compiled with hidden visibility.
// System and OpenSSL headers come first, so that nothing of theirs is declared inside the pragma.
#pragma once

// NOLINTBEGIN(modernize-deprecated-headers): what the installed headers include, by the same names.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/opensslv.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
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
// NOLINTEND(modernize-deprecated-headers)

// The installed headers use C idioms (casts in macros) that the warnings of our own code reject.
#pragma GCC visibility push(default)
#include <nopoll/nopoll.h>
#include <nopoll/nopoll_private.h>
#pragma GCC visibility pop
