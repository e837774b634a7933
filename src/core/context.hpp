// SPDX-License-Identifier: MIT
// A noPoll context: settings and handlers shared by its connections, the registry of those
// connections, and what the waits on it need to find each other (stop, wake-ups, timers' data).
// Locking: `mutex_` guards all that is not atomic; it is never held while user code runs and never
// taken by a thread that holds a connection's lock in order to take another context's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "core/atomic_field.hpp"
#include "core/certificates.hpp"
#include "core/environment.hpp"
#include "core/face.hpp"
#include "core/input_buffer.hpp"
#include "core/linger.hpp"
#include "core/mutex_hooks.hpp"
#include "core/registry.hpp"
#include "core/sleepers.hpp"
#include "core/watch_set.hpp"
#include "net/tls_context_cache.hpp"

namespace nopoll::core {

class Connection;

// A handler and its data, read together so that neither belongs to another pair.
template <class Handler>
struct HandlerPair {
    Handler call = nullptr;
    noPollPtr data = nullptr;
    explicit operator bool() const { return call != nullptr; }
};

using ActionHandler = HandlerPair<noPollActionHandler>;
using MessageHandler = HandlerPair<noPollOnMessageHandler>;
using CloseHandler = HandlerPair<noPollOnCloseHandler>;
using SslContextCreator = HandlerPair<noPollSslContextCreator>;
using SslPostCheck = HandlerPair<noPollSslPostCheck>;

class Context final : public ::_noPollCtx {
public:
    static Context& from(::noPollCtx& handle) { return static_cast<Context&>(handle); }
    static Context* create();  // NULL when memory is short

    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    // Visible references (the face's count). The last one frees the context once nobody pins it.
    bool ref();
    void unref();
    int ref_count() const;
    // A hold of the library that does not show in the count.
    void pin() { holds_.fetch_add(1, std::memory_order_relaxed); }
    void unpin();
    bool abandoned() const { return ref_count() <= 0; }

    // Registry.
    // The registry takes a reference of its own, or (hand_over) the one that its maker holds: then
    // nobody can mistake the maker's for one that may be closed away.
    enum class Reference { own, hand_over };
    bool register_connection(Connection& connection, Reference reference = Reference::own);
    bool unregister_connection(Connection& connection);  // false: was not registered
    bool is_registered(const Connection& connection) const;
    int connection_count() const;
    Connection* for_each(noPollForeachConn visit, noPollPtr data);

    // An accepted connection knows its listener until one of the two is destroyed.
    void adopt_child(Connection& listener, Connection& child);
    void detach_family(Connection& connection);

    // Handlers. The setters take the lock, so does reading a pair.
    template <class Handler>
    void set_handler(Handler& field, noPollPtr& data_field, Handler call, noPollPtr data) {
        const std::lock_guard guard(mutex_);
        field = call;
        data_field = data;
    }
    template <class Handler>
    HandlerPair<Handler> handler(Handler const& field, noPollPtr const& data_field) const {
        const std::lock_guard guard(mutex_);
        return {field, data_field};
    }

    long frame_limit() const;
    long connect_timeout_us() const;  // a stored value <= 0 acts as the default
    Certificates& certificate_store() { return certificates_; }
    net::TlsContextCache& tls_contexts() { return tls_contexts_; }
    InputBufferPool& input_buffers() { return input_buffers_; }

    // Settings of nopoll_ext.h, by environment or by call.
    std::atomic<bool> strict{false};
    std::atomic<bool> host_verify_default{true};
    std::atomic<bool> cork{false};
    std::atomic<std::int64_t> handshake_timeout_us{60'000'000};
    std::atomic<std::int64_t> send_queue_limit{16'777'216};
    std::atomic<int> engine_type{0};
    void report_environment();  // log-W, once, what was set to a value nobody knows

    // Loop state. Async-signal-safe: stop() only.
    void stop();
    std::uint64_t stop_count() const { return stops_.load(std::memory_order_acquire); }
    // Something a running wait looks at has changed (connections, interests, sockets).
    void changed();
    std::uint64_t change_count() const { return changes_.load(std::memory_order_acquire); }
    bool loop_running() const { return waits_.load(std::memory_order_acquire) > 0; }
    int running_waits() const { return waits_.load(std::memory_order_acquire); }
    // A connection has gone: listeners that paused for want of descriptors may try again.
    void descriptor_freed();
    std::uint64_t freed_count() const { return freed_.load(std::memory_order_relaxed); }

    // A wait begins and ends. The sleeper's pipe is checked (and remade if the program closed it).
    Sleeper& enter_wait(bool& outermost);
    void leave_wait(Sleeper& sleeper);
    // The outermost wait's set outlives it; nullptr when there is none that is still good.
    std::unique_ptr<WatchSet> take_watch_set(const Sleeper& sleeper);
    void give_watch_set(std::unique_ptr<WatchSet> set);
    // Sets that waits work with, from making or taking them until they are given or ended.
    void add_watch_set(WatchSet& set);
    void end_watch_set(const WatchSet& set);
    // With mutex() held, before the descriptor is closed or goes to somebody else.
    void release_descriptor(int fd);

    // Sockets of closed connections that still have something to do (linger.hpp). With mutex()
    // held. A child made by fork() does not write its parent's last bytes a second time: it lets
    // go of what it has inherited.
    LingerList& lingering();
    bool has_lingering() const { return lingers_.load(); }
    void adopt_lingering(Linger linger);
    // With mutex() held. Freeing a TLS object may run callbacks that the program has put on it: the
    // caller lets go of what it has taken without the lock.
    Linger take_lingering(LingerList::iterator it);
    // Between waits, from calls of the program: those that are over are closed.
    void tend_lingering();
    // For want of descriptors: all that only read away are closed. False: there was none.
    bool end_all_draining();

    Mutex& mutex() const { return mutex_; }
    // For the waits, under mutex().
    Registry& registry() { return registry_; }
    const Registry& registry() const { return registry_; }

private:
    Context();
    ~Context();
    static void destroy(Context* context);
    template <class Over>
    bool end_one_draining(Over over);

    mutable Mutex mutex_;
    std::atomic<int> holds_{1};  // 1 for all visible references, 1 per pin
    Registry registry_;
    Certificates certificates_;
    net::TlsContextCache tls_contexts_;
    InputBufferPool input_buffers_;
    Environment environment_;
    std::atomic<bool> environment_reported_{false};

    std::atomic<std::uint64_t> stops_{0};
    std::atomic<std::uint64_t> changes_{0};
    std::atomic<std::uint64_t> freed_{0};
    std::atomic<int> waits_{0};
    SleeperList sleepers_;
    std::unique_ptr<WatchSet> watch_set_;  // of the last outermost wait
    std::vector<WatchSet*> sets_in_use_;
    LingerList lingering_;
    pid_t lingering_process_ = 0;
    std::uint64_t last_linger_ = 0;
    std::atomic<bool> lingers_{false};
};

// Keeps a context alive over a call, unseen by the program.
class ContextPin {
public:
    explicit ContextPin(Context& context) : context_(context) { context_.pin(); }
    ~ContextPin() { context_.unpin(); }
    ContextPin(const ContextPin&) = delete;
    ContextPin& operator=(const ContextPin&) = delete;

private:
    Context& context_;
};

}  // namespace nopoll::core
