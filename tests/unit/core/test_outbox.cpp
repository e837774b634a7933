// SPDX-License-Identifier: MIT
// The books about unsent bytes: every kind of account alone, then all of them in random order
// against a plain model. What programs see of it: tests/abi/test_pending_write.c and its
// neighbours.
#include "core/outbox.hpp"

#include <cstdlib>
#include <deque>
#include <new>

#include "unit/failing_allocation.hpp"
#include "unit/unit_test.hpp"

using namespace nopoll::core;
using namespace nopoll::test;

namespace {

std::uint64_t append(Outbox& outbox, Account account, std::string_view head,
                     std::string_view body) {
    return outbox.append(account, std::as_bytes(std::span(head)), std::as_bytes(std::span(body)),
                         account == Account::program ? head.size() : 0);
}

void append_pong(Outbox& outbox, std::string_view frame) {
    outbox.append_pong(std::as_bytes(std::span(frame)));
}

// Writes `bytes` of the front segment; what they were, and the payload that was reported.
struct Wrote {
    std::string text;
    std::size_t payload;
};

Wrote write_some(Outbox& outbox, std::size_t bytes) {
    const std::string text = text_of(outbox.next().first(bytes));
    return {text, outbox.written(bytes)};
}

std::string write_all(Outbox& outbox) {
    std::string text;
    while (!outbox.next().empty())
        text += write_some(outbox, outbox.next().size()).text;
    return text;
}

// --- one account at a time ---

void nothing(void**) {
    Outbox outbox;
    CHECK(outbox.empty());
    CHECK(outbox.next().empty());
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    CHECK_EQUAL(outbox.queued_bytes(), 0U);
    CHECK_EQUAL(outbox.written(0), 0U);
    CHECK_EQUAL(outbox.take_credit(), 0U);
    CHECK(outbox.is_out(1));
    CHECK(!outbox.is_lost(1));
    CHECK(outbox.last_segment());
}

// Payload is reported from the first byte behind the header on, whatever way it was cut.
void program_frames(void**) {
    for (std::size_t cut = 1; cut < 10; ++cut) {
        Outbox outbox;
        append(outbox, Account::program, "HEAD", "payload");
        CHECK(outbox.has(Account::program));
        CHECK_EQUAL(outbox.pending_bytes(), 11U);
        const Wrote first = write_some(outbox, cut);
        CHECK_EQUAL(first.payload, cut > 4 ? cut - 4 : 0);
        CHECK_EQUAL(outbox.pending_bytes(), 11 - cut);
        const Wrote second = write_some(outbox, 11 - cut);
        CHECK_EQUAL(first.payload + second.payload, 7U);
        CHECK_EQUAL(first.text + second.text, "HEADpayload");
        CHECK(outbox.empty());
        CHECK(!outbox.has(Account::program));
        CHECK_EQUAL(outbox.pending_bytes(), 0U);
    }
}

// The header was out already when the rest was kept.
void program_frame_without_its_header(void**) {
    Outbox outbox;
    outbox.append(Account::program, {}, bytes_of("rest"), 0);
    CHECK_EQUAL(write_some(outbox, 3).payload, 3U);
    CHECK_EQUAL(write_some(outbox, 1).payload, 1U);
    CHECK(outbox.empty());
}

void waiting_frames(void**) {
    Outbox outbox;
    const std::uint64_t one = append(outbox, Account::waiting, "1", "one");
    const std::uint64_t two = append(outbox, Account::waiting, "2", "two");
    CHECK(one != two);
    CHECK_EQUAL(outbox.pending_bytes(), 0U);  // the sends that wait report by themselves
    CHECK(!outbox.is_out(one));
    CHECK_EQUAL(write_some(outbox, 4).payload, 0U);
    CHECK(outbox.is_out(one));
    CHECK(!outbox.is_out(two));
    // Its sender has given up: what is begun goes out all the same, now as pending.
    CHECK_EQUAL(write_some(outbox, 1).payload, 0U);
    outbox.stop_waiting(two, Account::library);
    CHECK_EQUAL(outbox.pending_bytes(), 3U);
    CHECK_EQUAL(write_some(outbox, 3).text, "two");
    CHECK(outbox.is_out(two));
    CHECK(!outbox.is_lost(two));
    outbox.stop_waiting(two, Account::library);  // too late: nothing happens
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    // A loop writes the rest: it was reported.
    const std::uint64_t three = append(outbox, Account::waiting, "3", "three");
    CHECK_EQUAL(write_some(outbox, 2).payload, 0U);
    outbox.stop_waiting(three, Account::queued);
    CHECK_EQUAL(outbox.queued_bytes(), 4U);
    outbox.stop_waiting(three, Account::library);  // it waits no more: nothing happens
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    CHECK_EQUAL(write_all(outbox), "hree");
    CHECK_EQUAL(outbox.queued_bytes(), 0U);
}

// Reported as written already: neither pending nor in results.
void queued_frames(void**) {
    Outbox outbox;
    append(outbox, Account::queued, "1", "one");
    append(outbox, Account::queued, "2", "two");
    CHECK_EQUAL(outbox.queued_bytes(), 8U);
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    CHECK(outbox.last_segment());  // small frames share a block
    CHECK_EQUAL(write_some(outbox, 5).payload, 0U);
    CHECK_EQUAL(outbox.queued_bytes(), 3U);
    append(outbox, Account::queued, "3", "three");
    CHECK_EQUAL(outbox.queued_bytes(), 9U);
    CHECK_EQUAL(write_all(outbox), "two3three");
    CHECK_EQUAL(outbox.queued_bytes(), 0U);
    CHECK(outbox.empty());
}

// Frames that do not fit into the block behind the last one get their own; order is kept.
void large_queue(void**) {
    Outbox outbox;
    std::string expected;
    for (int i = 0; i < 200; ++i) {
        const std::string frame(static_cast<std::size_t>(i) * 1000,
                                static_cast<char>('a' + i % 26));
        append(outbox, Account::queued, "h", frame);
        expected += "h" + frame;
    }
    CHECK_EQUAL(outbox.queued_bytes(), expected.size());
    CHECK(write_all(outbox) == expected);
    CHECK_EQUAL(outbox.queued_bytes(), 0U);
}

// A frame of another account ends the block: nothing is put in front of it afterwards.
void queue_does_not_overtake(void**) {
    Outbox outbox;
    append(outbox, Account::queued, "", "first");
    append(outbox, Account::library, "", "PONG");
    append(outbox, Account::queued, "", "second");
    CHECK_EQUAL(outbox.pending_bytes(), 4U);
    CHECK(!outbox.last_segment());
    CHECK_EQUAL(write_all(outbox), "firstPONGsecond");
}

void library_frames(void**) {
    Outbox outbox;
    append(outbox, Account::library, "C", "lose");
    CHECK_EQUAL(outbox.pending_bytes(), 5U);
    CHECK_EQUAL(write_some(outbox, 2).payload, 0U);
    CHECK_EQUAL(outbox.pending_bytes(), 3U);
    append(outbox, Account::program, "H", "mine");
    CHECK_EQUAL(outbox.pending_bytes(), 8U);
    CHECK_EQUAL(write_some(outbox, 3).payload, 0U);
    CHECK_EQUAL(write_some(outbox, 5).payload, 4U);
}

// --- pongs ---

void latest_pong_replaces(void**) {
    Outbox outbox;
    append(outbox, Account::program, "H", "frame");
    append_pong(outbox, "one");
    append_pong(outbox, "a longer one");
    append_pong(outbox, "2");
    CHECK_EQUAL(outbox.pending_bytes(), 7U);
    CHECK_EQUAL(write_all(outbox), "Hframe2");
}

// One that was offered to a write may be part of a TLS record: it stays as it is.
void tried_pong_stays(void**) {
    Outbox outbox;
    append_pong(outbox, "one");
    CHECK_EQUAL(outbox.next().size(), 3U);
    append_pong(outbox, "two");
    append_pong(outbox, "three");
    CHECK_EQUAL(write_all(outbox), "onethree");
    append_pong(outbox, "four");
    append(outbox, Account::library, "", "ping");
    append_pong(outbox, "five!");
    append(outbox, Account::queued, "", "queue");
    append_pong(outbox, "six");  // pongs stay in the order of their pings
    CHECK_EQUAL(write_all(outbox), "pingqueuesix");
}

// In a queue too, and what is queued behind a pong is no part of it.
void queued_pongs(void**) {
    Outbox outbox;
    append(outbox, Account::queued, "", "frame");
    outbox.append_pong(bytes_of("one"), Account::queued);
    append(outbox, Account::queued, "", "next");
    CHECK_EQUAL(outbox.queued_bytes(), 12U);
    outbox.append_pong(bytes_of("a longer one"), Account::queued);
    append(outbox, Account::queued, "", "last");
    CHECK_EQUAL(outbox.queued_bytes(), 25U);
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    CHECK_EQUAL(write_all(outbox), "framenexta longer onelast");
    CHECK_EQUAL(outbox.queued_bytes(), 0U);
}

// --- credit ---

void credit(void**) {
    Outbox outbox;
    append(outbox, Account::program, "H", "frame");
    outbox.add_credit(write_some(outbox, 3).payload);
    CHECK_EQUAL(outbox.pending_bytes(), 5U);  // two bytes of credit, three unsent
    outbox.add_credit(write_some(outbox, 3).payload);
    CHECK(outbox.empty());
    CHECK_EQUAL(outbox.pending_bytes(), 5U);
    CHECK_EQUAL(outbox.take_credit(), 5U);
    CHECK_EQUAL(outbox.take_credit(), 0U);
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    outbox.add_credit(4);
    outbox.forget_credit();
    CHECK_EQUAL(outbox.take_credit(), 0U);
}

// --- the end ---

void clear_loses_what_is_left(void**) {
    Outbox outbox;
    const std::uint64_t out = append(outbox, Account::waiting, "", "out");
    const std::uint64_t lost = append(outbox, Account::waiting, "", "lost");
    append(outbox, Account::queued, "", "queued");
    append(outbox, Account::program, "H", "frame");
    outbox.add_credit(7);
    write_some(outbox, 3);
    CHECK_EQUAL(outbox.next().size(), 4U);  // somebody is about to write it
    outbox.clear();
    CHECK_EQUAL(outbox.written(4), 0U);  // and comes too late
    CHECK(outbox.empty());
    CHECK_EQUAL(outbox.queued_bytes(), 0U);
    CHECK_EQUAL(outbox.pending_bytes(), 0U);
    CHECK(!outbox.is_lost(out));
    CHECK(outbox.is_lost(lost));
    const std::uint64_t later = append(outbox, Account::waiting, "", "later");
    CHECK(!outbox.is_lost(later));
    CHECK_EQUAL(write_all(outbox), "later");
}

// Bytes that were offered before the end and written after it belong to nobody's books.
void late_report_hits_nobody_else(void**) {
    Outbox outbox;
    append(outbox, Account::program, "H", "old");
    CHECK_EQUAL(outbox.next().size(), 4U);
    outbox.clear();
    append(outbox, Account::program, "H", "new frame");
    CHECK_EQUAL(outbox.written(4), 0U);
    CHECK_EQUAL(write_all(outbox), "Hnew frame");
}

void swap_moves_everything(void**) {
    Outbox from;
    Outbox to;
    append(from, Account::library, "", "lib");
    append(from, Account::queued, "", "queued");
    write_some(from, 1);
    from.swap(to);
    CHECK(from.empty());
    CHECK_EQUAL(from.queued_bytes(), 0U);
    CHECK_EQUAL(to.queued_bytes(), 6U);
    CHECK_EQUAL(write_all(to), "ibqueued");
}

// --- all of them at once ---

struct Model {
    struct Segment {
        Account account;
        std::string bytes;
        std::size_t header;
        std::size_t sent = 0;
    };
    std::deque<Segment> segments;
    std::size_t sum(Account a, Account b) const {
        std::size_t total = 0;
        for (const Segment& s : segments)
            if (s.account == a || s.account == b) total += s.bytes.size() - s.sent;
        return total;
    }
};

void random_order(void**) {
    constexpr Account kAccounts[] = {Account::program, Account::waiting, Account::queued,
                                     Account::library};
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Sequence random(seed);
        Outbox outbox;
        Model model;
        std::string expected;
        std::string actual;
        for (int step = 0; step < 2000; ++step) {
            if (random.below(3) == 0) {
                const Account account = kAccounts[random.below(4)];
                const std::string head(random.below(15), 'H');
                const std::string body = text_of(random.bytes(1 + random.below(300)));
                append(outbox, account, head, body);
                model.segments.push_back(
                    {account, head + body, account == Account::program ? head.size() : 0});
                expected += head + body;
            } else if (!outbox.next().empty()) {
                const std::size_t size = 1 + random.below(outbox.next().size());
                const Wrote wrote = write_some(outbox, size);
                actual += wrote.text;
                std::size_t payload = 0;  // of program frames, byte for byte
                for (std::size_t i = 0; i < size; ++i) {
                    Model::Segment& front = model.segments.front();
                    if (front.account == Account::program && front.sent >= front.header) ++payload;
                    if (++front.sent == front.bytes.size()) model.segments.pop_front();
                }
                CHECK_EQUAL(wrote.payload, payload);
            }
            CHECK_EQUAL(outbox.pending_bytes(), model.sum(Account::program, Account::library));
            CHECK_EQUAL(outbox.queued_bytes(), model.sum(Account::queued, Account::queued));
            CHECK_EQUAL(outbox.empty(), model.segments.empty());
        }
        actual += write_all(outbox);
        CHECK(actual == expected);
        CHECK_EQUAL(outbox.queued_bytes(), 0U);
    }
}

// --- no memory ---

void nothing_changes_without_memory(void**) {
    for (const Account account :
         {Account::program, Account::waiting, Account::queued, Account::library}) {
        bool done = false;
        for (int n = 1; !done; ++n) {
            Outbox outbox;
            append(outbox, Account::program, "H", "frame");
            append_pong(outbox, "p");
            const std::size_t pending = outbox.pending_bytes();
            failing_allocation = n;
            try {
                append(outbox, account, "HH", "more");
                done = true;
            } catch (const std::bad_alloc&) {
                failing_allocation = 0;
                CHECK_EQUAL(outbox.pending_bytes(), pending);
                CHECK_EQUAL(outbox.queued_bytes(), 0U);
                CHECK_EQUAL(write_all(outbox), "Hframep");
            }
            failing_allocation = 0;
            CHECK(n < 10);
        }
    }
    Outbox outbox;
    append_pong(outbox, "p");
    failing_allocation = 1;
    bool threw = false;
    try {
        append_pong(outbox, "a longer pong");
    } catch (const std::bad_alloc&) {
        threw = true;
    }
    failing_allocation = 0;
    CHECK(threw);
    CHECK_EQUAL(write_all(outbox), "p");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing),
        cmocka_unit_test(program_frames),
        cmocka_unit_test(program_frame_without_its_header),
        cmocka_unit_test(waiting_frames),
        cmocka_unit_test(queued_frames),
        cmocka_unit_test(large_queue),
        cmocka_unit_test(queue_does_not_overtake),
        cmocka_unit_test(library_frames),
        cmocka_unit_test(latest_pong_replaces),
        cmocka_unit_test(tried_pong_stays),
        cmocka_unit_test(queued_pongs),
        cmocka_unit_test(credit),
        cmocka_unit_test(clear_loses_what_is_left),
        cmocka_unit_test(late_report_hits_nobody_else),
        cmocka_unit_test(swap_moves_everything),
        cmocka_unit_test(random_order),
        cmocka_unit_test(nothing_changes_without_memory),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
