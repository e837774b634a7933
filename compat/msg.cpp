// SPDX-License-Identifier: MIT
//
// nopoll_msg.h: messages (spec: messages-logging-utils.md section 1).
#include "boundary.hpp"
#include "core/c_enum.hpp"
#include "core/face.hpp"
#include "core/message.hpp"

using namespace nopoll;
using core::Message;

extern "C" {

noPollMsg* nopoll_msg_new(void) {
    return compat::boundary<noPollMsg*>(nullptr, [] { return Message::create(); });
}

nopoll_bool nopoll_msg_ref(noPollMsg* msg) {
    if (msg == nullptr) {
        return nopoll_false;
    }
    Message::from(*msg).ref();
    return nopoll_true;
}

void nopoll_msg_unref(noPollMsg* msg) {
    if (msg != nullptr) {
        Message::from(*msg).unref();
    }
}

int nopoll_msg_ref_count(noPollMsg* msg) {
    return msg == nullptr ? -1 : Message::from(*msg).ref_count();
}

const unsigned char* nopoll_msg_get_payload(noPollMsg* msg) {
    return msg == nullptr ? nullptr : static_cast<const unsigned char*>(msg->payload);
}

long nopoll_msg_get_payload_size(noPollMsg* msg) {
    return msg == nullptr ? -1 : msg->payload_size;
}

noPollOpCode nopoll_msg_opcode(noPollMsg* msg) {
    return msg == nullptr ? NOPOLL_UNKNOWN_OP_CODE : core::enum_of<noPollOpCode>(msg->op_code);
}

nopoll_bool nopoll_msg_is_final(noPollMsg* msg) {
    return msg != nullptr && Message::from(*msg).is_final() ? nopoll_true : nopoll_false;
}

nopoll_bool nopoll_msg_is_fragment(noPollMsg* msg) {
    return msg != nullptr && Message::from(*msg).is_fragment_or_unfinished() ? nopoll_true
                                                                             : nopoll_false;
}

noPollMsg* nopoll_msg_join(noPollMsg* msg, noPollMsg* msg2) {
    if (msg == nullptr || msg2 == nullptr) {
        noPollMsg* const only = msg == nullptr ? msg2 : msg;
        nopoll::core::Message* const same = only == nullptr ? nullptr : &Message::from(*only);
        if (same != nullptr) {
            same->ref();
        }
        return same;
    }
    return compat::boundary<noPollMsg*>(
        nullptr, [&] { return Message::join(Message::from(*msg), Message::from(*msg2)); });
}

}  // extern "C"
