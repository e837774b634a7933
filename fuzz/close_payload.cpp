// SPDX-License-Identifier: MIT
// Bodies of Close frames: every body is judged, every answer can be sent, and what is written is
// read back (RFC 6455 5.5.1 and 7.4).
#include "fuzz_input.hpp"
#include "protocol/close_code.hpp"
#include "protocol/utf8.hpp"

using namespace nopoll;
using fuzz::Bytes;

namespace {

// RFC 6455 7.4.1 and 7.4.2 and the registry, on their own: 1004, 1005, 1006 and 1015 are never
// sent.
bool may_arrive(unsigned code) {
    if (code == 1004 || code == 1005 || code == 1006 || code == 1015) return false;
    return (code >= 1000 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void check_received(Bytes body) {
    const protocol::CloseFrame close = protocol::parse_close(body);
    FUZZ_CHECK((close.fault == nullptr) || close.answer);
    if (body.size() < 2) {
        FUZZ_CHECK(close.code == protocol::close_code::no_status && !close.reason);
        FUZZ_CHECK(close.answer.has_value() == (body.size() == 1));
        return;
    }
    FUZZ_CHECK(close.answer && protocol::is_sendable(*close.answer));
    FUZZ_CHECK(!close.reason || protocol::is_valid_utf8(*close.reason));
    if (close.fault == nullptr) {
        FUZZ_CHECK(*close.answer == close.code && may_arrive(close.code));
        FUZZ_CHECK(close.reason && close.reason->size() == body.size() - 2);
    } else {
        FUZZ_CHECK(*close.answer == (may_arrive(close.code)
                                         ? protocol::close_code::invalid_payload
                                         : protocol::close_code::protocol_error));
    }
}

void check_written(std::uint16_t code, std::string_view reason) {
    std::array<std::byte, protocol::kMaxControlPayload> out;
    const std::size_t size = protocol::encode_close(out, code, reason);
    FUZZ_CHECK(size <= out.size());
    FUZZ_CHECK((size >= 2) == protocol::is_sendable(code));
    const protocol::CloseFrame close = protocol::parse_close(std::span(out).first(size));
    if (size == 0) return;
    FUZZ_CHECK(close.code == code && close.reason);
    if (!protocol::is_valid_utf8(reason)) {
        FUZZ_CHECK(close.reason->empty());
        return;
    }
    FUZZ_CHECK(reason.starts_with(*close.reason));
    // A reason is cut only when it does not fit, and by less than one character.
    FUZZ_CHECK(close.reason->size() == reason.size() ||
               (reason.size() > protocol::kMaxCloseReason &&
                close.reason->size() + 4 > protocol::kMaxCloseReason));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::Input whole(data, size);
    check_received(whole.rest().first(std::min(size, protocol::kMaxControlPayload)));
    fuzz::Input input(data, size);
    const auto code = static_cast<std::uint16_t>(input.number());
    check_written(code, fuzz::text_of(input.rest()));
    return 0;
}
