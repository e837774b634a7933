// SPDX-License-Identifier: MIT
// What one line of an opening handshake meant, for both sides.
#pragma once

#include <string_view>

namespace nopoll::protocol {

enum class HeadEvent {
    ignored,  // a header nobody asks for, or the status line
    target,
    host,
    origin,
    protocols,
    cookie,
    x_real_ip,
    accepted_protocol,
    upgrade,
    connection,
    key,
    version,
    accept,
    end,      // the blank line: time for check()
    refused,  // nothing more is to be read; the handshake object says why
};

struct HeadStep {
    HeadEvent event = HeadEvent::ignored;
    std::string_view value;  // view into the line given
};

}  // namespace nopoll::protocol
