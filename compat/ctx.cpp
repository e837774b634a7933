// SPDX-License-Identifier: MIT
// nopoll_ctx.h: contexts, their registry, certificates and handlers.
#include "boundary.hpp"
#include "core/c_enum.hpp"
#include "core/context.hpp"
#include "core/log.hpp"
#include "result.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using compat::boundary;
using compat::to_bool;
using core::Connection;
using core::Context;

namespace {

// on_accept, on_open and on_ready cannot be taken back once set.
template <class Handler>
bool keeps_old(noPollCtx* ctx, Handler handler, const char* name) {
    if (handler != nullptr) return false;
    NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "%s handler is NULL: the old one stays", name);
    return true;
}

}  // namespace

extern "C" {

noPollCtx* nopoll_ctx_new(void) {
    return boundary<noPollCtx*>(nullptr, [] { return Context::create(); });
}

nopoll_bool nopoll_ctx_ref(noPollCtx* ctx) {
    return to_bool(ctx != nullptr && Context::from(*ctx).ref());
}

void nopoll_ctx_unref(noPollCtx* ctx) {
    if (ctx != nullptr) Context::from(*ctx).unref();
}

int nopoll_ctx_ref_count(noPollCtx* ctx) {
    return ctx == nullptr ? -1 : Context::from(*ctx).ref_count();
}

nopoll_bool nopoll_ctx_register_conn(noPollCtx* ctx, noPollConn* conn) {
    if (ctx == nullptr || conn == nullptr) return nopoll_false;
    return to_bool(boundary(
        false, [&] { return Context::from(*ctx).register_connection(Connection::from(*conn)); }));
}

void nopoll_ctx_unregister_conn(noPollCtx* ctx, noPollConn* conn) {
    if (ctx != nullptr && conn != nullptr)
        Context::from(*ctx).unregister_connection(Connection::from(*conn));
}

nopoll_bool __nopoll_ctx_conn_is_registered(noPollCtx* ctx, noPollConn* conn) {
    if (ctx == nullptr || conn == nullptr) return nopoll_false;
    return to_bool(Context::from(*ctx).is_registered(Connection::from(*conn)));
}

int nopoll_ctx_conns(noPollCtx* ctx) {
    return ctx == nullptr ? -1 : Context::from(*ctx).connection_count();
}

noPollConn* nopoll_ctx_foreach_conn(noPollCtx* ctx, noPollForeachConn visitor,
                                    noPollPtr user_data) {
    if (ctx == nullptr || visitor == nullptr) return nullptr;
    return Context::from(*ctx).for_each(visitor, user_data);
}

nopoll_bool nopoll_ctx_set_certificate(noPollCtx* ctx, const char* serverName,
                                       const char* certificateFile, const char* privateKey,
                                       const char* optionalChainFile) {
    if (ctx == nullptr || certificateFile == nullptr || privateKey == nullptr) return nopoll_false;
    Context& context = Context::from(*ctx);
    return to_bool(boundary(false, [&] {
        const std::lock_guard guard(context.mutex());
        context.certificate_store().add(serverName, certificateFile, privateKey, optionalChainFile);
        return true;
    }));
}

nopoll_bool nopoll_ctx_find_certificate(noPollCtx* ctx, const char* serverName,
                                        const char** certificateFile, const char** privateKey,
                                        const char** optionalChainFile) {
    if (ctx == nullptr) return nopoll_false;
    Context& context = Context::from(*ctx);
    const std::lock_guard guard(context.mutex());
    const noPollCertificate* const entry = context.certificate_store().find(serverName);
    if (entry == nullptr) return nopoll_false;
    if (certificateFile != nullptr) *certificateFile = entry->certificateFile;
    if (privateKey != nullptr) *privateKey = entry->privateKey;
    if (optionalChainFile != nullptr) *optionalChainFile = entry->optionalChainFile;
    return nopoll_true;
}

void nopoll_ctx_set_on_accept(noPollCtx* ctx, noPollActionHandler on_accept, noPollPtr user_data) {
    if (ctx == nullptr || keeps_old(ctx, on_accept, "on_accept")) return;
    Context::from(*ctx).set_handler(ctx->on_accept, ctx->on_accept_data, on_accept, user_data);
}

void nopoll_ctx_set_on_open(noPollCtx* ctx, noPollActionHandler on_open, noPollPtr user_data) {
    if (ctx == nullptr || keeps_old(ctx, on_open, "on_open")) return;
    Context::from(*ctx).set_handler(ctx->on_open, ctx->on_open_data, on_open, user_data);
}

void nopoll_ctx_set_on_ready(noPollCtx* ctx, noPollActionHandler on_ready, noPollPtr user_data) {
    if (ctx == nullptr || keeps_old(ctx, on_ready, "on_ready")) return;
    Context::from(*ctx).set_handler(ctx->on_ready, ctx->on_ready_data, on_ready, user_data);
}

void nopoll_ctx_set_on_msg(noPollCtx* ctx, noPollOnMessageHandler on_msg, noPollPtr user_data) {
    if (ctx == nullptr) return;
    Context::from(*ctx).set_handler(ctx->on_msg, ctx->on_msg_data, on_msg, user_data);
}

void nopoll_ctx_set_ssl_context_creator(noPollCtx* ctx, noPollSslContextCreator context_creator,
                                        noPollPtr user_data) {
    if (ctx == nullptr) return;
    Context::from(*ctx).set_handler(ctx->context_creator, ctx->context_creator_data,
                                    context_creator, user_data);
}

void nopoll_ctx_set_post_ssl_check(noPollCtx* ctx, noPollSslPostCheck post_ssl_check,
                                   noPollPtr user_data) {
    if (ctx == nullptr) return;
    Context::from(*ctx).set_handler(ctx->post_ssl_check, ctx->post_ssl_check_data, post_ssl_check,
                                    user_data);
}

void nopoll_ctx_set_protocol_version(noPollCtx* ctx, int version) {
    if (ctx != nullptr) core::store_field(ctx->protocol_version, version);
}

void nopoll_ctx_set_max_frame_size(noPollCtx* ctx, long max_frame_size) {
    if (ctx == nullptr) return;
    if (max_frame_size < 1 || max_frame_size > NOPOLL_MAX_FRAME_SIZE_LIMIT) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "max frame size %ld is out of range",
                   max_frame_size);
        return;
    }
    core::store_field(ctx->max_frame_size, max_frame_size);
}

long nopoll_ctx_get_max_frame_size(noPollCtx* ctx) {
    return ctx == nullptr ? NOPOLL_MAX_FRAME_SIZE_DEFAULT : core::load_field(ctx->max_frame_size);
}

// --- nopoll_ext.h ---

void nopoll_ctx_set_strict(noPollCtx* ctx, nopoll_bool strict) {
    if (ctx != nullptr) Context::from(*ctx).strict.store(strict != 0);
}

void nopoll_ctx_set_handshake_timeout(noPollCtx* ctx, long microseconds) {
    if (ctx == nullptr) return;
    if (microseconds < 0) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "negative handshake timeout %ld ignored",
                   microseconds);
        return;
    }
    Context::from(*ctx).handshake_timeout_us.store(microseconds);
    Context::from(*ctx).changed();
}

nopoll_bool nopoll_ctx_set_io_engine(noPollCtx* ctx, noPollIoEngineType type) {
    if (ctx == nullptr) return nopoll_false;
    const int number = core::number_of(type);
    if (number < NOPOLL_IO_ENGINE_DEFAULT || number > NOPOLL_IO_ENGINE_EPOLL) return nopoll_false;
    Context& context = Context::from(*ctx);
    context.engine_type.store(number);
    context.give_watch_set(nullptr);
    return nopoll_true;
}

void nopoll_ctx_set_send_queue_limit(noPollCtx* ctx, long bytes) {
    if (ctx == nullptr) return;
    if (bytes < 0) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "negative send queue limit %ld ignored", bytes);
        return;
    }
    Context::from(*ctx).send_queue_limit.store(bytes);
}

void nopoll_ctx_set_cork(noPollCtx* ctx, nopoll_bool cork) {
    if (ctx != nullptr) Context::from(*ctx).cork.store(cork != 0);
}

}  // extern "C"
