/* SPDX-License-Identifier: MIT
 * What the files of the interop client share: how to reach the server, and connections to it.
 */
#ifndef INTEROP_CLIENT_H
#define INTEROP_CLIENT_H

#include <nopoll.h>

#define WAIT_S 30
#define WAIT_US (WAIT_S * 1000000L)

typedef struct {
    const char *host, *port;
    const char *ca, *stranger;     /* with ca: TLS; stranger has signed nothing of the server's */
    const char *certificate, *key; /* of this client, for servers that want to see one */
    int ipv6;
    long connections; /* for "many" */
} Server;

typedef struct {
    const char* path;
    const char *protocols, *origin, *cookie, *headers;
    const char *ca, *name; /* in place of the server's, and of its host */
} Request;

/* A check of one feature: NULL when all went well, else what did not. */
typedef const char* (*Check)(const Server* server);

/* The connection, ready; NULL when it did not get that far. */
noPollConn* open_connection(noPollCtx* ctx, const Server* server, const Request* request);
/* The same without waiting for the server's answer; may be NULL or not ok. */
noPollConn* begin_connection(noPollCtx* ctx, const Server* server, const Request* request);

/* The next message, its frames joined; NULL when the connection has ended or nothing came. */
noPollMsg* next_message(noPollConn* conn, int* frames);
/* Waits until the peer has ended the connection; 0 when it does not. */
int wait_for_end(noPollConn* conn);

/* Whether the next message is this one. */
int next_is(noPollConn* conn, noPollOpCode opcode, const char* data, long size);
int next_is_text(noPollConn* conn, const char* text);

/* Sends a message whole; 0 when that fails. */
int send_message(noPollConn* conn, noPollOpCode opcode, const char* data, long size);

const char* check_many(const Server* server);
const char* check_news(const Server* server);
const char* check_push(const Server* server);
const char* check_reconnect(const Server* server);

#endif
