// SPDX-License-Identifier: MIT
// Style (g), C++17: a server that pushes to its subscribers by a timer: short waits in the loop,
// and all connections walked with nopoll_ctx_foreach_conn().
//
//     push_server PORT
#include <nopoll.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

class PushServer {
public:
    explicit PushServer(const char* port) : context_(nopoll_ctx_new()) {
        listener_ = nopoll_listener_new(context_, "127.0.0.1", port);
        nopoll_ctx_set_on_open(context_, &PushServer::on_open, this);
        nopoll_ctx_set_on_msg(context_, &PushServer::on_msg, this);
    }
    PushServer(const PushServer&) = delete;
    PushServer& operator=(const PushServer&) = delete;
    ~PushServer() {
        nopoll_conn_close(listener_);
        nopoll_ctx_unref(context_);
    }

    bool listens() const { return nopoll_conn_is_ok(listener_) != 0; }

    void run() {
        auto next = Clock::now();
        while (pushed_ < 5) {
            const int result = nopoll_loop_wait(context_, 10000);
            if (result != -3 && result != 0) std::printf("the loop returned %d\n", result);
            if (topics_.size() < 2 || Clock::now() < next) continue;
            next = Clock::now() + std::chrono::milliseconds(30);
            ++pushed_;
            nopoll_ctx_foreach_conn(context_, &PushServer::push, this);
        }
        nopoll_ctx_foreach_conn(context_, &PushServer::dismiss, this);
        std::printf("%zu subscribers, %d connections left\n", topics_.size(),
                    nopoll_ctx_conns(context_));
    }

private:
    static nopoll_bool on_open(noPollCtx*, noPollConn* conn, noPollPtr self) {
        nopoll_conn_set_on_close(conn, &PushServer::on_close, self);
        return nopoll_true;
    }

    static void on_msg(noPollCtx*, noPollConn* conn, noPollMsg* msg, noPollPtr self) {
        const std::string topic(reinterpret_cast<const char*>(nopoll_msg_get_payload(msg)),
                                static_cast<std::size_t>(nopoll_msg_get_payload_size(msg)));
        static_cast<PushServer*>(self)->topics_[nopoll_conn_get_id(conn)] = topic;
        std::printf("subscribed to %s\n", topic.c_str());
    }

    static void on_close(noPollCtx*, noPollConn* conn, noPollPtr self) {
        static_cast<PushServer*>(self)->topics_.erase(nopoll_conn_get_id(conn));
    }

    static nopoll_bool push(noPollCtx*, noPollConn* conn, noPollPtr self) {
        const auto& server = *static_cast<PushServer*>(self);
        const auto found = server.topics_.find(nopoll_conn_get_id(conn));
        if (found == server.topics_.end() || !nopoll_conn_is_ready(conn)) return nopoll_false;
        const std::string text = found->second + " " + std::to_string(server.pushed_);
        const long size = static_cast<long>(text.size());
        if (nopoll_conn_send_text(conn, text.data(), size) != size) std::printf("not pushed\n");
        return nopoll_false;
    }

    static nopoll_bool dismiss(noPollCtx*, noPollConn* conn, noPollPtr) {
        if (nopoll_conn_role(conn) == NOPOLL_ROLE_LISTENER)
            nopoll_conn_close_ext(conn, 1001, "no more", 7);
        return nopoll_false;
    }

    noPollCtx* context_;
    noPollConn* listener_ = nullptr;
    std::map<int, std::string> topics_;  // by connection id
    int pushed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    if (argc != 2) return 2;
    PushServer server(argv[1]);
    if (!server.listens()) return 1;
    std::puts("listening");
    server.run();
    return 0;
}
