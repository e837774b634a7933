/* SPDX-License-Identifier: MIT */
/* Strings beyond 2 GiB (spec: messages-logging-utils.md section 3). They take address space only:
 * one block of memory is mapped over and over again. Skipped where that is not to be had. */
#include <nopoll.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#define BLOCK ((size_t)16 << 20)

/* `blocks` times the same BLOCK of `fill`, then a page of its own that begins with `tail`. */
struct large {
    char* text;
    size_t size;
};

static int make_large(struct large* large, size_t blocks, char fill, const char* tail) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const int fd = memfd_create("nopoll-large", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)BLOCK) != 0) return 0;
    large->size = blocks * BLOCK + page;
    large->text = mmap(NULL, large->size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (large->text == MAP_FAILED) {
        close(fd);
        return 0;
    }
    for (size_t i = 0; i < blocks; i++) {
        if (mmap(large->text + i * BLOCK, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 0) == MAP_FAILED) {
            close(fd);
            munmap(large->text, large->size);
            return 0;
        }
    }
    close(fd);
    memset(large->text, fill, BLOCK);
    strcpy(large->text + blocks * BLOCK, tail);
    return 1;
}

/* Just above 2 GiB. */
static const size_t kBlocks = ((size_t)INT_MAX + 1) / ((size_t)16 << 20) + 1;

static void differences_beyond_2_gib_are_seen(void** state) {
    (void)state;
    struct large a, b;
    if (sizeof(long) < 8 || !make_large(&a, kBlocks, 'x', "end")) skip();
    if (!make_large(&b, kBlocks, 'x', "End")) {
        munmap(a.text, a.size);
        skip();
    }
    assert_int_equal(nopoll_cmp(a.text, b.text), 0);
    assert_int_equal(nopoll_cmp(a.text, a.text), 1);
    assert_int_equal(nopoll_ncmp(a.text, b.text, INT_MAX), 1);
    munmap(a.text, a.size);
    munmap(b.text, b.size);
}

static void trim_counter_saturates(void** state) {
    (void)state;
    struct large blank;
    if (sizeof(long) < 8 || !make_large(&blank, kBlocks, ' ', "")) skip();
    int removed = 0;
    nopoll_trim(blank.text, &removed);
    assert_int_equal(removed, INT_MAX);
    assert_string_equal(blank.text, "");
    munmap(blank.text, blank.size);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_beyond_2_gib_are_seen),
        cmocka_unit_test(trim_counter_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
