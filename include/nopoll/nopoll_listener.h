/* SPDX-License-Identifier: MIT */
/*
 * Listeners: sockets that clients connect to. The connections they accept are described in
 * nopoll_conn.h.
 *
 * The constructors, all of them, return a registered listener with two references, the caller's and
 * the registry's: end it with one nopoll_conn_close(). They may be called in any thread.
 *
 * @param ctx  the context.
 * @param host address to listen on, or a name, of which the first address in the wanted family is
 *             taken. "0.0.0.0" and "::" mean all; "::" takes IPv4 peers too where the system says
 *             so.
 * @param port decimal number from 0 to 65535, or a service name. "0" lets the system choose: ask
 *             getsockname() on nopoll_conn_socket(), since nopoll_conn_port() still says "0".
 *
 * On failure they return NULL with errno of the system call that failed, if one did: NULL ctx, NULL
 * or empty host or port, an address of the other family, a name that does not resolve, no
 * permission, memory short. An address that is in use or not there yet is tried again 24 times,
 * 100 ms apart, before the call gives up; other failures are immediate.
 *
 * The socket has SO_REUSEADDR, is blocking, and stays open over exec.
 */
#ifndef __NOPOLL_LISTENER_H__
#define __NOPOLL_LISTENER_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Makes a listener on an IPv4 address, without TLS and options. Arguments, failures and ownership:
 * top of this header. Accepted connections need an Origin header in the request and have the
 * frame limit of the context.
 *
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_new(noPollCtx* ctx, const char* host, const char* port);

/**
 * nopoll_listener_new() on an IPv6 address, written without brackets.
 *
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_new6(noPollCtx* ctx, const char* host, const char* port);

/**
 * nopoll_listener_new() with options: the origin switch, the frame limit and the mode
 * (nopoll_conn_opts_set_strict()) serve the accepted connections.
 *
 * @param opts the options, consumed on every path unless reuse is on; kept until the listener is
 *             freed; may be NULL.
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_new_opts(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                     const char* port);

/**
 * nopoll_listener_new_opts() on an IPv6 address.
 *
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_new_opts6(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                      const char* port);

/**
 * Makes a listener on an IPv4 address whose connections use TLS.
 *
 * Certificates are looked for when a client comes, in nopoll_listener_set_certificate() and
 * nopoll_ctx_set_certificate(): without any, the listener is made all the same and refuses each
 * client.
 *
 * @return the listener, or NULL: see the top of this header.
 */
noPollConn* nopoll_listener_tls_new(noPollCtx* ctx, const char* host, const char* port);

/**
 * nopoll_listener_tls_new() on an IPv6 address.
 *
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_tls_new6(noPollCtx* ctx, const char* host, const char* port);

/**
 * nopoll_listener_tls_new() with options: what nopoll_listener_new_opts() says, and certificate,
 * key, chain and authorities, the TLS version, and whether clients must present a certificate
 * (nopoll_conn_opts_ssl_peer_verify()). Certificate and key of the options win over those set
 * elsewhere.
 *
 * @param opts the options, consumed on every path unless reuse is on; may be NULL.
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_tls_new_opts(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                         const char* port);

/**
 * nopoll_listener_tls_new_opts() on an IPv6 address.
 *
 * @return the listener, or NULL.
 */
noPollConn* nopoll_listener_tls_new_opts6(noPollCtx* ctx, noPollConnOpts* opts, const char* host,
                                          const char* port);

/**
 * Names the certificate that a TLS listener presents, unless its options carry certificate and key.
 * The files are only opened here; their content is looked at when a client comes, so replaced
 * files count from then on. Relative names are relative to the working directory of that moment.
 *
 * May be called in any thread and again: what is given replaces what was there, a NULL chain keeps
 * the chain.
 *
 * @param listener    the listener.
 * @param certificate PEM file, the certificate first, intermediate ones may follow.
 * @param private_key PEM file with its key, not encrypted.
 * @param chain_file  PEM file with (further) intermediate certificates, which are sent; NULL for
 *                    none.
 * @return 1; 0, with nothing changed, when listener, certificate or private_key is NULL or a file
 *         cannot be opened for reading.
 */
nopoll_bool nopoll_listener_set_certificate(noPollConn* listener, const char* certificate,
                                            const char* private_key, const char* chain_file);

/**
 * Opens a listening IPv4 socket, as nopoll_listener_new() does, without making a listener.
 *
 * @param ctx  for the log and the backlog.
 * @param host as at the top of this header.
 * @param port as there.
 * @return the descriptor, which is the caller's; -2 when ctx or host is NULL or port NULL or empty;
 *         -1 with errno on other failures. Test it with nopoll_socket_is_valid().
 */
NOPOLL_SOCKET nopoll_listener_sock_listen(noPollCtx* ctx, const char* host, const char* port);

/**
 * Makes a connection of role NOPOLL_ROLE_LISTENER from a connected socket that the program has
 * accepted, for programs that share a port among protocols. nopoll_conn_accept_complete() should
 * follow: it calls on_accept and sets TLS up. The mode of the socket stays as it is; nothing is
 * read or written here.
 *
 * @param ctx     the context.
 * @param session the socket, which is the library's from success on.
 * @return the registered connection, with the registry's reference only: the caller has none
 *         without taking one, and ends it with nopoll_conn_close(). NULL when ctx is NULL, the
 *         descriptor is 0 or negative or no connected socket (a listening one is not), or memory is
 *         short: the socket stays open and the caller's.
 */
noPollConn* nopoll_listener_from_socket(noPollCtx* ctx, NOPOLL_SOCKET session);

/**
 * Accepts a TCP connection on a listening socket and does nothing else with it;
 * nopoll_conn_accept() does all of it. Waits for a client if the socket is in blocking mode.
 *
 * @param server_socket the listening socket.
 * @return the new descriptor, blocking and the caller's; -1 with errno. Interrupted system calls
 *         are repeated, up to 5 in all.
 */
NOPOLL_SOCKET nopoll_listener_accept(NOPOLL_SOCKET server_socket);

END_C_DECLS

#endif /* __NOPOLL_LISTENER_H__ */
