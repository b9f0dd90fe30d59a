#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "net/http_syntax.hpp"
#include "net/runtime.hpp"
#include "net/stream.hpp"
#include "net/task.hpp"

namespace fiducial::net {

struct HttpLimits {
    std::size_t max_header_bytes = 16'384;             // request line and fields together: 431
    std::size_t max_header_fields = 100;               // 431
    std::uint64_t max_body_bytes = 1 << 20;            // unless the handler says otherwise: 413
    std::size_t max_connections = 1'024;               // beyond: one that idles between requests is closed, else accepting pauses
    std::chrono::milliseconds header_timeout{10'000};  // from the first byte of a request to the end of its header: 408
    std::chrono::milliseconds idle_timeout{60'000};    // between requests, and for any one read or write to make progress
    std::uint64_t min_bytes_per_second = 1'024;        // of a body, in and out, over all the time spent waiting for the peer
    std::chrono::milliseconds rate_grace{10'000};      // waiting that costs nothing
};

/// One request. Its body is read by the handler as it comes.
class Request {
public:
    virtual ~Request() = default;
    virtual const std::string& method() const = 0;
    virtual const Target& target() const = 0;
    virtual const HeaderFields& headers() const = 0;
    virtual const std::string& peer() const = 0;
    virtual bool secure() const = 0;
    /// Returns: nothing for a chunked body; 0 where there is no body.
    virtual std::optional<std::uint64_t> content_length() const = 0;
    /// Sets how large this request's body may be, before it is read.
    virtual void limit_body(std::uint64_t bytes) = 0;
    /// Reads a piece of the body; the first call sends "100 Continue" where the client waits for it.
    /// Returns: bytes read, 0 at the body's end.
    /// Errors: limit_exceeded, timeout (idle or too slow), malformed (chunk framing, or an end too early), unavailable (client gone),
    /// cancelled (stop).
    virtual Task<Result<std::size_t>> read(MutableByteView out) = 0;
    /// Reads the rest of the body. Errors: as read; limit_exceeded beyond max_bytes.
    Task<Result<std::string>> read_all(std::size_t max_bytes);
};

/// The answer to one request: either send(), or begin(), write() any number of times, finish().
/// A handler that fails after begin(), leaves finish() out, or writes less than it announced, has the connection broken: the client sees a
/// truncated body, never a clean end. To HEAD, and with 204 and 304, the body is left out by itself.
class Response {
public:
    virtual ~Response() = default;
    /// Requires: nothing was sent yet.
    virtual void set_status(unsigned status) = 0;
    virtual void set_header(std::string_view name, std::string value) = 0;
    virtual bool begun() const = 0;
    /// Sends status, header and a whole body.
    virtual Task<Result<void>> send(std::string body) = 0;
    /// Sends status and header; the body follows, of that length or chunked (to HTTP/1.0: until the connection closes, which is broken
    /// on failure).
    virtual Task<Result<void>> begin(std::optional<std::uint64_t> content_length) = 0;
    /// Small pieces are gathered; returns when the rest has been handed to the socket, so that a slow client slows the writer.
    /// Errors: timeout, unavailable, cancelled: stop writing; invalid_argument when more comes than was announced.
    virtual Task<Result<void>> write(ByteView bytes) = 0;
    virtual Task<Result<void>> flush() = 0;
    virtual Task<Result<void>> finish() = 0;
};

/// Answers requests. Called side by side for different connections, one after another on the same one.
/// An error before the answer began is sent as application/problem+json with the status of the one error table; afterwards it breaks
/// the connection.
class HttpHandler {
public:
    virtual ~HttpHandler() = default;
    virtual Task<Result<void>> handle(Request& request, Response& response) = 0;
};

struct HttpServerCounters {
    std::uint64_t connections = 0;  // open now
    std::uint64_t accepted = 0;
    std::uint64_t requests = 0;
    std::uint64_t refused = 0;  // answered by the server itself: malformed, too large, too slow
    std::uint64_t aborted = 0;  // answers broken off
};

/// An HTTP/1.1 server. Spec: RFC 9110, RFC 9112; TLS as TlsContext says.
/// Errors:   of start: as Listener::open; plain HTTP listens on loopback addresses only
/// Threads:  safe
/// Security: a request with both Content-Length and Transfer-Encoding, an obsolete fold or a bare CR is refused (request smuggling)
class HttpServer {
public:
    static Result<std::unique_ptr<HttpServer>> start(Runtime& runtime, const ListenSettings& listen, const HttpLimits& limits,
                                                     std::shared_ptr<HttpHandler> handler);
    ~HttpServer();  // stop() without grace
    std::uint16_t port() const;
    HttpServerCounters counters() const;
    /// Stops accepting, closes idle connections, lets running requests finish for up to grace, then breaks them.
    /// Requires: not called from a runtime thread; the runtime still runs. Returns once no handler runs any more.
    void stop(std::chrono::milliseconds grace);

private:
    HttpServer();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Returns: an RFC 9457 problem document for an error: title from the error table, detail from its message where the client is the one
///     who can do something about it. status 0: that of the error table.
std::string problem_json(const Error& error, std::string_view request_id, unsigned status = 0);

}  // namespace fiducial::net
