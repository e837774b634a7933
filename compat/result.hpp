// SPDX-License-Identifier: MIT
// From the core's results to those of the C API. errno is written last, after every destructor.
#pragma once

#include <cerrno>

#include "core/connection.hpp"

namespace nopoll::compat {

inline nopoll_bool to_bool(bool value) {
    return value ? nopoll_true : nopoll_false;
}

// Never to be taken for "would block", which errno may still say from an earlier call.
constexpr core::CallResult kBadArgument{-1, EINVAL};

inline int to_c(core::CallResult result) {
    if (result.error != core::kKeepErrno) errno = result.error;
    return result.value;
}

}  // namespace nopoll::compat
