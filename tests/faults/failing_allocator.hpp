// SPDX-License-Identifier: MIT
// Allocations that fail on demand: operator new everywhere in the program, malloc and its family as
// called by the library's objects (the linker's --wrap), and OpenSSL's through its own hooks.
// Only calls of a chosen thread, made inside the library, are counted and can fail.
#pragma once

namespace nopoll::faults {

enum class Source { library, openssl };

// Which side of an exchange a thread plays.
enum class Part { none, client, server };

struct Plan {
    Source source = Source::library;
    Part part = Part::none;
    long nth = 0;                     // the first that fails, from 1; 0: none
    bool lasting = false;             // all after it fail too
    const char* only_from = nullptr;  // OpenSSL: count those of files with this in their name
};

// Before anything else uses OpenSSL; false when it is too late.
bool install_openssl_hooks();

void set_plan(const Plan& plan);  // counts from 0 again
void forget_plan();               // nothing fails any more
long counted();                   // allocations that the plan was about
long failed();                    // of those, how many failed
bool is_about(Source source);     // the plan, forgotten or not

// Blocks that were allocated and not yet freed, of all threads.
long live_blocks(Source source);

// The calling thread is this part from now on.
void play(Part part);

// How many allocations of this thread failed so far.
long failed_here();

// Allocations of this thread count for as long as one of these lives; nested ones suspend.
class Inside {
public:
    explicit Inside(bool inside = true);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

private:
    bool before_;
};

// Calls into the library.
template <class Call>
auto in_library(Call call) {
    const Inside inside;
    return call();
}

}  // namespace nopoll::faults
