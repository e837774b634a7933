// SPDX-License-Identifier: MIT
// Engine objects, see io_engine.hpp. Memory trouble is an answer of the handlers, not an exception:
// a program's own loop calls them through plain function pointers.
#include "core/io_engine.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/log.hpp"
#include "loop/engines.hpp"
#include "loop/fd_bitmap.hpp"
#include "loop/select_set.hpp"

namespace nopoll::core {
namespace select_handlers {
namespace {

loop::SelectSet* set_of(noPollPtr set) {
    return static_cast<loop::SelectSet*>(set);
}

}  // namespace

noPollPtr create(noPollCtx* /*ctx*/) {
    return new (std::nothrow) loop::SelectSet;
}

void destroy(noPollCtx* /*ctx*/, noPollPtr set) {
    delete set_of(set);
}

void clear(noPollCtx* /*ctx*/, noPollPtr set) {
    if (set != nullptr) set_of(set)->clear();
}

int wait(noPollCtx* /*ctx*/, noPollPtr set) {
    const int ready = set == nullptr ? -EINVAL : set_of(set)->wait();
    if (ready >= 0) return ready;
    errno = -ready;
    return -1;
}

nopoll_bool add_to(int fd, noPollCtx* ctx, noPollConn* /*conn*/, noPollPtr set) {
    if (set != nullptr && set_of(set)->add(fd)) return nopoll_true;
    NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "descriptor %d cannot be added to the select engine",
               fd);
    return nopoll_false;
}

nopoll_bool is_set(noPollCtx* ctx, int fd, noPollPtr set) {
    if (fd < 0) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "descriptor %d is out of the select engine's range",
                   fd);
        return nopoll_false;
    }
    return set != nullptr && set_of(set)->is_set(fd) ? nopoll_true : nopoll_false;
}

}  // namespace select_handlers

namespace {

// The set behind the poll and epoll handlers: the same contract on a wait engine.
struct EngineSet {
    std::unique_ptr<loop::WaitEngine> engine;
    std::vector<loop::Event> events;
    std::vector<int> ready;  // sorted

    void clear() {
        engine->forget_all();
        ready.clear();
    }

    int wait() {
        ready.clear();
        const int count = engine->wait(loop::kLongestWaitUs, events);
        if (count < 0) return count;
        for (const loop::Event& event : events)
            ready.push_back(event.fd);
        std::sort(ready.begin(), ready.end());
        return count;
    }
};

noPollPtr create_set(int type) {
    try {
        std::unique_ptr<loop::WaitEngine> engine = loop::make_engine(type);
        return engine == nullptr ? nullptr : new EngineSet{std::move(engine), {}, {}};
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

EngineSet* engine_set(noPollPtr set) {
    return static_cast<EngineSet*>(set);
}

noPollPtr create_poll_set(noPollCtx* /*ctx*/) {
    return create_set(NOPOLL_IO_ENGINE_POLL);
}

noPollPtr create_epoll_set(noPollCtx* /*ctx*/) {
    return create_set(NOPOLL_IO_ENGINE_EPOLL);
}

void destroy_engine_set(noPollCtx* /*ctx*/, noPollPtr set) {
    delete engine_set(set);
}

void clear_engine_set(noPollCtx* /*ctx*/, noPollPtr set) {
    if (set != nullptr) engine_set(set)->clear();
}

int wait_engine_set(noPollCtx* /*ctx*/, noPollPtr set) {
    int ready = -EINVAL;
    try {
        if (set != nullptr) ready = engine_set(set)->wait();
    } catch (const std::bad_alloc&) {
        ready = -ENOMEM;
    }
    if (ready >= 0) return ready;
    errno = -ready;
    return -1;
}

nopoll_bool add_to_engine_set(int fd, noPollCtx* ctx, noPollConn* /*conn*/, noPollPtr set) {
    try {
        // Wild numbers are refused as by the select engine.
        if (set != nullptr && loop::is_selectable(fd) &&
            engine_set(set)->engine->watch(fd, {true, false}))
            return nopoll_true;
    } catch (const std::bad_alloc&) {
        // Refused: the callers of an engine's handlers are C programs.
    }
    NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "descriptor %d cannot be added to the engine", fd);
    return nopoll_false;
}

nopoll_bool is_set_in_engine_set(noPollCtx* ctx, int fd, noPollPtr set) {
    if (fd < 0) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_CRITICAL, "descriptor %d is out of the engine's range", fd);
        return nopoll_false;
    }
    if (set == nullptr) return nopoll_false;
    const std::vector<int>& ready = engine_set(set)->ready;
    return std::binary_search(ready.begin(), ready.end(), fd) ? nopoll_true : nopoll_false;
}

void fill_in_handlers(noPollIoEngine& engine, int type) {
    if (type == NOPOLL_IO_ENGINE_POLL || type == NOPOLL_IO_ENGINE_EPOLL) {
        engine.create = type == NOPOLL_IO_ENGINE_POLL ? create_poll_set : create_epoll_set;
        engine.destroy = destroy_engine_set;
        engine.clear = clear_engine_set;
        engine.wait = wait_engine_set;
        engine.add_to = add_to_engine_set;
        engine.is_set = is_set_in_engine_set;
        return;
    }
    engine.create = select_handlers::create;
    engine.destroy = select_handlers::destroy;
    engine.clear = select_handlers::clear;
    engine.wait = select_handlers::wait;
    engine.add_to = select_handlers::add_to;
    engine.is_set = select_handlers::is_set;
}

bool is_known(int type) {
    return type == NOPOLL_IO_ENGINE_DEFAULT || type == NOPOLL_IO_ENGINE_SELECT ||
           type == NOPOLL_IO_ENGINE_POLL || type == NOPOLL_IO_ENGINE_EPOLL;
}

}  // namespace

noPollIoEngine* make_io_engine(noPollCtx* ctx, int type) {
    if (!is_known(type)) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_WARNING,
                   "there is no engine of type %d, the select engine is used instead", type);
    }
    auto* const engine = static_cast<noPollIoEngine*>(std::calloc(1, sizeof(noPollIoEngine)));
    if (engine == nullptr) return nullptr;
    engine->ctx = ctx;
    fill_in_handlers(*engine, type);
    engine->io_object = engine->create(ctx);
    if (engine->io_object == nullptr) {
        std::free(engine);
        return nullptr;
    }
    return engine;
}

void release_io_engine(noPollIoEngine* engine) {
    if (engine == nullptr) return;
    if (engine->destroy != nullptr) engine->destroy(engine->ctx, engine->io_object);
    std::free(engine);
}

}  // namespace nopoll::core
