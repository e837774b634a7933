// SPDX-License-Identifier: MIT
// What every unit test includes: CMocka for C++, literal bytes, all splits of an input, and a
// generator whose values are the same in every run.
#pragma once

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>
}
// The macro would hit every member function of that name, those of <ios> first.
#undef fail
#undef fail_msg
#define fail_msg(format, ...)                                                                      \
    do {                                                                                           \
        print_error("ERROR: " format "\n" __VA_OPT__(, ) __VA_ARGS__);                             \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (false)

#include <initializer_list>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

// CMocka leaves a failed test with longjmp: destructors do not run, leaks after a failure are
// noise.
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) fail_msg("%s", #condition);                                              \
    } while (false)

// Inside a table: says which row it was.
#define CHECK_ROW(label, condition)                                                                \
    do {                                                                                           \
        if (!(condition)) fail_msg("%s: %s", ::nopoll::test::shown(label).c_str(), #condition);    \
    } while (false)

// Both sides are evaluated once.
#define CHECK_EQUAL(actual, expected) CHECK_ROW_EQUAL(std::string_view(), actual, expected)

#define CHECK_ROW_EQUAL(label, actual, expected)                                                   \
    ::nopoll::test::check_equal(label, #actual, actual, expected, __FILE__, __LINE__)

namespace nopoll::test {

using Bytes = std::vector<std::byte>;

// For messages: numbers, texts with control bytes escaped, enums as numbers.
template <class T>
std::string shown(const T& value) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
        std::string text = "\"";
        for (const char c : std::string_view(value)) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte >= 0x20 && byte < 0x7F) {
                text += c;
            } else {
                constexpr std::string_view digits = "0123456789abcdef";
                text += {'\\', 'x', digits[byte >> 4], digits[byte & 15U]};
            }
        }
        return text + '"';
    } else if constexpr (std::is_enum_v<T>) {
        return std::to_string(static_cast<long long>(value));
    } else {
        std::ostringstream stream;
        stream << value;
        return stream.str();
    }
}

template <class Label, class Actual, class Expected>
void check_equal(const Label& label, const char* expression, const Actual& actual,
                 const Expected& expected, const char* file, int line) {
    if (actual == expected) return;
    const std::string row = shown(label);
    print_error("ERROR: %s%s%s is %s, not %s\n", row == "\"\"" ? "" : row.c_str(),
                row == "\"\"" ? "" : ": ", expression, shown(actual).c_str(),
                shown(expected).c_str());
    _fail(file, line);
}

inline Bytes bytes_of(std::string_view text) {
    const auto view = std::as_bytes(std::span(text));
    return {view.begin(), view.end()};
}

inline Bytes bytes_of(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values)
        bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}

inline std::string text_of(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes)
        text += static_cast<char>(byte);
    return text;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// Runs body(parts) with the input whole, byte by byte, and cut in two at every point (empty first
// and last parts included).
template <class Body>
void for_every_split(std::span<const std::byte> input, Body&& body) {
    using Parts = std::vector<std::span<const std::byte>>;
    body(Parts{input});
    Parts single;
    for (std::size_t i = 0; i < input.size(); ++i)
        single.push_back(input.subspan(i, 1));
    body(single);
    for (std::size_t cut = 0; cut <= input.size(); ++cut)
        body(Parts{input.first(cut), input.subspan(cut)});
}

// xorshift64*: not random at all, which is the point.
class Sequence {
public:
    explicit Sequence(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 2685821657736338717U;
    }
    // 0 .. limit - 1
    std::size_t below(std::size_t limit) {
        return static_cast<std::size_t>((next() >> 11) % limit);
    }
    std::byte byte() { return static_cast<std::byte>(next() >> 56); }
    Bytes bytes(std::size_t count) {
        Bytes values(count);
        for (std::byte& value : values)
            value = byte();
        return values;
    }

private:
    std::uint64_t state_;
};

}  // namespace nopoll::test
