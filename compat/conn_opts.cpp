// SPDX-License-Identifier: MIT
//
// nopoll_conn_opts.h and the options part of nopoll_ext.h (spec: connection.md section 1).
#include "boundary.hpp"
#include "core/c_enum.hpp"
#include "core/face.hpp"
#include "core/options.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using core::Options;

namespace {

void set_text(noPollConnOpts* opts, Options::TextField field, const char* value) {
    if (opts != nullptr) {
        compat::boundary([&] { Options::from(*opts).set_text(field, value); });
    }
}

void set_flag(noPollConnOpts* opts, Options::FlagField field, bool value) {
    if (opts != nullptr) {
        Options::from(*opts).set_flag(field, value);
    }
}

void drop_reference(noPollConnOpts* opts) {
    if (opts != nullptr) {
        Options::from(*opts).unref();
    }
}

}  // namespace

extern "C" {

noPollConnOpts* nopoll_conn_opts_new(void) {
    return compat::boundary<noPollConnOpts*>(nullptr, [] { return Options::create(); });
}

nopoll_bool nopoll_conn_opts_ref(noPollConnOpts* opts) {
    return opts != nullptr && Options::from(*opts).ref() ? nopoll_true : nopoll_false;
}

void nopoll_conn_opts_unref(noPollConnOpts* opts) {
    drop_reference(opts);
}

void nopoll_conn_opts_free(noPollConnOpts* opts) {
    drop_reference(opts);
}

void __nopoll_conn_opts_free_common(noPollConnOpts* opts) {
    drop_reference(opts);
}

void __nopoll_conn_opts_release_if_needed(noPollConnOpts* options) {
    if (options != nullptr) {
        Options::from(*options).release_if_needed();
    }
}

nopoll_bool nopoll_conn_opts_set_ssl_certs(noPollConnOpts* opts, const char* certificate,
                                           const char* private_key, const char* chain_certificate,
                                           const char* ca_certificate) {
    if (opts == nullptr) {
        return nopoll_false;
    }
    const bool stored = compat::boundary(false, [&] {
        return Options::from(*opts).set_ssl_certs(certificate, private_key, chain_certificate,
                                                  ca_certificate);
    });
    return stored ? nopoll_true : nopoll_false;
}

void nopoll_conn_opts_ssl_peer_verify(noPollConnOpts* opts, nopoll_bool verify) {
    set_flag(opts, &Options::disable_ssl_verify, verify == 0);
}

void nopoll_conn_opts_set_ssl_protocol(noPollConnOpts* opts, noPollSslProtocol ssl_protocol) {
    if (opts != nullptr) {
        Options::from(*opts).set_ssl_protocol(core::number_of(ssl_protocol));
    }
}

void nopoll_conn_opts_set_cookie(noPollConnOpts* opts, const char* cookie_content) {
    set_text(opts, &Options::cookie, cookie_content);
}

void nopoll_conn_opts_set_extra_headers(noPollConnOpts* opts, const char* extra_headers) {
    set_text(opts, &Options::extra_headers, extra_headers);
}

void nopoll_conn_opts_set_interface(noPollConnOpts* opts, const char* iface) {
    set_text(opts, &Options::_interface, iface);
}

void nopoll_conn_opts_skip_origin_check(noPollConnOpts* opts, nopoll_bool skip_check) {
    set_flag(opts, &Options::skip_origin_header_check, skip_check != 0);
}

void nopoll_conn_opts_add_origin_header(noPollConnOpts* opts, nopoll_bool add) {
    set_flag(opts, &Options::add_origin_header, add != 0);
}

void nopoll_conn_opts_set_reuse(noPollConnOpts* opts, nopoll_bool reuse) {
    set_flag(opts, &Options::reuse, reuse != 0);
}

void nopoll_conn_opts_set_max_frame_size(noPollConnOpts* opts, long max_frame_size) {
    if (opts != nullptr) {
        Options::from(*opts).set_max_frame_size(max_frame_size);
    }
}

void nopoll_conn_opts_set_strict(noPollConnOpts* opts, nopoll_bool strict) {
    if (opts != nullptr) {
        Options::from(*opts).set_strict(strict != 0);
    }
}

void nopoll_conn_opts_ssl_host_verify(noPollConnOpts* opts, nopoll_bool verify) {
    if (opts != nullptr) {
        Options::from(*opts).set_host_verify(verify != 0);
    }
}

}  // extern "C"
