// SPDX-License-Identifier: MIT
// The bytes of the request, and replies, good and bad (RFC 6455 4.1).
#include "protocol/client_handshake.hpp"

#include <string>

#include "protocol/replies.hpp"
#include "protocol/server_handshake.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

RequestParts parts_of() {
    RequestParts parts;
    parts.target = "/";
    parts.host = "host.test";
    parts.key = kKeyText;
    parts.origin = "http://host.test";
    return parts;
}

const std::string kHead = "GET / HTTP/1.1\r\n"
                          "Host: host.test\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n";

void requests(void**) {
    RequestParts parts = parts_of();
    CHECK_EQUAL(build_request(parts), kHead + "Origin: http://host.test\r\n\r\n");

    parts.target = "/u?x=1";
    parts.host = "[::1]:8080";
    parts.version = 8;
    parts.origin = "null";
    parts.cookie = "a=1; b=2";
    parts.protocols = "p, q";
    parts.extra_headers = "\r\nX-One: 1\r\nX-Two: 2";
    CHECK_EQUAL(build_request(parts), "GET /u?x=1 HTTP/1.1\r\n"
                                      "Host: [::1]:8080\r\n"
                                      "Upgrade: websocket\r\n"
                                      "Connection: Upgrade\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Version: 8\r\n"
                                      "Origin: null\r\n"
                                      "Cookie: a=1; b=2\r\n"
                                      "Sec-WebSocket-Protocol: p, q\r\n"
                                      "X-One: 1\r\n"
                                      "X-Two: 2\r\n"
                                      "\r\n");

    RequestParts empty;
    empty.key = kKeyText;
    empty.origin = empty.cookie = empty.protocols = empty.extra_headers = "";
    CHECK_EQUAL(build_request(empty), "GET  HTTP/1.1\r\n"
                                      "Host: \r\n"
                                      "Upgrade: websocket\r\n"
                                      "Connection: Upgrade\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Version: 13\r\n"
                                      "Origin: \r\n"
                                      "Cookie: \r\n"
                                      "Sec-WebSocket-Protocol: \r\n"
                                      "\r\n");

    RequestParts bare = parts_of();
    bare.origin.reset();
    CHECK_EQUAL(build_request(bare), kHead + "\r\n");
    bare.cookie = "a=1\r\nX-Injected: by the program";
    CHECK_EQUAL(build_request(bare), kHead + "Cookie: a=1\r\nX-Injected: by the program\r\n\r\n");
}

void extra_headers(void**) {
    struct Row {
        const char* given;
        const char* sent;
    };
    const Row rows[] = {
        {"\r\nA: 1\r\nB: 2", "A: 1\r\nB: 2\r\n"},
        {"A: 1\r\nB: 2", "A: 1\r\nB: 2\r\n"},
        {"\r\nA: 1\r\n", "A: 1\r\n"},
        {"A: 1\r\n", "A: 1\r\n"},
        {"A: 1\r\n\r\n", "A: 1\r\n"},
        {"\r\n\r\nA: 1", "A: 1\r\n"},
        {"\nA: 1\n", "A: 1\r\n"},
        {"\r\nA: 1\nB: 2", "A: 1\nB: 2\r\n"},
        {"\r\nA:  1 ", "A:  1 \r\n"},
        {"\r\n", ""},
        {"", ""},
    };
    for (const Row& row : rows) {
        RequestParts parts = parts_of();
        parts.origin.reset();
        parts.extra_headers = row.given;
        CHECK_ROW_EQUAL(row.given, build_request(parts), kHead + row.sent + "\r\n");
        parts.protocols = "p";
        CHECK_ROW_EQUAL(row.given, build_request(parts),
                        kHead + "Sec-WebSocket-Protocol: p\r\n" + row.sent + "\r\n");
    }
}

void protocol_lists(void**) {
    struct Row {
        const char* given;
        const char* sent;
    };
    const Row rows[] = {
        {"chat", "chat"},
        {"chat superchat", "chat, superchat"},
        {"a  \t b\tc", "a, b, c"},
        {"chat, superchat", "chat, superchat"},
        {"a b, c", "a b, c"},
        {"a,b", "a,b"},
        {"a b\r\nX: y", "a b\r\nX: y"},
        {" a b ", " a, b "},
        {" ", " "},
        {"", ""},
    };
    for (const Row& row : rows) {
        RequestParts parts = parts_of();
        parts.origin.reset();
        parts.protocols = row.given;
        CHECK_ROW_EQUAL(row.given, build_request(parts),
                        kHead + "Sec-WebSocket-Protocol: " + row.sent + "\r\n\r\n");
    }
}

const std::string kOk = "HTTP/1.1 101 Switching Protocols\r\n";
const std::string kUpgrade = "Upgrade: websocket\r\n";
const std::string kConnection = "Connection: Upgrade\r\n";
const std::string kAccept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

std::string sent_with(std::optional<std::string_view> protocols,
                      std::optional<std::string_view> extra = {}) {
    RequestParts parts = parts_of();
    parts.protocols = protocols;
    parts.extra_headers = extra;
    return build_request(parts);
}

struct Row {
    const char* label;
    std::string reply;
    bool ready;
    const char* fault = "";  // a part of it
    bool at_end = true;      // refused only at the end of the head
};

void check_rows(std::span<const Row> rows) {
    const std::string sent = sent_with("chat, superchat");
    for (const Row& row : rows) {
        for_every_split(bytes_of(row.reply), [&](const auto& parts) {
            const ReplyOutcome outcome = receive(sent, parts);
            CHECK_ROW(row.label, outcome.complete);
            CHECK_ROW_EQUAL(row.label, outcome.ready, row.ready);
            CHECK_ROW_EQUAL(row.label, outcome.at_end, row.at_end);
            if (outcome.fault.find(row.fault) == std::string::npos)
                CHECK_ROW_EQUAL(row.label, outcome.fault, row.fault);
        });
    }
}

void status_lines(void**) {
    const std::string rest = kUpgrade + kConnection + kAccept + "\r\n";
    const char* none = "no HTTP status line";
    const Row rows[] = {
        {"101", kOk + rest, true},
        {"no phrase", "HTTP/1.1 101\r\n" + rest, true},
        {"no phrase, blank", "HTTP/1.1 101 \r\n" + rest, true},
        {"bare line feed", "HTTP/1.1 101\n" + rest, true},
        {"any phrase", "HTTP/1.1 101 \xc3\xa9 x\r\n" + rest, true},
        {"200", "HTTP/1.1 200 OK\r\n" + rest, false, "HTTP status 200"},
        {"302", "HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", false, "HTTP status 302"},
        {"404 with anything", "HTTP/1.1 404\r\nConnection: a\r\nConnection: b\r\nno header\r\n\r\n",
         false, "HTTP status 404"},
        {"100", "HTTP/1.1 100 Continue\r\n\r\n", false, "HTTP status 100"},
        {"1.0", "HTTP/1.0 101 Switching Protocols\r\n" + rest, false, "not HTTP/1.1"},
        {"2.0 with 200", "HTTP/2.0 200 OK\r\n\r\n", false, "HTTP status 200"},
        {"1010", "HTTP/1.1 1010 Odd\r\n" + rest, false, none, false},
        {"10", "HTTP/1.1 10 Odd\r\n" + rest, false, none, false},
        {"101x", "HTTP/1.1 101x\r\n" + rest, false, none, false},
        {"two blanks", "HTTP/1.1  101 x\r\n" + rest, false, none, false},
        {"lower case", "http/1.1 101 x\r\n" + rest, false, none, false},
        {"blank first", " HTTP/1.1 101 x\r\n" + rest, false, none, false},
        {"no status line", rest, false, none, false},
        {"empty line", "\r\n", false, none, false},
        {"other service", "220 mail.test ESMTP\r\n", false, none, false},
        {"zero byte", std::string("HTTP/1.1 101 \0\r\n", 16) + rest, false, none, false},
        {"carriage return behind the status", "HTTP/1.1 101\rx\r\n" + rest, false, none, false},
    };
    check_rows(rows);
    CHECK_EQUAL(receive(sent_with({}), "HTTP/1.1 404 Not Found\r\n\r\n").status, 404);
    CHECK_EQUAL(receive(sent_with({}), kOk).status, 101);
    CHECK_EQUAL(receive(sent_with({}), "hello\r\n").status, 0);
    CHECK(!receive(sent_with({}), "HTTP/1.1 404 Not Found\r\nA: b\r\n").complete);
}

void reply_headers(void**) {
    const std::string end = "\r\n";
    const Row rows[] = {
        {"good", kOk + kUpgrade + kConnection + kAccept + end, true},
        {"other order, other case, other headers",
         kOk +
             "SEC-WEBSOCKET-ACCEPT:s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\nconnection: x, UPGRADE\n"
             "Server: x\r\nServer: y\r\nupgrade: WebSocket\r\n" +
             end,
         true},
        {"no Upgrade", kOk + kConnection + kAccept + end, false, "no Upgrade"},
        {"other Upgrade", kOk + "Upgrade: h2c\r\n" + kConnection + kAccept + end, false,
         "name websocket"},
        {"no Connection", kOk + kUpgrade + kAccept + end, false, "no Connection"},
        {"other Connection", kOk + kUpgrade + "Connection: close\r\n" + kAccept + end, false,
         "name upgrade"},
        {"no accept", kOk + kUpgrade + kConnection + end, false, "no Sec-WebSocket-Accept"},
        {"wrong accept",
         kOk + kUpgrade + kConnection + "Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n" +
             end,
         false, "belong to our key"},
        {"empty accept", kOk + kUpgrade + kConnection + "Sec-WebSocket-Accept:\r\n" + end, false,
         "belong to our key"},
        {"accept in another case",
         kOk + kUpgrade + kConnection + "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
             end,
         false, "belong to our key"},
        {"Upgrade twice", kOk + kUpgrade + kUpgrade + kConnection + kAccept + end, false,
         "Upgrade header twice", false},
        {"Connection twice", kOk + kConnection + kUpgrade + kConnection + kAccept + end, false,
         "Connection header twice", false},
        {"accept twice", kOk + kAccept + kUpgrade + kConnection + kAccept + end, false,
         "Sec-WebSocket-Accept header twice", false},
        {"protocol twice",
         kOk + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n" + end, false,
         "Sec-WebSocket-Protocol header twice", false},
        {"extension",
         kOk + kUpgrade + kConnection + kAccept + "Sec-WebSocket-Extensions: x\r\n" + end, false,
         "extension", false},
        {"empty extension", kOk + "sec-websocket-extensions:\r\n" + end, false, "extension", false},
        {"no colon", kOk + "no header\r\n" + end, false, "no header", false},
        {"continuation line", kOk + "A: b\r\n c: d\r\n" + end, false, "no header", false},
        {"bare line feed as the end", kOk + kUpgrade + kConnection + kAccept + "\n", false,
         "no header", false},
    };
    check_rows(rows);
}

void chosen_protocol(void**) {
    struct Choice {
        std::optional<std::string_view> protocols;
        std::optional<std::string_view> extra;
        const char* answer;  // null: no header
        bool ready;
    };
    const Choice rows[] = {
        {{}, {}, nullptr, true},
        {{}, {}, "chat", false},
        {{}, {}, "", false},
        {"chat", {}, nullptr, true},
        {"chat", {}, "chat", true},
        {"chat", {}, "Chat", false},
        {"chat", {}, "cha", false},
        {"chat", {}, "", false},
        {"chat, superchat", {}, "superchat", true},
        {"chat, superchat", {}, "other", false},
        {"chat, superchat", {}, "chat, superchat", true},
        {"chat, superchat", {}, "chat,superchat", false},
        {"a, b, c", {}, "a, b", false},
        {"chat superchat", {}, "superchat", true},
        {"chat superchat", {}, "chat, superchat", true},
        {"chat superchat", {}, "chat superchat", false},
        {{}, "\r\nSec-WebSocket-Protocol: chat", "chat", true},
        {{}, "\r\nsec-websocket-protocol: a b", "b", true},
        {{}, "X: y\r\nSec-WebSocket-Protocol:a,b\r\n", "b", true},
        {"chat", "\r\nSec-WebSocket-Protocol: other", "other", true},
        {"chat", "\r\nSec-WebSocket-Protocol: other", "chat", true},
        {"chat", "\r\nX-Sec-WebSocket-Protocol: other", "other", false},
        {"", {}, "", true},
    };
    for (const Choice& row : rows) {
        const std::string sent = sent_with(row.protocols, row.extra);
        std::string answer;
        if (row.answer != nullptr)
            answer.append("Sec-WebSocket-Protocol: ").append(row.answer).append("\r\n");
        std::string reply = kOk;
        reply.append(kUpgrade).append(kConnection).append(kAccept).append(answer).append("\r\n");
        const ReplyOutcome outcome = receive(sent, reply);
        const std::string label = sent + answer;
        CHECK_ROW(label, outcome.complete);
        CHECK_ROW_EQUAL(label, outcome.ready, row.ready);
        const bool named = row.ready && row.answer != nullptr;
        CHECK_ROW_EQUAL(label, outcome.protocol, named ? row.answer : "(none)");
        if (!row.ready) CHECK_ROW_EQUAL(label, outcome.at_end, false);
    }
}

// Only the head that was sent counts, not what might stand behind its blank line.
void asked_in_the_head_only(void**) {
    const std::string sent = kHead + "\r\nSec-WebSocket-Protocol: late\r\n\r\n";
    CHECK(!receive(sent,
                   kOk + kUpgrade + kConnection + kAccept + "Sec-WebSocket-Protocol: late\r\n\r\n")
               .ready);
}

void check_before_the_end(void**) {
    ClientHandshake handshake(sent_with({}), kKeyText);
    CHECK(handshake.fault() == nullptr && handshake.status() == 0);
    CHECK(!handshake.check() && handshake.fault() != nullptr);
    CHECK(handshake.take_line(kOk).event == HeadEvent::refused);
}

// Both sides of this library agree, with every kind of request.
void both_sides(void**) {
    const std::string requests_sent[] = {
        sent_with({}),
        sent_with("chat"),
        sent_with("chat superchat"),
        sent_with("a, b"),
        sent_with({}, "Sec-WebSocket-Protocol: x y"),
        sent_with("", "\r\nX: y\r\n"),
    };
    for (const std::string& sent : requests_sent) {
        LineReader reader;
        ServerHandshake server;
        Bytes rest = bytes_of(sent);
        std::size_t at = 0;
        HeadStep head;
        while (head.event != HeadEvent::end) {
            const auto step = reader.feed(std::span(rest).subspan(at));
            CHECK_ROW(sent, step.status == LineReader::Status::line);
            at += step.consumed;
            head = server.take_line(reader.line());
            CHECK_ROW(sent, head.event != HeadEvent::refused);
            reader.next();
        }
        CHECK_ROW_EQUAL(sent, at, rest.size());
        CHECK_ROW(sent, server.check(13, true));
        const ReplyOutcome outcome = receive(sent, server.reply({}));
        CHECK_ROW(sent, outcome.ready);
        CHECK_ROW_EQUAL(sent, outcome.protocol,
                        server.protocols_asked() ? std::string(server.first_protocol())
                                                 : std::string("(none)"));
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(extra_headers),
        cmocka_unit_test(protocol_lists),
        cmocka_unit_test(status_lines),
        cmocka_unit_test(reply_headers),
        cmocka_unit_test(chosen_protocol),
        cmocka_unit_test(asked_in_the_head_only),
        cmocka_unit_test(check_before_the_end),
        cmocka_unit_test(both_sides),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
