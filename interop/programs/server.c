/* SPDX-License-Identifier: MIT
 * The noPoll half of the interop tests when it is the server. What a connection does is said by
 * the path it asks for:
 *
 *     /echo       each frame goes back as it came
 *     /whole      each message goes back in one frame
 *     /fragments  each message, of 3 bytes or more, goes back in three frames
 *     /close      a text "CODE REASON" is answered with a Close frame that has both
 *     /info       the request, as the getters show it, is sent at once
 *     /push       "update 1" to "update 3" and 256 bytes, one each pass of the loop, unasked
 *     /ping       a ping "are you there", then a text "pinged"
 *     /waiting    nothing, until there are news
 *     /news       a text goes to all that are waiting, then back
 *     /refused    no connection: 403
 *
 *     server [--port PORT] [--host ADDRESS] [--6] [--tls CERTIFICATE KEY] [--client-ca FILE]
 *            [--need-origin] [--strict] [--max-frame BYTES] [--engine select|poll|epoll]
 *
 * Prints "listening PORT", and "closed URL STATUS REASON" for each connection that was open. Ends
 * with status 0 on SIGTERM.
 */
#include <nopoll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PASS_US 20000L
#define FLUSH_US 20000000L
#define PUSHES 4

typedef enum {
    ECHO,
    WHOLE,
    FRAGMENTS,
    CLOSE,
    INFO,
    PUSH,
    PING,
    WAITING,
    NEWS,
    REFUSED,
    PATHS
} Path;

static const char* const path_names[PATHS] = {"/echo", "/whole",  "/fragments", "/close",
                                              "/info", "/push",   "/ping",      "/waiting",
                                              "/news", "/refused"};

typedef struct {
    Path path;
    noPollMsg* message; /* the frames of a message so far, joined */
    int pushed;
} Session;

typedef struct {
    const char *port, *host, *certificate, *key, *client_ca;
    int ipv6, need_origin, strict;
    long max_frame;
    noPollIoEngineType engine;
} Settings;

static noPollCtx* context;
static volatile sig_atomic_t stopping;

static void on_sigterm(int number) {
    stopping = number;
    nopoll_loop_stop(context);
}

static Path path_of(noPollConn* conn) {
    const char* url = nopoll_conn_get_requested_url(conn);
    int path;

    for (path = ECHO; path < PATHS; path++)
        if (strcspn(url, "?") == strlen(path_names[path]) &&
            strncmp(url, path_names[path], strlen(path_names[path])) == 0)
            return (Path)path;
    return REFUSED;
}

/* A send over TLS never waits, so what did not fit is waited for here. */
static void flush(noPollConn* conn, int sent) {
    nopoll_conn_flush_writes(conn, FLUSH_US, sent);
}

static void send_frame(noPollConn* conn, nopoll_bool fin, noPollOpCode opcode, const void* data,
                       long size) {
    flush(conn, nopoll_conn_send_frame(conn, fin, nopoll_false, opcode, size, (noPollPtr)data, 0));
}

static void send_whole(noPollConn* conn, noPollOpCode opcode, const char* data, long size) {
    if (size == 0) {
        send_frame(conn, nopoll_true, opcode, NULL, 0);
    } else if (opcode == NOPOLL_TEXT_FRAME) {
        flush(conn, nopoll_conn_send_text(conn, data, size));
    } else {
        flush(conn, nopoll_conn_send_binary(conn, data, size));
    }
}

static void send_fragments(noPollConn* conn, noPollOpCode opcode, const char* data, long size) {
    long third = size / 3;

    if (opcode == NOPOLL_TEXT_FRAME) {
        flush(conn, nopoll_conn_send_text_fragment(conn, data, third));
        flush(conn, nopoll_conn_send_text_fragment(conn, data + third, third));
        flush(conn, nopoll_conn_send_text(conn, data + 2 * third, size - 2 * third));
    } else {
        flush(conn, nopoll_conn_send_binary_fragment(conn, data, third));
        flush(conn, nopoll_conn_send_binary_fragment(conn, data + third, third));
        flush(conn, nopoll_conn_send_binary(conn, data + 2 * third, size - 2 * third));
    }
}

static void send_text(noPollConn* conn, const char* text) {
    flush(conn, nopoll_conn_send_text(conn, text, -1));
}

static void send_info(noPollConn* conn) {
    char text[4096];
    const struct {
        const char *name, *value;
    } lines[] = {{"url", nopoll_conn_get_requested_url(conn)},
                 {"host", nopoll_conn_get_host_header(conn)},
                 {"origin", nopoll_conn_get_origin(conn)},
                 {"cookie", nopoll_conn_get_cookie(conn)},
                 {"x-real-ip", nopoll_conn_get_x_real_ip_header(conn)},
                 {"requested", nopoll_conn_get_requested_protocol(conn)},
                 {"accepted", nopoll_conn_get_accepted_protocol(conn)},
                 {"peer", nopoll_conn_host(conn)},
                 {"tls", nopoll_conn_is_tls_on(conn) ? "yes" : "no"}};
    size_t used = 0, index;

    for (index = 0; index < sizeof(lines) / sizeof(lines[0]); index++) {
        const char* value = lines[index].value ? lines[index].value : "-";
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s: %.400s\n",
                                 lines[index].name, value);
    }
    send_text(conn, text);
}

static nopoll_bool tell(noPollCtx* ctx, noPollConn* conn, noPollPtr text) {
    const Session* session = nopoll_conn_get_hook(conn);

    if (session && session->path == WAITING && nopoll_conn_is_ready(conn)) send_text(conn, text);
    return nopoll_false;
}

static void close_as_asked(noPollConn* conn, const char* text) {
    char* reason;
    long code = strtol(text, &reason, 10);

    if (*reason == ' ') reason++;
    nopoll_conn_close_ext(conn, (int)code, reason, (int)strlen(reason));
}

static void on_message(noPollConn* conn, Session* session, noPollMsg* message,
                       noPollOpCode opcode) {
    const char* data = (const char*)nopoll_msg_get_payload(message);
    long size = nopoll_msg_get_payload_size(message);

    switch (session->path) {
    case WHOLE: send_whole(conn, opcode, data, size); break;
    case FRAGMENTS: send_fragments(conn, opcode, data, size); break;
    case CLOSE: close_as_asked(conn, data); break;
    case NEWS:
        nopoll_ctx_foreach_conn(context, tell, (noPollPtr)data);
        send_text(conn, data);
        break;
    default: break;
    }
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr unused) {
    Session* session = nopoll_conn_get_hook(conn);
    noPollMsg* message;

    if (session->path == ECHO) {
        send_frame(conn, nopoll_msg_is_final(msg), nopoll_msg_opcode(msg),
                   nopoll_msg_get_payload(msg), nopoll_msg_get_payload_size(msg));
        return;
    }
    message = nopoll_msg_join(session->message, msg);
    nopoll_msg_unref(session->message);
    session->message = message;
    if (!nopoll_msg_is_final(msg)) return;
    session->message = NULL;
    on_message(conn, session, message, nopoll_msg_opcode(message));
    nopoll_msg_unref(message);
}

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr unused) {
    Session* session = nopoll_conn_get_hook(conn);
    const char* reason = nopoll_conn_get_close_reason(conn);

    printf("closed %s %d %s\n", nopoll_conn_get_requested_url(conn),
           nopoll_conn_get_close_status(conn), reason ? reason : "");
    nopoll_conn_set_hook(conn, NULL);
    nopoll_msg_unref(session->message);
    free(session);
}

static nopoll_bool on_open(noPollCtx* ctx, noPollConn* conn, noPollPtr unused) {
    const char* protocols = nopoll_conn_get_requested_protocol(conn);
    Session* session;

    if (path_of(conn) == REFUSED) return nopoll_false;
    /* Not the first one that the peers offer, so that the choice shows. */
    if (protocols && strstr(protocols, "chat")) nopoll_conn_set_accepted_protocol(conn, "chat");
    session = calloc(1, sizeof(*session));
    if (session == NULL) return nopoll_false;
    session->path = path_of(conn);
    nopoll_conn_set_hook(conn, session);
    nopoll_conn_set_on_close(conn, on_close, NULL);
    return nopoll_true;
}

static nopoll_bool on_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr unused) {
    Session* session = nopoll_conn_get_hook(conn);

    if (session == NULL) return nopoll_true;
    if (session->path == INFO) send_info(conn);
    if (session->path == PING) {
        send_frame(conn, nopoll_true, NOPOLL_PING_FRAME, "are you there", 13);
        send_text(conn, "pinged");
    }
    return nopoll_true;
}

static nopoll_bool push(noPollCtx* ctx, noPollConn* conn, noPollPtr unused) {
    Session* session = nopoll_conn_get_hook(conn);
    char bytes[256];
    int index;

    if (session == NULL || session->path != PUSH || session->pushed == PUSHES) return nopoll_false;
    if (!nopoll_conn_is_ready(conn)) return nopoll_false;
    if (++session->pushed < PUSHES) {
        snprintf(bytes, sizeof(bytes), "update %d", session->pushed);
        send_text(conn, bytes);
    } else {
        for (index = 0; index < 256; index++)
            bytes[index] = (char)index;
        send_whole(conn, NOPOLL_BINARY_FRAME, bytes, 256);
    }
    return nopoll_false;
}

static nopoll_bool go_away(noPollCtx* ctx, noPollConn* conn, noPollPtr unused) {
    if (nopoll_conn_role(conn) != NOPOLL_ROLE_MAIN_LISTENER)
        nopoll_conn_close_ext(conn, 1001, "server stops", 12);
    return nopoll_false;
}

static int bound_port(noPollConn* listener) {
    char host[64], port[16];
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    if (getsockname(nopoll_conn_socket(listener), (struct sockaddr*)&address, &size)) return -1;
    if (getnameinfo((struct sockaddr*)&address, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return -1;
    return atoi(port);
}

static noPollIoEngineType engine_of(const char* name) {
    if (strcmp(name, "poll") == 0) return NOPOLL_IO_ENGINE_POLL;
    return strcmp(name, "epoll") == 0 ? NOPOLL_IO_ENGINE_EPOLL : NOPOLL_IO_ENGINE_SELECT;
}

static int read_settings(Settings* settings, int argc, char** argv) {
    int index;

    for (index = 1; index < argc; index++) {
        const char* name = argv[index];
        int left = argc - index - 1;

        if (strcmp(name, "--6") == 0) {
            settings->ipv6 = 1;
        } else if (strcmp(name, "--need-origin") == 0) {
            settings->need_origin = 1;
        } else if (strcmp(name, "--strict") == 0) {
            settings->strict = 1;
        } else if (strcmp(name, "--port") == 0 && left > 0) {
            settings->port = argv[++index];
        } else if (strcmp(name, "--host") == 0 && left > 0) {
            settings->host = argv[++index];
        } else if (strcmp(name, "--client-ca") == 0 && left > 0) {
            settings->client_ca = argv[++index];
        } else if (strcmp(name, "--max-frame") == 0 && left > 0) {
            settings->max_frame = atol(argv[++index]);
        } else if (strcmp(name, "--engine") == 0 && left > 0) {
            settings->engine = engine_of(argv[++index]);
        } else if (strcmp(name, "--tls") == 0 && left > 1) {
            settings->certificate = argv[++index];
            settings->key = argv[++index];
        } else {
            fprintf(stderr, "server: what is '%s'?\n", name);
            return 0;
        }
    }
    return 1;
}

static noPollConn* new_listener(const Settings* settings) {
    noPollConnOpts* opts = nopoll_conn_opts_new();
    const char* host = settings->host;

    nopoll_conn_opts_skip_origin_check(opts, !settings->need_origin);
    if (settings->certificate == NULL)
        return settings->ipv6 ? nopoll_listener_new_opts6(context, opts, host, settings->port)
                              : nopoll_listener_new_opts(context, opts, host, settings->port);
    if (!nopoll_conn_opts_set_ssl_certs(opts, settings->certificate, settings->key, NULL,
                                        settings->client_ca)) {
        nopoll_conn_opts_unref(opts);
        return NULL;
    }
    nopoll_conn_opts_ssl_peer_verify(opts, settings->client_ca != NULL);
    return settings->ipv6 ? nopoll_listener_tls_new_opts6(context, opts, host, settings->port)
                          : nopoll_listener_tls_new_opts(context, opts, host, settings->port);
}

int main(int argc, char** argv) {
    Settings settings = {.port = "0", .engine = NOPOLL_IO_ENGINE_DEFAULT};
    noPollConn* listener;
    int status = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_settings(&settings, argc, argv)) return 2;
    if (settings.host == NULL) settings.host = settings.ipv6 ? "::1" : "127.0.0.1";
    context = nopoll_ctx_new();
    signal(SIGTERM, on_sigterm);
    nopoll_ctx_set_strict(context, settings.strict);
    nopoll_ctx_set_io_engine(context, settings.engine);
    if (settings.max_frame) nopoll_ctx_set_max_frame_size(context, settings.max_frame);
    listener = new_listener(&settings);
    if (!nopoll_conn_is_ok(listener)) {
        fprintf(stderr, "server: cannot listen on %s port %s\n", settings.host, settings.port);
        return 1;
    }
    nopoll_ctx_set_on_open(context, on_open, NULL);
    nopoll_ctx_set_on_ready(context, on_ready, NULL);
    nopoll_ctx_set_on_msg(context, on_msg, NULL);
    printf("listening %d\n", bound_port(listener));

    while (!stopping && status == 0) {
        int result = nopoll_loop_wait(context, PASS_US);
        if (result != 0 && result != -3) status = 1;
        nopoll_ctx_foreach_conn(context, push, NULL);
    }
    nopoll_ctx_foreach_conn(context, go_away, NULL);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(context);
    return status;
}
