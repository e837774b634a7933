// SPDX-License-Identifier: MIT
// The n-th allocation of an exchange fails, for n = 1, 2, ... until none is left to fail: alone, or
// with all that come after it; on the client's or the server's side; the library's own or those of
// OpenSSL. There is never a crash, a hang or a leak, each call says what is documented, and the
// same objects serve the next exchange. NOPOLL_FAULTS=all also tries each one of OpenSSL's
// allocations, which takes minutes; NOPOLL_FAULTS=<n> tries the n-th and those after it.
#include <dirent.h>
#include <openssl/ssl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "faults/exchange.hpp"
#include "faults/failing_allocator.hpp"
#include "unit/net/certificates.hpp"
#include "unit/unit_test.hpp"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using namespace nopoll::faults;
using Clock = std::chrono::steady_clock;

constexpr unsigned kPatienceSeconds = 60;  // for two exchanges, far more than they take

// What is being tried, for the last words of a program that crashes or hangs.
char current[200];

void last_words() {
    // A few bytes to the console: nothing can be done about a failure.
    if (::write(STDERR_FILENO, current, std::strlen(current)) < 0) return;
}

extern "C" void on_end_signal(int number) {
    last_words();
    std::signal(number, SIG_DFL);
    std::raise(number);
}

struct Mode {
    const char* name;
    bool tls;
    Source source;
    Part part;
    bool lasting;
};

struct Tally {
    long exchanges = 0;
    long failed_allocations = 0;
    long wrong = 0;
};

constexpr long kMostWrong = 20;  // enough to see what it is

Files files;

int open_descriptors() {
    DIR* const folder = ::opendir("/proc/self/fd");
    assert_non_null(folder);
    int count = 0;
    while (::readdir(folder) != nullptr)
        ++count;
    ::closedir(folder);
    return count;
}

struct Books {
    long library = live_blocks(Source::library);
    long openssl = live_blocks(Source::openssl);
    int descriptors = open_descriptors();
};

void show(const Mode& mode, long nth, const Findings& findings) {
    for (std::size_t i = 0; i < findings.count(); ++i)
        print_error("%s, allocation %ld: %s\n", mode.name, nth, findings.line(i));
}

// One exchange with the n-th allocation failing. True when there was none to fail.
bool try_one(const Mode& mode, long nth, Tally& tally) {
    std::snprintf(current, sizeof current, "\nwhile trying: %s, allocation %ld\n", mode.name, nth);
    Findings findings;
    long leaks = 0;
    bool none_left = false;
    // What OpenSSL keeps for later it keeps once: a leak comes back each time.
    for (int attempt = 0; attempt < 3; ++attempt) {
        ::alarm(kPatienceSeconds);
        const Books before;
        set_plan({mode.source, mode.part, nth, mode.lasting});
        const ExchangeResult result = run_exchange(mode.tls ? &files : nullptr, findings);
        none_left = failed() == 0;
        if (attempt == 0) tally.failed_allocations += failed();
        const Books after;
        ::alarm(0);
        if (none_left && !result.complete) findings.add("incomplete although nothing failed");
        if (!result.recovered) findings.add("the next exchange did not work either");
        if (after.descriptors != before.descriptors)
            findings.add("%d descriptors more", after.descriptors - before.descriptors);
        leaks = after.library - before.library;
        if (leaks == 0) leaks = after.openssl - before.openssl;
        if (leaks <= 0) break;
    }
    if (leaks > 0) findings.add("%ld blocks leak", leaks);
    show(mode, nth, findings);
    ++tally.exchanges;
    if (findings.count() > 0) ++tally.wrong;
    return none_left;
}

// Every one, or evenly spread over all of them as many as fit into the time.
void try_all(const Mode& mode, std::chrono::seconds time) {
    set_plan({mode.source, mode.part, 0, false});
    Findings findings;
    ::alarm(kPatienceSeconds);
    const auto start = Clock::now();
    const ExchangeResult whole = run_exchange(mode.tls ? &files : nullptr, findings);
    const auto once = Clock::now() - start;
    const long total = counted();
    show(mode, 0, findings);
    CHECK(whole.complete && whole.recovered && total > 0);

    const char* const wish = std::getenv("NOPOLL_FAULTS");
    const bool all = wish != nullptr && std::strcmp(wish, "all") == 0;
    const long fitting = std::max<long>(time / once, 20);
    const long step = all || fitting >= total ? 1 : total / fitting + 1;
    Tally tally;
    const long first = wish != nullptr ? std::strtol(wish, nullptr, 10) : 0;
    for (long nth = std::max(first, 1L); tally.wrong<kMostWrong; nth += first> 0 ? 1 : step)
        if (try_one(mode, nth, tally)) break;
    print_message("%s: %ld allocations, %ld exchanges, %ld allocations failed\n", mode.name, total,
                  tally.exchanges, tally.failed_allocations);
    CHECK_ROW_EQUAL(mode.name, tally.wrong, 0);
}

constexpr std::chrono::seconds kNoLimit{1000};
constexpr std::chrono::seconds kShare{4};

void test_plain(void**) {
    try_all({"plain, client, one", false, Source::library, Part::client, false}, kNoLimit);
    try_all({"plain, client, lasting", false, Source::library, Part::client, true}, kNoLimit);
    try_all({"plain, server, one", false, Source::library, Part::server, false}, kNoLimit);
    try_all({"plain, server, lasting", false, Source::library, Part::server, true}, kNoLimit);
}

void test_tls(void**) {
    try_all({"TLS, client, one", true, Source::library, Part::client, false}, kShare);
    try_all({"TLS, client, lasting", true, Source::library, Part::client, true}, kShare);
    try_all({"TLS, server, one", true, Source::library, Part::server, false}, kShare);
    try_all({"TLS, server, lasting", true, Source::library, Part::server, true}, kShare);
}

void test_openssl(void**) {
    try_all({"OpenSSL, client, one", true, Source::openssl, Part::client, false}, kShare);
    try_all({"OpenSSL, client, lasting", true, Source::openssl, Part::client, true}, kShare / 2);
    try_all({"OpenSSL, server, one", true, Source::openssl, Part::server, false}, kShare);
    try_all({"OpenSSL, server, lasting", true, Source::openssl, Part::server, true}, kShare / 2);
}

// One side of a handshake in memory, with OpenSSL alone.
SSL* side_in_memory(SSL_CTX* context, BIO* in, BIO* out) {
    SSL* const ssl = SSL_new(context);
    BIO_up_ref(in);
    BIO_up_ref(out);
    SSL_set_bio(ssl, in, out);
    return ssl;
}

// So that what fails afterwards is what the library sets up, not OpenSSL for itself.
void use_openssl_alone() {
    SSL_CTX* const server_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX* const client_context = SSL_CTX_new(TLS_client_method());
    CHECK(SSL_CTX_use_certificate_chain_file(server_context, files.certificate.c_str()) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(server_context, files.key.c_str(), SSL_FILETYPE_PEM) == 1);
    BIO* const up = BIO_new(BIO_s_mem());
    BIO* const down = BIO_new(BIO_s_mem());
    SSL* const server = side_in_memory(server_context, up, down);
    SSL* const client = side_in_memory(client_context, down, up);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int turn = 0; turn < 10; ++turn) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    CHECK(SSL_is_init_finished(client) == 1 && SSL_is_init_finished(server) == 1);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_context);
    SSL_CTX_free(server_context);
    BIO_free(up);
    BIO_free(down);
}

enum FirstUse { none_failed, recovered, not_recovered };

FirstUse try_first_use(const Plan& plan) {
    ::alarm(kPatienceSeconds);
    Findings findings;
    set_plan(plan);
    const ExchangeResult result = run_exchange(&files, findings);
    if (failed() == 0) return result.complete ? none_failed : not_recovered;
    return result.recovered ? recovered : not_recovered;
}

// What the library sets up once in a process must not stay undone for want of memory at that
// moment. Each attempt has a process of its own that has not used TLS so far.
void test_first_use(void**) {
    use_openssl_alone();
    for (const Part part : {Part::server, Part::client}) {
        for (const char* const file : {"bio_meth.c", "ex_data.c", "bio_lib.c"}) {
            int outcome = recovered;
            long nth = 1;
            for (; outcome == recovered; ++nth) {
                const pid_t child = ::fork();
                if (child == 0) ::_exit(try_first_use({Source::openssl, part, nth, false, file}));
                int status = 0;
                CHECK(::waitpid(child, &status, 0) == child && WIFEXITED(status));
                outcome = WEXITSTATUS(status);
            }
            print_message("first use, allocations in %s: %ld failed\n", file, nth - 2);
            CHECK_ROW_EQUAL(file, outcome, static_cast<int>(none_failed));
        }
    }
}

// What OpenSSL and the library set up once for all is there afterwards.
int warm_up(void**) {
    Findings findings;
    set_plan({});
    for (int round = 0; round < 3; ++round)
        CHECK(run_exchange(&files, findings).recovered);
    return 0;
}

int prepare(void**) {
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(last_words);
    for (const int number : {SIGABRT, SIGALRM})
        std::signal(number, on_end_signal);
    static nopoll::net::test::CertificateFolder folder;
    folder.authority("ca");
    folder.leaf("server", "ca", {"localhost", "DNS:localhost"});
    folder.leaf("other", "ca", {"other.test", "DNS:other.test"});
    files = {folder.pem("server"), folder.key("server"), folder.pem("other"), folder.key("other"),
             folder.pem("ca")};
    // The system's authorities are read into each client's context: a hundred thousand allocations.
    ::setenv("SSL_CERT_FILE", files.authority.c_str(), 1);
    ::setenv("SSL_CERT_DIR", "/nonexistent", 1);
    return 0;
}

}  // namespace

// An argument, as test_tls, runs one test alone.
int main(int argc, char** argv) {
    if (!install_openssl_hooks()) return 1;
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_first_use),
        cmocka_unit_test_setup(test_plain, warm_up),
        cmocka_unit_test_setup(test_tls, warm_up),
        cmocka_unit_test_setup(test_openssl, warm_up),
    };
    return cmocka_run_group_tests(tests, prepare, nullptr);
}
