// SPDX-License-Identifier: MIT
// Which process this is, without a system call: what a child inherits must not be used as its own.
#pragma once

#include <sys/types.h>

namespace nopoll::net {

// As getpid(2). A child made by fork() gets its own answer; one made by a bare clone(2) does not.
[[nodiscard]] pid_t process_id();

}  // namespace nopoll::net
