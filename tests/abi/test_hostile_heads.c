/* SPDX-License-Identifier: MIT */
/* Hostile peers beside a well-behaved one on the same loop (spec: handshake.md sections 2 and 4):
 * each gets its answer, leaves exactly one record with its id and the reason in the log, and the
 * well-behaved one never notices. */
#include "server_request.h"

#define LINE_100 LINE_50 LINE_50
#define LINE_45 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LINE_50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

struct hostile_row {
    const char* name;
    const char* bytes;
    size_t size;
    int repeat; /* the last REPEATED of the bytes go out this often, the others once */
    const char* reply;
    const char* reason; /* part of the record */
};

#define REPEATED 100
#define BYTES(text) text, sizeof(text) - 1

static const struct hostile_row rows[] = {
    {"TLS", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 1, NO_REPLY, "not HTTP"},
    {"binary", BYTES("\xff\xfe\xfd\xfc"), 1, NO_REPLY, "not HTTP"},
    {"a megabyte of binary", BYTES("\x80" LINE_100), 10000, NO_REPLY, "not HTTP"},
    {"zero bytes", BYTES("\0\0\0\0\0\0\0\0"), 1, NO_REPLY, "not HTTP"},
    {"POST", BYTES("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"), 1, REPLY_400, "GET"},
    {"a proxy request", BYTES("CONNECT a.test:443 HTTP/1.1\r\n\r\n"), 1, REPLY_400, "GET"},
    {"absolute target", BYTES("GET http://a.test/ HTTP/1.1\r\n\r\n"), 1, REPLY_400, "target"},
    {"escape sequence in the target", BYTES("GET /\x1b[2J HTTP/1.1\r\n\r\n"), 1, REPLY_400,
     "target"},
    {"old HTTP", BYTES("GET / HTTP/1.0\r\n\r\n"), 1, REPLY_505, "HTTP version"},
    {"no version", BYTES("GET /aaaaaaaaaaaaaaaa\r\n\r\n"), 1, REPLY_400, "HTTP version"},
    {"a browser", BYTES(GET HOST "Accept: text/html\r\n\r\n"), 1, REPLY_400, "Upgrade"},
    {"no Host", BYTES(GET UPGRADE CONNECTION KEY VERSION ORIGIN END), 1, REPLY_400, "Host"},
    {"no Connection", BYTES(GET HOST UPGRADE KEY VERSION ORIGIN END), 1, REPLY_400, "Connection"},
    {"no key", BYTES(GET HOST UPGRADE CONNECTION VERSION ORIGIN END), 1, REPLY_400, "Key"},
    {"bad key", BYTES(GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key: x\r\n" VERSION ORIGIN END), 1,
     REPLY_400, "Key"},
    {"old version", BYTES(GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END), 1,
     REPLY_426, "version"},
    {"no Origin", BYTES(GET HOST UPGRADE CONNECTION KEY VERSION END), 1, REPLY_403, "Origin"},
    {"Host twice", BYTES(GET HOST HOST), 1, REPLY_400, "twice"},
    {"folded line", BYTES(GET HOST "\tX: y\r\n"), 1, REPLY_400, "no header"},
    {"line without colon", BYTES(GET "Host\r\n"), 1, REPLY_400, "no header"},
    {"zero byte in a value", BYTES(GET "X: a\0b\r\n"), 1, REPLY_400, "no header"},
    {"endless first line", BYTES("GET /" LINE_100), 100, REPLY_431, "too long"},
    {"endless header", BYTES(GET "X: " LINE_100), 90, REPLY_431, "too long"},
    {"ten thousand lines", BYTES(GET "A: b\r\nX: " LINE_45 "\r\nX: " LINE_45 "\r\n"), 10000,
     REPLY_431, "too long"},
    {"bad request, then much more", BYTES("GET / HTTP/1.0\r\n\r\n" LINE_100 LINE_100), 100,
     REPLY_505, "HTTP version"},
};

#define ROWS (sizeof rows / sizeof *rows)

/* Records above DEBUG, with their texts one after the other. */
typedef struct {
    int count;
    char text[8192];
} records;

static void keep_record(noPollCtx* ctx, noPollDebugLevel level, const char* text, noPollPtr data) {
    records* const seen = data;
    const size_t used = strlen(seen->text);
    (void)ctx;
    if (level == NOPOLL_LEVEL_DEBUG) return;
    seen->count++;
    snprintf(seen->text + used, sizeof seen->text - used, "%s\n", text);
}

typedef struct {
    noPollCtx* ctx;
    noPollConn* listener;
    records seen;
    int good; /* the well-behaved client */
} scene;

static void echo(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    (void)ctx;
    (void)data;
    nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                          (long)nopoll_msg_get_payload_size(msg));
}

static void begin(scene* now) {
    memset(now, 0, sizeof *now);
    now->ctx = nopoll_ctx_new();
    nopoll_log_set_handler(now->ctx, keep_record, &now->seen);
    nopoll_ctx_set_on_msg(now->ctx, echo, NULL);
    now->listener = nopoll_listener_new(now->ctx, "127.0.0.1", "0");
    now->good = test_raw_client(now->ctx, now->listener);
}

static void end(scene* now) {
    peer_close_accepted(now->ctx);
    nopoll_conn_close(now->listener);
    assert_int_equal(nopoll_ctx_ref_count(now->ctx), 1);
    nopoll_ctx_unref(now->ctx);
    close(now->good);
}

static void send_good(const scene* now) {
    unsigned char frame[32];
    test_send_all(now->good, frame, test_frame(frame, 0x81, 1, "hello", 5));
}

/* The well-behaved client is served within a few passes, whatever else is going on: in one, unless
 * the machine delivers late. */
static void check_good(const scene* now) {
    char back[16];
    send_good(now);
    for (int pass = 0; pass < 5 && (pass == 0 || !test_readable(now->good, 0)); pass++)
        nopoll_loop_wait(now->ctx, 1);
    assert_int_equal(test_receive(now->good, back, 7), 7);
    assert_memory_equal(back, "\x81\x05hello", 7);
}

/* Writes what fits. */
static void write_some(int fd, const struct hostile_row* row, size_t* sent) {
    const size_t total = row->size + REPEATED * (size_t)(row->repeat - 1);
    for (int i = 0; i < 64 && *sent < total; i++) {
        size_t from = *sent;
        if (from >= row->size) from = row->size - REPEATED + (from - row->size) % REPEATED;
        const ssize_t n =
            send(fd, row->bytes + from, row->size - from, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) break;
        *sent += (size_t)n;
    }
}

static void check_row(const struct hostile_row* row) {
    scene now;
    peer_stream answer;
    char id[32];
    size_t sent = 0;
    begin(&now);
    memset(&answer, 0, sizeof answer);
    const int fd = test_connect(test_port_of(nopoll_conn_socket(now.listener)));
    const long stop = test_now_ms() + TEST_LIMIT_MS;
    while (!answer.ended && test_now_ms() < stop) {
        write_some(fd, row, &sent);
        check_good(&now);
        peer_take(fd, &answer);
    }
    ROW_CHECK(row->name, answer.ended);
    if (strcmp(answer.bytes, row->reply) != 0) print_error("%s\n", answer.bytes);
    ROW_CHECK(row->name, strcmp(answer.bytes, row->reply) == 0);
    check_good(&now);
    if (now.seen.count != 1) print_error("%s", now.seen.text);
    ROW_CHECK(row->name, now.seen.count == 1);
    snprintf(id, sizeof id, "connection %d: ", 4); /* 2 is the listener, 3 the good one */
    ROW_CHECK(row->name, strstr(now.seen.text, id) != NULL);
    if (strstr(now.seen.text, row->reason) == NULL) print_error("%s", now.seen.text);
    ROW_CHECK(row->name, strstr(now.seen.text, row->reason) != NULL);
    for (const char* at = now.seen.text; *at != 0; at++)
        ROW_CHECK(row->name, *at == '\n' || (*at >= ' ' && *at <= '~'));
    close(fd);
    end(&now);
}

static void each_kind_beside_a_good_one(void** state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_row(&rows[i]);
}

static void all_kinds_at_once(void** state) {
    (void)state;
    enum { kRounds = 3 };
    scene now;
    int fds[ROWS * kRounds];
    size_t sent[ROWS * kRounds] = {0};
    static peer_stream answers[ROWS * kRounds];
    size_t ended = 0;
    begin(&now);
    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < ROWS * kRounds; i++)
        fds[i] = test_connect(test_port_of(nopoll_conn_socket(now.listener)));
    const long stop = test_now_ms() + 2 * TEST_LIMIT_MS;
    while (ended < ROWS * kRounds && test_now_ms() < stop) {
        ended = 0;
        for (size_t i = 0; i < ROWS * kRounds; i++) {
            if (!answers[i].ended) {
                write_some(fds[i], &rows[i % ROWS], &sent[i]);
                peer_take(fds[i], &answers[i]);
            }
            ended += (size_t)answers[i].ended;
        }
        check_good(&now);
    }
    for (size_t i = 0; i < ROWS * kRounds; i++) {
        ROW_CHECK(rows[i % ROWS].name, strcmp(answers[i].bytes, rows[i % ROWS].reply) == 0);
        close(fds[i]);
    }
    assert_int_equal(now.seen.count, ROWS * kRounds);
    nopoll_loop_wait(now.ctx, 1);
    assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
    end(&now);
}

/* Peers that say nothing, stop half-way, dribble, or reset: until their time is over. */
static void silent_and_slow_peers_beside_a_good_one(void** state) {
    (void)state;
    enum { kPeers = 40 };
    scene now;
    int fds[kPeers];
    size_t sent[kPeers] = {0};
    const struct linger hard = {1, 0};
    begin(&now);
    nopoll_ctx_set_handshake_timeout(now.ctx, 400000);
    for (int i = 0; i < kPeers; i++)
        fds[i] = test_connect(test_port_of(nopoll_conn_socket(now.listener)));
    const long stop = test_now_ms() + TEST_LIMIT_MS;
    int passes = 0;
    do {
        for (int i = 0; i < kPeers; i++) {
            const size_t limit = i % 4 == 0 ? 0 : i % 4 == 1 ? 9 : 30;
            if (i % 4 == 3 && passes == 3) {
                setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
                close(fds[i]);
                fds[i] = -1;
            }
            if (fds[i] >= 0 && sent[i] < limit &&
                send(fds[i], &TEST_REQUEST[sent[i]], 1, MSG_NOSIGNAL) == 1)
                sent[i]++;
        }
        check_good(&now);
        passes++;
    } while (nopoll_ctx_conns(now.ctx) > 2 && test_now_ms() < stop);
    assert_int_equal(nopoll_ctx_conns(now.ctx), 2);
    assert_true(passes > 3);
    /* One record each for those whose time was over; the others have left by themselves. */
    assert_int_equal(now.seen.count, kPeers * 3 / 4);
    for (int i = 0; i < kPeers; i++)
        if (fds[i] >= 0) close(fds[i]);
    check_good(&now);
    end(&now);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_beside_a_good_one),
        cmocka_unit_test(all_kinds_at_once),
        cmocka_unit_test(silent_and_slow_peers_beside_a_good_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
