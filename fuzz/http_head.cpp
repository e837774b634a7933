// SPDX-License-Identifier: MIT
// Heads of HTTP messages: the same lines however the bytes were cut, limits that hold, and the
// small functions on lines against what they promise (RFC 7230 3).
#include <vector>

#include "fuzz_input.hpp"
#include "protocol/http_head.hpp"

using namespace nopoll;
using fuzz::Bytes;
using protocol::LineReader;

namespace {

struct Lines {
    std::string text;  // all lines, one behind the other
    std::size_t count = 0;
    LineReader::Status status = LineReader::Status::need_more;
    std::string held;
};

Lines read_lines(Bytes rest, fuzz::Splitter splitter) {
    LineReader reader;
    Lines lines;
    FUZZ_CHECK(reader.empty());
    while (!rest.empty()) {
        Bytes part = splitter.next(rest);
        while (!part.empty()) {
            const LineReader::Step step = reader.feed(part);
            lines.status = step.status;
            part = part.subspan(step.consumed);
            FUZZ_CHECK(reader.partial() <= protocol::kMaxLine);
            if (step.status == LineReader::Status::need_more) {
                FUZZ_CHECK(part.empty() && !reader.held().empty());
                continue;
            }
            const LineReader::Step again = reader.feed(part);
            FUZZ_CHECK(again.status == step.status && again.consumed == 0);
            if (step.status != LineReader::Status::line) {
                lines.held = reader.held();
                return lines;
            }
            FUZZ_CHECK(reader.partial() == 0 && reader.line().ends_with('\n'));
            FUZZ_CHECK(reader.line().find('\n') == reader.line().size() - 1);
            lines.text += reader.line();
            FUZZ_CHECK(++lines.count == reader.lines());
            reader.next();
        }
    }
    lines.held = reader.held();
    return lines;
}

bool is_inside(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

void check_line(std::string_view line) {
    const std::string_view trimmed = protocol::trim(line);
    FUZZ_CHECK(is_inside(trimmed, line) && protocol::trim(trimmed) == trimmed);
    FUZZ_CHECK(protocol::equals_ignore_case(line, line));
    const auto field = protocol::parse_header_field(line);
    if (field) {
        FUZZ_CHECK(is_inside(field->name, line) && is_inside(field->value, line));
        FUZZ_CHECK(!field->name.empty() && protocol::trim(field->value) == field->value);
        const std::string again =
            std::string(field->name) + ": " + std::string(field->value) + "\r\n";
        const auto same = protocol::parse_header_field(again);
        FUZZ_CHECK(same && same->name == field->name && same->value == field->value);
    }
    // What is no HTTP at some point does not become HTTP by what follows.
    bool http = true;
    for (std::size_t size = 0; size <= std::min<std::size_t>(line.size(), 300); ++size) {
        const bool now = protocol::looks_like_http(line.substr(0, size));
        FUZZ_CHECK(http || !now);
        http = now;
    }
}

void check_lists(std::string_view list) {
    std::string_view rest = list;
    for (std::size_t left = list.size() + 1;; --left) {
        FUZZ_CHECK(left > 0);  // each turn takes something
        const std::string_view protocol = protocol::take_protocol(rest);
        if (protocol.empty()) break;
        FUZZ_CHECK(is_inside(protocol, list) && protocol.find(',') == protocol.npos);
        std::string_view alone = protocol;
        FUZZ_CHECK(protocol::take_protocol(alone) == protocol && alone.empty());
    }
    FUZZ_CHECK(rest.empty());
    const std::string_view first = list.substr(0, list.find(','));
    FUZZ_CHECK(list.empty() || protocol::has_token(list, protocol::trim(first)));
    const std::string with_token = "a , " + std::string(list) + ", UPGRADE ";
    FUZZ_CHECK(protocol::has_token(with_token, "upgrade"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const fuzz::Splitter splitter(input);
    // The limits are far beyond what a fuzzer makes: now and then the input is repeated, 32 to 4096
    // times.
    const unsigned choice = input.byte();
    const std::string_view pattern = fuzz::text_of(input.rest());
    std::string text(pattern);
    for (unsigned doubled = choice > 0xF7 ? choice - 0xF3 : 0; doubled > 0; --doubled)
        if (text.size() <= protocol::kMaxHeadBytes) text += std::string(text);

    const Bytes bytes = fuzz::bytes_of(text);
    const Lines whole = read_lines(bytes, fuzz::Splitter(text.size()));
    const Lines parts = read_lines(bytes, splitter);
    FUZZ_CHECK(whole.text == parts.text && whole.held == parts.held);
    FUZZ_CHECK(whole.count == parts.count);
    FUZZ_CHECK(whole.text.size() + whole.held.size() <= protocol::kMaxHeadBytes);
    FUZZ_CHECK(text.starts_with(whole.text + whole.held));
    const bool limit_passed = whole.status == LineReader::Status::too_long ||
                              whole.status == LineReader::Status::head_too_big;
    FUZZ_CHECK(limit_passed || whole.text.size() + whole.held.size() == text.size());
    if (limit_passed) FUZZ_CHECK(parts.status == whole.status);

    check_line(pattern);
    std::string_view rest = pattern.substr(0, 4096);
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
        check_line(rest.substr(0, end + 1));
        rest.remove_prefix(end + 1);
    }
    check_lists(pattern.substr(0, 4096));
    return 0;
}
