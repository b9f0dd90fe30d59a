#include "app/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <list>
#include <mutex>
#include <thread>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;
constexpr std::size_t kMaxLine = std::size_t{4} << 20;
constexpr std::size_t kMaxConnections = 16;
constexpr int kPollMs = 200;

/// One end of the conversation. Errors: unavailable when the other end went away.
class LineSocket {
public:
    explicit LineSocket(int fd) : fd_(fd) {}
    ~LineSocket() {
        if (fd_ >= 0) ::close(fd_);
    }
    LineSocket(const LineSocket&) = delete;
    LineSocket& operator=(const LineSocket&) = delete;

    /// Errors: also cancelled on stop.
    Result<json::object> read(const std::atomic<bool>& stop) {
        for (;;) {
            if (const auto end = buffer_.find('\n'); end != std::string::npos) {
                FID_TRY(auto value, fiducial::json::parse(std::string_view(buffer_).substr(0, end), kMaxLine));
                buffer_.erase(0, end + 1);
                if (!value.is_object()) return fail(ErrorCode::malformed, "the other side did not send a JSON object");
                return std::move(value.get_object());
            }
            if (buffer_.size() > kMaxLine) return fail(ErrorCode::limit_exceeded, "a line of the conversation is longer than 4 MiB");
            pollfd waiting{fd_, POLLIN, 0};
            const int ready = ::poll(&waiting, 1, kPollMs);
            if (stop.load()) return fail(ErrorCode::cancelled, "stopped");
            if (ready <= 0) continue;
            char piece[65536];
            const auto got = ::recv(fd_, piece, sizeof piece, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return fail(ErrorCode::unavailable, "the other side closed the connection");
            buffer_.append(piece, static_cast<std::size_t>(got));
        }
    }
    Result<void> write(const json::object& message) {
        const std::string line = json::serialize(message) + "\n";
        std::size_t done = 0;
        while (done < line.size()) {
            const auto put = ::send(fd_, line.data() + done, line.size() - done, MSG_NOSIGNAL);
            if (put < 0 && errno == EINTR) continue;
            if (put <= 0) return fail(ErrorCode::unavailable, "the other side closed the connection");
            done += static_cast<std::size_t>(put);
        }
        return {};
    }
    /// Whether the other end has gone.
    bool gone() const { return waits_for(POLLRDHUP | POLLHUP | POLLERR); }
    /// Whether it has gone or said something more. Requires: all that it said before has been read.
    bool gone_or_speaks() const { return waits_for(POLLIN | POLLRDHUP | POLLHUP | POLLERR); }

private:
    bool waits_for(int events) const {
        pollfd waiting{fd_, POLLIN | POLLRDHUP, 0};
        return ::poll(&waiting, 1, 0) > 0 && (waiting.revents & events) != 0;
    }
    int fd_;
    std::string buffer_;
};

/// Opens a Unix socket. An address holds 107 bytes: a longer path is reached from its folder, as the process's working folder for a moment
/// (commands and the archive do this before they start threads that open files).
Result<int> open_socket(const std::filesystem::path& path, bool listen) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(error_from_errno(errno, "making a socket for", path));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const bool fits = path.native().size() < sizeof address.sun_path;
    const std::string reached = fits ? path.native() : path.filename().native();
    std::copy(reached.begin(), reached.end(), address.sun_path);
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    const int here = fits ? -1 : ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!fits && ::chdir(path.parent_path().c_str()) != 0) {
        const int number = errno;
        ::close(fd);
        if (here >= 0) ::close(here);
        return fail(error_from_errno(number, "entering", path.parent_path()));
    }
    int outcome = 0;
    if (listen) {
        ::unlink(path.c_str());
        outcome = ::bind(fd, generic, sizeof address);
        if (outcome == 0) outcome = ::chmod(path.c_str(), 0600);  // the folder is its user's alone
        if (outcome == 0) outcome = ::listen(fd, 16);
    } else {
        outcome = ::connect(fd, generic, sizeof address);
    }
    const int number = errno;
    if (!fits && (here < 0 || ::fchdir(here) != 0)) outcome = -1;
    if (here >= 0) ::close(here);
    if (outcome != 0) {
        ::close(fd);
        if (!listen) return fail(ErrorCode::not_found, "no archive is running on " + path.parent_path().string());
        return fail(error_from_errno(number, "listening on", path));
    }
    return fd;
}

std::string text_of(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

json::object error_message(const Error& error) {
    return {{"error", {{"code", std::string(name_of(error.code))}, {"message", error.message}}}};
}

Error error_from(const json::object& said) {
    const auto name = text_of(said, "code");
    for (int code = 0; code <= static_cast<int>(ErrorCode::internal); ++code) {
        if (name_of(static_cast<ErrorCode>(code)) == name) return Error{static_cast<ErrorCode>(code), text_of(said, "message")};
    }
    return Error{ErrorCode::internal, text_of(said, "message")};
}

}  // namespace

struct ControlServer::State {
    struct Connection {
        std::atomic<bool> done{false};
        std::atomic<bool> stop{false};
        std::jthread thread;
    };

    std::filesystem::path path;
    const crypto::Secret* key = nullptr;
    archive::RunOperation run;
    int fd = -1;
    std::atomic<bool> stopping{false};
    std::list<std::unique_ptr<Connection>> connections;
    std::jthread acceptor;

    void accept_all() {
        while (!stopping.load()) {
            connections.remove_if([](const auto& connection) { return connection->done.load(); });
            pollfd waiting{fd, POLLIN, 0};
            if (::poll(&waiting, 1, kPollMs) <= 0) continue;
            const int accepted = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
            if (accepted < 0) continue;
            if (connections.size() >= kMaxConnections) {
                ::close(accepted);
                continue;
            }
            auto connection = std::make_unique<Connection>();
            auto* raw = connection.get();
            connections.push_back(std::move(connection));
            raw->thread = std::jthread([this, raw, accepted] {
                LineSocket socket(accepted);
                try {
                    if (auto served = serve(socket, *raw); !served) {
                        log::debug("app", "a command's conversation ended", {{"why", served.error().message}});
                    }
                } catch (const std::exception& error) {  // this conversation ends, the archive does not
                    log::error("app", "a command's conversation broke", {{"why", error.what()}});
                }
                raw->done.store(true);
            });
        }
        for (auto& connection : connections) connection->stop.store(true);
        connections.clear();
    }

    Result<void> serve(LineSocket& socket, Connection& connection) {
        const auto nonce = crypto::random_bytes32();
        FID_CHECK(socket.write({{"nonce", to_hex(nonce)}}));
        FID_TRY(const auto asked, socket.read(stopping));
        const auto proof = from_hex(text_of(asked, "proof"));
        const auto expected = crypto::hmac_sha256(key->view(), {nonce});
        if (!proof || !crypto::equal_constant_time(*proof, expected)) {
            return socket.write(error_message(Error{ErrorCode::denied, "the running archive does not accept this passphrase"}));
        }
        const auto* arguments = asked.if_contains("arguments");
        const json::object none;
        std::mutex writing;
        const auto emit = [&](const json::object& event) {
            const std::lock_guard lock(writing);
            if (socket.gone() || !socket.write({{"event", event}})) connection.stop.store(true);
        };
        std::jthread watcher([&](std::stop_token done) {  // a client that goes away, or says stop, stops what it asked for
            while (!done.stop_requested() && !connection.stop.load()) {
                if (stopping.load() || socket.gone_or_speaks()) connection.stop.store(true);
                std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
            }
        });
        auto result = run(text_of(asked, "operation"), arguments != nullptr && arguments->is_object() ? arguments->get_object() : none,
                          emit, connection.stop);
        const std::lock_guard lock(writing);
        if (!result) return socket.write(error_message(result.error()));
        return socket.write({{"result", std::move(*result)}});
    }
};

ControlServer::ControlServer() : state_(std::make_unique<State>()) {}

ControlServer::~ControlServer() {
    state_->stopping.store(true);
    if (state_->acceptor.joinable()) state_->acceptor.join();
    if (state_->fd >= 0) {
        ::close(state_->fd);
        ::unlink(state_->path.c_str());
    }
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::filesystem::path& socket, const crypto::Secret& control_key,
                                                            archive::RunOperation run) {
    std::unique_ptr<ControlServer> server(new ControlServer());
    FID_TRY(server->state_->fd, open_socket(socket, true));
    server->state_->path = socket;
    server->state_->key = &control_key;
    server->state_->run = std::move(run);
    server->state_->acceptor = std::jthread([state = server->state_.get()] { state->accept_all(); });
    return server;
}

Result<json::object> ask_running_archive(const std::filesystem::path& path, const crypto::Secret& control_key, std::string_view operation,
                                         const json::object& arguments, const archive::EmitEvent& emit, const std::atomic<bool>& stop) {
    FID_TRY(const int fd, open_socket(path, false));
    LineSocket socket(fd);
    FID_TRY(const auto greeting, socket.read(stop));
    FID_TRY(const auto nonce, from_hex(text_of(greeting, "nonce")));
    const auto proof = crypto::hmac_sha256(control_key.view(), {nonce});
    FID_CHECK(socket.write({{"proof", to_hex(proof)}, {"operation", operation}, {"arguments", arguments}}));
    const std::atomic<bool> never{false};
    for (bool told = false;;) {
        auto answer = socket.read(told ? never : stop);
        if (!answer && answer.error().code == ErrorCode::cancelled && !told) {  // what was done until then comes as the result
            told = true;
            FID_CHECK(socket.write({{"stop", true}}));
            continue;
        }
        FID_TRY(auto said, std::move(answer));
        if (auto* event = said.if_contains("event"); event != nullptr && event->is_object()) {
            emit(event->get_object());
        } else if (auto* error = said.if_contains("error"); error != nullptr && error->is_object()) {
            return fail(error_from(error->get_object()));
        } else if (auto* result = said.if_contains("result"); result != nullptr && result->is_object()) {
            return std::move(result->get_object());
        } else {
            return fail(ErrorCode::malformed, "the running archive answered something unexpected");
        }
    }
}

}  // namespace fiducial::app
