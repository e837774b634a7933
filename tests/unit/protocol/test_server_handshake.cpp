// SPDX-License-Identifier: MIT
// Requests, good and bad, and the bytes of each reply (RFC 6455 4.2; request line, headers,
// refusals and subprotocol choice row by row).
#include "protocol/server_handshake.hpp"

#include <algorithm>
#include <string>

#include "protocol/requests.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

void rfc_example(void**) {
    const Outcome outcome = serve("GET /chat HTTP/1.1\r\n"
                                  "Host: server.example.com\r\n"
                                  "Upgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
                                  "Sec-WebSocket-Protocol: chat, superchat\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Origin: http://example.com\r\n"
                                  "\r\n");
    CHECK_EQUAL(outcome.reply, "HTTP/1.1 101 Switching Protocols\r\n"
                               "Upgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n"
                               "Sec-WebSocket-Protocol: chat\r\n"
                               "\r\n");
    CHECK_EQUAL(outcome.events,
                "target /chat\nhost server.example.com\nupgrade websocket\nconnection Upgrade\n"
                "key x3JJHMbDL1EzLkh9GBhXDw==\nprotocols chat, superchat\nversion 13\n"
                "origin http://example.com\n");
}

// Several requests, good and bad, at every split: same events, same verdict.
void every_split(void**) {
    const std::string requests[] = {
        request({.extra = "Cookie: a=b; c=d\r\nX-Real-IP: 192.0.2.7\r\nX-Other: 1\r\n"}),
        request({.header = "Upgrade", .value = " h2c"}),
        request({.extra = "Host: again\r\n"}),
        request({.extra = "no colon\r\n"}),
        request({.first = "GET / HTTP/1.0\r\n"}),
        request({.first = "GET nothing HTTP/1.1\r\n"}),
        std::string("\x16\x03\x01\x02\x00\x01\x00\n", 8),
        "GET\rX\r\n\r\n",
        "\r\n",
    };
    for (const std::string& text : requests) {
        const Outcome whole = serve(text);
        CHECK_ROW(text, whole.complete);
        for_every_split(bytes_of(text), [&](const auto& parts) {
            const Outcome outcome = serve(parts);
            CHECK_ROW_EQUAL(text, outcome.events, whole.events);
            CHECK_ROW_EQUAL(text, outcome.status, whole.status);
            CHECK_ROW_EQUAL(text, outcome.reply, whole.reply);
        });
    }
}

void request_lines(void**) {
    struct Row {
        const char* line;
        int status;  // 0: taken
        const char* target = "";
        bool answer = true;
    };
    const Row rows[] = {
        {"GET / HTTP/1.1\r\n", 0, "/"},
        {"GET / HTTP/1.1\n", 0, "/"},
        {"GET / HTTP/1.2\r\n", 0, "/"},
        {"GET / HTTP/1.9\r\n", 0, "/"},
        {"GET   /a   HTTP/1.1\r\n", 0, "/a"},
        {"GET / HTTP/1.1  \r\n", 0, "/"},
        {"GET /a/b?c=d&e#f HTTP/1.1\r\n", 0, "/a/b?c=d&e#f"},
        {"GET /%20%zz HTTP/1.1\r\n", 0, "/%20%zz"},
        {"GET /\xc3\xa9 HTTP/1.1\r\n", 0, "/\xc3\xa9"},
        {"GET // HTTP/1.1\r\n", 0, "//"},
        {"GET / HTTP/1.0\r\n", 505},
        {"GET / HTTP/0.9\r\n", 505},
        {"GET / HTTP/2.0\r\n", 505},
        {"GET / HTTP/1.10\r\n", 400},
        {"GET / HTTP/1\r\n", 400},
        {"GET / HTTP/1.x\r\n", 400},
        {"GET / http/1.1\r\n", 400},
        {"GET / HTTP/1.1 junk\r\n", 400},
        {"GET / HTTP/1.1x\r\n", 400},
        {"GET / X\r\n", 400},
        {"GET /only\r\n", 400},
        {"GET /only \r\n", 400},
        {"GET nothing HTTP/1.1\r\n", 400},
        {"GET  HTTP/1.1\r\n", 400},
        {"GET \r\n", 400},
        {"GET\r\n", 400},
        {"GET\t/ HTTP/1.1\r\n", 400},
        {"GET http://x/ HTTP/1.1\r\n", 400},
        {"GET * HTTP/1.1\r\n", 400},
        {"GET /a\x01 HTTP/1.1\r\n", 400},
        {"GET /a\rb HTTP/1.1\r\n", 400},
        {"get / HTTP/1.1\r\n", 400},
        {"GETX / HTTP/1.1\r\n", 400},
        {"POST / HTTP/1.1\r\n", 400},
        {"POST http://x/ HTTP/1.1\r\n", 400},
        {"HTTP/1.1 101 Switching Protocols\r\n", 400},
        {"Host: localhost\r\n", 400},
        {" GET / HTTP/1.1\r\n", 400},
        {"\r\n", 400},
        {"\n", 400},
        {"x\n", 400},
        {"\x16\x03\x01\n", 400, "", false},
        {"\x80\n", 400, "", false},
        {"GET\x01\n", 400, "", false},
        {"{}\n", 400, "", false},
    };
    for (const Row& row : rows) {
        ServerHandshake handshake;
        const HeadStep step = handshake.take_line(row.line);
        CHECK_ROW_EQUAL(row.line, handshake.refusal().status, row.status);
        CHECK_ROW(row.line,
                  step.event == (row.status == 0 ? HeadEvent::target : HeadEvent::refused));
        CHECK_ROW_EQUAL(row.line, step.value, row.target);
        CHECK_ROW_EQUAL(row.line, handshake.refusal().answer, row.answer);
        CHECK_ROW_EQUAL(row.line, handshake.refusal_reply(13).empty(),
                        row.status == 0 || !row.answer);
        if (row.status != 0) {
            CHECK_ROW(row.line, handshake.take_line("Host: x\r\n").event == HeadEvent::refused);
            CHECK_ROW(row.line, !handshake.check(13, false));
        }
    }
    const std::string zero("GET /a\0b HTTP/1.1\r\n", 19);
    expect_status("zero byte", serve(zero), 400);
}

void header_lines(void**) {
    struct Row {
        const char* label;
        std::string extra;
        int status;
    };
    const Row rows[] = {
        {"none", "", 0},
        {"unknown twice", "X-Other: a\r\nX-Other: b\r\n", 0},
        {"empty value", "X-Other:\r\n", 0},
        {"bare line feed", "X-Other: a\n", 0},
        {"high bytes", "X-Other: \xff\xfe\r\n", 0},
        {"extensions", "Sec-WebSocket-Extensions: permessage-deflate\r\n", 0},
        {"extensions twice", "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b\r\n", 0},
        {"accept is no request header", "Sec-WebSocket-Accept: x\r\n", 0},
        {"second request line", "GET / HTTP/1.1\r\n", 400},
        {"second request line with a colon", "GET http://x/ HTTP/1.1\r\n", 400},
        {"no colon", "this is no header\r\n", 400},
        {"continuation line", "X-Other: a\r\n b: c\r\n", 400},
        {"continuation line with a tab", "X-Other: a\r\n\tb: c\r\n", 400},
        {"blank before the colon", "X-Other : a\r\n", 400},
        {"empty name", ": a\r\n", 400},
        {"short line", "a\n", 400},
        {"colon alone", ":\n", 400},
        {"bare line feed as the end", "\n", 400},
        {"carriage return twice", "\r\r\n", 400},
        {"zero byte", std::string("X-Other: a\0b\r\n", 14), 400},
        {"zero byte in a name", std::string("X\0Other: a\r\n", 12), 400},
        {"long line", "X-Long: " + std::string(8181, 'a') + "\r\n", 0},
        {"too long a line", "X-Long: " + std::string(8182, 'a') + "\r\n", 431},
    };
    for (const Row& row : rows) {
        const Outcome outcome = serve(request({.extra = row.extra}));
        expect_status(row.label, outcome, row.status);
        CHECK_ROW(row.label, outcome.answer);
        if (row.status == 0) CHECK_ROW_EQUAL(row.label, outcome.reply, accepted());
    }
}

// Presence, repetition and value of each header.
void required_headers(void**) {
    struct Row {
        const char* header;
        std::optional<std::string> value;
        int status;
    };
    const Row rows[] = {
        {"Host", {}, 400},
        {"Host", "", 0},
        {"Host", " [::1]:80", 0},
        {"Upgrade", {}, 400},
        {"Upgrade", "", 400},
        {"Upgrade", " h2c", 400},
        {"Upgrade", " WebSocket", 0},
        {"Upgrade", " h2c, websocket", 0},
        {"Upgrade", " websockets", 400},
        {"Connection", {}, 400},
        {"Connection", "", 400},
        {"Connection", " close", 400},
        {"Connection", "upgrade", 0},
        {"Connection", " keep-alive, Upgrade", 0},
        {"Connection", " Upgrade,keep-alive", 0},
        {"Sec-WebSocket-Key", {}, 400},
        {"Sec-WebSocket-Key", "", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZQ", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZQ=", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZQ===", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZXg=", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZXh4", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25j", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSB ub25jZQ==", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25 jZQ=", 400},
        {"Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub2-jZQ==", 400},
        {"Sec-WebSocket-Key", " AQIDBAUGBwgJCgsMDQ4PEC==", 0},
        {"Sec-WebSocket-Version", {}, 426},
        {"Sec-WebSocket-Version", "", 426},
        {"Sec-WebSocket-Version", "13", 0},
        {"Sec-WebSocket-Version", " 8", 426},
        {"Sec-WebSocket-Version", " 14", 426},
        {"Sec-WebSocket-Version", " 130", 426},
        {"Sec-WebSocket-Version", " 13.0", 426},
        {"Sec-WebSocket-Version", " 13abc", 426},
        {"Sec-WebSocket-Version", " abc", 426},
        {"Sec-WebSocket-Version", " 013", 426},
        {"Sec-WebSocket-Version", " +13", 426},
        {"Sec-WebSocket-Version", " -13", 426},
        {"Sec-WebSocket-Version", " 0x0d", 426},
        {"Sec-WebSocket-Version", " 13, 8", 426},
        {"Sec-WebSocket-Version", " 4294967309", 426},
        {"Origin", {}, 403},
        {"Origin", "", 0},
        {"Origin", " null", 0},
    };
    for (const Row& row : rows) {
        const std::string label = std::string(row.header) + ":" + row.value.value_or(" (none)");
        const Outcome outcome = serve(request({.header = row.header, .value = row.value}));
        expect_status(label, outcome, row.status);
    }
    for (const char* header :
         {"Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Origin", "Sec-WebSocket-Version",
          "Sec-WebSocket-Protocol", "Cookie", "X-Real-IP"}) {
        const std::string line = std::string(header) + ": x\r\n";
        expect_status(header, serve(request({.extra = line + line})), 400);
        std::string lower = line;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        expect_status(lower, serve(request({.extra = line + lower})), 400);
    }
}

// Which of several faults is named; and the switches of the caller.
void verdicts(void**) {
    const std::string no_origin = request({.header = "Origin"});
    expect_status("origin not needed", serve(no_origin, {.origin_needed = false}), 0);
    expect_status("origin needed", serve(no_origin), 403);
    const std::string version_8 = request({.header = "Sec-WebSocket-Version", .value = "8"});
    expect_status("another version is ours", serve(version_8, {.version = 8}), 0);
    expect_status("13 is not", serve(request(), {.version = 8}), 426);
    expect_status("absent version is no number",
                  serve(request({.header = "Sec-WebSocket-Version"}), {.version = -1}), 426);
    expect_status("plain HTTP", serve("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    expect_status("old drafts learn the version before all else",
                  serve("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                        "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Origin: x\r\n\r\n"),
                  426);
    CHECK(!serve("GET / HTTP/1.1\r\nHost: x\r\n").complete);
    ServerHandshake nothing;
    CHECK(!nothing.check(13, false) && nothing.refusal().status == 400);
}

void header_values(void**) {
    const Outcome outcome =
        serve(request({.first = "GET /a?b HTTP/1.1\r\n",
                       .extra = "COOKIE:  a=b; c=d \r\nx-real-ip:\t192.0.2.7\r\n"
                                "sec-websocket-protocol: chat ,  superchat\r\nUser-Agent: x\r\n"}));
    CHECK_EQUAL(outcome.events, "target /a?b\nhost localhost\nupgrade websocket\n"
                                "connection Upgrade\nkey " +
                                    std::string(kKeyText) +
                                    "\norigin http://localhost\nversion 13\ncookie a=b; c=d\n"
                                    "x_real_ip 192.0.2.7\nprotocols chat ,  superchat\n");
    expect_status("values", outcome, 0);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(rfc_example),      cmocka_unit_test(every_split),
        cmocka_unit_test(request_lines),    cmocka_unit_test(header_lines),
        cmocka_unit_test(required_headers), cmocka_unit_test(verdicts),
        cmocka_unit_test(header_values),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
