// SPDX-License-Identifier: MIT
// The checks of a client, the same for each library; see expectations.hpp.
#include "expectations.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

namespace interop {

const std::string kPing = "are you there";

namespace {

const std::string kHello = "hello, zażółć gęślą jaźń";
constexpr std::size_t kBig = 16 << 20;
constexpr std::size_t kLimit = 1 << 10;
constexpr int kManyConnections = 100;

void expect(bool right, const std::string& what) {
    if (!right) throw std::runtime_error(what);
}

void expect_close(const CloseStatus& got, int code, const std::string& reason) {
    expect(got.code == code && got.reason == reason,
           "closed with " + std::to_string(got.code) + " '" + got.reason + "'");
}

void echo(Connection& connection, const Message& message) {
    connection.send(message);
    expect(connection.receive() == message, "the answer is not what was sent");
}

void check_text(const Connect& connect) {
    const auto connection = connect({"/echo", {}, "", {}});
    echo(*connection, {false, kHello});
    echo(*connection, {false, ""});
}

void check_binary(const Connect& connect) {
    echo(*connect({"/echo", {}, "", {}}), {true, pattern(256)});
}

void check_sizes(const Connect& connect) {
    const auto connection = connect({"/whole", {}, "", {}});
    for (const std::size_t size : {0, 1, 125, 126, 65535, 65536, 1 << 20})
        echo(*connection, {true, pattern(size)});
}

void check_big(const Connect& connect) {
    echo(*connect({"/whole", {}, "", {}}), {true, pattern(kBig)});
}

void check_frag_sent(const Connect& connect) {
    const auto connection = connect({"/fragments", {}, "", {}});
    echo(*connection, {false, kHello});
    echo(*connection, {true, pattern(100000)});
}

void check_frag_rcvd(const Connect& connect) {
    for (const char* path : {"/echo", "/whole"}) {
        const auto connection = connect({path, {}, "", {}});
        connection->send_fragments(false, {"one ", "", "żwo ", "three"});
        expect(connection->receive() == Message{false, "one żwo three"}, "text");
        connection->send_fragments(true, {pattern(70000), pattern(3)});
        expect(connection->receive() == Message{true, pattern(70000) + pattern(3)}, "binary");
    }
}

void check_ping_sent(const Connect& connect) {
    const auto connection = connect({"/ping", {}, "", {}});
    expect(connection->receive() == Message{false, "pinged"}, "no text after the ping");
    expect(connection->pinged == kPing, "the ping was '" + connection->pinged + "'");
}

void check_ping_rcvd(const Connect& connect) {
    const auto connection = connect({"/echo", {}, "", {}});
    connection->ping(kPing);
    echo(*connection, {false, kHello});
    expect(connection->ponged == kPing, "the pong was '" + connection->ponged + "'");
}

void check_close_sent(const Connect& connect) {
    const auto connection = connect({"/close", {}, "", {}});
    connection->send({false, "4001 going, zażółć"});
    expect_close(connection->wait_closed(), 4001, "going, zażółć");
    const auto without = connect({"/close", {}, "", {}});
    without->send({false, "0"});
    expect_close(without->wait_closed(), 1005, "");
}

void check_close_rcvd(const Connect& connect) {
    const auto connection = connect({"/echo?close-rcvd", {}, "", {}});
    connection->close(4002, "bye, zażółć");
    expect(connection->wait_closed().code == 4002, "not answered with the same code");
}

void check_subprotocol(const Connect& connect) {
    const auto connection = connect({"/echo", {"superchat", "chat"}, "", {}});
    expect(connection->subprotocol == "chat", "not chat but '" + connection->subprotocol + "'");
    expect(connect({"/echo", {}, "", {}})->subprotocol.empty(), "one that was not offered");
}

void check_headers(const Connect& connect) {
    const auto connection = connect({"/info?headers",
                                     {},
                                     "http://interop.example",
                                     {{"Cookie", "taste=sweet"}, {"X-Real-IP", "192.0.2.7"}}});
    const std::string text = connection->receive().data;
    for (const char* line : {"url: /info?headers\n", "origin: http://interop.example\n",
                             "cookie: taste=sweet\n", "x-real-ip: 192.0.2.7\n"})
        expect(text.find(line) != std::string::npos, "not in the answer: " + std::string(line));
}

void check_refused(const Connect& connect) {
    try {
        connect({"/refused", {}, "", {}});
    } catch (const Refused& refusal) {
        expect(refusal.status == 403, refusal.what());
        return;
    }
    throw std::runtime_error("not refused");
}

void check_limit(const Connect& connect) {
    const auto connection = connect({"/echo", {}, "", {}});
    echo(*connection, {true, pattern(kLimit)});
    connection->send({true, pattern(kLimit + 1)});
    const CloseStatus status = connection->wait_closed();
    expect(status.code == 1009, "closed with " + std::to_string(status.code));
}

void check_push(const Connect& connect) {
    const auto connection = connect({"/push", {}, "", {}});
    for (const Message& message : pushed())
        expect(connection->receive() == message, "not what the server pushes");
}

void check_many(const Connect& connect) {
    std::vector<std::unique_ptr<Connection>> connections;
    for (int number = 0; number < kManyConnections; number++)
        connections.push_back(connect({"/echo", {}, "", {}}));
    for (const auto& connection : connections)
        connection->send({false, kHello});
    for (const auto& connection : connections)
        expect(connection->receive() == Message{false, kHello}, "echo");
}

using Check = void (*)(const Connect&);

const std::map<std::string, Check>& checks() {
    static const auto* const all =
        new std::map<std::string, Check>{{"text", check_text},
                                         {"binary", check_binary},
                                         {"sizes", check_sizes},
                                         {"16MiB", check_big},
                                         {"frag-sent", check_frag_sent},
                                         {"frag-rcvd", check_frag_rcvd},
                                         {"ping-sent", check_ping_sent},
                                         {"ping-rcvd", check_ping_rcvd},
                                         {"close-sent", check_close_sent},
                                         {"close-rcvd", check_close_rcvd},
                                         {"subproto", check_subprotocol},
                                         {"headers", check_headers},
                                         {"refused", check_refused},
                                         {"limit", check_limit},
                                         {"push", check_push},
                                         {"many", check_many}};
    return *all;
}

}  // namespace

int run_checks(const Connect& connect, const std::vector<std::string>& features) {
    int status = 0;
    for (const std::string& feature : features) {
        try {
            checks().at(feature)(connect);
            std::printf("ok %s\n", feature.c_str());
        } catch (const std::exception& error) {
            std::string why = error.what();
            std::replace(why.begin(), why.end(), '\n', ' ');
            std::printf("fail %s: %s\n", feature.c_str(), why.c_str());
            status = 1;
        }
        std::fflush(stdout);
    }
    return status;
}

std::string pattern(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t index = 0; index < size; index++)
        bytes[index] = static_cast<char>(index % 251);
    return bytes;
}

std::vector<Message> pushed() {
    std::string bytes;
    for (int value = 0; value < 256; value++)
        bytes += static_cast<char>(value);
    return {{false, "update 1"}, {false, "update 2"}, {false, "update 3"}, {true, bytes}};
}

std::vector<std::string> thirds(const std::string& text) {
    const std::size_t third = text.size() / 3;
    return {text.substr(0, third), text.substr(third, third), text.substr(2 * third)};
}

std::string path_of(const std::string& target) {
    return target.substr(0, target.find('?'));
}

bool path_is_known(const std::string& target) {
    const std::vector<std::string> known = {"/echo", "/fragments", "/close", "/info",
                                            "/push", "/ping",      "/pinged"};
    return std::find(known.begin(), known.end(), path_of(target)) != known.end();
}

CloseStatus parse_going(const std::string& text) {
    std::size_t used = 0;
    const int code = std::stoi(text, &used);
    return {code, used < text.size() ? text.substr(used + 1) : ""};
}

void print_closed(const std::string& target, const CloseStatus& status) {
    std::printf("closed %s %d %s\n", target.c_str(), status.code, status.reason.c_str());
    std::fflush(stdout);
}

}  // namespace interop
