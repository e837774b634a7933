/* SPDX-License-Identifier: MIT */
/* What an idle accepted TLS connection costs: the growth of this process, with the clients in
 * another one. The figure is printed. */
#include "tls_test.h"

#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Shadow memory and red zones tell nothing about the library; what is left is the exercise. */
enum { kMeasurable = 0, kConnections = 30 };
#else
enum { kMeasurable = 1, kConnections = 200 };
#endif

/* 35 KB is the promise; more than this means that TLS buffers are kept while nothing happens. */
enum { kWarmUp = 10, kMostBytes = 22 * 1024 };

static long resident_bytes(void) {
    long pages = 0;
    FILE* const file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* The other process: as many connections as bytes come through the pipe, kept until it ends. */
static void clients_main(int port, int orders) {
    SSL_CTX* const ssl_ctx = SSL_CTX_new(TLS_client_method());
    char order;
    alarm(100);
    while (read(orders, &order, 1) == 1) {
        struct sockaddr_in address;
        SSL* const ssl = SSL_new(ssl_ctx);
        char head[512];
        int got = 0;
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        memset(&address, 0, sizeof address);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons((uint16_t)port);
        if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) _exit(1);
        SSL_set_fd(ssl, fd);
        if (SSL_connect(ssl) != 1) _exit(2);
        SSL_write(ssl, TEST_REQUEST, (int)strlen(TEST_REQUEST));
        while (got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4) != 0)
            if (got == (int)sizeof head || SSL_read(ssl, head + got++, 1) != 1) _exit(3);
        if (SSL_write(ssl, "\x81\x82\0\0\0\0hi", 8) != 8) _exit(4);
    }
    _exit(0);
}

static int served;

/* Every connection has been used once before it idles. */
static void echo(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx, (void)data;
    assert_int_equal(nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg), 2), 2);
    served++;
}

/* A few at a time: each lot has the usual time limit. */
static void order(noPollCtx* ctx, int orders, int count) {
    for (int wanted = served + 10; count > 0; wanted += 10, count -= 10) {
        assert_int_equal(write(orders, "cccccccccc", 10), 10);
        LOOP_UNTIL(ctx, served == wanted);
    }
}

static void idle_connections(noPollConnOpts* options, const char* what) {
    noPollCtx* const ctx = nopoll_ctx_new();
    noPollConn* const listener = tls_listener(ctx, options);
    const int port = test_port_of(nopoll_conn_socket(listener)) & 0xffff;
    int orders[2], status = 0;
    long before, each;
    pid_t clients;
    assert_int_equal(pipe(orders), 0);
    clients = fork();
    assert_true(clients >= 0);
    if (clients == 0) {
        close(orders[1]);
        clients_main(port, orders[0]);
    }
    close(orders[0]);
    nopoll_ctx_set_on_msg(ctx, echo, NULL);
    order(ctx, orders[1], kWarmUp);
    before = resident_bytes();
    order(ctx, orders[1], kConnections);
    assert_int_equal(nopoll_ctx_conns(ctx), 1 + kWarmUp + kConnections);
    each = (resident_bytes() - before) / kConnections;
    print_message("%s: %d idle TLS connections take %ld bytes each\n", what, kConnections, each);
    if (kMeasurable) assert_in_range(each, 1, kMostBytes);
    close(orders[1]);
    assert_int_equal(waitpid(clients, &status, 0), clients);
    assert_int_equal(status, 0);
    LOOP_UNTIL(ctx, nopoll_ctx_conns(ctx) == 1);
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
}

static void measure(void** state) {
    noPollConnOpts* const options = tls_options("server", NULL, 0);
    const char* const version = *(const char**)*state;
    if (strcmp(version, "TLS 1.2") == 0)
        nopoll_conn_opts_set_ssl_protocol(options, NOPOLL_METHOD_TLSV1_2);
    idle_connections(options, version);
}

/* Each in a process of its own: memory that another run has freed would hide the growth. */
static void in_new_process(const char* version) {
    int status = -1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_tls_memory", version, (char*)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void tls_1_3(void** state) {
    (void)state;
    in_new_process("TLS 1.3");
}

static void tls_1_2(void** state) {
    (void)state;
    in_new_process("TLS 1.2");
}

int main(int argc, char** argv) {
    const struct CMUnitTest both[] = {cmocka_unit_test(tls_1_3), cmocka_unit_test(tls_1_2)};
    const struct CMUnitTest one[] = {cmocka_unit_test_prestate(measure, &argv[1])};
    if (argc == 2) return cmocka_run_group_tests(one, tls_certificates, tls_certificates_gone);
    return cmocka_run_group_tests(both, NULL, NULL);
}
