// SPDX-License-Identifier: MIT
// Style (c), C99: a client that takes the connection for a stream of bytes: nopoll_conn_read(),
// blocking for headers of known size, without blocking for the rest.
//
//     stream_client PORT
#include <nopoll.h>
#include <poll.h>
#include <stdbool.h>

// A record is a size of four digits, then that many bytes; messages do not care where they begin.
static bool read_record(noPollConn* conn) {
    char size[5] = {0}, content[10000] = {0};

    if (nopoll_conn_read(conn, size, 4, nopoll_true, 10000) != 4) return false;
    const int wanted = atoi(size);
    int there = 0;
    while (there < wanted) {
        // What came with the last message must be taken before poll() is asked.
        const int got = nopoll_conn_read(conn, content + there, wanted - there, nopoll_false, 0);
        if (got > 0) {
            there += got;
            continue;
        }
        if (!nopoll_conn_is_ok(conn)) return false;
        struct pollfd waiting = {.fd = nopoll_conn_socket(conn), .events = POLLIN};
        if (poll(&waiting, 1, 10000) != 1) return false;
    }
    printf("record of %d bytes, begins with %.8s\n", wanted, content);
    return wanted > 0;
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 2) return 2;
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConnOpts* opts = nopoll_conn_opts_new();
    nopoll_conn_opts_set_extra_headers(opts, "\r\nX-Stream: yes\r\nX-Other: too");
    nopoll_conn_opts_set_cookie(opts, "session=42");
    noPollConn* conn =
        nopoll_conn_new_opts(ctx, opts, "127.0.0.1", argv[1], NULL, "/stream", NULL, NULL);
    if (!nopoll_conn_wait_until_connection_ready(conn, 10)) return 1;

    char nothing[4] = "abc";
    const int early = nopoll_conn_read(conn, nothing, 3, nopoll_false, 0);
    printf("nothing there: %d, would block %d\n", early, errno == NOPOLL_EWOULDBLOCK);
    nopoll_conn_send_text(conn, "go", 2);
    while (read_record(conn)) {
    }
    char held[3] = {0};
    const int part = nopoll_conn_read(conn, held, 2, nopoll_true, 10000);
    const int pending = nopoll_conn_read_pending(conn);
    printf("read %d: %s, still held %d\n", part, held, pending);
    // With a timeout: 2 bytes are held, the other 8 never come.
    char rest[11] = {0};
    const int got = nopoll_conn_read(conn, rest, 10, nopoll_true, 100);
    printf("then %d: %s\n", got, rest);
    nopoll_conn_send_text(conn, "end", 3);
    const int after = nopoll_conn_read(conn, rest, 10, nopoll_true, 10000);
    printf("at the end %d, ok %d, status %d\n", after, nopoll_conn_is_ok(conn),
           nopoll_conn_get_close_status(conn));
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return 0;
}
