// SPDX-License-Identifier: MIT
// Certificates for the tests, made anew in a temporary folder that goes with the object.
#pragma once

#include <string>
#include <vector>

#include "net/tls_handles.hpp"

namespace nopoll::net::test {

struct LeafOptions {
    std::string common_name = "server.test";
    std::string alt_names = "DNS:server.test";  // OpenSSL's notation, "" = none
    bool expired = false;
    bool rsa = false;  // else P-256
};

class CertificateFolder {
public:
    CertificateFolder();
    CertificateFolder(const CertificateFolder&) = delete;
    CertificateFolder& operator=(const CertificateFolder&) = delete;
    ~CertificateFolder();

    // Each of these writes <name>.pem and <name>.key. issuer: the name of an earlier authority,
    // "" = signs itself.
    void authority(const std::string& name, const std::string& issuer = "");
    void leaf(const std::string& name, const std::string& issuer, const LeafOptions& options = {});

    [[nodiscard]] std::string pem(const std::string& name) const { return path(name + ".pem"); }
    [[nodiscard]] std::string key(const std::string& name) const { return path(name + ".key"); }
    [[nodiscard]] std::string path(const std::string& file) const { return folder_ + "/" + file; }

    [[nodiscard]] static std::string content(const std::string& path);
    // Writes a new file and moves it to its place, as careful administrators do.
    void replace(const std::string& file, const std::string& content) const;

private:
    void make(const std::string& name, const std::string& issuer, const LeafOptions& options,
              bool is_authority);

    std::string folder_;
    long serial_ = 1;
};

}  // namespace nopoll::net::test
