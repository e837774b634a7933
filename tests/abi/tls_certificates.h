/* SPDX-License-Identifier: MIT */
/* Certificates for the TLS tests, made when the test starts, in a temporary folder that is removed
 * when it ends: P-256 keys, valid since yesterday. Use tls_certificates and tls_certificates_gone
 * as group set-up and tear-down. */
#ifndef ABI_TLS_CERTIFICATES_H
#define ABI_TLS_CERTIFICATES_H

#include "abi_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum {
    TLS_AUTHORITY = 1,
    TLS_EXPIRED = 2,
    TLS_LARGE = 4 /* 16 KB: more than a small socket buffer takes */
};

static char tls_folder[64];

/* The tests and the library's own peers must not meet the machine's certificate store. */
TEST_UNUSED static void tls_system_store(const char* file) {
    assert_int_equal(setenv("SSL_CERT_FILE", file, 1), 0);
    assert_int_equal(setenv("SSL_CERT_DIR", tls_folder, 1), 0);
}

/* Path of a file in the folder; a few results stay valid. */
TEST_UNUSED static const char* tls_path(const char* name, const char* suffix) {
    static char ring[16][128];
    static unsigned at;
    char* const text = ring[at++ % 16];
    snprintf(text, sizeof ring[0], "%s/%s%s", tls_folder, name, suffix);
    return text;
}

TEST_UNUSED static const char* tls_pem(const char* name) {
    return tls_path(name, ".pem");
}

TEST_UNUSED static const char* tls_key(const char* name) {
    return tls_path(name, ".key");
}

TEST_UNUSED static X509* tls_read_certificate(const char* name) {
    X509* certificate = NULL;
    FILE* const file = fopen(tls_pem(name), "r");
    assert_non_null(file);
    certificate = PEM_read_X509(file, NULL, NULL, NULL);
    assert_non_null(certificate);
    fclose(file);
    return certificate;
}

TEST_UNUSED static EVP_PKEY* tls_read_key(const char* name) {
    EVP_PKEY* key = NULL;
    FILE* const file = fopen(tls_key(name), "r");
    assert_non_null(file);
    key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    assert_non_null(key);
    fclose(file);
    return key;
}

static void tls_extend(X509* certificate, X509* issuer, int nid, const char* value) {
    X509V3_CTX context;
    X509_EXTENSION* extension = NULL;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void tls_fill(X509* certificate) {
    char* const text = (char*)malloc(16384);
    assert_non_null(text);
    memset(text, 'x', 16383);
    text[16383] = 0;
    tls_extend(certificate, certificate, NID_netscape_comment, text);
    free(text);
}

static void tls_write(const char* name, X509* certificate, EVP_PKEY* key) {
    FILE* file = fopen(tls_pem(name), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    file = fopen(tls_key(name), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

/* Writes <file>.pem and <file>.key for the common name "<name>.test". issuer: file name of an
 * earlier authority, NULL = signs itself. alt_names in OpenSSL's notation, NULL = none. */
TEST_UNUSED static void tls_make_as(const char* file, const char* name, const char* issuer,
                                    const char* alt_names, int flags) {
    static long serial = 1;
    const long day = 24L * 60 * 60;
    char common_name[64];
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const certificate = X509_new();
    X509* const parent = issuer != NULL ? tls_read_certificate(issuer) : NULL;
    EVP_PKEY* const parent_key = issuer != NULL ? tls_read_key(issuer) : NULL;
    X509* const signer = parent != NULL ? parent : certificate;
    X509_NAME* subject = NULL;
    assert_non_null(key);
    assert_non_null(certificate);
    snprintf(common_name, sizeof common_name, "%s.test", name);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * day);
    X509_gmtime_adj(X509_getm_notAfter(certificate), (flags & TLS_EXPIRED) ? -day : day);
    X509_set_pubkey(certificate, key);
    subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                               (const unsigned char*)common_name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    if (flags & TLS_AUTHORITY) {
        tls_extend(certificate, signer, NID_basic_constraints, "critical,CA:TRUE");
        tls_extend(certificate, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
        tls_extend(certificate, signer, NID_basic_constraints, "critical,CA:FALSE");
    }
    if (alt_names != NULL) tls_extend(certificate, signer, NID_subject_alt_name, alt_names);
    if (flags & TLS_LARGE) tls_fill(certificate);
    assert_true(X509_sign(certificate, parent_key != NULL ? parent_key : key, EVP_sha256()) > 0);
    tls_write(file, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    X509_free(parent);
    EVP_PKEY_free(parent_key);
}

TEST_UNUSED static void tls_make(const char* name, const char* issuer, const char* alt_names,
                                 int flags) {
    tls_make_as(name, name, issuer, alt_names, flags);
}

/* Adds the whole of one file of the folder to another one, or makes that. */
TEST_UNUSED static void tls_append(const char* to, const char* from) {
    char bytes[65536];
    size_t size = 0;
    FILE* file = fopen(from, "r");
    assert_non_null(file);
    size = fread(bytes, 1, sizeof bytes, file);
    assert_true(size > 0 && size < sizeof bytes);
    fclose(file);
    file = fopen(to, "a");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

TEST_UNUSED static void tls_junk(const char* path) {
    FILE* const file = fopen(path, "w");
    assert_non_null(file);
    fputs("this is no certificate and no key\n", file);
    assert_int_equal(fclose(file), 0);
}

/* What most tests need. `server` is for server.test and the loopback addresses. */
TEST_UNUSED static int tls_certificates(void** state) {
    static const char kServer[] = "DNS:server.test,IP:127.0.0.1,IP:::1";
    (void)state;
    alarm(100);
    snprintf(tls_folder, sizeof tls_folder, "/tmp/nopoll-tls-XXXXXX");
    if (mkdtemp(tls_folder) == NULL) return -1;
    tls_make("ca", NULL, NULL, TLS_AUTHORITY);
    tls_make("foreign", NULL, NULL, TLS_AUTHORITY);
    tls_make("middle", "ca", NULL, TLS_AUTHORITY);
    tls_make("server", "ca", kServer, 0);
    tls_make("leaf", "middle", kServer, 0);
    tls_make("other", "ca", "DNS:other.test", 0);
    tls_make("expired", "ca", kServer, TLS_EXPIRED);
    tls_make("stranger", "foreign", kServer, 0);
    tls_make("client", "ca", NULL, 0);
    tls_junk(tls_pem("junk"));
    tls_junk(tls_key("junk"));
    tls_system_store(tls_path("no-such-store", ""));
    return 0;
}

TEST_UNUSED static int tls_certificates_gone(void** state) {
    DIR* const folder = opendir(tls_folder);
    struct dirent* entry = NULL;
    (void)state;
    if (folder == NULL) return -1;
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.') unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    return rmdir(tls_folder);
}

#endif
