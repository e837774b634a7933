// SPDX-License-Identifier: MIT
// Engine objects, see io_engine.hpp. Memory trouble is an answer of the handlers, not an exception:
// a program's own loop calls them through plain function pointers.
#include "core/io_engine.hpp"

#include <cerrno>
#include <new>

#include "core/log.hpp"
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

noPollIoEngine* make_io_engine(noPollCtx* ctx, noPollIoEngineType type) {
    if (type != NOPOLL_IO_ENGINE_DEFAULT && type != NOPOLL_IO_ENGINE_SELECT) {
        NOPOLL_LOG(ctx, NOPOLL_LEVEL_WARNING,
                   "no engine object of type %d, the select engine is used instead",
                   static_cast<int>(type));
    }
    auto* const engine = static_cast<noPollIoEngine*>(std::calloc(1, sizeof(noPollIoEngine)));
    if (engine == nullptr) return nullptr;
    engine->ctx = ctx;
    engine->create = select_handlers::create;
    engine->destroy = select_handlers::destroy;
    engine->clear = select_handlers::clear;
    engine->wait = select_handlers::wait;
    engine->add_to = select_handlers::add_to;
    engine->is_set = select_handlers::is_set;
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

bool is_library_engine(const noPollIoEngine& engine) {
    return engine.create == select_handlers::create && engine.destroy == select_handlers::destroy &&
           engine.clear == select_handlers::clear && engine.wait == select_handlers::wait &&
           engine.add_to == select_handlers::add_to && engine.is_set == select_handlers::is_set;
}

}  // namespace nopoll::core
