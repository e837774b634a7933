// SPDX-License-Identifier: MIT
// Options as listeners and connections see them: hidden holds, snapshots, the explicit switches.
// What programs see: tests/abi/test_conn_opts.c. Destruction is observed through the mutex hooks.
#include "core/options.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "unit/unit_test.hpp"

using namespace nopoll::core;

namespace {

int mutex_stands_for = 0;
std::atomic<int> destroyed{0};

noPollPtr hook_create() {
    return &mutex_stands_for;
}
void hook_destroy(noPollPtr) {
    ++destroyed;
}

int install(void**) {
    destroyed = 0;
    set_mutex_hooks(hook_create, hook_destroy, nullptr, nullptr);
    return 0;
}

int uninstall(void**) {
    set_mutex_hooks(nullptr, nullptr, nullptr, nullptr);
    return 0;
}

void the_last_reference_destroys(void**) {
    Options* const options = Options::create();
    CHECK(options->ref());
    options->unref();
    CHECK_EQUAL(destroyed.load(), 0);
    options->unref();
    CHECK_EQUAL(destroyed.load(), 1);
}

void a_hold_does_not_show_and_keeps_alive(void**) {
    Options* const options = Options::create();
    options->set_text(&Options::cookie, "a=1");
    options->hold();
    options->hold();
    CHECK_EQUAL(options->refs, 1);
    options->unref();  // the program frees its options while the listener lives
    CHECK_EQUAL(destroyed.load(), 0);
    CHECK_EQUAL(options->refs, 0);
    CHECK(!options->ref());
    CHECK(options->values().cookie == std::string("a=1"));
    options->drop_hold();
    CHECK_EQUAL(destroyed.load(), 0);
    options->drop_hold();
    CHECK_EQUAL(destroyed.load(), 1);
}

void a_hold_may_end_first(void**) {
    Options* const options = Options::create();
    options->hold();
    options->drop_hold();
    CHECK_EQUAL(destroyed.load(), 0);
    CHECK_EQUAL(options->refs, 1);
    options->unref();
    CHECK_EQUAL(destroyed.load(), 1);
}

void release_if_needed_looks_at_reuse(void**) {
    Options* const options = Options::create();
    options->set_flag(&Options::reuse, true);
    CHECK(options->reused());
    options->release_if_needed();
    CHECK_EQUAL(options->refs, 1);
    options->set_flag(&Options::reuse, false);
    options->release_if_needed();
    CHECK_EQUAL(destroyed.load(), 1);
}

// Whoever gives back last destroys, exactly once: the visible count and the holds end together.
void last_reference_and_last_hold_race(void**) {
    constexpr int kRounds = 300;
    for (int round = 0; round < kRounds; ++round) {
        Options* const options = Options::create();
        options->hold();
        std::thread listener([options] { options->drop_hold(); });
        options->unref();
        listener.join();
    }
    CHECK_EQUAL(destroyed.load(), kRounds);
}

void fresh_values(void**) {
    Options* const options = Options::create();
    const OptionValues values = options->values();
    CHECK(!values.certificate && !values.private_key && !values.chain_certificate);
    CHECK(!values.ca_certificate && !values.cookie && !values.interface && !values.extra_headers);
    CHECK_EQUAL(values.ssl_protocol, NOPOLL_METHOD_TLS_FLEXIBLE);
    CHECK(!values.reuse && !values.verify_peer && !values.skip_origin_check);
    CHECK(values.add_origin_header);
    CHECK_EQUAL(values.max_frame_size, 0L);
    CHECK(!values.strict && !values.host_verify);
    options->unref();
}

void changed_values(void**) {
    Options* const options = Options::create();
    options->set_text(&Options::cookie, "c");
    options->set_text(&Options::_interface, "");
    options->set_text(&Options::extra_headers, "X: y");
    options->set_flag(&Options::disable_ssl_verify, false);
    options->set_flag(&Options::skip_origin_header_check, true);
    options->set_flag(&Options::add_origin_header, false);
    options->set_ssl_protocol(NOPOLL_METHOD_TLSV1_2);
    options->set_max_frame_size(77);
    options->set_max_frame_size(0);  // ignored
    CHECK(options->set_ssl_certs("/dev/null", nullptr, "/dev/null", nullptr));
    const OptionValues values = options->values();
    CHECK(values.cookie == std::string("c"));
    CHECK(values.interface == std::string());
    CHECK(values.extra_headers == std::string("X: y"));
    CHECK(values.verify_peer && values.skip_origin_check && !values.add_origin_header);
    CHECK_EQUAL(values.ssl_protocol, NOPOLL_METHOD_TLSV1_2);
    CHECK_EQUAL(values.max_frame_size, 77L);
    CHECK(values.certificate == std::string("/dev/null"));
    CHECK(!values.private_key);
    CHECK(values.chain_certificate == std::string("/dev/null"));
    CHECK(options->skips_origin_check());
    CHECK_EQUAL(options->frame_size_limit(), 77L);
    options->unref();
}

// "Never called" differs from both values.
void explicit_switches(void**) {
    Options* const options = Options::create();
    options->set_strict(false);
    CHECK(options->values().strict == false);
    CHECK(!options->values().host_verify);
    options->set_strict(true);
    options->set_host_verify(false);
    CHECK(options->values().strict == true);
    CHECK(options->values().host_verify == false);
    options->set_host_verify(true);
    CHECK(options->values().host_verify == true);
    options->unref();
}

// ThreadSanitizer watches; a snapshot is never torn.
void values_while_they_change(void**) {
    Options* const options = Options::create();
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (int i = 0; !stop; ++i) {
            options->set_text(&Options::cookie, i % 2 == 0 ? "even" : "odd");
            options->set_flag(&Options::skip_origin_header_check, i % 2 == 0);
            options->set_max_frame_size(1 + i % 9);
        }
    });
    for (int i = 0; i < 2000; ++i) {
        const OptionValues values = options->values();
        CHECK(!values.cookie || values.cookie == std::string("even") ||
              values.cookie == std::string("odd"));
        static_cast<void>(options->skips_origin_check());
        CHECK(options->frame_size_limit() < 10);
    }
    stop = true;
    writer.join();
    options->unref();
}

}  // namespace

#define options_test(name) cmocka_unit_test_setup_teardown(name, install, uninstall)

int main() {
    const CMUnitTest tests[] = {
        options_test(the_last_reference_destroys),
        options_test(a_hold_does_not_show_and_keeps_alive),
        options_test(a_hold_may_end_first),
        options_test(release_if_needed_looks_at_reuse),
        options_test(last_reference_and_last_hold_race),
        options_test(fresh_values),
        options_test(changed_values),
        options_test(explicit_switches),
        options_test(values_while_they_change),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
