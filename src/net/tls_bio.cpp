// SPDX-License-Identifier: MIT
// OpenSSL's own socket BIO can raise SIGPIPE, obeys O_NONBLOCK and keeps a copy of the descriptor
// number; this one does none of that.
#include "net/tls_bio.hpp"

#include <atomic>
#include <new>
#include <span>

#include <openssl/crypto.h>

#include "net/plain_transport.hpp"

namespace nopoll::net {

namespace {

// A record takes two reads.
constexpr int kReadsInOneCall = 64;
constexpr int kNoLimit = -1;

struct State {
    const int* fd = nullptr;  // somebody's field, or own_fd
    int own_fd = -1;
    int reads_left = kNoLimit;
    int error = 0;
    bool at_end = false;
};

State& state_of(BIO* bio) {
    return *static_cast<State*>(BIO_get_data(bio));
}

int descriptor_of(const State& state) {
    // std::atomic_ref has no form for const objects in C++20.
    return std::atomic_ref<int>(const_cast<int&>(*state.fd)).load(std::memory_order_relaxed);
}

// Shared end of reading and writing: 1 with the count, 0 at the end, or -1 with flags that say why,
// as OpenSSL's socket BIO does it: SSL_read passes that on to programs that call it on conn->ssl.
int settle(BIO* bio, const IoResult& result, std::size_t* moved) {
    State& state = state_of(bio);
    BIO_clear_retry_flags(bio);
    *moved = result.bytes;
    switch (result.status) {
    case IoResult::Status::ok: return 1;
    case IoResult::Status::would_block:
        if (result.want_write)
            BIO_set_retry_write(bio);
        else
            BIO_set_retry_read(bio);
        return -1;
    case IoResult::Status::end: state.at_end = true; return 0;
    case IoResult::Status::failed: state.error = result.error; return -1;
    }
    return -1;
}

int read_bytes(BIO* bio, char* data, std::size_t size, std::size_t* moved) {
    State& state = state_of(bio);
    if (state.reads_left == 0) return settle(bio, IoResult::blocked(false), moved);
    if (state.reads_left > 0) --state.reads_left;
    return settle(bio, receive(descriptor_of(state), std::as_writable_bytes(std::span(data, size))),
                  moved);
}

int write_bytes(BIO* bio, const char* data, std::size_t size, std::size_t* moved) {
    const State& state = state_of(bio);
    return settle(bio, send(descriptor_of(state), {}, std::as_bytes(std::span(data, size)), false),
                  moved);
}

long control(BIO* bio, int command, long, void* pointer) {
    State& state = state_of(bio);
    switch (command) {
    case BIO_C_SET_FD:
        state.own_fd = *static_cast<const int*>(pointer);
        state.fd = &state.own_fd;
        return 1;
    case BIO_CTRL_FLUSH: return 1;  // nothing is held back
    case BIO_CTRL_EOF: return state.at_end ? 1 : 0;
    case BIO_C_GET_FD: {  // SSL_get_fd, which programs call in their post check
        const int fd = descriptor_of(state);
        if (pointer != nullptr) *static_cast<int*>(pointer) = fd;
        return fd;
    }
    default: return 0;
    }
}

int destroy(BIO* bio) {
    if (bio == nullptr) return 0;
    OPENSSL_free(BIO_get_data(bio));
    BIO_set_data(bio, nullptr);
    BIO_set_init(bio, 0);
    return 1;
}

// Not CRYPTO_ONCE, which remembers failures: a moment without memory is not to end TLS for good.
constinit std::atomic<int> shared_type{-1};
constinit std::atomic<BIO_METHOD*> shared_method{nullptr};  // never freed: no moment is safe for it

int type_number() {
    const int known = shared_type.load();
    if (known != -1) return known;
    const int index = BIO_get_new_index();
    if (index == -1) return -1;
    const int mine = index | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR;
    int before = -1;
    return shared_type.compare_exchange_strong(before, mine) ? mine : before;
}

BIO_METHOD* make_method() {
    const int type = type_number();
    if (type == -1) return nullptr;
    BIO_METHOD* made = BIO_meth_new(type, "nopoll descriptor");
    if (made == nullptr) return nullptr;
    if (BIO_meth_set_read_ex(made, read_bytes) == 1 &&
        BIO_meth_set_write_ex(made, write_bytes) == 1 && BIO_meth_set_ctrl(made, control) == 1 &&
        BIO_meth_set_destroy(made, destroy) == 1) {
        return made;
    }
    BIO_meth_free(made);
    return nullptr;
}

const BIO_METHOD* method() {
    BIO_METHOD* known = shared_method.load();
    if (known != nullptr) return known;
    BIO_METHOD* const mine = make_method();
    if (mine == nullptr || shared_method.compare_exchange_strong(known, mine)) return mine;
    BIO_meth_free(mine);  // another thread was faster
    return known;
}

}  // namespace

BioPtr make_descriptor_bio(const int* fd) {
    const BIO_METHOD* kind = method();
    if (kind == nullptr) return nullptr;
    void* memory = OPENSSL_zalloc(sizeof(State));
    if (memory == nullptr) return nullptr;
    BioPtr bio(BIO_new(kind));
    if (!bio) {
        OPENSSL_free(memory);
        return nullptr;
    }
    BIO_set_data(bio.get(), new (memory) State{.fd = fd});
    BIO_set_init(bio.get(), 1);
    return bio;
}

bool is_descriptor_bio(BIO* bio) {
    return bio != nullptr && BIO_method_type(bio) == shared_type.load();
}

ReadLimit::ReadLimit(SSL* ssl) : ssl_(ssl) {
    set(kReadsInOneCall);
}

ReadLimit::~ReadLimit() {
    set(kNoLimit);
}

// Callbacks of the program may have put in another BIO meanwhile.
void ReadLimit::set(int reads) {
    BIO* bio = SSL_get_rbio(ssl_);
    if (is_descriptor_bio(bio)) state_of(bio).reads_left = reads;
}

int last_io_error(const SSL* ssl) {
    BIO* bio = SSL_get_rbio(ssl);
    return is_descriptor_bio(bio) ? state_of(bio).error : 0;
}

}  // namespace nopoll::net
