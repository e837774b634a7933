/* SPDX-License-Identifier: MIT */
/* Each failure of TLS gives one line for whoever runs the program: which connection, and why in
 * words (spec: style of errors, connection.md 4, handshake.md 6.1). */
#include "stream_peer.h"
#include "tls_test.h"

#include <nopoll_private.h>

/* Records that an operator sees. */
static struct {
    int count;
    char line[1024];
} log_seen;

static void keep(noPollCtx* ctx, noPollDebugLevel level, const char* message, noPollPtr data) {
    (void)ctx, (void)data;
    if (level == NOPOLL_LEVEL_DEBUG) return;
    log_seen.count++;
    snprintf(log_seen.line, sizeof log_seen.line, "%s", message);
    if (getenv("SHOW_LOG") != NULL) print_message("    %s\n", message);
}

static noPollCtx* new_ctx(void) {
    noPollCtx* const ctx = nopoll_ctx_new();
    assert_non_null(ctx);
    nopoll_log_set_handler(ctx, keep, NULL);
    memset(&log_seen, 0, sizeof log_seen);
    return ctx;
}

/* The one line since new_ctx names the connection and holds these words (two may be NULL). */
static void expect_line(const char* what, int id, const char* const words[3]) {
    char name[32];
    snprintf(name, sizeof name, "connection %d", id);
    if (log_seen.count != 1 || strstr(log_seen.line, name) == NULL) {
        print_error("%s: %d records, the last one: %s\n", what, log_seen.count, log_seen.line);
        fail();
    }
    for (int i = 0; i < 3 && words[i] != NULL; i++) {
        if (strstr(log_seen.line, words[i]) == NULL) {
            print_error("%s: no \"%s\" in: %s\n", what, words[i], log_seen.line);
            fail();
        }
    }
}

/* --- encrypted keys: a library has nobody to ask for the password --- */

static void lock_key(const char* name) {
    static unsigned char password[] = "sesame";
    EVP_PKEY* const key = tls_read_key(name);
    FILE* const file = fopen(tls_path(name, "-locked.key"), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), password,
                                          (int)sizeof password - 1, NULL, NULL),
                     1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
}

/* Whoever asks gets the answer: there is no terminal, so OpenSSL would read standard input. */
static int locked_keys(void** state) {
    static const char answers[] = "sesame\nsesame\nsesame\nsesame\nsesame\nsesame\n";
    int ends[2];
    if (tls_certificates(state) != 0) return -1;
    lock_key("client");
    lock_key("server");
    (void)setsid();
    if (pipe(ends) != 0 || write(ends[1], answers, sizeof answers - 1) < 0) return -1;
    dup2(ends[0], 0);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* --- clients --- */

enum misbehaviour { GOOD, CUT_OFF, DEMANDING };

struct client_row {
    const char* certificate; /* of the server */
    const char* host_name;
    const char* authority;
    int verify;
    int host_verify;
    enum misbehaviour server;
    const char* words[3];
};

static void clients(void** state) {
    static const struct client_row rows[] = {
        {"expired",
         "server.test",
         "ca",
         1,
         -1,
         GOOD,
         {"server.test", "certificate refused: certificate has expired", "CN=expired.test"}},
        {"other",
         "server.test",
         "ca",
         1,
         -1,
         GOOD,
         {"certificate refused: hostname mismatch", "CN=other.test", NULL}},
        {"other", NULL, "ca", 1, -1, GOOD, {"IP address mismatch", "CN=other.test", NULL}},
        {"stranger",
         "server.test",
         "ca",
         1,
         -1,
         GOOD,
         {"certificate refused: signed by an unknown authority", "CN=stranger.test", NULL}},
        {"other",
         "server.test",
         NULL,
         0,
         1,
         GOOD,
         {"certificate is not for host server.test", NULL, NULL}},
        {"server", "server.test", "ca", 1, -1, CUT_OFF, {"ended the connection", NULL, NULL}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct client_row* const row = &rows[i];
        struct tls_server server;
        noPollCtx* const ctx = new_ctx();
        noPollConnOpts* const options = tls_options(NULL, row->authority, row->verify);
        noPollConn* conn = NULL;
        if (row->host_verify >= 0) nopoll_conn_opts_ssl_host_verify(options, row->host_verify);
        tls_server_prepare(&server, row->certificate);
        server.cut = row->server == CUT_OFF;
        tls_server_start(&server);
        conn = tls_connect_to(ctx, &server, options, row->host_name);
        assert_false(nopoll_conn_is_ok(conn));
        expect_line(row->words[0], nopoll_conn_get_id(conn), row->words);
        assert_non_null(strstr(log_seen.line, tls_server_port(&server)));
        nopoll_conn_close(conn);
        assert_int_equal(log_seen.count, 1);
        tls_server_join(&server);
        nopoll_ctx_unref(ctx);
    }
}

/* Files of the client that cannot be used; {certificate, key, chain, authority}, words. */
static void client_files(void** state) {
    static const struct {
        const char* files[4];
        const char* words[3];
    } rows[] = {
        {{"client.pem", "other.key", NULL, NULL},
         {"other.key", "does not match certificate", "client.pem"}},
        {{"client.pem", "none.key", NULL, NULL}, {"none.key", "No such file", NULL}},
        {{"client.pem", "junk.key", NULL, NULL}, {"junk.key", "no usable private key", NULL}},
        {{"client.pem", "client-locked.key", NULL, NULL},
         {"client-locked.key", "encrypted and has no password", NULL}},
        {{"none.pem", "client.key", NULL, NULL}, {"none.pem", "No such file", NULL}},
        {{"junk.pem", "client.key", NULL, NULL}, {"junk.pem", "no certificate in this file", NULL}},
        {{"client.pem", "client.key", "junk.pem", NULL},
         {"junk.pem", "no certificate in this file", NULL}},
        {{NULL, NULL, NULL, "junk.pem"}, {"junk.pem", "certificate authorities", NULL}},
        {{NULL, NULL, NULL, "none.pem"}, {"none.pem", "certificate authorities", "No such file"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int listening = raw_listen();
        noPollCtx* const ctx = new_ctx();
        noPollConnOpts* const options = nopoll_conn_opts_new();
        noPollConn* conn = NULL;
        const char* path[4];
        for (int k = 0; k < 4; k++)
            path[k] = rows[i].files[k] != NULL ? tls_path(rows[i].files[k], "") : NULL;
        nopoll_conn_opts_set_ssl_certs(options, path[0], path[1], path[2], path[3]);
        nopoll_conn_opts_ssl_peer_verify(options, nopoll_true);
        conn = nopoll_conn_tls_new(ctx, options, "127.0.0.1", peer_port(listening), NULL, NULL,
                                   NULL, NULL);
        assert_false(nopoll_conn_is_ok(conn));
        expect_line(rows[i].words[0], nopoll_conn_get_id(conn), rows[i].words);
        nopoll_conn_close(conn);
        nopoll_ctx_unref(ctx);
        close(listening);
    }
}

/* A server that speaks plain HTTP, or says nothing and goes. */
static void* plain_server(void* data) {
    static const char reply[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    const int* const listening = (const int*)data;
    const int fd = accept(*listening, NULL, NULL);
    char bytes[2048];
    recv(fd, bytes, sizeof bytes, 0);
    send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        continue;
    close(fd);
    return NULL;
}

static void client_at_a_plain_port(void** state) {
    static const char* const words[3] = {"127.0.0.1", "does not speak TLS", NULL};
    int listening = raw_listen();
    pthread_t thread;
    noPollCtx* const ctx = new_ctx();
    noPollConn* conn = NULL;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, plain_server, &listening), 0);
    conn =
        nopoll_conn_tls_new(ctx, NULL, "127.0.0.1", peer_port(listening), NULL, NULL, NULL, NULL);
    assert_false(nopoll_conn_is_ok(conn));
    expect_line("a plain server", nopoll_conn_get_id(conn), words);
    nopoll_conn_close(conn);
    pthread_join(thread, NULL);
    close(listening);
    nopoll_ctx_unref(ctx);
}

/* The server does not want us: its alert, in words. */
static void client_is_refused(void** state) {
    static const char* const words[3] = {"alert", NULL, NULL};
    struct tls_server server;
    noPollCtx* const ctx = new_ctx();
    noPollConn* conn = NULL;
    (void)state;
    tls_server_prepare(&server, "server");
    SSL_CTX_set_max_proto_version(server.ssl_ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(server.ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    tls_server_start(&server);
    conn = tls_connect_to(ctx, &server, tls_options(NULL, "ca", 1), "server.test");
    assert_false(nopoll_conn_is_ok(conn));
    expect_line("no client certificate", nopoll_conn_get_id(conn), words);
    nopoll_conn_close(conn);
    tls_server_join(&server);
    nopoll_ctx_unref(ctx);
}

static nopoll_bool refuse(noPollCtx* ctx, noPollConn* conn, noPollPtr ssl_ctx, noPollPtr ssl,
                          noPollPtr data) {
    (void)ctx, (void)conn, (void)ssl_ctx, (void)ssl, (void)data;
    return nopoll_false;
}

static noPollPtr create_none(noPollCtx* ctx, noPollConn* conn, noPollConnOpts* options,
                             nopoll_bool is_client, noPollPtr data) {
    (void)ctx, (void)conn, (void)options, (void)is_client, (void)data;
    return NULL;
}

static void client_is_refused_by_the_program(void** state) {
    static const char* const words[2][3] = {{"refused by the program's", NULL, NULL},
                                            {"context creator gave none", NULL, NULL}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tls_server server;
        noPollCtx* const ctx = new_ctx();
        noPollConn* conn = NULL;
        if (i == 0)
            nopoll_ctx_set_post_ssl_check(ctx, refuse, NULL);
        else
            nopoll_ctx_set_ssl_context_creator(ctx, create_none, NULL);
        tls_server_prepare(&server, "server");
        tls_server_start(&server);
        conn = tls_connect_to(ctx, &server, tls_options(NULL, "ca", 1), "server.test");
        expect_line(words[i][0], nopoll_conn_get_id(conn), words[i]);
        nopoll_conn_close(conn);
        tls_server_join(&server);
        nopoll_ctx_unref(ctx);
    }
}

/* --- listeners --- */

/* What the accepted connection will be called: ids are drawn in order. */
static int next_id(noPollConn* listener) {
    return nopoll_conn_get_id(listener) + 1;
}

static void listener_without_usable_certificate(void** state) {
    static const struct {
        const char* files[3];
        const char* words[3];
    } rows[] = {
        {{NULL, NULL, NULL}, {"no certificate is set", NULL, NULL}},
        {{"server.pem", "none.key", NULL}, {"none.key", "No such file", NULL}},
        {{"server.pem", "junk.key", NULL}, {"junk.key", "no usable private key", NULL}},
        {{"server.pem", "server-locked.key", NULL},
         {"server-locked.key", "encrypted and has no password", NULL}},
        {{"server.pem", "other.key", NULL},
         {"other.key", "does not match certificate", "server.pem"}},
        {{"none.pem", "server.key", NULL}, {"none.pem", "No such file", NULL}},
        {{"junk.pem", "server.key", NULL}, {"junk.pem", "no certificate in this file", NULL}},
        {{"server.pem", "server.key", "none.pem"}, {"none.pem", "No such file", NULL}},
    };
    (void)state;
    for (int by_name = 0; by_name <= 1; by_name++) {
        for (size_t i = by_name ? 1 : 0; i < sizeof rows / sizeof *rows; i++) {
            struct tls_client client;
            noPollCtx* const ctx = new_ctx();
            noPollConn* const listener = tls_listener(ctx, NULL);
            const char* path[3];
            for (int k = 0; k < 3; k++)
                path[k] = rows[i].files[k] != NULL ? tls_path(rows[i].files[k], "") : NULL;
            if (by_name)
                nopoll_ctx_set_certificate(ctx, NULL, tls_pem("server"), tls_key("server"), NULL);
            if (path[0] != NULL)
                nopoll_ctx_set_certificate(ctx, "other.test", path[0], path[1], path[2]);
            tls_client_open(&client, listener, "other.test");
            assert_false(tls_client_upgrade(&client, ctx));
            LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
            expect_line(rows[i].words[0], next_id(listener), rows[i].words);
            tls_client_close(&client);
            nopoll_conn_close(listener);
            nopoll_ctx_unref(ctx);
        }
    }
}

/* Bytes that are no handshake, or the beginning of one. */
static void listener_and_strange_bytes(void** state) {
    static const struct {
        const char* name;
        const char* bytes;
        size_t size;
        const char* words[3];
    } rows[] = {
        {"plain HTTP",
         TEST_REQUEST,
         sizeof TEST_REQUEST - 1,
         {"TLS handshake", "speaks plain HTTP", NULL}},
        {"junk", "some bytes of another protocol\r\n", 32, {"does not speak TLS", NULL, NULL}},
        {"cut off", "\x16\x03\x01\x01\x00\x01", 6, {"TLS handshake", "ended the connection", NULL}},
        {"nothing", "", 0, {"TLS handshake", "ended the connection", NULL}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static peer_stream seen;
        noPollCtx* const ctx = new_ctx();
        noPollConn* const listener = tls_listener_with(ctx, "server");
        const int fd = test_connect(test_port_of(nopoll_conn_socket(listener)));
        test_send_all(fd, rows[i].bytes, rows[i].size);
        shutdown(fd, SHUT_WR);
        peer_until_end(ctx, fd, &seen);
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        expect_line(rows[i].name, next_id(listener), rows[i].words);
        close(fd);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

static void tls_at_a_plain_listener(void** state) {
    static const char* const words[3] = {"not HTTP but TLS", NULL, NULL};
    struct tls_client client;
    noPollCtx* const ctx = new_ctx();
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    (void)state;
    tls_client_open(&client, listener, NULL);
    assert_false(tls_client_upgrade(&client, ctx));
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    expect_line("TLS to a plain port", next_id(listener), words);
    tls_client_close(&client);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

/* Clients that do not trust us, that we do not trust, or that speak another version. */
static void listener_and_refusing_clients(void** state) {
    static const struct {
        const char* authority;   /* of the client */
        const char* certificate; /* of the client */
        int demanded;
        int version; /* the only one of the client */
        const char* words[3];
    } rows[] = {
        {"foreign", NULL, 0, 0, {"TLS handshake", "alert unknown ca", NULL}},
        {"ca", NULL, 1, 0, {"did not return a certificate", NULL, NULL}},
        {"ca",
         "stranger",
         1,
         0,
         {"certificate refused: signed by an unknown authority", "CN=stranger.test", NULL}},
        {"ca",
         "expired",
         1,
         0,
         {"certificate refused: certificate has expired", "CN=expired.test", NULL}},
        {"ca", NULL, 0, TLS1_1_VERSION, {"unsupported protocol", NULL, NULL}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_client client;
        noPollCtx* const ctx = new_ctx();
        noPollConn* const listener =
            tls_listener(ctx, tls_options("server", "ca", rows[i].demanded));
        SSL_CTX* const ssl_ctx = tls_client_context(rows[i].authority);
        if (rows[i].certificate != NULL) {
            SSL_CTX_use_certificate_file(ssl_ctx, tls_pem(rows[i].certificate), SSL_FILETYPE_PEM);
            SSL_CTX_use_PrivateKey_file(ssl_ctx, tls_key(rows[i].certificate), SSL_FILETYPE_PEM);
        }
        if (rows[i].version != 0) {
            SSL_CTX_set_security_level(ssl_ctx, 0);
            SSL_CTX_set_min_proto_version(ssl_ctx, rows[i].version);
            SSL_CTX_set_max_proto_version(ssl_ctx, rows[i].version);
        }
        tls_client_open_with(&client, listener, ssl_ctx, NULL);
        assert_false(tls_client_upgrade(&client, ctx));
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        expect_line(rows[i].words[0], next_id(listener), rows[i].words);
        tls_client_close(&client);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

static void listener_refused_by_the_program(void** state) {
    static const char* const words[2][3] = {{"refused by the program's", NULL, NULL},
                                            {"context creator gave none", NULL, NULL}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tls_client client;
        noPollCtx* const ctx = new_ctx();
        noPollConn* const listener = tls_listener_with(ctx, "server");
        if (i == 0)
            nopoll_ctx_set_post_ssl_check(ctx, refuse, NULL);
        else
            nopoll_ctx_set_ssl_context_creator(ctx, create_none, NULL);
        tls_client_open(&client, listener, NULL);
        assert_false(tls_client_upgrade(&client, ctx));
        LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
        expect_line(words[i][0], next_id(listener), words[i]);
        tls_client_close(&client);
        nopoll_conn_close(listener);
        nopoll_ctx_unref(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients),
        cmocka_unit_test(client_files),
        cmocka_unit_test(client_at_a_plain_port),
        cmocka_unit_test(client_is_refused),
        cmocka_unit_test(client_is_refused_by_the_program),
        cmocka_unit_test(listener_without_usable_certificate),
        cmocka_unit_test(listener_and_strange_bytes),
        cmocka_unit_test(tls_at_a_plain_listener),
        cmocka_unit_test(listener_and_refusing_clients),
        cmocka_unit_test(listener_refused_by_the_program),
    };
    return cmocka_run_group_tests(tests, locked_keys, tls_certificates_gone);
}
