// SPDX-License-Identifier: MIT
// See failing_allocator.hpp. Nothing in here may allocate.
#include "faults/failing_allocator.hpp"

#include <netdb.h>
#include <openssl/crypto.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

namespace nopoll::faults {

namespace {

// The plan changes only while nobody allocates by it, but for forgetting it.
Plan plan;
std::atomic<bool> plan_holds{false};
std::atomic<long> count{0};
std::atomic<long> fail_count{0};
std::atomic<long> live[2] = {};

thread_local Part this_part = Part::none;
thread_local bool inside_library = false;
thread_local long failed_in_thread = 0;

bool must_fail(Source source, const char* file = nullptr) {
    if (!inside_library || !plan_holds.load()) return false;
    if (plan.source != source || plan.part != this_part) return false;
    if (plan.only_from != nullptr &&
        (file == nullptr || std::strstr(file, plan.only_from) == nullptr))
        return false;
    const long number = ++count;
    if (plan.nth == 0 || (plan.lasting ? number < plan.nth : number != plan.nth)) return false;
    ++fail_count;
    ++failed_in_thread;
    return true;
}

void add_live(Source source, long change) {
    live[static_cast<int>(source)].fetch_add(change, std::memory_order_relaxed);
}

}  // namespace

void set_plan(const Plan& wanted) {
    plan_holds = false;
    plan = wanted;
    count = 0;
    fail_count = 0;
    plan_holds = true;
}

void forget_plan() {
    plan_holds = false;
}

long counted() {
    return count;
}

long failed() {
    return fail_count;
}

bool is_about(Source source) {
    return plan.source == source;
}

long live_blocks(Source source) {
    return live[static_cast<int>(source)];
}

void play(Part part) {
    this_part = part;
    failed_in_thread = 0;
}

long failed_here() {
    return failed_in_thread;
}

Inside::Inside(bool inside) : before_(inside_library) {
    inside_library = inside;
}

Inside::~Inside() {
    inside_library = before_;
}

}  // namespace nopoll::faults

using nopoll::faults::add_live;
using nopoll::faults::must_fail;
using nopoll::faults::Source;

// --- what the linker puts in the place of malloc and its family ---

extern "C" {

void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* block, std::size_t size);
void __real_free(void* block);
int __real_vasprintf(char** text, const char* format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
int __real_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** list);

void* __wrap_malloc(std::size_t size);
void* __wrap_calloc(std::size_t count, std::size_t size);
void* __wrap_realloc(void* block, std::size_t size);
void __wrap_free(void* block);
int __wrap_vasprintf(char** text, const char* format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
int __wrap_asprintf(char** text, const char* format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** list);

void* __wrap_malloc(std::size_t size) {
    if (must_fail(Source::library)) {
        errno = ENOMEM;
        return nullptr;
    }
    void* const block = __real_malloc(size);
    if (block != nullptr) add_live(Source::library, 1);
    return block;
}

void* __wrap_calloc(std::size_t count, std::size_t size) {
    if (must_fail(Source::library)) {
        errno = ENOMEM;
        return nullptr;
    }
    void* const block = __real_calloc(count, size);
    if (block != nullptr) add_live(Source::library, 1);
    return block;
}

void* __wrap_realloc(void* old, std::size_t size) {
    if (must_fail(Source::library)) {
        errno = ENOMEM;
        return nullptr;
    }
    void* const block = __real_realloc(old, size);
    if (old == nullptr && block != nullptr) add_live(Source::library, 1);
    return block;
}

void __wrap_free(void* block) {
    if (block != nullptr) add_live(Source::library, -1);
    __real_free(block);
}

int __wrap_vasprintf(char** text, const char* format, va_list arguments) {
    if (must_fail(Source::library)) {
        errno = ENOMEM;
        return -1;
    }
    const int size = __real_vasprintf(text, format, arguments);
    if (size >= 0) add_live(Source::library, 1);
    return size;
}

int __wrap_asprintf(char** text, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = __wrap_vasprintf(text, format, arguments);
    va_end(arguments);
    return size;
}

// Its list is freed inside libc, so it does not count as a live block.
int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** list) {
    if (must_fail(Source::library)) return EAI_MEMORY;
    return __real_getaddrinfo(host, port, hints, list);
}

}  // extern "C"

// --- operator new ---

namespace {

void* allocate(std::size_t size, std::size_t alignment = 0) {
    if (must_fail(Source::library)) return nullptr;
    if (size == 0) size = 1;
    void* const block =
        alignment == 0
            ? __real_malloc(size)
            : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (block != nullptr) add_live(Source::library, 1);
    return block;
}

void* allocate_or_throw(std::size_t size, std::size_t alignment = 0) {
    void* const block = allocate(size, alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}

}  // namespace

void* operator new(std::size_t size) {
    return allocate_or_throw(size);
}
void* operator new[](std::size_t size) {
    return allocate_or_throw(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return allocate(size);
}
void operator delete(void* block) noexcept {
    __wrap_free(block);
}
void operator delete[](void* block) noexcept {
    __wrap_free(block);
}
void operator delete(void* block, std::size_t) noexcept {
    __wrap_free(block);
}
void operator delete[](void* block, std::size_t) noexcept {
    __wrap_free(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
    __wrap_free(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
    __wrap_free(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
    __wrap_free(block);
}
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
    __wrap_free(block);
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
    __wrap_free(block);
}
void operator delete[](void* block, const std::nothrow_t&) noexcept {
    __wrap_free(block);
}

// --- OpenSSL ---

namespace {

void* openssl_malloc(std::size_t size, const char* file, int) {
    if (size == 0 || must_fail(Source::openssl, file)) return nullptr;
    void* const block = __real_malloc(size);
    if (block != nullptr) add_live(Source::openssl, 1);
    return block;
}

void openssl_free(void* block, const char*, int) {
    if (block != nullptr) add_live(Source::openssl, -1);
    __real_free(block);
}

void* openssl_realloc(void* old, std::size_t size, const char* file, int line) {
    if (old == nullptr) return openssl_malloc(size, file, line);
    if (size == 0) {
        openssl_free(old, file, line);
        return nullptr;
    }
    return must_fail(Source::openssl, file) ? nullptr : __real_realloc(old, size);
}

}  // namespace

bool nopoll::faults::install_openssl_hooks() {
    return CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) == 1;
}
