// SPDX-License-Identifier: MIT
// A drive of the client's side over the bytes of a reply that records what came out.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client_handshake.hpp"
#include "protocol/requests.hpp"

namespace nopoll::test {

struct ReplyOutcome {
    bool ready = false;
    bool complete = false;  // ready, or refused
    bool at_end = false;    // the end of the head was reached
    int status = 0;
    std::string fault;
    std::string protocol = "(none)";
};

inline ReplyOutcome receive(std::string_view sent,
                            const std::vector<std::span<const std::byte>>& parts) {
    LineReader reader;
    protocol::ClientHandshake handshake(sent, kKeyText);
    ReplyOutcome outcome;
    for (auto part : parts) {
        while (!part.empty() && !outcome.complete) {
            const auto step = reader.feed(part);
            part = part.subspan(step.consumed);
            if (step.status == LineReader::Status::need_more) continue;
            CHECK(step.status == LineReader::Status::line);
            const HeadStep head = handshake.take_line(reader.line());
            if (head.event == HeadEvent::accepted_protocol) outcome.protocol = head.value;
            outcome.at_end = head.event == HeadEvent::end;
            if (outcome.at_end) outcome.ready = handshake.check();
            outcome.complete = outcome.at_end || head.event == HeadEvent::refused;
            reader.next();
        }
    }
    outcome.status = handshake.status();
    CHECK_EQUAL(handshake.fault() == nullptr, !outcome.complete || outcome.ready);
    if (handshake.fault() != nullptr) outcome.fault = handshake.fault();
    return outcome;
}

inline ReplyOutcome receive(std::string_view sent, std::string_view reply) {
    const Bytes bytes = bytes_of(reply);
    return receive(sent, {std::span<const std::byte>(bytes)});
}

}  // namespace nopoll::test
