// SPDX-License-Identifier: MIT
// The server's side of the opening handshake (RFC 6455 4.2).
#include "protocol/server_handshake.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "protocol/accept_key.hpp"
#include "protocol/base64.hpp"

namespace nopoll::protocol {

namespace {

struct KnownHeader {
    std::string_view name;
    HeadEvent event;
    const char* twice;
};

// Each at most once, also where HTTP would allow a list over several lines: as the original.
constexpr std::array<KnownHeader, 9> kHeaders{{
    {"host", HeadEvent::host, "Host header twice"},
    {"upgrade", HeadEvent::upgrade, "Upgrade header twice"},
    {"connection", HeadEvent::connection, "Connection header twice"},
    {"origin", HeadEvent::origin, "Origin header twice"},
    {"cookie", HeadEvent::cookie, "Cookie header twice"},
    {"x-real-ip", HeadEvent::x_real_ip, "X-Real-IP header twice"},
    {"sec-websocket-key", HeadEvent::key, "Sec-WebSocket-Key header twice"},
    {"sec-websocket-version", HeadEvent::version, "Sec-WebSocket-Version header twice"},
    {"sec-websocket-protocol", HeadEvent::protocols, "Sec-WebSocket-Protocol header twice"},
}};

constexpr unsigned bit_of(HeadEvent event) {
    return 1U << static_cast<unsigned>(event);
}

constexpr bool is_control_char(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

// As RFC 6455 4.1 writes versions: digits without leading zeros.
std::optional<int> parse_version(std::string_view text) {
    int version = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, version);
    if (error != std::errc{} || stop != end || version < 0) return std::nullopt;
    if (text.front() == '-' || (text.front() == '0' && text.size() > 1)) return std::nullopt;
    return version;
}

std::string_view cut_blanks(std::string_view text) {
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    return text;
}

// The text up to the next blank, which is left at the front of `rest`.
std::string_view take_word(std::string_view& rest) {
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
    rest.remove_prefix(word.size());
    return word;
}

const KnownHeader* find_header(std::string_view name) {
    for (const KnownHeader& header : kHeaders) {
        if (equals_ignore_case(header.name, name)) return &header;
    }
    return nullptr;
}

// "HTTP/" DIGIT "." DIGIT (RFC 7230 2.6).
bool is_http_version(std::string_view text) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return text.size() == 8 && text.starts_with("HTTP/") && digit(text[5]) && text[6] == '.' &&
           digit(text[7]);
}

const char* reason_phrase(int status) {
    switch (status) {
    case 403: return "Forbidden";
    case 426: return "Upgrade Required";
    case 431: return "Request Header Fields Too Large";
    case 505: return "HTTP Version Not Supported";
    default: return "Bad Request";
    }
}

}  // namespace

HeadStep ServerHandshake::take_line(std::string_view line_with_lf) {
    if (refused()) return {HeadEvent::refused, {}};
    if (!head_begun_) return take_request_line(line_with_lf);
    if (is_end_of_head(line_with_lf)) return {HeadEvent::end, {}};
    const auto field = parse_header_field(line_with_lf);
    if (!field) return refused_step(400, "line that is no header");
    return take_field(*field);
}

bool ServerHandshake::take_partial_line(std::string_view line_so_far) {
    if (!refused() && !head_begun_ && !looks_like_http(line_so_far)) {
        // 22 begins every TLS handshake: somebody took this port for a wss:// one.
        refuse({400,
                line_so_far.starts_with('\x16') ? "request is not HTTP but TLS"
                                                : "request is not HTTP",
                false});
    }
    return !refused();
}

HeadStep ServerHandshake::take_request_line(std::string_view line) {
    if (!take_partial_line(line)) return {HeadEvent::refused, {}};
    head_begun_ = true;
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("GET ")) return refused_step(400, "first line is not a GET request");

    std::string_view rest = cut_blanks(line.substr(4));
    const std::string_view target = take_word(rest);
    if (!target.starts_with('/')) return refused_step(400, "request target without leading slash");
    if (std::any_of(target.begin(), target.end(), is_control_char)) {
        return refused_step(400, "control character in the request target");
    }
    rest = cut_blanks(rest);
    const std::string_view version = take_word(rest);
    if (!is_http_version(version) || !cut_blanks(rest).empty()) {
        return refused_step(400, "request line does not end with an HTTP version");
    }
    if (version[5] != '1' || version[7] == '0') {
        return refused_step(505, "HTTP version is not 1.1");
    }
    return {HeadEvent::target, target};
}

HeadStep ServerHandshake::take_field(const HeaderField& field) {
    const KnownHeader* known = find_header(field.name);
    if (known == nullptr) return {HeadEvent::ignored, field.value};
    if ((seen_ & bit_of(known->event)) != 0) return refused_step(400, known->twice);
    seen_ |= bit_of(known->event);
    switch (known->event) {
    case HeadEvent::upgrade: upgrade_is_websocket_ = has_token(field.value, "websocket"); break;
    case HeadEvent::connection: connection_is_upgrade_ = has_token(field.value, "upgrade"); break;
    case HeadEvent::key: key_ = field.value; break;
    case HeadEvent::version: version_ = parse_version(field.value); break;
    case HeadEvent::protocols: {
        std::string_view list = field.value;
        first_protocol_ = take_protocol(list);
        break;
    }
    default: break;
    }
    return {known->event, field.value};
}

bool ServerHandshake::check(int protocol_version, bool origin_needed) {
    const auto demand = [this](bool fulfilled, int status, const char* reason) {
        if (!fulfilled && !refused()) refuse({status, reason, true});
    };
    const auto seen = [this](HeadEvent event) { return (seen_ & bit_of(event)) != 0; };
    demand(head_begun_, 400, "no request line");
    demand(seen(HeadEvent::host), 400, "no Host header");
    demand(seen(HeadEvent::upgrade), 400, "no Upgrade header");
    demand(upgrade_is_websocket_, 400, "Upgrade header does not name websocket");
    demand(seen(HeadEvent::connection), 400, "no Connection header");
    demand(connection_is_upgrade_, 400, "Connection header does not name upgrade");
    // The version comes before what other versions do differently: their key and their origin.
    demand(seen(HeadEvent::version), 426, "no Sec-WebSocket-Version header");
    demand(version_ == protocol_version, 426, "WebSocket version is not ours");
    demand(seen(HeadEvent::key), 400, "no Sec-WebSocket-Key header");
    demand(key_.size() == 24 && base64_decoded_size(key_) == 16, 400,
           "Sec-WebSocket-Key is not base64 of 16 bytes");
    demand(seen(HeadEvent::origin) || !origin_needed, 403, "no Origin header");
    return !refused();
}

void ServerHandshake::refuse(Refusal refusal) {
    if (!refused()) refusal_ = refusal;
}

void ServerHandshake::refuse_for_size(LineReader::Status status, std::string_view line_so_far) {
    if (!take_partial_line(line_so_far)) return;
    refuse({431,
            status == LineReader::Status::too_long ? "line of the request head is too long"
                                                   : "request head is too long",
            true});
}

HeadStep ServerHandshake::refused_step(int status, const char* reason) {
    refuse({status, reason, true});
    return {HeadEvent::refused, {}};
}

std::string ServerHandshake::reply(std::optional<std::string_view> set_protocol) const {
    std::string text = "HTTP/1.1 101 Switching Protocols\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: ";
    text += accept_key_for(key_);
    text += "\r\n";
    // To a client that asked for none none may be named (RFC 6455 4.2.2). A choice of the program
    // is not compared with the list: it answers for it.
    const std::string_view protocol = set_protocol.value_or(first_protocol_);
    if (protocols_asked() && !protocol.empty()) {
        text += "Sec-WebSocket-Protocol: ";
        text += protocol;
        text += "\r\n";
    }
    text += "\r\n";
    return text;
}

std::string ServerHandshake::refusal_reply(int protocol_version) const {
    if (!refused() || !refusal_.answer) return {};
    std::string text = "HTTP/1.1 ";
    text += std::to_string(refusal_.status);
    text += ' ';
    text += reason_phrase(refusal_.status);
    text += "\r\nConnection: close\r\nContent-Length: 0\r\n";
    if (refusal_.status == 426) {
        text += "Sec-WebSocket-Version: ";
        text += std::to_string(protocol_version);
        text += "\r\n";
    }
    text += "\r\n";
    return text;
}

}  // namespace nopoll::protocol
