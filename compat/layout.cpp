// SPDX-License-Identifier: MIT
// The layout of every struct of nopoll_private.h on LP64 platforms, as programs in the field were
// compiled against it: offset and size of each field. A failing line here is an ABI break.
#include <cstddef>

#include "core/face.hpp"

#if defined(__LP64__)

#define NOPOLL_HOLD_FIELD(type, field, offset, size)                                               \
    static_assert(offsetof(type, field) == (offset), #type "." #field " moved");                   \
    static_assert(sizeof(type::field) == (size), #type "." #field " changed its size")
#define NOPOLL_HOLD_SIZE(type, size)                                                               \
    static_assert(sizeof(type) == (size), #type " changed its size");                              \
    static_assert(alignof(type) == 8, #type " changed its alignment")

NOPOLL_HOLD_FIELD(noPollCertificate, serverName, 0, 8);
NOPOLL_HOLD_FIELD(noPollCertificate, certificateFile, 8, 8);
NOPOLL_HOLD_FIELD(noPollCertificate, privateKey, 16, 8);
NOPOLL_HOLD_FIELD(noPollCertificate, optionalChainFile, 24, 8);
NOPOLL_HOLD_SIZE(noPollCertificate, 32);

NOPOLL_HOLD_FIELD(noPollCtx, refs, 0, 4);
NOPOLL_HOLD_FIELD(noPollCtx, not_executed, 4, 4);
NOPOLL_HOLD_FIELD(noPollCtx, debug_enabled, 8, 4);
NOPOLL_HOLD_FIELD(noPollCtx, not_executed_color, 12, 4);
NOPOLL_HOLD_FIELD(noPollCtx, debug_color_enabled, 16, 4);
NOPOLL_HOLD_FIELD(noPollCtx, keep_looping, 20, 4);
NOPOLL_HOLD_FIELD(noPollCtx, conn_connect_std_timeout, 24, 8);
NOPOLL_HOLD_FIELD(noPollCtx, backlog, 32, 4);
NOPOLL_HOLD_FIELD(noPollCtx, io_engine, 40, 8);
NOPOLL_HOLD_FIELD(noPollCtx, conn_id, 48, 4);
NOPOLL_HOLD_FIELD(noPollCtx, conn_list, 56, 8);
NOPOLL_HOLD_FIELD(noPollCtx, conn_length, 64, 4);
NOPOLL_HOLD_FIELD(noPollCtx, conn_num, 68, 4);
NOPOLL_HOLD_FIELD(noPollCtx, on_accept, 72, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_accept_data, 80, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_ready, 88, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_ready_data, 96, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_open, 104, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_open_data, 112, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_msg, 120, 8);
NOPOLL_HOLD_FIELD(noPollCtx, on_msg_data, 128, 8);
NOPOLL_HOLD_FIELD(noPollCtx, protocol_version, 136, 4);
NOPOLL_HOLD_FIELD(noPollCtx, certificates, 144, 8);
NOPOLL_HOLD_FIELD(noPollCtx, certificates_length, 152, 4);
NOPOLL_HOLD_FIELD(noPollCtx, ref_mutex, 160, 8);
NOPOLL_HOLD_FIELD(noPollCtx, log_handler, 168, 8);
NOPOLL_HOLD_FIELD(noPollCtx, log_user_data, 176, 8);
NOPOLL_HOLD_FIELD(noPollCtx, context_creator, 184, 8);
NOPOLL_HOLD_FIELD(noPollCtx, context_creator_data, 192, 8);
NOPOLL_HOLD_FIELD(noPollCtx, post_ssl_check, 200, 8);
NOPOLL_HOLD_FIELD(noPollCtx, post_ssl_check_data, 208, 8);
NOPOLL_HOLD_FIELD(noPollCtx, max_frame_size, 216, 8);
NOPOLL_HOLD_SIZE(noPollCtx, 224);

NOPOLL_HOLD_FIELD(noPollConn, id, 0, 4);
NOPOLL_HOLD_FIELD(noPollConn, ctx, 8, 8);
NOPOLL_HOLD_FIELD(noPollConn, session, 16, 4);
NOPOLL_HOLD_FIELD(noPollConn, handshake_ok, 20, 4);
NOPOLL_HOLD_FIELD(noPollConn, receive, 24, 8);
NOPOLL_HOLD_FIELD(noPollConn, send, 32, 8);
NOPOLL_HOLD_FIELD(noPollConn, role, 40, 4);
NOPOLL_HOLD_FIELD(noPollConn, host, 48, 8);
NOPOLL_HOLD_FIELD(noPollConn, port, 56, 8);
NOPOLL_HOLD_FIELD(noPollConn, host_name, 64, 8);
NOPOLL_HOLD_FIELD(noPollConn, origin, 72, 8);
NOPOLL_HOLD_FIELD(noPollConn, get_url, 80, 8);
NOPOLL_HOLD_FIELD(noPollConn, protocols, 88, 8);
NOPOLL_HOLD_FIELD(noPollConn, accepted_protocol, 96, 8);
NOPOLL_HOLD_FIELD(noPollConn, peer_close_status, 104, 4);
NOPOLL_HOLD_FIELD(noPollConn, peer_close_reason, 112, 8);
NOPOLL_HOLD_FIELD(noPollConn, on_msg, 120, 8);
NOPOLL_HOLD_FIELD(noPollConn, on_msg_data, 128, 8);
NOPOLL_HOLD_FIELD(noPollConn, on_ready, 136, 8);
NOPOLL_HOLD_FIELD(noPollConn, on_ready_data, 144, 8);
NOPOLL_HOLD_FIELD(noPollConn, on_close, 152, 8);
NOPOLL_HOLD_FIELD(noPollConn, on_close_data, 160, 8);
NOPOLL_HOLD_FIELD(noPollConn, handshake, 168, 8);
NOPOLL_HOLD_FIELD(noPollConn, pending_line, 176, 8);
NOPOLL_HOLD_FIELD(noPollConn, refs, 184, 4);
NOPOLL_HOLD_FIELD(noPollConn, transient_refs, 188, 4);
NOPOLL_HOLD_FIELD(noPollConn, pending_msg, 192, 8);
NOPOLL_HOLD_FIELD(noPollConn, pending_diff, 200, 8);
NOPOLL_HOLD_FIELD(noPollConn, pending_desp, 208, 8);
NOPOLL_HOLD_FIELD(noPollConn, tls_on, 216, 4);
NOPOLL_HOLD_FIELD(noPollConn, pending_ssl_accept, 220, 4);
NOPOLL_HOLD_FIELD(noPollConn, pending_ssl_connect, 224, 4);
NOPOLL_HOLD_FIELD(noPollConn, ssl_ctx, 232, 8);
NOPOLL_HOLD_FIELD(noPollConn, ssl, 240, 8);
NOPOLL_HOLD_FIELD(noPollConn, certificate, 248, 8);
NOPOLL_HOLD_FIELD(noPollConn, private_key, 256, 8);
NOPOLL_HOLD_FIELD(noPollConn, chain_certificate, 264, 8);
NOPOLL_HOLD_FIELD(noPollConn, pending_buf, 272, 100);
NOPOLL_HOLD_FIELD(noPollConn, pending_buf_bytes, 372, 4);
NOPOLL_HOLD_FIELD(noPollConn, hook, 376, 8);
NOPOLL_HOLD_FIELD(noPollConn, ref_mutex, 384, 8);
NOPOLL_HOLD_FIELD(noPollConn, handshake_mutex, 392, 8);
NOPOLL_HOLD_FIELD(noPollConn, previous_msg, 400, 8);
NOPOLL_HOLD_FIELD(noPollConn, previous_was_fragment, 408, 4);
NOPOLL_HOLD_FIELD(noPollConn, pending_write, 416, 8);
NOPOLL_HOLD_FIELD(noPollConn, pending_write_bytes, 424, 4);
NOPOLL_HOLD_FIELD(noPollConn, pending_write_desp, 428, 4);
NOPOLL_HOLD_FIELD(noPollConn, pending_write_added_header, 432, 4);
NOPOLL_HOLD_FIELD(noPollConn, opts, 440, 8);
NOPOLL_HOLD_FIELD(noPollConn, listener, 448, 8);
NOPOLL_HOLD_FIELD(noPollConn, read_pending_header, 456, 4);
NOPOLL_HOLD_FIELD(noPollConn, __force_stop_after_header, 460, 4);
NOPOLL_HOLD_FIELD(noPollConn, x_real_ip_address, 464, 8);
NOPOLL_HOLD_FIELD(noPollConn, max_frame_size, 472, 8);
NOPOLL_HOLD_SIZE(noPollConn, 480);

NOPOLL_HOLD_FIELD(noPollIoEngine, io_object, 0, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, ctx, 8, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, create, 16, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, destroy, 24, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, clear, 32, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, wait, 40, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, add_to, 48, 8);
NOPOLL_HOLD_FIELD(noPollIoEngine, is_set, 56, 8);
NOPOLL_HOLD_SIZE(noPollIoEngine, 64);

NOPOLL_HOLD_FIELD(noPollMsg, has_fin, 0, 4);
NOPOLL_HOLD_FIELD(noPollMsg, op_code, 4, 2);
NOPOLL_HOLD_FIELD(noPollMsg, is_masked, 8, 4);
NOPOLL_HOLD_FIELD(noPollMsg, payload, 16, 8);
NOPOLL_HOLD_FIELD(noPollMsg, payload_size, 24, 8);
NOPOLL_HOLD_FIELD(noPollMsg, refs, 32, 4);
NOPOLL_HOLD_FIELD(noPollMsg, ref_mutex, 40, 8);
NOPOLL_HOLD_FIELD(noPollMsg, mask, 48, 4);
NOPOLL_HOLD_FIELD(noPollMsg, remain_bytes, 52, 4);
NOPOLL_HOLD_FIELD(noPollMsg, is_fragment, 56, 4);
NOPOLL_HOLD_FIELD(noPollMsg, unmask_desp, 60, 4);
NOPOLL_HOLD_SIZE(noPollMsg, 64);

NOPOLL_HOLD_FIELD(noPollHandShake, upgrade_websocket, 0, 4);
NOPOLL_HOLD_FIELD(noPollHandShake, connection_upgrade, 4, 4);
NOPOLL_HOLD_FIELD(noPollHandShake, received_101, 8, 4);
NOPOLL_HOLD_FIELD(noPollHandShake, websocket_key, 16, 8);
NOPOLL_HOLD_FIELD(noPollHandShake, websocket_version, 24, 8);
NOPOLL_HOLD_FIELD(noPollHandShake, websocket_accept, 32, 8);
NOPOLL_HOLD_FIELD(noPollHandShake, expected_accept, 40, 8);
NOPOLL_HOLD_FIELD(noPollHandShake, cookie, 48, 8);
NOPOLL_HOLD_SIZE(noPollHandShake, 56);

NOPOLL_HOLD_FIELD(noPollConnOpts, reuse, 0, 4);
NOPOLL_HOLD_FIELD(noPollConnOpts, mutex, 8, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, refs, 16, 4);
NOPOLL_HOLD_FIELD(noPollConnOpts, ssl_protocol, 20, 4);
NOPOLL_HOLD_FIELD(noPollConnOpts, certificate, 24, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, private_key, 32, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, chain_certificate, 40, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, ca_certificate, 48, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, disable_ssl_verify, 56, 4);
NOPOLL_HOLD_FIELD(noPollConnOpts, cookie, 64, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, skip_origin_header_check, 72, 4);
NOPOLL_HOLD_FIELD(noPollConnOpts, _interface, 80, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, extra_headers, 88, 8);
NOPOLL_HOLD_FIELD(noPollConnOpts, add_origin_header, 96, 4);
NOPOLL_HOLD_FIELD(noPollConnOpts, max_frame_size, 104, 8);
NOPOLL_HOLD_SIZE(noPollConnOpts, 112);

#endif
