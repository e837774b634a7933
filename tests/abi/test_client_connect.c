/* SPDX-License-Identifier: MIT */
/* How long the function that makes a client may wait, and for what (spec: connection.md section 2,
 * "Connect timeout"): TCP, TLS and request within one time; several addresses of one name. */
#include "stream_peer.h"

#include <dlfcn.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>

#define TIMEOUT_US 200000
/* The machine may do other things as well. */
#define LATE_MS (700 * test_slowdown())

/* Makes a client inside a measured time; it must be there, and dead. */
#define ASSERT_TIMES_OUT(call)                                                                     \
    do {                                                                                           \
        const long begin = test_now_ms();                                                          \
        noPollConn* const late = (call);                                                           \
        const long took = test_now_ms() - begin;                                                   \
        assert_non_null(late);                                                                     \
        assert_int_equal(nopoll_conn_is_ok(late), 0);                                              \
        assert_true(took >= TIMEOUT_US / 1000 - 1);                                                \
        assert_true(took <= TIMEOUT_US / 1000 + LATE_MS);                                          \
        assert_int_equal(nopoll_conn_wait_until_connection_ready(late, 5), 0);                     \
        nopoll_conn_close(late);                                                                   \
    } while (0)

static noPollCtx* hurried_context(void) {
    noPollCtx* const ctx = nopoll_ctx_new();
    nopoll_conn_connect_timeout(ctx, TIMEOUT_US);
    return ctx;
}

/* A listener whose queue is full drops what else comes: connecting takes for ever. */
static void a_full_queue_is_waited_for_in_vain(void** state) {
    (void)state;
    int crowd[4];
    test_log* const log = calloc(1, sizeof *log);
    noPollCtx* const ctx = hurried_context();
    const int listening = peer_listen(0);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    nopoll_log_set_handler(ctx, test_log_record, log);
    getsockname(listening, (struct sockaddr*)&address, &size);
    for (int i = 0; i < 4; i++) {
        crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(crowd[i], (struct sockaddr*)&address, size);
    }
    struct pollfd last = {crowd[3], POLLOUT, 0};
    assert_int_equal(poll(&last, 1, 100), 0); /* really full */
    ASSERT_TIMES_OUT(
        nopoll_conn_new(ctx, "127.0.0.1", peer_port(listening), NULL, NULL, NULL, NULL));
    assert_int_equal(log->criticals, 1);
    ASSERT_TIMES_OUT(
        nopoll_conn_tls_new(ctx, NULL, "127.0.0.1", peer_port(listening), NULL, NULL, NULL, NULL));
    assert_int_equal(nopoll_ctx_ref_count(ctx), 1);
    nopoll_ctx_unref(ctx);
    for (int i = 0; i < 4; i++)
        close(crowd[i]);
    close(listening);
    free(log);
}

static void a_silent_tls_peer_is_waited_for_in_vain(void** state) {
    (void)state;
    noPollCtx* const ctx = hurried_context();
    const int listening = peer_listen(4);
    ASSERT_TIMES_OUT(
        nopoll_conn_tls_new(ctx, NULL, "127.0.0.1", peer_port(listening), NULL, NULL, NULL, NULL));
    for (int blocking = 0; blocking < 2; blocking++) {
        int fds[2];
        peer_socketpair(fds);
        if (!blocking) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        ASSERT_TIMES_OUT(
            nopoll_conn_tls_new_with_socket(ctx, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL));
        close(fds[1]);
    }
    nopoll_ctx_unref(ctx);
    close(listening);
}

static void garbage_instead_of_tls_ends_at_once(void** state) {
    (void)state;
    int fds[2];
    noPollCtx* const ctx = nopoll_ctx_new();
    const long start = test_now_ms();
    peer_socketpair(fds);
    test_send_all(fds[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    noPollConn* const conn =
        nopoll_conn_tls_new_with_socket(ctx, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL);
    assert_non_null(conn);
    assert_int_equal(nopoll_conn_is_ok(conn), 0);
    assert_true(test_now_ms() - start < 2000);
    nopoll_conn_close(conn);
    nopoll_ctx_unref(ctx);
    close(fds[1]);
}

static void fill(int fd) {
    static const char bytes[4096];
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    while (send(fd, bytes, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
}

static void a_request_that_cannot_be_written_is_given_up(void** state) {
    (void)state;
    noPollCtx* const ctx = hurried_context();
    for (int blocking = 0; blocking < 2; blocking++) {
        int fds[2];
        peer_socketpair(fds);
        if (!blocking) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        fill(fds[0]);
        ASSERT_TIMES_OUT(
            nopoll_conn_new_with_socket(ctx, NULL, fds[0], "h", "1", NULL, NULL, NULL, NULL));
        assert_false(peer_is_open(fds[0]));
        close(fds[1]);
    }
    nopoll_ctx_unref(ctx);
}

/* --- a request that goes out in parts --- */

typedef struct {
    int fd;
    char* head;
    size_t size;
} slow_reader;

static void* read_slowly(void* data) {
    slow_reader* const reader = data;
    while (reader->size < 4 || memcmp(reader->head + reader->size - 4, "\r\n\r\n", 4) != 0) {
        const ssize_t got = recv(reader->fd, reader->head + reader->size, 777, 0);
        if (got <= 0) break;
        reader->size += (size_t)got;
    }
    return NULL;
}

/* Times below one act as the default: there is enough of it. */
static void a_long_request_goes_on_where_it_stopped(void** state) {
    (void)state;
    enum { kCookie = 600000 };
    static const long times[] = {5000000, 0, -1, LONG_MIN};
    char* const cookie = malloc(kCookie + 1);
    for (size_t i = 0; i < kCookie; i++)
        cookie[i] = (char)('a' + i % 23);
    cookie[kCookie] = 0;
    for (int round = 0; round < 4; round++) {
        const int blocking = round % 2;
        int fds[2];
        int small = 4096;
        pthread_t thread;
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_conn_connect_timeout(ctx, times[round]);
        noPollConnOpts* const options = nopoll_conn_opts_new();
        nopoll_conn_opts_set_cookie(options, cookie);
        peer_socketpair(fds);
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        if (!blocking) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        slow_reader reader = {fds[1], calloc(1, kCookie + 4096), 0};
        assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
        noPollConn* const conn =
            nopoll_conn_new_with_socket(ctx, options, fds[0], "h", "1", NULL, NULL, NULL, NULL);
        assert_int_equal(nopoll_conn_is_ok(conn), 1);
        pthread_join(thread, NULL);
        const char* const at = strstr(reader.head, "\r\nCookie: ");
        assert_non_null(at);
        assert_memory_equal(at + 10, cookie, kCookie);
        assert_memory_equal(at + 10 + kCookie, "\r\n\r\n", 4);
        assert_int_equal((size_t)(at - reader.head) + 10 + kCookie + 4, reader.size);
        assert_int_equal(strncmp(reader.head, "GET / HTTP/1.1\r\n", 16), 0);
        nopoll_conn_close(conn);
        nopoll_ctx_unref(ctx);
        close(fds[1]);
        free(reader.head);
    }
    free(cookie);
}

static void times_below_one_act_as_the_default(void** state) {
    (void)state;
    static const long times[] = {0, -1, LONG_MIN, LONG_MAX};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        peer_scene scene;
        noPollCtx* const ctx = nopoll_ctx_new();
        nopoll_conn_connect_timeout(ctx, times[i]);
        peer_client_scene(&scene, ctx); /* the request arrives */
        assert_true(nopoll_conn_get_connect_timeout(ctx) == times[i]);
        peer_end(&scene);
    }
}

/* --- several addresses of one name --- */

/* Stands in for the resolver: "two.test" has two addresses. The first is the broadcast address, to
 * which TCP cannot connect: it fails at once. */
static int first_is_bad = 1;

static struct addrinfo* made_up(const char* service, in_addr_t first, in_addr_t second) {
    struct both {
        struct addrinfo info[2];
        struct sockaddr_in address[2];
    };
    struct both* const both = calloc(1, sizeof *both);
    if (both == NULL) return NULL;
    for (int i = 0; i < 2; i++) {
        both->address[i].sin_family = AF_INET;
        both->address[i].sin_port = htons((uint16_t)atoi(service));
        both->address[i].sin_addr.s_addr = htonl(i == 0 ? first : second);
        both->info[i].ai_family = AF_INET;
        both->info[i].ai_socktype = SOCK_STREAM;
        both->info[i].ai_addrlen = sizeof both->address[i];
        both->info[i].ai_addr = (struct sockaddr*)&both->address[i];
    }
    both->info[0].ai_next = &both->info[1];
    both->info[0].ai_flags = 4711; /* so that freeaddrinfo knows it again */
    return both->info;
}

int getaddrinfo(const char* restrict name, const char* restrict service,
                const struct addrinfo* restrict hints, struct addrinfo** restrict result) {
    int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
    if (name != NULL && service != NULL && strcmp(name, "two.test") == 0) {
        *result = first_is_bad ? made_up(service, INADDR_BROADCAST, INADDR_LOOPBACK)
                               : made_up(service, INADDR_LOOPBACK, INADDR_BROADCAST);
        return *result != NULL ? 0 : EAI_MEMORY;
    }
    *(void**)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, result);
}

void freeaddrinfo(struct addrinfo* list) {
    void (*real)(struct addrinfo*);
    if (list != NULL && list->ai_flags == 4711) {
        free(list);
        return;
    }
    *(void**)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
    real(list);
}

static void the_next_address_is_tried(void** state) {
    (void)state;
    for (first_is_bad = 0; first_is_bad < 2; first_is_bad++) {
        noPollCtx* const ctx = nopoll_ctx_new();
        const int listening = peer_listen(4);
        peer_scene scene = {.ctx = ctx, .listening = listening};
        scene.conn = nopoll_conn_new(ctx, "two.test", peer_port(listening), NULL, NULL, NULL, NULL);
        assert_int_equal(nopoll_conn_is_ok(scene.conn), 1);
        assert_string_equal(nopoll_conn_host(scene.conn), "two.test");
        scene.fd = peer_accept(listening);
        test_receive_head(scene.fd, scene.request, sizeof scene.request);
        assert_non_null(strstr(scene.request, "\r\nHost: two.test\r\n"));
        peer_end(&scene);
    }
    first_is_bad = 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_is_waited_for_in_vain),
        cmocka_unit_test(a_silent_tls_peer_is_waited_for_in_vain),
        cmocka_unit_test(garbage_instead_of_tls_ends_at_once),
        cmocka_unit_test(a_request_that_cannot_be_written_is_given_up),
        cmocka_unit_test(a_long_request_goes_on_where_it_stopped),
        cmocka_unit_test(times_below_one_act_as_the_default),
        cmocka_unit_test(the_next_address_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
