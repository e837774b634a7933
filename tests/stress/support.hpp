// SPDX-License-Identifier: MIT
// What the long-running test programs share: checks that also hold in other threads than main,
// time, a seeded random generator, settings from arguments and environment, open descriptors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>

namespace nopoll::stress {

// Ends the program with a message; any thread.
[[noreturn]] void give_up(const char* file, int line, const std::string& what);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) ::nopoll::stress::give_up(__FILE__, __LINE__, #condition);               \
    } while (false)

[[nodiscard]] std::int64_t now_us();

// Ends the program when it takes longer, naming what it hung in.
void limit_run_time(unsigned seconds);

// Result of a program that has nothing to do here; ctest counts it as skipped.
constexpr int kSkipped = 77;
[[nodiscard]] int skip(const std::string& why);

// "--name VALUE", else the environment, else `otherwise`.
[[nodiscard]] double number_setting(std::span<char*> arguments, const std::string& name,
                                    const char* variable, double otherwise);
[[nodiscard]] bool has_flag(std::span<char*> arguments, const std::string& name);
// "--seed N" or NOPOLL_STRESS_SEED, else a new one; printed in any case.
[[nodiscard]] std::uint64_t choose_seed(std::span<char*> arguments);

class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    // 0 .. count - 1
    std::size_t below(std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(engine_);
    }
    std::size_t between(std::size_t least, std::size_t most) {
        return least + below(most - least + 1);
    }
    bool one_in(std::size_t count) { return below(count) == 0; }

private:
    std::mt19937_64 engine_;
};

[[nodiscard]] std::size_t open_descriptors();
// All of them, the numbers only: to say which one is left over.
[[nodiscard]] std::string descriptor_list();

// Resident memory of this process in bytes.
[[nodiscard]] std::size_t resident_bytes();

// Raises the soft limit of descriptors as far as allowed; the limit then in force.
[[nodiscard]] std::size_t raise_descriptor_limit(std::size_t wanted);

// Sleeps at most this long: for threads of a test that take turns at random, never to wait for
// something to have happened.
void idle_us(std::int64_t us);

}  // namespace nopoll::stress
