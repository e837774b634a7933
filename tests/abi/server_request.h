/* SPDX-License-Identifier: MIT */
/* Parts of requests to a listener, and the replies it gives, byte for byte. */
#ifndef ABI_SERVER_REQUEST_H
#define ABI_SERVER_REQUEST_H

#include "stream_peer.h"

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: localhost\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define ORIGIN "Origin: http://localhost\r\n"
#define END "\r\n"

/* Everything but the request line and the end. */
#define HEADERS HOST UPGRADE CONNECTION KEY VERSION ORIGIN

#define REFUSED "Connection: close\r\nContent-Length: 0\r\n"
#define REPLY_400 "HTTP/1.1 400 Bad Request\r\n" REFUSED "\r\n"
#define REPLY_403 "HTTP/1.1 403 Forbidden\r\n" REFUSED "\r\n"
#define REPLY_426 "HTTP/1.1 426 Upgrade Required\r\n" REFUSED "Sec-WebSocket-Version: 13\r\n\r\n"
#define REPLY_431 "HTTP/1.1 431 Request Header Fields Too Large\r\n" REFUSED "\r\n"
#define REPLY_505 "HTTP/1.1 505 HTTP Version Not Supported\r\n" REFUSED "\r\n"
#define REPLY_101 PEER_SWITCHING "\r\n"
#define NO_REPLY ""

struct request_row {
    const char* name;
    const char* request;
    const char* reply;
};

#endif
