/* SPDX-License-Identifier: MIT */
/* After the first handshake with the same settings no certificate, key, authority or trust store
 * file is opened again: inotify sees every open in the folder, while a stat (to notice changes) is
 * not seen. tests/gate/tls_files.sh shows the same with strace; the marks are for it. */
#include "tls_test.h"

#include <sys/inotify.h>

enum { kQuietHandshakes = 10 };

static int watching;

static int watch_folder(void** state) {
    if (tls_certificates(state) != 0) return -1;
    tls_append(tls_pem("store"), tls_pem("ca"));
    tls_system_store(tls_pem("store"));
    watching = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return inotify_add_watch(watching, tls_folder, IN_OPEN | IN_ACCESS) >= 0 ? 0 : -1;
}

static int unwatch_folder(void** state) {
    close(watching);
    return tls_certificates_gone(state);
}

static int store_touched; /* opens and reads of store.pem, ever */

/* How many opens and reads since the last call; the name of the last file. */
static int files_touched(char* last, size_t size) {
    union {
        struct inotify_event event;
        char bytes[16384];
    } buffer;
    ssize_t got;
    int count = 0;
    while ((got = read(watching, &buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event* const event =
                (const struct inotify_event*)(void*)(buffer.bytes + at);
            if (event->len > 0) {
                count++;
                store_touched += strcmp(event->name, "store.pem") == 0;
                snprintf(last, size, "%s", event->name);
            }
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    return count;
}

/* Seen by strace only. */
static void mark(const char* what, int number) {
    char text[64];
    snprintf(text, sizeof text, "/mark/%s/%d", what, number);
    (void)!access(text, F_OK);
}

/* One handshake after the other: the first one reads files; once one has not, none does any more.
 * (Files younger than the grain of their time stamps are read again to be on the safe side.) */
static void settles(const char* what, void (*handshake)(void* data), void* data) {
    const long limit = test_now_ms() + TEST_LIMIT_MS;
    char last[256] = "";
    int number = 1, count;
    (void)files_touched(last, sizeof last);
    handshake(data);
    assert_true(files_touched(last, sizeof last) > 0);
    do {
        handshake(data);
        count = files_touched(last, sizeof last);
    } while (count > 0 && test_now_ms() < limit);
    for (; number <= kQuietHandshakes; number++) {
        mark(what, number);
        handshake(data);
        count = files_touched(last, sizeof last);
        if (count > 0) print_error("%s, handshake %d: %s\n", what, number, last);
        assert_int_equal(count, 0);
    }
    mark("end", 0);
}

/* --- listeners --- */

struct listening {
    noPollCtx* ctx;
    noPollConn* listener;
    SSL_CTX* clients; /* made once: the test's own end must not read files either */
    const char* server_name;
    const char* expected;
};

static void accept_one(void* data) {
    const struct listening* const at = (const struct listening*)data;
    struct tls_client client;
    SSL_CTX_up_ref(at->clients);
    tls_client_open_with(&client, at->listener, at->clients, at->server_name);
    assert_true(tls_client_upgrade(&client, at->ctx));
    assert_string_equal(tls_client_saw(&client), at->expected);
    tls_client_close(&client);
    LOOP_UNTIL(at->ctx, nopoll_ctx_conns(at->ctx) == 1);
}

static void listen_and_settle(const char* what, struct listening* at) {
    settles(what, accept_one, at);
    nopoll_conn_close(at->listener);
    nopoll_ctx_unref(at->ctx);
    SSL_CTX_free(at->clients);
}

static void listeners_own_certificate(void** state) {
    struct listening at = {nopoll_ctx_new(), NULL, tls_client_context("ca"), NULL, "server.test"};
    (void)state;
    at.listener = tls_listener(at.ctx, NULL);
    assert_true(nopoll_listener_set_certificate(at.listener, tls_pem("server"), tls_key("server"),
                                                tls_pem("middle")));
    listen_and_settle("listener", &at);
}

static void mutual_tls(void** state) {
    struct listening at = {nopoll_ctx_new(), NULL, tls_client_context("ca"), NULL, "server.test"};
    (void)state;
    SSL_CTX_use_certificate_file(at.clients, tls_pem("client"), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(at.clients, tls_key("client"), SSL_FILETYPE_PEM);
    at.listener = tls_listener(at.ctx, tls_options("server", "ca", 1));
    listen_and_settle("mutual", &at);
}

static void store_and_server_name(void** state) {
    struct listening at = {nopoll_ctx_new(), NULL, tls_client_context("ca"), "other.test",
                           "other.test"};
    (void)state;
    nopoll_ctx_set_certificate(at.ctx, NULL, tls_pem("server"), tls_key("server"), NULL);
    nopoll_ctx_set_certificate(at.ctx, "other.test", tls_pem("other"), tls_key("other"),
                               tls_pem("middle"));
    at.listener = tls_listener(at.ctx, NULL);
    listen_and_settle("server-name", &at);
}

/* --- clients --- */

struct connecting {
    noPollCtx* ctx;
    noPollConnOpts* options; /* reused */
    SSL_CTX* servers;
};

static void connect_one(void* data) {
    const struct connecting* const to = (const struct connecting*)data;
    struct tls_server server;
    noPollConn* conn = NULL;
    memset(&server, 0, sizeof server);
    SSL_CTX_up_ref(to->servers);
    server.ssl_ctx = to->servers;
    server.listening = raw_listen();
    server.fd = -1;
    tls_server_start(&server);
    conn = tls_connect_to(to->ctx, &server, to->options, "server.test");
    assert_true(nopoll_conn_is_ok(conn));
    nopoll_conn_close(conn);
    tls_server_join(&server);
}

static void connect_and_settle(const char* what, noPollConnOpts* options) {
    struct connecting to = {nopoll_ctx_new(), options, tls_server_context("server")};
    if (options != NULL) nopoll_conn_opts_set_reuse(options, nopoll_true);
    settles(what, connect_one, &to);
    if (options != NULL) nopoll_conn_opts_free(options);
    nopoll_ctx_unref(to.ctx);
    SSL_CTX_free(to.servers);
}

static void client_with_options(void** state) {
    (void)state;
    connect_and_settle("client", tls_options("client", "ca", 1));
}

static void client_with_the_systems_store(void** state) {
    (void)state;
    connect_and_settle("system-store", NULL);
}

/* Who verifies nobody does not load the system's store at all. */
static void store_is_for_verification(void** state) {
    struct listening at = {nopoll_ctx_new(), NULL, tls_client_context("ca"), NULL, "server.test"};
    (void)state;
    store_touched = 0;
    at.listener = tls_listener(at.ctx, tls_options("server", "ca", 0));
    listen_and_settle("no-verification", &at);
    connect_and_settle("no-verification", tls_options("client", NULL, 0));
    assert_int_equal(store_touched, 0);
    connect_and_settle("verification", tls_options("client", NULL, 1));
    assert_true(store_touched > 0);
}

/* A store that is a folder of hashed names is asked for one certificate at a time. */
static void client_with_a_store_folder(void** state) {
    X509* const authority = tls_read_certificate("ca");
    char name[32];
    (void)state;
    snprintf(name, sizeof name, "%08lx.0", X509_subject_name_hash(authority));
    X509_free(authority);
    tls_append(tls_path(name, ""), tls_pem("ca"));
    setenv("SSL_CERT_FILE", tls_path("no-such-store", ""), 1);
    connect_and_settle("store-folder", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_own_certificate),
        cmocka_unit_test(mutual_tls),
        cmocka_unit_test(store_and_server_name),
        cmocka_unit_test(client_with_options),
        cmocka_unit_test(client_with_the_systems_store),
        cmocka_unit_test(store_is_for_verification),
        cmocka_unit_test(client_with_a_store_folder),
    };
    return cmocka_run_group_tests(tests, watch_folder, unwatch_folder);
}
