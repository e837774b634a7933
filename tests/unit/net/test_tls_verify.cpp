// SPDX-License-Identifier: MIT
// Host names taken apart, names and chains verified, reasons told.
#include "net/tls_verify.hpp"

#include <cstring>

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
    folder->authority("ca2");
    folder->leaf("server", "ca",
                 {"server.test", "DNS:server.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1"});
    folder->leaf("common", "ca", {"common.test", ""});
    folder->leaf("expired", "ca", {"server.test", "DNS:server.test", true});
    folder->leaf("odd", "ca", {"a\nb", "DNS:odd.test"});
    folder->leaf("self", "", {"server.test", "DNS:server.test"});
    return 0;
}

int tear_down_group(void**) {
    delete folder;
    return 0;
}

TlsSettings server_settings(const std::string& name) {
    TlsSettings settings;
    settings.certificate = folder->pem(name);
    settings.private_key = folder->key(name);
    return settings;
}

TlsSettings client_settings(const std::string& ca) {
    TlsSettings settings;
    settings.client = true;
    settings.verify_peer = true;
    settings.ca = folder->pem(ca);
    return settings;
}

void hosts_are_taken_apart(void**) {
    const struct {
        const char* host;
        const char* name;
        bool is_ip;
    } table[] = {
        {"server.test", "server.test", false},
        {"server.test:8080", "server.test", false},
        {"server.test.", "server.test", false},
        {"server.test.:443", "server.test", false},
        {"localhost", "localhost", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1:80", "127.0.0.1", true},
        {"127.1", "127.0.0.1", true},
        {"::1", "::1", true},
        {"[::1]", "::1", true},
        {"[::1]:443", "::1", true},
        {"0:0:0:0:0:0:0:1", "::1", true},
        {"fe80::1%eth0", "fe80::1", true},
        {"[fe80::1%2]:1", "fe80::1", true},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1", true},
        {"", "", false},
        {".", "", false},
        {":80", "", false},
        {"[]:80", "", false},
        {"1.2.3.4.example", "1.2.3.4.example", false},
        {"dead.beef", "dead.beef", false},
        {"10.0.0.1 x", "10.0.0.1 x", false},
    };
    for (const auto& row : table) {
        const HostName parsed = parse_host(row.host);
        assert_string_equal(parsed.name.c_str(), row.name);
        assert_int_equal(parsed.is_ip, row.is_ip);
        assert_string_equal(sni_name(row.host).c_str(), row.is_ip ? "" : row.name);
    }
}

struct Outcome {
    bool connected;
    std::string reason;
};

Outcome verify(const std::string& certificate, const std::string& ca, const char* host) {
    const SslCtxPtr server = test::context_for(server_settings(certificate));
    const SslCtxPtr client = test::context_for(client_settings(ca));
    TlsPair pair(client.get(), server.get());
    if (host != nullptr) assert_true(set_verify_host(pair.client.ssl.get(), host));
    const bool connected = pair.shake_hands();
    if (connected) assert_true(has_peer_certificate(pair.client.ssl.get()));
    assert_false(has_peer_certificate(pair.server.ssl.get()));
    return {connected, verify_failure(pair.client.ssl.get())};
}

void names_are_compared(void**) {
    for (const char* host : {"server.test", "SERVER.test", "server.test:444", "server.test.",
                             "a.wild.test", "127.0.0.1", "127.0.0.1:99", "[::1]:443", "::1"}) {
        const Outcome outcome = verify("server", "ca", host);
        assert_true(outcome.connected);
        assert_string_equal(outcome.reason.c_str(), "");
    }
    for (const char* host :
         {"other.test", "test", "a.b.wild.test", "wild.test", "sub.server.test"}) {
        const Outcome outcome = verify("server", "ca", host);
        assert_false(outcome.connected);
        assert_string_equal(outcome.reason.c_str(), "hostname mismatch (depth 0, CN=server.test)");
    }
    for (const char* host : {"127.0.0.2", "::2"}) {
        const Outcome outcome = verify("server", "ca", host);
        assert_false(outcome.connected);
        assert_string_equal(outcome.reason.c_str(),
                            "IP address mismatch (depth 0, CN=server.test)");
    }
    assert_true(verify("server", "ca", nullptr).connected);  // chain only
    assert_true(verify("common", "ca", "common.test").connected);
    assert_false(verify("common", "ca", "127.0.0.1").connected);
}

void chain_faults_are_named(void**) {
    assert_string_equal(verify("server", "ca2", "server.test").reason.c_str(),
                        "signed by an unknown authority: unable to get local issuer certificate "
                        "(depth 0, CN=server.test)");
    assert_string_equal(verify("expired", "ca", "server.test").reason.c_str(),
                        "certificate has expired (depth 0, CN=server.test)");
    assert_string_equal(verify("self", "ca", "server.test").reason.c_str(),
                        "signed by an unknown authority: self-signed certificate "
                        "(depth 0, CN=server.test)");
    // The peer's bytes go into a log: no line breaks.
    assert_string_equal(verify("odd", "ca2", "odd.test").reason.c_str(),
                        "signed by an unknown authority: unable to get local issuer certificate "
                        "(depth 0, CN=a?b)");
}

void unusable_names_are_refused(void**) {
    const SslCtxPtr context = test::context_for(client_settings("ca"));
    const SslPtr ssl(SSL_new(context.get()));
    assert_false(set_verify_host(ssl.get(), ""));
    assert_false(set_verify_host(ssl.get(), ":443"));
    assert_false(set_verify_host(ssl.get(), std::string_view("server.test\0.evil", 17)));
    assert_false(peer_matches_host(ssl.get(), "server.test"));  // nobody there
    assert_false(has_peer_certificate(ssl.get()));
}

// Without chain verification the name alone can be compared afterwards.
void name_alone_can_be_compared(void**) {
    const SslCtxPtr server = test::context_for(server_settings("self"));
    TlsSettings settings;
    settings.client = true;
    const SslCtxPtr client = test::context_for(settings);
    TlsPair pair(client.get(), server.get());
    assert_true(pair.shake_hands());
    SSL* ssl = pair.client.ssl.get();
    assert_true(peer_matches_host(ssl, "server.test"));
    assert_true(peer_matches_host(ssl, "server.test.:80"));
    assert_false(peer_matches_host(ssl, "other.test"));
    assert_false(peer_matches_host(ssl, "127.0.0.1"));
    assert_false(peer_matches_host(ssl, ""));

    const SslCtxPtr numbered = test::context_for(server_settings("server"));
    TlsPair second(client.get(), numbered.get());
    assert_true(second.shake_hands());
    assert_true(peer_matches_host(second.client.ssl.get(), "[::1]:7"));
    assert_true(peer_matches_host(second.client.ssl.get(), "127.0.0.1"));
    assert_false(peer_matches_host(second.client.ssl.get(), "127.0.0.3"));
}

void program_may_have_set_a_host(void**) {
    const SslCtxPtr plain = test::context_for(client_settings("ca"));
    assert_false(has_host_in_verify_param(plain.get()));
    X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(plain.get()), "server.test", 0);
    assert_true(has_host_in_verify_param(plain.get()));
    const SslCtxPtr numbered = test::context_for(client_settings("ca"));
    X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(numbered.get()), "127.0.0.1");
    assert_true(has_host_in_verify_param(numbered.get()));
}

void owner_is_remembered(void**) {
    const SslCtxPtr context = test::context_for(client_settings("ca"));
    const SslPtr one(SSL_new(context.get()));
    const SslPtr two(SSL_new(context.get()));
    int mark = 0;
    assert_null(owner(one.get()));
    assert_true(set_owner(one.get(), &mark));
    assert_ptr_equal(owner(one.get()), &mark);
    assert_null(owner(two.get()));
    assert_true(set_owner(one.get(), nullptr));
    assert_null(owner(one.get()));
}

void client_certificates_are_demanded(void**) {
    folder->leaf("client", "ca", {"client.test", ""});
    folder->leaf("stranger", "ca2", {"stranger.test", ""});
    TlsSettings settings = server_settings("server");
    settings.ca = folder->pem("ca");
    settings.demand_client_certificate = true;
    const SslCtxPtr server = test::context_for(settings);
    const auto attempt = [&](const char* name) {
        TlsSettings own = client_settings("ca");
        if (name != nullptr) {
            own.certificate = folder->pem(name);
            own.private_key = folder->key(name);
        }
        const SslCtxPtr client = test::context_for(own);
        TlsPair pair(client.get(), server.get());
        pair.shake_hands();
        const STACK_OF(X509_NAME)* names = SSL_get_client_CA_list(pair.client.ssl.get());
        assert_int_equal(sk_X509_NAME_num(names), 1);  // the client is told whom we trust
        return Outcome{pair.server.step == TlsStep::done,
                       pair.server.fault + "|" + verify_failure(pair.server.ssl.get())};
    };
    assert_false(attempt(nullptr).connected);
    assert_true(attempt("client").connected);
    const Outcome stranger = attempt("stranger");
    assert_false(stranger.connected);
    assert_non_null(std::strstr(stranger.reason.c_str(), "CN=stranger.test"));
    assert_true(attempt("client").connected);
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_taken_apart),
        cmocka_unit_test(names_are_compared),
        cmocka_unit_test(chain_faults_are_named),
        cmocka_unit_test(unusable_names_are_refused),
        cmocka_unit_test(name_alone_can_be_compared),
        cmocka_unit_test(program_may_have_set_a_host),
        cmocka_unit_test(owner_is_remembered),
        cmocka_unit_test(client_certificates_are_demanded),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}

}  // namespace

int main() {
    return test::limited(run);
}
