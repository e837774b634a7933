// SPDX-License-Identifier: MIT
// What every fuzz target shares: reading decisions off the front of the input, cutting the rest
// into parts, and a check that ends the program with the line that failed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// A property that does not hold is found like a crash.
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) ::nopoll::fuzz::property_broken(__FILE__, __LINE__, #condition);         \
    } while (false)

namespace nopoll::fuzz {

using Bytes = std::span<const std::byte>;

[[noreturn]] inline void property_broken(const char* file, int line, const char* condition) {
    std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    std::abort();
}

// Decisions come from the front; an input that has come to its end gives zeros.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size)
        : rest_(std::as_bytes(std::span(data, size))) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] Bytes rest() const { return rest_; }

    unsigned byte() {
        if (rest_.empty()) return 0;
        const auto value = std::to_integer<unsigned>(rest_.front());
        rest_ = rest_.subspan(1);
        return value;
    }
    bool flag() { return (byte() & 1U) != 0; }
    unsigned below(unsigned limit) { return byte() % limit; }
    std::uint32_t number() {  // two bytes: enough for all sizes that matter here
        const unsigned high = byte();
        return (high << 8) | byte();
    }
    Bytes take(std::size_t most) {
        const Bytes front = rest_.first(std::min(most, rest_.size()));
        rest_ = rest_.subspan(front.size());
        return front;
    }
    // A text of at most `most` bytes, behind a byte with its length.
    std::string_view text(unsigned most) {
        const Bytes bytes = take(below(most + 1));
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

private:
    Bytes rest_;
};

// Part sizes made of four bytes of the input, over and over: from single bytes to everything.
class Splitter {
public:
    explicit Splitter(Input& input) {
        for (std::size_t& size : sizes_) {
            const unsigned choice = input.byte();
            size = choice < 128 ? choice % 16 + 1 : (choice - 127U) * 32U;
        }
    }
    explicit Splitter(std::size_t always) {
        std::fill(std::begin(sizes_), std::end(sizes_), always);
    }

    Bytes next(Bytes& rest) {
        const Bytes part = rest.first(std::min(sizes_[turn_++ % std::size(sizes_)], rest.size()));
        rest = rest.subspan(part.size());
        return part;
    }

private:
    std::size_t sizes_[4];
    std::size_t turn_ = 0;
};

inline std::string_view text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Bytes bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

}  // namespace nopoll::fuzz
