// SPDX-License-Identifier: MIT
// See certificate.hpp.
#include "stress/certificate.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "stress/support.hpp"

namespace nopoll::stress {
namespace {

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace

TestCertificate::TestCertificate() {
    char name[] = "/tmp/nopoll-stress-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    folder_ = name;

    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(EVP_EC_gen("P-256"),
                                                                   EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
    REQUIRE(pair && made);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 86400);
    X509_set_pubkey(made.get(), pair.get());
    X509_NAME* const subject = X509_get_subject_name(made.get());
    const auto* const text = reinterpret_cast<const unsigned char*>("127.0.0.1");
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(made.get(), subject);
    REQUIRE(X509_sign(made.get(), pair.get(), EVP_sha256()) > 0);

    const File certificate_file(std::fopen(certificate().c_str(), "w"));
    const File key_file(std::fopen(key().c_str(), "w"));
    REQUIRE(certificate_file && key_file);
    REQUIRE(PEM_write_X509(certificate_file.get(), made.get()) == 1);
    REQUIRE(PEM_write_PrivateKey(key_file.get(), pair.get(), nullptr, nullptr, 0, nullptr,
                                 nullptr) == 1);
}

TestCertificate::~TestCertificate() {
    ::unlink(certificate().c_str());
    ::unlink(key().c_str());
    ::rmdir(folder_.c_str());
}

}  // namespace nopoll::stress
