// SPDX-License-Identifier: MIT
// A wait's set of watched descriptors, kept in step with the registry: changes are applied, what
// has gone is forgotten, and descriptors that somebody closed behind our back are found.
#include "core/loop_runner.hpp"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>

#include "core/log.hpp"
#include "net/process.hpp"

namespace nopoll::core {
namespace {

// 0: no such descriptor.
ino_t inode_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

// The number may be somebody else's by now.
bool is_still_there(const WatchSet::Watched& watched) {
    const ino_t inode = inode_of(watched.fd);
    return inode != 0 && (watched.inode == 0 || inode == watched.inode);
}

// Slots, numbers and both together come again.
bool is_what_was_watched(const Connection& connection, const WatchSet::Watched& watched) {
    return load_field(connection.id) == watched.id && connection.descriptor() == watched.fd &&
           connection.descriptor_number() == watched.descriptor;
}

}  // namespace

void LoopRunner::sync() {
    // Unregistering the dead is a change itself, hence the second look.
    for (int round = 0; round < 3; ++round) {
        const std::uint64_t changes = context_.change_count();
        if (synced_once_ && changes == synced_changes_) return;
        const Leavers leavers = sync_slots(net::now_us());
        sync_lingering();
        watch_wake_pipe();
        synced_changes_ = changes;
        synced_once_ = true;
        drop(leavers.gone);
        end_lost(leavers.lost);
        for (Connection* const connection : leavers.refused) {
            NOPOLL_CONN_LOG(*connection, NOPOLL_LEVEL_WARNING, "descriptor %d cannot be watched",
                            connection->descriptor());
            shut_down(*connection);
            context_.unregister_connection(*connection);
        }
    }
}

// Logs and handlers are for later, without the lock.
LoopRunner::Leavers LoopRunner::sync_slots(std::int64_t now_us) {
    Leavers leavers;
    const std::lock_guard guard(context_.mutex());
    const Registry& registry = context_.registry();
    set_->watched.resize(registry.slots());
    next_timer_us_ = 0;
    input_at_hand_ = false;
    writers_ = false;
    for (std::size_t slot = 0; slot < registry.slots(); ++slot) {
        Connection* const connection = registry.at(slot);
        const WatchSet::Watched& watched = set_->watched[slot];
        if (watched.id != 0 &&
            (connection == nullptr || !is_what_was_watched(*connection, watched)))
            unwatch_slot(slot);
        if (connection == nullptr) continue;
        if (!connection->is_ok()) {
            if (connection->may_be_dropped()) leavers.gone.add(*connection);
            continue;
        }
        if (lost_to_newer(slot, *connection, leavers)) continue;
        if (!watch_slot(slot, *connection, now_us)) leavers.refused.add(*connection);
    }
    return leavers;
}

// Two connections, one number: somebody closed the older one's descriptor behind our back, and the
// kernel has given the number out again.
bool LoopRunner::lost_to_newer(std::size_t slot, Connection& connection, Leavers& leavers) {
    const int fd = connection.descriptor();
    const std::int32_t other = set_->meaning_of(fd);
    if (other < 0 || static_cast<std::size_t>(other) == slot) return false;
    const auto other_slot = static_cast<std::size_t>(other);
    Connection* const rival = context_.registry().at(other_slot);
    if (rival == nullptr || rival == &connection || rival->descriptor() != fd) return false;
    const bool newer = load_field(connection.id) > load_field(rival->id);
    leavers.lost.add(newer ? *rival : connection);
    set_->watched[newer ? other_slot : slot] = WatchSet::Watched{};
    return !newer;
}

void LoopRunner::note_timer(std::int64_t at_us) {
    if (at_us > 0 && (next_timer_us_ == 0 || at_us < next_timer_us_)) next_timer_us_ = at_us;
}

// False: the engine does not take the descriptor.
bool LoopRunner::watch_slot(std::size_t slot, Connection& connection, std::int64_t now_us) {
    Connection::Wish wish = connection.wish();
    note_timer(connection.handshake_deadline_us());
    if (connection.is_listener() && connection.accepts_paused(now_us)) {
        wish.read = false;
        note_timer(connection.accept_pause_end_us());
    }
    input_at_hand_ = input_at_hand_ || wish.now;
    writers_ = writers_ || wish.write;
    WatchSet::Watched& watched = set_->watched[slot];
    const int fd = connection.descriptor();
    if (fd < 0) return true;
    watched.id = load_field(connection.id);
    watched.fd = fd;
    watched.descriptor = connection.descriptor_number();
    if (watched.inode == 0 && !set_->engine->notices_closed()) watched.inode = inode_of(fd);
    set_->set_meaning(fd, static_cast<std::int32_t>(slot));
    const loop::Interest interest{wish.read, wish.write};
    if (interest.read == watched.interest.read && interest.write == watched.interest.write)
        return true;
    if (!set_->engine->watch(fd, interest)) return false;
    watched.interest = interest;
    return true;
}

void LoopRunner::unwatch_slot(std::size_t slot) {
    WatchSet::Watched& watched = set_->watched[slot];
    // The number may belong to another slot by now.
    if (set_->meaning_of(watched.fd) == static_cast<std::int32_t>(slot)) {
        set_->set_meaning(watched.fd, WatchSet::kNothing);
        set_->engine->forget_released(watched.fd);
    }
    watched = WatchSet::Watched{};
}

void LoopRunner::sync_lingering() {
    std::vector<WatchSet::Lingering>& known = set_->lingering;
    if (known.empty() && !context_.has_lingering()) return;
    const std::lock_guard guard(context_.mutex());
    const LingerList& list = context_.lingering();
    // Both in the order of their serials: what has gone, and what waits for something else now.
    auto current = list.begin();
    const auto is_over = [&](const WatchSet::Lingering& watched) {
        current = std::find_if(current, list.end(), [&](const Linger& linger) {
            return linger.serial >= watched.serial;
        });
        if (current != list.end() && current->serial == watched.serial &&
            current->draining == watched.draining)
            return false;
        if (set_->meaning_of(watched.fd) == WatchSet::kLingering) {
            set_->set_meaning(watched.fd, WatchSet::kNothing);
            set_->engine->forget_released(watched.fd);
        }
        return true;
    };
    std::erase_if(known, is_over);
    std::size_t at = 0;
    for (const Linger& linger : list) {
        note_timer(linger.give_up_us);
        if (at < known.size() && known[at].serial == linger.serial) {
            ++at;
            continue;
        }
        const int fd = linger.fd.get();
        known.insert(known.begin() + static_cast<std::ptrdiff_t>(at++),
                     {fd, linger.serial, linger.draining});
        if (set_->engine->watch(fd, {linger.draining, !linger.draining}))
            set_->set_meaning(fd, WatchSet::kLingering);
    }
}

void LoopRunner::watch_wake_pipe() {
    const int fd = sleeper_.pipe.read_end();
    if (fd < 0 || fd == set_->wake_fd || !set_->engine->watch(fd, {true, false})) return;
    set_->set_meaning(fd, WatchSet::kWakePipe);
    set_->wake_fd = fd;
}

// Dead connections leave the registry, in which they counted until now.
void LoopRunner::drop(const PinnedConnections& gone) {
    for (Connection* const connection : gone)
        context_.unregister_connection(*connection);
}

// Engines that say nothing of descriptors that somebody closed: those are looked for now and then.
bool LoopRunner::lost_check_is_due() {
    if (set_->engine->notices_closed()) return false;
    const std::int64_t now = net::now_us();
    if (now < next_lost_check_us_) return false;
    next_lost_check_us_ = now + loop::kLongestWaitUs;
    return true;
}

// Somebody closed descriptors behind our back. Those connections are over; the others go on.
void LoopRunner::drop_lost_descriptors() {
    PinnedConnections lost;
    {
        const std::lock_guard guard(context_.mutex());
        for (std::size_t slot = 0; slot < set_->watched.size(); ++slot) {
            const WatchSet::Watched& watched = set_->watched[slot];
            if (watched.id == 0) continue;
            Connection* const connection = context_.registry().at(slot);
            if (connection == nullptr || !is_what_was_watched(*connection, watched)) continue;
            if (!is_still_there(watched)) lost.add(*connection);
        }
    }
    std::optional<Linger> gone;
    do {
        gone.reset();  // without the lock
        const std::lock_guard guard(context_.mutex());
        LingerList& list = context_.lingering();
        const auto it = std::find_if(list.begin(), list.end(), [](const Linger& linger) {
            return ::fcntl(linger.fd.get(), F_GETFD) < 0;
        });
        if (it == list.end()) break;
        (void)it->fd.release();
        gone = std::move(*it);
        list.erase(it);
    } while (gone);
    end_lost(lost);
}

// Outside its turn. on_close sees one more reference, as every handler that a loop runs.
void LoopRunner::shut_down(Connection& connection, Ending ending) {
    struct HandlersReference {
        Connection& connection;
        bool held;
        ~HandlersReference() {
            if (held) connection.transient_unref();
        }
    };
    const HandlersReference reference{connection, connection.transient_ref()};
    connection.shutdown(ending);
}

void LoopRunner::end_lost(const PinnedConnections& lost) {
    for (Connection* const connection : lost) {
        NOPOLL_CONN_LOG(*connection, NOPOLL_LEVEL_WARNING,
                        "descriptor %d was closed by somebody else", connection->descriptor());
        shut_down(*connection, Ending::descriptor_lost);
        context_.unregister_connection(*connection);
    }
}

// The set is built again from what there is, the wake-up pipe too. Under the lock: whoever closes a
// connection in another thread tells the engine at this moment.
void LoopRunner::start_anew() {
    const std::lock_guard guard(context_.mutex());
    (void)sleeper_.pipe.ensure();
    set_->start_anew();
    set_->process = net::process_id();
    set_->pipe_generation = sleeper_.pipe.generation();
    synced_once_ = false;
}

}  // namespace nopoll::core
