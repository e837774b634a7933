// SPDX-License-Identifier: MIT
// See server_program.hpp. Handlers run inside calls of the library: what they allocate themselves
// must not count, what they call does.
#include "faults/server_program.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <string_view>

#include "faults/call.hpp"

namespace nopoll::faults {

namespace {

int port_of(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    return ntohs(address.sin_port);
}

std::string_view text_of(noPollMsg* message) {
    return {reinterpret_cast<const char*>(nopoll_msg_get_payload(message)),
            static_cast<std::size_t>(nopoll_msg_get_payload_size(message))};
}

}  // namespace

// --- set-up ------------------------------------------------------------------------------------

bool ServerProgram::prepare() {
    if (ctx_ == nullptr) {
        const auto made = call([] { return nopoll_ctx_new(); });
        if (!succeeded(made, made.value != nullptr, "nopoll_ctx_new", findings_)) return false;
        ctx_ = made.value;
        nopoll_log_set_handler(ctx_, on_log, this);
        nopoll_ctx_set_on_accept(ctx_, on_accept, this);
        nopoll_ctx_set_on_open(ctx_, on_open, this);
        nopoll_ctx_set_on_ready(ctx_, on_ready, this);
        nopoll_ctx_set_on_msg(ctx_, on_message, this);
    }
    if (tls_ != nullptr && !set_certificates()) return false;
    return listener_ != nullptr || make_listener();
}

bool ServerProgram::set_certificates() {
    if (certificates_set_) return true;
    const auto first = call([&] {
        return nopoll_ctx_set_certificate(ctx_, nullptr, tls_->other_certificate.c_str(),
                                          tls_->other_key.c_str(), nullptr);
    });
    if (!succeeded(first, first.value != 0, "nopoll_ctx_set_certificate", findings_)) return false;
    const auto second = call([&] {
        return nopoll_ctx_set_certificate(ctx_, "localhost", tls_->certificate.c_str(),
                                          tls_->key.c_str(), nullptr);
    });
    certificates_set_ =
        succeeded(second, second.value != 0, "nopoll_ctx_set_certificate", findings_);
    return certificates_set_;
}

bool ServerProgram::make_listener() {
    const auto options = call([] { return nopoll_conn_opts_new(); });
    if (!succeeded(options, options.value != nullptr, "nopoll_conn_opts_new", findings_))
        return false;
    nopoll_conn_opts_set_max_frame_size(options.value, kLarge);
    nopoll_conn_opts_set_ssl_protocol(options.value, NOPOLL_METHOD_TLS_FLEXIBLE);
    const auto made = call([&] {
        return tls_ != nullptr ? nopoll_listener_tls_new_opts(ctx_, options.value, "127.0.0.1", "0")
                               : nopoll_listener_new_opts(ctx_, options.value, "127.0.0.1", "0");
    });
    if (!succeeded(made, made.value != nullptr, "nopoll_listener_new_opts", findings_))
        return false;
    listener_ = made.value;
    return true;
}

// --- the thread --------------------------------------------------------------------------------

void ServerProgram::publish(int port) {
    const std::lock_guard guard(mutex_);
    published_ = round_;
    port_ = port;
    changed_.notify_all();
}

int ServerProgram::wait_for_port(int round) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return published_ == round; });
    return port_;
}

void ServerProgram::next_round() {
    std::unique_lock lock(mutex_);
    const int over = round_++;
    changed_.notify_all();
    // A stop that comes just before a wait begins is forgotten, hence the repetition.
    while (served_ != over) {
        if (ctx_ != nullptr) nopoll_loop_stop(ctx_);
        changed_.wait_for(lock, std::chrono::milliseconds(1));
    }
}

void ServerProgram::serve(int round) {
    const auto over = [&] {
        const std::lock_guard guard(mutex_);
        return round_ != round;
    };
    int failures = 0;
    while (!over()) {
        if (listener_ == nullptr) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return round_ != round; });
            break;
        }
        const auto waited = call([&] { return nopoll_loop_wait(ctx_, kPatienceMs * 1000L); });
        if (waited.value == 0 || waited.value == -3) continue;
        succeeded(waited, waited.value != -4, "nopoll_loop_wait", findings_);
        if (++failures == kLoopTries) give_up();
    }
    const std::lock_guard guard(mutex_);
    served_ = round;
    changed_.notify_all();
}

// Without a loop there is no server: clients must not wait for it.
void ServerProgram::give_up() {
    in_library([&] {
        nopoll_ctx_foreach_conn(ctx_, close_one, nullptr);
        nopoll_conn_close(listener_);
        return 0;
    });
    listener_ = nullptr;
}

void ServerProgram::run() {
    play(Part::server);
    for (const int round : {1, 2}) {
        const bool listens = prepare();
        publish(listens ? port_of(nopoll_conn_socket(listener_)) : 0);
        serve(round);
    }
    finish();
}

void ServerProgram::finish() {
    nopoll_msg_unref(collected_);
    if (ctx_ == nullptr) return;
    // Connections whose client has gone without the loop noticing.
    for (int pass = 0; pass < 100 && nopoll_ctx_conns(ctx_) > (listener_ != nullptr ? 1 : 0);
         ++pass)
        nopoll_loop_wait(ctx_, 10000);
    nopoll_conn_close(listener_);
    if (nopoll_ctx_conns(ctx_) != 0)
        findings_.add("server: %d connections are left", nopoll_ctx_conns(ctx_));
    if (nopoll_ctx_ref_count(ctx_) != 1)
        findings_.add("server: %d references of the context", nopoll_ctx_ref_count(ctx_));
    nopoll_ctx_unref(ctx_);
}

// --- handlers ----------------------------------------------------------------------------------

void ServerProgram::on_log(noPollCtx*, noPollDebugLevel, const char* text, noPollPtr data) {
    auto* const self = static_cast<ServerProgram*>(data);
    take_record("server", text, self->findings_);
}

nopoll_bool ServerProgram::on_accept(noPollCtx*, noPollConn* conn, noPollPtr data) {
    nopoll_conn_set_hook(conn, data);
    make_send_buffer_small(conn);
    return nopoll_true;
}

nopoll_bool ServerProgram::on_open(noPollCtx*, noPollConn* conn, noPollPtr data) {
    auto* const self = static_cast<ServerProgram*>(data);
    nopoll_msg_unref(self->collected_);  // of a connection that ended in the middle
    self->collected_ = nullptr;
    nopoll_conn_set_accepted_protocol(conn, "second");
    return nopoll_true;
}

nopoll_bool ServerProgram::on_ready(noPollCtx*, noPollConn* conn, noPollPtr) {
    (void)nopoll_conn_send_ping(conn);
    return nopoll_true;
}

nopoll_bool ServerProgram::count_one(noPollCtx*, noPollConn*, noPollPtr data) {
    ++*static_cast<int*>(data);
    return nopoll_false;
}

nopoll_bool ServerProgram::close_one(noPollCtx*, noPollConn* conn, noPollPtr) {
    if (nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER) nopoll_conn_close(conn);
    return nopoll_false;
}

void ServerProgram::on_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* message,
                               noPollPtr data) {
    auto* const self = static_cast<ServerProgram*>(data);
    if (!self->answer(ctx, conn, message)) nopoll_conn_close_ext(conn, 1011, "no memory", 9);
}

bool ServerProgram::send(noPollConn* conn, int (*how)(noPollConn*, const char*, long),
                         const char* bytes, long size) {
    const auto sent = call([&] { return how(conn, bytes, size); });
    // In part: the loop writes the rest.
    if (sent.value == size || sent.value == -2 || (sent.value >= 0 && sent.value < size))
        return true;
    // Without memory the frame is not taken; other failures are the network's.
    if (sent.value != -1) findings_.add("server: a send of %ld returned %d", size, sent.value);
    if (sent.memory_short && !says_no_memory(sent.error))
        findings_.add("server: a send had no memory, but errno is %d", sent.error);
    return false;
}

bool ServerProgram::answer(noPollCtx* ctx, noPollConn* conn, noPollMsg* message) {
    int connections = 0;
    if (nopoll_ctx_foreach_conn(ctx, count_one, &connections) != nullptr || connections < 1)
        findings_.add("server: %d connections seen by foreach", connections);

    const std::string_view text = text_of(message);
    if (nopoll_msg_is_fragment(message) != nopoll_false) {
        const auto joined = call([&] { return nopoll_msg_join(collected_, message); });
        nopoll_msg_unref(collected_);
        collected_ = joined.value;
        if (!succeeded(joined, joined.value != nullptr, "nopoll_msg_join", findings_)) return false;
        if (nopoll_msg_is_final(message) == nopoll_false) return true;
        const std::string_view whole = text_of(collected_);
        const bool sent =
            send(conn, nopoll_conn_send_binary, whole.data(), static_cast<long>(whole.size()));
        nopoll_msg_unref(collected_);
        collected_ = nullptr;
        return sent;
    }
    if (text == "stream")
        return send(conn, nopoll_conn_send_text_fragment, "one,", 4) &&
               send(conn, nopoll_conn_send_text, "two", 3);
    const bool binary = nopoll_msg_opcode(message) == NOPOLL_BINARY_FRAME;
    return send(conn, binary ? nopoll_conn_send_binary : nopoll_conn_send_text, text.data(),
                static_cast<long>(text.size()));
}

}  // namespace nopoll::faults
