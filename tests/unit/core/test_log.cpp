// SPDX-License-Identifier: MIT
// The library's side of the log: escaping of peer data, what a call costs, handlers that throw. The
// texts a program sees are held by tests/abi/test_log.c.
#include "core/log.hpp"

#include <cerrno>
#include <stdexcept>

#include "unit/unit_test.hpp"

using namespace nopoll::core;

namespace {

void peer_data_is_printable(void**) {
    CHECK_EQUAL(printable(""), std::string());
    CHECK_EQUAL(printable("GET /chat HTTP/1.1 ~"), std::string("GET /chat HTTP/1.1 ~"));
    CHECK_EQUAL(printable("a\r\nb\tc"), std::string("a\\r\\nb\\tc"));
    CHECK_EQUAL(printable("back\\slash"), std::string("back\\\\slash"));
    CHECK_EQUAL(printable("\x1b[31mred"), std::string("\\x1b[31mred"));
    CHECK_EQUAL(printable(std::string_view("\0\x01\x7f", 3)), std::string("\\x00\\x01\\x7f"));
    CHECK_EQUAL(printable("\x9b\xff\xc3\xa9"), std::string("\\x9b\\xff\\xc3\\xa9"));
    // Whatever comes in, only printable ASCII goes out, and different inputs stay different.
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += static_cast<char>(byte);
    for (const char c : printable(all))
        CHECK(c >= 0x20 && c < 0x7f);
    CHECK(printable("\\n") != printable("\n"));
    CHECK(printable("\\x41") != printable("A"));
}

void file_names_lose_their_folder(void**) {
    static_assert(std::string_view(short_file_name("src/core/log.cpp")) == "log.cpp");
    CHECK_EQUAL(std::string(short_file_name("log.cpp")), std::string("log.cpp"));
    CHECK_EQUAL(std::string(short_file_name("/a/b/")), std::string());
    CHECK_EQUAL(std::string(short_file_name("")), std::string());
}

struct Seen {
    int calls = 0;
    std::string text;
};

void remember(noPollCtx*, noPollDebugLevel, const char* text, noPollPtr data) {
    Seen& seen = *static_cast<Seen*>(data);
    ++seen.calls;
    seen.text = text;
}

int evaluated = 0;
int evaluate() {
    return ++evaluated;
}

void nobody_listens(void**) {
    noPollCtx ctx{};
    CHECK(!log_wanted(nullptr));
    CHECK(!log_wanted(&ctx));
    evaluated = 0;
    NOPOLL_LOG(&ctx, NOPOLL_LEVEL_CRITICAL, "%d", evaluate());
    noPollCtx* const none = nullptr;
    NOPOLL_LOG(none, NOPOLL_LEVEL_CRITICAL, "%d", evaluate());
    CHECK_EQUAL(evaluated, 0);
    ctx.debug_enabled = 5;
    CHECK(log_wanted(&ctx));
    ctx.debug_enabled = 0;
    set_log_handler(ctx, remember, nullptr);
    CHECK(log_wanted(&ctx));
    set_log_handler(ctx, nullptr, nullptr);
    CHECK(!log_wanted(&ctx));
}

void the_macro_names_the_place(void**) {
    noPollCtx ctx{};
    Seen seen;
    set_log_handler(ctx, remember, &seen);
    evaluated = 0;
    NOPOLL_LOG(&ctx, NOPOLL_LEVEL_DEBUG, "number %d", evaluate());
    const std::string line = std::to_string(__LINE__ - 1);
    CHECK_EQUAL(seen.text, "test_log.cpp:" + line + " number 1 ");
    CHECK_EQUAL(seen.calls, 1);
    CHECK_EQUAL(evaluated, 1);
}

void throw_up(noPollCtx*, noPollDebugLevel, const char*, noPollPtr) {
    errno = EPERM;
    throw std::runtime_error("from the handler");
}

// A C++ handler's exception is the program's own: it passes, and the log works afterwards.
void exceptions_of_a_handler_pass(void**) {
    noPollCtx ctx{};
    set_log_handler(ctx, throw_up, nullptr);
    errno = EAGAIN;
    bool thrown = false;
    try {
        NOPOLL_LOG(&ctx, NOPOLL_LEVEL_DEBUG, "x");
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK_EQUAL(errno, EAGAIN);
    Seen seen;
    set_log_handler(ctx, remember, &seen);
    NOPOLL_LOG(&ctx, NOPOLL_LEVEL_DEBUG, "y");
    CHECK_EQUAL(seen.calls, 1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(peer_data_is_printable),
        cmocka_unit_test(file_names_lose_their_folder),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(the_macro_names_the_place),
        cmocka_unit_test(exceptions_of_a_handler_pass),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
