// SPDX-License-Identifier: MIT
// One call into the library, and what is to be said about its result when memory was short.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "faults/exchange.hpp"
#include "faults/failing_allocator.hpp"

namespace nopoll::faults {

// Every wait of a test program ends by then; nothing here takes that long.
constexpr int kPatienceMs = 10000;

// A loop that fails that often in a row is given up.
constexpr int kLoopTries = 3;

// A frame of kLarge does not fit into the socket then, and has to be finished later. Not smaller:
// the loopback's segments of 64 KiB are acknowledged at once only in pairs.
constexpr long kLarge = 1500000;
inline void make_send_buffer_small(noPollConn* conn) {
    const int size = 131072;
    (void)::setsockopt(nopoll_conn_socket(conn), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

template <class Result>
struct Called {
    Result value;
    int error;          // errno as the call left it
    bool memory_short;  // an allocation failed inside
};

template <class Call>
auto call(Call what) {
    const long before = failed_here();
    errno = 0;
    auto value = in_library(what);
    const int error = errno;
    return Called<decltype(value)>{value, error, failed_here() != before};
}

// What log handlers do; NOPOLL_FAULTS_LOG=1 shows the records.
inline void take_record(const char* who, const char* text, Findings& findings) {
    if (text == nullptr || *text == '\0') findings.add("%s: an empty log record", who);
    static const bool shown = std::getenv("NOPOLL_FAULTS_LOG") != nullptr;
    if (shown) std::fprintf(stderr, "%s: %s\n", who, text);
}

// errno of a call in which an allocation failed. TLS has no way to tell why it failed.
inline bool says_no_memory(int error) {
    return error == ENOMEM || (error == EIO && is_about(Source::openssl));
}

// A call that says "no memory" by its result and errno, and must not say it without reason.
template <class Result>
bool succeeded(const Called<Result>& called, bool ok, const char* name, Findings& findings) {
    if (ok) return true;
    if (!called.memory_short)
        findings.add("%s failed although memory was there, errno %d", name, called.error);
    else if (!says_no_memory(called.error))
        findings.add("%s had no memory, but errno is %d", name, called.error);
    return false;
}

}  // namespace nopoll::faults
