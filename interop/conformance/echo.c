/* SPDX-License-Identifier: MIT
 * The echo of the conformance run, see echo.h.
 */
#include "echo.h"

#include <stdlib.h>
#include <string.h>

#define FLUSH_US 20000000L

static int add(Message* message, noPollMsg* frame) {
    size_t size = (size_t)nopoll_msg_get_payload_size(frame);

    if (!message->started) {
        message->opcode = nopoll_msg_opcode(frame);
        message->size = 0;
        message->started = 1;
    }
    if (message->size + size > message->room) {
        size_t room = 2 * (message->size + size);
        char* data = realloc(message->data, room);

        if (data == NULL) return 0;
        message->data = data;
        message->room = room;
    }
    if (size) memcpy(message->data + message->size, nopoll_msg_get_payload(frame), size);
    message->size += size;
    return 1;
}

static int send_back(noPollConn* conn, const Message* message) {
    const long size = (long)message->size;
    const nopoll_bool masked = nopoll_conn_role(conn) == NOPOLL_ROLE_CLIENT;
    int sent;

    if (size == 0) {
        sent = nopoll_conn_send_frame(conn, nopoll_true, masked, message->opcode, 0, NULL, 0);
    } else if (message->opcode == NOPOLL_TEXT_FRAME) {
        sent = nopoll_conn_send_text(conn, message->data, size);
    } else {
        sent = nopoll_conn_send_binary(conn, message->data, size);
    }
    if (sent == size) return 1;
    if (sent == -1) return 0;
    /* Taken but not all written: the socket's buffer is full. -2 means not even a byte. */
    nopoll_conn_flush_writes(conn, FLUSH_US, 0);
    return nopoll_conn_pending_write_bytes(conn) == 0;
}

int echo(noPollConn* conn, Message* message, noPollMsg* frame) {
    if (!add(message, frame)) return 0;
    if (!nopoll_msg_is_final(frame)) return 1;
    message->started = 0;
    return send_back(conn, message);
}
