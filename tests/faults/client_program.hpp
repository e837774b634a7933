// SPDX-License-Identifier: MIT
// The client of an exchange: connects, asks for everything the server can do, and closes.
#pragma once

#include <string_view>

#include "faults/exchange.hpp"

namespace nopoll::faults {

class ClientProgram {
public:
    ClientProgram(const Files* tls, Findings& findings) : tls_(tls), findings_(findings) {}

    // One exchange with the server at that port; true when all of it went as it should. What could
    // not be made is made at the next time.
    bool talk_to(int port);
    void finish();

private:
    noPollConn* connect(int port);
    noPollConnOpts* make_options();
    bool say_everything(noPollConn* conn);
    bool send(noPollConn* conn, int (*how)(noPollConn*, const char*, long), std::string_view bytes);
    bool expect_message(noPollConn* conn, std::string_view bytes);
    bool expect_in_loop(noPollConn* conn, std::string_view bytes);
    bool expect_stream(noPollConn* conn, std::string_view bytes);

    static void on_close(noPollCtx* ctx, noPollConn*, noPollPtr);
    static void on_message(noPollCtx* ctx, noPollConn* conn, noPollMsg* message, noPollPtr data);
    static void on_log(noPollCtx*, noPollDebugLevel, const char* text, noPollPtr data);

    const Files* tls_;
    Findings& findings_;
    noPollCtx* ctx_ = nullptr;
    noPollMsg* from_loop_ = nullptr;
};

}  // namespace nopoll::faults
