/* SPDX-License-Identifier: MIT */
/*
 * Options: settings handed to the functions that make clients and listeners.
 *
 * Ownership: a function that takes options consumes one reference of them whatever its result, NULL
 * arguments included. So make an object for each call, or switch reuse on, or take a reference for
 * each further call. With reuse on, no function but nopoll_conn_opts_unref() changes the count; a
 * listener that still needs the object keeps it alive all the same.
 *
 * A client is done with its options when the creating function returns. A listener keeps them as
 * long as it lives, and its accepted connections go by the values of the moment. Set options up
 * before they are used, or in the thread that serves the listener; the count of references may
 * change in any thread.
 *
 * Strings are copied; a new value replaces the old one, NULL unsets it. With NULL for the options
 * setters do nothing.
 */
#ifndef __NOPOLL_CONN_OPTS_H__
#define __NOPOLL_CONN_OPTS_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Makes an options object with one reference: reuse off, peer verification OFF, Origin header on,
 * TLS version flexible, nothing else set.
 *
 * Mind the verification: a TLS client without any options verifies its server, one with an options
 * object does not unless nopoll_conn_opts_ssl_peer_verify() is called.
 *
 * @return the object, consumed by the function it is given to or released with
 *         nopoll_conn_opts_unref(); NULL when memory is short.
 */
noPollConnOpts* nopoll_conn_opts_new(void);

/**
 * Takes a reference.
 *
 * @return nopoll_true; nopoll_false for NULL and for an object whose count is not positive.
 */
nopoll_bool nopoll_conn_opts_ref(noPollConnOpts* opts);

/**
 * Gives a reference back; with the last one the object is freed.
 *
 * @param opts the options; NULL: nothing happens.
 */
void nopoll_conn_opts_unref(noPollConnOpts* opts);

/**
 * The same as nopoll_conn_opts_unref(): one reference, so an object with further ones stays.
 */
void nopoll_conn_opts_free(noPollConnOpts* opts);

/**
 * Chooses whether the object serves more than one call. With reuse on, creating functions leave the
 * reference to the caller, who ends with nopoll_conn_opts_unref().
 *
 * @param opts  the options.
 * @param reuse non-zero for on.
 */
void nopoll_conn_opts_set_reuse(noPollConnOpts* opts, nopoll_bool reuse);

/**
 * Names the files for TLS. Clients present the certificate if the server asks for one; listeners
 * present it to everybody. The four files set before are forgotten first.
 *
 * Only readability is checked here; content is looked at for each connection, so replaced files
 * count from then on.
 *
 * @param opts              the options.
 * @param certificate       PEM file, the certificate first, intermediate ones may follow; or NULL.
 * @param private_key       PEM file with its key, not encrypted; or NULL.
 * @param chain_certificate PEM file with (further) intermediate certificates, sent after those of
 *                          certificate; or NULL.
 * @param ca_certificate    PEM file with authorities to trust in addition to the system's, where
 *                          the peer is verified; or NULL.
 * @return 1 when all that were given can be read. 0 for NULL options and for the first file, in
 *         this order, that cannot: it stays set, those after it are unset.
 */
nopoll_bool nopoll_conn_opts_set_ssl_certs(noPollConnOpts* opts, const char* certificate,
                                           const char* private_key, const char* chain_certificate,
                                           const char* ca_certificate);

/**
 * Chooses whether the peer's certificate must be trusted: signed, over at most 10 steps, by the
 * system's authorities or ca_certificate. On clients the certificate must then also be for the
 * host: see nopoll_conn_opts_ssl_host_verify(). On a listener it means that each client must
 * present a trusted certificate (of at most 5 steps).
 *
 * A failure ends a client during its creation, and an accepted connection in its TLS handshake.
 *
 * @param opts   the options.
 * @param verify non-zero to verify. Off in a new object.
 */
void nopoll_conn_opts_ssl_peer_verify(noPollConnOpts* opts, nopoll_bool verify);

/**
 * Chooses the TLS version, for clients and listeners; without effect on an SSL_CTX made by a
 * context creator.
 *
 * @param opts         the options.
 * @param ssl_protocol NOPOLL_METHOD_TLSV1_2: that version only. Everything else, also the values
 *                     for TLS 1.0 and 1.1: the highest version both sides have.
 */
void nopoll_conn_opts_set_ssl_protocol(noPollConnOpts* opts, noPollSslProtocol ssl_protocol);

/**
 * Sets the Cookie header of a client's request.
 *
 * @param opts           the options.
 * @param cookie_content value of the header, sent as it is; NULL for no header.
 */
void nopoll_conn_opts_set_cookie(noPollConnOpts* opts, const char* cookie_content);

/**
 * Adds headers to a client's request, behind all others.
 *
 * @param opts          the options.
 * @param extra_headers "NAME: VALUE" lines with CRLF between them. A CRLF in front is right and is
 *                      added if missing; those at the end are dropped. Otherwise the text is sent
 *                      as it is. NULL for none.
 */
void nopoll_conn_opts_set_extra_headers(noPollConnOpts* opts, const char* extra_headers);

/**
 * Chooses whether a client sends the Origin header. nopoll_conn_get_origin() is not affected.
 *
 * @param opts the options.
 * @param add  0 to leave the header out, non-zero (as in a new object) to send it.
 */
void nopoll_conn_opts_add_origin_header(noPollConnOpts* opts, nopoll_bool add);

/**
 * Chooses whether a listener takes requests without an Origin header, which browsers always send
 * and other clients often do not (RFC 6455 section 4.1). The value of the header is never compared:
 * do so in on_open.
 *
 * @param opts       the options.
 * @param skip_check non-zero to take them; 0, as in a new object, to answer them with 403.
 */
void nopoll_conn_opts_skip_origin_check(noPollConnOpts* opts, nopoll_bool skip_check);

/**
 * Binds a client's socket to a network interface before it connects (SO_BINDTODEVICE, which may
 * need privileges). If that fails, the creating function returns NULL. Listeners ignore it, and so
 * do clients on a socket that the program hands over.
 *
 * @param opts  the options.
 * @param iface name of the interface, such as "eth0"; NULL for any.
 */
void nopoll_conn_opts_set_interface(noPollConnOpts* opts, const char* iface);

/**
 * Sets the largest frame payload taken on the client, or on the connections of the listener; it
 * wins over the limit of the context. Meaning: nopoll_ctx_set_max_frame_size().
 *
 * @param opts           the options.
 * @param max_frame_size bytes, from 1 to NOPOLL_MAX_FRAME_SIZE_LIMIT; other values are ignored.
 */
void nopoll_conn_opts_set_max_frame_size(noPollConnOpts* opts, long max_frame_size);

/**
 * What creating functions do with the options when they are done: gives a reference back unless
 * reuse is on. For the library's own use, kept for programs that call it.
 *
 * @param options the options; NULL: nothing happens.
 */
void __nopoll_conn_opts_release_if_needed(noPollConnOpts* options);

END_C_DECLS

#endif /* __NOPOLL_CONN_OPTS_H__ */
