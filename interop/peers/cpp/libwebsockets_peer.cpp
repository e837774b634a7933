// SPDX-License-Identifier: MIT
// libwebsockets, both roles: libwebsockets_peer client HOST PORT AUTHORITY FEATURE...
//                            libwebsockets_peer server HOST PORT [CERTIFICATE KEY]
// It answers pings and Close frames without telling the program about the former, nor about the
// answer to its own Close.
#include "expectations.hpp"

#include <cstdio>
#include <cstring>
#include <deque>
#include <libwebsockets.h>
#include <map>

namespace {

using interop::Closed;
using interop::CloseStatus;
using interop::Message;

struct Frame {
    int kind;  // lws_write_protocol
    std::string data;
};

// What both roles keep for a connection.
struct State {
    std::deque<Frame> out;
    std::string in;
    CloseStatus going;   // with code 0: not closing
    CloseStatus status;  // of the peer's Close frame
    std::string target;
};

std::vector<Frame> frames_of(bool binary, const std::vector<std::string>& parts) {
    std::vector<Frame> frames;
    for (std::size_t index = 0; index < parts.size(); index++)
        frames.push_back({lws_write_ws_flags(binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, index == 0,
                                             index + 1 == parts.size()),
                          parts[index]});
    return frames;
}

void queue(lws* wsi, State& state, const std::vector<Frame>& frames) {
    state.out.insert(state.out.end(), frames.begin(), frames.end());
    lws_callback_on_writable(wsi);
}

// Writes one frame, or the Close when all are written; what a callback has to return.
int write_next(lws* wsi, State& state) {
    if (state.out.empty()) {
        if (state.going.code == 0) return 0;
        lws_close_reason(wsi, static_cast<lws_close_status>(state.going.code),
                         reinterpret_cast<unsigned char*>(state.going.reason.data()),
                         state.going.reason.size());
        return -1;
    }
    const Frame frame = std::move(state.out.front());
    state.out.pop_front();
    std::vector<unsigned char> room(LWS_PRE + frame.data.size());
    if (!frame.data.empty()) memcpy(room.data() + LWS_PRE, frame.data.data(), frame.data.size());
    const int written = lws_write(wsi, room.data() + LWS_PRE, frame.data.size(),
                                  static_cast<lws_write_protocol>(frame.kind));
    if (written < static_cast<int>(frame.data.size())) return -1;
    if (!state.out.empty() || state.going.code != 0) lws_callback_on_writable(wsi);
    return 0;
}

// Adds what has come; true when the message in state.in is complete.
bool add_received(lws* wsi, State& state, const void* data, std::size_t size) {
    state.in.append(static_cast<const char*>(data), size);
    return lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
}

void keep_status(State& state, const void* data, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    state.status.code = size >= 2 ? bytes[0] << 8 | bytes[1] : 1005;
    if (size > 2) state.status.reason.assign(static_cast<const char*>(data) + 2, size - 2);
}

lws_context_creation_info context_info() {
    lws_context_creation_info info{};
    info.gid = static_cast<gid_t>(-1);
    info.uid = static_cast<uid_t>(-1);
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_JUST_USE_RAW_ORIGIN;
    return info;
}

// --- Client ----------------------------------------------------------------------------------

struct Target {
    std::string host;
    int port;
    bool tls;
};

class ClientConnection final : public interop::Connection {
public:
    ClientConnection(lws_context* context, const Target& target, const interop::Request& request)
        : context_(context), request_(request) {
        std::string protocols;
        for (const std::string& protocol : request.protocols)
            protocols += (protocols.empty() ? "" : ",") + protocol;
        lws_client_connect_info info{};
        info.context = context;
        info.address = target.host.c_str();
        info.port = target.port;
        info.ssl_connection = target.tls ? LCCSCF_USE_SSL : 0;
        info.path = request.path.c_str();
        info.host = "localhost";  // the name verified, too
        info.origin = request.origin.empty() ? nullptr : request.origin.c_str();
        info.protocol = protocols.empty() ? nullptr : protocols.c_str();
        info.local_protocol_name = "interop";
        info.opaque_user_data = this;
        info.pwsi = &wsi_;
        lws_client_connect_via_info(&info);
        run([this] { return opened_ || over_; });
        if (!opened_ && status_ != 0 && status_ != 101) throw interop::Refused(status_);
        if (!opened_) throw std::runtime_error("not connected: " + fault_);
    }

    ~ClientConnection() override {
        if (over_) return;
        lws_set_opaque_user_data(wsi_, nullptr);
        lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    }

    void send(const Message& message) override { send_fragments(message.binary, {message.data}); }

    void send_fragments(bool binary, const std::vector<std::string>& parts) override {
        queue(wsi_, state_, frames_of(binary, parts));
    }

    Message receive() override {
        run([this] { return over_ || !messages_.empty(); });
        if (messages_.empty()) throw Closed();
        Message message = std::move(messages_.front());
        messages_.pop_front();
        return message;
    }

    void ping(const std::string& payload) override {
        queue(wsi_, state_, {{LWS_WRITE_PING, payload}});
    }

    void close(int code, const std::string& reason) override {
        state_.going = {code, reason};
        state_.status = state_.going;  // the answer is not shown
        lws_callback_on_writable(wsi_);
    }

    CloseStatus wait_closed() override {
        run([this] { return over_; });
        return state_.status;
    }

    int on_event(lws* wsi, lws_callback_reasons reason, void* data, std::size_t size) {
        switch (reason) {
        case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return append_headers(wsi, data, size);
        case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
            fault_ = data ? std::string(static_cast<const char*>(data), size) : "no reason given";
            status_ = static_cast<int>(lws_http_client_http_response(wsi));
            over_ = true;
            return 0;
        case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH: {
            // The last chance to see the headers of the answer.
            char name[64] = "";
            lws_hdr_copy(wsi, name, sizeof(name), WSI_TOKEN_PROTOCOL);
            subprotocol = name;
            return 0;
        }
        case LWS_CALLBACK_CLIENT_ESTABLISHED: opened_ = true; return 0;
        case LWS_CALLBACK_CLIENT_RECEIVE:
            if (!add_received(wsi, state_, data, size)) return 0;
            messages_.push_back({lws_frame_is_binary(wsi) != 0, std::move(state_.in)});
            state_.in.clear();
            return 0;
        case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
            ponged.assign(static_cast<const char*>(data), size);
            return 0;
        case LWS_CALLBACK_CLIENT_WRITEABLE: return write_next(wsi, state_);
        case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: keep_status(state_, data, size); return 0;
        case LWS_CALLBACK_CLIENT_CLOSED: over_ = true; return 0;
        default: return 0;
        }
    }

private:
    int append_headers(lws* wsi, void* data, std::size_t size) {
        auto** at = static_cast<unsigned char**>(data);
        for (const auto& [name, value] : request_.headers) {
            const std::string with_colon = name + ":";
            if (lws_add_http_header_by_name(
                    wsi, reinterpret_cast<const unsigned char*>(with_colon.c_str()),
                    reinterpret_cast<const unsigned char*>(value.c_str()),
                    static_cast<int>(value.size()), at, *at + size))
                return -1;
        }
        return 0;
    }

    template <class Condition>
    void run(Condition condition) {
        while (!condition())
            lws_service(context_, 0);
    }

    lws_context* context_;
    interop::Request request_;
    lws* wsi_ = nullptr;
    State state_;
    std::deque<Message> messages_;
    std::string fault_;
    int status_ = 0;
    bool opened_ = false, over_ = false;
};

int client_callback(lws* wsi, lws_callback_reasons reason, void*, void* data, std::size_t size) {
    auto* connection = static_cast<ClientConnection*>(lws_get_opaque_user_data(wsi));
    return connection ? connection->on_event(wsi, reason, data, size) : 0;
}

int client(const std::string& host, const std::string& port, const std::string& authority,
           const std::vector<std::string>& features) {
    static const lws_protocols protocols[] = {{"interop", client_callback, 0, 65536, 0, nullptr, 0},
                                              {"chat", client_callback, 0, 65536, 0, nullptr, 0},
                                              {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
    const Target target{host, std::stoi(port), authority != "-"};
    lws_context_creation_info info = context_info();
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.client_ssl_ca_filepath = target.tls ? authority.c_str() : nullptr;
    lws_context* context = lws_create_context(&info);
    const int status = interop::run_checks(
        [&](const interop::Request& request) {
            return std::make_unique<ClientConnection>(context, target, request);
        },
        features);
    lws_context_destroy(context);
    return status;
}

// --- Server ----------------------------------------------------------------------------------

std::string header(lws* wsi, lws_token_indexes which) {
    char text[512] = "";
    lws_hdr_copy(wsi, text, sizeof(text), which);
    return text;
}

std::string custom_header(lws* wsi, const char* name) {
    char text[512] = "";
    lws_hdr_custom_copy(wsi, text, sizeof(text), name, static_cast<int>(strlen(name)));
    return text;
}

std::string requested(lws* wsi) {
    const std::string query = header(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    return header(wsi, WSI_TOKEN_GET_URI) + (query.empty() ? "" : "?" + query);
}

void opened(lws* wsi, State& state) {
    const std::string path = interop::path_of(state.target);
    if (path == "/push")
        for (const Message& message : interop::pushed())
            queue(wsi, state, frames_of(message.binary, {message.data}));
    if (path == "/ping") queue(wsi, state, {{LWS_WRITE_PING, interop::kPing}});
    if (path == "/info")
        queue(wsi, state,
              frames_of(false, {"url: " + state.target + "\nhost: " + header(wsi, WSI_TOKEN_HOST) +
                                "\norigin: " + header(wsi, WSI_TOKEN_ORIGIN) +
                                "\ncookie: " + header(wsi, WSI_TOKEN_HTTP_COOKIE) +
                                "\nx-interop: " + custom_header(wsi, "x-interop:") + "\n"}));
}

void received(lws* wsi, State& state, const Message& message) {
    const std::string path = interop::path_of(state.target);
    if (path == "/echo") queue(wsi, state, frames_of(message.binary, {message.data}));
    if (path == "/fragments")
        queue(wsi, state, frames_of(message.binary, interop::thirds(message.data)));
    if (path == "/close") {
        state.going = interop::parse_going(message.data);
        lws_callback_on_writable(wsi);
    }
}

int server_callback(lws* wsi, lws_callback_reasons reason, void* user, void* data,
                    std::size_t size) {
    State* state = user ? *static_cast<State**>(user) : nullptr;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return interop::path_is_known(requested(wsi)) ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
        state = *static_cast<State**>(user) = new State;
        state->target = requested(wsi);
        opened(wsi, *state);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        if (add_received(wsi, *state, data, size)) {
            const Message message{lws_frame_is_binary(wsi) != 0, std::move(state->in)};
            state->in.clear();
            received(wsi, *state, message);
        }
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        queue(wsi, *state,
              frames_of(false, {"pong " + std::string(static_cast<const char*>(data), size)}));
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return write_next(wsi, *state);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: keep_status(*state, data, size); return 0;
    case LWS_CALLBACK_CLOSED:
        if (state == nullptr) return 0;  // refused
        interop::print_closed(state->target, state->status);
        delete state;
        return 0;
    default: return 0;
    }
}

int server(const std::string& host, const std::string& port,
           const std::vector<std::string>& files) {
    static const lws_protocols protocols[] = {
        {"chat", server_callback, sizeof(State*), 65536, 0, nullptr, 0},
        {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
    lws_context_creation_info info = context_info();
    info.port = std::stoi(port);
    info.iface = host.c_str();
    info.protocols = protocols;
    if (!files.empty()) {
        info.ssl_cert_filepath = files.at(0).c_str();
        info.ssl_private_key_filepath = files.at(1).c_str();
    }
    lws_context* context = lws_create_context(&info);
    if (context == nullptr) return 2;
    std::printf("listening %s\n", port.c_str());
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    lws_set_log_level(LLL_ERR, nullptr);
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.at(0) == "server")
        return server(words.at(1), words.at(2), {words.begin() + 3, words.end()});
    return client(words.at(1), words.at(2), words.at(3), {words.begin() + 4, words.end()});
}
