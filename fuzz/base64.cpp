// SPDX-License-Identifier: MIT
// Base64: what is encoded decodes to itself, in both forms and through the C functions; any text
// is refused or has one meaning, in whatever room it is decoded.
#include <nopoll.h>

#include <climits>
#include <vector>

#include "fuzz_input.hpp"
#include "protocol/base64.hpp"

using namespace nopoll;
using fuzz::Bytes;

namespace {

void check_round_trip(Bytes bytes) {
    const std::string text = protocol::base64_encode(bytes);
    FUZZ_CHECK(text.size() == (bytes.size() + 2) / 3 * 4);
    FUZZ_CHECK(protocol::base64_decoded_size(text) == bytes.size());
    const auto back = protocol::base64_decode(text);
    FUZZ_CHECK(back && std::equal(back->begin(), back->end(), bytes.begin(), bytes.end()));
}

void check_lines(Bytes bytes) {
    const std::size_t needed = protocol::base64_lines_size(bytes.size());
    std::vector<char> lines(needed, '#');
    FUZZ_CHECK(!protocol::base64_encode_lines(bytes, std::span(lines).first(needed - 1)));
    FUZZ_CHECK(lines.front() == '#');
    FUZZ_CHECK(protocol::base64_encode_lines(bytes, lines));
    FUZZ_CHECK(lines.back() == '\0');
    const std::string_view text(lines.data());
    FUZZ_CHECK(text.size() + 1 == needed);
    std::string joined;
    for (const char c : text)
        if (c != '\n') joined += c;
    FUZZ_CHECK(joined == protocol::base64_encode(bytes));
}

void check_c_functions(Bytes bytes) {
    if (bytes.empty()) return;
    const auto* content = reinterpret_cast<const char*>(bytes.data());
    const int length = static_cast<int>(bytes.size());
    char nothing = 0;
    int size = 0;
    FUZZ_CHECK(nopoll_base64_encode(content, length, &nothing, &size) == nopoll_false);
    std::vector<char> encoded(static_cast<std::size_t>(size));
    FUZZ_CHECK(nopoll_base64_encode(content, length, encoded.data(), &size) != nopoll_false);
    std::vector<char> decoded(bytes.size() + 1);
    int decoded_size = static_cast<int>(decoded.size());
    FUZZ_CHECK(nopoll_base64_decode(encoded.data(), static_cast<int>(encoded.size()) - 1,
                                    decoded.data(), &decoded_size) != nopoll_false);
    FUZZ_CHECK(decoded_size == length);
    FUZZ_CHECK(std::equal(bytes.begin(), bytes.end(), std::as_bytes(std::span(decoded)).begin()));
}

void check_text(std::string_view text, std::size_t room) {
    const auto size = protocol::base64_decoded_size(text);
    const auto decoded = protocol::base64_decode(text);
    FUZZ_CHECK(size.has_value() == decoded.has_value());
    std::vector<char> out(room, '#');
    const auto written = protocol::base64_decode_into(text, out);
    if (!decoded) {
        FUZZ_CHECK(!written);
        return;
    }
    FUZZ_CHECK(decoded->size() == *size);
    const std::string encoded = protocol::base64_encode(*decoded);
    FUZZ_CHECK(protocol::base64_decode(encoded) == decoded);
    // But for blanks, and for bits under the padding, there is one way to write it.
    const auto characters =
        text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
            return c == ' ' || c == '\t' || c == '\r' || c == '\n';
        }));
    FUZZ_CHECK(encoded.size() == characters);
    FUZZ_CHECK(written.has_value() == (!decoded->empty() && room >= 2));
    if (!written) return;
    FUZZ_CHECK(*written == std::min(decoded->size(), room - 1));
    FUZZ_CHECK(out[*written] == '\0');
    for (std::size_t i = 0; i < *written; ++i)
        FUZZ_CHECK(static_cast<std::byte>(out[i]) == (*decoded)[i]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::size_t room = input.byte();
    const Bytes bytes = input.rest();
    check_round_trip(bytes);
    check_lines(bytes);
    check_c_functions(bytes);
    check_text(fuzz::text_of(bytes), room);
    return 0;
}
