/* SPDX-License-Identifier: MIT */
/* Bits and big-endian integers (spec: messages-logging-utils.md section 6). */
#include <nopoll.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void single_bits(void** state) {
    (void)state;
    for (int value = 0; value < 256; value++) {
        for (int position = 0; position < 8; position++)
            assert_int_equal(nopoll_get_bit((char)value, position), value >> position & 1);
    }
    static const int outside[] = {-1, 8, 9, 31, 32, 63, 64, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_int_equal(nopoll_get_bit((char)0xff, outside[i]), 0);
}

static void setting_bits(void** state) {
    (void)state;
    for (int position = 0; position < 8; position++) {
        char bytes[2] = {0, 0};
        nopoll_set_bit(bytes, position);
        assert_int_equal((unsigned char)bytes[0], 1 << position);
        assert_int_equal(bytes[1], 0);
        nopoll_set_bit(bytes, position); /* once more changes nothing */
        assert_int_equal((unsigned char)bytes[0], 1 << position);
    }
    char byte = 0x11;
    nopoll_set_bit(&byte, 7);
    assert_int_equal((unsigned char)byte, 0x91);
    static const int outside[] = {-1, 8, 31, 32, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        nopoll_set_bit(&byte, outside[i]);
        assert_int_equal((unsigned char)byte, 0x91);
    }
    nopoll_set_bit(NULL, 3);
}

static void bytes_are_unsigned(void** state) {
    (void)state;
    for (int value = 0; value < 256; value++) {
        const char byte = (char)value;
        assert_int_equal(nopoll_get_8bit(&byte), value);
    }
    assert_int_equal(nopoll_get_16bit("\x00\x00"), 0);
    assert_int_equal(nopoll_get_16bit("\x12\x34"), 0x1234);
    assert_int_equal(nopoll_get_16bit("\x80\xff"), 0x80ff);
    assert_int_equal(nopoll_get_16bit("\xff\xff"), 65535);
    assert_int_equal(nopoll_get_32bit("\x12\x34\x56\x78"), 0x12345678);
    assert_int_equal(nopoll_get_32bit("\x80\x00\x00\x01"), INT_MIN + 1);
    assert_int_equal(nopoll_get_32bit("\xff\xff\xff\xff"), -1);
    assert_int_equal(nopoll_get_32bit("\x00\x00\x80\x80"), 0x8080);
    assert_int_equal(nopoll_get_8bit(NULL), 0);
    assert_int_equal(nopoll_get_16bit(NULL), 0);
    assert_int_equal(nopoll_get_32bit(NULL), 0);
}

static void integers_are_big_endian(void** state) {
    (void)state;
    static const int values[] = {0,     1,       125,          255, 256, 1000, 32768,   65535,
                                 65536, 1 << 24, INT_MAX - 77, -1,  -2,  -256, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        unsigned char out[6] = {9, 9, 9, 9, 9, 9};
        const unsigned bits = (unsigned)values[i];
        nopoll_set_16bit(values[i], (char*)out);
        assert_int_equal(out[0], bits >> 8 & 0xff);
        assert_int_equal(out[1], bits & 0xff);
        assert_int_equal(out[2], 9); /* exactly 2 bytes */
        assert_int_equal(nopoll_get_16bit((char*)out), (int)(bits & 0xffff));
        nopoll_set_32bit(values[i], (char*)out);
        assert_int_equal(out[0], bits >> 24);
        assert_int_equal(out[1], bits >> 16 & 0xff);
        assert_int_equal(out[2], bits >> 8 & 0xff);
        assert_int_equal(out[3], bits & 0xff);
        assert_int_equal(out[4], 9); /* exactly 4 bytes */
        assert_int_equal(nopoll_get_32bit((char*)out), values[i]);
    }
    nopoll_set_16bit(1, NULL);
    nopoll_set_32bit(1, NULL);
}

static void binary_digits(void** state) {
    (void)state;
    static const struct {
        int value;
        const char* digits;
    } rows[] = {
        {0, "00000000000000000000000000000000"},
        {1, "00000000000000000000000000000001"},
        {65536, "00000000000000010000000000000000"},
        {INT_MAX, "01111111111111111111111111111111"},
        {INT_MIN, "10000000000000000000000000000000"},
        {-1, "11111111111111111111111111111111"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int size = 32; size < 40; size++) {
            char buffer[41];
            memset(buffer, '.', sizeof buffer);
            char* const result = nopoll_int2bin(rows[i].value, buffer + 1, size);
            assert_true(result == buffer + size - 32);
            const char* const digits = buffer + 1 + size - 32;
            assert_memory_equal(digits, rows[i].digits, 32);
            assert_int_equal(digits[32], '.'); /* no terminator */
            assert_int_equal(digits[-1], '.');
        }
    }
}

static void binary_digits_without_room(void** state) {
    (void)state;
    char buffer[32];
    static const int sizes[] = {31, 8, 1, 0, -1, INT_MIN};
    memset(buffer, '.', sizeof buffer);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_ptr_equal(nopoll_int2bin(5, buffer, sizes[i]), buffer);
        for (size_t k = 0; k < sizeof buffer; k++)
            assert_int_equal(buffer[k], '.');
    }
    assert_null(nopoll_int2bin(5, NULL, 32));
    assert_null(nopoll_int2bin(5, NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_bits),        cmocka_unit_test(setting_bits),
        cmocka_unit_test(bytes_are_unsigned), cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(binary_digits),      cmocka_unit_test(binary_digits_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
