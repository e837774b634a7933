// SPDX-License-Identifier: MIT
// The crowd of the soak test: a process of its own with a thread for each of its members, who
// connect, talk, misbehave and vanish at random.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace nopoll::stress {

struct CrowdPlan {
    unsigned members = 300;
    int plain_port = 0;
    int tls_port = 0;
    std::uint64_t seed = 0;
};

class Crowd {
public:
    // Forks: to be called before the process has threads.
    explicit Crowd(const CrowdPlan& plan);
    ~Crowd();
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    // Everybody finishes what he is at; what they have done, in one line.
    std::string finish();

private:
    pid_t child_ = -1;
    int order_ = -1;
    int answer_ = -1;
};

}  // namespace nopoll::stress
