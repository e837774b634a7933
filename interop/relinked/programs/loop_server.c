/* SPDX-License-Identifier: MIT
 * Style (a), C90: a server that lives in nopoll_loop_wait() and answers in handlers.
 *
 *     loop_server PORT
 */
#include <nopoll.h>

static int opened = 0;

static nopoll_bool on_accept(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    (void)data;
    printf("accept from %s, role %d, ready %d\n", nopoll_conn_host(conn),
           (int)nopoll_conn_role(conn), nopoll_conn_is_ready(conn));
    return nopoll_true;
}

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    const char* reason = nopoll_conn_get_close_reason(conn);
    (void)ctx;
    printf("close of %s: %d %s\n", (const char*)data, nopoll_conn_get_close_status(conn),
           reason ? reason : "-");
}

static nopoll_bool on_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    const char* url = nopoll_conn_get_requested_url(conn);
    (void)ctx;
    printf("open %s, origin %s, protocols %s, cookie %s, %d before\n", url,
           nopoll_conn_get_origin(conn), nopoll_conn_get_requested_protocol(conn),
           nopoll_conn_get_cookie(conn), PTR_TO_INT(data) + opened);
    if (nopoll_cmp(url, "/forbidden")) return nopoll_false;
    if (nopoll_conn_get_requested_protocol(conn)) nopoll_conn_set_accepted_protocol(conn, "echo");
    opened++;
    nopoll_conn_set_on_close(conn, on_close, (noPollPtr) "a client");
    return nopoll_true;
}

static nopoll_bool on_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    (void)ctx;
    return nopoll_conn_send_text(conn, (const char*)data, -1) == (int)strlen((const char*)data);
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    const char* content = (const char*)nopoll_msg_get_payload(msg);
    long size = (long)nopoll_msg_get_payload_size(msg);

    (void)data;
    printf("message: opcode %d, %ld bytes, final %d, fragment %d\n", (int)nopoll_msg_opcode(msg),
           size, nopoll_msg_is_final(msg), nopoll_msg_is_fragment(msg));
    if (size == 0) size = -1; /* the length of a C string; 0 would send nothing */
    if (nopoll_ncmp(content, "leave", 5)) {
        nopoll_conn_close_ext(conn, 4001, "as you wish", 11);
    } else if (nopoll_ncmp(content, "stop", 4)) {
        nopoll_loop_stop(ctx);
    } else if (!nopoll_msg_is_final(msg)) {
        if (nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME)
            nopoll_conn_send_binary_fragment(conn, content, size);
        else
            nopoll_conn_send_text_fragment(conn, content, size);
    } else if (nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME) {
        nopoll_conn_send_binary(conn, content, size);
    } else {
        nopoll_conn_send_text(conn, content, size);
    }
}

int main(int argc, char** argv) {
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* listener;
    int result;

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    listener = argc == 2 ? nopoll_listener_new(ctx, "127.0.0.1", argv[1]) : NULL;
    if (!nopoll_conn_is_ok(listener)) return 1;
    nopoll_ctx_set_on_accept(ctx, on_accept, NULL);
    nopoll_ctx_set_on_open(ctx, on_open, INT_TO_PTR(0));
    nopoll_ctx_set_on_ready(ctx, on_ready, (noPollPtr) "welcome");
    nopoll_ctx_set_on_msg(ctx, on_msg, NULL);
    printf("listening\n");
    result = nopoll_loop_wait(ctx, 0);
    printf("the loop returned %d, %d were open\n", result, opened);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    nopoll_cleanup_library();
    return 0;
}
