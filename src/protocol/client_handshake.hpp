// SPDX-License-Identifier: MIT
// The client's side of the opening handshake (RFC 6455 4.1): makes the request, takes the reply
// line by line, and judges it. Redirects and authentication are not followed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/head_event.hpp"
#include "protocol/http_head.hpp"

namespace nopoll::protocol {

// Texts go out as they are, CR and LF inside them included: they are the program's own.
struct RequestParts {
    std::string_view target;
    std::string_view host;
    std::string_view key;
    int version = 13;
    std::optional<std::string_view> origin;  // none: no header; empty: an empty header
    std::optional<std::string_view> cookie;
    std::optional<std::string_view> protocols;      // separated by commas, or by blanks only
    std::optional<std::string_view> extra_headers;  // "Name: value CRLF Name: value"
};

[[nodiscard]] std::string build_request(const RequestParts& parts);

class ClientHandshake {
public:
    // The request as it went out: subprotocols may be asked for in extra headers as well.
    ClientHandshake(std::string_view request_sent, std::string_view key);

    // One line of the reply's head with its LF. Once refused it stays refused.
    HeadStep take_line(std::string_view line_with_lf);

    // Behind the blank line: may the connection be used? False: fault() says why.
    bool check();

    // Why the reply was refused, one phrase for the log; null when it was not.
    [[nodiscard]] const char* fault() const { return fault_.empty() ? nullptr : fault_.c_str(); }

    // The HTTP status of the reply, 0 before there was one.
    [[nodiscard]] int status() const { return status_; }

private:
    HeadStep take_status_line(std::string_view line);
    HeadStep take_field(const HeaderField& field);
    HeadStep refused_step(std::string_view fault);
    [[nodiscard]] bool was_asked_for(std::string_view protocol) const;

    std::string expected_accept_;
    std::vector<std::string> asked_protocols_;  // value of each Sec-WebSocket-Protocol line sent
    std::string fault_;
    unsigned seen_ = 0;  // bit per HeadEvent: each header at most once
    int status_ = 0;
    bool head_begun_ = false;
    bool switching_ = false;  // HTTP/1.1 101: otherwise the head is only read to its end
    bool upgrade_is_websocket_ = false;
    bool connection_is_upgrade_ = false;
    bool accept_is_right_ = false;
};

}  // namespace nopoll::protocol
