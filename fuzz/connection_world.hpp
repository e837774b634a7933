// SPDX-License-Identifier: MIT
// A server and a client connection, the program around them, and the wire between them, all driven
// by the bytes of one input. Nothing here waits: what could is left out or made to return at once.
#pragma once

#include <nopoll.h>

#include "fuzz_input.hpp"

namespace nopoll::fuzz {

struct World;

// One end of the connection: the library's object, what its program knows, and the wire's end.
struct Side {
    World* world = nullptr;
    Side* peer = nullptr;
    noPollCtx* ctx = nullptr;
    noPollConn* conn = nullptr;  // nullptr: over, or given up
    int owned = 0;               // references that this program holds; 0: the registry's only
    bool is_client = false;
    int* loops = nullptr;       // waits that are running on its context
    bool may_block = false;     // blocking mode: a send can wait where no loop runs
    bool sent_in_loop = false;  // so that something may be queued
    bool streams = false;       // reads with nopoll_conn_read, otherwise whole messages
    int write_seen = 0;         // pending bytes at the end of the last wait: what is there
    int read_seen = 0;          // then, and is still the same, is nothing for the next
    int wire_fd = -1;           // what this side writes comes out here
    std::string on_the_wire;    // taken from there, not yet given to the peer
    noPollMsg* kept = nullptr;

    // Payload bytes of all data frames in order: what the other side got is the beginning of it.
    std::string sent;
    std::string received;
    bool sent_is_known = true;   // false: a send ended with an error that leaves it open
    bool order_is_known = true;  // false: bytes were put on the wire that no program sent
};

struct World {
    explicit World(Input& bytes);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    void run();

    Input& input;
    Side server;
    Side client;
    bool one_context = false;
    bool tiny_buffers = false;
    int depth = 0;      // handlers that are running
    int loops[2] = {};  // loop waits that are running, by context
    int log_records = 0;

private:
    void make_contexts(unsigned choice);
    void make_server(int fd);
    void make_client(int fd);
};

// --- connection_world.cpp: the wire and the books ---

void absorb(Side& side, std::size_t most);   // from the side's socket to the wire
void forward(Side& from, std::size_t most);  // from the wire to the peer's socket
void hang_up(Side& side, int how);           // the wire's end at this side
void note_sent(Side& side, std::string_view payload, int result, int error);
void note_received(Side& side, std::string_view payload);
void note_message(Side& side, noPollMsg* message);
bool may_send(const Side& side);
bool something_is_ready(const World& world, const noPollCtx* ctx);
bool is_registered(const Side& side);

// --- connection_steps.cpp: what programs do ---

void step(World& world);          // outside handlers
void act_in_handler(Side& side);  // inside: sends, closes, stops, ...
void give_up_reference(Side& side);
void close_side(Side& side);
void take_handlers(Side& side);
void use_own_functions(Side& side);

}  // namespace nopoll::fuzz
