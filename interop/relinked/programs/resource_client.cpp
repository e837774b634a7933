// SPDX-License-Identifier: MIT
// C++20: a client with owning pointers, lambdas as handlers and exceptions of its own, which also
// looks at messages through nopoll_private.h.
//
//     resource_client PORT
#include <nopoll.h>
#include <nopoll_private.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

template <auto release>
struct Release {
    template <typename T>
    void operator()(T* object) const {
        release(object);
    }
};

using Context = std::unique_ptr<noPollCtx, Release<nopoll_ctx_unref>>;
using Connection = std::unique_ptr<noPollConn, Release<nopoll_conn_close>>;
using Message = std::unique_ptr<noPollMsg, Release<nopoll_msg_unref>>;

struct Inbox {
    std::vector<Message> messages;
    std::string closed;
};

std::string_view content(const noPollMsg& message) {
    return {static_cast<const char*>(message.payload),
            static_cast<std::size_t>(message.payload_size)};
}

void send(noPollConn& conn, std::string_view text) {
    const long size = static_cast<long>(text.size());
    const int sent = nopoll_conn_send_text(&conn, text.data(), size);
    if (nopoll_conn_flush_writes(&conn, 1000000, sent) != size)
        throw std::runtime_error("not sent: " + std::string(text.substr(0, 16)));
}

void run(const char* port) {
    Inbox inbox;
    const Context context(nopoll_ctx_new());
    const Connection conn(nopoll_conn_new(context.get(), "127.0.0.1", port, nullptr, "/resource",
                                          "chat", "http://cpp.example"));
    if (!nopoll_conn_wait_until_connection_ready(conn.get(), 10))
        throw std::runtime_error("not connected");
    nopoll_conn_set_on_msg(
        conn.get(),
        [](noPollCtx* ctx, noPollConn*, noPollMsg* msg, noPollPtr data) {
            nopoll_msg_ref(msg);
            auto& messages = static_cast<Inbox*>(data)->messages;
            messages.emplace_back(msg);
            if (content(*msg) == "throw") throw std::logic_error("from a handler");
            if (messages.size() % 3 == 0) nopoll_loop_stop(ctx);
        },
        &inbox);
    nopoll_conn_set_on_close(
        conn.get(),
        [](noPollCtx* ctx, noPollConn* ending, noPollPtr data) {
            static_cast<Inbox*>(data)->closed = std::to_string(ending->peer_close_status);
            nopoll_loop_stop(ctx);
        },
        &inbox);

    send(*conn, std::string(200000, 'r'));
    nopoll_loop_wait(context.get(), 10000000);
    std::ranges::sort(inbox.messages, {}, [](const Message& message) { return content(*message); });
    for (const Message& message : inbox.messages)
        std::printf("message of opcode %d: %.*s\n", message->op_code,
                    static_cast<int>(message->payload_size), content(*message).data());
    inbox.messages.clear();

    send(*conn, "throw");
    try {
        nopoll_loop_wait(context.get(), 10000000);
    } catch (const std::logic_error& error) {
        std::printf("caught behind the loop: %s\n", error.what());
    }
    send(*conn, "end");
    nopoll_loop_wait(context.get(), 10000000);
    std::printf("closed with %s, references %d\n", inbox.closed.c_str(),
                nopoll_conn_ref_count(conn.get()));
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    if (argc != 2) return 2;
    try {
        run(argv[1]);
    } catch (const std::exception& error) {
        std::printf("failed: %s\n", error.what());
        return 1;
    }
    return 0;
}
