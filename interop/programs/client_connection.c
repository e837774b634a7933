/* SPDX-License-Identifier: MIT
 * Connections of the interop client as a program has them that waits in a poll() of its own:
 * nopoll_conn_get_msg() whenever the descriptor is readable, no loop.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

noPollConn* begin_connection(noPollCtx* ctx, const Server* server, const Request* request) {
    noPollConnOpts* opts = nopoll_conn_opts_new();
    const char* ca = request->ca ? request->ca : server->ca;

    if (request->cookie) nopoll_conn_opts_set_cookie(opts, request->cookie);
    if (request->headers) nopoll_conn_opts_set_extra_headers(opts, request->headers);
    if (!ca && server->ipv6) {
        /* There is no such function with options. */
        nopoll_conn_opts_unref(opts);
        return nopoll_conn_new6(ctx, server->host, server->port, request->name, request->path,
                                request->protocols, request->origin);
    }
    if (!ca)
        return nopoll_conn_new_opts(ctx, opts, server->host, server->port, request->name,
                                    request->path, request->protocols, request->origin);
    nopoll_conn_opts_set_ssl_certs(opts, server->certificate, server->key, NULL, ca);
    nopoll_conn_opts_ssl_peer_verify(opts, nopoll_true);
    if (server->ipv6)
        return nopoll_conn_tls_new6(ctx, opts, server->host, server->port, request->name,
                                    request->path, request->protocols, request->origin);
    return nopoll_conn_tls_new(ctx, opts, server->host, server->port, request->name, request->path,
                               request->protocols, request->origin);
}

noPollConn* open_connection(noPollCtx* ctx, const Server* server, const Request* request) {
    noPollConn* conn = begin_connection(ctx, server, request);

    if (nopoll_conn_wait_until_connection_ready(conn, WAIT_S)) return conn;
    nopoll_conn_close(conn);
    return NULL;
}

static long long now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits for something to read; 0 when the time is over. */
static int wait_readable(noPollConn* conn, long long deadline_ms) {
    struct pollfd descriptor = {.fd = nopoll_conn_socket(conn), .events = POLLIN};
    long long left = deadline_ms - now_ms();

    if (nopoll_conn_read_pending(conn) > 0) return 1;
    return left > 0 && poll(&descriptor, 1, (int)left) > 0;
}

noPollMsg* next_message(noPollConn* conn, int* frames) {
    const long long deadline_ms = now_ms() + 1000LL * WAIT_S;
    noPollMsg* message = NULL;

    while (nopoll_conn_is_ok(conn)) {
        noPollMsg* part = nopoll_conn_get_msg(conn);

        if (part) {
            noPollMsg* joined = nopoll_msg_join(message, part);
            int last = nopoll_msg_is_final(part);

            nopoll_msg_unref(message);
            nopoll_msg_unref(part);
            message = joined;
            if (frames) ++*frames;
            if (last) return message;
        } else if (nopoll_conn_is_ok(conn) && !wait_readable(conn, deadline_ms)) {
            break;
        }
    }
    nopoll_msg_unref(message);
    return NULL;
}

int wait_for_end(noPollConn* conn) {
    nopoll_msg_unref(next_message(conn, NULL));
    return !nopoll_conn_is_ok(conn);
}

int next_is(noPollConn* conn, noPollOpCode opcode, const char* data, long size) {
    noPollMsg* message = next_message(conn, NULL);
    int same = message && nopoll_msg_opcode(message) == opcode &&
               nopoll_msg_get_payload_size(message) == size &&
               memcmp(nopoll_msg_get_payload(message), data, (size_t)size) == 0;

    nopoll_msg_unref(message);
    return same;
}

int next_is_text(noPollConn* conn, const char* text) {
    return next_is(conn, NOPOLL_TEXT_FRAME, text, (long)strlen(text));
}

int send_message(noPollConn* conn, noPollOpCode opcode, const char* data, long size) {
    int sent;

    if (size == 0)
        return nopoll_conn_send_frame(conn, nopoll_true, nopoll_true, opcode, 0, NULL, 0) == 0;
    sent = opcode == NOPOLL_TEXT_FRAME ? nopoll_conn_send_text(conn, data, size)
                                       : nopoll_conn_send_binary(conn, data, size);
    if (sent != size) sent = nopoll_conn_flush_writes(conn, WAIT_US, sent);
    return sent == size;
}
