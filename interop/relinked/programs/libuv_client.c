// SPDX-License-Identifier: MIT
// Style (f), C11 and libuv: a client over TLS whose descriptor a uv_poll_t watches. What OpenSSL
// has already decrypted does not make the descriptor readable: nopoll_conn_read_pending() says so.
//
//     libuv_client PORT AUTHORITY
#include <nopoll.h>
#include <uv.h>

typedef struct {
    uv_loop_t* loop;
    uv_poll_t poll;
    uv_timer_t timer;
    noPollConn* conn;
    int received;
} Client;

static void stop(Client* client) {
    uv_close((uv_handle_t*)&client->poll, NULL);
    uv_close((uv_handle_t*)&client->timer, NULL);
}

static void on_poll(uv_poll_t* handle, int status, int events) {
    Client* client = handle->data;

    (void)events;
    if (status < 0) printf("poll failed\n");
    do {
        noPollMsg* msg = nopoll_conn_get_msg(client->conn);
        if (msg == NULL) continue;
        client->received++;
        if (client->received % 10 == 0)
            printf("message %d: %s\n", client->received, (const char*)nopoll_msg_get_payload(msg));
        nopoll_msg_unref(msg);
    } while (nopoll_conn_read_pending(client->conn) > 0);
    if (!nopoll_conn_is_ok(client->conn)) {
        printf("the server has ended it: %d\n", nopoll_conn_get_close_status(client->conn));
        stop(client);
    }
}

static void on_timer(uv_timer_t* timer) {
    Client* client = timer->data;

    if (client->received < 50) return;
    uv_timer_stop(timer);
    printf("asks for more\n");
    nopoll_conn_send_text(client->conn, "more", 4);
    nopoll_conn_flush_writes(client->conn, 100000, 0);
}

int main(int argc, char** argv) {
    Client client = {.loop = uv_default_loop()};

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 3) return 2;
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConnOpts* opts = nopoll_conn_opts_new();
    if (!nopoll_conn_opts_set_ssl_certs(opts, NULL, NULL, NULL, argv[2])) return 1;
    nopoll_conn_opts_ssl_peer_verify(opts, nopoll_true);
    nopoll_conn_opts_set_ssl_protocol(opts, NOPOLL_METHOD_TLSV1_2);
    client.conn =
        nopoll_conn_tls_new(ctx, opts, "127.0.0.1", argv[1], "localhost", "/libuv", NULL, NULL);
    if (!nopoll_conn_wait_until_connection_ready(client.conn, 10)) return 1;
    printf("TLS %d\n", nopoll_conn_is_tls_on(client.conn));
    uv_poll_init(client.loop, &client.poll, nopoll_conn_socket(client.conn));
    uv_timer_init(client.loop, &client.timer);
    client.poll.data = client.timer.data = &client;
    uv_timer_start(&client.timer, on_timer, 20, 20);
    uv_poll_start(&client.poll, UV_READABLE, on_poll);
    uv_run(client.loop, UV_RUN_DEFAULT);

    printf("%d messages\n", client.received);
    nopoll_conn_close(client.conn);
    nopoll_ctx_unref(ctx);
    return 0;
}
