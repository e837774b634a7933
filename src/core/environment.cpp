// SPDX-License-Identifier: MIT
// Reading of the NOPOLL_* variables; see environment.hpp.
#include "core/environment.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>

#include "core/log.hpp"

namespace nopoll::core {
namespace {

std::optional<std::string_view> value_of(const char* name) {
    const char* value = ::secure_getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return std::string_view(value);
}

std::optional<bool> as_switch(std::string_view text) {
    if (text == "0") return false;
    if (text == "1") return true;
    return std::nullopt;
}

std::optional<std::int64_t> as_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
    return number;
}

std::optional<std::int64_t> as_seconds(std::string_view text) {
    const std::optional<std::int64_t> seconds = as_number(text);
    if (!seconds || *seconds > std::numeric_limits<std::int64_t>::max() / 2'000'000)
        return std::nullopt;
    return *seconds * 1'000'000;
}

std::optional<EngineChoice> as_engine(std::string_view text) {
    if (text == "select") return EngineChoice::select;
    if (text == "poll") return EngineChoice::poll;
    if (text == "epoll") return EngineChoice::epoll;
    return std::nullopt;
}

template <class Target, class Parser>
void read(const char* name, Target& target, std::string& complaints, Parser parse) {
    const std::optional<std::string_view> text = value_of(name);
    if (!text) return;
    target = parse(*text);
    if (target) return;
    if (!complaints.empty()) complaints += ", ";
    complaints.append(name).append("=").append(printable(text->substr(0, 40)));
}

}  // namespace

Environment read_environment() {
    Environment found;
    read("NOPOLL_STRICT", found.strict, found.complaints, as_switch);
    read("NOPOLL_TLS_HOST_VERIFY", found.host_verify, found.complaints, as_switch);
    read("NOPOLL_HANDSHAKE_TIMEOUT", found.handshake_timeout_us, found.complaints, as_seconds);
    read("NOPOLL_SEND_QUEUE_LIMIT", found.send_queue_limit, found.complaints, as_number);
    read("NOPOLL_IO_ENGINE", found.engine, found.complaints, as_engine);
    return found;
}

}  // namespace nopoll::core
