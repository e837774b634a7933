// SPDX-License-Identifier: MIT
// The server of an exchange: answers what the client asks for, from handlers in the loop.
#pragma once

#include <atomic>
#include <condition_variable>

#include "faults/exchange.hpp"

namespace nopoll::faults {

class ServerProgram {
public:
    ServerProgram(const Files* tls, Findings& findings) : tls_(tls), findings_(findings) {}

    void run();  // the thread

    // From the other thread: the port of a round, 0 when the listener could not be made.
    int wait_for_port(int round);
    // The round's clients have gone: on to the next, or the end after the second.
    void next_round();

private:
    bool prepare();
    bool make_listener();
    bool set_certificates();
    void serve(int round);
    void publish(int port);
    void give_up();
    void finish();

    static void on_log(noPollCtx*, noPollDebugLevel, const char* text, noPollPtr data);
    static nopoll_bool on_accept(noPollCtx*, noPollConn* conn, noPollPtr data);
    static nopoll_bool on_open(noPollCtx*, noPollConn* conn, noPollPtr data);
    static nopoll_bool on_ready(noPollCtx*, noPollConn* conn, noPollPtr data);
    static void on_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* message, noPollPtr data);
    static nopoll_bool count_one(noPollCtx*, noPollConn* conn, noPollPtr data);
    static nopoll_bool close_one(noPollCtx*, noPollConn* conn, noPollPtr data);
    bool answer(noPollCtx* ctx, noPollConn* conn, noPollMsg* message);
    bool send(noPollConn* conn, int (*how)(noPollConn*, const char*, long), const char* bytes,
              long size);

    const Files* tls_;
    Findings& findings_;
    noPollCtx* ctx_ = nullptr;
    noPollConn* listener_ = nullptr;
    bool certificates_set_ = false;
    noPollMsg* collected_ = nullptr;  // fragments so far

    std::mutex mutex_;
    std::condition_variable changed_;
    int round_ = 1;      // that is to be served; 3: the end
    int published_ = 0;  // round for which port_ is valid
    int served_ = 0;     // round whose waits are over
    int port_ = 0;
};

}  // namespace nopoll::faults
