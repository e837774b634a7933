/* SPDX-License-Identifier: MIT */
/* TLS peers that use OpenSSL directly: a server in a thread of its own, because a client of the
 * library does its TLS handshake inside the creating call, and a client that shares the thread
 * with the library's loop. */
#ifndef ABI_TLS_TEST_H
#define ABI_TLS_TEST_H

#include "raw_peer.h"
#include "tls_certificates.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>

/* --- a server for one connection --- */

struct tls_server {
    /* before tls_server_start */
    SSL_CTX* ssl_ctx;
    int listening;
    int upgrade; /* 1: answer the request, then leave fd and ssl to the test; 2: only leave them */
    int cut;     /* end the TCP stream in the middle of the handshake */
    /* after tls_server_join */
    int accepted;  /* somebody came */
    int handshake; /* TLS handshake done */
    int version;
    int alert; /* fatal alert of the client, SSL_AD_...; 0 = none */
    int close_notify;
    char server_name[256]; /* SNI; "-" = none sent */
    char peer[128];        /* common name of the client's certificate; "" = none */
    size_t size;           /* bytes after the handshake */
    char bytes[40000];
    int fd; /* -1 once closed */
    SSL* ssl;
    pthread_t thread;
};

TEST_UNUSED static void tls_note_alert(const SSL* ssl, int where, int ret) {
    struct tls_server* const server =
        (struct tls_server*)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (ret >> 8) == SSL3_AL_FATAL)
        server->alert = ret & 0xff;
}

TEST_UNUSED static void tls_common_name(X509* certificate, char* out, size_t size) {
    out[0] = 0;
    if (certificate == NULL) return;
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, out, (int)size);
}

/* A context with certificate chain and key of these names in the folder. */
TEST_UNUSED static SSL_CTX* tls_server_context(const char* name) {
    SSL_CTX* const ssl_ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(ssl_ctx);
    if (name != NULL) {
        assert_int_equal(SSL_CTX_use_certificate_chain_file(ssl_ctx, tls_pem(name)), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(ssl_ctx, tls_key(name), SSL_FILETYPE_PEM), 1);
    }
    return ssl_ctx;
}

TEST_UNUSED static void tls_server_prepare(struct tls_server* server, const char* certificate) {
    memset(server, 0, sizeof *server);
    server->ssl_ctx = tls_server_context(certificate);
    server->listening = raw_listen();
    server->fd = -1;
}

TEST_UNUSED static const char* tls_server_port(const struct tls_server* server) {
    static char ring[8][8];
    static unsigned at;
    char* const text = ring[at++ % 8];
    snprintf(text, sizeof ring[0], "%d", test_port_of(server->listening) & 0xffff);
    return text;
}

/* Everything up to the client's end, or up to the end of its request head. */
static void tls_server_read(struct tls_server* server) {
    for (;;) {
        const size_t room = sizeof server->bytes - 1 - server->size;
        const int got = SSL_read(server->ssl, server->bytes + server->size, (int)room);
        if (got <= 0) {
            server->close_notify = SSL_get_error(server->ssl, got) == SSL_ERROR_ZERO_RETURN;
            return;
        }
        server->size += (size_t)got;
        server->bytes[server->size] = 0;
        if (server->upgrade && strstr(server->bytes, "\r\n\r\n") != NULL) return;
    }
}

/* The reply to the request in `bytes`. */
static void tls_reply_text(const char* request, char* reply, size_t capacity) {
    char key[64] = "";
    char* accept_key = NULL;
    const char* const at = strstr(request, "Sec-WebSocket-Key: ");
    if (at != NULL && sscanf(at, "Sec-WebSocket-Key: %63s", key) == 1)
        accept_key = nopoll_conn_produce_accept_key(NULL, key);
    snprintf(reply, capacity,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept_key != NULL ? accept_key : "");
    free(accept_key);
}

/* No asserts in here: it is another thread. */
TEST_UNUSED static void* tls_server_main(void* data) {
    struct tls_server* const server = (struct tls_server*)data;
    const struct timeval limit = {TEST_LIMIT_MS / 1000, 0};
    const char* name = NULL;
    X509* peer = NULL;
    if (!test_readable(server->listening, TEST_LIMIT_MS)) return NULL;
    server->fd = accept(server->listening, NULL, NULL);
    server->accepted = server->fd >= 0;
    setsockopt(server->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(server->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (server->cut) {
        char hello[5];
        recv(server->fd, hello, sizeof hello, MSG_WAITALL);
        shutdown(server->fd, SHUT_WR);
        while (recv(server->fd, hello, sizeof hello, 0) > 0)
            continue;
        return NULL;
    }
    server->ssl = SSL_new(server->ssl_ctx);
    SSL_set_fd(server->ssl, server->fd);
    server->handshake = SSL_accept(server->ssl) == 1;
    name = SSL_get_servername(server->ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(server->server_name, sizeof server->server_name, "%s", name != NULL ? name : "-");
    if (!server->handshake) return NULL;
    server->version = SSL_version(server->ssl);
    peer = SSL_get1_peer_certificate(server->ssl);
    tls_common_name(peer, server->peer, sizeof server->peer);
    X509_free(peer);
    tls_server_read(server);
    if (server->upgrade == 1) {
        char reply[512];
        tls_reply_text(server->bytes, reply, sizeof reply);
        SSL_write(server->ssl, reply, (int)strlen(reply));
    }
    return NULL;
}

TEST_UNUSED static void tls_server_start(struct tls_server* server) {
    SSL_CTX_set_app_data(server->ssl_ctx, server);
    SSL_CTX_set_info_callback(server->ssl_ctx, tls_note_alert);
    assert_int_equal(pthread_create(&server->thread, NULL, tls_server_main, server), 0);
}

TEST_UNUSED static void tls_server_free(struct tls_server* server) {
    SSL_free(server->ssl);
    SSL_CTX_free(server->ssl_ctx);
    if (server->fd >= 0) close(server->fd);
    if (server->listening >= 0) close(server->listening);
    server->fd = server->listening = -1;
    server->ssl = NULL;
    server->ssl_ctx = NULL;
}

/* Waits until the client is gone (with `upgrade`: until it was answered). */
TEST_UNUSED static void tls_server_join(struct tls_server* server) {
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    if (!server->upgrade) tls_server_free(server);
}

/* --- a client, driven step by step --- */

struct tls_client {
    int fd;
    SSL_CTX* ssl_ctx;
    SSL* ssl;
    int asked; /* the request is out */
};

/* A context that verifies against this authority; NULL = nothing is verified. */
TEST_UNUSED static SSL_CTX* tls_client_context(const char* authority) {
    SSL_CTX* const ssl_ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(ssl_ctx);
    if (authority != NULL) {
        assert_int_equal(SSL_CTX_load_verify_locations(ssl_ctx, tls_pem(authority), NULL), 1);
        SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    }
    return ssl_ctx;
}

/* Takes over the context. No byte of TLS is sent yet. */
TEST_UNUSED static void tls_client_open_with(struct tls_client* client, noPollConn* listener,
                                             SSL_CTX* ssl_ctx, const char* server_name) {
    client->asked = 0;
    client->fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
    client->ssl_ctx = ssl_ctx;
    client->ssl = SSL_new(ssl_ctx);
    assert_non_null(client->ssl);
    assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
    SSL_set_connect_state(client->ssl);
    if (server_name != NULL)
        assert_int_equal(SSL_set_tlsext_host_name(client->ssl, server_name), 1);
}

TEST_UNUSED static void tls_client_open(struct tls_client* client, noPollConn* listener,
                                        const char* server_name) {
    tls_client_open_with(client, listener, tls_client_context("ca"), server_name);
}

TEST_UNUSED static void tls_client_close(struct tls_client* client) {
    SSL_free(client->ssl);
    SSL_CTX_free(client->ssl_ctx);
    if (client->fd >= 0) close(client->fd);
}

static int tls_wants_more(const SSL* ssl, int result) {
    const int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* The handshake, with the library's loop in turn: 1, or 0 when it failed. */
TEST_UNUSED static int tls_client_handshake(struct tls_client* client, noPollCtx* ctx) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    int result = 0;
    do {
        ERR_clear_error();
        result = SSL_do_handshake(client->ssl);
        if (result == 1 || !tls_wants_more(client->ssl, result)) break;
        nopoll_loop_wait(ctx, 1);
    } while (test_now_ms() < end);
    ERR_clear_error();
    return result == 1;
}

/* One step for a program with its own loop: the handshake goes on; once it is done the request is
 * sent. 1 from then on. */
TEST_UNUSED static int tls_client_step(struct tls_client* client) {
    ERR_clear_error();
    if (!client->asked && SSL_do_handshake(client->ssl) == 1)
        client->asked = SSL_write(client->ssl, TEST_REQUEST, (int)strlen(TEST_REQUEST)) > 0;
    ERR_clear_error();
    return client->asked;
}

/* Until `size` bytes, `until`, or the end of the stream came; returns how many bytes. */
TEST_UNUSED static size_t tls_client_read(struct tls_client* client, noPollCtx* ctx, char* bytes,
                                          size_t size, const char* until) {
    const long end = test_now_ms() + TEST_LIMIT_MS;
    size_t got = 0;
    while (got < size && test_now_ms() < end) {
        int n = 0;
        ERR_clear_error();
        n = SSL_read(client->ssl, bytes + got, until != NULL ? 1 : (int)(size - got));
        if (n > 0) {
            got += (size_t)n;
            if (until != NULL && got >= strlen(until) &&
                memcmp(bytes + got - strlen(until), until, strlen(until)) == 0)
                break;
        } else if (tls_wants_more(client->ssl, n)) {
            nopoll_loop_wait(ctx, 1);
        } else {
            break;
        }
    }
    ERR_clear_error();
    return got;
}

/* Handshake, request, reply: 1 when the reply is a 101. */
TEST_UNUSED static int tls_client_upgrade(struct tls_client* client, noPollCtx* ctx) {
    char head[1024];
    size_t got = 0;
    if (!tls_client_handshake(client, ctx)) return 0;
    assert_int_equal(SSL_write(client->ssl, TEST_REQUEST, (int)strlen(TEST_REQUEST)),
                     strlen(TEST_REQUEST));
    got = tls_client_read(client, ctx, head, sizeof head, "\r\n\r\n");
    return got > 12 && memcmp(head, "HTTP/1.1 101", 12) == 0;
}

/* Common name of the certificate that the client was shown. */
TEST_UNUSED static const char* tls_client_saw(const struct tls_client* client) {
    static char name[128];
    X509* const certificate = SSL_get1_peer_certificate(client->ssl);
    tls_common_name(certificate, name, sizeof name);
    X509_free(certificate);
    return name;
}

/* --- contexts and listeners of the library --- */

TEST_UNUSED static noPollCtx* tls_logging_ctx(test_log* log) {
    noPollCtx* const ctx = nopoll_ctx_new();
    assert_non_null(ctx);
    if (log != NULL) {
        memset(log, 0, sizeof *log);
        nopoll_log_set_handler(ctx, test_log_record, log);
    }
    return ctx;
}

/* Options with certificate and key of this name (NULL = none), authority `ca` if wished. */
TEST_UNUSED static noPollConnOpts* tls_options(const char* certificate, const char* authority,
                                               int verify) {
    noPollConnOpts* const options = nopoll_conn_opts_new();
    assert_non_null(options);
    assert_true(
        nopoll_conn_opts_set_ssl_certs(options, certificate != NULL ? tls_pem(certificate) : NULL,
                                       certificate != NULL ? tls_key(certificate) : NULL, NULL,
                                       authority != NULL ? tls_pem(authority) : NULL));
    nopoll_conn_opts_ssl_peer_verify(options, verify);
    return options;
}

TEST_UNUSED static noPollConn* tls_listener(noPollCtx* ctx, noPollConnOpts* options) {
    noPollConn* const listener = nopoll_listener_tls_new_opts(ctx, options, "127.0.0.1", "0");
    assert_true(nopoll_conn_is_ok(listener));
    return listener;
}

TEST_UNUSED static noPollConn* tls_listener_with(noPollCtx* ctx, const char* certificate) {
    noPollConn* const listener = tls_listener(ctx, NULL);
    assert_true(nopoll_listener_set_certificate(listener, tls_pem(certificate),
                                                tls_key(certificate), NULL));
    return listener;
}

/* A client of the library at a server of the test. */
TEST_UNUSED static noPollConn* tls_connect_to(noPollCtx* ctx, const struct tls_server* server,
                                              noPollConnOpts* options, const char* host_name) {
    return nopoll_conn_tls_new(ctx, options, "127.0.0.1", tls_server_port(server), host_name, NULL,
                               NULL, NULL);
}

#endif
