// SPDX-License-Identifier: MIT
// Fast masking against its byte-wise definition (RFC 6455 5.3).
#include "protocol/masking.hpp"

#include <algorithm>

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

constexpr MaskingKey kKey{std::byte{0x37}, std::byte{0xFA}, std::byte{0x21}, std::byte{0x3D}};

void rfc_example(void**) {
    Bytes data = bytes_of("Hello");
    const Bytes masked = bytes_of({0x7f, 0x9f, 0x4d, 0x51, 0x58});
    apply_mask(data, kKey, 0);
    CHECK_EQUAL(text_of(data), text_of(masked));
    apply_mask(data, kKey, 0);
    CHECK_EQUAL(text_of(data), "Hello");
    apply_mask_plain(data, kKey, 0);
    CHECK_EQUAL(text_of(data), text_of(masked));
}

// The plain one follows the formula literally.
void definition(void**) {
    for (std::size_t offset = 0; offset < 9; ++offset) {
        Bytes data(20);
        apply_mask_plain(data, kKey, offset);
        for (std::size_t i = 0; i < data.size(); ++i)
            CHECK(data[i] == kKey[(i + offset) % 4]);
    }
}

// Every size up to several steps of the loop, at every alignment of both ends and every offset;
// bytes around the range must stay.
void sizes_alignments_offsets(void**) {
    Sequence sequence(1);
    const Bytes input = sequence.bytes(200);
    for (std::size_t size = 0; size <= 100; ++size) {
        for (std::size_t align = 0; align < 16; ++align) {
            for (std::size_t offset = 0; offset < 4; ++offset) {
                Bytes expected = input;
                apply_mask_plain(std::span(expected).subspan(align, size), kKey, offset);
                Bytes in_place = input;
                apply_mask(std::span(in_place).subspan(align, size), kKey, offset);
                CHECK(in_place == expected);

                Bytes copy(200, std::byte{0xEE});
                const std::size_t to = (align * 5 + 3) % 16;
                copy_masked(copy.data() + to, std::span(input).subspan(align, size), kKey, offset);
                const auto from = expected.begin() + static_cast<std::ptrdiff_t>(align);
                CHECK(std::equal(from, from + static_cast<std::ptrdiff_t>(size),
                                 copy.begin() + static_cast<std::ptrdiff_t>(to)));
                for (std::size_t i = 0; i < copy.size(); ++i)
                    CHECK((i >= to && i < to + size) || copy[i] == std::byte{0xEE});
            }
        }
    }
}

void large_offsets(void**) {
    for (const std::size_t offset : {std::size_t{7}, std::size_t{1} << 32, SIZE_MAX, SIZE_MAX - 1,
                                     SIZE_MAX - 2, SIZE_MAX - 7}) {
        Bytes fast(50);
        Bytes plain(50);
        apply_mask(fast, kKey, offset);
        apply_mask_plain(plain, kKey, offset);
        CHECK_ROW(offset, fast == plain);
        CHECK_ROW(offset, fast[0] == kKey[offset % 4]);
    }
}

// Piece after piece gives what one go gives.
void in_pieces(void**) {
    Sequence sequence(2);
    for (int round = 0; round < 300; ++round) {
        const Bytes input = sequence.bytes(sequence.below(5000));
        Bytes whole = input;
        apply_mask_plain(whole, kKey, 0);
        Bytes pieces = input;
        for (std::size_t at = 0; at < pieces.size();) {
            const std::size_t size = std::min(1 + sequence.below(300), pieces.size() - at);
            apply_mask(std::span(pieces).subspan(at, size), kKey, at);
            at += size;
        }
        CHECK(pieces == whole);
    }
}

void nothing(void**) {
    apply_mask({}, kKey, 3);
    copy_masked(nullptr, {}, kKey, 0);
    apply_mask_plain({}, kKey, 0);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(rfc_example),
        cmocka_unit_test(definition),
        cmocka_unit_test(sizes_alignments_offsets),
        cmocka_unit_test(large_offsets),
        cmocka_unit_test(in_pieces),
        cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
