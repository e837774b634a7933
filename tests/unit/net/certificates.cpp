// SPDX-License-Identifier: MIT
// X.509 by hand: SHA-256, valid from two days ago until tomorrow.
#include "unit/net/certificates.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "unit/net/net_test.hpp"

namespace nopoll::net::test {

namespace {

constexpr long kDay = 24L * 60 * 60;

BioPtr open_bio(const std::string& path, const char* mode) {
    BioPtr file(BIO_new_file(path.c_str(), mode));
    assert_non_null(file.get());
    return file;
}

X509Ptr read_certificate(const std::string& path) {
    const BioPtr file = open_bio(path, "r");
    return X509Ptr(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
}

PkeyPtr read_key(const std::string& path) {
    const BioPtr file = open_bio(path, "r");
    return PkeyPtr(PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

}  // namespace

CertificateFolder::CertificateFolder() {
    std::string pattern = std::filesystem::temp_directory_path().string() + "/nopoll-test-XXXXXX";
    assert_non_null(mkdtemp(pattern.data()));
    folder_ = pattern;
}

CertificateFolder::~CertificateFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void CertificateFolder::authority(const std::string& name, const std::string& issuer) {
    make(name, issuer, {name + " authority", ""}, true);
}

void CertificateFolder::leaf(const std::string& name, const std::string& issuer,
                             const LeafOptions& options) {
    make(name, issuer, options, false);
}

void CertificateFolder::make(const std::string& name, const std::string& issuer,
                             const LeafOptions& options, bool is_authority) {
    const PkeyPtr own_key(options.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
    const X509Ptr certificate(X509_new());
    X509* raw = certificate.get();
    X509_set_version(raw, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), serial_++);
    X509_gmtime_adj(X509_getm_notBefore(raw), -2 * kDay);
    X509_gmtime_adj(X509_getm_notAfter(raw), options.expired ? -kDay : kDay);
    X509_set_pubkey(raw, own_key.get());
    X509_NAME* subject = X509_get_subject_name(raw);
    const auto* common_name = reinterpret_cast<const unsigned char*>(options.common_name.c_str());
    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, common_name, -1, -1, 0);

    const X509Ptr parent = issuer.empty() ? nullptr : read_certificate(pem(issuer));
    const PkeyPtr parent_key = issuer.empty() ? nullptr : read_key(key(issuer));
    X509* signer = parent ? parent.get() : raw;
    X509_set_issuer_name(raw, X509_get_subject_name(signer));
    add_extension(raw, signer, NID_basic_constraints,
                  is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (is_authority) add_extension(raw, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (!options.alt_names.empty()) {
        add_extension(raw, signer, NID_subject_alt_name, options.alt_names);
    }
    assert_true(X509_sign(raw, parent_key ? parent_key.get() : own_key.get(), EVP_sha256()) > 0);

    const BioPtr pem_file = open_bio(pem(name), "w");
    assert_int_equal(PEM_write_bio_X509(pem_file.get(), raw), 1);
    const BioPtr key_file = open_bio(key(name), "w");
    assert_int_equal(PEM_write_bio_PrivateKey(key_file.get(), own_key.get(), nullptr, nullptr, 0,
                                              nullptr, nullptr),
                     1);
}

std::string CertificateFolder::content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void CertificateFolder::replace(const std::string& file, const std::string& content) const {
    const std::string fresh = path(file + ".new");
    {
        std::ofstream out(fresh, std::ios::binary);
        out << content;
    }
    assert_int_equal(std::rename(fresh.c_str(), path(file).c_str()), 0);
}

}  // namespace nopoll::net::test
