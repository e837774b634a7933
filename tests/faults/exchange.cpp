// SPDX-License-Identifier: MIT
// The two threads of an exchange; see exchange.hpp.
#include "faults/exchange.hpp"

#include <cstdarg>
#include <cstdio>
#include <thread>

#include "faults/client_program.hpp"
#include "faults/failing_allocator.hpp"
#include "faults/server_program.hpp"

namespace nopoll::faults {

void Findings::add(const char* format, ...) {
    const std::lock_guard guard(mutex_);
    if (count_ == kMost) return;
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(lines_[count_++], sizeof lines_[0], format, arguments);
    va_end(arguments);
}

ExchangeResult run_exchange(const Files* tls, Findings& findings) {
    ExchangeResult result;
    ServerProgram server(tls, findings);
    std::thread server_thread([&] { server.run(); });
    // A thread too, so that what OpenSSL keeps for a thread goes with it.
    std::thread client_thread([&] {
        play(Part::client);
        ClientProgram client(tls, findings);
        if (const int port = server.wait_for_port(1); port != 0)
            result.complete = client.talk_to(port);
        forget_plan();
        server.next_round();
        const int port = server.wait_for_port(2);
        if (port == 0)
            findings.add("no listener, with all the memory in the world");
        else
            result.recovered = client.talk_to(port);
        client.finish();
        server.next_round();
    });
    client_thread.join();
    server_thread.join();
    return result;
}

}  // namespace nopoll::faults
