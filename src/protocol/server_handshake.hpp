// SPDX-License-Identifier: MIT
// The server's side of the opening handshake (RFC 6455 4.2): takes the request head line by line,
// judges it, and makes the reply. Keeps only what the reply needs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/head_event.hpp"
#include "protocol/http_head.hpp"

namespace nopoll::protocol {

struct Refusal {
    int status = 0;           // 400, 403, 426, 431 or 505; 0: not refused
    const char* reason = "";  // one phrase for the log
    bool answer = true;       // false: not HTTP at all, or nothing came: close without a reply
};

class ServerHandshake {
public:
    // One line of the head with its LF. Once refused it stays refused.
    HeadStep take_line(std::string_view line_with_lf);

    // Judges a first line that is not complete yet: false (and refused, without an answer) when it
    // cannot become HTTP. Saves waiting for the line feed that a TLS client may never send.
    bool take_partial_line(std::string_view line_so_far);

    // Behind the blank line: is everything there and right? False: refusal() says why.
    bool check(int protocol_version, bool origin_needed);

    [[nodiscard]] bool refused() const { return refusal_.status != 0; }
    [[nodiscard]] const Refusal& refusal() const { return refusal_; }

    // The first refusal counts, later ones change nothing.
    void refuse(Refusal refusal);

    // A limit of the line reader was passed: 431. `line_so_far` is reader.held(): bytes that are no
    // HTTP get no answer.
    void refuse_for_size(LineReader::Status status, std::string_view line_so_far);

    [[nodiscard]] std::string_view key() const { return key_; }

    // The first subprotocol the client asked for; empty when it asked for none.
    [[nodiscard]] std::string_view first_protocol() const { return first_protocol_; }
    [[nodiscard]] bool protocols_asked() const { return !first_protocol_.empty(); }

    // The 101. `set_protocol` is what the program chose, if it did; an empty choice means none.
    [[nodiscard]] std::string reply(std::optional<std::string_view> set_protocol) const;

    // The HTTP error that refusal() asks for; empty when there is to be no answer.
    [[nodiscard]] std::string refusal_reply(int protocol_version) const;

private:
    HeadStep take_request_line(std::string_view line);
    HeadStep take_field(const HeaderField& field);
    HeadStep refused_step(int status, const char* reason);

    unsigned seen_ = 0;  // bit per HeadEvent: each header at most once
    bool head_begun_ = false;
    bool upgrade_is_websocket_ = false;
    bool connection_is_upgrade_ = false;
    std::optional<int> version_;  // none: absent or no decimal number
    std::string key_;
    std::string first_protocol_;
    Refusal refusal_;
};

}  // namespace nopoll::protocol
