// SPDX-License-Identifier: MIT
// Style (e), C99 and GLib: a server in a GLib main loop that watches nopoll_conn_socket().
//
//     glib_server PORT
#include <glib-unix.h>
#include <glib.h>
#include <nopoll.h>

static GMainLoop* loop;
static noPollCtx* ctx;
static GHashTable* connections;  // noPollConn*, each with a reference of ours
static int ticks;

static void forget(noPollConn* conn) {
    printf("gone: status %d\n", nopoll_conn_get_close_status(conn));
    g_hash_table_remove(connections, conn);
    nopoll_conn_close(conn);
}

static void handle(noPollConn* conn, noPollMsg* msg) {
    gchar* text = g_strndup((const char*)nopoll_msg_get_payload(msg),
                            (gsize)nopoll_msg_get_payload_size(msg));
    gchar* upper = g_ascii_strup(text, -1);

    nopoll_conn_send_text(conn, upper, (long)strlen(upper));
    printf("said: %s\n", text);
    if (g_str_equal(text, "quit")) g_main_loop_quit(loop);
    g_free(upper);
    g_free(text);
}

// One message for each readable event: what is left keeps the descriptor readable.
static gboolean on_readable(gint fd, GIOCondition condition, gpointer data) {
    noPollConn* conn = data;
    noPollMsg* msg = nopoll_conn_get_msg(conn);

    (void)fd;
    (void)condition;
    if (msg != NULL) {
        handle(conn, msg);
        nopoll_msg_unref(msg);
    }
    if (nopoll_conn_is_ok(conn)) return G_SOURCE_CONTINUE;
    forget(conn);
    return G_SOURCE_REMOVE;
}

static gboolean on_acceptable(gint fd, GIOCondition condition, gpointer data) {
    noPollConn* conn = nopoll_conn_accept(ctx, data);

    (void)fd;
    (void)condition;
    if (conn == NULL) return G_SOURCE_CONTINUE;
    nopoll_conn_ref(conn);
    g_hash_table_add(connections, conn);
    g_unix_fd_add(nopoll_conn_socket(conn), G_IO_IN | G_IO_HUP, on_readable, conn);
    return G_SOURCE_CONTINUE;
}

static void tick(gpointer conn, gpointer value, gpointer data) {
    char text[32];

    (void)value;
    (void)data;
    snprintf(text, sizeof(text), "tick %d", ticks);
    nopoll_conn_send_text(conn, text, -1);
}

static void count_ready(gpointer conn, gpointer value, gpointer count) {
    (void)value;
    if (nopoll_conn_is_ready(conn)) ++*(int*)count;
}

static gboolean on_timer(gpointer data) {
    int ready = 0;

    (void)data;
    g_hash_table_foreach(connections, count_ready, &ready);
    if (ready < 2) return G_SOURCE_CONTINUE;
    ticks++;
    g_hash_table_foreach(connections, tick, NULL);
    return ticks < 3 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    ctx = nopoll_ctx_new();
    noPollConn* listener = argc == 2 ? nopoll_listener_new(ctx, "127.0.0.1", argv[1]) : NULL;
    if (!nopoll_conn_is_ok(listener)) return 1;
    loop = g_main_loop_new(NULL, FALSE);
    connections = g_hash_table_new(NULL, NULL);
    g_unix_fd_add(nopoll_conn_socket(listener), G_IO_IN, on_acceptable, listener);
    g_timeout_add(50, on_timer, NULL);
    puts("listening");
    g_main_loop_run(loop);
    printf("%u left\n", g_hash_table_size(connections));

    GHashTableIter each;
    gpointer conn;
    g_hash_table_iter_init(&each, connections);
    while (g_hash_table_iter_next(&each, &conn, NULL))
        nopoll_conn_close_ext(conn, 1001, "quit", 4);
    g_hash_table_unref(connections);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    g_main_loop_unref(loop);
    return 0;
}
