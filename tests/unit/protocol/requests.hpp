// SPDX-License-Identifier: MIT
// Requests as a client may send them, right and wrong, and a drive of the server's side over their
// bytes that records what came out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/server_handshake.hpp"
#include "unit/unit_test.hpp"

namespace nopoll::test {

using protocol::HeadEvent;
using protocol::HeadStep;
using protocol::LineReader;
using protocol::ServerHandshake;

inline constexpr const char* kKeyText = "dGhlIHNhbXBsZSBub25jZQ==";

struct Outcome {
    std::string events;  // "event value" lines
    int status = 0;      // 0: accepted
    bool answer = true;
    std::string reply;
    bool complete = false;  // the end of the head was reached, or it was refused
};

inline const char* name_of(HeadEvent event) {
    constexpr const char* names[] = {"ignored",   "target",     "host",      "origin",
                                     "protocols", "cookie",     "x_real_ip", "accepted_protocol",
                                     "upgrade",   "connection", "key",       "version",
                                     "accept",    "end",        "refused"};
    return names[static_cast<std::size_t>(event)];
}

struct Ask {
    int version = 13;
    bool origin_needed = true;
    std::optional<std::string> set_protocol{};
};

// Drives reader and handshake as a connection does, over the parts of a request.
inline Outcome serve(const std::vector<std::span<const std::byte>>& parts, const Ask& ask = {}) {
    LineReader reader;
    ServerHandshake handshake;
    Outcome outcome;
    const auto finish = [&](bool accepted) {
        outcome.complete = true;
        outcome.status = handshake.refusal().status;
        outcome.answer = handshake.refusal().answer;
        std::optional<std::string_view> choice;
        if (ask.set_protocol) choice = *ask.set_protocol;
        outcome.reply = accepted ? handshake.reply(choice) : handshake.refusal_reply(ask.version);
        CHECK_EQUAL(accepted, !handshake.refused());
        CHECK(accepted || *handshake.refusal().reason != '\0');
        return outcome;
    };
    for (auto part : parts) {
        while (!part.empty()) {
            const auto step = reader.feed(part);
            part = part.subspan(step.consumed);
            if (step.status == LineReader::Status::need_more) {
                if (!handshake.take_partial_line(reader.held())) return finish(false);
                continue;
            }
            if (step.status != LineReader::Status::line) {
                handshake.refuse_for_size(step.status, reader.held());
                return finish(false);
            }
            const HeadStep head = handshake.take_line(reader.line());
            if (head.event == HeadEvent::refused) return finish(false);
            if (head.event == HeadEvent::end)
                return finish(handshake.check(ask.version, ask.origin_needed));
            if (head.event != HeadEvent::ignored)
                outcome.events +=
                    std::string(name_of(head.event)) + " " + std::string(head.value) + "\n";
            reader.next();
        }
    }
    return outcome;
}

inline Outcome serve(std::string_view text, const Ask& ask = {}) {
    const Bytes bytes = bytes_of(text);
    return serve({std::span<const std::byte>(bytes)}, ask);
}

// A good request with changes: a header replaced, removed (no value), or lines added.
struct Change {
    std::string first = "GET / HTTP/1.1\r\n";
    std::string header{};
    std::optional<std::string> value{};
    std::string extra{};
};

inline std::string request(const Change& change = {}) {
    const std::pair<const char*, const char*> headers[] = {
        {"Host", "localhost"},          {"Upgrade", "websocket"},
        {"Connection", "Upgrade"},      {"Sec-WebSocket-Key", kKeyText},
        {"Origin", "http://localhost"}, {"Sec-WebSocket-Version", "13"}};
    std::string text = change.first;
    for (const auto& [name, value] : headers) {
        if (change.header != name) {
            text += std::string(name) + ": " + value + "\r\n";
        } else if (change.value) {
            text += std::string(name) + ":" + *change.value + "\r\n";
        }
    }
    return text + change.extra + "\r\n";
}

// The 101 for kKeyText; empty: no header for the subprotocol.
inline std::string accepted(std::string_view protocol = {}) {
    std::string reply = "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\n"
                        "Connection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    if (!protocol.empty()) reply.append("Sec-WebSocket-Protocol: ").append(protocol).append("\r\n");
    return reply + "\r\n";
}

inline void expect_status(std::string_view label, const Outcome& outcome, int status) {
    CHECK_ROW(label, outcome.complete);
    CHECK_ROW_EQUAL(label, outcome.status, status);
}

}  // namespace nopoll::test
