/* SPDX-License-Identifier: MIT */
/* Memory and string functions (spec: messages-logging-utils.md section 3), those without a
 * declaration included. */
#include <nopoll.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* exported, in no header */
int nopoll_vprintf_len(const char* format, va_list args);
nopoll_bool nopoll_is_white_space(char* chunk);
void __nopoll_pack_content(char* buffer, int start, int bytes);

static void memory(void** state) {
    (void)state;
    unsigned char* block = nopoll_calloc(4, 25);
    assert_non_null(block);
    for (int i = 0; i < 100; i++)
        assert_int_equal(block[i], 0);
    memset(block, 7, 100);
    block = nopoll_realloc(block, 5000);
    assert_non_null(block);
    for (int i = 0; i < 100; i++)
        assert_int_equal(block[i], 7);
    nopoll_free(block);
    nopoll_free(NULL);

    block = nopoll_realloc(NULL, 10);
    assert_non_null(block);
    free(block); /* nopoll_free and free are the same */
    block = malloc(10);
    nopoll_free(block);

    int* numbers = nopoll_new(int, 3);
    assert_int_equal(numbers[0] | numbers[1] | numbers[2], 0);
    nopoll_free(numbers);
}

static void sockets(void** state) {
    (void)state;
    assert_int_equal(nopoll_socket_is_valid(-1), 0);
    assert_int_equal(nopoll_socket_is_valid(-2), 0);
    assert_int_equal(nopoll_socket_is_valid(INT_MIN), 0);
    assert_int_equal(nopoll_socket_is_valid(0), 1);
    assert_int_equal(nopoll_socket_is_valid(70000), 1);
    assert_int_equal(nopoll_socket_is_valid(INT_MAX), 1);
}

static void duplicates(void** state) {
    (void)state;
    assert_null(nopoll_strdup(NULL));
    char* empty = nopoll_strdup("");
    assert_string_equal(empty, "");
    free(empty);
    const char text[] = "text";
    char* copy = nopoll_strdup(text);
    assert_string_equal(copy, "text");
    assert_ptr_not_equal(copy, text);
    nopoll_free(copy);
}

static char* print_list(const char* format, ...) {
    va_list args;
    va_start(args, format);
    char* text = nopoll_strdup_printfv(format, args);
    va_end(args);
    return text;
}

static void formatted_text(void** state) {
    (void)state;
    char* text = nopoll_strdup_printf("%s-%d-%5.2f-%c-%%-%x", "text", -12, 3.14159, 'z', 255);
    assert_string_equal(text, "text--12- 3.14-z-%-ff");
    nopoll_free(text);
    text = nopoll_strdup_printf("%s", "");
    assert_string_equal(text, "");
    nopoll_free(text);
    text = print_list("%d:%s:%ld", 7, "seven", 77L);
    assert_string_equal(text, "7:seven:77");
    nopoll_free(text);
    text = nopoll_strdup_printf("%s", (char*)NULL == NULL ? "plain" : "");
    assert_string_equal(text, "plain");
    nopoll_free(text);
    assert_null(nopoll_strdup_printf(NULL));
    assert_null(print_list(NULL));
}

static void formatted_text_of_any_length(void** state) {
    (void)state;
    enum { kSize = 300000 };
    char* big = malloc(kSize + 1);
    assert_non_null(big);
    memset(big, 'b', kSize);
    big[kSize] = '\0';
    char* text = nopoll_strdup_printf("<%s>", big);
    assert_int_equal(strlen(text), kSize + 2);
    assert_int_equal(text[kSize + 1], '>');
    nopoll_free(text);
    free(big);
}

static int length_and_text(char* out, size_t size, const char* format, ...) {
    va_list args;
    va_start(args, format);
    const int needed = nopoll_vprintf_len(format, args);
    if (format != NULL) /* the list is still whole */
        vsnprintf(out, size, format, args);
    va_end(args);
    return needed;
}

static void formatted_length(void** state) {
    (void)state;
    char out[64];
    assert_int_equal(length_and_text(out, sizeof out, "%s %d", "abc", 42), 7);
    assert_string_equal(out, "abc 42");
    assert_int_equal(length_and_text(out, sizeof out, "%s", ""), 1);
    assert_int_equal(length_and_text(out, sizeof out, NULL), 0);
}

static void comparison(void** state) {
    (void)state;
    static const char* const values[] = {NULL, "", "a", "ab", "abc", "ABC", "\xff\x80", "\xff"};
    const size_t count = sizeof values / sizeof *values;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            assert_int_equal(nopoll_cmp(values[i], values[j]), i == j);
    const char copy[] = {'a', 'b', '\0'};
    assert_int_equal(nopoll_cmp(copy, "ab"), 1);
}

static void bounded_comparison(void** state) {
    (void)state;
    static const struct {
        const char *a, *b;
        int n, result;
    } rows[] = {
        {"GET /", "GET ", 4, 1},
        {"GET /", "GET ", 5, 0},
        {"ab", "ab", 2, 1},
        {"ab", "ab", 3, 0}, /* both must have n bytes */
        {"ab", "ab", 1, 1},
        {"ab", "ac", 2, 0},
        {"ab", "AB", 2, 0},
        {"", "", 1, 0},
        {"", "", 0, 0},
        {"a", "a", 0, 0},
        {"a", "a", -1, 0},
        {"a", "a", INT_MIN, 0},
        {"a", "a", INT_MAX, 0},
        {NULL, NULL, 1, 1},
        {NULL, NULL, 0, 0},
        {NULL, NULL, -1, 0},
        {NULL, "a", 1, 0},
        {"a", NULL, 1, 0},
        {"\xff\x80", "\xff\x80", 2, 1},
        {"\xff\x80", "\xff\x81", 2, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(nopoll_ncmp(rows[i].a, rows[i].b, rows[i].n), rows[i].result);
}

/* Blocks of the exact size: AddressSanitizer sees a read behind the terminator or the n-th byte. */
static void bounded_comparison_stays_inside(void** state) {
    (void)state;
    char* shorter = nopoll_strdup("abc");
    char* longer = nopoll_strdup("abcdefghijklmnop");
    assert_int_equal(nopoll_ncmp(shorter, longer, 10), 0);
    assert_int_equal(nopoll_ncmp(longer, shorter, 10), 0);
    nopoll_free(shorter);
    nopoll_free(longer);
    char* open_ended = malloc(3); /* no terminator within the bytes compared */
    assert_non_null(open_ended);
    memcpy(open_ended, "abc", 3);
    assert_int_equal(nopoll_ncmp(open_ended, "abcd", 3), 1);
    assert_int_equal(nopoll_ncmp("abcd", open_ended, 3), 1);
    free(open_ended);
}

static void white_space(void** state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[2] = {(char)c, 'x'};
        assert_int_equal(nopoll_is_white_space(text),
                         c == ' ' || c == '\n' || c == '\t' || c == '\r');
    }
    assert_int_equal(nopoll_is_white_space(NULL), 0);
}

static void trimming(void** state) {
    (void)state;
    static const struct {
        const char *text, *result;
        int removed;
    } rows[] = {
        {"", "", 0},
        {"x", "x", 0},
        {" x", "x", 1},
        {"x ", "x", 1},
        {" \t\r\n a b \n", "a b", 7},
        {"   ", "", 3},
        {"\n", "", 1},
        {"\v x \f", "\v x \f", 0}, /* not white */
        {"a  b", "a  b", 0},
        {"\x85\xa0", "\x85\xa0", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char* text = nopoll_strdup(rows[i].text);
        int removed = -7;
        nopoll_trim(text, &removed);
        assert_string_equal(text, rows[i].result);
        assert_int_equal(removed, rows[i].removed);
        nopoll_free(text);
        text = nopoll_strdup(rows[i].text);
        nopoll_trim(text, NULL);
        assert_string_equal(text, rows[i].result);
        nopoll_free(text);
    }
    int untouched = -7;
    nopoll_trim(NULL, &untouched);
    assert_int_equal(untouched, -7);
    nopoll_trim(NULL, NULL);
}

static void packing(void** state) {
    (void)state;
    char buffer[] = "0123456789";
    __nopoll_pack_content(buffer, 3, 5); /* the ranges overlap */
    assert_string_equal(buffer, "3456756789");
    __nopoll_pack_content(buffer, 3, 0);
    __nopoll_pack_content(buffer, 3, -1);
    __nopoll_pack_content(buffer, -1, 3);
    __nopoll_pack_content(NULL, 0, 3);
    assert_string_equal(buffer, "3456756789");
    __nopoll_pack_content(buffer, 0, 10);
    assert_string_equal(buffer, "3456756789");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),
        cmocka_unit_test(sockets),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(formatted_text),
        cmocka_unit_test(formatted_text_of_any_length),
        cmocka_unit_test(formatted_length),
        cmocka_unit_test(comparison),
        cmocka_unit_test(bounded_comparison),
        cmocka_unit_test(bounded_comparison_stays_inside),
        cmocka_unit_test(white_space),
        cmocka_unit_test(trimming),
        cmocka_unit_test(packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
