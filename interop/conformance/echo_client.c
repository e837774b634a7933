/* SPDX-License-Identifier: MIT
 *     echo_client PORT
 *
 * An echo client that waits with poll() of its own and asks nopoll_conn_get_msg() once for each
 * readable event. It connects again and again, for one case each time, until the tester has stopped
 * listening; then it ends with status 0.
 */
#include "echo.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define READY_S 20
#define IDLE_MS 60000

/* 0 when the tester is not there any more. */
static int one_connection(noPollCtx* ctx, const char* port, Message* message) {
    noPollConn* conn = nopoll_conn_new(ctx, "127.0.0.1", port, NULL, "/", NULL, NULL);
    int connected =
        nopoll_conn_is_ok(conn) && nopoll_conn_wait_until_connection_ready(conn, READY_S);

    message->started = 0;
    while (nopoll_conn_is_ok(conn)) {
        struct pollfd waiting = {.fd = nopoll_conn_socket(conn), .events = POLLIN};
        noPollMsg* frame;

        if (poll(&waiting, 1, IDLE_MS) != 1) break;
        frame = nopoll_conn_get_msg(conn);
        if (frame == NULL) continue;
        if (!echo(conn, message, frame) && nopoll_conn_is_ok(conn)) {
            fprintf(stderr, "echo_client: a message could not be sent back\n");
            nopoll_conn_shutdown(conn);
        }
        nopoll_msg_unref(frame);
    }
    nopoll_conn_close(conn);
    return connected;
}

int main(int argc, char** argv) {
    Message message = {.opcode = NOPOLL_TEXT_FRAME};
    noPollCtx* ctx = nopoll_ctx_new();

    if (argc != 2) return 2;
    while (one_connection(ctx, argv[1], &message)) {
    }
    free(message.data);
    nopoll_ctx_unref(ctx);
    return 0;
}
