/* SPDX-License-Identifier: MIT
 * Style (f), C99 and libevent: a client whose descriptor is watched by an event base, with a timer
 * that sends.
 *
 *     libevent_client PORT
 */
#include <event2/event.h>
#include <nopoll.h>

typedef struct {
    struct event_base* base;
    struct event* readable;
    struct event* timer;
    noPollConn* conn;
    int sent, answered;
} Client;

static void on_readable(evutil_socket_t fd, short what, void* data) {
    Client* client = data;

    (void)fd;
    (void)what;
    do {
        noPollMsg* msg = nopoll_conn_get_msg(client->conn);
        if (msg) {
            client->answered++;
            printf("answer: %.*s\n", (int)nopoll_msg_get_payload_size(msg),
                   (const char*)nopoll_msg_get_payload(msg));
            nopoll_msg_unref(msg);
        }
    } while (nopoll_conn_read_pending(client->conn) > 0);
    if (nopoll_conn_is_ok(client->conn)) return;
    printf("ended with %d: %s\n", nopoll_conn_get_close_status(client->conn),
           nopoll_conn_get_close_reason(client->conn));
    event_base_loopbreak(client->base);
}

static void on_timer(evutil_socket_t fd, short what, void* data) {
    Client* client = data;
    char text[32];

    (void)fd;
    (void)what;
    if (client->answered < client->sent) return;
    if (client->sent == 4) {
        event_del(client->timer);
        return;
    }
    snprintf(text, sizeof(text), "measurement %d", ++client->sent);
    printf("sent %d bytes\n", nopoll_conn_send_text(client->conn, text, -1));
}

int main(int argc, char** argv) {
    const struct timeval interval = {0, 30000};
    Client client = {0};
    noPollCtx* ctx = nopoll_ctx_new();

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 2) return 2;
    client.conn = nopoll_conn_new(ctx, "127.0.0.1", argv[1], NULL, "/libevent", NULL, NULL);
    if (!nopoll_conn_wait_until_connection_ready(client.conn, 10)) return 1;
    client.base = event_base_new();
    client.readable = event_new(client.base, nopoll_conn_socket(client.conn), EV_READ | EV_PERSIST,
                                on_readable, &client);
    client.timer = event_new(client.base, -1, EV_PERSIST, on_timer, &client);
    event_add(client.readable, NULL);
    event_add(client.timer, &interval);
    event_base_dispatch(client.base);

    event_free(client.timer);
    event_free(client.readable);
    event_base_free(client.base);
    nopoll_conn_close(client.conn);
    nopoll_ctx_unref(ctx);
    return 0;
}
