// SPDX-License-Identifier: MIT
// Frame headers, both ways, at every boundary of the length (RFC 6455 5.2).
#include "protocol/frame_header.hpp"

#include "protocol/frames.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

using Status = HeaderResult::Status;

constexpr std::uint64_t kNoLimit = UINT64_MAX;
constexpr std::uint64_t kTwo63 = std::uint64_t{1} << 63;

Bytes encoded(const FrameHeader& header) {
    std::array<std::byte, kMaxFrameHeader> out{};
    const std::size_t size = encode_frame_header(header, out);
    return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
}

FrameHeader header_of(Opcode opcode, bool fin, std::uint64_t size, bool masked) {
    FrameHeader header;
    header.opcode = opcode;
    header.fin = fin;
    header.payload_size = size;
    header.masked = masked;
    if (masked) header.key = kKey;
    return header;
}

void literal_headers(void**) {
    struct Row {
        FrameHeader header;
        Bytes bytes;
    };
    const Row rows[] = {
        // RFC 6455 5.7
        {header_of(Opcode::text, true, 5, false), bytes_of({0x81, 0x05})},
        {header_of(Opcode::text, true, 5, true), bytes_of({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d})},
        {header_of(Opcode::text, false, 3, false), bytes_of({0x01, 0x03})},
        {header_of(Opcode::continuation, true, 2, false), bytes_of({0x80, 0x02})},
        {header_of(Opcode::ping, true, 5, false), bytes_of({0x89, 0x05})},
        {header_of(Opcode::pong, true, 5, true), bytes_of({0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d})},
        {header_of(Opcode::binary, true, 256, false), bytes_of({0x82, 0x7E, 0x01, 0x00})},
        {header_of(Opcode::binary, true, 65536, false),
         bytes_of({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0})},
        {header_of(Opcode::close, true, 0, true), bytes_of({0x88, 0x80, 0x37, 0xfa, 0x21, 0x3d})},
    };
    for (const Row& row : rows) {
        const Bytes bytes = encoded(row.header);
        CHECK_EQUAL(text_of(bytes), text_of(row.bytes));
        const Role role = row.header.masked ? Role::server : Role::client;
        const HeaderResult result = decode_frame_header(row.bytes, role, kNoLimit);
        CHECK(result.status == Status::complete && result.size == row.bytes.size());
        CHECK(result.header.opcode == row.header.opcode && result.header.fin == row.header.fin);
    }
}

// Each length in its shortest form, read back from every prefix.
void boundary_lengths(void**) {
    struct Row {
        std::uint64_t size;
        std::size_t header_bytes;  // without a key
    };
    const Row rows[] = {
        {0, 2},         {1, 2},           {125, 2},         {126, 4},
        {127, 4},       {65535, 4},       {65536, 10},      {(1U << 24) - 1, 10},
        {1U << 24, 10}, {UINT32_MAX, 10}, {kTwo63 - 1, 10},
    };
    for (const Row& row : rows) {
        for (const bool masked : {false, true}) {
            const Bytes bytes = encoded(header_of(Opcode::binary, true, row.size, masked));
            const std::size_t size = row.header_bytes + (masked ? 4 : 0);
            CHECK_ROW_EQUAL(row.size, bytes.size(), size);
            const Role role = masked ? Role::server : Role::client;
            for (std::size_t prefix = 0; prefix < size; ++prefix) {
                const auto part =
                    decode_frame_header(std::span(bytes).first(prefix), role, kNoLimit);
                CHECK_ROW(row.size, part.status == Status::need_more);
                CHECK_ROW(row.size, part.size > prefix && part.size <= size);
                if (prefix >= 2) CHECK_ROW_EQUAL(row.size, part.size, size);
            }
            const auto whole = decode_frame_header(bytes + bytes_of("rest"), role, kNoLimit);
            CHECK_ROW(row.size, whole.status == Status::complete && whole.size == size);
            CHECK_ROW_EQUAL(row.size, whole.header.payload_size, row.size);
            CHECK_ROW_EQUAL(row.size, whole.header.masked, masked);
            CHECK_ROW(row.size, whole.header.key == (masked ? kKey : MaskingKey{}));
        }
    }
}

void longer_forms_are_accepted(void**) {
    for (const int form : {2, 8}) {
        for (const std::uint64_t size : {0U, 1U, 125U, 126U, 65535U}) {
            FrameSpec spec;
            spec.opcode = 2;
            spec.length_bytes = form;
            spec.claimed_size = size;
            const auto result = decode_frame_header(frame(spec, true), Role::server, kNoLimit);
            CHECK_ROW(size, result.status == Status::complete);
            CHECK_ROW_EQUAL(size, result.header.payload_size, size);
        }
    }
}

// The row's bytes show the violation, all but the last of them do not; what follows changes
// nothing.
void violations_at_their_byte(void**) {
    struct Row {
        const char* label;
        Role role;
        std::uint64_t limit;
        Bytes bytes;
        Violation violation;
    };
    const Role both[] = {Role::server, Role::client};
    std::vector<Row> rows{
        {"not masked", Role::server, 100, bytes_of({0x81, 0x05}), Violation::unmasked_frame},
        {"ping not masked", Role::server, 100, bytes_of({0x89, 0x00}), Violation::unmasked_frame},
        {"not masked and too long", Role::server, 100, bytes_of({0x89, 0x7E}),
         Violation::unmasked_frame},
        {"masked", Role::client, 100, bytes_of({0x81, 0x85}), Violation::masked_frame},
        {"close masked", Role::client, 100, bytes_of({0x88, 0x80}), Violation::masked_frame},
    };
    for (const Role role : both) {
        const int mask = role == Role::server ? 0x80 : 0;
        const auto row = [&](const char* label, std::uint64_t limit, const Bytes& bytes,
                             Violation violation) {
            rows.push_back({label, role, limit, bytes, violation});
        };
        for (const int rsv : {0x10, 0x20, 0x40, 0x50, 0x70}) {
            row("reserved bit", 100, bytes_of({0x81 | rsv}), Violation::reserved_bits);
            row("reserved bit on a ping", 100, bytes_of({0x89 | rsv}), Violation::reserved_bits);
            row("and no FIN", 100, bytes_of({0x08 | rsv}), Violation::reserved_bits);
        }
        for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
            row("opcode", 100, bytes_of({0x80 | opcode}), Violation::unknown_opcode);
            row("opcode without FIN", 100, bytes_of({opcode}), Violation::unknown_opcode);
        }
        for (const int opcode : {8, 9, 10}) {
            row("control without FIN", 100, bytes_of({opcode}), Violation::control_fragmented);
            row("control of 126 or more", 1000, bytes_of({0x80 | opcode, mask | 126}),
                Violation::control_too_long);
            row("control of 65536 or more", 1000, bytes_of({0x80 | opcode, mask | 127}),
                Violation::control_too_long);
        }
        const auto too_big = Violation::frame_too_big;
        row("limit 0", 0, bytes_of({0x82, mask | 1}), too_big);
        row("limit 124", 124, bytes_of({0x82, mask | 125}), too_big);
        row("limit 125", 125, bytes_of({0x82, mask | 126, 0, 126}), too_big);
        row("limit 255", 255, bytes_of({0x82, mask | 126, 1}), too_big);
        row("limit 256", 256, bytes_of({0x82, mask | 126, 1, 1}), too_big);
        row("limit 65534", 65534, bytes_of({0x82, mask | 126, 0xff, 0xff}), too_big);
        row("limit 65535", 65535, bytes_of({0x82, mask | 127, 0, 0, 0, 0, 0, 1}), too_big);
        row("limit 65536", 65536, bytes_of({0x82, mask | 127, 0, 0, 0, 0, 0, 1, 0, 1}), too_big);
        row("limit 16 MiB", 1U << 24, bytes_of({0x82, mask | 127, 0, 0, 0, 0, 1, 0, 0, 1}),
            too_big);
        row("2^62", 1U << 24, bytes_of({0x82, mask | 127, 0x40}), too_big);
        row("2^63 - 1", 1U << 24, bytes_of({0x82, mask | 127, 0x7f}), too_big);
        row("2^63", 1U << 24, bytes_of({0x82, mask | 127, 0x80}), Violation::length_top_bit);
        row("2^64 - 1", 1U << 24, bytes_of({0x82, mask | 127, 0xff}), Violation::length_top_bit);
        row("2^63 without limit", kNoLimit, bytes_of({0x82, mask | 127, 0x80}),
            Violation::length_top_bit);
    }
    for (const Row& row : rows) {
        for (std::size_t prefix = 0; prefix < row.bytes.size(); ++prefix) {
            const auto part =
                decode_frame_header(std::span(row.bytes).first(prefix), row.role, row.limit);
            CHECK_ROW(row.label, part.status == Status::need_more);
        }
        for (const Bytes& tail : {Bytes{}, Bytes(20), bytes_of("\xff\xff\xff\xff\xff\xff")}) {
            const auto result = decode_frame_header(row.bytes + tail, row.role, row.limit);
            CHECK_ROW(row.label, result.status == Status::violation);
            CHECK_ROW_EQUAL(row.label, describe(result.violation), describe(row.violation));
            CHECK_ROW_EQUAL(row.label, result.size, row.bytes.size());
        }
    }
}

void exactly_the_limit(void**) {
    for (const std::uint64_t limit : {1U, 125U, 126U, 65535U, 65536U, 1U << 24}) {
        for (const bool masked : {false, true}) {
            const Role role = masked ? Role::server : Role::client;
            const Bytes fits = encoded(header_of(Opcode::text, true, limit, masked));
            CHECK_ROW(limit, decode_frame_header(fits, role, limit).status == Status::complete);
            const Bytes over = encoded(header_of(Opcode::text, true, limit + 1, masked));
            const auto result = decode_frame_header(over, role, limit);
            CHECK_ROW(limit, result.violation == Violation::frame_too_big);
        }
    }
}

void all_first_bytes(void**) {
    for (int first = 0; first < 256; ++first) {
        const int opcode = first & 0x0F;
        const bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
        Violation expected = Violation::none;
        if ((first & 0x80) == 0 && opcode >= 8) expected = Violation::control_fragmented;
        if (!known) expected = Violation::unknown_opcode;
        if ((first & 0x70) != 0) expected = Violation::reserved_bits;
        CHECK_ROW_EQUAL(first, check_first_byte(static_cast<std::byte>(first)), expected);
    }
}

void round_trip(void**) {
    Sequence sequence(5);
    constexpr Opcode opcodes[] = {Opcode::continuation, Opcode::text, Opcode::binary};
    for (int i = 0; i < 20000; ++i) {
        FrameHeader header =
            header_of(opcodes[sequence.below(3)], sequence.below(2) == 0,
                      sequence.next() >> (1 + sequence.below(63)), sequence.below(2) == 0);
        if (header.masked) {
            for (std::byte& byte : header.key)
                byte = sequence.byte();
        }
        const Bytes bytes = encoded(header);
        const Role role = header.masked ? Role::server : Role::client;
        const auto result = decode_frame_header(bytes, role, kNoLimit);
        CHECK(result.status == Status::complete && result.size == bytes.size());
        CHECK(result.header.fin == header.fin && result.header.opcode == header.opcode);
        CHECK(result.header.masked == header.masked && result.header.key == header.key);
        CHECK_EQUAL(result.header.payload_size, header.payload_size);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(literal_headers),
        cmocka_unit_test(boundary_lengths),
        cmocka_unit_test(longer_forms_are_accepted),
        cmocka_unit_test(violations_at_their_byte),
        cmocka_unit_test(exactly_the_limit),
        cmocka_unit_test(all_first_bytes),
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
