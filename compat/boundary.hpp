// SPDX-License-Identifier: MIT
//
// The one place where the library's exceptions stop: running out of memory becomes the failure
// value of the exported function, with errno ENOMEM. Everything else passes: a C++ handler's own
// exception and thread cancellation.
#pragma once

#include <cerrno>
#include <new>
#include <type_traits>
#include <utility>

namespace nopoll::compat {

template <class R, class F>
[[nodiscard]] R boundary(R failure, F&& body) {
    try {
        return std::forward<F>(body)();
    } catch (const std::bad_alloc&) {
        // Falls through, so that errno is written after the exception object is gone.
    }
    errno = ENOMEM;
    return failure;
}

// For functions without a result.
template <class F>
void boundary(F&& body) {
    static_assert(std::is_void_v<std::invoke_result_t<F>>);
    try {
        std::forward<F>(body)();
        return;
    } catch (const std::bad_alloc&) {
        // As above.
    }
    errno = ENOMEM;
}

}  // namespace nopoll::compat
