// SPDX-License-Identifier: MIT
// The bytes of each reply: subprotocol choice, refusals, limits, and peers that speak no HTTP
// (RFC 6455 4.2.2, 4.4).
#include <string>

#include "protocol/requests.hpp"
#include "protocol/server_handshake.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

void subprotocols(void**) {
    struct Row {
        const char* label;
        std::optional<std::string> asked;
        std::optional<std::string> set;
        std::string answer;  // empty: no header
    };
    const Row rows[] = {
        {"nothing, nothing", {}, {}, ""},
        {"nothing, p", {}, "p", ""},
        {"list, p of it", "chat, superchat", "superchat", "superchat"},
        {"list, p not of it", "chat, superchat", "other", "other"},
        {"list, empty choice", "chat", "", ""},
        {"one, nothing", "chat", {}, "chat"},
        {"several, nothing", "chat, superchat", {}, "chat"},
        {"several without blanks", "chat,superchat", {}, "chat"},
        {"separated by blanks", "chat superchat", {}, "chat"},
        {"empty items", " , ,chat", {}, "chat"},
        {"empty list", "", {}, ""},
        {"empty list, p", "", "p", ""},
        {"carriage return inside", "chat\rX-Evil: 1", {}, "chat"},
    };
    for (const Row& row : rows) {
        Change change;
        if (row.asked) change.extra = "Sec-WebSocket-Protocol:" + *row.asked + "\r\n";
        const Outcome outcome = serve(request(change), {.set_protocol = row.set});
        CHECK_ROW_EQUAL(row.label, outcome.reply, accepted(row.answer));
    }
}

void refusal_replies(void**) {
    struct Row {
        int status;
        const char* reply;
    };
    const Row rows[] = {
        {400, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
        {403, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
        {426, "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\n"
              "Sec-WebSocket-Version: 13\r\n\r\n"},
        {431, "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
              "Content-Length: 0\r\n\r\n"},
        {505, "HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\n"
              "Content-Length: 0\r\n\r\n"},
    };
    for (const Row& row : rows) {
        ServerHandshake handshake;
        CHECK_ROW(row.status, handshake.refusal_reply(13).empty());
        handshake.refuse({row.status, "first", true});
        handshake.refuse({400, "second", false});
        CHECK_ROW_EQUAL(row.status, handshake.refusal_reply(13), row.reply);
        CHECK_ROW_EQUAL(row.status, std::string(handshake.refusal().reason), "first");
        ServerHandshake silent;
        silent.refuse({row.status, "nothing came", false});
        CHECK_ROW(row.status, silent.refused() && silent.refusal_reply(13).empty());
    }
    const std::string reply =
        serve(request({.header = "Sec-WebSocket-Version", .value = "9"}), {.version = 8}).reply;
    CHECK(reply.find("Sec-WebSocket-Version: 8\r\n") != std::string::npos);
}

void too_much(void**) {
    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 5000; ++i)
        many += "a:b\r\n";
    expect_status("lines", serve(many), 431);
    std::string large = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 40; ++i)
        large += "X: " + std::string(8000, 'x') + "\r\n";
    expect_status("bytes", serve(large), 431);
    const Outcome target = serve("GET /" + std::string(9000, 'u') + " HTTP/1.1\r\n");
    expect_status("target", target, 431);
    CHECK(target.answer);
    // A long line that is no HTTP gets no answer, however it comes.
    const Outcome binary = serve(std::string(9000, '\x01'));
    CHECK(binary.complete && !binary.answer && binary.reply.empty());
    ServerHandshake handshake;
    handshake.refuse_for_size(LineReader::Status::too_long, "\x16\x03");
    CHECK(!handshake.refusal().answer);
    // What must be taken: 64 KiB in 1000 lines.
    std::string allowed;
    for (int i = 0; i < 990; ++i)
        allowed += "X-Header: " + std::string(54, 'v') + "\r\n";
    expect_status("64 KiB", serve(request({.extra = allowed})), 0);
}

// TLS on a plain port is recognised at its first byte, without a line feed.
void early_verdict(void**) {
    const Outcome tls = serve(std::string("\x16\x03\x01\x02\x00\x01", 6));
    CHECK(tls.complete && tls.status == 400 && !tls.answer && tls.reply.empty());
    ServerHandshake handshake;
    CHECK(handshake.take_partial_line("") && handshake.take_partial_line("GE"));
    CHECK(handshake.take_line("GET / HTTP/1.1\r\n").event == HeadEvent::target);
    // Only the first line is judged.
    CHECK(handshake.take_partial_line("\x16\x03"));
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(subprotocols),
        cmocka_unit_test(refusal_replies),
        cmocka_unit_test(too_much),
        cmocka_unit_test(early_verdict),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
