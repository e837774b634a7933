/* SPDX-License-Identifier: MIT
 * The checks of the interop client that leave the waiting to nopoll_loop_wait(): many connections
 * at once, and messages that the server pushes unasked. Also coming back after a loss.
 */
#include "client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    noPollCtx* ctx;
    long wanted, right, wrong;
    const char* text; /* that is right, for told_msg */
} Tally;

static void count(Tally* tally, int right) {
    if (right) tally->right++;
    if (!right) tally->wrong++;
    if (tally->right + tally->wrong == tally->wanted) nopoll_loop_stop(tally->ctx);
}

static int text_is(noPollMsg* msg, const char* text) {
    return nopoll_msg_opcode(msg) == NOPOLL_TEXT_FRAME && nopoll_msg_is_final(msg) &&
           strcmp((const char*)nopoll_msg_get_payload(msg), text) == 0;
}

static nopoll_bool many_ready(noPollCtx* ctx, noPollConn* conn, noPollPtr unused) {
    char text[32];

    snprintf(text, sizeof(text), "client %d", nopoll_conn_get_id(conn));
    return nopoll_conn_send_text(conn, text, -1) > 0;
}

static void many_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr tally) {
    char text[32];

    snprintf(text, sizeof(text), "client %d", nopoll_conn_get_id(conn));
    count(tally, text_is(msg, text));
}

static noPollConn** begin_all(Tally* tally, const Server* server, const Request* request) {
    noPollConn** conns = calloc((size_t)tally->wanted, sizeof(noPollConn*));
    long index;

    for (index = 0; index < tally->wanted; index++)
        conns[index] = begin_connection(tally->ctx, server, request);
    return conns;
}

/* All are still there, or that is wrong. */
static void end_all(Tally* tally, noPollConn** conns) {
    long index;

    for (index = 0; index < tally->wanted; index++)
        if (!nopoll_conn_is_ok(conns[index])) tally->wrong++;
    for (index = 0; index < tally->wanted; index++)
        nopoll_conn_close(conns[index]);
    free(conns);
    nopoll_ctx_unref(tally->ctx);
}

const char* check_many(const Server* server) {
    static char fault[80];
    const Request request = {.path = "/echo?many"};
    Tally tally = {nopoll_ctx_new(), server->connections, 0, 0, NULL};
    noPollConn** conns;

    nopoll_ctx_set_on_ready(tally.ctx, many_ready, NULL);
    nopoll_ctx_set_on_msg(tally.ctx, many_msg, &tally);
    conns = begin_all(&tally, server, &request);
    nopoll_loop_wait(tally.ctx, WAIT_US);
    end_all(&tally, conns);
    if (tally.right == tally.wanted && tally.wrong == 0) return NULL;
    snprintf(fault, sizeof(fault), "of %ld connections %ld went well, %ld wrong", tally.wanted,
             tally.right, tally.wrong);
    return fault;
}

static void told_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    Tally* tally = data;

    count(tally, text_is(msg, tally->text));
}

/* Connections that send nothing, to which the server pushes when another one has sent. */
const char* check_news(const Server* server) {
    static char fault[80];
    const Request waiting = {.path = "/waiting"}, news = {.path = "/news"};
    Tally tally = {nopoll_ctx_new(), server->connections, 0, 0, "noted"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn *teller, **conns;

    *fault = 0;
    nopoll_ctx_set_on_msg(tally.ctx, told_msg, &tally);
    conns = begin_all(&tally, server, &waiting);
    nopoll_loop_wait(tally.ctx, WAIT_US);
    if (tally.right != tally.wanted)
        snprintf(fault, sizeof(fault), "the server has noted %ld of %ld", tally.right,
                 tally.wanted);
    tally.right = 0;
    tally.text = "there are news";
    teller = open_connection(ctx, server, &news);
    if (!*fault && (!teller || nopoll_conn_send_text(teller, tally.text, -1) <= 0))
        snprintf(fault, sizeof(fault), "the news could not be told");
    if (!*fault) nopoll_loop_wait(tally.ctx, WAIT_US);
    nopoll_conn_close(teller);
    nopoll_ctx_unref(ctx);
    end_all(&tally, conns);
    if (!*fault && (tally.right != tally.wanted || tally.wrong))
        snprintf(fault, sizeof(fault), "of %ld connections %ld got the news, %ld wrong",
                 tally.wanted, tally.right, tally.wrong);
    return *fault ? fault : NULL;
}

static void push_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    const unsigned char* bytes = nopoll_msg_get_payload(msg);
    Tally* tally = data;
    char text[32];
    int index, right = 1;

    if (tally->right + 1 < tally->wanted) {
        snprintf(text, sizeof(text), "update %ld", tally->right + 1);
        count(tally, text_is(msg, text));
        return;
    }
    for (index = 0; index < 256 && nopoll_msg_get_payload_size(msg) == 256; index++)
        right = right && bytes[index] == index;
    count(tally, right && index == 256 && nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME);
}

const char* check_push(const Server* server) {
    const Request request = {.path = "/push"};
    Tally tally = {nopoll_ctx_new(), 4, 0, 0, NULL};
    noPollConn* conn;
    const char* fault = NULL;

    nopoll_ctx_set_on_msg(tally.ctx, push_msg, &tally);
    conn = begin_connection(tally.ctx, server, &request);
    nopoll_loop_wait(tally.ctx, WAIT_US);
    if (!nopoll_conn_is_ok(conn)) {
        fault = "the connection has ended";
    } else if (tally.right != tally.wanted) {
        fault = "not what the server pushes";
    }
    nopoll_conn_close(conn);
    nopoll_ctx_unref(tally.ctx);
    return fault;
}

/* Stays until the connection is taken away, then tries until there is one again. */
const char* check_reconnect(const Server* server) {
    const Request request = {.path = "/echo?reconnect"};
    noPollCtx* ctx = nopoll_ctx_new();
    noPollConn* conn = open_connection(ctx, server, &request);
    const char* fault = NULL;
    int attempts = 0;

    if (!conn) {
        fault = "not connected";
    } else {
        printf("staying\n");
        if (!wait_for_end(conn)) fault = "the connection was not taken away";
    }
    nopoll_conn_close(conn);
    conn = NULL;
    while (!fault && !conn) {
        conn = open_connection(ctx, server, &request);
        if (!conn && ++attempts == 300) fault = "not connected again";
        if (!conn) poll(NULL, 0, 50);
    }
    if (!fault &&
        (!send_message(conn, NOPOLL_TEXT_FRAME, "again", 5) || !next_is_text(conn, "again")))
        fault = "the second connection does not work";
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    return fault;
}
