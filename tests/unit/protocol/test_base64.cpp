// SPDX-License-Identifier: MIT
// Base64: RFC 4648 vectors, everything malformed, and the forms the C functions are made of.
#include "protocol/base64.hpp"

#include <algorithm>
#include <array>

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

void rfc_vectors(void**) {
    constexpr std::array<std::array<const char*, 2>, 7> vectors{{
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    }};
    for (const auto& [plain, text] : vectors) {
        CHECK_EQUAL(base64_encode(bytes_of(plain)), text);
        CHECK_EQUAL(text_of(base64_decode(text).value()), plain);
    }
    const Bytes bytes = bytes_of({0x00, 0x10, 0x83, 0xFB, 0xF0, 0xFF, 0xFF, 0xFE, 0x80});
    CHECK_EQUAL(base64_encode(bytes), "ABCD+/D///6A");
    CHECK(base64_decode("ABCD+/D///6A") == bytes);
}

void round_trip(void**) {
    Sequence sequence(31);
    for (std::size_t size = 0; size < 300; ++size) {
        const Bytes bytes = sequence.bytes(size);
        const std::string text = base64_encode(bytes);
        CHECK_ROW_EQUAL(size, text.size(), (size + 2) / 3 * 4);
        CHECK_ROW(size, base64_decode(text) == bytes);
        CHECK_ROW(size, base64_decoded_size(text) == size);
        std::string lines(base64_lines_size(size), '?');
        CHECK_ROW(size, base64_encode_lines(bytes, std::span(lines)));
        CHECK_ROW_EQUAL(size, lines.find('\0'), lines.size() - 1);
        lines.pop_back();
        CHECK_ROW(size, base64_decode(lines) == bytes);
        std::erase(lines, '\n');
        CHECK_ROW_EQUAL(size, lines, text);
    }
}

struct Row {
    const char* label;
    std::string text;
    std::optional<std::string> plain;
};

void decode_table(void**) {
    const std::string long_text(2000, 'A');
    std::string bad_late = long_text;
    bad_late[1900] = '*';
    const Row rows[] = {
        {"one line", "VGhpcyBpcw==", "This is"},
        {"line feed at the end", "Zm9v\n", "foo"},
        {"white space anywhere", " \r\nZ\tm 9\nv\r\n ", "foo"},
        {"white space in the padding", "Zg= =\n", "f"},
        {"bits under the padding", "AB==", std::string("\0", 1)},
        {"bits under the padding, two bytes", "AAD=", std::string("\0\0", 2)},
        {"only white space", " \n", ""},
        {"no padding", "VGhpcw", {}},
        {"half a padding", "VGhpcw=", {}},
        {"one character over", "VGhpc", {}},
        {"one character", "A", {}},
        {"padding alone", "====", {}},
        {"padding alone, two", "==", {}},
        {"three of padding", "A===", {}},
        {"padding inside", "AB=C", {}},
        {"padding before a group", "Zg==Zm9v", {}},
        {"data behind padding", "Zg==A", {}},
        {"padding too early", "A=BC", {}},
        {"padding of a full group", "Zm9v=", {}},
        {"outside the alphabet", "Zm9*", {}},
        {"outside after 1024", bad_late, {}},
        {"url-safe minus", "ab-_", {}},
        {"zero byte", std::string("Zm9\0", 4), {}},
        {"high byte", "Zm9\xff", {}},
        {"vertical tab is no white space", "Zm9v\v", {}},
    };
    for (const Row& row : rows) {
        const auto got = base64_decode(row.text);
        CHECK_ROW_EQUAL(row.label, got.has_value(), row.plain.has_value());
        const auto size = base64_decoded_size(row.text);
        CHECK_ROW_EQUAL(row.label, size.has_value(), row.plain.has_value());
        if (row.plain) {
            CHECK_ROW_EQUAL(row.label, text_of(*got), *row.plain);
            CHECK_ROW_EQUAL(row.label, *size, row.plain->size());
        }
        std::array<char, 2048> out{};
        out.fill('?');
        const auto count = base64_decode_into(row.text, out);
        if (row.plain && !row.plain->empty()) {
            CHECK_ROW_EQUAL(row.label, count.value(), row.plain->size());
            CHECK_ROW_EQUAL(row.label, std::string_view(out.data(), *count), *row.plain);
            CHECK_ROW(row.label, out[*count] == '\0' && out[*count + 1] == '?');
        } else {
            CHECK_ROW(row.label, !count && out[0] == '\0' && out[1] == '?');
        }
    }
    CHECK_EQUAL(base64_decode(long_text).value().size(), 1500U);
}

void all_characters(void**) {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int value = 0; value < 256; ++value) {
        const char c = static_cast<char>(value);
        const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        const bool in_alphabet = c != '\0' && alphabet.find(c) != std::string_view::npos;
        const std::string four = std::string("AAA") + c;
        CHECK_ROW_EQUAL(value, base64_decode(four).has_value(), in_alphabet || c == '=');
        CHECK_ROW_EQUAL(value, base64_decode(four + "A").has_value(), space);
        if (in_alphabet) {
            const auto low = std::to_integer<std::size_t>(base64_decode(four).value()[2]);
            CHECK_ROW_EQUAL(value, low, alphabet.find(c));
        }
    }
}

// Line feeds after 64 characters except after the last group; the size counts the 0.
void lines(void**) {
    constexpr std::array<std::array<std::size_t, 2>, 10> sizes{{
        {0, 1},
        {1, 5},
        {3, 5},
        {11, 17},
        {47, 65},
        {48, 65},
        {49, 70},
        {96, 130},
        {97, 135},
        {144, 195},
    }};
    for (const auto& [bytes, needed] : sizes)
        CHECK_ROW_EQUAL(bytes, base64_lines_size(bytes), needed);
    CHECK_EQUAL(base64_lines_size(SIZE_MAX), SIZE_MAX);
    CHECK_EQUAL(base64_lines_size(SIZE_MAX / 4 * 3), SIZE_MAX);

    const auto encoded = [](std::size_t size) {
        std::string out(base64_lines_size(size), '?');
        CHECK(base64_encode_lines(Bytes(size), std::span(out)));
        return out;
    };
    const std::string line(64, 'A');
    CHECK_EQUAL(encoded(48), line + std::string(1, '\0'));
    CHECK_EQUAL(encoded(49), line + "\nAA==" + std::string(1, '\0'));
    CHECK_EQUAL(encoded(96), line + "\n" + line + std::string(1, '\0'));

    std::string small(4, '?');
    CHECK(!base64_encode_lines(bytes_of("f"), std::span(small)));
    CHECK_EQUAL(small, "????");
    std::string larger(8, '?');
    CHECK(base64_encode_lines(bytes_of("f"), std::span(larger)));
    CHECK_EQUAL(larger, std::string("Zg==\0???", 8));
}

void decode_capacity(void**) {
    for (std::size_t capacity = 0; capacity <= 10; ++capacity) {
        std::string out(12, '?');
        const auto count = base64_decode_into("Zm9vYmFy", std::span(out).first(capacity));
        if (capacity < 2) {
            CHECK_ROW(capacity, !count);
            CHECK_ROW(capacity, out[0] == (capacity == 0 ? '?' : '\0'));
        } else {
            const std::size_t expected = std::min<std::size_t>(6, capacity - 1);
            CHECK_ROW_EQUAL(capacity, count.value(), expected);
            CHECK_ROW_EQUAL(capacity, out.substr(0, expected + 2),
                            std::string("foobar").substr(0, expected) + std::string("\0?", 2));
        }
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(rfc_vectors),  cmocka_unit_test(round_trip),
        cmocka_unit_test(decode_table), cmocka_unit_test(all_characters),
        cmocka_unit_test(lines),        cmocka_unit_test(decode_capacity),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
