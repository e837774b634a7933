// SPDX-License-Identifier: MIT
// Contexts from settings: versions, chains, faults, resumption, contexts of the program's own.
#include "net/tls_context.hpp"

#include <cstring>
#include <utility>

#include <openssl/pem.h>

#include "unit/net/certificates.hpp"
#include "unit/net/net_test.hpp"
#include "unit/net/tls_pair.hpp"

using namespace nopoll::net;
using test::TlsPair;

namespace {

test::CertificateFolder* folder = nullptr;

int set_up_group(void**) {
    folder = new test::CertificateFolder;
    folder->authority("ca");
    folder->authority("middle", "ca");
    folder->leaf("server", "middle");
    folder->leaf("other", "ca", {"other.test", "DNS:other.test"});
    using Folder = test::CertificateFolder;
    const std::string leaf = Folder::content(folder->pem("server"));
    const std::string middle = Folder::content(folder->pem("middle"));
    folder->replace("full.pem", leaf + middle);
    folder->replace("junk.pem", "this is not a certificate\n");
    folder->replace("broken.pem",
                    leaf + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    return 0;
}

int tear_down_group(void**) {
    delete folder;
    return 0;
}

TlsSettings listener(const std::string& certificate, const std::string& key,
                     const std::string& chain = "") {
    TlsSettings settings;
    settings.certificate = folder->pem(certificate);
    settings.private_key = folder->key(key);
    if (!chain.empty()) settings.chain = folder->pem(chain);
    return settings;
}

TlsSettings verifying_client() {
    TlsSettings settings;
    settings.client = true;
    settings.verify_peer = true;
    settings.ca = folder->pem("ca");
    return settings;
}

void chain_is_sent(void**) {
    const SslCtxPtr client = test::context_for(verifying_client());
    const struct {
        TlsSettings settings;
        bool verifies;
        int sent;
    } table[] = {
        {listener("server", "server"), false, 1},
        {listener("server", "server", "middle"), true, 2},
        {listener("server", "server", "full"), true, 2},  // leaf not sent twice
        {listener("full", "server"), true, 2},
    };
    for (const auto& row : table) {
        const SslCtxPtr server = test::context_for(row.settings);
        TlsPair pair(client.get(), server.get());
        assert_int_equal(pair.shake_hands(), row.verifies);
        TlsSettings any;
        any.client = true;
        const SslCtxPtr trusting = test::context_for(any);
        TlsPair second(trusting.get(), server.get());
        assert_true(second.shake_hands());
        assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(second.client.ssl.get())), row.sent);
    }
}

// Without a certificate file the chain file stands in for it.
void chain_file_alone_is_the_certificate(void**) {
    TlsSettings settings = listener("server", "server", "full");
    settings.certificate.clear();
    const SslCtxPtr server = test::context_for(settings);
    const SslCtxPtr client = test::context_for(verifying_client());
    TlsPair pair(client.get(), server.get());
    assert_true(pair.shake_hands());
}

void faults_name_the_file(void**) {
    const struct {
        TlsSettings settings;
        std::string file;
        const char* reason;
    } table[] = {
        {listener("missing", "server"), "missing.pem", "No such file or directory"},
        {listener("server", "missing"), "missing.key", "No such file or directory"},
        {listener("server", "server", "missing"), "missing.pem", "No such file or directory"},
        {listener("junk", "server"), "junk.pem", "no certificate in this file"},
        {listener("broken", "server"), "broken.pem", "not a valid certificate"},
        {listener("server", "server", "junk"), "junk.pem", "no certificate in this file"},
        {listener("server", "other"), "other.key", "private key does not match certificate"},
    };
    for (const auto& row : table) {
        const TlsContextResult result = build_tls_context(row.settings);
        assert_null(result.context.get());
        assert_non_null(std::strstr(result.error.c_str(), folder->path(row.file).c_str()));
        assert_non_null(std::strstr(result.error.c_str(), row.reason));
        assert_string_equal(drain_error_queue().c_str(), "");
    }
    TlsSettings key_is_junk = listener("server", "server");
    key_is_junk.private_key = folder->pem("junk");
    assert_non_null(std::strstr(build_tls_context(key_is_junk).error.c_str(), "private key"));
    for (const char* ca : {"junk", "missing"}) {
        TlsSettings settings = verifying_client();
        settings.ca = folder->pem(ca);
        const TlsContextResult result = build_tls_context(settings);
        assert_null(result.context.get());
        assert_non_null(std::strstr(result.error.c_str(), settings.ca.c_str()));
        settings.verify_peer = false;  // what was given must be good, used or not
        assert_null(build_tls_context(settings).context.get());
    }
}

void versions_are_as_asked(void**) {
    for (const bool on_server : {true, false}) {
        TlsSettings server_side = listener("server", "server");
        TlsSettings client_side = verifying_client();
        client_side.verify_peer = false;
        TlsPair flexible(test::context_for(client_side).get(),
                         test::context_for(server_side).get());
        assert_true(flexible.shake_hands());
        assert_string_equal(SSL_get_version(flexible.client.ssl.get()), "TLSv1.3");
        (on_server ? server_side : client_side).method = kTlsExactly12;
        TlsPair exact(test::context_for(client_side).get(), test::context_for(server_side).get());
        assert_true(exact.shake_hands());
        assert_string_equal(SSL_get_version(exact.client.ssl.get()), "TLSv1.2");
    }
    // Nothing older where the system's configuration leaves it open.
    for (const TlsSettings& settings : {listener("server", "server"), verifying_client()}) {
        const SslCtxPtr context = test::context_for(settings);
        assert_int_equal(SSL_CTX_get_min_proto_version(context.get()), TLS1_2_VERSION);
        assert_int_equal(SSL_CTX_get_max_proto_version(context.get()), 0);
    }
}

void trust_store_only_where_needed(void**) {
    // Both the default store and a CA file show as look-up methods of the store.
    const auto lookups = [](const TlsSettings& settings) {
        const SslCtxPtr context = test::context_for(settings);
        STACK_OF(X509_OBJECT)* objects =
            X509_STORE_get0_objects(SSL_CTX_get_cert_store(context.get()));
        return std::pair(SSL_CTX_get_verify_mode(context.get()), sk_X509_OBJECT_num(objects));
    };
    TlsSettings plain;
    plain.client = true;
    assert_int_equal(lookups(plain).first, SSL_VERIFY_NONE);
    assert_int_equal(lookups(plain).second, 0);
    assert_int_equal(lookups(listener("server", "server")).second, 0);
    assert_int_equal(lookups(verifying_client()).first, SSL_VERIFY_PEER);
    assert_true(lookups(verifying_client()).second >= 1);
    TlsSettings demanding = listener("server", "server");
    demanding.demand_client_certificate = true;
    demanding.ca = folder->pem("ca");
    assert_int_equal(lookups(demanding).first, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
}

bool resumes(const TlsSettings& server_side, const TlsSettings& client_side) {
    const SslCtxPtr server = test::context_for(server_side);
    const SslCtxPtr client = test::context_for(client_side);
    SSL_CTX_set_session_cache_mode(client.get(), SSL_SESS_CACHE_CLIENT);
    SSL_SESSION* session = nullptr;
    {
        TlsPair first(client.get(), server.get());
        assert_true(first.shake_hands());
        std::array<std::byte, 8> buffer{};
        assert_true(tls_send(first.server.ssl.get(), test::bytes("x")).ok());
        assert_true(test::read_patiently(first.client, buffer).ok());  // and the tickets
        session = SSL_get1_session(first.client.ssl.get());
        tls_close_notify(first.client.ssl.get());
    }
    TlsPair second(client.get(), server.get());
    assert_int_equal(SSL_set_session(second.client.ssl.get(), session), 1);
    SSL_SESSION_free(session);
    assert_true(second.shake_hands());
    return SSL_session_reused(second.server.ssl.get()) == 1;
}

void sessions_resume(void**) {
    for (const int method : {kTlsFlexible, kTlsExactly12}) {
        TlsSettings server_side = listener("full", "server");
        server_side.method = method;
        assert_true(resumes(server_side, verifying_client()));
        // Also where client certificates are asked for: needs a session id context.
        server_side.demand_client_certificate = true;
        server_side.ca = folder->pem("ca");
        TlsSettings client_side = verifying_client();
        client_side.certificate = folder->pem("other");
        client_side.private_key = folder->key("other");
        assert_true(resumes(server_side, client_side));
    }
}

void renegotiation_is_off(void**) {
    TlsSettings settings = listener("server", "server");
    settings.method = kTlsExactly12;
    TlsSettings any;
    any.client = true;
    TlsPair pair(test::context_for(any).get(), test::context_for(settings).get());
    assert_true(pair.shake_hands());
    assert_int_equal(SSL_renegotiate(pair.server.ssl.get()), 0);
    assert_true(SSL_get_options(pair.server.ssl.get()) & SSL_OP_NO_RENEGOTIATION);
}

int programs_callback(int, X509_STORE_CTX*) {
    return 1;
}

void programs_context_is_respected(void**) {
    // Its version and its callback stay, certificates and verification come in addition.
    const SslCtxPtr own(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(own.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(own.get(), SSL_VERIFY_NONE, programs_callback);
    TlsSettings settings = verifying_client();
    std::string error;
    assert_true(apply_tls_settings(own.get(), settings, error));
    assert_int_equal(SSL_CTX_get_verify_mode(own.get()), SSL_VERIFY_PEER);
    assert_true(SSL_CTX_get_verify_callback(own.get()) == programs_callback);
    assert_true(SSL_CTX_get_mode(own.get()) & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    assert_true(SSL_CTX_get_mode(own.get()) & SSL_MODE_ENABLE_PARTIAL_WRITE);
    TlsPair pair(own.get(), test::context_for(listener("server", "server")).get());
    assert_true(pair.shake_hands());
    assert_string_equal(SSL_get_version(pair.client.ssl.get()), "TLSv1.2");

    // No verification asked: what the program demands stays demanded.
    const SslCtxPtr strict(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_verify(strict.get(), SSL_VERIFY_PEER, nullptr);
    settings.verify_peer = false;
    assert_true(apply_tls_settings(strict.get(), settings, error));
    assert_int_equal(SSL_CTX_get_verify_mode(strict.get()), SSL_VERIFY_PEER);

    TlsSettings bad = listener("junk", "server");
    assert_false(apply_tls_settings(own.get(), bad, error));
    assert_non_null(std::strstr(error.c_str(), "junk.pem"));
}

int password(char* out, int size, int, void* data) {
    const char* text = static_cast<const char*>(data);
    const int length = static_cast<int>(std::strlen(text));
    if (length > size) return 0;
    std::memcpy(out, text, static_cast<std::size_t>(length));
    return length;
}

void passphrase_callback_of_the_program_is_used(void**) {
    const PkeyPtr key(EVP_EC_gen("P-256"));
    const std::string path = folder->path("locked.key");
    {
        const BioPtr file(BIO_new_file(path.c_str(), "w"));
        unsigned char phrase[] = {'s', 'e', 's', 'a', 'm', 'e'};
        assert_int_equal(PEM_write_bio_PrivateKey(file.get(), key.get(), EVP_aes_128_cbc(), phrase,
                                                  sizeof phrase, nullptr, nullptr),
                         1);
    }
    TlsSettings settings;
    settings.private_key = path;
    std::string error;
    char right[] = "sesame";
    char wrong[] = "barley";
    for (const bool callback : {true, false}) {  // false: OpenSSL takes the data for the password
        for (char* phrase : {right, wrong}) {
            const SslCtxPtr own(SSL_CTX_new(TLS_server_method()));
            if (callback) SSL_CTX_set_default_passwd_cb(own.get(), password);
            SSL_CTX_set_default_passwd_cb_userdata(own.get(), phrase);
            assert_int_equal(apply_tls_settings(own.get(), settings, error), phrase == right);
        }
    }
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(chain_is_sent),
        cmocka_unit_test(chain_file_alone_is_the_certificate),
        cmocka_unit_test(faults_name_the_file),
        cmocka_unit_test(versions_are_as_asked),
        cmocka_unit_test(trust_store_only_where_needed),
        cmocka_unit_test(sessions_resume),
        cmocka_unit_test(renegotiation_is_off),
        cmocka_unit_test(programs_context_is_respected),
        cmocka_unit_test(passphrase_callback_of_the_program_is_used),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}

}  // namespace

int main() {
    // The system's configuration may narrow versions and ciphers; here our own rules are tested.
    setenv("OPENSSL_CONF", "/dev/null", 1);
    return test::limited(run);
}
