/* SPDX-License-Identifier: MIT
 * The noPoll half of the interop tests when it is the client:
 *
 *     client HOST PORT [--ca FILE --stranger FILE] [--certificate FILE KEY] [--6]
 *            [--connections N] FEATURE...
 *
 * The server offers the paths described in interop/README.md. For each feature a line "ok FEATURE"
 * or "fail FEATURE: what was wrong" is printed. "sent" and "rcvd" are meant from this side.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char hello[] = "hello, zażółć gęślą jaźń";

static const char* check_text(const Server* server) {
    const Request request = {.path = "/echo"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!conn) {
        fault = "not connected";
    } else if (!send_message(conn, NOPOLL_TEXT_FRAME, hello, (long)strlen(hello)) ||
               !next_is_text(conn, hello)) {
        fault = "the text did not come back";
    } else if (!send_message(conn, NOPOLL_TEXT_FRAME, "", 0) || !next_is_text(conn, "")) {
        fault = "the empty text did not come back";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

/* Sends binary messages of these sizes; the list ends with -1. */
static const char* echo_sizes(const Server* server, const long* sizes) {
    static char fault[80];
    const Request request = {.path = "/echo"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);

    snprintf(fault, sizeof(fault), "%s", conn ? "" : "not connected");
    for (; *fault == 0 && *sizes >= 0; sizes++) {
        char* data = malloc((size_t)*sizes + 1);
        long index;

        for (index = 0; index < *sizes; index++)
            data[index] = (char)(index + index / 251);
        if (!send_message(conn, NOPOLL_BINARY_FRAME, data, *sizes)) {
            snprintf(fault, sizeof(fault), "%ld bytes could not be sent", *sizes);
        } else if (!next_is(conn, NOPOLL_BINARY_FRAME, data, *sizes)) {
            snprintf(fault, sizeof(fault), "%ld bytes did not come back", *sizes);
        }
        free(data);
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return *fault ? fault : NULL;
}

static const char* check_binary(const Server* server) {
    static const long sizes[] = {256, -1};
    return echo_sizes(server, sizes);
}

static const char* check_sizes(const Server* server) {
    static const long sizes[] = {0, 1, 125, 126, 65535, 65536, 1 << 20, -1};
    return echo_sizes(server, sizes);
}

static const char* check_big(const Server* server) {
    static const long sizes[] = {16 << 20, -1};
    return echo_sizes(server, sizes);
}

static const char* check_frag_sent(const Server* server) {
    const Request request = {.path = "/echo"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!conn) {
        fault = "not connected";
    } else {
        /* The second cut is inside a character. */
        nopoll_conn_send_text_fragment(conn, "in ", 3);
        nopoll_conn_send_text_fragment(conn, "three \xc5", 7);
        nopoll_conn_send_ping(conn);
        nopoll_conn_send_text(conn, "\xbc fragments", 11);
        if (!next_is_text(conn, "in three \xc5\xbc fragments"))
            fault = "the fragmented text did not come back";
    }
    if (!fault) {
        nopoll_conn_send_binary_fragment(conn, "\x00\x01", 2);
        nopoll_conn_send_binary(conn, "\xfe\xff", 2);
        if (!next_is(conn, NOPOLL_BINARY_FRAME, "\x00\x01\xfe\xff", 4))
            fault = "the fragmented binary message did not come back";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

static const char* check_frag_rcvd(const Server* server) {
    const Request request = {.path = "/fragments"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    noPollMsg* msg = NULL;
    const char* fault = NULL;
    int frames = 0;

    if (!conn) {
        fault = "not connected";
    } else if (!send_message(conn, NOPOLL_TEXT_FRAME, hello, (long)strlen(hello)) ||
               (msg = next_message(conn, &frames)) == NULL) {
        fault = "no answer";
    } else if (nopoll_msg_opcode(msg) != NOPOLL_TEXT_FRAME ||
               strcmp((const char*)nopoll_msg_get_payload(msg), hello) != 0) {
        fault = "the answer is not what was sent";
    } else if (frames < 3) {
        fault = "the answer was not fragmented";
    }
    nopoll_msg_unref(msg);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

/* The server pings and says so once it has the pong. */
static const char* check_ping_rcvd(const Server* server) {
    const Request request = {.path = "/ping"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!conn) {
        fault = "not connected";
    } else if (!next_is_text(conn, "pong are you there")) {
        fault = "the server does not say that it has the pong";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

/* What the server answers to the text "seen?" after a ping: the ping it saw, or just the text. */
static const char* ping_and_ask(const Server* server, const char* path, const char* answer) {
    const Request request = {.path = path};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!conn) {
        fault = "not connected";
    } else if (nopoll_conn_send_frame(conn, nopoll_true, nopoll_true, NOPOLL_PING_FRAME, 13,
                                      (noPollPtr) "are you there", 0) != 13) {
        fault = "the ping could not be sent";
    } else if (!send_message(conn, NOPOLL_TEXT_FRAME, "seen?", 5) || !next_is_text(conn, answer)) {
        fault = "not the right answer after the ping";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

static const char* check_ping_sent(const Server* server) {
    return ping_and_ask(server, "/pinged", "ping are you there");
}

/* For servers that answer pings without telling their program. */
static const char* check_ping_unseen(const Server* server) {
    return ping_and_ask(server, "/echo", "seen?");
}

static const char* check_close_rcvd(const Server* server) {
    const Request request = {.path = "/close"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!conn) {
        fault = "not connected";
    } else if (!send_message(conn, NOPOLL_TEXT_FRAME, "4001 going, zażółć", 22) ||
               !wait_for_end(conn)) {
        fault = "the server did not close";
    } else if (nopoll_conn_get_close_status(conn) != 4001) {
        fault = "the status is another one";
    } else if (!nopoll_conn_get_close_reason(conn) ||
               strcmp(nopoll_conn_get_close_reason(conn), "going, zażółć") != 0) {
        fault = "the reason is another one";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

/* What the server sees is checked by whoever reads its output. */
static const char* check_close_sent(const Server* server) {
    const Request request = {.path = "/echo?close-sent"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = conn ? NULL : "not connected";

    nopoll_conn_close_ext(conn, 3001, "done, zażółć", 16);
    nopoll_ctx_unref(ctx);
    return fault;
}

static const int codes[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999, 0};

/* The server closes with each code, and a reason that names it. */
static const char* check_codes_rcvd(const Server* server) {
    static char fault[80];
    const Request request = {.path = "/close"};
    const int* code;

    for (code = codes, *fault = 0; *code && !*fault; code++) {
        noPollCtx* ctx = nopoll_ctx_new();
        noPollConn* conn = open_connection(ctx, server, &request);
        char text[32];

        snprintf(text, sizeof(text), "%d code %d", *code, *code);
        if (!conn || !send_message(conn, NOPOLL_TEXT_FRAME, text, (long)strlen(text)) ||
            !wait_for_end(conn)) {
            snprintf(fault, sizeof(fault), "the server did not close with %d", *code);
        } else if (nopoll_conn_get_close_status(conn) != *code ||
                   !nopoll_conn_get_close_reason(conn) ||
                   strcmp(nopoll_conn_get_close_reason(conn), strchr(text, ' ') + 1) != 0) {
            snprintf(fault, sizeof(fault), "closed with %d instead of %d, or another reason",
                     nopoll_conn_get_close_status(conn), *code);
        }
        nopoll_conn_close(conn);
        nopoll_ctx_unref(ctx);
    }
    return *fault ? fault : NULL;
}

/* As check_close_sent, with each code. */
static const char* check_codes_sent(const Server* server) {
    const Request request = {.path = "/echo?codes-sent"};
    const char* fault = NULL;
    const int* code;

    for (code = codes; *code && !fault; code++) {
        noPollCtx* ctx = nopoll_ctx_new();
        noPollConn* conn = open_connection(ctx, server, &request);
        char reason[32];

        snprintf(reason, sizeof(reason), "code %d", *code);
        if (!conn) fault = "not connected";
        nopoll_conn_close_ext(conn, *code, reason, (int)strlen(reason));
        nopoll_ctx_unref(ctx);
    }
    return fault;
}

static const char* check_subprotocol(const Server* server) {
    const Request request = {.path = "/echo", .protocols = "superchat, chat"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!conn) {
        fault = "not connected";
    } else if (!nopoll_conn_get_accepted_protocol(conn) ||
               strcmp(nopoll_conn_get_accepted_protocol(conn), "chat") != 0) {
        fault = "not the subprotocol that the server chooses";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

static const char* check_headers(const Server* server) {
    static const char* const wanted[] = {"origin: http://interop.example", "cookie: taste=sweet",
                                         "x-interop: yes"};
    static char fault[80];
    const Request request = {.path = "/info?headers",
                             .origin = "http://interop.example",
                             .cookie = "taste=sweet",
                             .headers = "\r\nX-Interop: yes"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    noPollMsg* msg = conn ? next_message(conn, NULL) : NULL;
    size_t index;

    snprintf(fault, sizeof(fault), "%s", msg ? "" : "no answer");
    for (index = 0; msg && index < sizeof(wanted) / sizeof(wanted[0]); index++)
        if (!strstr((const char*)nopoll_msg_get_payload(msg), wanted[index]))
            snprintf(fault, sizeof(fault), "the server did not get '%s'", wanted[index]);
    nopoll_msg_unref(msg);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return *fault ? fault : NULL;
}

static const char* check_refused(const Server* server) {
    const Request request = {.path = "/refused"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = begin_connection(ctx, server, &request);
    const char* fault = NULL;

    if (!nopoll_conn_is_ok(conn)) {
        fault = "refused before the request";
    } else if (nopoll_conn_wait_until_connection_ready(conn, WAIT_S)) {
        fault = "not refused";
    } else if (nopoll_conn_is_ok(conn)) {
        fault = "no answer";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}

/* A server of an unknown authority, or with a certificate for another name, is refused. */
static const char* check_tls_bad(const Server* server) {
    const Request stranger = {.path = "/echo", .ca = server->stranger};
    const Request elsewhere = {.path = "/echo", .name = "elsewhere.example"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* first = open_connection(ctx, server, &stranger);
    noPollConn* second = open_connection(ctx, server, &elsewhere);
    const char* fault = NULL;

    if (first) fault = "a server of an unknown authority was taken";
    if (second) fault = "a certificate for another name was taken";
    nopoll_conn_close(first);
    nopoll_conn_close(second);
    nopoll_ctx_unref(ctx);
    return fault ? fault : check_text(server);
}

static const struct {
    const char* name;
    Check check;
} features[] = {{"text", check_text},
                {"binary", check_binary},
                {"sizes", check_sizes},
                {"16MiB", check_big},
                {"frag-sent", check_frag_sent},
                {"frag-rcvd", check_frag_rcvd},
                {"ping-sent", check_ping_sent},
                {"ping-unseen", check_ping_unseen},
                {"ping-rcvd", check_ping_rcvd},
                {"close-sent", check_close_sent},
                {"close-rcvd", check_close_rcvd},
                {"codes-sent", check_codes_sent},
                {"codes-rcvd", check_codes_rcvd},
                {"subproto", check_subprotocol},
                {"headers", check_headers},
                {"refused", check_refused},
                {"push", check_push},
                {"news", check_news},
                {"many", check_many},
                {"reconnect", check_reconnect},
                {"ipv6", check_text},
                {"tls-bad", check_tls_bad}};

static int run(const Server* server, const char* name) {
    size_t index;

    for (index = 0; index < sizeof(features) / sizeof(features[0]); index++)
        if (strcmp(features[index].name, name) == 0) {
            const char* fault = features[index].check(server);
            if (fault) printf("fail %s: %s\n", name, fault);
            if (!fault) printf("ok %s\n", name);
            return fault == NULL;
        }
    printf("fail %s: there is no such check\n", name);
    return 0;
}

int main(int argc, char** argv) {
    Server server = {.connections = 200};
    int index, failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 4) return 2;
    server.host = argv[1];
    server.port = argv[2];
    for (index = 3; index < argc; index++) {
        const int has_value = index + 1 < argc;

        if (strcmp(argv[index], "--6") == 0) {
            server.ipv6 = 1;
        } else if (strcmp(argv[index], "--ca") == 0 && has_value) {
            server.ca = argv[++index];
        } else if (strcmp(argv[index], "--stranger") == 0 && has_value) {
            server.stranger = argv[++index];
        } else if (strcmp(argv[index], "--certificate") == 0 && index + 2 < argc) {
            server.certificate = argv[++index];
            server.key = argv[++index];
        } else if (strcmp(argv[index], "--connections") == 0 && has_value) {
            server.connections = atol(argv[++index]);
        } else if (!run(&server, argv[index])) {
            failed = 1;
        }
    }
    return failed;
}
