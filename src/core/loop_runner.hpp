// SPDX-License-Identifier: MIT
// nopoll_loop_wait: watches the connections of a context and gives each its turn when it is ready.
// Every wait, nested ones and those of other threads too, is a runner of its own with its own
// engine; what they share is the context.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/connection.hpp"
#include "core/context.hpp"
#include "core/sleepers.hpp"
#include "core/watch_set.hpp"
#include "loop/wait_engine.hpp"
#include "net/clock.hpp"

namespace nopoll::core {

// Results of nopoll_loop_wait.
constexpr int kLoopStopped = 0;
constexpr int kLoopBadArguments = -2;
constexpr int kLoopTimeout = -3;
constexpr int kLoopFailed = -4;

// Found under the context's lock, used without it, and kept alive meanwhile.
class PinnedConnections {
public:
    PinnedConnections() = default;
    PinnedConnections(PinnedConnections&&) = default;
    PinnedConnections& operator=(PinnedConnections&&) = delete;
    ~PinnedConnections() {
        for (Connection* const connection : list_)
            connection->unpin();
    }
    void add(Connection& connection) {
        list_.push_back(&connection);  // before the pin, which nobody would give back
        connection.pin();
    }
    auto begin() const { return list_.begin(); }
    auto end() const { return list_.end(); }

private:
    std::vector<Connection*> list_;
};

class LoopRunner {
public:
    explicit LoopRunner(Context& context);
    ~LoopRunner();
    LoopRunner(const LoopRunner&) = delete;
    LoopRunner& operator=(const LoopRunner&) = delete;

    // 0: until stopped. The errno of a failed wait comes with kLoopFailed.
    CallResult run(std::int64_t timeout_us);

private:
    struct Turn {
        std::size_t slot;
        int id;
        bool readable;
        bool writable;
    };

    struct Limits {
        net::Deadline asked;  // as the program said: looked at after a pass that served somebody
        net::Deadline when_idle;  // the same, but not so short that an idle program spins
    };
    CallResult run_own_engine(const Limits& limits);
    CallResult run_programs_engine(const Limits& limits);
    bool finished(const Limits& limits, bool idle, CallResult& result) const;
    template <class Choose, class Visit>
    void visit(Choose choose, Visit visit);
    void write_queues();
    void finish_batches();

    void sync();
    struct Leavers {
        PinnedConnections gone;     // dead: only still registered
        PinnedConnections refused;  // the engine does not take their descriptor
        PinnedConnections lost;     // the number of their descriptor was given to another
    };
    Leavers sync_slots(std::int64_t now_us);
    [[nodiscard]] bool watch_slot(std::size_t slot, Connection& connection, std::int64_t now_us);
    bool lost_to_newer(std::size_t slot, Connection& connection, Leavers& leavers);
    void end_lost(const PinnedConnections& lost);
    static void shut_down(Connection& connection, Ending ending = Ending::abrupt);
    void note_timer(std::int64_t at_us);
    void unwatch_slot(std::size_t slot);
    void sync_lingering();
    void watch_wake_pipe();
    void drop(const PinnedConnections& gone);

    int wait(net::Deadline deadline);
    void collect(const std::vector<loop::Event>& events);
    void serve(const Turn& turn);
    void serve_listener(Connection& listener);
    void serve_lingering(int fd);
    void serve_all_lingering();
    void run_timers();
    bool lost_check_is_due();
    void drop_lost_descriptors();
    void start_anew();

    Context& context_;
    std::uint64_t stops_at_start_;
    bool outermost_ = false;
    Sleeper& sleeper_;
    std::unique_ptr<WatchSet> set_;
    std::uint64_t synced_changes_ = 0;
    bool synced_once_ = false;
    std::int64_t next_lost_check_us_ = 0;
    std::int64_t next_timer_us_ = 0;  // 0: none
    bool input_at_hand_ = false;
    bool writers_ = false;  // somebody wanted to write when the set was last put together
    std::vector<loop::Event> events_;
    std::vector<Turn> turns_;
};

// The parts of the loop that the original exported one by one; they work on the engine in
// ctx->io_engine.
namespace loop_steps {
void init(Context& context);
void add_to_engine(Context& context, Connection& connection);
// True when the connection was ready; it has had its turn then.
bool serve_if_ready(Context& context, Connection& connection);
void serve(Context& context, Connection& connection);
}  // namespace loop_steps

}  // namespace nopoll::core
