/* SPDX-License-Identifier: MIT
 * What the echo programs of the conformance run share: whole messages sent back as they came.
 */
#ifndef CONFORMANCE_ECHO_H
#define CONFORMANCE_ECHO_H

#include <nopoll.h>

/* The frames of a message so far; nopoll_msg_join() would copy all of it for each frame. */
typedef struct {
    noPollOpCode opcode;
    char* data;
    size_t size, room;
    int started;
} Message;

/* Adds a frame; once the message is whole, sends it back. 0 when that fails. */
int echo(noPollConn* conn, Message* message, noPollMsg* frame);

#endif
