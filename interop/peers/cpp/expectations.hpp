// SPDX-License-Identifier: MIT
// What the C++ peers send, expect and do, whatever library they use: interop/README.md has it in
// words. A library is wrapped as a Connection, whose calls wait.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace interop {

struct Message {
    bool binary = false;
    std::string data;
    bool operator==(const Message& other) const {
        return binary == other.binary && data == other.data;
    }
};

struct CloseStatus {
    int code = 0;
    std::string reason;
};

// No connection, because the server answered with another status than 101.
struct Refused : std::runtime_error {
    explicit Refused(int answer)
        : std::runtime_error("refused with " + std::to_string(answer)), status(answer) {}
    int status;
};

// The connection has ended where something else was waited for.
struct Closed : std::runtime_error {
    Closed() : std::runtime_error("closed") {}
};

class Connection {
public:
    virtual ~Connection() = default;
    virtual void send(const Message& message) = 0;
    virtual void send_fragments(bool binary, const std::vector<std::string>& parts) = 0;
    virtual Message receive() = 0;
    virtual void ping(const std::string& payload) = 0;
    virtual void close(int code, const std::string& reason) = 0;
    virtual CloseStatus wait_closed() = 0;

    std::string subprotocol;
    std::string pinged;  // payload of the ping that came last
    std::string ponged;  // payload of the pong that came last
};

struct Request {
    std::string path;
    std::vector<std::string> protocols;
    std::string origin;
    std::vector<std::pair<std::string, std::string>> headers;
};

using Connect = std::function<std::unique_ptr<Connection>(const Request&)>;

extern const std::string kPing;

// Runs the checks of the features and prints "ok FEATURE" or "fail FEATURE: why"; exit status.
int run_checks(const Connect& connect, const std::vector<std::string>& features);

std::string pattern(std::size_t size);
std::vector<Message> pushed();
std::vector<std::string> thirds(const std::string& text);

// "/echo" of "/echo?query"; whether a server offers it.
std::string path_of(const std::string& target);
bool path_is_known(const std::string& target);
// Splits the text "CODE REASON".
CloseStatus parse_going(const std::string& text);
// What a server says when a connection is over.
void print_closed(const std::string& target, const CloseStatus& status);

}  // namespace interop
