// SPDX-License-Identifier: MIT
// Style (h), C99 and pthreads: what runs on devices. One thread lives in nopoll_loop_wait() and
// connects again when the connection is lost, another sends; pings keep the connection alive, mutex
// hooks are installed, messages are kept beyond their handler.
//
//     device_client PORT SESSIONS
#include <nopoll.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static noPollConn* current;  // while it is ready; the sender has a reference of its own
static noPollMsg* kept;
static int session, sent, lost, ending;
static int mutexes, created, locks;  // of the hooks; read at the end

static noPollPtr create_mutex(void) {
    pthread_mutex_t* mutex = malloc(sizeof(*mutex));

    pthread_mutex_init(mutex, NULL);
    __sync_add_and_fetch(&mutexes, 1);
    __sync_add_and_fetch(&created, 1);
    return mutex;
}

static void destroy_mutex(noPollPtr mutex) {
    pthread_mutex_destroy(mutex);
    free(mutex);
    __sync_sub_and_fetch(&mutexes, 1);
}

static void lock_mutex(noPollPtr mutex) {
    pthread_mutex_lock(mutex);
    __sync_add_and_fetch(&locks, 1);
}

static void unlock_mutex(noPollPtr mutex) {
    __sync_sub_and_fetch(&locks, 1);
    pthread_mutex_unlock(mutex);
}

// Sends a report for each session, in two slices, and waits until it is out.
static void* sender(void* data) {
    static const char report[] = "report: all is well";
    const long half = 8, rest = (long)sizeof(report) - 1 - half;

    pthread_mutex_lock(&lock);
    for (;;) {
        while (!ending && (current == NULL || sent == session))
            pthread_cond_wait(&news, &lock);
        if (ending) break;
        noPollConn* conn = current;
        sent = session;
        nopoll_conn_ref(conn);
        pthread_mutex_unlock(&lock);
        int result =
            __nopoll_conn_send_common(conn, report, half, nopoll_false, 0, NOPOLL_BINARY_FRAME);
        nopoll_conn_flush_writes(conn, 1000000, result);
        result = __nopoll_conn_send_common(conn, report + half, rest, nopoll_true, 0,
                                           NOPOLL_CONTINUATION_FRAME);
        nopoll_conn_flush_writes(conn, 1000000, result);
        nopoll_conn_unref(conn);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return data;
}

static void on_msg(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)conn;
    (void)data;
    nopoll_msg_unref(kept);
    nopoll_msg_ref(msg);
    kept = msg;
}

static void on_close(noPollCtx* ctx, noPollConn* conn, noPollPtr data) {
    const char* reason = nopoll_conn_get_close_reason(conn);

    (void)ctx;
    (void)data;
    printf("lost: %d %s\n", nopoll_conn_get_close_status(conn), reason ? reason : "-");
    lost = 1;
}

static void live(noPollCtx* ctx, const char* port) {
    noPollConn* conn = nopoll_conn_new(ctx, "127.0.0.1", port, NULL, "/device", NULL, NULL);

    if (!nopoll_conn_wait_until_connection_ready(conn, 10)) {
        printf("not connected\n");
        nopoll_conn_close(conn);
        return;
    }
    lost = 0;
    nopoll_conn_set_on_close(conn, on_close, NULL);
    pthread_mutex_lock(&lock);
    current = conn;
    session++;
    pthread_cond_signal(&news);
    pthread_mutex_unlock(&lock);
    while (!lost) {
        nopoll_loop_wait(ctx, 20000);
        if (!lost) nopoll_conn_send_ping(conn);
    }
    pthread_mutex_lock(&lock);
    current = NULL;
    pthread_mutex_unlock(&lock);
    nopoll_conn_close(conn);
    printf("session %d was told: %s\n", session,
           kept ? (const char*)nopoll_msg_get_payload(kept) : "nothing");
}

int main(int argc, char** argv) {
    pthread_t thread;

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc != 3) return 2;
    nopoll_thread_handlers(create_mutex, destroy_mutex, lock_mutex, unlock_mutex);
    noPollCtx* ctx = nopoll_ctx_new();
    nopoll_ctx_set_on_msg(ctx, on_msg, NULL);
    if (pthread_create(&thread, NULL, sender, NULL)) return 1;
    for (int left = atoi(argv[2]); left > 0; left--)
        live(ctx, argv[1]);

    pthread_mutex_lock(&lock);
    ending = 1;
    pthread_cond_signal(&news);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    nopoll_msg_unref(kept);
    printf("references of the context: %d\n", nopoll_ctx_ref_count(ctx));
    nopoll_ctx_unref(ctx);
    printf("mutexes: some %d, left %d, locked %d\n", created > 3, mutexes, locks);
    return 0;
}
