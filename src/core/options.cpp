// SPDX-License-Identifier: MIT
//
// Connection options, see options.hpp. Copies and file checks are made before the lock is taken.
#include "core/options.hpp"

#include "core/atomic_field.hpp"
#include "core/c_enum.hpp"
#include "core/c_string.hpp"
#include "core/memory.hpp"

#include <array>
#include <cstddef>

namespace nopoll::core {

Options::Options() : ::_noPollConnOpts{}, lock_(mutex) {
    refs = 1;
    ssl_protocol = NOPOLL_METHOD_TLS_FLEXIBLE;
    disable_ssl_verify = nopoll_true;
    add_origin_header = nopoll_true;
}

Options::~Options() {
    for (const TextField field :
         {&Options::certificate, &Options::private_key, &Options::chain_certificate,
          &Options::ca_certificate, &Options::cookie, &Options::_interface,
          &Options::extra_headers}) {
        release(this->*field);
    }
}

Options* Options::create() {
    return new Options;
}

bool Options::ref() {
    return increment_if_positive(refs);
}

void Options::unref() {
    if (fetch_add_field(refs, -1) == 1) {
        drop_hold();
    }
}

void Options::hold() {
    owners_.fetch_add(1, std::memory_order_relaxed);
}

void Options::drop_hold() {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

void Options::release_if_needed() {
    if (!reused()) {
        unref();
    }
}

void Options::set_text(TextField field, const char* value) {
    MallocPtr<char[]> text(duplicate(value));
    const MutexGuard guard(lock_);
    char* const old = this->*field;
    this->*field = text.release();
    text.reset(old);
}

void Options::set_flag(FlagField field, bool value) {
    const MutexGuard guard(lock_);
    store_field(this->*field, value ? nopoll_true : nopoll_false);
}

void Options::set_ssl_protocol(int method) {
    const MutexGuard guard(lock_);
    ssl_protocol = enum_of<noPollSslProtocol>(method);
}

void Options::set_max_frame_size(long bytes) {
    if (bytes < 1 || bytes > NOPOLL_MAX_FRAME_SIZE_LIMIT) {
        return;
    }
    const MutexGuard guard(lock_);
    store_field(max_frame_size, bytes);
}

void Options::set_strict(bool strict) {
    const MutexGuard guard(lock_);
    strict_ = strict;
}

void Options::set_host_verify(bool verify) {
    const MutexGuard guard(lock_);
    host_verify_ = verify;
}

bool Options::set_ssl_certs(const char* certificate_file, const char* private_key_file,
                            const char* chain_file, const char* ca_file) {
    static constexpr std::array<TextField, 4> kFields = {
        &Options::certificate, &Options::private_key, &Options::chain_certificate,
        &Options::ca_certificate};
    const std::array<const char*, 4> names = {certificate_file, private_key_file, chain_file,
                                              ca_file};
    std::array<MallocPtr<char[]>, 4> copies;
    bool readable = true;
    for (std::size_t i = 0; i < names.size() && readable; ++i) {
        copies[i].reset(duplicate(names[i]));
        readable = names[i] == nullptr || access(names[i], R_OK) == 0;
    }
    const MutexGuard guard(lock_);
    for (std::size_t i = 0; i < kFields.size(); ++i) {
        char* const old = this->*kFields[i];
        this->*kFields[i] = copies[i].release();
        copies[i].reset(old);  // freed on return
    }
    return readable;
}

OptionValues Options::values() const {
    const MutexGuard guard(lock_);
    OptionValues values;
    values.certificate = owned_copy(certificate);
    values.private_key = owned_copy(private_key);
    values.chain_certificate = owned_copy(chain_certificate);
    values.ca_certificate = owned_copy(ca_certificate);
    values.cookie = owned_copy(cookie);
    values.interface = owned_copy(_interface);
    values.extra_headers = owned_copy(extra_headers);
    values.ssl_protocol = number_of(ssl_protocol);
    values.reuse = reuse != 0;
    values.verify_peer = disable_ssl_verify == 0;
    values.skip_origin_check = skip_origin_header_check != 0;
    values.add_origin_header = add_origin_header != 0;
    values.max_frame_size = max_frame_size;
    values.strict = strict_;
    values.host_verify = host_verify_;
    return values;
}

bool Options::reused() const {
    return load_field(reuse) != 0;
}

bool Options::skips_origin_check() const {
    return load_field(skip_origin_header_check) != 0;
}

std::optional<bool> Options::strict() const {
    const MutexGuard guard(lock_);
    return strict_;
}

long Options::frame_size_limit() const {
    return load_field(max_frame_size);
}

}  // namespace nopoll::core
