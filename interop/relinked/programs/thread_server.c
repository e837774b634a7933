// SPDX-License-Identifier: MIT
// Style (d), C11: a server that accepts itself and gives each connection a thread with a context
// and a loop of its own.
//
//     thread_server PORT CLIENTS
#include <nopoll.h>
#include <pthread.h>

enum { MOST = 64 };

typedef struct {
    pthread_t thread;
    NOPOLL_SOCKET socket;
    int messages;
    long bytes;
    int status;
} Session;

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    Session* session = data;

    session->status = nopoll_conn_get_close_status(conn);
    nopoll_loop_stop(ctx);
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    Session* session = data;

    (void)ctx;
    session->messages++;
    session->bytes += nopoll_msg_get_payload_size(msg);
    nopoll_conn_send_binary(conn, (const char*)nopoll_msg_get_payload(msg),
                            nopoll_msg_get_payload_size(msg));
}

static void* serve(void* data) {
    Session* session = data;
    noPollCtx* ctx = nopoll_ctx_new();

    nopoll_ctx_set_on_msg(ctx, on_msg, session);
    noPollConn* conn = nopoll_listener_from_socket(ctx, session->socket);
    if (conn != NULL) {
        nopoll_conn_set_on_close(conn, on_close, session);
        if (nopoll_conn_accept_complete(ctx, NULL, conn, session->socket, nopoll_false))
            nopoll_loop_wait(ctx, 0);
        nopoll_conn_close(conn);
    }
    nopoll_ctx_unref(ctx);
    return NULL;
}

int main(int argc, char** argv) {
    static Session sessions[MOST];

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 3) return 2;
    noPollCtx* ctx = nopoll_ctx_new();
    const NOPOLL_SOCKET listener = nopoll_listener_sock_listen(ctx, "127.0.0.1", argv[1]);
    nopoll_ctx_unref(ctx);
    if (!nopoll_socket_is_valid(listener)) return 1;
    puts("listening");
    const int count = atoi(argv[2]) < MOST ? atoi(argv[2]) : MOST;
    for (int index = 0; index < count; index++) {
        sessions[index].socket = nopoll_listener_accept(listener);
        if (pthread_create(&sessions[index].thread, NULL, serve, &sessions[index])) return 1;
    }
    nopoll_close_socket(listener);
    for (int index = 0; index < count; index++) {
        pthread_join(sessions[index].thread, NULL);
        printf("connection %d: %d messages, %ld bytes, closed with %d\n", index,
               sessions[index].messages, sessions[index].bytes, sessions[index].status);
    }
    return 0;
}
