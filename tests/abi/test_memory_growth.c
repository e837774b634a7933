/* SPDX-License-Identifier: MIT */
/* Memory follows the bytes that arrive, not the length that a header announces (spec: frames.md
 * 1.1): many peers at once announce the largest frame and then send little. */
#include "raw_peer.h"

#include <malloc.h>

enum { kPeers = 200 };

static void memory_now(long* total_kib, long* resident_kib) {
    FILE* file = fopen("/proc/self/statm", "r");
    const long page = sysconf(_SC_PAGESIZE) / 1024;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", total_kib, resident_kib), 2);
    fclose(file);
    *total_kib *= page;
    *resident_kib *= page;
}

/* 200 peers announce 16 MiB each, 3.2 GiB in all, and send a few bytes, then 64 KiB. */
static void memory_follows_bytes(int in_loop) {
    static struct raw_peer peers[kPeers];
    static unsigned char bytes[65536];
    struct raw_peer first;
    long total[3], resident[3];
    int round, i;
    raw_open(&first, RAW_ACCEPTED);
    for (i = 0; i < kPeers; i++) {
        peers[i] = first;
        raw_join(&peers[i], RAW_ACCEPTED);
    }
    malloc_trim(0); /* what tests before left behind must not hide anything */
    memory_now(&total[0], &resident[0]);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < kPeers; i++) {
            int left = 1;
            if (round == 0) {
                unsigned char head[14];
                test_send_all(
                    peers[i].fd, head,
                    raw_long_header(&peers[i], head, RAW_BINARY, NOPOLL_MAX_FRAME_SIZE_DEFAULT));
            }
            test_send_all(peers[i].fd, bytes, round == 0 ? 10 : sizeof bytes);
            raw_wait_arrived(&peers[i], round == 0 ? 24 : 30000);
            while (left > 0) {
                if (in_loop)
                    nopoll_loop_wait(first.ctx, 1);
                else
                    EXPECT_NOTHING(peers[i].conn);
                assert_int_equal(ioctl(nopoll_conn_socket(peers[i].conn), FIONREAD, &left), 0);
            }
        }
        memory_now(&total[round + 1], &resident[round + 1]);
    }
    print_message("KiB more: %ld after headers (%ld resident), %ld after 64 KiB each (%ld)\n",
                  total[1] - total[0], resident[1] - resident[0], total[2] - total[0],
                  resident[2] - resident[0]);
    assert_true(total[1] - total[0] < 100 * 1024);
    assert_true(resident[1] - resident[0] < 20 * 1024);
    assert_true(total[2] - total[0] < 300 * 1024);
    assert_true(resident[2] - resident[0] < 100 * 1024);
    for (i = 0; i < kPeers; i++)
        raw_leave(&peers[i]);
    raw_close(&first);
}

static void memory_follows_bytes_by_get_msg(void** state) {
    (void)state;
    memory_follows_bytes(0);
}

static void memory_follows_bytes_in_the_loop(void** state) {
    (void)state;
    memory_follows_bytes(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_follows_bytes_by_get_msg),
        cmocka_unit_test(memory_follows_bytes_in_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
