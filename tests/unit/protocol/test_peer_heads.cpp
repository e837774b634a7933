// SPDX-License-Identifier: MIT
// Requests and replies as other libraries, a browser and proxies were seen to send them, at every
// split: their order, their letter case and the headers that nobody asked for are their own choice.
#include <string>

#include "protocol/replies.hpp"
#include "protocol/requests.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

// Each names /echo and offers superchat and chat; only the key was replaced.
void requests_of_others(void**) {
    struct Row {
        const char* peer;
        const char* text;
        const char *host, *origin, *protocols, *real_ip;  // empty: no such header
    };
    const Row rows[] = {
        {"Chromium 156",
         "GET /echo HTTP/1.1\r\n"
         "Host: 127.0.0.1:38721\r\n"
         "Connection: Upgrade\r\n"
         "Pragma: no-cache\r\n"
         "Cache-Control: no-cache\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "HeadlessChrome/156.0.0.0 Safari/537.36\r\n"
         "Upgrade: websocket\r\n"
         "Origin: http://127.0.0.1:38721\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "Accept-Encoding: gzip, deflate, br, zstd\r\n"
         "Accept-Language: en-US,en;q=0.9\r\n"
         "Cookie: taste=sweet\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
         "Sec-WebSocket-Protocol: superchat, chat\r\n"
         "\r\n",
         "127.0.0.1:38721", "http://127.0.0.1:38721", "superchat, chat", ""},
        {"nginx 1.22 as a proxy",
         "GET /echo HTTP/1.1\r\n"
         "Upgrade: websocket\r\n"
         "Connection: upgrade\r\n"
         "Host: localhost\r\n"
         "X-Real-IP: 127.0.0.2\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Origin: http://interop.example\r\n"
         "Sec-WebSocket-Protocol: superchat, chat\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "\r\n",
         "localhost", "http://interop.example", "superchat, chat", "127.0.0.2"},
        {"HAProxy 2.6 as a proxy",
         "GET /echo HTTP/1.1\r\n"
         "host: localhost\r\n"
         "upgrade: websocket\r\n"
         "connection: Upgrade\r\n"
         "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "origin: http://interop.example\r\n"
         "sec-websocket-protocol: superchat, chat\r\n"
         "sec-websocket-version: 13\r\n"
         "x-real-ip: 127.0.0.2\r\n"
         "\r\n",
         "localhost", "http://interop.example", "superchat, chat", "127.0.0.2"},
        {"Python websockets 10.4",
         "GET /echo HTTP/1.1\r\n"
         "Host: 127.0.0.1:44069\r\n"
         "Upgrade: websocket\r\n"
         "Connection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: superchat, chat\r\n"
         "User-Agent: Python/3.11 websockets/10.4\r\n"
         "\r\n",
         "127.0.0.1:44069", "", "superchat, chat", ""},
        {"aiohttp 3.8",
         "GET /echo HTTP/1.1\r\n"
         "Host: 127.0.0.1:46831\r\n"
         "Upgrade: websocket\r\n"
         "Connection: upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Protocol: superchat,chat\r\n"
         "Accept: */*\r\n"
         "Accept-Encoding: gzip, deflate\r\n"
         "User-Agent: Python/3.11 aiohttp/3.8.4\r\n"
         "\r\n",
         "127.0.0.1:46831", "", "superchat,chat", ""},
        {"Autobahn 22.7",
         "GET /echo HTTP/1.1\r\n"
         "User-Agent: AutobahnPython/22.7.1\r\n"
         "Host: 127.0.0.1:32891\r\n"
         "Upgrade: WebSocket\r\n"
         "Connection: Upgrade\r\n"
         "Pragma: no-cache\r\n"
         "Cache-Control: no-cache\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Protocol: superchat,chat\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "\r\n",
         "127.0.0.1:32891", "", "superchat,chat", ""},
        {"ws 8.18",
         "GET /echo HTTP/1.1\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Connection: Upgrade\r\n"
         "Upgrade: websocket\r\n"
         "Sec-WebSocket-Protocol: superchat,chat\r\n"
         "Host: 127.0.0.1:42475\r\n"
         "\r\n",
         "127.0.0.1:42475", "", "superchat,chat", ""},
        {"libwebsockets 4.1",
         "GET /echo HTTP/1.1\r\n"
         "Pragma: no-cache\r\n"
         "Cache-Control: no-cache\r\n"
         "Host: localhost\r\n"
         "Upgrade: websocket\r\n"
         "Connection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Protocol: superchat,chat\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "\r\n",
         "localhost", "", "superchat,chat", ""},
        {"Boost.Beast 1.74",
         "GET /echo HTTP/1.1\r\n"
         "Host: 127.0.0.1:44035\r\n"
         "Upgrade: websocket\r\n"
         "Connection: upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: superchat, chat\r\n"
         "\r\n",
         "127.0.0.1:44035", "", "superchat, chat", ""},
        {"WebSocket++ 0.8.2",
         "GET /echo HTTP/1.1\r\n"
         "Connection: Upgrade\r\n"
         "Host: 127.0.0.1:38549\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Protocol: superchat, chat\r\n"
         "Sec-WebSocket-Version: 13\r\n"
         "Upgrade: websocket\r\n"
         "User-Agent: WebSocket++/0.8.2\r\n"
         "\r\n",
         "127.0.0.1:38549", "", "superchat, chat", ""},
    };
    const auto has = [](const Outcome& outcome, const std::string& name, const char* value) {
        if (*value == 0) return outcome.events.find("\n" + name + " ") == std::string::npos;
        return outcome.events.find("\n" + name + " " + value + "\n") != std::string::npos;
    };
    for (const Row& row : rows) {
        const Ask ask = {.origin_needed = *row.origin != 0, .set_protocol = "chat"};
        for_every_split(bytes_of(row.text), [&](const auto& parts) {
            const Outcome outcome = serve(parts, ask);
            expect_status(row.peer, outcome, 0);
            // No extension is accepted, whatever was offered.
            CHECK_ROW_EQUAL(row.peer, outcome.reply, accepted("chat"));
            CHECK_ROW(row.peer, outcome.events.starts_with("target /echo\n"));
            CHECK_ROW(row.peer, has(outcome, "host", row.host));
            CHECK_ROW(row.peer, has(outcome, "origin", row.origin));
            CHECK_ROW(row.peer, has(outcome, "protocols", row.protocols));
            CHECK_ROW(row.peer, has(outcome, "x_real_ip", row.real_ip));
        });
    }
}

void replies_of_others(void**) {
    struct Row {
        const char* peer;
        const char* text;
    };
    const Row rows[] = {
        {"Python websockets 10.4", "HTTP/1.1 101 Switching Protocols\r\n"
                                   "Upgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                   "Sec-WebSocket-Protocol: chat\r\n"
                                   "Date: Wed, 25 Nov 2026 03:04:27 GMT\r\n"
                                   "Server: Python/3.11 websockets/10.4\r\n"
                                   "\r\n"},
        {"aiohttp 3.8", "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\n"
                        "Connection: upgrade\r\n"
                        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                        "Sec-WebSocket-Protocol: chat\r\n"
                        "Content-Type: application/octet-stream\r\n"
                        "Date: Wed, 25 Nov 2026 03:04:27 GMT\r\n"
                        "Server: Python/3.11 aiohttp/3.8.4\r\n"
                        "\r\n"},
        {"Autobahn 22.7", "HTTP/1.1 101 Switching Protocols\r\n"
                          "Server: AutobahnPython/22.7.1\r\n"
                          "Upgrade: WebSocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Protocol: chat\r\n"
                          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                          "\r\n"},
        {"ws 8.18", "HTTP/1.1 101 Switching Protocols\r\n"
                    "Upgrade: websocket\r\n"
                    "Connection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                    "Sec-WebSocket-Protocol: chat\r\n"
                    "\r\n"},
        {"libwebsockets 4.1", "HTTP/1.1 101 Switching Protocols\r\n"
                              "Upgrade: WebSocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                              "Sec-WebSocket-Protocol: chat\r\n"
                              "\r\n"},
        {"Boost.Beast 1.74", "HTTP/1.1 101 Switching Protocols\r\n"
                             "Upgrade: websocket\r\n"
                             "Connection: upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "Sec-WebSocket-Protocol: chat\r\n"
                             "Server: Boost.Beast/300\r\n"
                             "\r\n"},
        {"WebSocket++ 0.8.2", "HTTP/1.1 101 Switching Protocols\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                              "Sec-WebSocket-Protocol: chat\r\n"
                              "Server: WebSocket++/0.8.2\r\n"
                              "Upgrade: websocket\r\n"
                              "\r\n"},
        {"a listener behind nginx 1.22", "HTTP/1.1 101 Switching Protocols\r\n"
                                         "Server: nginx/1.22.1\r\n"
                                         "Date: Wed, 25 Nov 2026 03:04:50 GMT\r\n"
                                         "Connection: upgrade\r\n"
                                         "Upgrade: websocket\r\n"
                                         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                         "Sec-WebSocket-Protocol: chat\r\n"
                                         "\r\n"},
        {"a listener behind HAProxy 2.6", "HTTP/1.1 101 Switching Protocols\r\n"
                                          "upgrade: websocket\r\n"
                                          "connection: Upgrade\r\n"
                                          "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                          "sec-websocket-protocol: chat\r\n"
                                          "\r\n"},
    };
    RequestParts asked;
    asked.target = "/echo";
    asked.host = "localhost";
    asked.key = kKeyText;
    asked.protocols = "superchat, chat";
    const std::string sent = build_request(asked);
    for (const Row& row : rows)
        for_every_split(bytes_of(row.text), [&](const auto& parts) {
            const ReplyOutcome outcome = receive(sent, parts);
            CHECK_ROW_EQUAL(row.peer, outcome.fault, std::string());
            CHECK_ROW(row.peer, outcome.ready && outcome.at_end);
            CHECK_ROW_EQUAL(row.peer, outcome.protocol, std::string("chat"));
        });
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_others),
        cmocka_unit_test(replies_of_others),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
