// SPDX-License-Identifier: MIT
// The engines behind nopoll_io_get_engine when memory is short: their handlers are called by C
// programs, which no exception may reach. What they do otherwise: tests/abi/test_io_engine.c.
#include "core/io_engine.hpp"

#include "net/plain_transport.hpp"
#include "unit/failing_allocation.hpp"
#include "unit/net/net_test.hpp"

using namespace nopoll;

namespace {

// The n-th allocation of adding fails, for each that there is; the set can be used afterwards.
void a_descriptor_is_refused(int type) {
    const net::test::Pair pair = net::test::socket_pair();
    const int fd = pair.b.get();
    assert_true(net::send(pair.a.get(), net::test::bytes("x"), {}, false).ok());
    bool added = false;
    for (int nth = 1; !added; ++nth) {
        noPollIoEngine* const engine = core::make_io_engine(nullptr, type);
        assert_non_null(engine);
        test::failing_allocation = nth;
        added = engine->add_to(fd, nullptr, nullptr, engine->io_object) != 0;
        test::failing_allocation = 0;
        assert_int_equal(engine->add_to(fd, nullptr, nullptr, engine->io_object), 1);
        assert_int_equal(engine->wait(nullptr, engine->io_object), 1);
        assert_true(engine->is_set(nullptr, fd, engine->io_object) != 0);
        core::release_io_engine(engine);
    }
}

void select_engine(void**) {
    a_descriptor_is_refused(NOPOLL_IO_ENGINE_SELECT);
}

void poll_engine(void**) {
    a_descriptor_is_refused(NOPOLL_IO_ENGINE_POLL);
}

void epoll_engine(void**) {
    a_descriptor_is_refused(NOPOLL_IO_ENGINE_EPOLL);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(select_engine),
        cmocka_unit_test(poll_engine),
        cmocka_unit_test(epoll_engine),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
