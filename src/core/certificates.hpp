// SPDX-License-Identifier: MIT
// The certificate store of a context: which files to present under which server name. Entries are
// never replaced or removed, so their strings live as long as the context.
// The caller locks.
#pragma once

#include <string_view>

#include "core/face.hpp"

namespace nopoll::core {

class Certificates {
public:
    // The array lives in the context's face, where programs may look at it.
    Certificates(noPollCertificate*& entries, int& count) : entries_(entries), count_(count) {}
    ~Certificates();
    Certificates(const Certificates&) = delete;
    Certificates& operator=(const Certificates&) = delete;

    // A name that is there already keeps its first entry. Throws std::bad_alloc, nothing stored.
    void add(const char* server_name, const char* certificate, const char* key, const char* chain);
    // Exact, case-sensitive; for nullptr the default entry, else the first one stored.
    const noPollCertificate* find(const char* server_name) const;
    // The entry for a TLS client that asks for `sni` (ASCII case ignored, trailing dot too); no
    // match, or an empty name: as find (nullptr).
    const noPollCertificate* find_for_sni(std::string_view sni) const;

private:
    noPollCertificate*& entries_;
    int& count_;
};

}  // namespace nopoll::core
