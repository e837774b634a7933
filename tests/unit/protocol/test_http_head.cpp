// SPDX-License-Identifier: MIT
// Lines within limits at every split, header fields, token lists, and what is no HTTP at all.
#include "protocol/http_head.hpp"

#include <algorithm>
#include <string>

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

using Status = LineReader::Status;

// Reads up to the end of the head; bytes behind it must stay.
std::vector<std::string> read_head(const std::vector<std::span<const std::byte>>& parts,
                                   std::size_t& consumed) {
    LineReader reader;
    std::vector<std::string> lines;
    consumed = 0;
    CHECK(reader.empty());
    for (auto part : parts) {
        while (!part.empty()) {
            const auto step = reader.feed(part);
            consumed += step.consumed;
            part = part.subspan(step.consumed);
            if (step.status == Status::need_more) {
                CHECK(part.empty() && !reader.empty() && reader.partial() > 0);
                continue;
            }
            CHECK(step.status == Status::line && reader.partial() == 0);
            const auto again = reader.feed(part);
            CHECK(again.status == Status::line && again.consumed == 0);
            lines.emplace_back(reader.line());
            CHECK_EQUAL(reader.lines(), lines.size());
            if (is_end_of_head(reader.line())) return lines;
            reader.next();
            CHECK(!reader.empty() && reader.partial() == 0);
        }
    }
    return lines;
}

void lines_at_every_split(void**) {
    const std::vector<std::string> expected{"GET / HTTP/1.1\r\n", "a: b\n", "x\n", "\n",
                                            "c: \r d\r\n",        "\r\n"};
    std::string head;
    for (const std::string& line : expected)
        head += line;
    const Bytes input = bytes_of(head) + bytes_of("\x81\x05Hello\n");
    for_every_split(input, [&](const auto& parts) {
        std::size_t consumed = 0;
        CHECK(read_head(parts, consumed) == expected);
        CHECK_EQUAL(consumed, head.size());
    });
}

// The longest line has 8191 bytes with its end; the status does not depend on the cut.
void line_limit(void**) {
    struct Row {
        std::size_t size;  // of the line with its LF
        Status status;
    };
    const Row rows[] = {{8190, Status::line},
                        {8191, Status::line},
                        {8192, Status::too_long},
                        {9000, Status::too_long},
                        {20000, Status::too_long}};
    for (const Row& row : rows) {
        const Bytes input = bytes_of(std::string(row.size - 1, 'x') + "\nnext\n");
        for (const std::size_t step : {std::size_t{1}, std::size_t{100}, std::size_t{8190},
                                       std::size_t{8191}, input.size()}) {
            LineReader reader;
            Status status = Status::need_more;
            std::size_t consumed = 0;
            for (std::size_t at = 0; at < input.size() && status == Status::need_more;) {
                const auto part = std::span(input).subspan(at, std::min(step, input.size() - at));
                const auto got = reader.feed(part);
                status = got.status;
                consumed += got.consumed;
                at += part.size();
            }
            CHECK_ROW(row.size, status == row.status);
            CHECK_ROW_EQUAL(row.size, consumed, std::min<std::size_t>(row.size, 8191));
            if (status == Status::too_long) {
                CHECK_ROW_EQUAL(row.size, reader.partial(), kMaxLine);
                reader.next();
                const auto again = reader.feed(input);
                CHECK_ROW(row.size, again.status == Status::too_long && again.consumed == 0);
            }
        }
    }
}

// Feeds whole lines until something else than a line comes out.
std::pair<std::size_t, Status> lines_accepted(const std::string& line, std::size_t most) {
    LineReader reader;
    const Bytes bytes = bytes_of(line);
    for (std::size_t count = 0; count < most; ++count) {
        const auto step = reader.feed(bytes);
        if (step.status != Status::line) return {count, step.status};
        CHECK_EQUAL(step.consumed, bytes.size());
        reader.next();
    }
    return {most, Status::line};
}

void head_limits(void**) {
    const auto short_lines = lines_accepted("a: b\r\n", 10000);
    CHECK(short_lines.first == 4000 && short_lines.second == Status::head_too_big);
    // 32 lines of 8 KiB would be too long each: 8191 bytes a line, 32 of them and 32 bytes more.
    const auto long_lines = lines_accepted(std::string(8190, 'x') + "\n", 100);
    CHECK(long_lines.first == 32 && long_lines.second == Status::head_too_big);
    // What must be accepted: 64 KiB and 1000 lines.
    CHECK(lines_accepted("name: " + std::string(57, 'v') + "\r\n", 1000).first == 1000);
    // Exactly the limit: 256 lines of 1 KiB.
    const auto exact = lines_accepted(std::string(1023, 'x') + "\n", 300);
    CHECK(exact.first == 256 && exact.second == Status::head_too_big);

    // The same byte decides when the input comes in one part.
    for (const std::size_t step : {std::size_t{1}, std::size_t{777}, std::size_t{1} << 20}) {
        LineReader reader;
        Bytes all;
        for (std::size_t i = 0; i < 60; ++i)
            all = all + bytes_of(std::string(4999, 'y') + "\n");
        std::size_t consumed = 0;
        Status status = Status::need_more;
        for (auto rest = std::span<const std::byte>(all); status != Status::head_too_big;) {
            const auto got = reader.feed(rest.first(std::min(step, rest.size())));
            status = got.status;
            consumed += got.consumed;
            rest = rest.subspan(got.consumed);
            if (status == Status::line) reader.next();
        }
        CHECK_EQUAL(consumed, kMaxHeadBytes);
    }
}

void nothing_fed(void**) {
    LineReader reader;
    const auto step = reader.feed({});
    CHECK(step.status == Status::need_more && step.consumed == 0 && reader.empty());
    reader.next();
    CHECK(reader.empty() && reader.held().empty());
    (void)reader.feed(bytes_of("part"));
    CHECK(reader.held() == "part" && reader.partial() == 4 && reader.lines() == 0);
}

void header_fields(void**) {
    struct Row {
        std::string_view line;
        std::optional<std::string_view> name;
        std::string_view value;
    };
    const Row rows[] = {
        {"Host: localhost\r\n", "Host", "localhost"},
        {"Host: localhost\n", "Host", "localhost"},
        {"Host:localhost\r\n", "Host", "localhost"},
        {"Host: \t localhost \t\r\n", "Host", "localhost"},
        {"Host:\r\n", "Host", ""},
        {"Host: \r\n", "Host", ""},
        {"X: a: b:c\r\n", "X", "a: b:c"},
        {"X: a  b\r\n", "X", "a  b"},
        {"X: \xc3\xa9\r\n", "X", "\xc3\xa9"},
        {"x-y_z: 1\r\n", "x-y_z", "1"},
        {"no colon\r\n", {}, ""},
        {"\r\n", {}, ""},
        {"\n", {}, ""},
        {"a\n", {}, ""},
        {":\n", {}, ""},
        {": value\r\n", {}, ""},
        {"Host : localhost\r\n", {}, ""},
        {"Host\t: localhost\r\n", {}, ""},
        {"Ho st: localhost\r\n", {}, ""},
        {" Host: localhost\r\n", {}, ""},
        {"\tHost: localhost\r\n", {}, ""},
        {" continued\r\n", {}, ""},
        {{"Host: a\0b\r\n", 11}, {}, ""},
        {{"Ho\0st: a\r\n", 10}, {}, ""},
        {"GET / HTTP/1.1\r\n", {}, ""},
        {"GET http://x/ HTTP/1.1\r\n", {}, ""},
    };
    for (const Row& row : rows) {
        const auto field = parse_header_field(row.line);
        CHECK_ROW_EQUAL(row.line, field.has_value(), row.name.has_value());
        if (!field) continue;
        CHECK_ROW_EQUAL(row.line, field->name, *row.name);
        CHECK_ROW_EQUAL(row.line, field->value, row.value);
    }
}

void tokens(void**) {
    struct Row {
        const char* list;
        bool found;
    };
    const Row rows[] = {
        {"Upgrade", true},
        {"upgrade", true},
        {"UPGRADE", true},
        {"keep-alive, Upgrade", true},
        {"keep-alive,Upgrade", true},
        {" , ,\tupgrade\t,x", true},
        {"Upgrade,", true},
        {"", false},
        {",", false},
        {"keep-alive", false},
        {"upgraded", false},
        {"x-upgrade", false},
        {"keep-alive Upgrade", false},
        {"up,grade", false},
        {"\"Upgrade\"", false},
    };
    for (const Row& row : rows)
        CHECK_ROW_EQUAL(row.list, has_token(row.list, "upgrade"), row.found);
    CHECK(equals_ignore_case("Sec-WebSocket-KEY", "sec-websocket-key"));
    CHECK(!equals_ignore_case("a", "ab") && !equals_ignore_case("[", "{"));
    CHECK(equals_ignore_case("", ""));
    CHECK(trim(" \t\r\n a b \r\n") == "a b" && trim(" \n").empty() && trim("\v") == "\v");
}

void protocol_lists(void**) {
    struct Row {
        std::string_view list;
        std::vector<std::string_view> names;
    };
    const Row rows[] = {
        {"", {}},
        {" , ", {}},
        {"chat", {"chat"}},
        {"chat, superchat", {"chat", "superchat"}},
        {"chat,superchat ,\tx", {"chat", "superchat", "x"}},
        {"chat superchat", {"chat", "superchat"}},
        {",,chat\r", {"chat"}},
        {"\xc3\xa9,b", {"\xc3\xa9", "b"}},
    };
    for (const Row& row : rows) {
        std::string_view rest = row.list;
        for (const std::string_view name : row.names)
            CHECK_ROW_EQUAL(row.list, take_protocol(rest), name);
        CHECK_ROW(row.list, take_protocol(rest).empty() && take_protocol(rest).empty());
    }
}

// Whatever prefix has come: once no HTTP, never HTTP; and a whole line that is HTTP never looked
// otherwise.
void no_http(void**) {
    struct Row {
        const char* label;
        std::string_view line;
        bool http;
    };
    const Row rows[] = {
        {"request", "GET / HTTP/1.1\r\n", true},
        {"other method", "POST / HTTP/1.1\r\n", true},
        {"lower case", "get / HTTP/1.1\n", true},
        {"header first", "host: x\r\n", true},
        {"one word", "hello\r\n", true},
        {"blank first", " GET / HTTP/1.1\r\n", true},
        {"empty line", "\r\n", true},
        {"bare line feed", "\n", true},
        {"nothing", "", true},
        {"control bytes behind a blank", "GET \x01\x02 HTTP/1.1\r\n", true},
        {"TLS", "\x16\x03\x01\x02\x01\x01", false},
        {"zeros", {"\0\1\2\r\n", 5}, false},
        {"high byte", "\xff\r\n", false},
        {"high byte inside", "GE\xc3\xa9 / HTTP/1.1\r\n", false},
        {"control inside", "GET\x01/\r\n", false},
        {"delete inside", "GET\x7f/\r\n", false},
        {"carriage return inside", "GET\rX\r\n", false},
        {"bracket", "{\"json\": 1}\n", false},
        {"markup", "<policy-file-request/>", false},
    };
    for (const Row& row : rows) {
        CHECK_ROW_EQUAL(row.label, looks_like_http(row.line), row.http);
        bool before = true;
        for (std::size_t size = 0; size <= row.line.size(); ++size) {
            const bool now = looks_like_http(row.line.substr(0, size));
            CHECK_ROW(row.label, before || !now);
            CHECK_ROW(row.label, now || !row.http);
            before = now;
        }
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(lines_at_every_split), cmocka_unit_test(line_limit),
        cmocka_unit_test(head_limits),          cmocka_unit_test(nothing_fed),
        cmocka_unit_test(header_fields),        cmocka_unit_test(tokens),
        cmocka_unit_test(protocol_lists),       cmocka_unit_test(no_http),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
