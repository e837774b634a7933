// SPDX-License-Identifier: MIT
// The server's side of the opening handshake (RFC 6455 4.2): any bytes are judged the same way in
// any split, and a request that is accepted has everything the RFC asks for.
#include "handshake_run.hpp"
#include "protocol/accept_key.hpp"

using namespace nopoll;
using fuzz::Bytes;
using fuzz::HandshakeOutcome;
using fuzz::Splitter;

namespace {

void check_accepted(const HandshakeOutcome& outcome, std::string_view head, bool origin_needed) {
    FUZZ_CHECK(head.starts_with("GET "));
    FUZZ_CHECK(outcome.target.starts_with('/'));
    FUZZ_CHECK(!origin_needed || outcome.events.find("\n3 ") != std::string::npos);
    FUZZ_CHECK(outcome.reply.starts_with("HTTP/1.1 101 "));
    FUZZ_CHECK(outcome.reply.ends_with("\r\n\r\n"));
    FUZZ_CHECK(outcome.reply.find("\r\n\r\n") == outcome.reply.size() - 4);
}

void check_refused(const HandshakeOutcome& outcome) {
    FUZZ_CHECK(!outcome.reason.empty());
    FUZZ_CHECK(outcome.status == 400 || outcome.status == 403 || outcome.status == 426 ||
               outcome.status == 431 || outcome.status == 505);
    if (!outcome.reply.empty())
        FUZZ_CHECK(outcome.reply.starts_with("HTTP/1.1 " + std::to_string(outcome.status) + " "));
}

// A head in which the interesting parts are those of the input, so that a fuzzer need not find the
// rest of a good request by itself.
std::string framed(fuzz::Input& input, unsigned choice) {
    std::string head = (choice & 4U) != 0 ? std::string(input.text(80)) : "GET /chat HTTP/1.1";
    head += "\r\nHost: server.example\r\nSec-WebSocket-Version: ";
    head += (choice & 8U) != 0 ? input.text(8) : std::string_view("13");
    head += "\r\nUpgrade: ";
    head += (choice & 16U) != 0 ? input.text(40) : std::string_view("websocket");
    head += "\r\nConnection: ";
    head += (choice & 32U) != 0 ? input.text(40) : std::string_view("keep-alive, Upgrade");
    head += "\r\nSec-WebSocket-Key: ";
    head += (choice & 64U) != 0 ? input.text(40) : std::string_view("dGhlIHNhbXBsZSBub25jZQ==");
    head += "\r\n";
    head += fuzz::text_of(input.rest());
    if ((choice & 128U) != 0) head += "\r\nOrigin: http://a.example\r\n\r\nfollowing";
    return head;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const Splitter splitter(input);
    const unsigned choice = input.byte();
    const bool origin_needed = (choice & 1U) != 0;
    const std::string head =
        (choice & 2U) != 0 ? framed(input, choice) : std::string(fuzz::text_of(input.rest()));

    const Bytes bytes = fuzz::bytes_of(head);
    const HandshakeOutcome whole = fuzz::serve(bytes, Splitter(head.size()), origin_needed);
    fuzz::check_same(fuzz::serve(bytes, splitter, origin_needed), whole);
    fuzz::check_same(fuzz::serve(bytes, Splitter(1), origin_needed), whole);
    if (!whole.complete) return 0;
    if (!whole.accepted) {
        check_refused(whole);
        return 0;
    }
    check_accepted(whole, head, origin_needed);
    // Not one byte behind the blank line is taken.
    const std::size_t end = head.find("\n\r\n");
    FUZZ_CHECK(end != std::string::npos && whole.consumed == end + 3);
    return 0;
}
