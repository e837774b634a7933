// SPDX-License-Identifier: MIT
// Life of a connection object: creation, references, pins, the end; and who may read.
#include "core/connection.hpp"

#include <algorithm>
#include <new>

#include "core/c_string.hpp"
#include "core/io_entries.hpp"
#include "net/unique_fd.hpp"

namespace nopoll::core {

Connection::Connection(Context& context, noPollRole new_role, bool strict)
    : ::_noPollConn{}, context_(context), mutex_(ref_mutex), strict_(strict),
      decoder_(new_role == NOPOLL_ROLE_CLIENT ? protocol::Role::client : protocol::Role::server,
               strict) {
    refs = 1;
    session = NOPOLL_INVALID_SOCKET;
    ctx = &context;
    role = new_role;
    receive = plain_receive_entry;
    send = plain_send_entry;
    if (new_role == NOPOLL_ROLE_CLIENT) peer_close_status = protocol::close_code::abnormal;
    context_.pin();
}

Connection* Connection::create(Context& context, noPollRole role, bool strict) {
    return new Connection(context, role, strict);
}

Connection::~Connection() {
    context_.detach_family(*this);
    const int fd = exchange_field(session, NOPOLL_INVALID_SOCKET);
    if (ssl != nullptr) SSL_free(ssl);
    if (ssl_ctx != nullptr) SSL_CTX_free(ssl_ctx);
    ssl = nullptr;
    ssl_ctx = nullptr;
    net::close_quietly(fd);
    for (char** text : {&host, &port, &host_name, &origin, &get_url, &protocols, &accepted_protocol,
                        &peer_close_reason, &x_real_ip_address, &certificate, &private_key,
                        &chain_certificate, &cookie_})
        core::release(*text);
    if (opts != nullptr) {
        Options& options = Options::from(*opts);
        if (options_held_)
            options.drop_hold();
        else
            options.unref();
    }
    if (accept_options_ != nullptr) accept_options_->drop_hold();
    input_.drop(context_.input_buffers());
    if (holds_context_) context_.unref();
    context_.unpin();
}

void Connection::unref() {
    if (decrement_to_zero(refs)) unpin();
}

void Connection::unpin() {
    if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

bool Connection::transient_ref() {
    if (!ref()) return false;
    fetch_add_field(transient_refs, 1);
    return true;
}

void Connection::transient_unref() {
    if (load_field(transient_refs) > 0) fetch_add_field(transient_refs, -1);
    unref();
}

long Connection::frame_limit() const {
    const long own = load_field(max_frame_size);
    return own > 0 ? own : context_.frame_limit();
}

void Connection::set_accepted_protocol(const char* protocol) {
    const std::lock_guard guard(mutex_);
    replace_text(accepted_protocol, protocol);
}

// In slices: another thread may close the descriptor, or the program take it away, in a way that
// poll(2) does not tell. The caller looks at the state again after each of them.
net::Ready Connection::await_descriptor(bool to_read, bool to_write, net::Deadline deadline) const {
    constexpr std::int64_t kSliceUs = 500'000;
    const auto slice = net::Deadline::after_us(std::min(deadline.left_us(), kSliceUs));
    return net::wait_for(descriptor(), to_read, to_write, slice);
}

// Getters hand out the pointers themselves, to any thread: what was there before stays allocated as
// long as the connection. Heads are bounded, so the list is.
void Connection::replace_text(char*& field, std::string_view value) {
    if (field != nullptr && value == field) return;
    if (field != nullptr) retired_texts_.reserve(retired_texts_.size() + 1);
    char* const old = exchange_field(field, duplicate(value));
    if (old != nullptr) retired_texts_.emplace_back(old);
}

// The connection may be closed by another thread at this moment.
void Connection::attach_tls(SSL_CTX* tls_context, SSL* tls) {
    const std::lock_guard guard(mutex_);
    ssl_ctx = tls_context;
    ssl = tls;
}

// The program takes the descriptor away, or brings another: nothing else happens to either.
void Connection::set_descriptor(int fd) {
    {
        const std::lock_guard guard(mutex_);
        exchange_descriptor_locked(fd);
    }
    context_.changed();
}

// The context's lock, so that no loop starts to watch the old one any more. What the loops' engines
// know of it ends while it is still open; a number that is not ours any more may be in use again.
int Connection::exchange_descriptor_locked(int fd, bool old_is_ours) {
    const std::lock_guard guard(context_.mutex());
    const int old = exchange_field(session, fd);
    ++descriptor_number_;
    if (old != NOPOLL_INVALID_SOCKET && old != fd && old_is_ours) context_.release_descriptor(old);
    return old;
}

ReaderClaim::ReaderClaim(Connection& connection) : connection_(connection) {
    const ThreadToken self = this_thread_token();
    if (connection_.reader_.load(std::memory_order_acquire) == self) {
        ++connection_.reader_depth_;
        held_ = true;
        return;
    }
    ThreadToken nobody = nullptr;
    if (connection_.reader_.compare_exchange_strong(nobody, self)) {
        connection_.reader_depth_ = 1;
        held_ = outermost_ = true;
    }
}

ReaderClaim::~ReaderClaim() {
    if (!held_ || --connection_.reader_depth_ > 0) return;
    connection_.reader_.store(nullptr);
    // A loop has left this connection out because of us.
    if (connection_.contended_.exchange(false)) connection_.context_.changed();
}

}  // namespace nopoll::core
