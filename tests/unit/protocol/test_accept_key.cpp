// SPDX-License-Identifier: MIT
// Sec-WebSocket-Accept (RFC 6455 1.3, 4.2.2).
#include "protocol/accept_key.hpp"

#include "unit/unit_test.hpp"

using namespace nopoll::protocol;
using namespace nopoll::test;

namespace {

void examples(void**) {
    CHECK_EQUAL(accept_key_for("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK_EQUAL(accept_key_for("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
    CHECK_EQUAL(accept_key_for("AQIDBAUGBwgJCgsMDQ4PEC=="), "OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
}

void any_text(void**) {
    // The SHA-1 of the GUID alone, and of a text longer than a block of SHA-1.
    CHECK_EQUAL(accept_key_for(""), "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
    CHECK_EQUAL(accept_key_for(std::string(1000, 'k')).size(), 28U);
    CHECK(accept_key_for("key") != accept_key_for("Key"));
    CHECK(accept_key_for(std::string_view("a\0b", 3)) != accept_key_for("a"));
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(any_text),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
