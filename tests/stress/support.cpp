// SPDX-License-Identifier: MIT
// See support.hpp.
#include "stress/support.hpp"

#include <dirent.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace nopoll::stress {
namespace {

extern "C" void report_hang(int) {
    static const char text[] = "the program hangs: time is over\n";
    (void)!::write(STDERR_FILENO, text, sizeof text - 1);
    std::abort();
}

std::vector<int> descriptors() {
    std::vector<int> numbers;
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return numbers;
    while (const dirent* const entry = ::readdir(folder)) {
        const int number = std::atoi(entry->d_name);
        if (entry->d_name[0] != '.' && number != ::dirfd(folder)) numbers.push_back(number);
    }
    ::closedir(folder);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

}  // namespace

void give_up(const char* file, int line, const std::string& what) {
    std::fprintf(stderr, "%s:%d: failed: %s (errno %d: %s)\n", file, line, what.c_str(), errno,
                 std::strerror(errno));
    std::fflush(nullptr);
    std::abort();
}

std::int64_t now_us() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

void limit_run_time(unsigned seconds) {
    std::signal(SIGALRM, report_hang);
    ::alarm(seconds);
}

int skip(const std::string& why) {
    std::printf("skipped: %s\n", why.c_str());
    return kSkipped;
}

double number_setting(std::span<char*> arguments, const std::string& name, const char* variable,
                      double otherwise) {
    for (std::size_t i = 1; i + 1 < arguments.size(); ++i)
        if (name == arguments[i]) return std::strtod(arguments[i + 1], nullptr);
    const char* const text = std::getenv(variable);
    return text != nullptr && *text != '\0' ? std::strtod(text, nullptr) : otherwise;
}

bool has_flag(std::span<char*> arguments, const std::string& name) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [&name](const char* argument) { return name == argument; });
}

std::uint64_t choose_seed(std::span<char*> arguments) {
    auto seed =
        static_cast<std::uint64_t>(number_setting(arguments, "--seed", "NOPOLL_STRESS_SEED", 0));
    if (seed == 0) seed = std::random_device{}();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    return seed;
}

std::size_t open_descriptors() {
    return descriptors().size();
}

std::string descriptor_list() {
    std::string text;
    for (const int number : descriptors()) {
        char target[256] = "";
        const std::string link = "/proc/self/fd/" + std::to_string(number);
        const ssize_t size = ::readlink(link.c_str(), target, sizeof target - 1);
        if (size < 0) continue;
        text += std::to_string(number) + " -> " +
                std::string(target, static_cast<std::size_t>(size)) + "\n";
    }
    return text;
}

std::size_t resident_bytes() {
    long pages = 0;
    if (std::FILE* const file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
        std::fclose(file);
    }
    return static_cast<std::size_t>(pages) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t raise_descriptor_limit(std::size_t wanted) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur >= wanted) return limit.rlim_cur;
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
    (void)::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

void idle_us(std::int64_t us) {
    const timespec time{static_cast<time_t>(us / 1'000'000),
                        static_cast<long>(us % 1'000'000) * 1000};
    (void)::ppoll(nullptr, 0, &time, nullptr);
}

}  // namespace nopoll::stress
