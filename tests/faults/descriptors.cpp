// SPDX-License-Identifier: MIT
// Descriptors: none left, too many, numbers above 1024, closed by somebody else, inherited by
// children, closed all at once by a program that becomes a daemon. On every wait engine.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <set>
#include <vector>

#include "faults/raw_peer.hpp"

namespace nopoll::faults {
namespace {

using stress::idle_us;
using stress::now_us;

constexpr noPollIoEngineType kEngines[] = {NOPOLL_IO_ENGINE_SELECT, NOPOLL_IO_ENGINE_POLL,
                                           NOPOLL_IO_ENGINE_EPOLL};

const char* name_of(noPollIoEngineType engine) {
    return engine == NOPOLL_IO_ENGINE_SELECT ? "select"
                                             : (engine == NOPOLL_IO_ENGINE_POLL ? "poll" : "epoll");
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void set_descriptor_limit(std::size_t soft) {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = soft;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

// The server lives in this process; the peers in a child that may have more descriptors.
// Its orders: 'o' opens and shakes hands with one more (no answer yet), 'c' closes the first half.
class PeerProcess {
public:
    PeerProcess(int port, int peers) {
        int to_child[2];
        int from_child[2];
        REQUIRE(::pipe2(to_child, O_CLOEXEC) == 0 && ::pipe2(from_child, O_CLOEXEC) == 0);
        child_ = ::fork();
        REQUIRE(child_ >= 0);
        if (child_ == 0) {
            ::close(to_child[1]);
            ::close(from_child[0]);
            run(port, peers, to_child[0], from_child[1]);
            ::_exit(0);
        }
        ::close(to_child[0]);
        ::close(from_child[1]);
        order_ = RawSocket(to_child[1]);
        answer_ = RawSocket(from_child[0]);
    }
    ~PeerProcess() {
        REQUIRE(::write(order_.get(), "q", 1) == 1);
        int status = 0;
        REQUIRE(::waitpid(child_, &status, 0) == child_);
        REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    PeerProcess(const PeerProcess&) = delete;
    PeerProcess& operator=(const PeerProcess&) = delete;

    void order(char what) const { REQUIRE(::write(order_.get(), &what, 1) == 1); }
    // What the child reports; waits for it.
    [[nodiscard]] long answer() const {
        long value = -1;
        REQUIRE(::read(answer_.get(), &value, sizeof value) == sizeof value);
        return value;
    }

private:
    static void run(int port, int peers, int orders, int answers) {
        std::vector<RawSocket> sockets;
        for (int i = 0; i < peers; ++i) {
            sockets.push_back(RawSocket::connect(port));
            REQUIRE(sockets.back().send(kRequest));
        }
        char what = 0;
        while (::read(orders, &what, 1) == 1 && what != 'q') {
            long value = 0;
            if (what == 'c') {  // the first half goes
                sockets.erase(sockets.begin(),
                              sockets.begin() + static_cast<long>(sockets.size() / 2));
            } else if (what == 'h') {  // all that are left must be served
                for (const RawSocket& socket : sockets)
                    if (socket.receive_head().starts_with("HTTP/1.1 101")) ++value;
            }
            REQUIRE(::write(answers, &value, sizeof value) == sizeof value);
        }
    }

    pid_t child_ = -1;
    RawSocket order_;
    RawSocket answer_;
};

std::atomic<long> pauses{0};

void count_pauses(noPollCtx* /*ctx*/, noPollDebugLevel /*level*/, const char* text,
                  noPollPtr /*data*/) {
    if (std::string_view(text).find("pausing") != std::string_view::npos) ++pauses;
}

// More peers than descriptors: no spinning, and whoever waits is served when others go.
void exhaustion(noPollIoEngineType engine) {
    constexpr int kPeers = 60;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    EchoServer::Settings settings;
    settings.engine = engine;
    settings.start = false;
    {
        EchoServer server(settings);
        nopoll_log_set_handler(server.ctx(), count_pauses, nullptr);
        const PeerProcess peers(server.port(), kPeers);
        pauses = 0;
        // Room for about two thirds of them.
        const int next = ::dup(0);
        ::close(next);
        set_descriptor_limit(static_cast<std::size_t>(next) + 40);
        server.start();
        REQUIRE(eventually([&] { return pauses >= 2; }));
        const long stuck = server.accepted;
        REQUIRE(stuck < kPeers);
        const double cpu = cpu_seconds();
        const std::int64_t start = now_us();
        idle_us(500'000);
        const double busy = (cpu_seconds() - cpu) / (static_cast<double>(now_us() - start) / 1e6);
        peers.order('c');
        (void)peers.answer();
        peers.order('h');
        REQUIRE(peers.answer() == kPeers / 2);
        std::printf("%s: %d peers, descriptors for %ld: %.1f %% CPU while there are none, %ld "
                    "pauses, all served in the end\n",
                    name_of(engine), kPeers, stuck, busy * 100, pauses.load());
        REQUIRE(busy < 0.25);
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    }
}

// --- closed behind our back ----------------------------------------------------------------------

struct Accepted {
    std::mutex mutex;
    std::vector<int> descriptors;
};

nopoll_bool note_descriptor(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    auto& accepted = *static_cast<Accepted*>(data);
    const std::lock_guard guard(accepted.mutex);
    accepted.descriptors.push_back(nopoll_conn_socket(conn));
    return nopoll_true;
}

// The loop finds out when the number is another connection's already: that one must not suffer.
void given_out_again(const EchoServer& server, Accepted& accepted) {
    for (int i = 0; i < 20; ++i) {
        const RawSocket old_peer = open_client(server.port());
        (void)echo(old_peer, "old");
        int fd = -1;
        {
            const std::lock_guard guard(accepted.mutex);
            fd = accepted.descriptors.back();
        }
        const long closed = server.closed;
        const RawSocket new_peer = RawSocket::unconnected();
        ::close(fd);
        new_peer.connect_to(server.port());  // the accept gets the number
        shake_hands(new_peer);
        (void)echo(new_peer, "new");
        REQUIRE(eventually([&] { return server.closed == closed + 1; }));
        (void)echo(new_peer, "new");
        (void)echo(new_peer, "newer");
    }
}

// The numbers are used again at once, by files of the program: nobody may close those.
void closed_by_others(noPollIoEngineType engine) {
    constexpr std::size_t kPeers = 50;
    EchoServer::Settings settings;
    settings.engine = engine;
    settings.start = false;
    std::vector<int> files;
    {
        EchoServer server(settings);
        Accepted accepted;
        nopoll_ctx_set_on_ready(server.ctx(), note_descriptor, &accepted);
        server.start();
        std::vector<RawSocket> peers;
        for (std::size_t i = 0; i < kPeers; ++i)
            peers.push_back(open_client(server.port()));
        REQUIRE(eventually([&] {
            const std::lock_guard guard(accepted.mutex);
            return accepted.descriptors.size() == kPeers;
        }));
        for (std::size_t i = 0; i < kPeers; i += 2) {
            // Replaced in one step, so that no accept can get the number in between.
            const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
            if (i % 4 == 0) {
                REQUIRE(::dup3(file, accepted.descriptors[i], O_CLOEXEC) >= 0);
                ::close(file);
                files.push_back(accepted.descriptors[i]);
            } else {
                ::close(file);
                ::close(accepted.descriptors[i]);
            }
        }
        // The rest is served. (Order of accepts is not the order of peers: all are asked.)
        long served = 0;
        for (const RawSocket& peer : peers) {
            if (!peer.send(frame(0x81, "still?"))) continue;
            if (peer.receive(100, 2000).size() == 8) ++served;
        }
        REQUIRE(served >= static_cast<long>(kPeers / 2));
        const RawSocket late = open_client(server.port());
        (void)echo(late, "late");
        given_out_again(server, accepted);
        std::printf("%s: %zu of %zu descriptors closed by somebody else, %ld peers still served\n",
                    name_of(engine), kPeers / 2, kPeers, served);
    }
    // Those that took the numbers over are still there.
    for (const int file : files)
        ::close(file);
}

// --- high numbers --------------------------------------------------------------------------------

bool many_connections(noPollIoEngineType engine) {
#if defined(__SANITIZE_THREAD__)
    // Tenfold slower there; the numbers pass 1024 all the same.
    constexpr std::size_t kConnections = 600;
#else
    constexpr std::size_t kConnections = 2000;
#endif
    if (stress::raise_descriptor_limit(2 * kConnections + 200) < 2 * kConnections + 200)
        return false;
    EchoServer::Settings settings;
    settings.engine = engine;
    EchoServer server(settings);
    const std::int64_t start = now_us();
    std::vector<RawSocket> peers;
    int highest = 0;
    for (std::size_t i = 0; i < kConnections; ++i) {
        peers.push_back(open_client(server.port()));
        highest = std::max(highest, peers.back().get());
    }
    for (int round = 0; round < 2; ++round) {
        for (const RawSocket& peer : peers)
            REQUIRE(peer.send(frame(0x81, "hello from far above")));
        for (const RawSocket& peer : peers)
            REQUIRE(receive_frame(peer).payload == "hello from far above");
    }
    std::int64_t slowest = 0;
    for (std::size_t i = 0; i < peers.size(); i += 20)
        slowest = std::max(slowest, echo(peers[i], "x"));
    std::printf("%s: %zu connections, descriptors up to %d, %ld messages, slowest single echo %.1f "
                "ms, %.1f s\n",
                name_of(engine), kConnections, highest, server.messages.load(),
                static_cast<double>(slowest) / 1e3, static_cast<double>(now_us() - start) / 1e6);
    // Not all at once: a kernel under load drops packets beyond its backlog, and nobody sends a
    // reset again.
    long left = 0;
    for (RawSocket& peer : peers) {
        peer.leave(Leave::reset);
        if (++left % 200 == 0) REQUIRE(eventually([&] { return server.closed >= left; }));
    }
    return true;
}

// --- children ------------------------------------------------------------------------------------

std::set<int> descriptors_now() {
    std::set<int> numbers;
    for (int fd = 0; fd < 4096; ++fd)
        if (::fcntl(fd, F_GETFD) >= 0) numbers.insert(fd);
    return numbers;
}

// What an exec'ed program still finds of what the library opened.
void exec_children(noPollIoEngineType engine) {
    const std::set<int> before = descriptors_now();
    EchoServer::Settings settings;
    settings.engine = engine;
    EchoServer server(settings);
    const RawSocket peer = open_client(server.port());
    (void)echo(peer, "one");
    std::set<int> inherited;
    std::set<int> closed;
    for (const int fd : descriptors_now()) {
        if (before.contains(fd)) continue;
        ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 ? closed : inherited).insert(fd);
    }
    // Listener and accepted connection; of ours are closed: wake pipe, epoll. The peer's is too.
    REQUIRE(inherited.size() == 2);
    REQUIRE(inherited.contains(nopoll_conn_socket(server.listener())));
    // Children that live on with copies of the sockets must not keep a closed connection alive in
    // the loop's eyes.
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::execlp("sleep", "sleep", "30", nullptr);
        ::_exit(127);
    }
    REQUIRE(peer.send(frame(0x88, "")));
    REQUIRE(eventually([&] { return server.connections() == 0; }));
    const double cpu = cpu_seconds();
    idle_us(300'000);
    const double busy = (cpu_seconds() - cpu) / 0.3;
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    std::printf("%s: children inherit the %zu sockets, none of the %zu other descriptors; %.1f %% "
                "CPU after a close that they do not take part in\n",
                name_of(engine), inherited.size(), closed.size(), busy * 100);
    REQUIRE(busy < 0.3);
}

// A program that closes everything and goes on: what it opens afterwards is its own.
void daemons(noPollIoEngineType engine) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child != 0) {
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return;
    }
    noPollCtx* const ctx = nopoll_ctx_new();
    REQUIRE(nopoll_ctx_set_io_engine(ctx, engine));
    noPollConn* const old_listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConn* const old_client =
        nopoll_conn_new(ctx, "127.0.0.1", std::to_string(port_of(old_listener)).c_str(), nullptr,
                        nullptr, nullptr, nullptr);
    REQUIRE(nopoll_loop_wait(ctx, 20'000) == -3);
    const std::set<int> all = descriptors_now();
    for (const int fd : all)
        if (fd > 2) ::close(fd);
    std::vector<int> files;
    for (std::size_t i = 0; i < all.size(); ++i)
        files.push_back(::open("/dev/null", O_RDONLY));
    nopoll_conn_set_socket(old_client, NOPOLL_INVALID_SOCKET);
    nopoll_conn_close(old_client);
    nopoll_conn_set_socket(old_listener, NOPOLL_INVALID_SOCKET);
    nopoll_conn_close(old_listener);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    REQUIRE(nopoll_conn_is_ok(listener));
    const int port = port_of(listener);
    std::thread loop([ctx] { (void)nopoll_loop_wait(ctx, 0); });
    const RawSocket peer = open_client(port);
    REQUIRE(peer.send(frame(0x89, "alive")));
    REQUIRE(receive_frame(peer).payload == "alive");
    nopoll_loop_stop(ctx);
    loop.join();
    nopoll_conn_close(listener);
    nopoll_ctx_unref(ctx);
    for (const int file : files)
        REQUIRE(::fcntl(file, F_GETFD) >= 0);
    ::_exit(0);
}

}  // namespace
}  // namespace nopoll::faults

int main() {
    using namespace nopoll::faults;
    nopoll::stress::limit_run_time(110);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // children must not print it again
    for (const noPollIoEngineType engine : kEngines) {
        daemons(engine);
        exec_children(engine);
        closed_by_others(engine);
        exhaustion(engine);
    }
    std::printf("daemons that close every descriptor: 3 engines, nothing of theirs was closed\n");
    bool allowed = true;
    for (const noPollIoEngineType engine : kEngines)
        allowed = allowed && many_connections(engine);
    return allowed
               ? 0
               : nopoll::stress::skip("the limit of descriptors is too low for numbers above 1024");
}
