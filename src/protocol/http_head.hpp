// SPDX-License-Identifier: MIT
// The HTTP/1.1 message head of the opening handshake (RFC 6455 4, RFC 7230 3): cutting it into
// lines within limits, and the pieces of a header line. What headers mean is decided elsewhere.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nopoll::protocol {

inline constexpr std::size_t kMaxLine = 8191;  // with its line end
inline constexpr std::size_t kMaxHeadBytes = 256 * 1024;
inline constexpr std::size_t kMaxHeadLines = 4000;  // the blank one included

// Collects one line at a time and takes nothing behind it.
class LineReader {
public:
    enum class Status { need_more, line, too_long, head_too_big };
    struct Step {
        Status status;
        std::size_t consumed;
    };

    // While a line waits to be forgotten, and after a limit was passed, it takes nothing and
    // returns that status again. Throws std::bad_alloc.
    [[nodiscard]] Step feed(std::span<const std::byte> input);

    // The line with its LF; valid until next().
    [[nodiscard]] std::string_view line() const { return line_; }
    void next();

    // Not one byte of the head so far.
    [[nodiscard]] bool empty() const { return total_ == 0; }

    // The unfinished line: its bytes and their number.
    [[nodiscard]] std::string_view held() const;
    [[nodiscard]] std::size_t partial() const { return held().size(); }

    // Lines completed so far, the one waiting included.
    [[nodiscard]] std::size_t lines() const { return lines_; }

private:
    std::string line_;
    std::size_t total_ = 0;
    std::size_t lines_ = 0;
    Status status_ = Status::need_more;
};

struct HeaderField {
    std::string_view name;   // as sent
    std::string_view value;  // without white space at both ends
};

// Splits "Name: value". Nothing for a line without colon, with an empty name, with a blank at its
// start or before the colon, or with a NUL byte.
[[nodiscard]] std::optional<HeaderField> parse_header_field(std::string_view line);

// Exactly CRLF: the end of the head. A bare LF is not.
[[nodiscard]] constexpr bool is_end_of_head(std::string_view line) {
    return line == "\r\n";
}

// Space and tab. The white space that trim() cuts is CR and LF as well.
[[nodiscard]] constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

[[nodiscard]] std::string_view trim(std::string_view text);

// ASCII letters only, whatever the locale.
[[nodiscard]] bool equals_ignore_case(std::string_view a, std::string_view b);

// Whether a comma-separated list holds the token, ignoring case: "keep-alive, Upgrade".
[[nodiscard]] bool has_token(std::string_view list, std::string_view token);

// Takes the next name off a list of subprotocols; empty at its end. Commas separate, and blanks as
// well: old noPoll programs send lists without commas.
[[nodiscard]] std::string_view take_protocol(std::string_view& list);

// False once the beginning of the first line shows that the peer speaks something else than HTTP
// (TLS, binary). Any prefix of the line may be given, with or without its line end.
[[nodiscard]] bool looks_like_http(std::string_view first_line);

}  // namespace nopoll::protocol
