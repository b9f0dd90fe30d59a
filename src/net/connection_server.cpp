#include "net/connection_server.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <unordered_set>

#include "base/log.hpp"

namespace fiducial::net {

using namespace std::chrono_literals;

struct ConnectionServer::Impl : std::enable_shared_from_this<ConnectionServer::Impl> {
    Runtime& runtime;
    const std::size_t max_connections;
    const std::string name;
    Serve make;
    std::unique_ptr<Listener> listener;
    std::atomic<bool> stopping = false;

    std::mutex mutex;
    std::condition_variable changed;
    std::unordered_set<std::shared_ptr<Connection>> connections;
    bool accepting = false;
    std::uint64_t accepted = 0;

    Impl(Runtime& used, std::size_t most, std::string called, Serve serve)
        : runtime(used), max_connections(most), name(std::move(called)), make(std::move(serve)) {}

    Task<void> accept_loop() {
        const auto self = shared_from_this();
        for (;;) {
            auto stream = co_await listener->accept();
            if (!stream && stream.error().code == ErrorCode::cancelled) break;
            if (!stream) {
                log::warning("net", "no connection could be accepted", {{"why", stream.error().message}});
                co_await sleep_for(100ms);
                continue;
            }
            while (!make_room() && !stopping) co_await sleep_for(10ms);
            serve(*std::move(stream));
        }
        const std::lock_guard lock(mutex);
        accepting = false;
        changed.notify_all();
    }

    /// Returns: whether another connection can be served. If not, the one that has been idle the longest is asked to go, so that
    /// clients which only hold connections do not keep others out.
    bool make_room() {
        const std::lock_guard lock(mutex);
        if (connections.size() < max_connections) return true;
        Connection* idlest = nullptr;
        for (const auto& connection : connections) {
            const auto since = connection->idle_since();
            if (since != 0 && (!idlest || since < idlest->idle_since())) idlest = connection.get();
        }
        if (idlest) idlest->stream().close();
        return false;
    }

    void serve(std::shared_ptr<Stream> stream) {
        auto connection = make(stream);
        {
            const std::lock_guard lock(mutex);
            connections.insert(connection);
            ++accepted;
        }
        runtime.spawn_on(stream->executor(), name, serve_one(shared_from_this(), connection));
    }

    static Task<void> serve_one(std::shared_ptr<Impl> self, std::shared_ptr<Connection> connection) {
        try {
            co_await connection->run();
        } catch (const std::exception& e) {
            log::error("net", "a connection ended by an exception", {{"what", e.what()}});
            connection->stream().close();
        }
        const std::lock_guard lock(self->mutex);
        self->connections.erase(connection);
        self->changed.notify_all();
    }

    void close_connections(bool idle_only) {
        const std::lock_guard lock(mutex);
        for (const auto& connection : connections) {
            if (!idle_only || connection->idle_since() != 0) connection->stream().close();
        }
    }

    void stop(std::chrono::milliseconds grace) {
        stopping = true;
        listener->close();
        close_connections(true);
        const auto gone = [this] { return connections.empty() && !accepting; };
        std::unique_lock lock(mutex);
        if (changed.wait_for(lock, grace, gone)) return;
        while (!gone()) {  // also those accepted meanwhile
            lock.unlock();
            close_connections(false);
            lock.lock();
            changed.wait_for(lock, 100ms, gone);
        }
    }
};

ConnectionServer::ConnectionServer() = default;
ConnectionServer::~ConnectionServer() {
    if (impl_) stop(0ms);
}

Result<std::unique_ptr<ConnectionServer>> ConnectionServer::start(Runtime& runtime, const ListenSettings& listen,
                                                                  std::size_t max_connections, std::string name, Serve serve) {
    std::unique_ptr<ConnectionServer> out(new ConnectionServer);
    auto impl = std::make_shared<Impl>(runtime, max_connections, std::move(name), std::move(serve));
    FID_TRY(impl->listener, Listener::open(runtime, listen));
    impl->accepting = true;
    runtime.spawn_on(impl->listener->executor(), impl->name + " accept", impl->accept_loop());
    out->impl_ = std::move(impl);
    return out;
}

std::uint16_t ConnectionServer::port() const {
    return impl_->listener->port();
}

ConnectionServer::Counters ConnectionServer::counters() const {
    const std::lock_guard lock(impl_->mutex);
    return {impl_->connections.size(), impl_->accepted};
}

void ConnectionServer::stop(std::chrono::milliseconds grace) {
    impl_->stop(grace);
}

}  // namespace fiducial::net
