/* SPDX-License-Identifier: MIT */
/* Sending over TLS when the socket takes little: results and pending bytes add up exactly, records
 * that were begun are finished as they were, nothing gets into the middle (spec: frames.md 6.3). */
#include "tls_scene.h"

#include <nopoll_private.h>

enum { kSize = 300000 };

static char content[kSize];

static void fill_content(void) {
    for (int i = 0; i < kSize; i++)
        content[i] = (char)(i * 31 + i / 257);
}

/* Starts a message that the sockets cannot take; returns the payload bytes accounted for so far. */
static int start_stuck(struct tls_peer* peer) {
    int sent;
    fill_content();
    errno = 0;
    sent = nopoll_conn_send_binary(peer->raw.conn, content, kSize);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_true(sent == -2 || (sent > 0 && sent < kSize));
    if (sent > 0)
        assert_int_equal(sent + nopoll_conn_pending_write_bytes(peer->raw.conn), kSize);
    else
        assert_true(nopoll_conn_pending_write_bytes(peer->raw.conn) >= kSize);
    return sent > 0 ? sent : 0;
}

/* What the test's end has decrypted so far of everything that was sent. */
struct taken {
    unsigned char bytes[2 * kSize];
    size_t size;
    int ended; /* 1: close_notify or end of stream, -1: TLS error */
};

static struct taken taken;

/* One SSL_read, never waiting; 0 when there is nothing now. */
static int take_some(struct tls_peer* peer) {
    int n;
    ERR_clear_error();
    n = SSL_read(peer->ssl, taken.bytes + taken.size, (int)(sizeof taken.bytes - taken.size));
    if (n > 0) {
        taken.size += (size_t)n;
        return 1;
    }
    if (!tls_wants_more(peer->ssl, n)) {
        const unsigned long error = ERR_peek_error();
        taken.ended =
            error == 0 || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? 1 : -1;
    }
    ERR_clear_error();
    return 0;
}

/* Header size of the library's frame with this much payload. */
static size_t header_size(const struct tls_peer* peer, size_t payload) {
    const size_t plain = payload < 126 ? 2 : payload < 65536 ? 4 : 10;
    return plain + (peer->raw.side == RAW_CLIENT ? 4 : 0);
}

/* The next frame at *at: its first byte; the payload is unmasked in place. */
static int next_frame(size_t* at, unsigned char** payload, size_t* size) {
    unsigned char* const head = taken.bytes + *at;
    const int masked = (head[1] & 0x80) != 0;
    size_t used = 2, i;
    assert_true(*at + 2 <= taken.size);
    *size = head[1] & 0x7f;
    if (*size == 126) {
        *size = (size_t)head[2] << 8 | head[3];
        used = 4;
    } else if (*size == 127) {
        for (*size = 0; used < 10; used++)
            *size = *size << 8 | head[used];
    }
    *payload = head + used + (masked ? 4 : 0);
    assert_true(*payload + *size <= taken.bytes + taken.size);
    for (i = 0; masked && i < *size; i++)
        (*payload)[i] = (unsigned char)((*payload)[i] ^ head[used + i % 4]);
    *at = (size_t)(*payload + *size - taken.bytes);
    return head[0];
}

#define EXPECT_FRAME(at, first, text, length)                                                      \
    do {                                                                                           \
        unsigned char* frame_payload;                                                              \
        size_t frame_size;                                                                         \
        assert_int_equal(next_frame((at), &frame_payload, &frame_size), (first));                  \
        assert_int_equal(frame_size, (length));                                                    \
        assert_memory_equal(frame_payload, (text), (length));                                      \
    } while (0)

static void open_tight(struct tls_peer* peer, enum raw_side side) {
    memset(&taken, 0, sizeof taken);
    tls_open(peer, side, &kTlsTight);
}

/* --- the end with answers that wait --- */

enum { kAnswers = 6, kAnswer = 10000 };
enum how { BY_SHUTDOWN, BY_CLOSE };
static const unsigned char kBye[] = {0x03, 0xe8, 'b', 'y', 'e'};

static void answer_and_end(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)msg;
    for (int i = 0; i < kAnswers; i++)
        assert_int_equal(nopoll_conn_send_binary(conn, content + i, kAnswer), kAnswer);
    if (*(enum how*)data == BY_CLOSE) {
        nopoll_conn_ref(conn); /* which the close takes */
        nopoll_conn_close_ext(conn, 1000, "bye", 3);
    } else {
        nopoll_conn_shutdown(conn);
    }
}

static void gather_answers(struct tls_peer* peer, enum raw_side side, enum how* how) {
    open_tight(peer, side);
    fill_content();
    nopoll_ctx_set_cork(peer->raw.ctx, nopoll_true);
    nopoll_ctx_set_on_msg(peer->raw.ctx, answer_and_end, how);
    tls_send_frames(peer, RAW_TEXT, "go", 0);
    SERVE_UNTIL(peer->raw.ctx, !nopoll_conn_is_ok(peer->raw.conn));
}

static void expect_answers(struct tls_peer* peer, enum how how) {
    size_t at = 0;
    assert_int_equal(taken.ended, 1);
    for (int i = 0; i < kAnswers; i++)
        EXPECT_FRAME(&at, RAW_BINARY, content + i, kAnswer);
    if (how == BY_CLOSE) EXPECT_FRAME(&at, RAW_CLOSE, kBye, sizeof kBye);
    assert_int_equal(at, taken.size);
    assert_true((SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
}

/* Corked answers are gathered. What the socket does not take of them before the connection ends is
 * encrypted and written afterwards: all of it arrives, then the end. */
static void gathered_answers_arrive(enum raw_side side) {
    for (enum how how = BY_SHUTDOWN; how <= BY_CLOSE; how++) {
        struct tls_peer peer;
        const long end = test_now_ms() + TEST_LIMIT_MS;
        gather_answers(&peer, side, &how);
        while (taken.ended == 0 && test_now_ms() < end)
            if (!take_some(&peer)) nopoll_loop_wait(peer.raw.ctx, 1);
        expect_answers(&peer, how);
        tls_close(&peer);
    }
}

/* A program gives the connection another socket while its last answers are still to be written:
 * they go on to their peer, and nothing goes to the other one in clear text. */
static void another_socket_gets_nothing(enum raw_side side) {
    struct tls_peer peer;
    enum how how = BY_SHUTDOWN;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    int ends[2];
    gather_answers(&peer, side, &how);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    nopoll_conn_set_socket(peer.raw.conn, ends[0]);
    assert_int_equal(nopoll_conn_send_text(peer.raw.conn, "secret", 6), -1);
    assert_false(test_readable(ends[1], 0));
    nopoll_conn_set_socket(peer.raw.conn, NOPOLL_INVALID_SOCKET);
    while (taken.ended == 0 && test_now_ms() < end)
        if (!take_some(&peer)) nopoll_loop_wait(peer.raw.ctx, 1);
    expect_answers(&peer, how);
    close(ends[0]);
    close(ends[1]);
    tls_close(&peer);
}

static void* read_to_the_end(void* data) {
    struct tls_peer* const peer = (struct tls_peer*)data;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    while (taken.ended == 0 && test_now_ms() < end)
        if (!take_some(peer)) test_readable(peer->raw.fd, 10);
    return NULL;
}

/* Where no loop runs any more the end of the context waits for the peer. */
static void gathered_answers_outlive_the_loop(enum raw_side side) {
    struct tls_peer peer;
    pthread_t reader;
    enum how how = BY_CLOSE;
    gather_answers(&peer, side, &how);
    assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, &peer), 0);
    nopoll_conn_unref(peer.raw.conn);
    if (peer.raw.listener != NULL) nopoll_conn_close(peer.raw.listener);
    nopoll_ctx_unref(peer.raw.ctx);
    assert_int_equal(pthread_join(reader, NULL), 0);
    expect_answers(&peer, how);
    tls_drop_peer(&peer);
}

/* Locks of the library that this thread holds, as the program's mutex functions see it. */
static __thread int locks_held;
static int objects_freed, freed_under_lock, mark_index;

static noPollPtr make_lock(void) {
    pthread_mutex_t* const mutex = (pthread_mutex_t*)malloc(sizeof *mutex);
    pthread_mutex_init(mutex, NULL);
    return mutex;
}

static void destroy_lock(noPollPtr mutex) {
    pthread_mutex_destroy((pthread_mutex_t*)mutex);
    free(mutex);
}

static void take_lock(noPollPtr mutex) {
    pthread_mutex_lock((pthread_mutex_t*)mutex);
    locks_held++;
}

static void leave_lock(noPollPtr mutex) {
    locks_held--;
    pthread_mutex_unlock((pthread_mutex_t*)mutex);
}

static void mark_freed(void* object, void* mark, CRYPTO_EX_DATA* data, int index, long argl,
                       void* argp) {
    (void)object, (void)data, (void)index, (void)argl, (void)argp;
    if (mark == NULL) return; /* a TLS object of the test */
    objects_freed++;
    if (locks_held > 0) freed_under_lock++;
}

static void mark_answer_and_end(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    assert_int_equal(SSL_set_ex_data(conn->ssl, mark_index, &mark_index), 1);
    answer_and_end(ctx, conn, msg, data);
}

/* The last owner of a TLS object is the private end of its connection: what the program has put on
 * the object is freed by a function of the program, which may call the library. */
static void private_ends_free_without_a_lock(enum raw_side side) {
    struct tls_peer peer;
    enum how how = BY_CLOSE;
    const long end = test_now_ms() + TEST_LIMIT_MS;
    objects_freed = freed_under_lock = 0;
    mark_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, mark_freed);
    nopoll_thread_handlers(make_lock, destroy_lock, take_lock, leave_lock);
    open_tight(&peer, side);
    fill_content();
    nopoll_ctx_set_cork(peer.raw.ctx, nopoll_true);
    nopoll_ctx_set_on_msg(peer.raw.ctx, mark_answer_and_end, &how);
    tls_send_frames(&peer, RAW_TEXT, "go", 0);
    SERVE_UNTIL(peer.raw.ctx, !nopoll_conn_is_ok(peer.raw.conn));
    nopoll_conn_unref(peer.raw.conn);
    assert_int_equal(objects_freed, 0);
    while (taken.ended == 0 && test_now_ms() < end)
        if (!take_some(&peer)) nopoll_loop_wait(peer.raw.ctx, 1);
    expect_answers(&peer, how);
    tls_drop_peer(&peer);
    SERVE_UNTIL(peer.raw.ctx, objects_freed == 1);
    assert_int_equal(freed_under_lock, 0);
    if (peer.raw.listener != NULL) nopoll_conn_close(peer.raw.listener);
    nopoll_ctx_unref(peer.raw.ctx);
    nopoll_thread_handlers(NULL, NULL, NULL, NULL);
}

/* --- the program finishes --- */

static void complete_adds_up(enum raw_side side) {
    struct tls_peer peer;
    size_t at = 0;
    int total, stuck = 0, whole;
    open_tight(&peer, side);
    whole = kSize + (int)header_size(&peer, kSize);
    total = start_stuck(&peer);
    for (;;) {
        const int before = nopoll_conn_pending_write_bytes(peer.raw.conn);
        int done;
        errno = 0;
        done = nopoll_conn_complete_pending_write(peer.raw.conn);
        if (done == 0) break;
        if (done == -1) {
            assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
            assert_true(nopoll_conn_pending_write_bytes(peer.raw.conn) > 0);
            stuck++;
            if (!take_some(&peer)) test_readable(peer.raw.fd, 10);
            continue;
        }
        total += done;
        if (before > kSize) /* the header went first */
            assert_true(nopoll_conn_pending_write_bytes(peer.raw.conn) <= before - done);
        else
            assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), before - done);
    }
    assert_true(stuck > 0);
    assert_int_equal(total, kSize);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), 0);
    POLL_UNTIL(peer.raw.fd, (take_some(&peer), taken.size >= (size_t)whole));
    assert_int_equal(taken.size, whole);
    EXPECT_FRAME(&at, RAW_BINARY, content, kSize);
    tls_close(&peer);
}

static void a_second_frame_is_not_taken(enum raw_side side) {
    struct tls_peer peer;
    size_t at = 0;
    int sent, pending, second;
    open_tight(&peer, side);
    start_stuck(&peer);
    pending = nopoll_conn_pending_write_bytes(peer.raw.conn);
    errno = 0;
    assert_int_equal(nopoll_conn_send_text(peer.raw.conn, "second", 6), -1);
    assert_int_equal(errno, NOPOLL_EWOULDBLOCK);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), pending);
    /* Sending again is enough to get the old one out; its bytes are reported by nobody. */
    do {
        if (!take_some(&peer)) test_readable(peer.raw.fd, 10);
        sent = nopoll_conn_send_text(peer.raw.conn, "second", 6);
    } while (sent == -1);
    assert_true(sent == 6 || sent == -2);
    second = sent == 6 ? 0 : nopoll_conn_flush_writes(peer.raw.conn, 1000000, 0);
    assert_int_equal((sent == 6 ? 6 : 0) + second, 6);
    POLL_UNTIL(peer.raw.fd, (take_some(&peer), taken.size == kSize + header_size(&peer, kSize) + 6 +
                                                                 header_size(&peer, 6)));
    EXPECT_FRAME(&at, RAW_BINARY, content, kSize);
    EXPECT_FRAME(&at, RAW_TEXT, "second", 6);
    tls_close(&peer);
}

static void* read_everything(void* data) {
    struct tls_peer* const peer = (struct tls_peer*)data;
    const size_t whole = kSize + header_size(peer, kSize);
    const long end = test_now_ms() + TEST_LIMIT_MS;
    while (taken.size < whole && !taken.ended && test_now_ms() < end)
        if (!take_some(peer)) test_readable(peer->raw.fd, 20);
    return NULL;
}

static void flush_waits_for_a_reading_peer(enum raw_side side) {
    struct tls_peer peer;
    pthread_t reader;
    size_t at = 0;
    int sent;
    open_tight(&peer, side);
    sent = start_stuck(&peer);
    /* Without time, or with a peer that does not read: what was reported is what comes back. */
    assert_int_equal(nopoll_conn_flush_writes(peer.raw.conn, 0, sent), sent);
    assert_int_equal(nopoll_conn_flush_writes(peer.raw.conn, 1, sent), sent);
    assert_int_equal(pthread_create(&reader, NULL, read_everything, &peer), 0);
    assert_int_equal(nopoll_conn_flush_writes(peer.raw.conn, 10000000, sent), kSize);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), 0);
    pthread_join(reader, NULL);
    EXPECT_FRAME(&at, RAW_BINARY, content, kSize);
    assert_int_equal(at, taken.size);
    tls_close(&peer);
}

/* --- the loop finishes --- */

static void loop_writes_and_keeps_the_account(enum raw_side side) {
    struct tls_peer peer;
    const long limit = test_now_ms() + TEST_LIMIT_MS;
    size_t at = 0, whole;
    int total;
    open_tight(&peer, side);
    whole = kSize + header_size(&peer, kSize);
    total = start_stuck(&peer);
    while (taken.size < whole && test_now_ms() < limit) {
        nopoll_loop_wait(peer.raw.ctx, 1);
        take_some(&peer);
        /* What the loop has written counts as pending until it is collected. */
        assert_true(nopoll_conn_pending_write_bytes(peer.raw.conn) >= kSize - total);
    }
    assert_int_equal(taken.size, whole);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), kSize - total);
    total += nopoll_conn_complete_pending_write(peer.raw.conn);
    assert_int_equal(total, kSize);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), 0);
    assert_int_equal(nopoll_conn_complete_pending_write(peer.raw.conn), 0);
    EXPECT_FRAME(&at, RAW_BINARY, content, kSize);
    tls_close(&peer);
}

/* --- pongs between the frames --- */

/* The peer pings with growing and shrinking payloads and reads now and then, the program sends. In
 * the end every frame is whole: texts in order, pongs to pings that were sent, in their order. */
static void pings_while_nothing_moves(enum raw_side side) {
    enum { kRounds = 300, kText = 700 };
    struct tls_peer peer;
    const long limit = test_now_ms() + TEST_LIMIT_MS;
    char ping[126], text[kText];
    size_t at = 0;
    int round, texts = 0, seen_texts = 0, last_ping = -1, last_sent = -1, flushed = 0;
    open_tight(&peer, side);
    for (round = 0; round < kRounds; round++) {
        unsigned char frame[160];
        const int length = 10 + (round * 37) % 110;
        memset(ping, 'p', sizeof ping);
        snprintf(ping, sizeof ping, "%05d", round);
        ping[5] = 'p';
        if (round % 3 != 0) {
            const size_t size = raw_frame(&peer.raw, frame, RAW_PING, ping, (size_t)length);
            if (SSL_write(peer.ssl, frame, (int)size) == (int)size) last_sent = round;
        }
        assert_null(nopoll_conn_get_msg(peer.raw.conn));
        assert_true(nopoll_conn_is_ok(peer.raw.conn));
        memset(text, 't', sizeof text);
        snprintf(text, sizeof text, "%05d", texts);
        text[5] = 't';
        if (nopoll_conn_send_text(peer.raw.conn, text, kText) != -1) texts++;
        if (round % 5 == 4) take_some(&peer);
    }
    /* The last answer may still be on its way in. */
    while (last_ping < last_sent && test_now_ms() < limit) {
        unsigned char* payload;
        size_t size;
        assert_null(nopoll_conn_get_msg(peer.raw.conn));
        if (nopoll_conn_pending_write_bytes(peer.raw.conn) > 0)
            (void)nopoll_conn_complete_pending_write(peer.raw.conn);
        else
            flushed++;
        if (take_some(&peer) || flushed < 2) continue;
        for (at = 0, seen_texts = 0, last_ping = -1; at < taken.size;) {
            const unsigned char* const start = taken.bytes + at;
            const size_t before = at;
            if (start[0] == RAW_TEXT) {
                snprintf(text, sizeof text, "%05d", seen_texts++);
                (void)next_frame(&at, &payload, &size);
                assert_int_equal(size, kText);
                assert_memory_equal(payload, text, 5);
                assert_int_equal(payload[kText - 1], 't');
            } else {
                int number = 0;
                assert_int_equal(next_frame(&at, &payload, &size), RAW_PONG);
                assert_int_equal(sscanf((const char*)payload, "%5d", &number), 1);
                assert_int_equal(size, 10 + (number * 37) % 110);
                assert_true(number > last_ping);
                last_ping = number;
            }
            /* Unmasked in place: remembered by clearing the key. */
            if (side == RAW_CLIENT)
                memset(taken.bytes + before + (size_t)(payload - start) - 4, 0, 4);
        }
    }
    assert_int_equal(last_ping, last_sent);
    assert_int_equal(seen_texts, texts);
    assert_true(texts > 5);
    tls_close(&peer);
}

/* --- the end --- */

/* Neither a Close frame nor a close_notify goes into a record that is half out. */
static void close_with_a_record_half_written(enum raw_side side) {
    struct tls_peer peer;
    long before;
    open_tight(&peer, side);
    start_stuck(&peer);
    before = test_now_ms();
    nopoll_conn_ref(peer.raw.conn);
    nopoll_conn_close_ext(peer.raw.conn, 1000, "bye", 3);
    assert_true(test_now_ms() - before < 1000);
    assert_int_equal(nopoll_conn_pending_write_bytes(peer.raw.conn), 0);
    POLL_UNTIL(peer.raw.fd, (take_some(&peer), taken.ended != 0));
    assert_int_equal(taken.ended, 1);
    assert_true(taken.size < kSize);
    tls_close(&peer);
}

RAW_BOTH_SIDES(gathered_answers_arrive)
RAW_BOTH_SIDES(another_socket_gets_nothing)
RAW_BOTH_SIDES(gathered_answers_outlive_the_loop)
RAW_BOTH_SIDES(private_ends_free_without_a_lock)
RAW_BOTH_SIDES(complete_adds_up)
RAW_BOTH_SIDES(a_second_frame_is_not_taken)
RAW_BOTH_SIDES(flush_waits_for_a_reading_peer)
RAW_BOTH_SIDES(loop_writes_and_keeps_the_account)
RAW_BOTH_SIDES(pings_while_nothing_moves)
RAW_BOTH_SIDES(close_with_a_record_half_written)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(gathered_answers_arrive),
        RAW_BOTH_TESTS(another_socket_gets_nothing),
        RAW_BOTH_TESTS(gathered_answers_outlive_the_loop),
        RAW_BOTH_TESTS(private_ends_free_without_a_lock),
        RAW_BOTH_TESTS(complete_adds_up),
        RAW_BOTH_TESTS(a_second_frame_is_not_taken),
        RAW_BOTH_TESTS(flush_waits_for_a_reading_peer),
        RAW_BOTH_TESTS(loop_writes_and_keeps_the_account),
        RAW_BOTH_TESTS(pings_while_nothing_moves),
        RAW_BOTH_TESTS(close_with_a_record_half_written),
    };
    return cmocka_run_group_tests(tests, tls_certificates, tls_certificates_gone);
}
