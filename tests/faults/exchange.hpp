// SPDX-License-Identifier: MIT
// A whole exchange between a server program and a client program, each in a thread of its own: with
// listener, options, handlers, log, text, fragments, pings, large frames, a stream and a close.
// Both go on after a call that failed, as careful programs do, and note everything that is not as
// documented.
#pragma once

#include <nopoll.h>

#include <cstddef>
#include <mutex>
#include <string>

namespace nopoll::faults {

struct Files {
    std::string certificate;  // for "localhost"
    std::string key;
    std::string other_certificate;  // of a server with another name, the default
    std::string other_key;
    std::string authority;
};

// What was found wrong, from any thread. Takes no memory: blocks are being counted.
class Findings {
public:
    void add(const char* format, ...) __attribute__((format(printf, 2, 3)));
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] const char* line(std::size_t i) const { return lines_[i]; }

private:
    static constexpr std::size_t kMost = 20;

    std::mutex mutex_;
    std::size_t count_ = 0;
    char lines_[kMost][200] = {};
};

struct ExchangeResult {
    bool complete = false;   // the first exchange, under the plan
    bool recovered = false;  // a second one afterwards, with the same contexts and listener
};

// Runs one exchange by the plan that is set, then forgets the plan and runs a second one.
ExchangeResult run_exchange(const Files* tls, Findings& findings);

}  // namespace nopoll::faults
