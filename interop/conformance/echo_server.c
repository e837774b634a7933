/* SPDX-License-Identifier: MIT
 * An echo server in the usual way: nopoll_loop_wait() and handlers. Prints "listening PORT"; ends
 * with status 0 on SIGTERM, with 1 when something went wrong that the peers are not to blame for.
 */
#include "echo.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static noPollCtx* context;
static int status;

static void on_sigterm(int number) {
    (void)number;
    nopoll_loop_stop(context);
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* frame, noPollPtr data) {
    (void)ctx;
    (void)data;
    if (echo(conn, nopoll_conn_get_hook(conn), frame) || !nopoll_conn_is_ok(conn)) return;
    fprintf(stderr, "echo_server: a message could not be sent back\n");
    status = 1;
    nopoll_conn_shutdown(conn);
}

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    Message* message = nopoll_conn_get_hook(conn);

    (void)ctx;
    (void)data;
    nopoll_conn_set_hook(conn, NULL);
    free(message->data);
    free(message);
}

static nopoll_bool on_open(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    Message* message = calloc(1, sizeof(*message));

    (void)ctx;
    (void)data;
    if (message == NULL) return nopoll_false;
    nopoll_conn_set_hook(conn, message);
    nopoll_conn_set_on_close(conn, on_close, NULL);
    return nopoll_true;
}

static int bound_port(noPollConn* listener) {
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    if (getsockname(nopoll_conn_socket(listener), (struct sockaddr*)&address, &size)) return -1;
    return ntohs(address.sin_port);
}

int main(void) {
    noPollConn* listener;

    setvbuf(stdout, NULL, _IOLBF, 0);
    context = nopoll_ctx_new();
    listener = nopoll_listener_new(context, "127.0.0.1", "0");
    if (!nopoll_conn_is_ok(listener)) return 1;
    signal(SIGTERM, on_sigterm);
    nopoll_ctx_set_on_open(context, on_open, NULL);
    nopoll_ctx_set_on_msg(context, on_msg, NULL);
    printf("listening %d\n", bound_port(listener));

    if (nopoll_loop_wait(context, 0) != 0) status = 1;
    nopoll_conn_close(listener);
    nopoll_ctx_unref(context);
    return status;
}
