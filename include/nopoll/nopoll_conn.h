/* SPDX-License-Identifier: MIT */
/*
 * Connections: making clients, accepting, state, handlers, receiving, sending, ending. Listeners
 * are connections too, of role NOPOLL_ROLE_MAIN_LISTENER, and are made in nopoll_listener.h.
 *
 * "Ok" means that the connection has an open socket (nopoll_conn_is_ok()), "ready" that the opening
 * handshake of RFC 6455 section 4 is over as well (nopoll_conn_is_ready()).
 *
 * Threads: one thread at a time reads a connection (directly or through a loop); any number may
 * send on it, and frames come out whole, in some order, also without mutex hooks. Any thread may
 * close it while a loop runs, but then no other may go on using a pointer without a reference.
 *
 * References: a client starts with two, the caller's and the registry's; an accepted connection
 * has the registry's only. A program that keeps the pointer of an accepted connection beyond the
 * handler that got it must take one with nopoll_conn_ref(), because the loop drops connections
 * that have ended.
 */
#ifndef __NOPOLL_CONN_H__
#define __NOPOLL_CONN_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Opens a connection to a WebSocket server over IPv4, without TLS. Connects, writes the request of
 * RFC 6455 section 4.1, and returns without waiting for the answer: use
 * nopoll_conn_wait_until_connection_ready(), a loop, or nopoll_conn_is_ready().
 *
 * Looking the name up blocks. Connecting and writing the request take at most the time of
 * nopoll_conn_connect_timeout(). The addresses of the name are tried in turn. The socket is in
 * non-blocking mode, with TCP_NODELAY.
 *
 * @param ctx       the context; NULL: failure.
 * @param host_ip   name or address to connect to; NULL: failure.
 * @param host_port port number or service name; NULL for "80".
 * @param host_name value of the Host header, with port if the server should see one; NULL for
 *                  host_ip, in brackets if that is an IPv6 address.
 * @param get_url   path with query to ask for; NULL for "/".
 * @param protocols subprotocols to offer, separated by commas or blanks; NULL for none.
 * @param origin    value of the Origin header; NULL for "http://" and the host name.
 *
 * Strings are sent as they are, "" included: keep line ends out that you do not mean.
 *
 * @return NULL when an argument, the name or the port is wrong, no address can be connected to at
 *         once, or memory is short: nothing is left behind. Otherwise a registered connection,
 *         which may have failed already (refused, timed out): check nopoll_conn_is_ok(), and give
 *         it to nopoll_conn_close() in either case. No handler but those for TLS runs meanwhile.
 */
noPollConn* nopoll_conn_new(noPollCtx* ctx, const char* host_ip, const char* host_port,
                            const char* host_name, const char* get_url, const char* protocols,
                            const char* origin);

/**
 * nopoll_conn_new() over IPv6. Addresses are written without brackets.
 *
 * @return as nopoll_conn_new().
 */
noPollConn* nopoll_conn_new6(noPollCtx* ctx, const char* host_ip, const char* host_port,
                             const char* host_name, const char* get_url, const char* protocols,
                             const char* origin);

/**
 * nopoll_conn_new() with options: cookie, further headers, Origin on or off, interface, frame
 * limit, mode.
 *
 * @param opts one reference is consumed whatever the result, unless reuse is on; may be NULL. The
 *             options are not looked at any more once the call has returned.
 * @return as nopoll_conn_new().
 */
noPollConn* nopoll_conn_new_opts(noPollCtx* ctx, noPollConnOpts* opts, const char* host_ip,
                                 const char* host_port, const char* host_name, const char* get_url,
                                 const char* protocols, const char* origin);

/**
 * nopoll_conn_new_opts() on a socket that the program has made, and connected or is connecting.
 * Nothing about the socket is changed and no name is looked up. If it is in blocking mode it stays
 * so; the call is bounded by the connect timeout all the same.
 *
 * @param sock    the socket, the library's once a connection is returned, and still the caller's if
 *                the result is NULL. Negative: a socket is made as in nopoll_conn_new_opts().
 * @param host_ip any text, kept for nopoll_conn_host() and as default for host_name; not NULL.
 *                host_port is kept for nopoll_conn_port().
 * @return as nopoll_conn_new().
 */
noPollConn* nopoll_conn_new_with_socket(noPollCtx* ctx, noPollConnOpts* opts, int sock,
                                        const char* host_ip, const char* host_port,
                                        const char* host_name, const char* get_url,
                                        const char* protocols, const char* origin);

/**
 * nopoll_conn_new_opts() over TLS (1.2 or 1.3). The TLS handshake is done in the call, within the
 * connect timeout, and each failure in it gives a connection that is not ok. The name sent to the
 * server (SNI) is host_name without port; none for addresses.
 *
 * The server's certificate is verified, and must be for the host name, if options is NULL or
 * nopoll_conn_opts_ssl_peer_verify() was called. With any other options object it is NOT verified.
 *
 * @param options   as in nopoll_conn_new_opts(); files, TLS version and verification count too.
 * @param host_port NULL for "443".
 * @return as nopoll_conn_new().
 */
noPollConn* nopoll_conn_tls_new(noPollCtx* ctx, noPollConnOpts* options, const char* host_ip,
                                const char* host_port, const char* host_name, const char* get_url,
                                const char* protocols, const char* origin);

/**
 * nopoll_conn_tls_new() over IPv6. Addresses are written without brackets.
 *
 * @return as nopoll_conn_new().
 */
noPollConn* nopoll_conn_tls_new6(noPollCtx* ctx, noPollConnOpts* options, const char* host_ip,
                                 const char* host_port, const char* host_name, const char* get_url,
                                 const char* protocols, const char* origin);

/**
 * nopoll_conn_tls_new() on a socket of the program, for instance one that leads through a proxy.
 * What is said at nopoll_conn_new_with_socket() holds.
 *
 * @return as nopoll_conn_new().
 */
noPollConn* nopoll_conn_tls_new_with_socket(noPollCtx* ctx, noPollConnOpts* options, int sock,
                                            const char* host_ip, const char* host_port,
                                            const char* host_name, const char* get_url,
                                            const char* protocols, const char* origin);

/**
 * Sets how long the functions that make clients may take for connecting, the TLS handshake and
 * writing the request, all together. When the time is over the connection they return is not ok.
 * Looking up the name and waiting for the server's answer do not count.
 *
 * @param ctx                  the context; NULL: nothing happens.
 * @param microseconds_to_wait the time. 0 and negative values are stored but act as the default,
 *                             20 seconds.
 */
void nopoll_conn_connect_timeout(noPollCtx* ctx, long microseconds_to_wait);

/**
 * @return the value given to nopoll_conn_connect_timeout() last, unchanged; 20000000 for a new
 *         context; 0 for NULL.
 */
long nopoll_conn_get_connect_timeout(noPollCtx* ctx);

/**
 * Accepts a client on a listener: accept(2), then nopoll_conn_accept_socket(). The loop does this
 * by itself; programs with a loop of their own call it when the listener is readable. Waits for a
 * client if none is there.
 *
 * @param ctx      the context.
 * @param listener the listener.
 * @return the connection, registered, with the registry's reference only; nothing has been read
 *         from it, and TLS and opening handshake go on in nopoll_conn_get_msg(),
 *         nopoll_conn_read(), nopoll_conn_is_ready() or the loop. NULL when an argument is NULL,
 *         accept(2) fails (errno says why), on_accept refuses or TLS cannot be set up; nothing is
 *         left open then.
 */
noPollConn* nopoll_conn_accept(noPollCtx* ctx, noPollConn* listener);

/**
 * Makes an accepted connection of a socket that the program got from accept(2), with everything
 * nopoll_conn_accept() does after that.
 *
 * @param ctx      the context.
 * @param listener whose options, TLS setting and certificates apply.
 * @param session  the connected socket.
 * @return as nopoll_conn_accept(). With NULL the socket is still open and the caller's when no
 *         connection could be made (argument NULL, descriptor 0 or negative or not connected), and
 *         closed when the connection was made and then refused.
 */
noPollConn* nopoll_conn_accept_socket(noPollCtx* ctx, noPollConn* listener, NOPOLL_SOCKET session);

/**
 * Second half of accepting, after nopoll_listener_from_socket(): puts the socket into blocking
 * mode, takes over the listener's settings and remembers it for nopoll_conn_get_listener(), calls
 * on_accept, and sets TLS up with the certificate of options, listener or context. The TLS
 * handshake itself is left to the reads; with TLS the socket ends up non-blocking.
 *
 * @param ctx      the context.
 * @param listener whose settings apply; NULL, or conn itself: none.
 * @param conn     the connection.
 * @param session  its socket.
 * @param tls_on   non-zero for TLS, as if the listener were one for TLS.
 * @return 1; 0 when refused, or ctx or conn is NULL, or session is -1. The connection is shut down
 *         then and stays registered: nopoll_conn_close() or the loop releases it.
 */
nopoll_bool nopoll_conn_accept_complete(noPollCtx* ctx, noPollConn* listener, noPollConn* conn,
                                        NOPOLL_SOCKET session, nopoll_bool tls_on);

/**
 * Takes a reference.
 *
 * @return nopoll_true; nopoll_false for NULL.
 */
nopoll_bool nopoll_conn_ref(noPollConn* conn);

/**
 * @return the number of references at this moment; -1 for NULL. For checks and diagnostics only.
 */
int nopoll_conn_ref_count(noPollConn* conn);

/**
 * Gives a reference back. With the last one the object is freed: no Close frame is sent and
 * on_close does not run, but a socket that is still open is closed. The orderly end is
 * nopoll_conn_close().
 *
 * @param conn the connection; NULL: nothing happens.
 */
void nopoll_conn_unref(noPollConn* conn);

/**
 * Tells whether the connection has an open socket. True from its creation on, also while it is
 * still connecting, until it is shut down. Asks nobody: a peer that vanished shows when the
 * connection is read.
 *
 * @return 1 when ok; 0 when not, and for NULL, so it takes the result of a creating function as it
 *         is.
 */
nopoll_bool nopoll_conn_is_ok(noPollConn* conn);

/**
 * Tells whether the opening handshake is over, and does a step of it if not: reads what is there,
 * may call handlers, may shut the connection down. Never waits, and takes nothing of the first
 * frame. Called inside on_accept, on_open or on_ready of the same connection it returns 0 and does
 * nothing.
 *
 * @return 1 when messages may be exchanged; 0 when not yet, when the connection is not ok, for
 *         listeners (which are left alone), and for NULL.
 */
nopoll_bool nopoll_conn_is_ready(noPollConn* conn);

/**
 * Waits until the opening handshake is over, calling handlers meanwhile.
 *
 * @param conn    the connection.
 * @param timeout SECONDS to wait at most; 0 or less for one attempt without waiting.
 * @return 1 when the connection is ready; 0 when time is over or it has ended (at once), and for
 *         NULL.
 */
nopoll_bool nopoll_conn_wait_until_connection_ready(noPollConn* conn, int timeout);

/**
 * @return 1 for TLS: on clients once the handshake, verification and post check have succeeded, on
 *         accepted connections from after on_accept, on listeners made for TLS always; else 0, and
 *         0 for NULL.
 */
nopoll_bool nopoll_conn_is_tls_on(noPollConn* conn);

/**
 * @return the number of the connection in its context, never used twice there; it changes only if
 *         the connection is registered anew. -1 for NULL.
 */
int nopoll_conn_get_id(noPollConn* conn);

/**
 * @return the context of the connection, without a reference for the caller; NULL for NULL.
 */
noPollCtx* nopoll_conn_ctx(noPollConn* conn);

/**
 * @return what the connection is; NOPOLL_ROLE_UNKNOWN for NULL.
 */
noPollRole nopoll_conn_role(noPollConn* conn);

/**
 * The descriptor, for programs that wait in their own select() or poll(). It stays the library's:
 * do not close it and do not read from it.
 *
 * When it is readable, call nopoll_conn_get_msg() or nopoll_conn_read() once: what is not taken
 * stays visible to the next wait, except what nopoll_conn_read_pending() counts.
 *
 * @return the descriptor; NOPOLL_INVALID_SOCKET once the connection has ended, and for NULL.
 */
NOPOLL_SOCKET nopoll_conn_socket(noPollConn* conn);

/**
 * Replaces the descriptor field of a connection, and does nothing else: the old descriptor is not
 * closed, no handler runs. With NOPOLL_INVALID_SOCKET the connection is not ok any more and the
 * program has the descriptor back; useful in on_close and before nopoll_conn_close().
 *
 * @param conn the connection; NULL: nothing happens.
 * @param sock the new descriptor, the library's from now on.
 */
void nopoll_conn_set_socket(noPollConn* conn, NOPOLL_SOCKET sock);

/**
 * @return on clients host_ip as given, on accepted connections the numeric address of the peer, on
 *         listeners the host as given; NULL for NULL. Like all strings of these getters it belongs
 *         to the connection and stays, also after shutdown, until the object is freed or the value
 *         is replaced.
 */
const char* nopoll_conn_host(noPollConn* conn);

/**
 * @return on clients the port as given, or the default; on accepted connections the port of the
 *         peer in decimal; on listeners the port as given ("0" stays "0"); NULL for NULL.
 */
const char* nopoll_conn_port(noPollConn* conn);

/**
 * @return the Host value of the request: on clients what was given (host_name, else host_ip), on
 *         accepted connections what was received, NULL before that; NULL for listeners and NULL.
 */
const char* nopoll_conn_get_host_header(noPollConn* conn);

/**
 * The Origin value of the request (RFC 6454). Accepted connections do not compare it with anything:
 * a program that serves browsers should, in on_open.
 *
 * @return on clients what was given, or the default, also if the header is switched off; on
 *         accepted connections what was received, NULL before that or without one; NULL for
 *         listeners and NULL.
 */
const char* nopoll_conn_get_origin(noPollConn* conn);

/**
 * @return the path and query of the request, not decoded: on clients what was given, or "/"; on
 *         accepted connections what was received, "/" before that; "/" for listeners; NULL for
 *         NULL.
 */
const char* nopoll_conn_get_requested_url(noPollConn* conn);

/**
 * @return the Cookie value that an accepted connection has received, as it came; NULL without one,
 *         on clients and listeners, and for NULL.
 */
const char* nopoll_conn_get_cookie(noPollConn* conn);

/**
 * @return the X-Real-IP value that an accepted connection has received, as proxies set it (and
 *         anybody can); NULL without one, on clients and listeners, and for NULL.
 */
const char* nopoll_conn_get_x_real_ip_header(noPollConn* conn);

/**
 * @return the subprotocols that the client asks for, the whole list: on clients as given, on
 *         accepted connections as received; NULL without any, for listeners and for NULL.
 */
const char* nopoll_conn_get_requested_protocol(noPollConn* conn);

/**
 * @return the subprotocol agreed on: on clients the server's answer, NULL before it and without
 *         one. On accepted connections what the program set with
 *         nopoll_conn_set_accepted_protocol(), NULL if it left the choice to the library. NULL for
 *         listeners and NULL.
 */
const char* nopoll_conn_get_accepted_protocol(noPollConn* conn);

/**
 * Chooses the subprotocol for the answer (RFC 6455 section 4.2.2). For on_accept and on_open, on
 * accepted connections; afterwards, and on clients until the server answers, it only changes the
 * getter. If the client asked for none, none is sent. Without this call the answer names the first
 * one asked for.
 *
 * @param conn     the connection.
 * @param protocol the name, which should be one of those asked for: that is not checked. A second
 *                 call replaces it. NULL: nothing happens.
 */
void nopoll_conn_set_accepted_protocol(noPollConn* conn, const char* protocol);

/**
 * @return on accepted connections the listener that accepted it, without a reference for the
 *         caller; NULL once that is gone, when there was none, on other connections, and for NULL.
 */
noPollConn* nopoll_conn_get_listener(noPollConn* conn);

/**
 * The status of the Close frame that the peer has sent (RFC 6455 section 7.1.5); final in on_close.
 * What this side sent, and why it ended a connection, does not show here.
 *
 * @return the code received, also one that nobody may send; 1005 for a Close without one. Before a
 *         Close came, and if none came: 1006 on clients, 0 on others. 0 for NULL.
 */
int nopoll_conn_get_close_status(noPollConn* conn);

/**
 * @return the reason in the peer's Close frame, UTF-8, "" if it has a status only; NULL if it has
 *         neither or the reason is not UTF-8, before one came, and for NULL.
 */
const char* nopoll_conn_get_close_reason(noPollConn* conn);

/**
 * @return the largest frame payload in bytes that the connection takes now: from its options, else
 *         its listener's, else its context; NOPOLL_MAX_FRAME_SIZE_DEFAULT for NULL.
 */
long nopoll_conn_get_max_frame_size(noPollConn* conn);

/**
 * @return the pointer given to nopoll_conn_set_hook() last; NULL before, and for NULL.
 */
noPollPtr nopoll_conn_get_hook(noPollConn* conn);

/**
 * Keeps a pointer of the program with the connection. The library does not look at it and does not
 * free it.
 *
 * @param conn the connection; NULL: nothing happens.
 * @param ptr  any pointer.
 */
void nopoll_conn_set_hook(noPollConn* conn, noPollPtr ptr);

/**
 * Sets what nopoll_loop_wait() calls for each message of this connection, in place of the handler
 * of the context. Other ways to receive do not call it.
 *
 * @param conn      the connection; NULL: nothing happens.
 * @param on_msg    the handler; NULL for that of the context again.
 * @param user_data passed through to it.
 */
void nopoll_conn_set_on_msg(noPollConn* conn, noPollOnMessageHandler on_msg, noPollPtr user_data);

/**
 * Sets what is called when the opening handshake of this connection has succeeded, in place of the
 * handler of the context. On a client it may be set after the creating function has returned:
 * the answer is not looked at before the next call. When and how: noPollActionHandler, on_ready.
 *
 * @param conn      the connection; NULL: nothing happens.
 * @param on_ready  the handler; NULL for that of the context again.
 * @param user_data passed through to it.
 */
void nopoll_conn_set_on_ready(noPollConn* conn, noPollActionHandler on_ready, noPollPtr user_data);

/**
 * Sets what is called when the socket of this connection is about to be closed, by whomever. When
 * and how: noPollOnCloseHandler.
 *
 * @param conn      the connection, or a listener; NULL: nothing happens.
 * @param on_close  the handler; NULL removes it.
 * @param user_data passed through to it.
 */
void nopoll_conn_set_on_close(noPollConn* conn, noPollOnCloseHandler on_close, noPollPtr user_data);

/**
 * Reads the next message part of a connection, after finishing the TLS and opening handshakes if
 * they are not over (handlers of the handshake run in here, on_msg never). Pings are answered,
 * pongs ignored, a Close frame is answered and ends the connection; none of these is delivered.
 *
 * A frame is delivered whole, when it is complete. Only frames above 16 MiB, possible where the
 * limit was raised, come in pieces: each says nopoll_msg_is_fragment(), the last also
 * nopoll_msg_is_final() if the frame ends the message, and only the first has the opcode. The
 * frames of a fragmented message come one by one.
 *
 * A peer that breaks RFC 6455, or announces more than nopoll_conn_get_max_frame_size(), is sent a
 * Close frame with the matching status (1002, 1007, 1009) and the connection is shut down.
 *
 * Call it once whenever the socket is readable, and again while nopoll_conn_read_pending() is
 * positive. It does not wait for input, except on a client whose socket the program has put into
 * blocking mode: there for the first byte.
 *
 * @param conn the connection.
 * @return a message for the caller to release with nopoll_msg_unref(); NULL when there is none:
 *         with errno NOPOLL_EWOULDBLOCK the connection is fine and has nothing yet. Otherwise ask
 *         nopoll_conn_is_ok(): a control frame was handled, or the connection has ended. NULL with
 *         errno EBADF, and nothing done, for listeners and NULL.
 */
noPollMsg* nopoll_conn_get_msg(noPollConn* conn);

/**
 * Reads payload bytes as a stream: borders of frames and messages, and their types, vanish. Bytes
 * of a frame are given as they arrive. What nopoll_conn_get_msg() says about handshakes and control
 * frames holds.
 *
 * What was received and does not fit is kept, also beyond the end of the connection, and given
 * first by the next call; nopoll_conn_get_msg() passes it by.
 *
 * @param conn    the connection.
 * @param buffer  gets the bytes; set to 0 first. No terminator is added.
 * @param bytes   room in buffer; must be positive.
 * @param block   0: takes what is there, of one frame at most. Else: collects until the buffer is
 *                full.
 * @param timeout MILLISECONDS to collect at most, if block is set; 0 or less for no limit.
 * @return the number of bytes. Without block, -1 when there is nothing: with errno
 *         NOPOLL_EWOULDBLOCK while the connection is fine. With block, fewer than asked, or 0, when
 *         time is over or the connection has ended. -1, buffer untouched, for NULL and sizes below
 *         1 (errno EINVAL); -1 for listeners (EBADF), with block too.
 */
int nopoll_conn_read(noPollConn* conn, char* buffer, int bytes, nopoll_bool block, long timeout);

/**
 * Counts payload bytes that are in the process already, so that no select() on the socket would
 * show them: kept by nopoll_conn_read(), decrypted by TLS, or in complete frames that a loop read
 * ahead and left because a handler stopped it. While it is positive, read again before waiting. An
 * incomplete frame does not count. Once the connection has ended only what nopoll_conn_read() has
 * kept counts.
 *
 * @return the bytes; 0 for none and for NULL.
 */
int nopoll_conn_read_pending(noPollConn* conn);

/**
 * Sends a text message in one frame (RFC 6455 section 5.6). Clients mask it, others do not. The
 * content is copied as far as needed: it may be changed or freed after the call.
 *
 * A frame that the socket takes only in part is kept, and must NOT be sent again: finish it with
 * nopoll_conn_flush_writes() or nopoll_conn_complete_pending_write(), or leave it to a running
 * nopoll_loop_wait(). One frame of the program at a time can be pending like that. On sockets in
 * blocking mode the call waits instead; accepted connections without TLS are in that mode, and
 * while a loop runs on their context the rest is queued for them:
 * nopoll_ctx_set_send_queue_limit().
 *
 * Clients may send before the server has answered; accepted connections from on_ready on. A failed
 * send does not shut the connection down: the next read finds out.
 *
 * @param conn    the connection.
 * @param content text in UTF-8, checked in strict mode only. May be empty, as "" with length -1.
 * @param length  its bytes; -1: up to the terminator. 0 is an error.
 * @return length (0 for the empty text): all is written. Less, but positive: frame taken, that many
 *         payload bytes written, errno NOPOLL_EWOULDBLOCK. -2: frame taken, no payload byte written
 *         yet, same errno. -1 with errno NOPOLL_EWOULDBLOCK: frame NOT taken, an earlier one is
 *         still pending: send again later. -1 otherwise, nothing sent or kept: NULL or wrong
 *         length (errno EINVAL), a listener (EOPNOTSUPP), not ok (EBADF), before the reply on an
 *         accepted connection (ENOTCONN), after a Close frame (EPIPE), not UTF-8 in strict mode
 *         (EILSEQ), or what the socket says (EPIPE, ECONNRESET, ...).
 */
int nopoll_conn_send_text(noPollConn* conn, const char* content, long length);

/**
 * Sends part of a text message, not the last one: a frame without FIN (RFC 6455 section 5.4).
 * Further parts go out as continuation frames, whichever function sends them; the first
 * nopoll_conn_send_text() or nopoll_conn_send_binary() after it sends the last part.
 *
 * In strict mode UTF-8 is checked over the parts: a character may be split between them.
 *
 * @return as nopoll_conn_send_text().
 */
int nopoll_conn_send_text_fragment(noPollConn* conn, const char* content, long length);

/**
 * Sends a binary message in one frame; see nopoll_conn_send_text().
 *
 * @param length bytes of content, at least 1: there is no terminator to look for. For an empty
 *               binary message use nopoll_conn_send_frame().
 * @return as nopoll_conn_send_text().
 */
int nopoll_conn_send_binary(noPollConn* conn, const char* content, long length);

/**
 * Sends part of a binary message, not the last one; see nopoll_conn_send_text_fragment().
 *
 * @return as nopoll_conn_send_binary().
 */
int nopoll_conn_send_binary_fragment(noPollConn* conn, const char* content, long length);

/**
 * Sends an empty ping (RFC 6455 section 5.5.2). There is no notice of the pong.
 *
 * @return 1 when written or kept to be written; 0 when not, and for NULL. Where the peer does not
 *         read, 16 KiB of control frames are kept, or as much as the send queue takes.
 */
nopoll_bool nopoll_conn_send_ping(noPollConn* conn);

/**
 * Sends a pong (RFC 6455 section 5.5.3). Received pings are answered by the library, so this is for
 * unasked ones, as signs of life.
 *
 * @param conn    the connection.
 * @param length  bytes of content, 0 to 125.
 * @param content the payload; may be NULL if length is 0.
 * @return non-zero when written or kept to be written; 0 when not, for wrong arguments and NULL.
 */
nopoll_bool nopoll_conn_send_pong(noPollConn* conn, long length, noPollPtr content);

/**
 * Sends a frame with the header as asked, also one that breaks rules; meant for tests and for what
 * the other functions do not offer, such as empty binary frames. Text is not checked. Frames
 * without FIN begin a message as described at nopoll_conn_send_text_fragment(), but this function
 * never replaces the opcode.
 *
 * @param conn            the connection.
 * @param fin             the FIN bit.
 * @param masked          whether to mask; clients must, others must not (RFC 6455 section 5.1).
 * @param op_code         0, 1, 2, 8, 9 or 10. After a Close frame nothing can be sent.
 * @param length          bytes of content, 0 or more; for control frames at most 125.
 * @param content         the payload; may be NULL if length is 0.
 * @param sleep_in_header microseconds to sleep between header and payload; 0 for none.
 * @return as nopoll_conn_send_text(); 0 for a frame without payload; -1 for another opcode and a
 *         control frame that is too long or lacks FIN.
 */
int nopoll_conn_send_frame(noPollConn* conn, nopoll_bool fin, nopoll_bool masked,
                           noPollOpCode op_code, long length, noPollPtr content,
                           long sleep_in_header);

/**
 * The function behind the four that send text and binary. Programs call it to send continuation
 * frames.
 *
 * @param conn            the connection.
 * @param content         the payload; never NULL.
 * @param length          its bytes; -1 with text and continuation: up to the terminator. 0 is an
 *                        error.
 * @param has_fin         the FIN bit: whether the message ends here.
 * @param sleep_in_header microseconds to sleep between header and payload; 0 for none.
 * @param frame_type      opcode; inside an unfinished message text and binary go out as
 *                        continuation.
 * @return as nopoll_conn_send_text().
 */
int __nopoll_conn_send_common(noPollConn* conn, const char* content, long length,
                              nopoll_bool has_fin, long sleep_in_header, noPollOpCode frame_type);

/**
 * Counts bytes that were taken for sending and not reported as written yet, frame headers included.
 * Payload that a loop has written meanwhile counts until nopoll_conn_complete_pending_write() or
 * nopoll_conn_flush_writes() has reported it, so the sum of all results is the length of the frame.
 *
 * @return the bytes; 0 for none and for NULL.
 */
int nopoll_conn_pending_write_bytes(noPollConn* conn);

/**
 * Tries once to write what is pending, without waiting.
 *
 * @param conn the connection.
 * @return payload bytes of the program's frame written now, or by a loop since the last report. 0
 *         when nothing is pending afterwards and no payload was left to report, and for NULL. -1
 *         with errno NOPOLL_EWOULDBLOCK when something is pending still and no payload byte went
 *         out; -1 with another errno when the connection is broken.
 */
int nopoll_conn_complete_pending_write(noPollConn* conn);

/**
 * Writes what is pending, waiting for the socket as long as needed within a time. To be called with
 * the result of a send right after it:
 *
 *     sent = nopoll_conn_send_text (conn, text, length);
 *     sent = nopoll_conn_flush_writes (conn, 2000000, sent);
 *
 * @param conn            the connection.
 * @param timeout         microseconds; 0 or less: nothing is tried. Times below 100000 act as
 *                        100000.
 * @param previous_result result of the send; counted if it is positive.
 * @return payload bytes of the frame written in all: the length of the frame if all went out. Comes
 *         back early when nothing is pending or the connection is broken. For NULL the previous
 *         result, or 0 if that is negative.
 */
int nopoll_conn_flush_writes(noPollConn* conn, long timeout, int previous_result);

/**
 * Ends a connection: sends a Close frame without status, calls on_close, closes the socket, and
 * gives up the caller's reference. nopoll_conn_close_ext (conn, 0, NULL, 0).
 *
 * @param conn the connection, client, accepted or listener; NULL: nothing happens.
 */
void nopoll_conn_close(noPollConn* conn);

/**
 * Ends a connection (RFC 6455 section 7). If it is ok: sends a Close frame, unless the opening
 * handshake is not over, one was sent before, or a frame is stuck half-written; calls on_close;
 * closes the socket, after reading away what has arrived so that the frame is not lost. Neither the
 * peer's answer nor the socket is waited for. Then, in any case, unregisters it and gives one
 * reference up.
 *
 * So a client or listener is freed unless the program has taken further references. An accepted
 * connection too: one nopoll_conn_ref() of the program counts as the caller's reference and is used
 * up. But the last reference of an accepted connection that the loop has dropped already, or of any
 * connection that was closed before, is left to nopoll_conn_unref(). Inside a handler of the
 * connection the object stays valid until the handler has returned.
 *
 * @param conn        the connection; NULL: nothing happens. One that failed or was shut down must
 *                    be closed too, to release it.
 * @param status      status to send: 1000 to 1003, 1007 to 1014, 1016 to 4999. With any other the
 *                    frame is empty.
 * @param reason      text in UTF-8, cut to 123 bytes at a character; dropped if it is not UTF-8 or
 *                    there is no status. NULL for none.
 * @param reason_size its bytes.
 */
void nopoll_conn_close_ext(noPollConn* conn, int status, const char* reason, int reason_size);

/**
 * Ends the connection but keeps the object: calls on_close, then closes the socket, without a Close
 * frame (over TLS with a close notice). References and registration stay: the next pass of the loop
 * or nopoll_conn_close() unregisters it.
 *
 * If on_close sets the socket to NOPOLL_INVALID_SOCKET, the descriptor is left open: it is the
 * program's then. Inside on_close of the same connection this does nothing.
 *
 * @param conn the connection; NULL or not ok: nothing happens.
 */
void nopoll_conn_shutdown(noPollConn* conn);

/**
 * Does one step of the opening handshake, without waiting, as nopoll_conn_is_ready() does. Nothing
 * happens when it is over or conn is NULL.
 */
void nopoll_conn_complete_handshake(noPollConn* conn);

/**
 * Switches a socket between blocking and non-blocking mode.
 *
 * Sockets of clients and of accepted TLS connections are non-blocking, those of other accepted
 * connections and of listeners blocking, sockets handed over by the program as they came. The mode
 * decides about sends and about nopoll_conn_get_msg() on clients; the loop blocks in neither.
 *
 * @param sock   the descriptor.
 * @param enable non-zero for blocking, 0 for non-blocking.
 * @return 1; 0 with errno when the system refuses.
 */
nopoll_bool nopoll_conn_set_sock_block(NOPOLL_SOCKET sock, nopoll_bool enable);

/**
 * Receives raw bytes from the socket of a connection, past WebSocket and TLS. For programs that
 * speak something else before the handshake; bytes taken here are missing to it.
 *
 * @param conn        the connection.
 * @param buffer      gets the bytes.
 * @param buffer_size room in it.
 * @return the bytes; 0 at the end of the stream; -1 with errno, and for NULL.
 */
int nopoll_conn_default_receive(noPollConn* conn, char* buffer, int buffer_size);

/**
 * Sends raw bytes over the socket of a connection, past WebSocket and TLS. Programs answer with
 * HTTP of their own this way in on_open, and return 0 there: the library then adds no answer of its
 * own. SIGPIPE is not raised.
 *
 * @param conn        the connection.
 * @param buffer      the bytes.
 * @param buffer_size how many.
 * @return the bytes sent, which may be fewer; -1 with errno, and for NULL.
 */
int nopoll_conn_default_send(noPollConn* conn, char* buffer, int buffer_size);

/**
 * Masks, or unmasks, bytes in place (RFC 6455 section 5.3): payload[i] is combined with mask[(i +
 * desp) mod 4]. Doing it twice restores the bytes.
 *
 * @param ctx          not used; may be NULL.
 * @param payload      the bytes.
 * @param payload_size how many; 0 or less: nothing happens.
 * @param mask         four bytes.
 * @param desp         how many bytes of the frame came before.
 */
void nopoll_conn_mask_content(noPollCtx* ctx, char* payload, int payload_size, char* mask,
                              int desp);

/**
 * Takes a reference that nopoll_conn_close() does not count as the program's. For the library's own
 * use, kept for programs that call it.
 *
 * @return nopoll_true; nopoll_false for NULL.
 */
nopoll_bool __nopoll_conn_transient_ref(noPollConn* conn);

/**
 * Gives back a reference of __nopoll_conn_transient_ref(). NULL: nothing happens.
 */
void __nopoll_conn_transient_unref(noPollConn* conn);

/**
 * @return the number of references without the transient ones; -1 for NULL.
 */
int __nopoll_conn_owner_ref_count(noPollConn* conn);

/**
 * Takes the frame limit of options over to a connection. For the library's own use, kept for
 * programs that call it.
 *
 * @param conn    the connection; NULL: nothing happens.
 * @param options NULL, or options without a limit: nothing happens.
 */
void __nopoll_conn_set_max_frame_size(noPollConn* conn, noPollConnOpts* options);

END_C_DECLS

#endif /* __NOPOLL_CONN_H__ */
