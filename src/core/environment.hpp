// SPDX-License-Identifier: MIT
// The environment variables by which a program that cannot be changed is configured. Read once per
// context with secure_getenv, so ignored in set-user-ID programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nopoll::core {

enum class EngineChoice { select = 1, poll = 2, epoll = 3 };

struct Environment {
    std::optional<bool> strict;
    std::optional<bool> host_verify;
    std::optional<std::int64_t> handshake_timeout_us;
    std::optional<std::int64_t> send_queue_limit;
    std::optional<EngineChoice> engine;
    std::string complaints;  // "NAME=value, NAME=value" of what was not understood
};

Environment read_environment();

}  // namespace nopoll::core
