// SPDX-License-Identifier: MIT
// The certificate store of a context; see certificates.hpp.
#include "core/certificates.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "core/c_string.hpp"
#include "core/memory.hpp"
#include "protocol/http_head.hpp"

namespace nopoll::core {
namespace {

bool same_name(const char* a, const char* b) {
    return a == nullptr || b == nullptr ? a == b : std::strcmp(a, b) == 0;
}

std::string_view without_dot(std::string_view name) {
    if (!name.empty() && name.back() == '.') name.remove_suffix(1);
    return name;
}

}  // namespace

Certificates::~Certificates() {
    for (int i = 0; i < count_; ++i) {
        release(entries_[i].serverName);
        release(entries_[i].certificateFile);
        release(entries_[i].privateKey);
        release(entries_[i].optionalChainFile);
    }
    std::free(entries_);
    entries_ = nullptr;
    count_ = 0;
}

void Certificates::add(const char* server_name, const char* certificate, const char* key,
                       const char* chain) {
    for (int i = 0; i < count_; ++i)
        if (same_name(entries_[i].serverName, server_name)) return;
    MallocPtr<char[]> name(duplicate(server_name));
    MallocPtr<char[]> file(duplicate(certificate));
    MallocPtr<char[]> key_file(duplicate(key));
    MallocPtr<char[]> chain_file(duplicate(chain));
    void* const grown =
        std::realloc(entries_, sizeof(noPollCertificate) * (static_cast<std::size_t>(count_) + 1));
    if (grown == nullptr) throw std::bad_alloc();
    entries_ = static_cast<noPollCertificate*>(grown);
    noPollCertificate& entry = entries_[count_];
    entry.serverName = name.release();
    entry.certificateFile = file.release();
    entry.privateKey = key_file.release();
    entry.optionalChainFile = chain_file.release();
    ++count_;
}

const noPollCertificate* Certificates::find(const char* server_name) const {
    for (int i = 0; i < count_; ++i)
        if (same_name(entries_[i].serverName, server_name)) return &entries_[i];
    return server_name == nullptr && count_ > 0 ? &entries_[0] : nullptr;
}

const noPollCertificate* Certificates::find_for_sni(std::string_view sni) const {
    const std::string_view wanted = without_dot(sni);
    for (int i = 0; i < count_ && !wanted.empty(); ++i)
        if (entries_[i].serverName != nullptr &&
            protocol::equals_ignore_case(without_dot(entries_[i].serverName), wanted))
            return &entries_[i];
    return find(nullptr);
}

}  // namespace nopoll::core
