// SPDX-License-Identifier: MIT
// A wait engine and the books about what it was told: which connection, which descriptor, what for.
// Kept by the context between the waits, so that the next one applies differences only.
#pragma once

#include <cstdint>
#include <memory>
#include <sys/types.h>
#include <vector>

#include "loop/wait_engine.hpp"

namespace nopoll::core {

class Sleeper;

struct WatchSet {
    // What a descriptor stands for, if not a slot of the registry.
    static constexpr std::int32_t kNothing = -1;
    static constexpr std::int32_t kWakePipe = -2;
    static constexpr std::int32_t kLingering = -3;

    struct Watched {
        int id = 0;  // 0: nothing
        int fd = -1;
        unsigned descriptor = 0;  // which one of the connection's: numbers come again
        ino_t inode = 0;          // of the socket, where the engine does not notice closed ones
        loop::Interest interest;
    };

    struct Lingering {
        int fd = -1;
        std::uint64_t serial = 0;
        bool draining = false;
    };

    std::unique_ptr<loop::WaitEngine> engine;
    int engine_type = 0;                // the program may want another kind by the next wait
    std::vector<Watched> watched;       // by slot
    std::vector<std::int32_t> meaning;  // by descriptor: a slot, or one of the constants
    std::vector<Lingering> lingering;   // in the order of the context's list
    int wake_fd = -1;
    // Only good for the process and the wake pipe that it was made with: programs fork, and
    // daemons close every descriptor, an engine's own one included.
    pid_t process = 0;
    const Sleeper* sleeper = nullptr;
    unsigned pipe_generation = 0;

    std::int32_t meaning_of(int fd) const {
        const auto at = static_cast<std::size_t>(fd);
        return fd >= 0 && at < meaning.size() ? meaning[at] : kNothing;
    }
    void set_meaning(int fd, std::int32_t value) {
        const auto at = static_cast<std::size_t>(fd);
        if (at >= meaning.size()) meaning.resize(at + 1, kNothing);
        meaning[at] = value;
    }
    void start_anew() {
        engine->forget_all();
        watched.clear();
        meaning.clear();
        lingering.clear();
        wake_fd = -1;
    }
};

}  // namespace nopoll::core
