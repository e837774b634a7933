// SPDX-License-Identifier: MIT
// The certificate store on its own: exact names for programs, SNI names for TLS peers, and entries
// that are stored whole or not at all. What programs see: tests/abi/test_ctx.c.
#include "core/certificates.hpp"

#include <cstdlib>
#include <string>

#include "unit/unit_test.hpp"

using namespace nopoll::core;

namespace {

// The face's fields, which programs may look at.
struct Face {
    noPollCertificate* entries = nullptr;
    int count = 0;
};

std::string file_of(const noPollCertificate* entry) {
    return entry == nullptr ? "none" : entry->certificateFile;
}

void nothing_is_found_in_an_empty_store(void**) {
    Face face;
    const Certificates store(face.entries, face.count);
    CHECK(store.find(nullptr) == nullptr);
    CHECK(store.find("a.test") == nullptr);
    CHECK(store.find_for_sni("a.test") == nullptr);
    CHECK(store.find_for_sni("") == nullptr);
}

void entries_are_copied_and_visible(void**) {
    Face face;
    {
        Certificates store(face.entries, face.count);
        std::string name = "a.test";
        store.add(name.c_str(), "a.crt", "a.key", "a.chain");
        name.assign("xxxxxx");
        store.add(nullptr, "d.crt", "d.key", nullptr);
        CHECK_EQUAL(face.count, 2);
        CHECK_EQUAL(std::string(face.entries[0].serverName), "a.test");
        CHECK_EQUAL(std::string(face.entries[0].certificateFile), "a.crt");
        CHECK_EQUAL(std::string(face.entries[0].privateKey), "a.key");
        CHECK_EQUAL(std::string(face.entries[0].optionalChainFile), "a.chain");
        CHECK(face.entries[1].serverName == nullptr);
        CHECK(face.entries[1].optionalChainFile == nullptr);
        CHECK(store.find("a.test") == &face.entries[0]);
    }
    CHECK(face.entries == nullptr);  // freed with the store
    CHECK_EQUAL(face.count, 0);
}

void names_of_programs_are_exact(void**) {
    Face face;
    Certificates store(face.entries, face.count);
    store.add("a.test", "a.crt", "k", nullptr);
    store.add("*.b.test", "b.crt", "k", nullptr);
    CHECK_EQUAL(file_of(store.find("a.test")), "a.crt");
    for (const char* const other : {"A.test", "a.test.", "a.tes", "a.testx", "x.a.test", ""})
        CHECK_ROW_EQUAL(other, file_of(store.find(other)), "none");
    CHECK_EQUAL(file_of(store.find("x.b.test")), "none");
    CHECK_EQUAL(file_of(store.find(nullptr)), "a.crt");  // no default: the first
    store.add(nullptr, "d.crt", "k", nullptr);
    CHECK_EQUAL(file_of(store.find(nullptr)), "d.crt");
    CHECK_EQUAL(file_of(store.find("c.test")), "none");
    store.add("", "e.crt", "k", nullptr);
    CHECK_EQUAL(file_of(store.find("")), "e.crt");
}

void names_of_peers_are_not(void**) {
    Face face;
    Certificates store(face.entries, face.count);
    store.add("First.test", "first.crt", "k", nullptr);
    store.add("dotted.test.", "dotted.crt", "k", nullptr);
    struct Row {
        const char* sni;
        const char* file;
    };
    constexpr Row rows[] = {
        {"first.test", "first.crt"},
        {"FIRST.TEST", "first.crt"},
        {"first.test.", "first.crt"},
        {"dotted.test", "dotted.crt"},
        {"Dotted.Test.", "dotted.crt"},
        {"other.test", "first.crt"},
        {"x.first.test", "first.crt"},
        {"", "first.crt"},
        {".", "first.crt"},
        {"dotted.test..", "first.crt"},
    };
    for (const Row& row : rows)
        CHECK_ROW_EQUAL(row.sni, file_of(store.find_for_sni(row.sni)), row.file);
    store.add(nullptr, "default.crt", "k", nullptr);
    CHECK_EQUAL(file_of(store.find_for_sni("other.test")), "default.crt");
    CHECK_EQUAL(file_of(store.find_for_sni("")), "default.crt");
    CHECK_EQUAL(file_of(store.find_for_sni("first.TEST")), "first.crt");
}

// An entry named "" is for programs that ask for ""; a peer without a name gets the default.
void an_empty_name_is_no_wildcard(void**) {
    Face face;
    Certificates store(face.entries, face.count);
    store.add(nullptr, "default.crt", "k", nullptr);
    store.add("", "empty.crt", "k", nullptr);
    CHECK_EQUAL(file_of(store.find_for_sni("")), "default.crt");
    CHECK_EQUAL(file_of(store.find_for_sni(".")), "default.crt");
}

void the_first_entry_of_a_name_stays(void**) {
    Face face;
    Certificates store(face.entries, face.count);
    store.add("a.test", "1.crt", "k", nullptr);
    store.add(nullptr, "2.crt", "k", nullptr);
    store.add("a.test", "3.crt", "k", "chain");
    store.add(nullptr, "4.crt", "k", "chain");
    CHECK_EQUAL(face.count, 2);
    CHECK_EQUAL(file_of(store.find("a.test")), "1.crt");
    CHECK_EQUAL(file_of(store.find(nullptr)), "2.crt");
    store.add("A.test", "5.crt", "k", nullptr);  // another name, though peers cannot reach it
    CHECK_EQUAL(face.count, 3);
    CHECK_EQUAL(file_of(store.find_for_sni("A.TEST")), "1.crt");
}

// Strings stay where they are while the array moves.
void strings_do_not_move(void**) {
    Face face;
    Certificates store(face.entries, face.count);
    store.add("a.test", "a.crt", "k", nullptr);
    const char* const kept = store.find("a.test")->certificateFile;
    for (int i = 0; i < 200; ++i)
        store.add(("n" + std::to_string(i)).c_str(), "x", "y", "z");
    CHECK(store.find("a.test")->certificateFile == kept);
    CHECK_EQUAL(face.count, 201);
    CHECK_EQUAL(file_of(store.find_for_sni("N199")), "x");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_found_in_an_empty_store),
        cmocka_unit_test(entries_are_copied_and_visible),
        cmocka_unit_test(names_of_programs_are_exact),
        cmocka_unit_test(names_of_peers_are_not),
        cmocka_unit_test(an_empty_name_is_no_wildcard),
        cmocka_unit_test(the_first_entry_of_a_name_stays),
        cmocka_unit_test(strings_do_not_move),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
