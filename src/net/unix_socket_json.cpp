#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/descriptor.hpp"
#include "base/file.hpp"
#include "net/client.hpp"
#include "net/impl/json_framing.hpp"
#include "net/impl/turn.hpp"

namespace fiducial::net {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Deadline = SteadyClock::time_point;

/// Waits until the descriptor is ready for events. Errors: timeout.
Result<void> wait_for(int fd, short events, Deadline deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
        if (left <= 0) return fail(ErrorCode::timeout, "no answer in time");
        pollfd item{fd, events, 0};
        const int ready = ::poll(&item, 1, static_cast<int>(std::min<long long>(left, 3'600'000)));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail(ErrorCode::unavailable, std::string("poll: ") + std::strerror(errno));
    }
}

/// Fills in the address. A path that does not fit is reached through its folder's descriptor, which must stay open until connected.
Result<Descriptor> address_of(const std::filesystem::path& path, sockaddr_un& address) {
    address.sun_family = AF_UNIX;
    Descriptor folder;
    std::string text = path.native();
    if (text.empty()) return fail(ErrorCode::invalid_argument, "the socket has no path");
    if (text.size() >= sizeof(address.sun_path)) {
        folder = Descriptor(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!folder) return fail(error_from_errno(errno, "open the folder of socket", path));
        text = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + path.filename().native();
        if (text.size() >= sizeof(address.sun_path))
            return fail(ErrorCode::invalid_argument, "the socket's name is too long: " + path.native());
    }
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    return folder;
}

Result<Descriptor> connect_to(const std::filesystem::path& path, Deadline deadline) {
    sockaddr_un address{};
    FID_TRY(auto folder, address_of(path, address));
    Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail(error_from_errno(errno, "make a socket for", path));
    for (;;) {
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
        if (errno == EINTR) continue;
        if (errno == EACCES || errno == EPERM) return fail(error_from_errno(errno, "connect to", path));
        if (errno != EAGAIN) return fail(ErrorCode::unavailable, "connect to " + path.native() + ": " + std::strerror(errno));
        // EAGAIN: the peer's backlog is full, which poll() does not tell of.
        if (SteadyClock::now() >= deadline) return fail(ErrorCode::timeout, "connect to " + path.native() + ": not accepted in time");
        ::poll(nullptr, 0, 5);
    }
}

/// Whether a kept connection can take another question: the peer has neither closed it nor said something nobody asked for.
/// The line break after the last answer may come late.
bool still_usable(int fd) {
    std::array<char, 64> buffer;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    return got > 0 && got < static_cast<ssize_t>(buffer.size()) && text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Result<void> send_all(int fd, std::string_view text, Deadline deadline) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            text.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            FID_CHECK(wait_for(fd, POLLOUT, deadline));
        } else if (errno != EINTR) {
            return fail(ErrorCode::unavailable, std::string("the connection broke: ") + std::strerror(errno));
        }
    }
    return {};
}

Result<std::string> receive_one(int fd, std::size_t max_bytes, Deadline deadline) {
    std::string answer;
    impl::JsonFraming framing;
    std::array<char, 65'536> buffer;
    for (;;) {
        const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            FID_CHECK(wait_for(fd, POLLIN, deadline));
            continue;
        }
        if (got < 0) return fail(ErrorCode::unavailable, std::string("the connection broke: ") + std::strerror(errno));
        if (got == 0) return fail(ErrorCode::unavailable, "the peer closed the connection before it answered");
        const std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
        FID_TRY(const auto end, framing.feed(piece));
        const auto part = piece.substr(0, end);
        if (part.size() > max_bytes - answer.size()) {
            return fail(ErrorCode::limit_exceeded, "the answer is larger than " + std::to_string(max_bytes) + " bytes");
        }
        answer.append(part);
        if (end != impl::JsonFraming::npos) {
            if (piece.find_first_not_of(" \t\r\n", end) != std::string_view::npos) {
                return fail(ErrorCode::malformed, "something follows the answer that nobody asked for");
            }
            return answer;
        }
        if (SteadyClock::now() >= deadline) return fail(ErrorCode::timeout, "no whole answer in time");
    }
}

}  // namespace

struct UnixSocketJson::Impl {
    std::filesystem::path path;
    std::size_t max_answer_bytes;
    impl::Turn turn;
    Descriptor connection;

    Result<std::string> exchange(std::string_view request, Deadline deadline) {
        if (connection && !still_usable(connection.get())) connection.reset();
        if (!connection) {
            FID_TRY(connection, connect_to(path, deadline));
        }
        FID_CHECK(send_all(connection.get(), request, deadline));
        FID_CHECK(send_all(connection.get(), "\n", deadline));
        return receive_one(connection.get(), max_answer_bytes, deadline);
    }
};

UnixSocketJson::UnixSocketJson(std::filesystem::path socket, std::size_t max_answer_bytes) : impl_(std::make_unique<Impl>()) {
    impl_->path = std::move(socket);
    impl_->max_answer_bytes = max_answer_bytes;
}
UnixSocketJson::~UnixSocketJson() = default;

Result<std::string> UnixSocketJson::exchange(std::string_view request, std::chrono::milliseconds timeout) {
    const auto deadline = SteadyClock::now() + timeout;
    const impl::Turn::Held turn(impl_->turn, deadline);
    if (!turn) return fail(ErrorCode::timeout, "another call kept the connection busy");
    auto answer = impl_->exchange(request, deadline);
    if (!answer) {
        impl_->connection.reset();  // a late answer must not be taken for the next one
        return fail(answer.error().with(impl_->path.native()));
    }
    return answer;
}

}  // namespace fiducial::net
