// SPDX-License-Identifier: MIT
// What the threads of the thread stress share: one server context with listener and loops, one
// client context with a loop, one without, and the connections of both sides.
#pragma once

#include <nopoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "stress/shelf.hpp"
#include "stress/support.hpp"

namespace nopoll::stress {

struct Tallies {
    std::atomic<long> accepted{0};
    std::atomic<long> refused{0};
    std::atomic<long> connected{0};
    std::atomic<long> messages{0};
    std::atomic<long> sent{0};
    std::atomic<long> closed{0};
    std::atomic<long> changes{0};
    std::atomic<long> stops{0};
    std::atomic<long> walks{0};
    std::atomic<long> listeners{0};
    std::atomic<long> log_records{0};
};

struct World {
    explicit World(std::uint64_t seed, bool with_tls, std::string certificate_file,
                   std::string key_file);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    bool tls;
    std::uint64_t seed;
    std::string certificate;
    std::string key;
    noPollCtx* server = nullptr;
    noPollCtx* looped = nullptr;     // clients that a loop reads
    noPollCtx* loopless = nullptr;   // clients whose threads read themselves
    noPollCtx* listeners = nullptr;  // nothing but listeners, made here and closed there
    noPollConn* listener = nullptr;
    noPollConnOpts* options = nullptr;  // shared by all clients, kept for reuse
    std::string port;
    Shelf accepted;
    Shelf clients;
    Tallies tallies;
    std::atomic<bool> done{false};
    std::atomic<bool> loops_done{false};

    // Messages that outlive their handler, released by other threads.
    std::mutex kept_mutex;
    std::vector<noPollMsg*> kept;
};

// Handlers find it here: their data pointers are checked against each other instead.
extern World* world;

// Two handlers of a kind, each with a tag of its own as data: a mixed-up pair is seen at once.
extern const char tag_a;
extern const char tag_b;
[[nodiscard]] inline noPollPtr data_of(const char& tag) {
    return const_cast<char*>(&tag);
}

// A generator for the calling thread, made from the world's seed and the order of threads.
[[nodiscard]] Random& thread_random();

// --- handlers (threads_handlers.cpp) ---
void set_server_handlers(World& w);
void set_client_handlers(World& w);
// Exchanges handlers for others of the same meaning.
void change_handlers(World& w, Random& random);
void change_conn_handlers(noPollConn* conn, Random& random, bool server_side);
void check_message(noPollMsg* msg);

// --- the threads (threads_actors.cpp), each until done ---
void run_loop(World& w, noPollCtx* ctx);
void run_clients(World& w);
void run_senders(World& w);
void run_closers(World& w);
void run_changers(World& w);
void run_walkers(World& w);
void run_stoppers(World& w);
void run_listener_makers(World& w);
void run_listener_closers(World& w);

}  // namespace nopoll::stress
