/* SPDX-License-Identifier: MIT
 * The echo server of the README: whatever arrives goes back as it came. An argument replaces the
 * port.
 */
#include <nopoll.h>
#include <stdio.h>

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    long size = nopoll_msg_get_payload_size(msg);
    nopoll_conn_send_frame(conn, nopoll_msg_is_final(msg), nopoll_false, nopoll_msg_opcode(msg),
                           size, (noPollPtr)nopoll_msg_get_payload(msg), 0);
    printf("got and sent back: opcode %d, final %d, %ld bytes\n", nopoll_msg_opcode(msg),
           nopoll_msg_is_final(msg), size);
}

int main(int argc, char** argv) {
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* listener = nopoll_listener_new(ctx, "0.0.0.0", argc > 1 ? argv[1] : "1234");
    if (!nopoll_conn_is_ok(listener)) return 1;
    nopoll_ctx_set_on_msg(ctx, on_msg, NULL);
    nopoll_loop_wait(ctx, 0);
    nopoll_ctx_unref(ctx);
    return 0;
}
