#pragma once
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "net/http_syntax.hpp"

// Blocking clients, for threads that may wait. Coroutines use them through a BlockingPool.
namespace fiducial::net {

/// One question, one answer, both a JSON text (a JSON-RPC call or batch).
class JsonTransport {
public:
    virtual ~JsonTransport() = default;
    /// Errors:  unavailable: nobody answers, or the connection broke (the request may have been carried out); timeout: the same, too late;
    ///          limit_exceeded: the answer is larger than allowed; malformed: not framed as the transport wants;
    ///          unauthenticated, denied: HTTP 401, 403
    ///          After any error the next call starts on a fresh connection. A request is never sent twice by itself.
    /// Threads: safe; calls go one after another, and waiting for a turn counts towards the time-out.
    virtual Result<std::string> exchange(std::string_view request, std::chrono::milliseconds timeout) = 0;
};

/// JSON over a Unix socket, as geth's IPC speaks it: texts one after another, told apart by their outermost bracket.
class UnixSocketJson final : public JsonTransport {
public:
    /// Connects at the first exchange, and again when the peer has gone. A path beyond the system's 107 bytes works too.
    explicit UnixSocketJson(std::filesystem::path socket, std::size_t max_answer_bytes = std::size_t{64} << 20);
    ~UnixSocketJson() override;
    Result<std::string> exchange(std::string_view request, std::chrono::milliseconds timeout) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct HttpClientSettings {
    std::string ca_file;        // PEM; empty: the system's
    std::string user_password;  // "name:password" of Basic authentication (RFC 7617); empty: none
    std::size_t max_answer_bytes = std::size_t{64} << 20;
    std::chrono::milliseconds connect_timeout{5'000};
};
struct HttpClientRequest {
    std::string method = "GET";
    std::string url;  // http or https; redirects are never followed
    HeaderFields headers;
    std::string body;
};
struct HttpClientAnswer {
    unsigned status = 0;
    HeaderFields headers;
    std::string body;
};

/// Bodies that are sent and taken piece by piece, of any size. What a function fails with ends the transfer, and is what that fails with.
struct HttpStreams {
    /// Puts the next bytes of the request's body into `out`; 0 at its end. Without it, HttpClientRequest::body is sent.
    std::function<Result<std::size_t>(MutableByteView out)> give{};
    /// Takes a piece of the body of an answer with a status of 2xx; `answer` has its status and header. Any other body, and every one
    /// without this function, goes into HttpClientAnswer::body.
    std::function<Result<void>(const HttpClientAnswer& answer, ByteView piece)> take{};
};

/// HTTP/1.1 with one kept connection.
/// Errors:   of send and transfer: invalid_argument (URL), unavailable, timeout, limit_exceeded, unverified (the server's certificate);
/// messages name
///           the host, never the whole URL, which may carry a secret
/// Threads:  safe; one call at a time
/// Security: certificates and names are always verified; proxies from the environment are ignored
class HttpClient {
public:
    explicit HttpClient(HttpClientSettings settings = {});
    ~HttpClient();
    /// Returns: the answer, whatever its status.
    Result<HttpClientAnswer> send(const HttpClientRequest& request, std::chrono::milliseconds timeout);
    /// The same, piece by piece. `stall`: for how long less than a KiB a second may come or go, and at most two hours in all.
    Result<HttpClientAnswer> transfer(const HttpClientRequest& request, const HttpStreams& streams, std::chrono::seconds stall);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// JSON by HTTP POST.
class HttpJson final : public JsonTransport {
public:
    explicit HttpJson(std::string url, HttpClientSettings settings = {}) : url_(std::move(url)), client_(std::move(settings)) {}
    /// A status other than 200: 401 unauthenticated, 403 denied, 413 limit_exceeded, all else unavailable.
    Result<std::string> exchange(std::string_view request, std::chrono::milliseconds timeout) override;

private:
    std::string url_;
    HttpClient client_;
};

/// Errors: invalid_argument for an address that transport_to cannot do with, as ws://….
Result<void> check_transport(const std::string& url);
/// By what a node is named with: http(s)://… gives HttpJson, anything else is the path of a Unix socket.
std::shared_ptr<JsonTransport> transport_to(const std::string& url);

}  // namespace fiducial::net
