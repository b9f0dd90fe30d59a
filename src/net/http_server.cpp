#include "net/http_server.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <condition_variable>
#include <mutex>
#include <unordered_set>

#include "base/log.hpp"
#include "net/impl/http_connection.hpp"

namespace fiducial::net {

using namespace std::chrono_literals;

Task<Result<std::string>> Request::read_all(std::size_t max_bytes) {
    limit_body(max_bytes);
    std::string out;
    Bytes piece(16'384);
    for (;;) {
        auto got = co_await read(piece);
        if (!got) co_return fail(got.error());
        if (*got == 0) co_return out;
        out.append(as_text(ByteView(piece).first(*got)));
    }
}

std::string problem_json(const Error& error, std::string_view request_id, unsigned status) {
    const auto& row = describe(error.code);
    if (status == 0) status = row.http_status;
    boost::json::object out;
    out["type"] = "about:blank";
    out["title"] = std::string_view(row.text);
    out["status"] = status;
    out["code"] = std::string_view(row.name);
    if (status < 500 && !error.message.empty()) out["detail"] = error.message;  // what is wrong inside stays in the log
    if (!request_id.empty()) out["requestId"] = request_id;
    return boost::json::serialize(out);
}

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
    Runtime& runtime;
    std::shared_ptr<impl::HttpShared> shared = std::make_shared<impl::HttpShared>();
    std::unique_ptr<Listener> listener;

    std::mutex mutex;
    std::condition_variable changed;
    std::unordered_set<std::shared_ptr<impl::HttpConnection>> connections;
    bool accepting = false;
    std::uint64_t accepted = 0;

    explicit Impl(Runtime& used) : runtime(used) {}

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
            while (!make_room() && !shared->stopping) co_await sleep_for(10ms);
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
        if (connections.size() < shared->limits.max_connections) return true;
        impl::HttpConnection* idlest = nullptr;
        for (const auto& connection : connections) {
            if (connection->idle() && (!idlest || connection->idle_since() < idlest->idle_since())) idlest = connection.get();
        }
        if (idlest) idlest->stream().close();
        return false;
    }

    void serve(std::shared_ptr<Stream> stream) {
        auto connection = std::make_shared<impl::HttpConnection>(shared, stream);
        {
            const std::lock_guard lock(mutex);
            connections.insert(connection);
            ++accepted;
        }
        runtime.spawn_on(stream->executor(), "http connection", serve_one(shared_from_this(), connection));
    }

    static Task<void> serve_one(std::shared_ptr<Impl> self, std::shared_ptr<impl::HttpConnection> connection) {
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
            if (!idle_only || connection->idle()) connection->stream().close();
        }
    }

    void stop(std::chrono::milliseconds grace) {
        shared->stopping = true;
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

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() {
    if (impl_) stop(0ms);
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(Runtime& runtime, const ListenSettings& listen, const HttpLimits& limits,
                                                      std::shared_ptr<HttpHandler> handler) {
    ListenSettings settings = listen;
    settings.allow_plain_beyond_loopback = false;
    std::unique_ptr<HttpServer> out(new HttpServer);
    auto impl = std::make_shared<Impl>(runtime);
    impl->shared->limits = limits;
    impl->shared->handler = std::move(handler);
    FID_TRY(impl->listener, Listener::open(runtime, settings));
    impl->accepting = true;
    runtime.spawn_on(impl->listener->executor(), "http accept", impl->accept_loop());
    out->impl_ = std::move(impl);
    return out;
}

std::uint16_t HttpServer::port() const {
    return impl_->listener->port();
}

HttpServerCounters HttpServer::counters() const {
    HttpServerCounters out;
    out.requests = impl_->shared->requests;
    out.refused = impl_->shared->refused;
    out.aborted = impl_->shared->aborted;
    const std::lock_guard lock(impl_->mutex);
    out.connections = impl_->connections.size();
    out.accepted = impl_->accepted;
    return out;
}

void HttpServer::stop(std::chrono::milliseconds grace) {
    impl_->stop(grace);
}

}  // namespace fiducial::net
