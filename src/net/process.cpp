// SPDX-License-Identifier: MIT
// The id is kept until a fork; then the child looks anew.
#include "net/process.hpp"

#include <atomic>

#include <pthread.h>
#include <unistd.h>

namespace nopoll::net {

namespace {

constinit std::atomic<pid_t> known_id{0};  // 0: not known
constinit std::atomic<bool> forks_are_told{false};
pthread_once_t once = PTHREAD_ONCE_INIT;

void forget() {
    known_id.store(0, std::memory_order_relaxed);
}

void ask_to_be_told() {
    forks_are_told.store(pthread_atfork(nullptr, nullptr, forget) == 0);
}

}  // namespace

pid_t process_id() {
    const pid_t id = known_id.load(std::memory_order_relaxed);
    if (id != 0) return id;
    pthread_once(&once, ask_to_be_told);
    const pid_t here = getpid();
    if (forks_are_told.load()) known_id.store(here, std::memory_order_relaxed);
    return here;
}

}  // namespace nopoll::net
