/* SPDX-License-Identifier: MIT */
/* Many frames in one segment, each answered in its handler: the answers may share segments, but
 * when the wait is over all of them are out, whatever the last frame of the batch was (spec:
 * design.md 4; nopoll_ctx_set_cork in nopoll_ext.h). */
#include "raw_peer.h"

#include <pthread.h>

enum { kFrames = 16 };

struct plan {
    int silent_from; /* messages from this number on get no answer */
    int stop_at;
    int close_at;
    int messages;
};

static void answer(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct plan* plan = (struct plan*)data;
    const int number = plan->messages++;
    if (number < plan->silent_from)
        assert_int_equal(nopoll_conn_send_text(conn, (const char*)nopoll_msg_get_payload(msg),
                                               nopoll_msg_get_payload_size(msg)),
                         nopoll_msg_get_payload_size(msg));
    if (number == plan->stop_at) nopoll_loop_stop(ctx);
    if (number == plan->close_at) nopoll_conn_close_ext(conn, 1000, NULL, 0);
}

enum tail { NO_TAIL, PING_BEHIND, HALF_FRAME_BEHIND };

/* Sixteen numbered frames and the tail in one segment. */
static void send_batch(const struct raw_peer* peer, enum tail tail) {
    unsigned char bytes[1024];
    size_t size = 0;
    int i;
    for (i = 0; i < kFrames; i++) {
        char text[32];
        snprintf(text, sizeof text, "frame %02d", i);
        size += raw_frame(peer, bytes + size, RAW_TEXT, text, 8);
    }
    if (tail == PING_BEHIND) size += raw_frame(peer, bytes + size, RAW_PING, "p", 1);
    if (tail == HALF_FRAME_BEHIND) {
        raw_frame(peer, bytes + size, RAW_TEXT, "later", 5);
        size += 3;
    }
    test_send_all(peer->fd, bytes, size);
    raw_wait_arrived(peer, (int)size);
}

/* They are there now: nothing is waited for. */
static void expect_answers(const struct raw_peer* peer, int count) {
    const size_t size = (peer->side == RAW_CLIENT ? 14 : 10) * (size_t)count;
    static struct raw_reply reply;
    unsigned char bytes[1024];
    int i;
    if (count == 0) return;
    assert_int_equal(recv(peer->fd, bytes, size, MSG_DONTWAIT | MSG_PEEK), size);
    for (i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "frame %02d", i);
        assert_int_equal(raw_receive(peer->fd, &reply), RAW_TEXT);
        assert_string_equal((char*)reply.payload, text);
    }
}

static void check_batch(enum raw_side side, int cork, struct plan plan, enum tail tail,
                        int answers) {
    struct raw_peer peer;
    raw_open(&peer, side);
    nopoll_ctx_set_cork(peer.ctx, cork);
    nopoll_ctx_set_on_msg(peer.ctx, answer, &plan);
    if (plan.close_at < kFrames) nopoll_conn_ref(peer.conn); /* which the close takes */
    send_batch(&peer, tail);
    assert_int_equal(nopoll_loop_wait(peer.ctx, 1), plan.stop_at < kFrames ? 0 : -3);
    expect_answers(&peer, answers);
    if (tail == PING_BEHIND) RAW_EXPECT(&peer, RAW_PONG, "p", 1);
    if (plan.close_at < kFrames) {
        RAW_EXPECT_CLOSE(&peer, 1000);
        assert_int_equal(plan.messages, plan.close_at + 1);
    } else {
        /* A later frame is answered as if nothing had been. */
        unsigned char frame[16];
        const size_t size = raw_frame(&peer, frame, RAW_TEXT, "later", 5);
        const size_t sent = tail == HALF_FRAME_BEHIND ? 3 : 0;
        test_send_all(peer.fd, frame + sent, size - sent);
        plan.stop_at = plan.silent_from = kFrames + 1;
        SERVE_UNTIL(peer.ctx, plan.messages == kFrames + 1);
        if (answers == kFrames) RAW_EXPECT_TEXT(&peer, "later");
    }
    raw_close(&peer);
}

enum { kNever = kFrames + 1 };

static void batches(enum raw_side side) {
    int cork;
    for (cork = 0; cork < 2; cork++) {
        check_batch(side, cork, (struct plan){kNever, kNever, kNever, 0}, NO_TAIL, kFrames);
        check_batch(side, cork, (struct plan){kNever, kNever, kNever, 0}, PING_BEHIND, kFrames);
        check_batch(side, cork, (struct plan){kNever, kNever, kNever, 0}, HALF_FRAME_BEHIND,
                    kFrames);
        /* The last frames of the batch get no answer. */
        check_batch(side, cork, (struct plan){kFrames - 1, kNever, kNever, 0}, NO_TAIL,
                    kFrames - 1);
        check_batch(side, cork, (struct plan){1, kNever, kNever, 0}, NO_TAIL, 1);
        check_batch(side, cork, (struct plan){0, kNever, kNever, 0}, NO_TAIL, 0);
        /* The batch ends in the middle. */
        check_batch(side, cork, (struct plan){kNever, 7, kNever, 0}, NO_TAIL, 8);
        check_batch(side, cork, (struct plan){kNever, kNever, 7, 0}, NO_TAIL, 8);
    }
}

/* Pings alone: the pongs are out, too. */
static void batch_of_pings(enum raw_side side) {
    struct raw_peer peer;
    unsigned char bytes[256];
    size_t size = 0;
    int i;
    raw_open(&peer, side);
    for (i = 0; i < kFrames; i++)
        size += raw_frame(&peer, bytes + size, RAW_PING, "p", 1);
    test_send_all(peer.fd, bytes, size);
    raw_wait_arrived(&peer, (int)size);
    nopoll_loop_wait(peer.ctx, 1);
    for (i = 0; i < kFrames; i++)
        RAW_EXPECT(&peer, RAW_PONG, "p", 1);
    raw_close(&peer);
}

/* A handler that asks its peer something and reads the answer itself, with more input at hand. */
struct dialogue {
    struct raw_peer* peer;
    int asked;
    int answered;
};

static void ask(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct dialogue* dialogue = (struct dialogue*)data;
    char buffer[8];
    int there = 0;
    (void)ctx;
    (void)msg;
    if (dialogue->asked++ > 0) return;
    assert_int_equal(nopoll_conn_send_text(conn, "question", 8), 8);
    /* Whoever begins to read wants the question to be out. */
    assert_int_equal(nopoll_conn_read(conn, buffer, 8, nopoll_false, 0), 8);
    ioctl(dialogue->peer->fd, FIONREAD, &there);
    dialogue->answered = there > 0;
}

static void question_goes_out_when_its_sender_reads(enum raw_side side) {
    struct raw_peer peer;
    struct dialogue dialogue = {&peer, 0, 0};
    int cork;
    for (cork = 0; cork < 2; cork++) {
        raw_open(&peer, side);
        dialogue.asked = dialogue.answered = 0;
        nopoll_ctx_set_cork(peer.ctx, cork);
        nopoll_ctx_set_on_msg(peer.ctx, ask, &dialogue);
        send_batch(&peer, NO_TAIL);
        nopoll_loop_wait(peer.ctx, 1);
        assert_int_equal(dialogue.asked, kFrames - 1);
        assert_true(dialogue.answered);
        raw_close(&peer);
    }
}

/* One that waits on the descriptor itself, without a call in which the library could notice. */
static void ask_and_poll(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    struct dialogue* dialogue = (struct dialogue*)data;
    (void)ctx;
    (void)msg;
    if (dialogue->asked++ > 0) return;
    assert_int_equal(nopoll_conn_send_text(conn, "question", 8), 8);
    assert_true(nopoll_conn_socket(conn) >= 0);
    /* The kernel would give held back bytes up after 200 ms. */
    dialogue->answered = test_readable(dialogue->peer->fd, 100);
}

static void* tell(void* data) {
    return nopoll_conn_send_text((noPollConn*)data, "news", 4) == 4 ? data : NULL;
}

/* A handler that takes its time does not hold up what another thread sends meanwhile. */
static void let_another_thread_send(noPollCtx* ctx, noPollConn* conn, noPollMsg* msg,
                                    noPollPtr data) {
    struct dialogue* dialogue = (struct dialogue*)data;
    pthread_t thread;
    void* result = NULL;
    (void)ctx;
    (void)msg;
    if (dialogue->asked++ > 0) return;
    assert_int_equal(pthread_create(&thread, NULL, tell, conn), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
    dialogue->answered = test_readable(dialogue->peer->fd, 100);
}

static void check_dialogue(enum raw_side side, noPollOnMessageHandler handler, int cork) {
    struct raw_peer peer;
    struct dialogue dialogue = {&peer, 0, 0};
    raw_open(&peer, side);
    nopoll_ctx_set_cork(peer.ctx, cork);
    nopoll_ctx_set_on_msg(peer.ctx, handler, &dialogue);
    send_batch(&peer, NO_TAIL);
    nopoll_loop_wait(peer.ctx, 1);
    assert_int_equal(dialogue.asked, kFrames);
    assert_true(dialogue.answered);
    raw_close(&peer);
}

static void question_goes_out_when_its_sender_polls(enum raw_side side) {
    check_dialogue(side, ask_and_poll, 0);
    check_dialogue(side, ask_and_poll, 1);
}

static void other_threads_do_not_wait_for_the_batch(enum raw_side side) {
    check_dialogue(side, let_another_thread_send, 0);
}

RAW_BOTH_SIDES(batches)
RAW_BOTH_SIDES(batch_of_pings)
RAW_BOTH_SIDES(question_goes_out_when_its_sender_reads)
RAW_BOTH_SIDES(question_goes_out_when_its_sender_polls)
RAW_BOTH_SIDES(other_threads_do_not_wait_for_the_batch)

int main(void) {
    const struct CMUnitTest tests[] = {
        RAW_BOTH_TESTS(batches),
        RAW_BOTH_TESTS(batch_of_pings),
        RAW_BOTH_TESTS(question_goes_out_when_its_sender_reads),
        RAW_BOTH_TESTS(question_goes_out_when_its_sender_polls),
        RAW_BOTH_TESTS(other_threads_do_not_wait_for_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
