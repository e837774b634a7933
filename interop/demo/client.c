/* SPDX-License-Identifier: MIT
 * A client that sends a few messages, shows whatever the server pushes and leaves when it says
 * "bye":
 *
 *     client HOST PORT                          ws://
 *     client HOST PORT CA_FILE [SERVER_NAME]    wss://, the server's certificate is verified
 *
 * Exit status: 0 all went well, 1 not connected, 2 the connection ended before "bye".
 */
#include <nopoll.h>
#include <stdio.h>
#include <string.h>

#define SECONDS 1000000L

static void on_log(noPollCtx* ctx, noPollDebugLevel level, const char* message, noPollPtr data) {
    if (level == NOPOLL_LEVEL_CRITICAL) printf("log: %s\n", message);
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr got_bye) {
    const char* payload = (const char*)nopoll_msg_get_payload(msg);
    long size = nopoll_msg_get_payload_size(msg);

    printf("received: opcode %d, final %d, %ld bytes", nopoll_msg_opcode(msg),
           nopoll_msg_is_final(msg), size);
    if (nopoll_msg_opcode(msg) != NOPOLL_BINARY_FRAME && size < 60)
        printf(": '%.*s'", (int)size, payload);
    printf("\n");

    if (size == 3 && memcmp(payload, "bye", 3) == 0) {
        *(int*)got_bye = 1;
        nopoll_loop_stop(ctx);
    }
}

static noPollConn* connect_to(noPollCtx* ctx, int argc, char** argv) {
    noPollConnOpts* opts;

    if (argc == 3) return nopoll_conn_new(ctx, argv[1], argv[2], NULL, NULL, NULL, NULL);
    opts = nopoll_conn_opts_new();
    nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, argv[3]);
    nopoll_conn_opts_ssl_peer_verify(opts, nopoll_true);
    return nopoll_conn_tls_new(ctx, opts, argv[1], argv[2], argc > 4 ? argv[4] : NULL, NULL, NULL,
                               NULL);
}

int main(int argc, char** argv) {
    noPollCtx* ctx;
    noPollConn* conn;
    int got_bye = 0;

    if (argc < 3 || argc > 5) return 3;
    ctx = nopoll_ctx_new();
    nopoll_log_set_handler(ctx, on_log, NULL);

    conn = connect_to(ctx, argc, argv);
    if (!nopoll_conn_wait_until_connection_ready(conn, 10)) {
        printf("not connected\n");
        nopoll_conn_close(conn);
        nopoll_ctx_unref(ctx);
        return 1;
    }
    printf("connected%s\n", nopoll_conn_is_tls_on(conn) ? ", certificate verified" : "");
    nopoll_conn_set_on_msg(conn, on_msg, &got_bye);

    printf("sent: text 'hello from C', binary of 4 bytes, 'in two ' + 'fragments'\n");
    nopoll_conn_send_text(conn, "hello from C", 12);
    nopoll_conn_send_binary(conn, "\x00\x01\xfe\xff", 4);
    nopoll_conn_send_text_fragment(conn, "in two ", 7);
    nopoll_conn_send_text(conn, "fragments", 9);

    nopoll_loop_wait(ctx, 20 * SECONDS);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return got_bye ? 0 : 2;
}
