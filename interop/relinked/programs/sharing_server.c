// SPDX-License-Identifier: MIT
// Style (i), C11: one port for several protocols. The program accepts, looks at the first bytes
// without taking them, and hands WebSocket connections, plain or TLS, to the library. Lines of its
// own protocol and web pages it answers itself.
//
//     sharing_server PORT CERTIFICATE KEY
#include <nopoll.h>
#include <poll.h>

static int served;

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)data;
    printf("WebSocket, TLS %d: %s\n", nopoll_conn_is_tls_on(conn),
           (const char*)nopoll_msg_get_payload(msg));
    nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                          nopoll_msg_get_payload_size(msg));
    nopoll_conn_close_ext(conn, 1000, "one each", 8);
    served++;
    nopoll_loop_stop(ctx);
}

static void answer(NOPOLL_SOCKET fd, const char* what, const char* text) {
    char request[1024];
    const ssize_t size = recv(fd, request, sizeof(request), 0);

    printf("%s: %.4s, answered %d\n", what, size >= 4 ? request : "----",
           send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    nopoll_close_socket(fd);
    served++;
}

static void serve_websocket(noPollCtx* ctx, NOPOLL_SOCKET fd, nopoll_bool tls) {
    noPollConn* conn = nopoll_listener_from_socket(ctx, fd);

    if (conn == NULL) {
        nopoll_close_socket(fd);
        return;
    }
    if (!nopoll_conn_accept_complete(ctx, NULL, conn, fd, tls)) {
        puts("could not be completed");
        nopoll_conn_close(conn);
        return;
    }
    // Until the message is there: on_msg stops this.
    printf("the loop returned %d\n", nopoll_loop_wait(ctx, 10000000));
}

// The head up to its blank line, seen but not taken.
static ssize_t peek_head(NOPOLL_SOCKET fd, char* head, size_t size) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};

    if (poll(&waiting, 1, 10000) != 1) return -1;
    const ssize_t there = recv(fd, head, size - 1, MSG_PEEK);
    if (there > 0) head[there] = 0;
    return there;
}

static void serve(noPollCtx* ctx, NOPOLL_SOCKET fd) {
    char head[4096] = {0};

    if (peek_head(fd, head, sizeof(head)) < 3) {
        nopoll_close_socket(fd);
    } else if (head[0] == 0x16 && head[1] == 3) {
        serve_websocket(ctx, fd, nopoll_true);
    } else if (strncmp(head, "GET ", 4) == 0 && strcasestr(head, "upgrade: websocket")) {
        serve_websocket(ctx, fd, nopoll_false);
    } else if (strncmp(head, "GET ", 4) == 0) {
        answer(fd, "web page", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    } else {
        answer(fd, "own protocol", "PONG\n");
    }
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 4) return 2;
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_ctx_set_on_msg(ctx, on_msg, NULL);
    if (!nopoll_ctx_set_certificate(ctx, NULL, argv[2], argv[3], NULL)) return 1;
    const NOPOLL_SOCKET listener = nopoll_listener_sock_listen(ctx, "127.0.0.1", argv[1]);
    if (!nopoll_socket_is_valid(listener)) return 1;
    puts("listening");
    while (served < 5)
        serve(ctx, nopoll_listener_accept(listener));
    nopoll_close_socket(listener);
    nopoll_ctx_unref(ctx);
    return 0;
}
