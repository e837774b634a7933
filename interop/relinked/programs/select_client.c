/* SPDX-License-Identifier: MIT
 * Style (b), C90: a client with a select() loop of its own that asks nopoll_conn_get_msg() once for
 * each readable event, puts fragments together and writes without waiting.
 *
 *     select_client PORT
 */
#include <nopoll.h>

#define BIG 15000000L /* more than the buffers of two sockets hold */

static noPollMsg* message = NULL;
static long left = 0; /* of the large message that is being written */
static int done = 0;

static void send_big(noPollConn* conn) {
    char* content = (char*)nopoll_calloc(BIG, 1);
    int sent;

    memset(content, 'b', BIG);
    sent = nopoll_conn_send_binary(conn, content, BIG);
    nopoll_free(content);
    /* -2: taken, but not a byte of it is out yet. */
    if (sent == -1) printf("the large message was not taken\n");
    left = BIG - (sent == -2 ? 0 : sent);
    printf("the large message is begun, some is left: %d\n", left > 0);
}

static void go_on_writing(noPollConn* conn) {
    int sent = nopoll_conn_complete_pending_write(conn);

    if (sent > 0) left -= sent;
    if (left == 0) printf("the large message is out\n");
}

static void handle(noPollConn* conn, noPollMsg* msg) {
    const char* content = (const char*)nopoll_msg_get_payload(msg);
    long size = (long)nopoll_msg_get_payload_size(msg);

    if (nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME) {
        printf("binary message of %ld bytes\n", size);
        return;
    }
    printf("text: %s\n", content);
    if (nopoll_ncmp(content, "big", 3)) send_big(conn);
    if (nopoll_ncmp(content, "parts", 5)) {
        nopoll_conn_send_text_fragment(conn, "in ", 3);
        nopoll_conn_send_ping(conn);
        nopoll_conn_send_text_fragment(conn, "three ", 6);
        nopoll_conn_send_text(conn, "parts", 5);
    }
    if (nopoll_ncmp(content, "bye", 3)) done = 1;
}

static void read_one(noPollConn* conn) {
    noPollMsg *msg = nopoll_conn_get_msg(conn), *joined;

    if (msg == NULL) return;
    if (!nopoll_msg_is_final(msg)) {
        joined = nopoll_msg_join(message, msg);
        nopoll_msg_unref(message);
        nopoll_msg_unref(msg);
        message = joined;
        return;
    }
    if (message) {
        joined = nopoll_msg_join(message, msg);
        nopoll_msg_unref(message);
        nopoll_msg_unref(msg);
        message = NULL;
        msg = joined;
    }
    handle(conn, msg);
    nopoll_msg_unref(msg);
}

int main(int argc, char** argv) {
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn;

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 2) return 2;
    conn = nopoll_conn_new(ctx, "127.0.0.1", argv[1], "device.example", "/select?a=b", "one two",
                           "http://device.example");
    printf("ok %d\n", nopoll_conn_is_ok(conn));
    printf("ready %d\n", nopoll_conn_wait_until_connection_ready(conn, 10));
    printf("protocol %s\n", nopoll_conn_get_accepted_protocol(conn));
    while (!done && nopoll_conn_is_ok(conn)) {
        NOPOLL_SOCKET fd = nopoll_conn_socket(conn);
        struct timeval limit;
        fd_set readable, writable;

        FD_ZERO(&readable);
        FD_ZERO(&writable);
        FD_SET(fd, &readable);
        if (left) FD_SET(fd, &writable);
        limit.tv_sec = 20;
        limit.tv_usec = 0;
        if (select(fd + 1, &readable, &writable, NULL, &limit) <= 0) break;
        if (FD_ISSET(fd, &writable)) go_on_writing(conn);
        if (FD_ISSET(fd, &readable)) read_one(conn);
    }
    printf("done %d, pending %d\n", done, nopoll_conn_pending_write_bytes(conn));
    nopoll_conn_close_ext(conn, 1000, "finished", 8);
    nopoll_ctx_unref(ctx);
    return 0;
}
