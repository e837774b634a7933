// SPDX-License-Identifier: MIT
//
// Messages, see message.hpp. The reference count is atomic; the mutex that the program's hooks made
// for the message is taken around each change in addition, as programs with instrumented hooks
// expect.
#include "core/message.hpp"

#include "core/atomic_field.hpp"
#include "protocol/frame_decoder.hpp"

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

namespace nopoll::core {

Message::Message() : ::_noPollMsg{} {
    refs = 1;
    ref_mutex = create_hook_mutex();
}

Message::~Message() {
    std::free(payload);
    destroy_hook_mutex(ref_mutex);
}

Message* Message::create() {
    MallocPtr<char[]> block = allocate_bytes(sizeof(Message));
    Message* const message = new (block.get()) Message;
    static_cast<void>(block.release());
    return message;
}

Message* Message::adopt(MallocPtr<char[]> payload, std::size_t size, const FrameFacts& facts) {
    Message* const message = create();
    message->has_fin = facts.fin ? nopoll_true : nopoll_false;
    message->op_code = facts.opcode;
    message->is_masked = facts.masked ? nopoll_true : nopoll_false;
    message->payload = payload.release();
    message->payload_size = static_cast<long>(size);
    std::memcpy(message->mask, facts.mask.data(), sizeof(message->mask));
    message->remain_bytes = static_cast<int>(std::min<std::uint64_t>(facts.outstanding, INT_MAX));
    message->is_fragment = facts.fragment ? nopoll_true : nopoll_false;
    return message;
}

Message* Message::from_piece(protocol::Piece&& piece) {
    FrameFacts facts;
    facts.opcode = static_cast<short>(piece.opcode);
    facts.fin = piece.fin;
    facts.fragment = piece.fragment;
    facts.masked = piece.masked;
    facts.mask = piece.key;
    facts.outstanding = piece.outstanding;
    const std::size_t size = piece.payload.size();
    return adopt(MallocPtr<char[]>(piece.payload.release()), size, facts);
}

void Message::ref() {
    const HookLock lock(ref_mutex);
    fetch_add_field(refs, 1);
}

void Message::unref() {
    bool last = false;
    {
        const HookLock lock(ref_mutex);
        last = fetch_add_field(refs, -1) == 1;
    }
    if (last) {
        this->~Message();
        std::free(this);
    }
}

int Message::ref_count() const {
    return load_field(refs);
}

Message* Message::join(const Message& first, const Message& second) {
    const auto unusable = [](const Message& part) {
        return part.payload_size < 0 || (part.payload_size > 0 && part.payload == nullptr);
    };
    if (unusable(first) || unusable(second) ||
        first.payload_size > LONG_MAX - 1 - second.payload_size) {
        return nullptr;
    }
    const auto first_size = static_cast<std::size_t>(first.payload_size);
    const auto second_size = static_cast<std::size_t>(second.payload_size);
    MallocPtr<char[]> payload = allocate_bytes(first_size + second_size + 1);
    if (first_size > 0) {
        std::memcpy(payload.get(), first.payload, first_size);
    }
    if (second_size > 0) {
        std::memcpy(payload.get() + first_size, second.payload, second_size);
    }
    payload[first_size + second_size] = '\0';

    FrameFacts facts;  // fragment flag and outstanding bytes are not inherited
    facts.opcode = first.op_code;
    facts.masked = first.is_masked != 0;
    std::memcpy(facts.mask.data(), first.mask, sizeof(first.mask));
    Message* const joined = adopt(std::move(payload), first_size + second_size, facts);
    joined->has_fin = first.has_fin;  // the program's own value, whatever it is
    joined->is_masked = first.is_masked;
    return joined;
}

}  // namespace nopoll::core
