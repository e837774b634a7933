// SPDX-License-Identifier: MIT
// Contexts: life, registry, and what wakes the waits on them.
#include "core/context.hpp"

#include <algorithm>
#include <csignal>
#include <mutex>
#include <new>
#include <type_traits>

#include "core/connection.hpp"
#include "core/exported_state.hpp"
#include "core/io_engine.hpp"
#include "core/log.hpp"
#include "net/clock.hpp"
#include "net/process.hpp"

namespace nopoll::core {
namespace {

constexpr long kDefaultConnectTimeoutUs = 20'000'000;

// A write to a broken TLS or program-made descriptor must not end the process. A handler, not
// SIG_IGN: children get the default back on exec. What the program installed itself stays.
void neutralise_sigpipe() {
    struct sigaction current {};
    if (::sigaction(SIGPIPE, nullptr, &current) != 0) return;
    if ((current.sa_flags & SA_SIGINFO) != 0 || current.sa_handler != SIG_DFL) return;
    struct sigaction harmless {};
    harmless.sa_handler = __nopoll_ctx_sigpipe_do_nothing;
    harmless.sa_flags = SA_RESTART;
    ::sigemptyset(&harmless.sa_mask);
    ::sigaction(SIGPIPE, &harmless, nullptr);
}

// Who was accepted by whom. Of all contexts: a program may accept on one context for another.
constinit std::mutex family_guard;
static_assert(std::is_trivially_destructible_v<std::mutex>);

}  // namespace

Context::Context()
    : ::_noPollCtx{}, mutex_(ref_mutex), certificates_(certificates, certificates_length) {
    refs = 1;
    not_executed = 1;
    not_executed_color = 1;
    conn_connect_std_timeout = kDefaultConnectTimeoutUs;
    backlog = 5;
    conn_id = 1;
    protocol_version = 13;
    max_frame_size = NOPOLL_MAX_FRAME_SIZE_DEFAULT;
}

Context* Context::create() {
    Context* const context = new Context;
    try {
        context->environment_ = read_environment();
    } catch (...) {
        delete context;
        throw;
    }
    const Environment& env = context->environment_;
    context->strict = env.strict.value_or(false);
    context->host_verify_default = env.host_verify.value_or(true);
    context->handshake_timeout_us = env.handshake_timeout_us.value_or(60'000'000);
    context->send_queue_limit = env.send_queue_limit.value_or(NOPOLL_MAX_FRAME_SIZE_DEFAULT);
    context->engine_type = static_cast<int>(env.engine.value_or(EngineChoice::select));
    neutralise_sigpipe();
    return context;
}

Context::~Context() = default;

// Nobody can reach the context any more.
void Context::destroy(Context* context) {
    finish_lingering(context->lingering());
    if (context->io_engine != nullptr) release_io_engine(context->io_engine);
    delete context;
}

bool Context::ref() {
    return increment_if_positive(refs);
}

void Context::unref() {
    if (decrement_to_zero(refs)) unpin();
}

int Context::ref_count() const {
    return load_field(refs);
}

void Context::unpin() {
    if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(this);
}

bool Context::register_connection(Connection& connection, Reference reference) {
    tend_lingering();
    {
        const std::lock_guard guard(mutex_);
        const Registry::Place place = registry_.add(&connection, conn_id);
        connection.slot_ = place.slot;
        connection.registrations_.fetch_add(1);
        store_field(connection.id, place.id);
        store_field(conn_num, registry_.count());
        if (reference == Reference::own) connection.ref();
        if (!connection.holds_context_) connection.holds_context_ = ref();
    }
    changed();
    return true;
}

bool Context::unregister_connection(Connection& connection) {
    const ConnectionPin pin(connection);
    {
        const std::lock_guard guard(mutex_);
        if (!registry_.remove(&connection, connection.slot_)) return false;
        store_field(conn_num, registry_.count());
        if (connection.registrations_.fetch_sub(1) == 1 && connection.is_ok())
            release_descriptor(connection.descriptor());
    }
    connection.unref();
    changed();
    return true;
}

bool Context::is_registered(const Connection& connection) const {
    const std::lock_guard guard(mutex_);
    return registry_.contains(&connection, connection.slot_);
}

int Context::connection_count() const {
    return load_field(conn_num);
}

Connection* Context::for_each(noPollForeachConn visit, noPollPtr data) {
    struct Visit {  // a transient reference, given back even when the visitor throws
        Connection* connection;
        ~Visit() {
            if (connection != nullptr) connection->transient_unref();
        }
    };
    const ContextPin pin(*this);
    for (std::size_t slot = 0;; ++slot) {
        Visit current{nullptr};
        {
            const std::lock_guard guard(mutex_);
            if (slot >= registry_.slots()) return nullptr;
            Connection* const found = registry_.at(slot);
            if (found == nullptr || !found->transient_ref()) continue;
            current.connection = found;
        }
        if (visit(this, current.connection, data) != 0) return current.connection;
    }
}

void Context::adopt_child(Connection& new_listener, Connection& child) {
    const std::lock_guard guard(family_guard);
    store_field<noPollConn*>(child.listener, &new_listener);
    child.previous_sibling_ = nullptr;
    child.next_sibling_ = new_listener.first_child_;
    if (child.next_sibling_ != nullptr) child.next_sibling_->previous_sibling_ = &child;
    new_listener.first_child_ = &child;
}

void Context::detach_family(Connection& connection) {
    const std::lock_guard guard(family_guard);
    for (Connection* child = connection.first_child_; child != nullptr;) {
        Connection* const next = child->next_sibling_;
        store_field<noPollConn*>(child->listener, nullptr);
        child->next_sibling_ = child->previous_sibling_ = nullptr;
        child = next;
    }
    connection.first_child_ = nullptr;
    Connection* const parent = connection.accepting_listener();
    if (parent == nullptr) return;
    if (parent->first_child_ == &connection) parent->first_child_ = connection.next_sibling_;
    if (connection.next_sibling_ != nullptr)
        connection.next_sibling_->previous_sibling_ = connection.previous_sibling_;
    if (connection.previous_sibling_ != nullptr)
        connection.previous_sibling_->next_sibling_ = connection.next_sibling_;
    store_field<noPollConn*>(connection.listener, nullptr);
}

long Context::frame_limit() const {
    return load_field(max_frame_size);
}

long Context::connect_timeout_us() const {
    const long stored = load_field(conn_connect_std_timeout);
    return stored > 0 ? stored : kDefaultConnectTimeoutUs;
}

void Context::report_environment() {
    if (environment_.complaints.empty() || environment_reported_.exchange(true)) return;
    NOPOLL_LOG(this, NOPOLL_LEVEL_WARNING, "ignored environment settings: %s",
               environment_.complaints.c_str());
}

// May run in a signal handler: atomics and write(2), nothing else.
void Context::stop() {
    stops_.fetch_add(1);
    store_field(keep_looping, 0);
    sleepers_.wake_all();
}

void Context::changed() {
    changes_.fetch_add(1);
    sleepers_.wake_all();
}

void Context::descriptor_freed() {
    freed_.fetch_add(1, std::memory_order_relaxed);
}

Sleeper& Context::enter_wait(bool& outermost) {
    const std::lock_guard guard(mutex_);
    outermost = waits_.load() == 0;
    Sleeper& sleeper = sleepers_.enter(this_thread_token());
    waits_.fetch_add(1);
    return sleeper;
}

void Context::leave_wait(Sleeper& sleeper) {
    const std::lock_guard guard(mutex_);
    SleeperList::leave(sleeper);
    waits_.fetch_sub(1);
}

std::unique_ptr<WatchSet> Context::take_watch_set(const Sleeper& sleeper) {
    const std::lock_guard guard(mutex_);
    std::unique_ptr<WatchSet> set = std::move(watch_set_);
    const bool good = set && set->process == net::process_id() && set->sleeper == &sleeper &&
                      set->engine_type == engine_type.load() &&
                      set->pipe_generation == sleeper.pipe.generation();
    if (!good) return nullptr;
    sets_in_use_.push_back(set.get());
    return set;
}

void Context::give_watch_set(std::unique_ptr<WatchSet> set) {
    const std::lock_guard guard(mutex_);
    std::erase(sets_in_use_, set.get());
    watch_set_ = std::move(set);
}

void Context::add_watch_set(WatchSet& set) {
    const std::lock_guard guard(mutex_);
    sets_in_use_.push_back(&set);
}

void Context::end_watch_set(const WatchSet& set) {
    const std::lock_guard guard(mutex_);
    std::erase(sets_in_use_, &set);
}

// Not the sets that a fork has brought here: behind them is the parent's own.
void Context::release_descriptor(int fd) {
    const pid_t process = net::process_id();
    if (watch_set_ && watch_set_->process == process) watch_set_->engine->release(fd);
    for (WatchSet* const set : sets_in_use_)
        if (set->process == process) set->engine->release(fd);
}

LingerList& Context::lingering() {
    if (!lingering_.empty() && lingering_process_ != net::process_id()) lingering_.clear();
    return lingering_;
}

void Context::adopt_lingering(Linger linger) {
    std::optional<Linger> oldest;
    {
        const std::lock_guard guard(mutex_);
        LingerList& list = lingering();
        lingering_process_ = net::process_id();
        const auto drains = [](const Linger& other) { return other.draining; };
        if (linger.draining && std::count_if(list.begin(), list.end(), drains) >= kMostDraining) {
            const auto first = std::find_if(list.begin(), list.end(), drains);
            oldest = take_lingering(first);
        }
        linger.serial = ++last_linger_;
        list.push_back(std::move(linger));
        lingers_.store(true);
    }
    changed();
}

Linger Context::take_lingering(LingerList::iterator it) {
    release_descriptor(it->fd.get());
    Linger taken = std::move(*it);
    lingering_.erase(it);
    return taken;
}

// The first of those that do nothing but read away, as far as `over` says; false: there is none.
template <class Over>
bool Context::end_one_draining(Over over) {
    std::optional<Linger> ended;
    {
        const std::lock_guard guard(mutex_);
        LingerList& list = lingering();
        const auto it = std::find_if(list.begin(), list.end(), [&](Linger& linger) {
            return linger.draining && over(linger);
        });
        if (it == list.end()) {
            lingers_.store(!list.empty());
            return false;
        }
        ended = take_lingering(it);
    }
    close_drained(std::move(ended->fd));
    return true;
}

void Context::tend_lingering() {
    if (!lingers_.load() || loop_running()) return;
    const std::int64_t now = net::now_us();
    while (end_one_draining(
        [now](Linger& linger) { return advance_linger(linger, now) != LingerState::waiting; })) {
    }
}

bool Context::end_all_draining() {
    bool any = false;
    while (end_one_draining([](const Linger&) { return true; }))
        any = true;
    if (any) changed();
    return any;
}

}  // namespace nopoll::core
