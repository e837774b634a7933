// SPDX-License-Identifier: MIT
// What one step of input or output came to. Used by plain sockets and TLS alike.
#pragma once

#include <cstddef>

namespace nopoll::net {

struct [[nodiscard]] IoResult {
    enum class Status {
        ok,           // bytes were moved
        would_block,  // nothing moved; try again when want_write says so
        end,          // the peer will send nothing more
        failed,       // error holds an errno value, 0 when OpenSSL refused (see its error queue)
    };

    Status status = Status::failed;
    std::size_t bytes = 0;
    int error = 0;
    bool want_write = false;  // would_block: wait for writability, else for readability

    static IoResult moved(std::size_t count) { return {Status::ok, count, 0, false}; }
    static IoResult blocked(bool for_writing) { return {Status::would_block, 0, 0, for_writing}; }
    static IoResult ended() { return {Status::end, 0, 0, false}; }
    static IoResult failure(int errno_value) { return {Status::failed, 0, errno_value, false}; }

    [[nodiscard]] bool ok() const { return status == Status::ok; }
};

}  // namespace nopoll::net
