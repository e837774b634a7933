// SPDX-License-Identifier: MIT
// UTF-8 validation: every class of good and bad sequence at every split, and the fast path against
// the definition (RFC 3629, RFC 6455 8.1).
#include "protocol/utf8.hpp"

#include <algorithm>
#include <array>

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

struct Row {
    const char* label;
    std::string_view text;
    bool valid;
    // Where the first bad byte is; the size of the text when it only ends too early.
    std::size_t bad_at;
};

constexpr Row kRows[] = {
    {"empty", "", true, 0},
    {"ascii", "hello", true, 0},
    {"zero byte", {"a\0b", 3}, true, 0},
    {"smallest of two", "\xc2\x80", true, 0},
    {"largest of two", "\xdf\xbf", true, 0},
    {"smallest of three", "\xe0\xa0\x80", true, 0},
    {"before surrogates", "\xed\x9f\xbf", true, 0},
    {"behind surrogates", "\xee\x80\x80", true, 0},
    {"largest of three", "\xef\xbf\xbf", true, 0},
    {"byte order mark", "\xef\xbb\xbf", true, 0},
    {"non-character U+FFFE", "\xef\xbf\xbe", true, 0},
    {"smallest of four", "\xf0\x90\x80\x80", true, 0},
    {"U+FFFFF", "\xf3\xbf\xbf\xbf", true, 0},
    {"U+10FFFF", "\xf4\x8f\xbf\xbf", true, 0},
    {"greek", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true, 0},
    {"lone continuation 80", "\x80", false, 0},
    {"lone continuation bf", "\xbf", false, 0},
    {"continuation behind ascii", "ab\x80", false, 2},
    {"one continuation too many", "\xc2\x80\x80", false, 2},
    {"overlong two c0", "\xc0\xaf", false, 0},
    {"overlong two c1", "\xc1\xbf", false, 0},
    {"overlong three", "\xe0\x80\xaf", false, 1},
    {"overlong three, largest", "\xe0\x9f\xbf", false, 1},
    {"overlong four", "\xf0\x80\x80\xaf", false, 1},
    {"overlong four, largest", "\xf0\x8f\xbf\xbf", false, 1},
    {"first surrogate", "\xed\xa0\x80", false, 1},
    {"last surrogate", "\xed\xbf\xbf", false, 1},
    {"surrogate pair", "\xed\xa0\xbd\xed\xb8\x80", false, 1},
    {"above 10FFFF", "\xf4\x90\x80\x80", false, 1},
    {"lead f5", "\xf5\x80\x80\x80", false, 0},
    {"lead f7", "\xf7\xbf\xbf\xbf", false, 0},
    {"five byte form", "\xf8\x88\x80\x80\x80", false, 0},
    {"six byte form", "\xfc\x84\x80\x80\x80\x80", false, 0},
    {"fe", "\xfe", false, 0},
    {"ff",
     "a\xff"
     "b",
     false, 1},
    {"two, ascii as second", "\xc3\x28", false, 1},
    {"two, lead as second", "\xc3\xc3\xa9", false, 1},
    {"three, ascii as second", "\xe2\x28\xa1", false, 1},
    {"three, ascii as third", "\xe2\x82\x28", false, 2},
    {"four, ascii as second", "\xf0\x28\x8c\xbc", false, 1},
    {"four, ascii as third", "\xf0\x90\x28\xbc", false, 2},
    {"four, ascii as fourth", "\xf0\x90\x8c\x28", false, 3},
    {"two cut", "abc\xc3", false, 4},
    {"three cut behind one", "\xe2", false, 1},
    {"three cut behind two", "abc\xe2\x82", false, 5},
    {"four cut behind one", "\xf0", false, 1},
    {"four cut behind two", "\xf0\x9f", false, 2},
    {"four cut behind three", "\xf0\x9f\x98", false, 3},
};

bool feeds_well(std::span<const std::byte> bytes) {
    Utf8Validator validator;
    return validator.feed(bytes);
}

// Each row with ASCII of several lengths around it, so that block steps begin and end everywhere.
void table_at_every_split(void**) {
    for (const Row& row : kRows) {
        CHECK_ROW_EQUAL(row.label, is_valid_utf8_plain(row.text), row.valid);
        for (const std::size_t before : {0U, 1U, 13U, 16U, 31U}) {
            for (const std::size_t after : {0U, 1U, 3U, 40U}) {
                if (!row.valid && after > 0 && row.bad_at == row.text.size()) continue;
                const Bytes bytes = bytes_of(std::string(before, 'x')) + bytes_of(row.text) +
                                    bytes_of(std::string(after, 'y'));
                CHECK_ROW_EQUAL(row.label, is_valid_utf8(text_of(bytes)), row.valid);
                for_every_split(bytes, [&](const auto& parts) {
                    Utf8Validator validator;
                    for (const auto part : parts)
                        validator.feed(part);
                    CHECK_ROW_EQUAL(row.label, validator.complete(), row.valid);
                });
            }
        }
    }
}

// Good up to the bad byte, bad with it, and bad for ever.
void first_bad_byte(void**) {
    for (const Row& row : kRows) {
        const Bytes bytes = bytes_of(row.text);
        const std::size_t good = row.valid ? bytes.size() : row.bad_at;
        for (std::size_t size = 0; size <= bytes.size(); ++size) {
            CHECK_ROW_EQUAL(row.label, feeds_well(std::span(bytes).first(size)), size <= good);
        }
        Utf8Validator validator;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            CHECK_ROW_EQUAL(row.label, validator.feed(std::span(bytes).subspan(i, 1)), i < good);
        if (good < bytes.size()) {
            CHECK_ROW(row.label, !validator.feed(bytes_of("fine")) && !validator.complete());
            validator.reset();
            CHECK_ROW(row.label, validator.feed(bytes_of("fine")) && validator.complete());
        }
    }
}

// All sequences of up to three bytes, and all of four with a lead of four.
void all_short_sequences(void**) {
    std::string text;
    for (unsigned value = 0; value < (1U << 16); ++value) {
        text = {static_cast<char>(value >> 8), static_cast<char>(value & 0xFFU)};
        CHECK_ROW(text, is_valid_utf8(text) == is_valid_utf8_plain(text));
    }
    for (unsigned value = 0xC00000; value < (1U << 24); ++value) {
        const std::array<char, 3> three{static_cast<char>(value >> 16),
                                        static_cast<char>((value >> 8) & 0xFFU),
                                        static_cast<char>(value & 0xFFU)};
        const std::string_view view(three.data(), three.size());
        CHECK_ROW(view, is_valid_utf8(view) == is_valid_utf8_plain(view));
    }
    constexpr std::array<unsigned char, 6> edges{0x7F, 0x80, 0x8F, 0x90, 0xBF, 0xC0};
    for (unsigned lead = 0xEF; lead <= 0xFF; ++lead) {
        for (unsigned second = 0; second < 256; ++second) {
            for (const unsigned char third : edges) {
                for (const unsigned char fourth : edges) {
                    text = {static_cast<char>(lead), static_cast<char>(second),
                            static_cast<char>(third), static_cast<char>(fourth)};
                    CHECK_ROW(text, is_valid_utf8(text) == is_valid_utf8_plain(text));
                }
            }
        }
    }
}

void append_character(std::string& text, Sequence& sequence) {
    constexpr std::array<std::string_view, 8> characters{"a",          "\u00e9",          "\u20ac",
                                                         "\U0001f600", "\ud7ff",          "\uffff",
                                                         "\U0010ffff", "0123456789abcdef"};
    text += characters[sequence.below(characters.size())];
}

// Mostly valid texts with at most a few bytes changed, cut at random: fast, incremental and plain
// agree.
void against_the_definition(void**) {
    Sequence sequence(3);
    int valid = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        for (std::size_t i = sequence.below(40); i > 0; --i)
            append_character(text, sequence);
        for (std::size_t i = sequence.below(3); i > 0 && !text.empty(); --i) {
            char& changed = text[sequence.below(text.size())];
            changed = static_cast<char>(sequence.byte());
        }
        const bool expected = is_valid_utf8_plain(text);
        valid += expected ? 1 : 0;
        CHECK_ROW_EQUAL(text, is_valid_utf8(text), expected);
        Utf8Validator validator;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t size = std::min(1 + sequence.below(20), text.size() - at);
            validator.feed(std::as_bytes(std::span(text)).subspan(at, size));
            at += size;
        }
        CHECK_ROW_EQUAL(text, validator.complete(), expected);
    }
    CHECK(valid > 4000 && valid < 16000);
}

// A caller tries a text and goes back by copying.
void roll_back(void**) {
    Utf8Validator validator;
    CHECK(validator.feed(bytes_of("\xe2\x82")) && !validator.complete());
    const Utf8Validator before = validator;
    CHECK(!validator.feed(bytes_of("x")));
    validator = before;
    CHECK(validator.feed(bytes_of("\xac")) && validator.complete());
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(table_at_every_split),
        cmocka_unit_test(first_bad_byte),
        cmocka_unit_test(all_short_sequences),
        cmocka_unit_test(against_the_definition),
        cmocka_unit_test(roll_back),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
