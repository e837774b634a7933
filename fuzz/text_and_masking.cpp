// SPDX-License-Identifier: MIT
// The two fast loops over payloads against their plain definitions, at every alignment and in any
// split: UTF-8 validation (RFC 3629) and masking (RFC 6455 5.3).
#include <vector>

#include "fuzz_input.hpp"
#include "protocol/masking.hpp"
#include "protocol/utf8.hpp"

using namespace nopoll;
using fuzz::Bytes;

namespace {

void check_utf8(Bytes bytes, fuzz::Splitter splitter) {
    const bool valid = protocol::is_valid_utf8_plain(fuzz::text_of(bytes));
    FUZZ_CHECK(protocol::is_valid_utf8(fuzz::text_of(bytes)) == valid);

    protocol::Utf8Validator parts;
    std::size_t good = 0;  // bytes of parts that were all taken
    bool failed = false;
    for (Bytes rest = bytes; !rest.empty();) {
        const Bytes part = splitter.next(rest);
        const bool taken = parts.feed(part);
        FUZZ_CHECK(!failed || !taken);  // stays false
        failed = !taken;
        if (taken) good += part.size();
        if (!failed && good % 7 == 0)  // now and then: complete() is the same as asking for it all
            FUZZ_CHECK(parts.complete() ==
                       protocol::is_valid_utf8_plain(fuzz::text_of(bytes.first(good))));
    }
    FUZZ_CHECK(parts.complete() == valid);

    // The first bad byte is found where it is: up to it, some ending makes the text valid.
    protocol::Utf8Validator single;
    std::size_t taken = 0;
    while (taken < bytes.size() && single.feed(bytes.subspan(taken, 1)))
        ++taken;
    FUZZ_CHECK(failed == (taken < bytes.size()));
    FUZZ_CHECK(taken >= good);
}

void check_masking(Bytes bytes, const protocol::MaskingKey& key, std::size_t offset,
                   std::size_t shift, fuzz::Splitter splitter) {
    std::vector<std::byte> plain(bytes.begin(), bytes.end());
    protocol::apply_mask_plain(plain, key, offset);

    std::vector<std::byte> shifted(bytes.size() + shift, std::byte{0xA5});
    std::copy(bytes.begin(), bytes.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
    const std::span<std::byte> in_place = std::span(shifted).subspan(shift);
    protocol::apply_mask(in_place, key, offset);
    FUZZ_CHECK(std::equal(in_place.begin(), in_place.end(), plain.begin(), plain.end()));
    FUZZ_CHECK(std::all_of(shifted.begin(), shifted.begin() + static_cast<std::ptrdiff_t>(shift),
                           [](std::byte b) { return b == std::byte{0xA5}; }));

    std::vector<std::byte> copied(bytes.size() + 1, std::byte{0x5A});
    protocol::copy_masked(copied.data(), bytes, key, offset);
    FUZZ_CHECK(std::equal(plain.begin(), plain.end(), copied.begin()));
    FUZZ_CHECK(copied.back() == std::byte{0x5A});

    std::size_t done = 0;
    for (Bytes rest = bytes; !rest.empty();) {
        const Bytes part = splitter.next(rest);
        protocol::apply_mask(in_place.subspan(done, part.size()), key, offset + done);
        done += part.size();
    }
    FUZZ_CHECK(std::equal(in_place.begin(), in_place.end(), bytes.begin(), bytes.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const fuzz::Splitter splitter(input);
    protocol::MaskingKey key;
    for (std::byte& part : key)
        part = static_cast<std::byte>(input.byte());
    const unsigned choice = input.byte();
    // Offsets just below the end of the address space as well: only their value mod 4 matters.
    const std::size_t offset = (choice & 0x80U) != 0 ? SIZE_MAX - 3 - choice % 64 : choice;
    check_utf8(input.rest(), splitter);
    check_masking(input.rest(), key, offset, choice % 8, splitter);
    return 0;
}
