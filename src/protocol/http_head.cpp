// SPDX-License-Identifier: MIT
// The HTTP/1.1 message head of the opening handshake: lines and header fields (RFC 7230 3).
#include "protocol/http_head.hpp"

#include <algorithm>
#include <cstring>

namespace nopoll::protocol {

namespace {

constexpr bool is_white_space(char c) {
    return is_blank(c) || c == '\r' || c == '\n';
}

constexpr char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// "tchar" of RFC 7230 3.2.6.
constexpr bool is_token_char(char c) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
    return alphanumeric ||
           (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

}  // namespace

LineReader::Step LineReader::feed(std::span<const std::byte> input) {
    if (status_ != Status::need_more || input.empty()) return {status_, 0};
    if (lines_ == kMaxHeadLines || total_ == kMaxHeadBytes) {
        status_ = Status::head_too_big;
        return {status_, 0};
    }
    const std::size_t allowed = std::min(kMaxLine - line_.size(), kMaxHeadBytes - total_);
    const std::size_t searched = std::min(allowed, input.size());
    const void* line_feed = std::memchr(input.data(), '\n', searched);
    const std::size_t count =
        line_feed == nullptr
            ? searched
            : static_cast<std::size_t>(static_cast<const std::byte*>(line_feed) - input.data()) + 1;
    line_.append(reinterpret_cast<const char*>(input.data()), count);
    total_ += count;
    if (line_feed != nullptr) {
        ++lines_;
        status_ = Status::line;
    } else if (line_.size() == kMaxLine) {
        status_ = Status::too_long;
    } else if (total_ == kMaxHeadBytes) {
        status_ = Status::head_too_big;
    }
    return {status_, count};
}

void LineReader::next() {
    if (status_ != Status::line) return;
    line_.clear();
    status_ = Status::need_more;
}

std::string_view LineReader::held() const {
    return status_ == Status::line ? std::string_view() : std::string_view(line_);
}

std::optional<HeaderField> parse_header_field(std::string_view line) {
    if (line.find('\0') != std::string_view::npos) return std::nullopt;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return std::nullopt;
    const std::string_view name = line.substr(0, colon);
    if (std::any_of(name.begin(), name.end(), is_blank)) return std::nullopt;
    return HeaderField{name, trim(line.substr(colon + 1))};
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_white_space(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_white_space(text.back()))
        text.remove_suffix(1);
    return text;
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return to_lower(x) == to_lower(y); });
}

bool has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        if (equals_ignore_case(trim(list.substr(0, comma)), token)) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

std::string_view take_protocol(std::string_view& list) {
    const auto separates = [](char c) { return c == ',' || static_cast<unsigned char>(c) <= 0x20; };
    while (!list.empty() && separates(list.front()))
        list.remove_prefix(1);
    std::size_t size = 0;
    while (size < list.size() && !separates(list[size]))
        ++size;
    const std::string_view protocol = list.substr(0, size);
    list.remove_prefix(size);
    return protocol;
}

// What speaks HTTP begins with a token (a method, or a header name where the request line is
// missing) and has nothing but visible ASCII up to the first blank. Lines that begin with a blank
// or are empty are bad HTTP, but HTTP. TLS (0x16), the SOCKS versions and length-prefixed binary
// fail at their first bytes.
bool looks_like_http(std::string_view first_line) {
    for (std::size_t i = 0; i < first_line.size(); ++i) {
        const char c = first_line[i];
        if (is_blank(c) || c == '\n') return true;
        if (c == '\r') {
            if (i + 1 < first_line.size() && first_line[i + 1] != '\n') return false;
            continue;
        }
        if (i == 0 && !is_token_char(c)) return false;
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte >= 0x7F) return false;
    }
    return true;
}

}  // namespace nopoll::protocol
