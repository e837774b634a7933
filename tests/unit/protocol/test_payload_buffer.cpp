// SPDX-License-Identifier: MIT
// Growth follows what arrives, and the released block is fit for C.
#include "protocol/payload_buffer.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

void empty_release(void**) {
    PayloadBuffer buffer;
    CHECK(buffer.empty() && buffer.capacity() == 0);
    char* block = buffer.release();
    CHECK(block != nullptr && block[0] == '\0');
    std::free(block);
    CHECK(buffer.empty() && buffer.capacity() == 0);
}

void append_and_release(void**) {
    for (const std::size_t size : {1U, 2U, 4095U, 4096U, 4097U, 8191U, 100000U}) {
        Sequence sequence(size);
        const Bytes bytes = sequence.bytes(size);
        PayloadBuffer buffer;
        for (std::size_t at = 0; at < size;) {
            const std::size_t part = std::min<std::size_t>(1 + sequence.below(2000), size - at);
            buffer.append(std::span(bytes).subspan(at, part));
            at += part;
        }
        buffer.append({});
        CHECK_ROW_EQUAL(size, buffer.size(), size);
        CHECK_ROW(size, std::ranges::equal(buffer.bytes(), bytes));
        char* block = buffer.release();
        CHECK_ROW(size, std::memcmp(block, bytes.data(), size) == 0 && block[size] == '\0');
        std::free(block);
        CHECK_ROW(size, buffer.empty() && buffer.data() == nullptr);
        buffer.append(bytes_of("again"));
        CHECK_ROW_EQUAL(size, text_of(buffer.bytes()), "again");
    }
}

// With every total: space is there until the content is whole, the block never passes total + 1,
// and it holds at most double of what has arrived (or its first few KiB).
void growth_is_bounded(void**) {
    for (const std::size_t total : {1U, 2U, 100U, 4094U, 4095U, 4096U, 4097U, 70000U, 1U << 20}) {
        for (const std::size_t most : {1U, 1000U, 65536U, 1U << 24}) {
            PayloadBuffer buffer;
            while (buffer.size() < total) {
                const auto room = buffer.room(most, total);
                CHECK_ROW(total, !room.empty() && room.size() <= most);
                CHECK_ROW(total, buffer.size() + room.size() <= total);
                CHECK_ROW(total, buffer.capacity() <= total + 1);
                CHECK_ROW(total, buffer.capacity() <=
                                     std::max<std::size_t>(4096, buffer.size() * 8 / 3 + 16));
                std::fill(room.begin(), room.end(), std::byte{'r'});
                buffer.commit(room.size());
            }
            char* block = buffer.release();
            CHECK_ROW(total, std::strlen(block) == total);
            std::free(block);
        }
    }
}

void a_large_total_costs_nothing(void**) {
    PayloadBuffer buffer;
    const auto room = buffer.room(1U << 30, 1U << 30);
    CHECK(!room.empty() && buffer.capacity() <= 4096);
    PayloadBuffer whole;
    CHECK_EQUAL(whole.room_for(100000, 1U << 30).size(), 100000U);
    CHECK(whole.capacity() <= 100001);
    PayloadBuffer exact;
    CHECK_EQUAL(exact.room_for(10, 10).size(), 10U);
    CHECK_EQUAL(exact.capacity(), 11U);
}

void impossible_sizes(void**) {
    PayloadBuffer buffer;
    buffer.append(bytes_of("kept"));
    bool thrown = false;
    try {
        (void)buffer.room_for(SIZE_MAX - 10, SIZE_MAX);
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK_EQUAL(text_of(buffer.bytes()), "kept");
}

// What a move leaves is specified: an empty buffer.
// NOLINTBEGIN(bugprone-use-after-move)
void moves(void**) {
    PayloadBuffer a;
    a.append(bytes_of("content"));
    PayloadBuffer b(std::move(a));
    CHECK(a.empty() && a.data() == nullptr && text_of(b.bytes()) == "content");
    PayloadBuffer c;
    c.append(bytes_of("old"));
    c = std::move(b);
    CHECK(b.empty() && text_of(c.bytes()) == "content");
    c.clear();
    CHECK(c.empty() && c.capacity() == 0);
}
// NOLINTEND(bugprone-use-after-move)

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(empty_release),     cmocka_unit_test(append_and_release),
        cmocka_unit_test(growth_is_bounded), cmocka_unit_test(a_large_total_costs_nothing),
        cmocka_unit_test(impossible_sizes),  cmocka_unit_test(moves),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
