// SPDX-License-Identifier: MIT
// Messages made of what arrived (frames.md 1.1): flags and payload of whole frames, fragments and
// frames in pieces, through the frame decoder. What programs do with messages:
// tests/abi/test_msg.c.
#include "core/message.hpp"

#include <climits>
#include <cstring>

#include "protocol/frame_decoder.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll;
using namespace nopoll::core;
using nopoll::test::Bytes;
using nopoll::test::bytes_of;

namespace {

constexpr std::uint64_t kLimit = 1000;

struct Row {
    short opcode;
    bool final;
    bool fragment;
    std::string_view payload;
};

void check_message(Message& message, const Row& row) {
    CHECK_EQUAL(message.op_code, row.opcode);
    CHECK_EQUAL(message.is_final(), row.final);
    CHECK_EQUAL(message.is_fragment_or_unfinished(), row.fragment);
    CHECK_EQUAL(message.ref_count(), 1);
    CHECK_EQUAL(message.payload_size, static_cast<long>(row.payload.size()));
    const char* const payload = static_cast<const char*>(message.payload);
    CHECK(payload != nullptr);
    CHECK_EQUAL(std::string_view(payload, row.payload.size()), row.payload);
    CHECK_EQUAL(payload[row.payload.size()], '\0');
}

// Feeds the bytes and gives the message taken then: the whole frame, or what is there of it.
Message* message_after(protocol::FrameDecoder& decoder, const Bytes& input) {
    CHECK_EQUAL(decoder.feed(input, kLimit).consumed, input.size());
    return Message::from_piece(decoder.take_piece());
}

void whole_frames_and_fragments(void**) {
    protocol::FrameDecoder decoder(protocol::Role::client, false);
    const struct {
        Bytes input;
        Row row;
    } steps[] = {
        {bytes_of("\x81\x05hello"), {1, true, false, "hello"}},
        {bytes_of("\x01\x03Hel"), {1, false, true, "Hel"}},
        {bytes_of({0x00, 0x01, 'l'}), {0, false, true, "l"}},
        {bytes_of({0x80, 0x01, 'o'}), {0, true, true, "o"}},
        {bytes_of({0x82, 0x00}), {2, true, false, ""}},
    };
    for (const auto& step : steps) {
        Message* const message = message_after(decoder, step.input);
        check_message(*message, step.row);
        CHECK_EQUAL(message->is_masked, 0);
        CHECK_EQUAL(message->remain_bytes, 0);
        message->unref();
    }
}

void masked_frames_keep_their_mask(void**) {
    protocol::FrameDecoder decoder(protocol::Role::server, false);
    Bytes input = bytes_of({0x81, 0x82, 0x01, 0x02, 0xff, 0x80});
    input.push_back(std::byte{'a' ^ 0x01});
    input.push_back(std::byte{'b' ^ 0x02});
    Message* const message = message_after(decoder, input);
    check_message(*message, {1, true, false, "ab"});
    CHECK_EQUAL(message->is_masked, 1);
    CHECK_EQUAL(std::memcmp(message->mask, "\x01\x02\xff\x80", 4), 0);
    message->unref();
}

// The first pieces of a frame carry its FIN bit but are not final, because bytes are outstanding.
// So they join to a final message (messages-logging-utils.md section 1, measured).
void pieces_of_a_frame(void**) {
    protocol::FrameDecoder decoder(protocol::Role::client, false);
    Message* const first = message_after(decoder, bytes_of("\x82\x06"
                                                           "abc"));
    check_message(*first, {2, false, true, "abc"});
    CHECK_EQUAL(first->has_fin, 1);
    CHECK_EQUAL(first->remain_bytes, 3);
    Message* const middle = message_after(decoder, bytes_of("d"));
    check_message(*middle, {0, false, true, "d"});
    Message* const last = message_after(decoder, bytes_of("ef"));
    check_message(*last, {0, true, true, "ef"});
    CHECK_EQUAL(last->remain_bytes, 0);

    Message* const two = Message::join(*first, *middle);
    Message* const whole = Message::join(*two, *last);
    check_message(*whole, {2, true, false, "abcdef"});
    for (Message* const message : {first, middle, last, two, whole})
        message->unref();
}

void a_long_rest_does_not_overflow_the_field(void**) {
    FrameFacts facts;
    facts.fin = true;
    facts.outstanding = 1ULL << 40;
    MallocPtr<char[]> payload = allocate_bytes(1);
    payload[0] = '\0';
    Message* const message = Message::adopt(std::move(payload), 0, facts);
    CHECK_EQUAL(message->remain_bytes, INT_MAX);
    CHECK(!message->is_final());
    message->unref();
}

noPollPtr throwing_create() {
    throw std::bad_alloc();
}

// The payload is not lost when the message cannot be made (AddressSanitizer looks for leaks).
void a_failed_message_frees_its_payload(void**) {
    set_mutex_hooks(throwing_create, nullptr, nullptr, nullptr);
    MallocPtr<char[]> payload = allocate_bytes(100);
    bool thrown = false;
    try {
        static_cast<void>(Message::adopt(std::move(payload), 99, FrameFacts()));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    set_mutex_hooks(nullptr, nullptr, nullptr, nullptr);
    CHECK(thrown);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(whole_frames_and_fragments),
        cmocka_unit_test(masked_frames_keep_their_mask),
        cmocka_unit_test(pieces_of_a_frame),
        cmocka_unit_test(a_long_rest_does_not_overflow_the_field),
        cmocka_unit_test(a_failed_message_frees_its_payload),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
