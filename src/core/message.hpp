// SPDX-License-Identifier: MIT
//
// A message as a program holds it (spec: messages-logging-utils.md section 1, frames.md 1.1). Every
// field of the face is live: programs fill and change payload, payload_size, op_code and has_fin by
// hand. The class therefore adds no members, and object and payload come from malloc.
#pragma once

#include "core/face.hpp"
#include "core/memory.hpp"
#include "core/mutex_hooks.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace nopoll::protocol {
struct Piece;
}

namespace nopoll::core {

// What the frame says about a piece of payload.
struct FrameFacts {
    short opcode = 0;       // of the frame; 0 for its later pieces
    bool fin = false;       // FIN bit of the frame, also on its first pieces
    bool fragment = false;  // part of a fragmented message, or of a frame in pieces
    bool masked = false;    // as on the wire
    std::array<std::byte, 4> mask{};
    std::uint64_t outstanding = 0;  // payload bytes of the frame that come after this piece
};

class Message final : public ::_noPollMsg {
public:
    static Message& from(::noPollMsg& handle) { return static_cast<Message&>(handle); }
    static const Message& from(const ::noPollMsg& handle) {
        return static_cast<const Message&>(handle);
    }

    // Each returns an object with one reference, which belongs to the caller, or throws
    // std::bad_alloc.
    [[nodiscard]] static Message* create();
    // The payload needs a 0 byte behind its `size` bytes; it is freed when the object cannot be
    // made.
    [[nodiscard]] static Message* adopt(MallocPtr<char[]> payload, std::size_t size,
                                        const FrameFacts& facts);
    // Takes the payload out of the piece.
    [[nodiscard]] static Message* from_piece(protocol::Piece&& piece);

    void ref();
    void unref();  // may destroy the object
    [[nodiscard]] int ref_count() const;

    // FIN set and no byte of the frame outstanding.
    [[nodiscard]] bool is_final() const { return has_fin != 0 && remain_bytes == 0; }
    [[nodiscard]] bool is_fragment_or_unfinished() const {
        return is_fragment != 0 || has_fin == 0;
    }

    // A new message with the flags of `first` and both payloads; nullptr when the sizes or payloads
    // (which programs may have set) make no sense.
    [[nodiscard]] static Message* join(const Message& first, const Message& second);

    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

private:
    Message();
    ~Message();
};

static_assert(sizeof(Message) == sizeof(::_noPollMsg));

}  // namespace nopoll::core
