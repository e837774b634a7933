// SPDX-License-Identifier: MIT
//
// Connection options (spec: connection.md section 1). The fields of the face are the only storage
// of what they name; setters take the object's lock, and readers in other threads use values(), a
// snapshot. Two counts keep the object alive: the visible `refs` and hidden holds (a listener whose
// options are reused).
#pragma once

#include "core/face.hpp"
#include "core/mutex_hooks.hpp"

#include <atomic>
#include <optional>
#include <string>

namespace nopoll::core {

// All values at one moment. An unset string is nullopt, "" is a value.
struct OptionValues {
    std::optional<std::string> certificate;
    std::optional<std::string> private_key;
    std::optional<std::string> chain_certificate;
    std::optional<std::string> ca_certificate;
    std::optional<std::string> cookie;
    std::optional<std::string> interface;
    std::optional<std::string> extra_headers;
    int ssl_protocol = NOPOLL_METHOD_TLS_FLEXIBLE;  // any number of the program's
    bool reuse = false;
    bool verify_peer = false;
    bool skip_origin_check = false;
    bool add_origin_header = true;
    long max_frame_size = 0;          // 0: not set
    std::optional<bool> strict;       // nullopt: as the context
    std::optional<bool> host_verify;  // nullopt: follows peer verification
};

class Options final : public ::_noPollConnOpts {
public:
    using TextField = char* noPollConnOpts::*;
    using FlagField = nopoll_bool noPollConnOpts::*;

    static Options& from(::noPollConnOpts& handle) { return static_cast<Options&>(handle); }
    static const Options& from(const ::noPollConnOpts& handle) {
        return static_cast<const Options&>(handle);
    }

    // One reference, which belongs to the caller; throws std::bad_alloc.
    [[nodiscard]] static Options* create();

    [[nodiscard]] bool ref();  // false when the visible count is 0 or below
    void unref();              // may destroy the object
    void hold();               // hidden: does not show in `refs`
    void drop_hold();          // may destroy the object
    void release_if_needed();  // unref unless reuse is on

    void set_text(TextField field, const char* value);
    void set_flag(FlagField field, bool value);
    void set_ssl_protocol(int method);
    void set_max_frame_size(long bytes);
    void set_strict(bool strict);
    void set_host_verify(bool verify);

    // Replaces all four file names; false at the first unreadable one (it stays, those after it are
    // unset).
    [[nodiscard]] bool set_ssl_certs(const char* certificate_file, const char* private_key_file,
                                     const char* chain_file, const char* ca_file);

    [[nodiscard]] OptionValues values() const;  // throws std::bad_alloc

    // For hot paths: single values without copying strings.
    [[nodiscard]] bool reused() const;
    [[nodiscard]] bool skips_origin_check() const;
    [[nodiscard]] std::optional<bool> strict() const;
    [[nodiscard]] long frame_size_limit() const;  // 0: not set

    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

private:
    Options();
    ~Options();

    mutable Mutex lock_;
    // Holds, plus one for as long as the visible count is above 0: whoever takes it to 0 destroys
    // the object.
    std::atomic<int> owners_{1};
    std::optional<bool> strict_;
    std::optional<bool> host_verify_;
};

}  // namespace nopoll::core
