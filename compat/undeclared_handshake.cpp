// SPDX-License-Identifier: MIT
// Exported parts of the opening handshake that no header declares. The library itself does not use
// them; they do for valid input what they always did.
#include <cstring>

#include "boundary.hpp"
#include "core/c_string.hpp"
#include "core/client.hpp"
#include "core/log.hpp"
#include "protocol/accept_key.hpp"
#include "protocol/http_head.hpp"
#include "result.hpp"
#include "undeclared.hpp"

using namespace nopoll;
using compat::boundary;
using compat::to_bool;
using core::Connection;

namespace {

std::string_view view(const char* buffer, int size) {
    return {buffer, static_cast<std::size_t>(size)};
}

int take_line(noPollConn* conn, const char* buffer, int size, noPollRole role) {
    if (conn == nullptr || buffer == nullptr || size <= 0 || conn->role != role) return 0;
    return boundary(false,
                    [&] { return Connection::from(*conn).take_head_line(view(buffer, size)); })
               ? 1
               : 0;
}

bool check(noPollConn* conn) {
    return conn != nullptr && boundary(false, [&] { return Connection::from(*conn).check_head(); });
}

}  // namespace

extern "C" {

char* nopoll_conn_produce_accept_key(noPollCtx* /*ctx*/, const char* websocket_key) {
    if (websocket_key == nullptr) return nullptr;
    return boundary<char*>(nullptr, [&] {
        return core::duplicate(std::string_view(protocol::accept_key_for(websocket_key)));
    });
}

char* __nopoll_conn_get_client_init(noPollConn* conn, noPollConnOpts* opts) {
    if (conn == nullptr || conn->role != NOPOLL_ROLE_CLIENT) return nullptr;
    return boundary<char*>(nullptr, [&]() -> char* {
        std::optional<core::OptionValues> values;
        if (opts != nullptr) values = core::Options::from(*opts).values();
        const std::string request =
            core::ClientBuilder::build_request(Connection::from(*conn), values);
        return request.empty() ? nullptr : core::duplicate(std::string_view(request));
    });
}

int nopoll_conn_complete_handshake_listener(noPollCtx* /*ctx*/, noPollConn* conn, char* buffer,
                                            int buffer_size) {
    return take_line(conn, buffer, buffer_size, NOPOLL_ROLE_LISTENER);
}

int nopoll_conn_complete_handshake_client(noPollCtx* /*ctx*/, noPollConn* conn, char* buffer,
                                          int buffer_size) {
    return take_line(conn, buffer, buffer_size, NOPOLL_ROLE_CLIENT);
}

void nopoll_conn_complete_handshake_check(noPollConn* conn) {
    (void)check(conn);
}

nopoll_bool nopoll_conn_complete_handshake_check_listener(noPollCtx* /*ctx*/, noPollConn* conn) {
    return to_bool(conn != nullptr && conn->role == NOPOLL_ROLE_LISTENER && check(conn));
}

nopoll_bool nopoll_conn_complete_handshake_check_client(noPollCtx* /*ctx*/, noPollConn* conn) {
    return to_bool(conn != nullptr && conn->role == NOPOLL_ROLE_CLIENT && check(conn));
}

nopoll_bool __nopoll_conn_call_on_ready_if_defined(noPollCtx* ctx, noPollConn* conn) {
    return to_bool(ctx != nullptr && conn != nullptr && Connection::from(*conn).run_on_ready());
}

int nopoll_conn_readline(noPollConn* conn, char* buffer, int maxlen) {
    if (conn == nullptr || buffer == nullptr || maxlen <= 1)
        return compat::to_c(compat::kBadArgument);
    return compat::to_c(boundary(core::CallResult{-1, ENOMEM}, [&] {
        return Connection::from(*conn).read_line({buffer, static_cast<std::size_t>(maxlen)});
    }));
}

// "GET /target HTTP/1.1"
nopoll_bool nopoll_conn_get_http_url(noPollConn* conn, const char* buffer, int buffer_size,
                                     const char* method, char** url) {
    if (conn == nullptr || buffer == nullptr || buffer_size <= 0 || method == nullptr ||
        url == nullptr)
        return nopoll_false;
    return to_bool(boundary(false, [&] {
        std::string_view line = view(buffer, buffer_size);
        const std::size_t method_size = std::strlen(method);
        const bool has_method = line.substr(0, method_size) == method;
        line.remove_prefix(std::min(line.size(), method_size));
        const std::size_t blanks = line.find_first_not_of(" \t");
        line.remove_prefix(std::min(line.size(), blanks));
        const std::string_view target = line.substr(0, line.find_first_of(" \t"));
        const std::string_view version = protocol::trim(line.substr(target.size()));
        if (has_method && blanks > 0 && !target.empty() && target.front() == '/' &&
            version.substr(0, 5) == "HTTP/") {
            *url = core::duplicate(target);
            return true;
        }
        NOPOLL_CONN_LOG(Connection::from(*conn), NOPOLL_LEVEL_CRITICAL, "no request line: %s",
                        core::printable(view(buffer, buffer_size).substr(0, 80)).c_str());
        Connection::from(*conn).shutdown();
        return false;
    }));
}

nopoll_bool nopoll_conn_get_mime_header(noPollCtx* /*ctx*/, noPollConn* /*conn*/,
                                        const char* buffer, int buffer_size, char** header,
                                        char** value) {
    if (buffer == nullptr || buffer_size <= 0 || header == nullptr || value == nullptr)
        return nopoll_false;
    return to_bool(boundary(false, [&] {
        const auto field = protocol::parse_header_field(view(buffer, buffer_size));
        if (!field) return false;
        core::MallocPtr<char[]> name(core::duplicate(field->name));
        *value = core::duplicate(field->value);
        *header = name.release();
        return true;
    }));
}

// A header that may stand only once has come again: both texts are given up, the connection too.
nopoll_bool nopoll_conn_check_mime_header_repeated(noPollConn* conn, char* header, char* value,
                                                   const char* ref_header, noPollPtr seen) {
    if (conn == nullptr || header == nullptr || ref_header == nullptr || seen == nullptr)
        return nopoll_false;
    if (!protocol::equals_ignore_case(header, ref_header)) return nopoll_false;
    NOPOLL_CONN_LOG(Connection::from(*conn), NOPOLL_LEVEL_CRITICAL, "header %s came twice",
                    ref_header);
    std::free(header);
    std::free(value);
    Connection::from(*conn).shutdown();
    return nopoll_true;
}

}  // extern "C"
