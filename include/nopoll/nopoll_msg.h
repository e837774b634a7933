/* SPDX-License-Identifier: MIT */
/*
 * Messages: what nopoll_conn_get_msg() returns and on_msg handlers get, a frame of RFC 6455
 * section 5.2 in each, or a piece of a frame too large to be held whole.
 *
 * A message has a count of references, which any thread may change, and outlives its connection
 * and its context. Its content is for one thread at a time while somebody changes it.
 */
#ifndef __NOPOLL_MSG_H__
#define __NOPOLL_MSG_H__

#include "nopoll.h"

BEGIN_C_DECLS

/**
 * Makes an empty message: one reference, no payload, size 0, opcode 0, not final. Programs that
 * fill it set the fields payload (memory of malloc(), the message's from then on), payload_size,
 * op_code and has_fin of noPollMsg (nopoll_private.h).
 *
 * @return the message, to be released with nopoll_msg_unref(); NULL when memory is short.
 */
noPollMsg* nopoll_msg_new(void);

/**
 * Takes a reference, for instance to keep a message after its handler has returned.
 *
 * @return nopoll_true; nopoll_false for NULL.
 */
nopoll_bool nopoll_msg_ref(noPollMsg* msg);

/**
 * Gives a reference back. With the last one the message and its payload are freed.
 *
 * @param msg the message; NULL: nothing happens.
 */
void nopoll_msg_unref(noPollMsg* msg);

/**
 * @return the number of references at this moment; -1 for NULL. For checks and diagnostics only.
 */
int nopoll_msg_ref_count(noPollMsg* msg);

/**
 * The payload, unmasked. For text it is UTF-8 as the peer sent it, which only strict mode checks.
 *
 * @return the bytes, which belong to the message and stay until it is freed or its payload field
 *         is replaced. Received and joined messages have a 0 byte behind the payload that the size
 *         does not count, also when the payload is empty. NULL for NULL and for a message without
 *         payload.
 */
const unsigned char* nopoll_msg_get_payload(noPollMsg* msg);

/**
 * @return the number of payload bytes, 0 for an empty frame; -1 for NULL.
 */
long nopoll_msg_get_payload_size(noPollMsg* msg);

/**
 * @return the opcode. The type of a message in several frames, or pieces, is that of the first
 *         one; the others have NOPOLL_CONTINUATION_FRAME, except that outside strict mode a peer
 *         may repeat the type in each frame. NOPOLL_UNKNOWN_OP_CODE for NULL.
 */
noPollOpCode nopoll_msg_opcode(noPollMsg* msg);

/**
 * Tells whether the message ends here: the FIN bit of the frame is set and no byte of the frame is
 * outstanding.
 *
 * @return 1 for a message that came in one frame and for the last part of any other, else 0; 0
 *         for NULL.
 */
nopoll_bool nopoll_msg_is_final(noPollMsg* msg);

/**
 * Tells whether this is only a part of a message: a frame of a fragmented one (the last included)
 * or a piece of a frame.
 *
 * @return 1 for such a part, 0 for a whole message and for NULL.
 */
nopoll_bool nopoll_msg_is_fragment(noPollMsg* msg);

/**
 * Puts two messages together: the payload of msg, then that of msg2, with a 0 byte behind.
 *
 * Opcode, FIN and mask come from msg; the fragment flag and the count of outstanding bytes do not.
 * So whether a fragmented message is complete is to be read from its parts, with
 * nopoll_msg_is_final(), and not from the result.
 *
 * @param msg  first part. Neither argument is consumed or changed, and both may be the same.
 * @param msg2 second part.
 * @return a new message with one reference; if one argument is NULL, the other one with a further
 *         reference; release either with nopoll_msg_unref(). NULL when both are NULL, when a size
 *         is negative or has no payload to it, when the sum does not fit in long, and when memory
 *         is short.
 */
noPollMsg* nopoll_msg_join(noPollMsg* msg, noPollMsg* msg2);

END_C_DECLS

#endif /* __NOPOLL_MSG_H__ */
