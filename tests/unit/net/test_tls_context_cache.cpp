// SPDX-License-Identifier: MIT
// Sharing of contexts and certificates, changed files, many threads; the choice by SNI name.
#include "net/tls_context_cache.hpp"

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

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
    folder->leaf("one", "ca", {"one.test", "DNS:one.test"});
    folder->leaf("two", "ca", {"two.test", "DNS:two.test"});
    return 0;
}

int tear_down_group(void**) {
    delete folder;
    return 0;
}

TlsSettings listener(const std::string& name) {
    TlsSettings settings;
    settings.certificate = folder->pem(name);
    settings.private_key = folder->key(name);
    return settings;
}

// Until the kernel's clock for time stamps has moved on, the cache rightly trusts nothing.
void wait_until_settled(const std::string& path) {
    while (!FileVersion::of(path).settled()) {
    }
}

std::string common_name(const X509* certificate) {
    char name[100] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    return name;
}

std::string served_name(SSL_CTX* context) {
    return common_name(SSL_CTX_get0_certificate(context));
}

void equal_settings_share(void**) {
    wait_until_settled(folder->key("two"));
    TlsContextCache cache;
    const TlsContextResult first = cache.get(listener("one"));
    const TlsContextResult second = cache.get(listener("one"));
    assert_non_null(first.context.get());
    assert_ptr_equal(first.context.get(), second.context.get());
    assert_int_equal(cache.contexts(), 1);
    TlsSettings other = listener("one");
    other.method = kTlsExactly12;
    assert_ptr_not_equal(cache.get(other).context.get(), first.context.get());
    assert_ptr_not_equal(cache.get(listener("two")).context.get(), first.context.get());
    assert_int_equal(cache.contexts(), 3);
    assert_ptr_equal(cache.get(listener("one")).context.get(), first.context.get());
    TlsContextCache another;  // nothing is shared between two
    assert_ptr_not_equal(another.get(listener("one")).context.get(), first.context.get());
}

void references_outlive_the_cache(void**) {
    SslCtxPtr kept;
    {
        TlsContextCache cache;
        kept = std::move(cache.get(listener("one")).context);
    }
    assert_string_equal(served_name(kept.get()).c_str(), "one.test");
}

void failures_are_not_kept(void**) {
    TlsContextCache cache;
    TlsSettings settings = listener("one");
    settings.certificate = folder->pem("later");
    settings.private_key = folder->key("later");
    assert_null(cache.get(settings).context.get());
    assert_int_equal(cache.contexts(), 0);
    folder->leaf("later", "ca", {"later.test", ""});
    const TlsContextResult result = cache.get(settings);
    assert_non_null(result.context.get());
    assert_string_equal(result.error.c_str(), "");
}

void changed_file_is_noticed(void**) {
    using Folder = test::CertificateFolder;
    folder->replace("live.pem", Folder::content(folder->pem("one")));
    folder->replace("live.key", Folder::content(folder->key("one")));
    wait_until_settled(folder->key("live"));
    TlsContextCache cache;
    const TlsContextResult before = cache.get(listener("live"));
    assert_string_equal(served_name(before.context.get()).c_str(), "one.test");
    folder->replace("live.pem", Folder::content(folder->pem("two")));
    // The key still belongs to the old one: an error now, and nothing stale is given out.
    const TlsContextResult between = cache.get(listener("live"));
    assert_null(between.context.get());
    assert_non_null(std::strstr(between.error.c_str(), "does not match"));
    folder->replace("live.key", Folder::content(folder->key("two")));
    const TlsContextResult after = cache.get(listener("live"));
    assert_string_equal(served_name(after.context.get()).c_str(), "two.test");
    assert_int_equal(cache.contexts(), 1);
    assert_string_equal(served_name(before.context.get()).c_str(), "one.test");
}

// Written over in place, same size, modification time set back: only the inode change tells.
void quiet_change_is_noticed(void**) {
    using Folder = test::CertificateFolder;
    const std::string path = folder->path("quiet.pem");
    folder->replace("quiet.pem", "AAAA");
    wait_until_settled(path);
    const FileVersion before = FileVersion::of(path);
    assert_true(before.present);
    assert_true(before == FileVersion::of(path));
    std::ofstream(path, std::ios::in | std::ios::out) << "BBBB";
    const timespec back[2] = {
        {static_cast<time_t>(before.modified_ns / 1000000000), before.modified_ns % 1000000000},
        {static_cast<time_t>(before.modified_ns / 1000000000), before.modified_ns % 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path.c_str(), back, 0), 0);
    const FileVersion after = FileVersion::of(path);
    assert_true(after.modified_ns == before.modified_ns && after.size == before.size &&
                after.inode == before.inode);
    assert_false(after == before);
    assert_string_equal(Folder::content(path).c_str(), "BBBB");
}

// A file that was just written may change again without a new time stamp.
void fresh_file_is_not_trusted(void**) {
    using Folder = test::CertificateFolder;
    TlsContextCache cache;
    folder->replace("fresh.pem", Folder::content(folder->pem("one")));
    folder->replace("fresh.key", Folder::content(folder->key("one")));
    const bool was_fresh = !FileVersion::of(folder->pem("fresh")).settled();
    const TlsContextResult first = cache.get(listener("fresh"));
    if (was_fresh && !FileVersion::of(folder->key("fresh")).settled()) {
        assert_ptr_not_equal(cache.get(listener("fresh")).context.get(), first.context.get());
    }
    wait_until_settled(folder->key("fresh"));
    const TlsContextResult settled = cache.get(listener("fresh"));
    assert_ptr_equal(cache.get(listener("fresh")).context.get(), settled.context.get());
    assert_true(FileVersion::of("").settled());
    assert_false(FileVersion::of(folder->path("no such file")).present);
}

void number_of_entries_is_bounded(void**) {
    TlsContextCache cache;
    TlsSettings settings;
    settings.client = true;
    const TlsContextResult first = cache.get(settings);
    for (int i = 1; i < 200; ++i) {
        settings.method = -i;  // unknown methods are flexible, but distinct
        assert_non_null(cache.get(settings).context.get());
        settings.method = 0;
        // Used all the time, so it stays.
        assert_ptr_equal(cache.get(settings).context.get(), first.context.get());
    }
    assert_int_equal(cache.contexts(), TlsContextCache::kMostEntries);
}

void least_recently_used_goes_first(void**) {
    VersionedCache<int, int, const int> cache(2);
    cache.store(1, 0, true, std::make_shared<const int>(10));
    cache.store(2, 0, true, std::make_shared<const int>(20));
    assert_int_equal(*cache.find(1, 0), 10);
    cache.store(3, 0, true, std::make_shared<const int>(30));
    assert_null(cache.find(2, 0).get());
    assert_non_null(cache.find(1, 0).get());
    assert_null(cache.find(1, 9).get());  // another version: dropped
    assert_null(cache.find(1, 0).get());
    assert_int_equal(cache.size(), 1);
    cache.store(3, 1, true, std::make_shared<const int>(31));
    assert_int_equal(cache.size(), 1);
    assert_int_equal(*cache.find(3, 1), 31);
    cache.store(4, 0, false, std::make_shared<const int>(40));
    assert_null(cache.find(4, 0).get());
}

void threads_share_one_cache(void**) {
    wait_until_settled(folder->key("two"));
    TlsContextCache cache;
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&cache, &failures, t] {
            TlsSettings any;
            any.client = true;
            for (int i = 0; i < 50; ++i) {
                const std::string name = (i + t) % 2 == 0 ? "one" : "two";
                const TlsContextResult result = cache.get(listener(name));
                if (!result.context || served_name(result.context.get()) != name + ".test") {
                    ++failures;
                    continue;
                }
                if (i % 10 != 0) continue;
                const TlsContextResult client = cache.get(any);
                TlsPair pair(client.context.get(), result.context.get());
                if (!pair.shake_hands()) ++failures;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    assert_int_equal(failures.load(), 0);
    assert_int_equal(cache.contexts(), 3);
}

struct Chooser {
    TlsContextCache cache;
    std::string asked = "-";
    bool accept = true;
    bool no_memory = false;
};

bool choose(SSL* ssl, std::string_view name) {
    auto& chooser = *static_cast<Chooser*>(owner(ssl));
    chooser.asked = name;
    if (chooser.no_memory) throw std::bad_alloc();
    if (!chooser.accept) return false;
    const std::string pick = name == "two.test" ? "two" : "one";
    std::string error;
    return chooser.cache.use_certificate(ssl, folder->pem(pick), folder->key(pick), "", error);
}

struct Choice {
    bool connected;
    std::string presented;
};

Choice connect_asking_for(Chooser& chooser, const char* name, int method = kTlsFlexible) {
    TlsSettings server_side;
    server_side.sni = choose;
    server_side.method = method;
    const TlsContextResult server = chooser.cache.get(server_side);
    TlsSettings client_side;
    client_side.client = true;
    const TlsContextResult client = chooser.cache.get(client_side);
    TlsPair pair(client.context.get(), server.context.get());
    assert_true(set_owner(pair.server.ssl.get(), &chooser));
    if (name != nullptr) {
        SSL_ctrl(pair.client.ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(name));
    }
    const bool connected = pair.shake_hands();
    assert_ptr_equal(SSL_get_SSL_CTX(pair.server.ssl.get()), server.context.get());
    X509* certificate = SSL_get0_peer_certificate(pair.client.ssl.get());
    return {connected, certificate != nullptr ? common_name(certificate) : ""};
}

void name_chooses_the_certificate(void**) {
    for (const int method : {kTlsFlexible, kTlsExactly12}) {
        Chooser chooser;
        Choice choice = connect_asking_for(chooser, "two.test", method);
        assert_true(choice.connected);
        assert_string_equal(choice.presented.c_str(), "two.test");
        choice = connect_asking_for(chooser, "unknown.test", method);
        assert_string_equal(choice.presented.c_str(), "one.test");
        assert_string_equal(chooser.asked.c_str(), "unknown.test");
        choice = connect_asking_for(chooser, nullptr, method);
        assert_true(choice.connected);
        assert_string_equal(choice.presented.c_str(), "one.test");
        assert_string_equal(chooser.asked.c_str(), "");
        assert_int_equal(chooser.cache.certificates(), 2);
    }
}

void name_can_be_refused(void**) {
    Chooser chooser;
    chooser.accept = false;
    assert_false(connect_asking_for(chooser, "one.test").connected);
    chooser.accept = true;
    chooser.no_memory = true;
    assert_false(connect_asking_for(chooser, "one.test").connected);
    chooser.no_memory = false;
    assert_true(connect_asking_for(chooser, "one.test").connected);
}

// A certificate of another key type must not stay beside the chosen one: clients would get it.
void chosen_certificate_is_the_only_one(void**) {
    folder->leaf("rsa", "ca", {"rsa.test", "DNS:rsa.test", false, true});
    TlsContextCache cache;
    const TlsContextResult server = cache.get(listener("one"));
    TlsSettings any;
    any.client = true;
    const TlsContextResult client = cache.get(any);
    TlsPair pair(client.context.get(), server.context.get());
    std::string error;
    assert_true(cache.use_certificate(pair.server.ssl.get(), folder->pem("rsa"), folder->key("rsa"),
                                      "", error));
    assert_true(pair.shake_hands());
    assert_string_equal(common_name(SSL_get0_peer_certificate(pair.client.ssl.get())).c_str(),
                        "rsa.test");
    assert_string_equal(served_name(server.context.get()).c_str(), "one.test");
}

void certificate_faults_refuse(void**) {
    TlsContextCache cache;
    TlsSettings none;
    const TlsContextResult context = cache.get(none);
    const SslPtr ssl(SSL_new(context.context.get()));
    std::string error;
    assert_false(
        cache.use_certificate(ssl.get(), folder->pem("one"), folder->key("two"), "", error));
    assert_non_null(std::strstr(error.c_str(), "two.key: private key does not match"));
    assert_false(
        cache.use_certificate(ssl.get(), folder->pem("nowhere"), folder->key("two"), "", error));
    assert_non_null(std::strstr(error.c_str(), "nowhere.pem: cannot read"));
    assert_int_equal(cache.certificates(), 0);
    // Replaced by another one, key and all.
    for (const char* name : {"one", "two"}) {
        assert_true(cache.use_certificate(ssl.get(), folder->pem(name), folder->key(name),
                                          folder->pem("ca"), error));
        assert_string_equal(common_name(SSL_get_certificate(ssl.get())).c_str(),
                            (std::string(name) + ".test").c_str());
        assert_int_equal(SSL_check_private_key(ssl.get()), 1);
        STACK_OF(X509)* chain = nullptr;
        SSL_get0_chain_certs(ssl.get(), &chain);
        assert_int_equal(sk_X509_num(chain), 1);
    }
    assert_null(SSL_CTX_get0_certificate(context.context.get()));  // the shared one is untouched
}

int run() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(equal_settings_share),
        cmocka_unit_test(references_outlive_the_cache),
        cmocka_unit_test(failures_are_not_kept),
        cmocka_unit_test(changed_file_is_noticed),
        cmocka_unit_test(quiet_change_is_noticed),
        cmocka_unit_test(fresh_file_is_not_trusted),
        cmocka_unit_test(number_of_entries_is_bounded),
        cmocka_unit_test(least_recently_used_goes_first),
        cmocka_unit_test(threads_share_one_cache),
        cmocka_unit_test(name_chooses_the_certificate),
        cmocka_unit_test(name_can_be_refused),
        cmocka_unit_test(chosen_certificate_is_the_only_one),
        cmocka_unit_test(certificate_faults_refuse),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}

}  // namespace

int main() {
    return test::limited(run);
}
