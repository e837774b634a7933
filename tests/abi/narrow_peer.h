/* SPDX-License-Identifier: MIT */
/* A raw peer behind small socket buffers, so that sends get stuck, and a sink that takes bytes off
 * the wire when the test says so and takes the frames apart at the end. */
#ifndef NARROW_PEER_H
#define NARROW_PEER_H

#include "raw_peer.h"

struct sink {
    unsigned char* bytes;
    size_t size;
    size_t capacity;
    size_t parsed;
};

/* As raw_open, over a narrow road; sends of accepted connections wait. */
TEST_UNUSED static void narrow_open_waiting(struct raw_peer* peer, enum raw_side side) {
    const int small = 1; /* the kernel makes it its minimum */
    raw_narrow_road = 1;
    raw_open(peer, side);
    raw_narrow_road = 0;
    setsockopt(nopoll_conn_socket(peer->conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

/* The library's end does not block: clients never do, accepted ones are told so here. */
TEST_UNUSED static void narrow_open(struct raw_peer* peer, enum raw_side side) {
    narrow_open_waiting(peer, side);
    nopoll_conn_set_sock_block(nopoll_conn_socket(peer->conn), nopoll_false);
}

/* A pair of local sockets instead of a network: what is full stays full until the peer reads. The
 * library's end does not block. */
TEST_UNUSED static void narrow_open_local(struct raw_peer* peer, enum raw_side side) {
    const int small = 1;
    char text[2048];
    int ends[2];
    memset(peer, 0, sizeof *peer);
    peer->ctx = nopoll_ctx_new();
    peer->side = side;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer->fd = ends[1];
    if (side == RAW_ACCEPTED) {
        peer->listener = nopoll_listener_new(peer->ctx, "127.0.0.1", "0");
        peer->conn = nopoll_conn_accept_socket(peer->ctx, peer->listener, ends[0]);
        assert_non_null(peer->conn);
        nopoll_conn_ref(peer->conn);
        test_send_all(peer->fd, TEST_REQUEST, strlen(TEST_REQUEST));
        raw_make_ready(peer);
        assert_true(test_receive_head(peer->fd, text, sizeof text) > 0);
    } else {
        peer->conn = nopoll_conn_new_with_socket(peer->ctx, NULL, ends[0], "localhost", "80", NULL,
                                                 NULL, NULL, NULL);
        assert_non_null(peer->conn);
        raw_reply_to(peer->ctx, peer->fd, text, sizeof text);
        test_send_all(peer->fd, text, strlen(text));
        raw_make_ready(peer);
    }
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    nopoll_conn_set_sock_block(ends[0], nopoll_false);
}

/* Takes at most `most` of the bytes that are there now; returns how many. */
TEST_UNUSED static size_t sink_take(struct sink* sink, int fd, size_t most) {
    size_t taken = 0;
    while (taken < most) {
        ssize_t n;
        size_t room = most - taken;
        if (sink->size == sink->capacity) {
            sink->capacity = sink->capacity * 2 + 65536;
            sink->bytes = (unsigned char*)realloc(sink->bytes, sink->capacity);
            assert_non_null(sink->bytes);
        }
        if (room > sink->capacity - sink->size) room = sink->capacity - sink->size;
        n = recv(fd, sink->bytes + sink->size, room, MSG_DONTWAIT);
        if (n <= 0) break;
        sink->size += (size_t)n;
        taken += (size_t)n;
    }
    return taken;
}

/* The next frame of what was taken, unmasked in place; -1 when it is not complete. */
TEST_UNUSED static int sink_frame(struct sink* sink, int masked, unsigned char** payload,
                                  size_t* size) {
    const size_t there = sink->size - sink->parsed;
    unsigned char* at = sink->bytes + sink->parsed;
    uint64_t length;
    size_t head = 2, i;
    if (there < 2) return -1;
    length = at[1] & 0x7f;
    assert_int_equal((at[1] & 0x80) != 0, masked);
    if (length == 126) head = 4;
    if (length == 127) head = 10;
    if (there < head) return -1;
    if (head > 2)
        for (length = 0, i = 2; i < head; i++)
            length = length << 8 | at[i];
    if (masked) head += 4;
    if (there < head || there - head < length) return -1;
    for (i = 0; masked && i < length; i++)
        at[head + i] = (unsigned char)(at[head + i] ^ at[head - 4 + i % 4]);
    *payload = at + head;
    *size = (size_t)length;
    sink->parsed += head + (size_t)length;
    return at[0];
}

#define SINK_EXPECT(sink, peer, first, content, length)                                            \
    do {                                                                                           \
        unsigned char* sink_payload = NULL;                                                        \
        size_t sink_size = 0;                                                                      \
        assert_int_equal(                                                                          \
            sink_frame((sink), (peer)->side == RAW_CLIENT, &sink_payload, &sink_size), (first));   \
        assert_int_equal(sink_size, (length));                                                     \
        assert_memory_equal(sink_payload, (content), (size_t)(length));                            \
    } while (0)

/* Nothing but complete frames was there. */
#define SINK_EXPECT_ALL(sink) assert_int_equal((sink)->parsed, (sink)->size)

TEST_UNUSED static void sink_free(struct sink* sink) {
    free(sink->bytes);
    memset(sink, 0, sizeof *sink);
}

/* Bytes of the header of a frame that the library's end sends. */
TEST_UNUSED static int header_size(const struct raw_peer* peer, long payload) {
    return (payload < 126 ? 2 : payload < 65536 ? 4 : 10) + (peer->side == RAW_CLIENT ? 4 : 0);
}

/* Fills the way to a local peer with bytes of no meaning, written past the library, until the
 * socket takes nothing more. The sink will pass them by. */
TEST_UNUSED static void fill_up(const struct raw_peer* peer, struct sink* sink) {
    static const unsigned char zeros[1024];
    const int fd = nopoll_conn_socket(peer->conn);
    ssize_t n;
    while ((n = send(fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
        sink->parsed += (size_t)n;
    assert_int_equal(send(fd, zeros, 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
}

#endif
