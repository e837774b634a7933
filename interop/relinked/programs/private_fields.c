// SPDX-License-Identifier: MIT
// Style (j), C11: a program that reads and writes fields of the objects through nopoll_private.h,
// over TLS.
//
//     private_fields PORT AUTHORITY
#include <nopoll.h>
#include <nopoll_private.h>

static int sends;  // through the field `send`
static noPollRead original_send;

static int counting_send(noPollConn* conn, char* buffer, int size) {
    sends++;
    return original_send(conn, buffer, size);
}

static nopoll_bool post_check(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                              noPollPtr data) {
    (void)ctx;
    (void)data;
    printf("post check: ssl %d, ssl_ctx %d, host_name %s, tls_on %d\n", conn->ssl == ssl,
           conn->ssl_ctx == ssl_ctx, conn->host_name, conn->tls_on);
    return SSL_get_verify_result(conn->ssl) == X509_V_OK;
}

// Filled by hand, then joined, as the original's own test does.
static void fill_messages(void) {
    noPollMsg *first = nopoll_msg_new(), *second = nopoll_msg_new(), *both;

    first->has_fin = 1;
    first->op_code = NOPOLL_TEXT_FRAME;
    first->payload = nopoll_strdup("filled ");
    first->payload_size = 7;
    second->payload = nopoll_strdup("by hand");
    second->payload_size = 7;
    both = nopoll_msg_join(first, second);
    printf("joined: %s, %ld bytes, final %d, opcode %d, refs %d\n", (const char*)both->payload,
           both->payload_size, both->has_fin, both->op_code, both->refs);
    nopoll_msg_unref(first);
    nopoll_msg_unref(second);
    nopoll_msg_unref(both);
}

static void show(const noPollMsg* msg) {
    printf("fields: opcode %d, size %ld, final %d, fragment %d, remain %d, masked %d: %.*s\n",
           msg->op_code, msg->payload_size, msg->has_fin, msg->is_fragment, msg->remain_bytes,
           msg->is_masked, (int)msg->payload_size, (const char*)msg->payload);
}

// The program's own buffer in the message: the library frees it.
static void replace_payload(noPollMsg* msg) {
    free(msg->payload);
    msg->payload = nopoll_strdup("replaced");
    msg->payload_size = 8;
    printf("getter: %s, %ld\n", (const char*)nopoll_msg_get_payload(msg),
           (long)nopoll_msg_get_payload_size(msg));
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)data;
    show(msg);
    if (nopoll_msg_is_final(msg) && !nopoll_msg_is_fragment(msg)) replace_payload(msg);
    if (conn->session != nopoll_conn_socket(conn)) printf("session differs\n");
    if (msg->op_code == NOPOLL_BINARY_FRAME) nopoll_loop_stop(ctx);
}

static void show_end(noPollConn* conn) {
    printf("end: status %d, reason %s, session %d\n", conn->peer_close_status,
           conn->peer_close_reason, conn->session);
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 3) return 2;
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConnOpts* opts = nopoll_conn_opts_new();
    printf("fresh: refs %d %d, timeout %ld, version %d, verify off %d\n", ctx->refs, opts->refs,
           ctx->conn_connect_std_timeout, ctx->protocol_version, opts->disable_ssl_verify);
    fill_messages();

    nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, argv[2]);
    opts->disable_ssl_verify = nopoll_false;
    nopoll_conn_opts_set_reuse(opts, nopoll_true);
    nopoll_ctx_set_post_ssl_check(ctx, post_check, NULL);
    noPollConn* conn =
        nopoll_conn_tls_new(ctx, opts, "127.0.0.1", argv[1], "localhost", "/private", NULL, NULL);
    if (!nopoll_conn_wait_until_connection_ready(conn, 10)) return 1;
    printf("ready: refs of options %d, of connection %d, role %d, handshake %d, url %s, %s\n",
           opts->refs, conn->refs, (int)conn->role, conn->handshake_ok, conn->get_url,
           SSL_get_version(conn->ssl));
    nopoll_conn_opts_free(opts);

    original_send = conn->send;
    conn->send = counting_send;
    ctx->on_msg = on_msg;
    nopoll_conn_send_text(conn, "start", 5);
    printf("the loop returned %d, sends %s\n", nopoll_loop_wait(ctx, 10000000),
           sends > 0 ? "seen" : "not seen");
    nopoll_conn_send_text(conn, "end", 3);
    while (nopoll_conn_is_ok(conn))
        if (nopoll_loop_wait(ctx, 10000) == 0) break;
    show_end(conn);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return 0;
}
