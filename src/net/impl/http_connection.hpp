#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "net/connection_server.hpp"
#include "net/http_server.hpp"
#include "net/impl/http_parser.hpp"

namespace fiducial::net::impl {

/// What all connections of a server share.
struct HttpShared {
    HttpLimits limits;
    std::shared_ptr<HttpHandler> handler;
    std::atomic<bool> stopping = false;
    std::atomic<std::uint64_t> requests = 0;
    std::atomic<std::uint64_t> refused = 0;
    std::atomic<std::uint64_t> aborted = 0;
};

/// One client's connection: reads requests one after another, and is the Request and the Response of the one that runs.
class HttpConnection final : public Connection, public Request, public Response {
public:
    HttpConnection(std::shared_ptr<HttpShared> shared, std::shared_ptr<Stream> stream);

    // Connection
    Task<void> run() override;
    std::int64_t idle_since() const override { return idle_since_; }  // while it waits for a request of which nothing has come yet
    Stream& stream() override { return *stream_; }

    // Request
    const std::string& method() const override { return parser_->head().method; }
    const Target& target() const override { return parser_->head().target; }
    const HeaderFields& headers() const override { return parser_->head().headers; }
    const std::string& peer() const override { return stream_->peer(); }
    bool secure() const override { return stream_->secure(); }
    std::optional<std::uint64_t> content_length() const override;
    void limit_body(std::uint64_t bytes) override { body_limit_ = bytes; }
    Task<Result<std::size_t>> read(MutableByteView out) override;

    // Response
    void set_status(unsigned status) override;
    void set_header(std::string_view name, std::string value) override;
    bool begun() const override { return begun_; }
    Task<Result<void>> send(std::string body) override;
    Task<Result<void>> begin(std::optional<std::uint64_t> content_length) override;
    Task<Result<void>> write(ByteView bytes) override;
    Task<Result<void>> flush() override;
    Task<Result<void>> finish() override;

private:
    using SteadyClock = std::chrono::steady_clock;

    Task<bool> read_request();    // false: the connection is to end
    Task<bool> answer_request();  // false: the connection is to end
    Task<Result<void>> call_handler();
    Task<void> refuse(Error error, unsigned status);
    Task<bool> drain_body();

    Task<Result<std::size_t>> read_piece(MutableByteView out);
    Task<Result<std::size_t>> read_chunked_piece(MutableByteView out);
    Task<Result<std::size_t>> receive(MutableByteView out);
    Task<Result<void>> transmit(ByteView first, ByteView second);
    std::chrono::milliseconds patience(std::uint64_t bytes, std::chrono::nanoseconds waited) const;
    void start_request();
    std::string header_text(std::optional<std::uint64_t> content_length);
    bool body_allowed() const;

    std::shared_ptr<HttpShared> shared_;
    std::shared_ptr<Stream> stream_;
    std::atomic<std::int64_t> idle_since_;
    Bytes input_;  // received and not used: [input_begin_, input_end_)
    std::size_t input_begin_ = 0;
    std::size_t input_end_ = 0;
    std::optional<HttpRequestParser> parser_;

    // the request that runs
    std::uint64_t body_limit_ = 0;
    std::uint64_t body_read_ = 0;
    bool body_ended_ = false;
    bool body_failed_ = false;
    bool continue_sent_ = false;
    std::uint64_t received_ = 0;
    std::chrono::nanoseconds waited_in_{0};

    // its answer
    unsigned status_ = 200;
    HeaderFields answer_headers_;
    bool begun_ = false;
    bool finished_ = false;
    bool write_failed_ = false;
    bool chunked_ = false;
    bool close_after_ = false;
    std::optional<std::uint64_t> left_to_write_;
    Bytes output_;  // gathered, not yet sent
    std::uint64_t sent_ = 0;
    std::chrono::nanoseconds waited_out_{0};
};

}  // namespace fiducial::net::impl
