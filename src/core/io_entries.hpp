// SPDX-License-Identifier: MIT
// The functions behind the `receive` and `send` fields of a connection. A program may call them
// through the fields, or put its own in their place; then all bytes go through those.
#pragma once

#include "core/face.hpp"

namespace nopoll::core {

int plain_receive_entry(noPollConn* conn, char* buffer, int size);
int plain_send_entry(noPollConn* conn, char* buffer, int size);
int tls_receive_entry(noPollConn* conn, char* buffer, int size);
int tls_send_entry(noPollConn* conn, char* buffer, int size);

}  // namespace nopoll::core
