// SPDX-License-Identifier: MIT
// Drives one side of the opening handshake over bytes as a connection does, and records what came
// out. Shared by the targets of both sides.
#pragma once

#include <optional>

#include "fuzz_input.hpp"
#include "protocol/client_handshake.hpp"
#include "protocol/server_handshake.hpp"

namespace nopoll::fuzz {

struct HandshakeOutcome {
    std::string events;     // one line per header that means something
    bool complete = false;  // accepted or refused; otherwise bytes are missing
    bool accepted = false;
    int status = 0;
    std::string reason;
    std::string reply;                                    // server: what would be sent
    std::string target, host, origin, cookie, protocols;  // server: as asked; client: the answer
    std::size_t consumed = 0;
};

inline void note_event(HandshakeOutcome& outcome, const protocol::HeadStep& step) {
    using protocol::HeadEvent;
    if (step.event == HeadEvent::ignored) return;
    outcome.events += std::to_string(static_cast<int>(step.event)) + " ";
    outcome.events += step.value;
    outcome.events += '\n';
    switch (step.event) {
    case HeadEvent::target: outcome.target = step.value; break;
    case HeadEvent::host: outcome.host = step.value; break;
    case HeadEvent::origin: outcome.origin = step.value; break;
    case HeadEvent::cookie: outcome.cookie = step.value; break;
    case HeadEvent::protocols:
    case HeadEvent::accepted_protocol: outcome.protocols = step.value; break;
    default: break;
    }
}

inline HandshakeOutcome serve(Bytes rest, Splitter splitter, bool origin_needed) {
    using protocol::HeadEvent;
    using protocol::LineReader;
    LineReader reader;
    protocol::ServerHandshake server;
    HandshakeOutcome outcome;
    const auto finish = [&](bool accepted) {
        outcome.complete = true;
        outcome.accepted = accepted;
        outcome.status = server.refusal().status;
        outcome.reason = server.refusal().reason;
        FUZZ_CHECK(accepted == !server.refused());
        outcome.reply = accepted ? server.reply(std::nullopt) : server.refusal_reply(13);
        FUZZ_CHECK(accepted || server.refusal().answer == !outcome.reply.empty());
        FUZZ_CHECK(accepted || server.take_line("Host: a\r\n").event == HeadEvent::refused);
        return outcome;
    };
    while (!rest.empty()) {
        Bytes part = splitter.next(rest);
        while (!part.empty()) {
            const LineReader::Step step = reader.feed(part);
            part = part.subspan(step.consumed);
            outcome.consumed += step.consumed;
            if (step.status == LineReader::Status::need_more) {
                if (reader.lines() == 0 && !server.take_partial_line(reader.held()))
                    return finish(false);
                continue;
            }
            if (step.status != LineReader::Status::line) {
                server.refuse_for_size(step.status, reader.held());
                return finish(false);
            }
            const protocol::HeadStep head = server.take_line(reader.line());
            if (head.event == HeadEvent::refused) return finish(false);
            note_event(outcome, head);
            if (head.event == HeadEvent::end) return finish(server.check(13, origin_needed));
            reader.next();
        }
    }
    return outcome;
}

inline HandshakeOutcome answered(Bytes rest, Splitter splitter, std::string_view request,
                                 std::string_view key) {
    using protocol::HeadEvent;
    using protocol::LineReader;
    LineReader reader;
    protocol::ClientHandshake client(request, key);
    HandshakeOutcome outcome;
    const auto finish = [&] {
        outcome.complete = true;
        outcome.accepted = client.check();
        outcome.status = client.status();
        FUZZ_CHECK(outcome.accepted == (client.fault() == nullptr));
        FUZZ_CHECK(!outcome.accepted || client.status() == 101);
        FUZZ_CHECK(client.check() == outcome.accepted);
        if (client.fault() != nullptr) outcome.reason = client.fault();
        return outcome;
    };
    while (!rest.empty()) {
        Bytes part = splitter.next(rest);
        while (!part.empty()) {
            const LineReader::Step step = reader.feed(part);
            part = part.subspan(step.consumed);
            outcome.consumed += step.consumed;
            if (step.status == LineReader::Status::need_more) continue;
            if (step.status != LineReader::Status::line) {
                outcome.complete = true;
                outcome.reason = "too long";
                return outcome;
            }
            const protocol::HeadStep head = client.take_line(reader.line());
            note_event(outcome, head);
            if (head.event == HeadEvent::end || head.event == HeadEvent::refused) return finish();
            reader.next();
        }
    }
    return outcome;
}

inline void check_same(const HandshakeOutcome& a, const HandshakeOutcome& b) {
    FUZZ_CHECK(a.complete == b.complete && a.accepted == b.accepted);
    FUZZ_CHECK(a.status == b.status && a.reason == b.reason);
    FUZZ_CHECK(a.events == b.events && a.reply == b.reply);
}

}  // namespace nopoll::fuzz
