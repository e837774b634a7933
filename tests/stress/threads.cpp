// SPDX-License-Identifier: MIT
// Thread stress: everything that may be done from several threads, at once and at random. Meant to
// run under ThreadSanitizer. Options: --hooks (error-checking mutex hooks), --tls, --seconds N,
// --seed N; NOPOLL_STRESS_SECONDS and NOPOLL_STRESS_SEED do the same for ctest.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdio>
#include <functional>
#include <thread>

#include "stress/certificate.hpp"
#include "stress/hooks.hpp"
#include "stress/threads_world.hpp"

namespace nopoll::stress {

World* world = nullptr;
const char tag_a = 'a';
const char tag_b = 'b';

namespace {

std::string port_of(noPollConn* listener) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(nopoll_conn_socket(listener), reinterpret_cast<sockaddr*>(&address),
                          &size) == 0);
    return std::to_string(ntohs(address.sin_port));
}

// Closes and releases everything on a shelf, as a closer does.
void clear_shelf(Shelf& shelf) {
    Random& random = thread_random();
    while (noPollConn* const conn = shelf.take(random))
        close_and_release(conn);
}

// What no shelf holds: connections that nobody was told of.
int collect(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    REQUIRE(nopoll_conn_ref(conn));
    static_cast<std::vector<noPollConn*>*>(data)->push_back(conn);
    return 0;
}

void end_context(noPollCtx* ctx) {
    std::vector<noPollConn*> left;
    (void)nopoll_ctx_foreach_conn(ctx, collect, &left);
    for (noPollConn* const conn : left) {
        nopoll_conn_shutdown(conn);
        nopoll_ctx_unregister_conn(ctx, conn);
        nopoll_conn_unref(conn);
    }
    REQUIRE(nopoll_ctx_conns(ctx) == 0);
    REQUIRE(nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
}

// A listener that came after its closer had gone: with the maker's reference.
int close_one(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr /*data*/) {
    nopoll_conn_close(conn);
    return 0;
}

void run_threads(World& w, double seconds) {
    std::vector<std::thread> loops;
    for (noPollCtx* const ctx : {w.server, w.server, w.looped})
        loops.emplace_back([&w, ctx] { run_loop(w, ctx); });
    std::vector<std::thread> actors;
    for (const auto actor :
         {run_clients, run_clients, run_senders, run_senders, run_closers, run_changers,
          run_walkers, run_stoppers, run_listener_makers, run_listener_closers})
        actors.emplace_back(actor, std::ref(w));
    idle_us(static_cast<std::int64_t>(seconds * 1e6));
    w.done = true;
    for (std::thread& actor : actors)
        actor.join();
    w.loops_done = true;
    // A stop that comes between two waits is forgotten.
    std::atomic<bool> joined{false};
    std::thread stopper([&] {
        while (!joined) {
            nopoll_loop_stop(w.server);
            nopoll_loop_stop(w.looped);
            idle_us(5000);
        }
    });
    for (std::thread& loop : loops)
        loop.join();
    joined = true;
    stopper.join();
}

void print(const Tallies& t, double seconds) {
    std::printf(
        "%.1f s: %ld accepted (%ld refused), %ld clients connected, %ld messages checked, %ld "
        "sent, %ld on_close, %ld changes of settings, %ld stops, %ld walks, %ld listeners closed, "
        "%ld log records\n",
        seconds, t.accepted.load(), t.refused.load(), t.connected.load(), t.messages.load(),
        t.sent.load(), t.closed.load(), t.changes.load(), t.stops.load(), t.walks.load(),
        t.listeners.load(), t.log_records.load());
}

}  // namespace

World::World(std::uint64_t with_seed, bool with_tls, std::string certificate_file,
             std::string key_file)
    : tls(with_tls), seed(with_seed), certificate(std::move(certificate_file)),
      key(std::move(key_file)) {
    world = this;
    server = nopoll_ctx_new();
    looped = nopoll_ctx_new();
    loopless = nopoll_ctx_new();
    listeners = nopoll_ctx_new();
    options = nopoll_conn_opts_new();
    REQUIRE(server != nullptr && looped != nullptr && loopless != nullptr);
    REQUIRE(listeners != nullptr && options != nullptr);
    // By the seed, so that all engines get their turn.
    REQUIRE(nopoll_ctx_set_io_engine(server, static_cast<noPollIoEngineType>(seed % 4)));
    REQUIRE(nopoll_ctx_set_io_engine(looped, static_cast<noPollIoEngineType>(seed / 4 % 4)));
    nopoll_conn_opts_set_reuse(options, nopoll_true);
    set_server_handlers(*this);
    set_client_handlers(*this);
    REQUIRE(nopoll_ctx_set_certificate(server, nullptr, certificate.c_str(), key.c_str(), nullptr));
    listener = tls ? nopoll_listener_tls_new(server, "127.0.0.1", "0")
                   : nopoll_listener_new(server, "127.0.0.1", "0");
    REQUIRE(nopoll_conn_is_ok(listener));
    port = port_of(listener);
}

World::~World() {
    nopoll_conn_close(listener);
    clear_shelf(clients);
    clear_shelf(accepted);
    for (noPollMsg* const msg : kept)
        nopoll_msg_unref(msg);
    nopoll_conn_opts_free(options);
    (void)nopoll_ctx_foreach_conn(listeners, close_one, nullptr);
    end_context(listeners);
    end_context(loopless);
    end_context(looped);
    end_context(server);
    world = nullptr;
}

}  // namespace nopoll::stress

int main(int argc, char** argv) {
    using namespace nopoll::stress;
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const double seconds = number_setting(arguments, "--seconds", "NOPOLL_STRESS_SECONDS", 5);
    const bool tls = has_flag(arguments, "--tls");
    const std::uint64_t seed = choose_seed(arguments);
    limit_run_time(static_cast<unsigned>(seconds) + 90);
    const TestCertificate files;
    if (has_flag(arguments, "--hooks")) install_hooks();
    const std::size_t descriptors = open_descriptors();
    const std::int64_t start = now_us();
    {
        World w(seed, tls, files.certificate(), files.key());
        run_threads(w, seconds);
        print(w.tallies, static_cast<double>(now_us() - start) / 1e6);
        REQUIRE(w.tallies.connected > 0 && w.tallies.messages > 0);
        REQUIRE(w.tallies.listeners > 0);
    }
    nopoll_cleanup_library();
    const HookBooks books = hook_books();
    std::printf(
        "hook mutexes: %ld created, %ld destroyed, %ld locks, %ld unlocks; descriptors: %zu "
        "before, %zu after\n",
        books.created, books.destroyed, books.locked, books.unlocked, descriptors,
        open_descriptors());
    REQUIRE(books.created == books.destroyed);
    REQUIRE(books.locked == books.unlocked);
    if (open_descriptors() != descriptors) {
        std::printf("%s", descriptor_list().c_str());
        REQUIRE(!"descriptors are balanced");
    }
    return 0;
}
