// SPDX-License-Identifier: MIT
// The client's side of the opening handshake (RFC 6455 4.1).
#include "protocol/client_handshake.hpp"

#include <algorithm>

#include "protocol/accept_key.hpp"

namespace nopoll::protocol {

namespace {

constexpr std::string_view kBlanks = " \t";

constexpr unsigned bit_of(HeadEvent event) {
    return 1U << static_cast<unsigned>(event);
}

void add_line(std::string& head, std::string_view name, std::string_view value) {
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
}

// "chat superchat" becomes "chat, superchat": the manual of the C API tells programs to separate by
// white space. A text with a comma or line ends is the program's own and stays as it is.
std::string protocol_list(std::string_view text) {
    if (text.find_first_of(",\r\n") != std::string_view::npos) return std::string(text);
    std::string list;
    std::size_t at = std::min(text.find_first_not_of(kBlanks), text.size());
    list += text.substr(0, at);
    while (at < text.size()) {
        const std::size_t blanks = std::min(text.find_first_of(kBlanks, at), text.size());
        const std::size_t next = std::min(text.find_first_not_of(kBlanks, blanks), text.size());
        list += text.substr(at, blanks - at);
        list += next < text.size() ? std::string_view(", ") : text.substr(blanks);
        at = next;
    }
    return list;
}

// The line end before and behind them is ours: a missing one glues the first to the header before
// it, one too many ends the head.
std::string_view inner_lines(std::string_view text) {
    constexpr std::string_view line_ends = "\r\n";
    const std::size_t begin = std::min(text.find_first_not_of(line_ends), text.size());
    text.remove_prefix(begin);
    const std::size_t last = text.find_last_not_of(line_ends);
    return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// "HTTP/" DIGIT "." DIGIT SP 3DIGIT, then a blank or the line end (RFC 7230 3.1.2).
bool is_status_line(std::string_view line) {
    constexpr std::string_view form = "HTTP/d.d ddd";
    if (line.size() <= form.size() || line.find('\0') != std::string_view::npos) return false;
    for (std::size_t i = 0; i < form.size(); ++i) {
        if (form[i] == 'd' ? !is_digit(line[i]) : line[i] != form[i]) return false;
    }
    const std::string_view rest = line.substr(form.size());
    return is_blank(rest.front()) || rest == "\r\n" || rest == "\n";
}

}  // namespace

std::string build_request(const RequestParts& parts) {
    std::string head = "GET ";
    head += parts.target;
    head += " HTTP/1.1\r\n";
    add_line(head, "Host", parts.host);
    add_line(head, "Upgrade", "websocket");
    add_line(head, "Connection", "Upgrade");
    add_line(head, "Sec-WebSocket-Key", parts.key);
    add_line(head, "Sec-WebSocket-Version", std::to_string(parts.version));
    if (parts.origin) add_line(head, "Origin", *parts.origin);
    if (parts.cookie) add_line(head, "Cookie", *parts.cookie);
    if (parts.protocols) {
        add_line(head, "Sec-WebSocket-Protocol", protocol_list(*parts.protocols));
    }
    if (parts.extra_headers) {
        const std::string_view extra = inner_lines(*parts.extra_headers);
        head += extra;
        if (!extra.empty()) head += "\r\n";
    }
    head += "\r\n";
    return head;
}

ClientHandshake::ClientHandshake(std::string_view request_sent, std::string_view key)
    : expected_accept_(accept_key_for(key)) {
    while (!request_sent.empty()) {
        const std::size_t line_feed = std::min(request_sent.find('\n'), request_sent.size() - 1);
        const std::string_view line = request_sent.substr(0, line_feed + 1);
        request_sent.remove_prefix(line.size());
        if (trim(line).empty()) break;
        const auto field = parse_header_field(line);
        if (field && equals_ignore_case(field->name, "Sec-WebSocket-Protocol")) {
            asked_protocols_.emplace_back(field->value);
        }
    }
}

HeadStep ClientHandshake::take_line(std::string_view line_with_lf) {
    if (!fault_.empty()) return {HeadEvent::refused, {}};
    if (!head_begun_) return take_status_line(line_with_lf);
    if (is_end_of_head(line_with_lf)) return {HeadEvent::end, {}};
    if (!switching_) return {HeadEvent::ignored, {}};
    const auto field = parse_header_field(line_with_lf);
    if (!field) return refused_step("line in the server's reply that is no header");
    return take_field(*field);
}

HeadStep ClientHandshake::take_status_line(std::string_view line) {
    if (!is_status_line(line)) return refused_step("server's reply has no HTTP status line");
    head_begun_ = true;
    for (const char digit : line.substr(9, 3))
        status_ = status_ * 10 + (digit - '0');
    switching_ = line.starts_with("HTTP/1.1 ") && status_ == 101;
    return {HeadEvent::ignored, {}};
}

HeadStep ClientHandshake::take_field(const HeaderField& field) {
    HeadEvent event = HeadEvent::ignored;
    if (equals_ignore_case(field.name, "Upgrade")) {
        event = HeadEvent::upgrade;
        upgrade_is_websocket_ = has_token(field.value, "websocket");
    } else if (equals_ignore_case(field.name, "Connection")) {
        event = HeadEvent::connection;
        connection_is_upgrade_ = has_token(field.value, "upgrade");
    } else if (equals_ignore_case(field.name, "Sec-WebSocket-Accept")) {
        event = HeadEvent::accept;
        accept_is_right_ = !expected_accept_.empty() && field.value == expected_accept_;
    } else if (equals_ignore_case(field.name, "Sec-WebSocket-Protocol")) {
        event = HeadEvent::accepted_protocol;
    } else if (equals_ignore_case(field.name, "Sec-WebSocket-Extensions")) {
        return refused_step("server uses an extension that was not asked for");
    } else {
        return {event, field.value};
    }
    if ((seen_ & bit_of(event)) != 0) {
        return refused_step(std::string(field.name) + " header twice in the server's reply");
    }
    seen_ |= bit_of(event);
    if (event == HeadEvent::accepted_protocol && !was_asked_for(field.value)) {
        return refused_step("server chose a subprotocol that was not asked for");
    }
    return {event, field.value};
}

// One token of any list sent, with case; or the whole of one list: servers of the original's family
// echo it.
bool ClientHandshake::was_asked_for(std::string_view protocol) const {
    for (std::string_view list : asked_protocols_) {
        if (list == protocol) return true;
        for (auto asked = take_protocol(list); !asked.empty(); asked = take_protocol(list)) {
            if (asked == protocol) return true;
        }
    }
    return false;
}

bool ClientHandshake::check() {
    const auto demand = [this](bool fulfilled, std::string_view fault) {
        if (!fulfilled && fault_.empty()) fault_ = fault;
    };
    const auto seen = [this](HeadEvent event) { return (seen_ & bit_of(event)) != 0; };
    demand(head_begun_, "server's reply has no HTTP status line");
    if (status_ != 101) {
        demand(false, "server answered with HTTP status " + std::to_string(status_));
    }
    demand(switching_, "server's reply is not HTTP/1.1");
    demand(seen(HeadEvent::upgrade), "no Upgrade header in the server's reply");
    demand(upgrade_is_websocket_, "Upgrade header of the server's reply does not name websocket");
    demand(seen(HeadEvent::connection), "no Connection header in the server's reply");
    demand(connection_is_upgrade_, "Connection header of the server's reply does not name upgrade");
    demand(seen(HeadEvent::accept), "no Sec-WebSocket-Accept header in the server's reply");
    demand(accept_is_right_, "Sec-WebSocket-Accept does not belong to our key");
    return fault_.empty();
}

HeadStep ClientHandshake::refused_step(std::string_view fault) {
    fault_ = fault;
    return {HeadEvent::refused, {}};
}

}  // namespace nopoll::protocol
