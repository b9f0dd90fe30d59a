#include "net/http_server.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "net/connection_server.hpp"
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

struct HttpServer::Impl {
    std::shared_ptr<impl::HttpShared> shared = std::make_shared<impl::HttpShared>();
    std::unique_ptr<ConnectionServer> server;
};

HttpServer::HttpServer() : impl_(std::make_unique<Impl>()) {}
HttpServer::~HttpServer() {
    stop(0ms);
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(Runtime& runtime, const ListenSettings& listen, const HttpLimits& limits,
                                                      std::shared_ptr<HttpHandler> handler) {
    ListenSettings settings = listen;
    settings.allow_plain_beyond_loopback = false;
    std::unique_ptr<HttpServer> out(new HttpServer);
    const auto shared = out->impl_->shared;
    shared->limits = limits;
    shared->handler = std::move(handler);
    auto serve = [shared](std::shared_ptr<Stream> stream) { return std::make_shared<impl::HttpConnection>(shared, std::move(stream)); };
    FID_TRY(out->impl_->server, ConnectionServer::start(runtime, settings, limits.max_connections, "http connection", std::move(serve)));
    return out;
}

std::uint16_t HttpServer::port() const {
    return impl_->server->port();
}

HttpServerCounters HttpServer::counters() const {
    HttpServerCounters out;
    out.requests = impl_->shared->requests;
    out.refused = impl_->shared->refused;
    out.aborted = impl_->shared->aborted;
    const auto counters = impl_->server->counters();
    out.connections = counters.connections;
    out.accepted = counters.accepted;
    return out;
}

void HttpServer::stop(std::chrono::milliseconds grace) {
    if (!impl_->server) return;
    impl_->shared->stopping = true;
    impl_->server->stop(grace);
}

}  // namespace fiducial::net
