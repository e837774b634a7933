// SPDX-License-Identifier: MIT
// Which end of the connection we are: it decides who masks (RFC 6455 5.1).
#pragma once

namespace nopoll::protocol {

enum class Role { client, server };

}  // namespace nopoll::protocol
