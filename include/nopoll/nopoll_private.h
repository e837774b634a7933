/* SPDX-License-Identifier: MIT */
/*
 * The bodies of the structs behind the types of the interface, for programs that look inside.
 * nopoll.h does not include it. It needs the headers of OpenSSL.
 *
 * Names, types and offsets are those of noPoll 0.4.8 and stay. Each field is one of
 * - live: it holds the value and is right whenever the program runs. Programs may read it. Those
 *   marked "may be set" they may also write, in the thread that uses the object at that moment;
 *   for all others there is a function.
 * - reserved: keeps its place and reads as zero. What noPoll kept there is elsewhere, in the part
 *   of the object that follows the struct.
 *
 * Objects are made by the library only: a struct that a program lays out itself is too small.
 * Strings are malloc'ed and belong to their object.
 */
#ifndef __NOPOLL_PRIVATE_H__
#define __NOPOLL_PRIVATE_H__

#include "nopoll_decl.h"
#include "nopoll_handlers.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/opensslv.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

BEGIN_C_DECLS

/** An entry of the certificate store of a context. */
typedef struct _noPollCertificate noPollCertificate;

/** See nopoll_ctx_set_certificate(). All fields are live. */
struct _noPollCertificate {
    /** Host name; NULL for the default entry. */
    char* serverName;
    /** PEM file with the certificate. */
    char* certificateFile;
    /** PEM file with its key. */
    char* privateKey;
    /** PEM file with intermediate certificates, or NULL. */
    char* optionalChainFile;
};

/** A context. */
struct _noPollCtx {
    /** Live: references, see nopoll_ctx_ref_count(). */
    int refs;
    /** Live: 1 from creation on; nothing depends on it. */
    nopoll_bool not_executed;
    /** Live: as given to nopoll_log_enable(). */
    nopoll_bool debug_enabled;
    /** Live: 1 from creation on; nothing depends on it. */
    nopoll_bool not_executed_color;
    /** Live: as given to nopoll_log_color_enable(). */
    nopoll_bool debug_color_enabled;
    /** Live: 1 while a nopoll_loop_wait() runs that was not stopped. */
    nopoll_bool keep_looping;
    /** Live: microseconds, as given to nopoll_conn_connect_timeout(). */
    long conn_connect_std_timeout;
    /** Live, may be set: length of the accept queue of listeners made later, 128 at least. */
    int backlog;
    /** Live, may be set: an engine for the next outermost nopoll_loop_wait(), see
     * nopoll_io_get_engine(); NULL otherwise. */
    noPollIoEngine* io_engine;
    /** Live: the id that is tried next. */
    int conn_id;
    /** Reserved: the table of connections. Use nopoll_ctx_foreach_conn(). */
    noPollConn** conn_list;
    /** Reserved: length of that table. */
    int conn_length;
    /** Live: registered connections, see nopoll_ctx_conns(). */
    int conn_num;
    /** Live: handler and data of nopoll_ctx_set_on_accept(). */
    noPollActionHandler on_accept;
    noPollPtr on_accept_data;
    /** Live: handler and data of nopoll_ctx_set_on_ready(). */
    noPollActionHandler on_ready;
    noPollPtr on_ready_data;
    /** Live: handler and data of nopoll_ctx_set_on_open(). */
    noPollActionHandler on_open;
    noPollPtr on_open_data;
    /** Live: handler and data of nopoll_ctx_set_on_msg(). */
    noPollOnMessageHandler on_msg;
    noPollPtr on_msg_data;
    /** Live: as given to nopoll_ctx_set_protocol_version(); 13 otherwise. */
    int protocol_version;
    /** Live: the certificate store, in the order of the calls, and its number of entries. */
    noPollCertificate* certificates;
    int certificates_length;
    /** Live: mutex made by the create hook of nopoll_thread_handlers(), or NULL. */
    noPollPtr ref_mutex;
    /** Live: handler and data of nopoll_log_set_handler(). */
    noPollLogHandler log_handler;
    noPollPtr log_user_data;
    /** Live: function and data of nopoll_ctx_set_ssl_context_creator(). */
    noPollSslContextCreator context_creator;
    noPollPtr context_creator_data;
    /** Live: function and data of nopoll_ctx_set_post_ssl_check(). */
    noPollSslPostCheck post_ssl_check;
    noPollPtr post_ssl_check_data;
    /** Live: bytes, see nopoll_ctx_get_max_frame_size(). */
    long max_frame_size;
};

/** A client, an accepted connection or a listener. */
struct _noPollConn {
    /** Live: see nopoll_conn_get_id(). */
    int id;
    /** Live: see nopoll_conn_ctx(). */
    noPollCtx* ctx;
    /** Live: the descriptor, see nopoll_conn_socket(); -1 when not ok. */
    NOPOLL_SOCKET session;
    /** Live: 1 when the opening handshake is over. */
    nopoll_bool handshake_ok;
    /** Live, may be set: how bytes get from the socket and to it, see noPollRead. */
    noPollRead receive;
    noPollRead send;
    /** Live: see nopoll_conn_role(). */
    noPollRole role;
    /** Live: see nopoll_conn_host(). */
    char* host;
    /** Live: see nopoll_conn_port(). */
    char* port;
    /** Live: see nopoll_conn_get_host_header(). */
    char* host_name;
    /** Live: see nopoll_conn_get_origin(). */
    char* origin;
    /** Live: see nopoll_conn_get_requested_url(). */
    char* get_url;
    /** Live: see nopoll_conn_get_requested_protocol(). */
    char* protocols;
    /** Live: see nopoll_conn_get_accepted_protocol(). */
    char* accepted_protocol;
    /** Live: see nopoll_conn_get_close_status(). */
    int peer_close_status;
    /** Live: see nopoll_conn_get_close_reason(). */
    char* peer_close_reason;
    /** Live: handler and data of nopoll_conn_set_on_msg(). */
    noPollOnMessageHandler on_msg;
    noPollPtr on_msg_data;
    /** Live: handler and data of nopoll_conn_set_on_ready(). */
    noPollActionHandler on_ready;
    noPollPtr on_ready_data;
    /** Live: handler and data of nopoll_conn_set_on_close(). */
    noPollOnCloseHandler on_close;
    noPollPtr on_close_data;
    /** Reserved. */
    noPollHandShake* handshake;
    /** Reserved. */
    char* pending_line;
    /** Live: references, see nopoll_conn_ref_count(). 0 when the object is being freed. */
    int refs;
    /** Live: how many of them are transient, see __nopoll_conn_transient_ref(). */
    int transient_refs;
    /** Reserved. */
    noPollMsg* pending_msg;
    /** Reserved. */
    long pending_diff;
    /** Reserved. */
    long pending_desp;
    /** Live: see nopoll_conn_is_tls_on(). */
    nopoll_bool tls_on;
    /** Live: 1 on an accepted connection until its TLS handshake is over. */
    nopoll_bool pending_ssl_accept;
    /** Live: 1 on a client until its TLS handshake is over. */
    nopoll_bool pending_ssl_connect;
    /** Live: the SSL_CTX in use, perhaps shared with other connections; NULL without TLS. */
    SSL_CTX* ssl_ctx;
    /** Live: the SSL object; NULL without TLS. Looking at the session is fine, reading and
     * writing is not. */
    SSL* ssl;
    /** Live: the three files of nopoll_listener_set_certificate(), or NULL. */
    char* certificate;
    char* private_key;
    char* chain_certificate;
    /** Reserved. */
    char pending_buf[100];
    /** Reserved. */
    int pending_buf_bytes;
    /** Live: see nopoll_conn_set_hook(). */
    noPollPtr hook;
    /** Live: mutex made by the create hook of nopoll_thread_handlers(), or NULL. */
    noPollPtr ref_mutex;
    /** Reserved. */
    noPollPtr handshake_mutex;
    /** Reserved. */
    noPollMsg* previous_msg;
    /** Reserved. */
    nopoll_bool previous_was_fragment;
    /** Reserved. */
    char* pending_write;
    /** Reserved: use nopoll_conn_pending_write_bytes(). */
    int pending_write_bytes;
    /** Reserved. */
    int pending_write_desp;
    /** Reserved. */
    int pending_write_added_header;
    /** Live: the options of a listener; NULL without. */
    noPollConnOpts* opts;
    /** Live: see nopoll_conn_get_listener(). */
    noPollConn* listener;
    /** Reserved. */
    nopoll_bool read_pending_header;
    /** Live, may be set, for tests: k > 0 makes each send of a frame longer than k bytes write k
     * bytes, sleep for 5 seconds, and write the rest. */
    nopoll_bool __force_stop_after_header;
    /** Live: see nopoll_conn_get_x_real_ip_header(). */
    char* x_real_ip_address;
    /** Live: frame limit of the connection's own options in bytes; 0 for none, see
     * nopoll_conn_get_max_frame_size(). */
    long max_frame_size;
};

/** An I/O engine, see nopoll_io_get_engine(). All fields are live and may be set. */
struct _noPollIoEngine {
    /** The set of descriptors, made by create. */
    noPollPtr io_object;
    /** As given to nopoll_io_get_engine(); may be NULL. */
    noPollCtx* ctx;
    /** What works on the set. */
    noPollIoMechCreate create;
    noPollIoMechDestroy destroy;
    noPollIoMechClear clear;
    noPollIoMechWait wait;
    noPollIoMechAddTo add_to;
    noPollIoMechIsSet is_set;
};

/** A message, see nopoll_msg.h. All fields are live; the first five may be set. */
struct _noPollMsg {
    /** The FIN bit of the frame. */
    nopoll_bool has_fin;
    /** The opcode, see nopoll_msg_opcode(). */
    short int op_code;
    /** 1 when the frame came masked. */
    nopoll_bool is_masked;
    /** The payload: memory of malloc(), freed with the message; or NULL. */
    noPollPtr payload;
    /** Its bytes. */
    long payload_size;
    /** References, see nopoll_msg_ref_count(). */
    int refs;
    /** Mutex made by the create hook of nopoll_thread_handlers(), or NULL. */
    noPollPtr ref_mutex;
    /** The masking key of a frame that came masked; the payload is unmasked. */
    char mask[4];
    /** Bytes of the frame that come in later pieces, INT_MAX at most; 0 for the last piece and
     * for a whole frame. */
    int remain_bytes;
    /** 1 for a part of a message, see nopoll_msg_is_fragment(). */
    nopoll_bool is_fragment;
    /** 0: the payload needs no unmasking. */
    int unmask_desp;
};

/** State of an opening handshake. No object of this type is made: all fields are reserved. */
struct _noPollHandshake {
    nopoll_bool upgrade_websocket;
    nopoll_bool connection_upgrade;
    nopoll_bool received_101;
    char* websocket_key;
    char* websocket_version;
    char* websocket_accept;
    char* expected_accept;
    char* cookie;
};

/** Options, see nopoll_conn_opts.h. All fields are live. */
struct _noPollConnOpts {
    /** See nopoll_conn_opts_set_reuse(). */
    nopoll_bool reuse;
    /** Mutex made by the create hook of nopoll_thread_handlers(), or NULL. */
    noPollPtr mutex;
    /** References of the program, and of functions that consume one. */
    int refs;
    /** See nopoll_conn_opts_set_ssl_protocol(). */
    noPollSslProtocol ssl_protocol;
    /** The four files of nopoll_conn_opts_set_ssl_certs(). */
    char* certificate;
    char* private_key;
    char* chain_certificate;
    char* ca_certificate;
    /** The opposite of nopoll_conn_opts_ssl_peer_verify(): 1 in a new object. */
    nopoll_bool disable_ssl_verify;
    /** See nopoll_conn_opts_set_cookie(). */
    char* cookie;
    /** See nopoll_conn_opts_skip_origin_check(). */
    nopoll_bool skip_origin_header_check;
    /** See nopoll_conn_opts_set_interface(). */
    char* _interface;
    /** See nopoll_conn_opts_set_extra_headers(). */
    char* extra_headers;
    /** See nopoll_conn_opts_add_origin_header(). */
    nopoll_bool add_origin_header;
    /** Bytes, see nopoll_conn_opts_set_max_frame_size(); 0: not set. */
    long max_frame_size;
};

END_C_DECLS

#endif /* __NOPOLL_PRIVATE_H__ */
