// SPDX-License-Identifier: MIT
// The client's side of the opening handshake (RFC 6455 4.1): any reply is judged the same way in
// any split; a request of ours is understood by our server, and its reply by us.
#include "handshake_run.hpp"
#include "protocol/accept_key.hpp"

using namespace nopoll;
using fuzz::Bytes;
using fuzz::HandshakeOutcome;
using fuzz::Splitter;

namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";

// What may stand in a header: visible characters, without blanks at both ends.
std::string header_text(std::string_view text) {
    std::string clean;
    for (const char c : text)
        clean += c > ' ' && c < '\x7F' ? c : '.';
    return clean;
}

void check_round_trip(fuzz::Input& input, Splitter splitter) {
    const unsigned choice = input.byte();
    const std::string target = "/" + header_text(input.text(60));
    const std::string host = header_text(input.text(60));
    const std::string text = header_text(input.text(60));
    protocol::RequestParts parts;
    parts.target = target;
    parts.host = host;
    parts.key = kKey;
    if ((choice & 1U) != 0) parts.origin = text;
    if ((choice & 2U) != 0) parts.cookie = text;
    if ((choice & 4U) != 0) parts.protocols = text;
    const std::string extra = "X-More: " + text;
    if ((choice & 8U) != 0) parts.extra_headers = extra;
    const std::string request = protocol::build_request(parts);
    FUZZ_CHECK(request.ends_with("\r\n\r\n"));
    FUZZ_CHECK(request.find("\r\n\r\n") == request.size() - 4);

    const HandshakeOutcome served = fuzz::serve(fuzz::bytes_of(request), splitter, false);
    FUZZ_CHECK(served.accepted && served.consumed == request.size());
    FUZZ_CHECK(served.target == target && served.host == host);
    FUZZ_CHECK(served.origin == parts.origin.value_or(""));
    FUZZ_CHECK(served.cookie == parts.cookie.value_or(""));
    FUZZ_CHECK(served.protocols == parts.protocols.value_or(""));
    const HandshakeOutcome back =
        fuzz::answered(fuzz::bytes_of(served.reply), splitter, request, kKey);
    FUZZ_CHECK(back.accepted && back.consumed == served.reply.size());

    // A reply to another key is not for us.
    const HandshakeOutcome other =
        fuzz::answered(fuzz::bytes_of(served.reply), splitter, request, "AAAAAAAAAAAAAAAAAAAAAA==");
    FUZZ_CHECK(!other.accepted);
}

// A reply whose interesting parts are those of the input.
std::string framed(fuzz::Input& input, unsigned choice) {
    std::string head =
        (choice & 4U) != 0 ? std::string(input.text(60)) : "HTTP/1.1 101 Switching Protocols";
    head += "\r\nUpgrade: ";
    head += (choice & 8U) != 0 ? input.text(40) : std::string_view("websocket");
    head += "\r\nConnection: ";
    head += (choice & 16U) != 0 ? input.text(40) : std::string_view("Upgrade");
    head += "\r\nSec-WebSocket-Accept: ";
    head += (choice & 32U) != 0 ? std::string(input.text(40)) : protocol::accept_key_for(kKey);
    head += "\r\n";
    if ((choice & 64U) != 0)
        head.append("Sec-WebSocket-Protocol: ").append(input.text(40)) += "\r\n";
    head += fuzz::text_of(input.rest());
    if ((choice & 128U) != 0) head += "\r\n\r\nfollowing";
    return head;
}

void check_reply(fuzz::Input& input, const Splitter& splitter) {
    const unsigned choice = input.byte();
    const std::string request = protocol::build_request(
        {.target = "/",
         .host = "a",
         .key = kKey,
         .origin = {},
         .cookie = {},
         .protocols = (choice & 1U) != 0 ? std::optional(input.text(40)) : std::nullopt,
         .extra_headers = {}});
    const std::string head =
        (choice & 2U) != 0 ? framed(input, choice) : std::string(fuzz::text_of(input.rest()));
    const Bytes bytes = fuzz::bytes_of(head);
    const HandshakeOutcome whole = fuzz::answered(bytes, Splitter(head.size()), request, kKey);
    fuzz::check_same(fuzz::answered(bytes, splitter, request, kKey), whole);
    fuzz::check_same(fuzz::answered(bytes, Splitter(1), request, kKey), whole);
    if (!whole.accepted) {
        FUZZ_CHECK(!whole.complete || !whole.reason.empty());
        return;
    }
    FUZZ_CHECK(head.starts_with("HTTP/1.1 101"));
    FUZZ_CHECK(head.find(protocol::accept_key_for(kKey)) != std::string::npos);
    FUZZ_CHECK(whole.protocols.empty() || request.find(whole.protocols) != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const Splitter splitter(input);
    fuzz::Input parts = input;
    check_round_trip(parts, splitter);
    check_reply(input, splitter);
    return 0;
}
