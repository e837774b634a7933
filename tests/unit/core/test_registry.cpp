// SPDX-License-Identifier: MIT
// The slot table on its own: which slot and which id a connection gets, and that nothing changes
// when memory is short. What programs see: tests/abi/test_ctx_registry.c.
#include "core/registry.hpp"

#include <cstdlib>
#include <limits>
#include <new>
#include <set>

#include "core/connection.hpp"
#include "core/context.hpp"
#include "unit/failing_allocation.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll::core;
using nopoll::test::failing_allocation;

namespace {

constexpr int kFirst = 1;  // as in a fresh context

// Connections that are never registered with their context: the table only stores their address,
// and looks at their id.
class Crowd {
public:
    explicit Crowd(std::size_t count) : context_(Context::create()) {
        for (std::size_t i = 0; i < count; ++i)
            members_.push_back(Connection::create(*context_, NOPOLL_ROLE_CLIENT, false));
    }
    ~Crowd() {
        for (Connection* const member : members_)
            member->unref();
        context_->unref();
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;
    Connection* operator[](std::size_t index) const { return members_[index]; }

private:
    Context* context_;
    std::vector<Connection*> members_;
};

Registry::Place add(Registry& registry, Connection* connection, int& counter) {
    const Registry::Place place = registry.add(connection, counter);
    connection->id = place.id;
    return place;
}

void an_empty_table_knows_nobody(void**) {
    const Crowd crowd(1);
    Registry registry;
    CHECK_EQUAL(registry.slots(), 0U);
    CHECK_EQUAL(registry.count(), 0);
    CHECK(registry.at(0) == nullptr);
    CHECK(registry.at(std::numeric_limits<std::size_t>::max()) == nullptr);
    CHECK(!registry.contains(crowd[0], 0));
    CHECK(!registry.remove(crowd[0], 0));
}

void growing_costs_an_id(void**) {
    const Crowd crowd(35);
    Registry registry;
    int counter = kFirst;
    int expected = 1;
    for (std::size_t i = 0; i < 35; ++i) {
        if (i % 10 == 0) ++expected;
        const Registry::Place place = add(registry, crowd[i], counter);
        CHECK_EQUAL(place.slot, i);
        CHECK_EQUAL(place.id, expected++);
        CHECK_EQUAL(registry.slots(), (i / 10 + 1) * 10);
        CHECK_EQUAL(registry.count(), static_cast<int>(i) + 1);
        CHECK(registry.at(i) == crowd[i]);
    }
}

void the_lowest_free_slot_is_taken(void**) {
    const Crowd crowd(20);
    Registry registry;
    int counter = kFirst;
    for (std::size_t i = 0; i < 12; ++i)
        add(registry, crowd[i], counter);
    for (const std::size_t slot : {7U, 2U, 11U, 4U}) {
        CHECK(registry.remove(crowd[slot], slot));
        CHECK(registry.at(slot) == nullptr);
    }
    CHECK_EQUAL(registry.count(), 8);
    std::size_t next = 12;
    for (const std::size_t slot : {2U, 4U, 7U, 11U, 12U})
        CHECK_EQUAL(add(registry, crowd[next++], counter).slot, slot);
    CHECK_EQUAL(registry.slots(), 20U);  // never shrinks, did not grow
}

// A slot is found by a guess; a wrong one costs time and nothing else.
void a_wrong_guess_does_no_harm(void**) {
    const Crowd crowd(12);
    Registry registry;
    int counter = kFirst;
    for (std::size_t i = 0; i < 12; ++i)
        add(registry, crowd[i], counter);
    CHECK(registry.contains(crowd[5], 3));
    CHECK(registry.contains(crowd[5], 4711));
    CHECK(registry.remove(crowd[5], 3));
    CHECK(registry.at(3) == crowd[3]);
    CHECK(registry.at(5) == nullptr);
    CHECK(!registry.contains(crowd[5], 5));
    CHECK(!registry.remove(crowd[5], 5));
    CHECK_EQUAL(registry.count(), 11);
}

void one_connection_may_have_two_slots(void**) {
    const Crowd crowd(1);
    Registry registry;
    int counter = kFirst;
    CHECK_EQUAL(add(registry, crowd[0], counter).slot, 0U);
    CHECK_EQUAL(add(registry, crowd[0], counter).slot, 1U);
    CHECK_EQUAL(registry.count(), 2);
    CHECK(registry.remove(crowd[0], 1));
    CHECK(registry.contains(crowd[0], 1));
    CHECK(registry.remove(crowd[0], 1));
    CHECK(!registry.contains(crowd[0], 1));
    CHECK_EQUAL(registry.count(), 0);
}

void ids_wrap_and_leave_out_those_in_use(void**) {
    const Crowd crowd(9);
    Registry registry;
    int counter = kFirst;
    for (std::size_t i = 0; i < 3; ++i)
        add(registry, crowd[i], counter);  // 2, 3, 4
    counter = std::numeric_limits<int>::max();
    CHECK_EQUAL(add(registry, crowd[3], counter).id, std::numeric_limits<int>::max());
    CHECK_EQUAL(add(registry, crowd[4], counter).id, 1);
    CHECK_EQUAL(add(registry, crowd[5], counter).id, 5);
    CHECK(registry.remove(crowd[1], 1));  // 3 is free again, but behind the counter
    CHECK_EQUAL(add(registry, crowd[6], counter).id, 6);
    counter = 2;
    CHECK_EQUAL(add(registry, crowd[7], counter).id, 3);
    // Programs see the counter and may write anything into it.
    counter = -5;
    CHECK_EQUAL(add(registry, crowd[8], counter).id, 7);
}

// Whatever the order, ids and slots of those present are different.
void no_slot_and_no_id_is_given_twice(void**) {
    constexpr std::size_t kMembers = 60;
    const Crowd crowd(kMembers);
    Registry registry;
    int counter = kFirst;
    nopoll::test::Sequence sequence(20261124);
    std::vector<std::size_t> slot_of(kMembers, kMembers);
    for (int step = 0; step < 3000; ++step) {
        const std::size_t who = sequence.below(kMembers);
        if (slot_of[who] == kMembers) {
            slot_of[who] = add(registry, crowd[who], counter).slot;
        } else {
            CHECK(registry.remove(crowd[who], slot_of[who]));
            slot_of[who] = kMembers;
        }
        std::set<int> ids;
        int present = 0;
        for (std::size_t i = 0; i < kMembers; ++i) {
            if (slot_of[i] == kMembers) continue;
            ++present;
            CHECK(registry.at(slot_of[i]) == crowd[i]);
            CHECK(ids.insert(crowd[i]->id).second);
        }
        CHECK_EQUAL(registry.count(), present);
    }
    CHECK(registry.slots() <= kMembers);
}

void a_failed_growth_leaves_everything(void**) {
    const Crowd crowd(11);
    for (int nth = 1;; ++nth) {
        Registry registry;
        int counter = kFirst;
        for (std::size_t i = 0; i < 10; ++i)
            add(registry, crowd[i], counter);
        bool failed = false;
        failing_allocation = nth;
        try {
            add(registry, crowd[10], counter);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        const bool reached = failing_allocation == 0;
        failing_allocation = 0;
        CHECK_EQUAL(failed, reached);
        CHECK_EQUAL(registry.count(), failed ? 10 : 11);
        for (std::size_t i = 0; i < 10; ++i)
            CHECK(registry.at(i) == crowd[i]);
        CHECK_EQUAL(registry.contains(crowd[10], 10), !failed);
        if (!failed) break;
        CHECK_EQUAL(registry.slots(), 10U);
        CHECK_EQUAL(counter, 13);  // the number that was drawn stays drawn
        CHECK_EQUAL(add(registry, crowd[10], counter).slot, 10U);
        CHECK_EQUAL(crowd[10]->id, 14);
        CHECK(nth < 10);
    }
}

// The context adds references: all or none.
void a_failed_registration_takes_nothing(void**) {
    const Crowd crowd(1);
    Context* const context = Context::create();
    std::vector<Connection*> members;
    for (int i = 0; i < 10; ++i) {
        members.push_back(Connection::create(*context, NOPOLL_ROLE_CLIENT, false));
        context->register_connection(*members.back());
    }
    Connection* const late = Connection::create(*context, NOPOLL_ROLE_CLIENT, false);
    bool failed = false;
    failing_allocation = 1;
    try {
        context->register_connection(*late);
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    failing_allocation = 0;
    CHECK(failed);
    CHECK_EQUAL(late->ref_count(), 1);
    CHECK_EQUAL(context->ref_count(), 11);
    CHECK_EQUAL(context->connection_count(), 10);
    CHECK(!context->is_registered(*late));
    CHECK(context->register_connection(*late));
    CHECK_EQUAL(late->ref_count(), 2);
    CHECK_EQUAL(context->ref_count(), 12);
    members.push_back(late);
    for (Connection* const member : members) {
        CHECK(context->unregister_connection(*member));
        member->unref();
    }
    CHECK_EQUAL(context->ref_count(), 1);
    context->unref();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_knows_nobody),
        cmocka_unit_test(growing_costs_an_id),
        cmocka_unit_test(the_lowest_free_slot_is_taken),
        cmocka_unit_test(a_wrong_guess_does_no_harm),
        cmocka_unit_test(one_connection_may_have_two_slots),
        cmocka_unit_test(ids_wrap_and_leave_out_those_in_use),
        cmocka_unit_test(no_slot_and_no_id_is_given_twice),
        cmocka_unit_test(a_failed_growth_leaves_everything),
        cmocka_unit_test(a_failed_registration_takes_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
