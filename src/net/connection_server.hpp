#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/runtime.hpp"
#include "net/stream.hpp"
#include "net/task.hpp"

namespace fiducial::net {

/// One accepted connection, served by one coroutine on its stream's strand.
class Connection {
public:
    virtual ~Connection() = default;
    /// Serves it to its end. Requires: awaited on the stream's executor.
    virtual Task<void> run() = 0;
    /// Since when it only waits for the peer to begin something, in steady ticks; 0: it works. One that waits may be closed without harm.
    /// Threads: safe.
    virtual std::int64_t idle_since() const = 0;
    virtual Stream& stream() = 0;
};

/// Accepts connections and keeps account of them: what the servers of all protocols have in common.
/// With one connection more than max_connections the one that has been idle the longest is closed; where none is, accepting pauses.
/// Errors:   of start: as Listener::open
/// Threads:  safe
class ConnectionServer {
public:
    using Serve = std::function<std::shared_ptr<Connection>(std::shared_ptr<Stream>)>;
    struct Counters {
        std::uint64_t connections = 0;  // open now
        std::uint64_t accepted = 0;
    };

    /// `name` is what a connection's coroutine is called in the log; `serve` is called on a runtime thread.
    static Result<std::unique_ptr<ConnectionServer>> start(Runtime& runtime, const ListenSettings& listen, std::size_t max_connections,
                                                           std::string name, Serve serve);
    ~ConnectionServer();  // stop() without grace
    std::uint16_t port() const;
    Counters counters() const;
    /// Stops accepting, closes idle connections, lets the others end for up to grace, then breaks them.
    /// Requires: not called from a runtime thread; the runtime still runs. Returns once no connection is served any more.
    void stop(std::chrono::milliseconds grace);

private:
    ConnectionServer();
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace fiducial::net
