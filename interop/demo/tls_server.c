/* SPDX-License-Identifier: MIT
 * server.c over TLS: tls_server PORT CERTIFICATE PRIVATE_KEY
 */
#include <nopoll.h>
#include <stdio.h>

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    long size = nopoll_msg_get_payload_size(msg);
    nopoll_conn_send_frame(conn, nopoll_msg_is_final(msg), nopoll_false, nopoll_msg_opcode(msg),
                           size, (noPollPtr)nopoll_msg_get_payload(msg), 0);
    /* A send over TLS never waits. This waits for what did not fit, and else does nothing. */
    nopoll_conn_flush_writes(conn, 10000000, 0);
    printf("got and sent back: opcode %d, final %d, %ld bytes\n", nopoll_msg_opcode(msg),
           nopoll_msg_is_final(msg), size);
}

int main(int argc, char** argv) {
    noPollCtx* ctx;
    noPollConn* listener;

    if (argc != 4) return 2;
    ctx = nopoll_ctx_new();
    listener = nopoll_listener_tls_new(ctx, "0.0.0.0", argv[1]);
    if (!nopoll_conn_is_ok(listener)) return 1;
    if (!nopoll_listener_set_certificate(listener, argv[2], argv[3], NULL)) return 1;
    nopoll_ctx_set_on_msg(ctx, on_msg, NULL);
    nopoll_loop_wait(ctx, 0);
    nopoll_ctx_unref(ctx);
    return 0;
}
