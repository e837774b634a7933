// SPDX-License-Identifier: MIT
// malloc-backed strings of face fields. Sizes are exact, so that AddressSanitizer sees a slip.
#include "core/c_string.hpp"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "core/memory.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll::core;

// Allocations that cannot succeed are part of the tests.
extern "C" {
const char* __asan_default_options();
const char* __tsan_default_options();
const char* __asan_default_options() {
    return "allocator_may_return_null=1";
}
const char* __tsan_default_options() {
    return "allocator_may_return_null=1";
}
}

namespace {

void copies_belong_to_the_caller(void**) {
    const char* const nothing = nullptr;
    CHECK(duplicate(nothing) == nullptr);
    const char text[] = "text";
    char* const copy = duplicate(text);
    CHECK(copy != text);
    CHECK_EQUAL(std::strcmp(copy, "text"), 0);
    std::free(copy);
    char* const empty = duplicate("");
    CHECK_EQUAL(*empty, '\0');
    std::free(empty);
}

void views_need_no_terminator(void**) {
    const char letters[3] = {'a', 'b', 'c'};
    char* const copy = duplicate(std::string_view(letters, 3));
    CHECK_EQUAL(std::strcmp(copy, "abc"), 0);
    std::free(copy);
    char* const none = duplicate(std::string_view());
    CHECK_EQUAL(*none, '\0');
    std::free(none);
    char* const inner = duplicate(std::string_view("a\0b", 3));
    CHECK_EQUAL(std::memcmp(inner, "a\0b", 4), 0);
    std::free(inner);
}

void replacing_frees_the_old_text(void**) {
    char* field = nullptr;
    replace(field, "first");
    CHECK_EQUAL(std::strcmp(field, "first"), 0);
    replace(field, std::string_view("second one").substr(0, 6));
    CHECK_EQUAL(std::strcmp(field, "second"), 0);
    const char* const nothing = nullptr;
    replace(field, nothing);
    CHECK(field == nullptr);
}

void a_field_may_become_part_of_itself(void**) {
    char* field = duplicate("host:80");
    replace(field, field + 5);
    CHECK_EQUAL(std::strcmp(field, "80"), 0);
    replace(field, std::string_view(field, 1));
    CHECK_EQUAL(std::strcmp(field, "8"), 0);
    release(field);
    CHECK(field == nullptr);
    release(field);
}

void owned_copies_know_what_is_not_set(void**) {
    CHECK(!owned_copy(nullptr));
    CHECK(owned_copy("") == std::string());
    CHECK(owned_copy("x") == std::string("x"));
}

void failing_allocations_throw(void**) {
    bool thrown = false;
    void* volatile seen = nullptr;  // or the compiler leaves the allocation away
    try {
        const auto block = allocate_bytes(std::numeric_limits<std::size_t>::max() / 2);
        seen = block.get();
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    CHECK(thrown && seen == nullptr);
    CHECK(allocate_bytes(0) != nullptr);
    struct Plain {
        int a, b;
    };
    const MallocPtr<Plain> plain = allocate_zeroed<Plain>();
    CHECK_EQUAL(plain->a + plain->b, 0);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(copies_belong_to_the_caller),
        cmocka_unit_test(views_need_no_terminator),
        cmocka_unit_test(replacing_frees_the_old_text),
        cmocka_unit_test(a_field_may_become_part_of_itself),
        cmocka_unit_test(owned_copies_know_what_is_not_set),
        cmocka_unit_test(failing_allocations_throw),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
