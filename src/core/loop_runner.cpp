// SPDX-License-Identifier: MIT
// The wait loop; see loop_runner.hpp. A pass: apply what changed to the engine's set, wait, give
// the ready connections their turns in slot order, look at timers, the stop count and the clock.
#include "core/loop_runner.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/accept.hpp"
#include "core/io_engine.hpp"
#include "core/log.hpp"
#include "loop/engines.hpp"
#include "net/process.hpp"

namespace nopoll::core {
namespace {

// Programs that meant milliseconds pass 10 or 100 microseconds in an endless loop: a pass in which
// nothing happens takes at least this long.
constexpr std::int64_t kShortestWaitUs = 10'000;
constexpr std::int64_t kAcceptPauseUs = 100'000;
constexpr int kAcceptsPerTurn = 16;

bool out_of_descriptors(int error) {
    return error == EMFILE || error == ENFILE;
}

// What the next try would meet again: no descriptors, no memory, or a socket that accepts nobody,
// because somebody has shut it down or put another one in its place.
bool calls_for_a_pause(int error) {
    return out_of_descriptors(error) || error == ENOBUFS || error == ENOMEM || error == EINVAL ||
           error == ENOTSOCK || error == EOPNOTSUPP;
}

// A turn's reference: the program sees one more while its handlers run.
class TurnReference {
public:
    TurnReference(Context& context, std::size_t slot, int id) {
        const std::lock_guard guard(context.mutex());
        Connection* const found = context.registry().at(slot);
        if (found != nullptr && load_field(found->id) == id && found->transient_ref())
            connection_ = found;
    }
    ~TurnReference() {
        if (connection_ != nullptr) connection_->transient_unref();
    }
    TurnReference(const TurnReference&) = delete;
    TurnReference& operator=(const TurnReference&) = delete;
    Connection* get() const { return connection_; }

private:
    Connection* connection_ = nullptr;
};

}  // namespace

LoopRunner::LoopRunner(Context& context)
    : context_(context), stops_at_start_(context.stop_count()),
      sleeper_(context.enter_wait(outermost_)) {}

LoopRunner::~LoopRunner() {
    if (set_ && outermost_) context_.give_watch_set(std::move(set_));
    if (set_) context_.end_watch_set(*set_);
    if (outermost_) {
        noPollIoEngine* const engine = exchange_field(context_.io_engine, nullptr);
        if (engine != nullptr) release_io_engine(engine);
        store_field(context_.keep_looping, 0);
    }
    context_.leave_wait(sleeper_);
}

CallResult LoopRunner::run(std::int64_t timeout_us) {
    context_.report_environment();
    Limits limits{net::Deadline::never(), net::Deadline::never()};
    if (timeout_us > 0)
        limits = {net::Deadline::after_us(timeout_us),
                  net::Deadline::after_us(std::max(timeout_us, kShortestWaitUs))};
    store_field(context_.keep_looping, 1);
    if (!outermost_) finish_batches();
    if (outermost_ && load_field(context_.io_engine) != nullptr) return run_programs_engine(limits);
    if (outermost_) {
        noPollIoEngine* const engine = make_io_engine(&context_, NOPOLL_IO_ENGINE_DEFAULT);
        if (engine == nullptr) return {kLoopFailed, ENOMEM};
        store_field(context_.io_engine, engine);
    }
    if (!sleeper_.pipe.ensure())
        NOPOLL_LOG(&context_, NOPOLL_LEVEL_WARNING,
                   "no wake-up pipe can be made: stop and changes are seen late");
    if (outermost_) set_ = context_.take_watch_set(sleeper_);
    if (!set_) {
        set_ = std::make_unique<WatchSet>();
        set_->engine_type = context_.engine_type.load();
        set_->engine = loop::make_engine(set_->engine_type);
        if (!set_->engine) return {kLoopFailed, errno};
        set_->process = net::process_id();
        set_->sleeper = &sleeper_;
        set_->pipe_generation = sleeper_.pipe.generation();
        context_.add_watch_set(*set_);
    }
    return run_own_engine(limits);
}

bool LoopRunner::finished(const Limits& limits, bool idle, CallResult& result) const {
    result = {kLoopStopped, kKeepErrno};
    if (context_.stop_count() != stops_at_start_ || context_.abandoned()) return true;
    if (!(idle ? limits.when_idle : limits.asked).passed()) return false;
    result.value = kLoopTimeout;
    return true;
}

CallResult LoopRunner::run_own_engine(const Limits& limits) {
    for (;;) {
        if (set_->process != net::process_id())
            start_anew();  // a handler forked, and this is the child
        sync();
        const int ready = wait(limits.when_idle);
        if (ready < 0 && ready != -EBADF) return {kLoopFailed, -ready};
        if (ready < 0 || lost_check_is_due()) drop_lost_descriptors();
        if (ready < 0) {
            start_anew();
            continue;
        }
        collect(events_);
        for (const Turn& turn : turns_)
            serve(turn);
        run_timers();
        CallResult result;
        if (!finished(limits, turns_.empty(), result)) continue;
        write_queues();
        return result;
    }
}

// Each connection that is chosen, one after the other, without a lock: no memory is needed for it.
template <class Choose, class Visit>
void LoopRunner::visit(Choose choose, Visit visit) {
    for (std::size_t slot = 0;; ++slot) {
        std::optional<ConnectionPin> pin;
        Connection* chosen = nullptr;
        {
            const std::lock_guard guard(context_.mutex());
            const Registry& registry = context_.registry();
            while (slot < registry.slots() && chosen == nullptr) {
                Connection* const connection = registry.at(slot);
                if (connection != nullptr && choose(*connection))
                    chosen = connection;
                else
                    ++slot;
            }
            if (chosen == nullptr) return;
            pin.emplace(*chosen);
        }
        visit(*chosen);
    }
}

// Sends did not wait, because this loop would write for them: what their sockets take by now goes
// out. The rest is left to the next wait, or to a send that does wait.
void LoopRunner::write_queues() {
    if (!writers_ && synced_once_ && context_.change_count() == synced_changes_) return;
    visit([](const Connection& connection) { return connection.wants_to_write(); },
          [](Connection& connection) { connection.write_pending(); });
}

// A wait inside a handler, perhaps for an answer to what that handler has just sent.
void LoopRunner::finish_batches() {
    visit([](const Connection& connection) { return connection.read_by_this_thread(); },
          [](Connection& connection) { connection.finish_batch(); });
}

// --- waiting and turns -------------------------------------------------------------------------

int LoopRunner::wait(net::Deadline deadline) {
    std::int64_t timeout_us = std::min(deadline.left_us(), loop::kLongestWaitUs);
    if (next_timer_us_ > 0)
        timeout_us = std::clamp<std::int64_t>(next_timer_us_ - net::now_us(), 0, timeout_us);
    if (input_at_hand_) timeout_us = 0;
    events_.clear();
    // Asleep first, then a last look: whoever changes something afterwards wakes us.
    sleeper_.asleep.store(true);
    if (context_.change_count() != synced_changes_ || context_.stop_count() != stops_at_start_)
        timeout_us = 0;
    const int ready = set_->engine->wait(timeout_us, events_);
    sleeper_.asleep.store(false);
    return ready;
}

void LoopRunner::collect(const std::vector<loop::Event>& events) {
    turns_.clear();
    bool stray = false;
    for (const loop::Event& event : events) {
        const std::int32_t meaning = set_->meaning_of(event.fd);
        const auto slot = static_cast<std::size_t>(meaning);
        if (meaning == WatchSet::kWakePipe)
            sleeper_.pipe.drain();
        else if (meaning == WatchSet::kLingering)
            serve_lingering(event.fd);
        else if (meaning >= 0)
            turns_.push_back({slot, set_->watched[slot].id, event.readable, event.writable});
        else
            stray = true;
    }
    // A socket that only a child process holds any more, its number closed behind our back: the
    // engine cannot be told to forget it.
    if (stray) start_anew();
    if (input_at_hand_) {
        // Whoever has input at hand gets a turn, whether its socket is ready or not.
        const std::lock_guard guard(context_.mutex());
        for (std::size_t slot = 0; slot < set_->watched.size(); ++slot) {
            Connection* const connection = context_.registry().at(slot);
            const int id = set_->watched[slot].id;
            if (id == 0 || connection == nullptr || !connection->wish().now) continue;
            turns_.push_back({slot, id, true, false});
        }
        synced_once_ = false;
    }
    std::sort(turns_.begin(), turns_.end(),
              [](const Turn& a, const Turn& b) { return a.slot < b.slot; });
    // One turn each.
    const auto same_slot = [](const Turn& a, const Turn& b) { return a.slot == b.slot; };
    for (std::size_t i = 1; i < turns_.size(); ++i)
        if (same_slot(turns_[i - 1], turns_[i])) {
            turns_[i].writable = turns_[i].writable || turns_[i - 1].writable;
            turns_[i - 1].writable = turns_[i].writable;
        }
    turns_.erase(std::unique(turns_.begin(), turns_.end(), same_slot), turns_.end());
}

void LoopRunner::serve(const Turn& turn) {
    const TurnReference reference(context_, turn.slot, turn.id);
    Connection* const connection = reference.get();
    if (connection == nullptr || !connection->is_ok()) return;
    if (connection->is_listener())
        serve_listener(*connection);
    else
        connection->dispatch(turn.writable, stops_at_start_);
}

void LoopRunner::serve_listener(Connection& listener) {
    bool any = false;
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        int error = 0;
        const Connection* const accepted =
            Acceptor::accept(context_, listener, AcceptWaiting::never, error);
        any = any || accepted != nullptr;
        if (error == EAGAIN) break;
        if (accepted == nullptr && calls_for_a_pause(error)) {
            if (out_of_descriptors(error) && context_.end_all_draining()) continue;
            NOPOLL_CONN_LOG(listener, NOPOLL_LEVEL_CRITICAL,
                            "accept failed (%s): pausing for 100 ms", ::strerror(error));
            listener.pause_accepts(net::now_us() + kAcceptPauseUs);
            context_.changed();
            break;
        }
        if (context_.stop_count() != stops_at_start_) break;
    }
    // The new one may have the number of a descriptor that somebody closed behind our back, whose
    // connection has its turn in this pass too: it must not read what is the new one's.
    if (any && turns_.size() > 1) sync();
}

void LoopRunner::serve_lingering(int fd) {
    const char* lost = nullptr;
    LingerState state = LingerState::waiting;
    std::optional<Linger> ending;
    {
        const std::lock_guard guard(context_.mutex());
        LingerList& list = context_.lingering();
        const auto it = std::find_if(list.begin(), list.end(),
                                     [fd](const Linger& l) { return l.fd.get() == fd; });
        if (it == list.end()) return;
        const bool was_draining = it->draining;
        state = advance_linger(*it, net::now_us());
        if (state == LingerState::waiting) {
            if (!was_draining && it->draining) context_.changed();  // now it waits for input
            return;
        }
        if (state == LingerState::gave_up) lost = "does not read: its last bytes are given up";
        if (state == LingerState::failed) lost = "is gone: its last bytes are lost";
        ending = context_.take_lingering(it);
    }
    close_drained(std::move(ending->fd));
    context_.descriptor_freed();
    context_.changed();
    if (lost != nullptr)
        NOPOLL_LOG(&context_, NOPOLL_LEVEL_WARNING, "connection %d: the peer %s",
                   ending->connection_id, lost);
}

// For engines that do not watch them.
void LoopRunner::serve_all_lingering() {
    std::vector<int> fds;
    {
        const std::lock_guard guard(context_.mutex());
        for (const Linger& linger : context_.lingering())
            fds.push_back(linger.fd.get());
    }
    for (const int fd : fds)
        serve_lingering(fd);
}

void LoopRunner::run_timers() {
    const std::int64_t now = net::now_us();
    if (next_timer_us_ == 0 || now < next_timer_us_) return;
    PinnedConnections late;
    std::vector<int> lingering;
    {
        const std::lock_guard guard(context_.mutex());
        const Registry& registry = context_.registry();
        for (std::size_t slot = 0; slot < registry.slots(); ++slot) {
            Connection* const connection = registry.at(slot);
            if (connection == nullptr) continue;
            const std::int64_t deadline = connection->handshake_deadline_us();
            if (deadline == 0 || now < deadline) continue;
            late.add(*connection);
        }
        for (const Linger& linger : context_.lingering())
            if (now >= linger.give_up_us) lingering.push_back(linger.fd.get());
    }
    for (Connection* const connection : late) {
        NOPOLL_CONN_LOG(*connection, NOPOLL_LEVEL_WARNING,
                        "opening handshake with %s not over in time", connection->host);
        shut_down(*connection);
    }
    for (const int fd : lingering)
        serve_lingering(fd);
    synced_once_ = false;  // the next timer is found anew
}

// --- an engine of the program ------------------------------------------------------------------

// Its six handlers see connections only, for reading, and decide how long a wait takes.
CallResult LoopRunner::run_programs_engine(const Limits& limits) {
    for (;;) {
        PinnedConnections gone;
        std::vector<Turn> members;
        bool at_hand = false;
        next_timer_us_ = 0;
        {
            const std::int64_t now = net::now_us();
            const std::lock_guard guard(context_.mutex());
            const Registry& registry = context_.registry();
            for (std::size_t slot = 0; slot < registry.slots(); ++slot) {
                Connection* const connection = registry.at(slot);
                if (connection == nullptr) continue;
                if (!connection->is_ok()) {
                    if (connection->may_be_dropped()) gone.add(*connection);
                    continue;
                }
                if (connection->is_listener() && connection->accepts_paused(now)) continue;
                note_timer(connection->handshake_deadline_us());
                const Connection::Wish wish = connection->wish();
                at_hand = at_hand || wish.now;
                if (wish.read || wish.write)
                    members.push_back({slot, load_field(connection->id), wish.now, wish.write});
            }
        }
        drop(gone);
        noPollIoEngine* const engine = load_field(context_.io_engine);
        if (engine == nullptr) return {kLoopFailed, EINVAL};
        engine->clear(&context_, engine->io_object);
        for (const Turn& member : members) {
            const TurnReference reference(context_, member.slot, member.id);
            if (reference.get() != nullptr) loop_steps::add_to_engine(context_, *reference.get());
        }
        int ready = 0;
        if (!at_hand) {
            ready = engine->wait(&context_, engine->io_object);
            if (ready < 0) return {kLoopFailed, errno};
        }
        for (const Turn& member : members) {
            const TurnReference reference(context_, member.slot, member.id);
            Connection* const connection = reference.get();
            if (connection == nullptr || !connection->is_ok()) continue;
            const bool is_set = ready > 0 && engine->is_set(&context_, connection->descriptor(),
                                                            engine->io_object) != 0;
            if (is_set || member.readable || member.writable)
                serve({member.slot, member.id, is_set || member.readable, member.writable});
        }
        run_timers();
        serve_all_lingering();
        CallResult result;
        if (!finished(limits, false, result)) continue;
        write_queues();
        return result;
    }
}

namespace loop_steps {

void init(Context& context) {
    if (load_field(context.io_engine) == nullptr)
        store_field(context.io_engine, make_io_engine(&context, NOPOLL_IO_ENGINE_DEFAULT));
}

void add_to_engine(Context& context, Connection& connection) {
    noPollIoEngine* const engine = load_field(context.io_engine);
    const int fd = connection.descriptor();
    if (engine == nullptr || fd < 0) return;
    if (engine->add_to(fd, &context, &connection, engine->io_object) != 0) return;
    NOPOLL_CONN_LOG(connection, NOPOLL_LEVEL_WARNING, "descriptor %d refused by the wait engine",
                    fd);
    connection.shutdown();
    context.unregister_connection(connection);
}

void serve(Context& context, Connection& connection) {
    if (!connection.is_ok()) return;
    if (!connection.is_listener()) {
        connection.dispatch(false, context.stop_count());
        return;
    }
    int error = 0;
    (void)Acceptor::accept(context, connection, AcceptWaiting::never, error);
}

bool serve_if_ready(Context& context, Connection& connection) {
    noPollIoEngine* const engine = load_field(context.io_engine);
    if (engine == nullptr || !connection.is_ok()) return false;
    if (engine->is_set(&context, connection.descriptor(), engine->io_object) == 0) return false;
    serve(context, connection);
    return true;
}

}  // namespace loop_steps

}  // namespace nopoll::core
