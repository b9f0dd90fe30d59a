#include "net/impl/http_connection.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "base/log.hpp"

namespace fiducial::net::impl {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 65'536;
constexpr std::size_t kGatherBytes = 65'536;
constexpr std::uint64_t kDrainBytes = 262'144;  // of a body nobody wanted, to keep the connection
constexpr auto kLinger = 2s;

/// Spec: RFC 9110 §5.6.7
std::string http_date() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::array<char, 64> text{};
    const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text.data(), size};
}

bool is_control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}
bool is_field_value(std::string_view text) {
    return std::none_of(text.begin(), text.end(), is_control);
}

void append_text(Bytes& out, std::string_view text) {
    append(out, as_bytes(text));
}

std::string chunk_head(std::size_t size) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    do {
        out.insert(out.begin(), kDigits[size & 15]);
        size >>= 4;
    } while (size != 0);
    return out += "\r\n";
}

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpShared> shared, std::shared_ptr<Stream> stream)
    : shared_(std::move(shared)), stream_(std::move(stream)), idle_since_(SteadyClock::now().time_since_epoch().count()) {
    input_.resize(std::max(kInputBytes, shared_->limits.max_header_bytes + 1024));
}

Task<void> HttpConnection::run() {
    stream_->set_deadline(SteadyClock::now() + shared_->limits.header_timeout);
    auto secured = co_await stream_->handshake();
    if (!secured) {
        if (secured.error().code == ErrorCode::malformed)
            log::info("net", "a TLS handshake failed", {{"peer", peer()}, {"why", secured.error().message}});
        stream_->close();
        co_return;
    }
    bool goes_on = true;
    while (goes_on) {
        goes_on = co_await read_request();
        if (!goes_on) break;
        goes_on = co_await answer_request();
    }
}

void HttpConnection::start_request() {
    HeaderLimits limits;
    limits.max_bytes = shared_->limits.max_header_bytes;
    limits.max_fields = shared_->limits.max_header_fields;
    parser_.emplace(limits);
    body_limit_ = shared_->limits.max_body_bytes;
    body_read_ = received_ = sent_ = 0;
    body_ended_ = body_failed_ = continue_sent_ = false;
    waited_in_ = waited_out_ = 0ns;
    status_ = 200;
    answer_headers_ = {};
    begun_ = finished_ = write_failed_ = chunked_ = close_after_ = false;
    left_to_write_.reset();
    output_.clear();
}

Task<bool> HttpConnection::read_request() {
    start_request();
    std::copy(input_.begin() + static_cast<std::ptrdiff_t>(input_begin_), input_.begin() + static_cast<std::ptrdiff_t>(input_end_),
              input_.begin());
    input_end_ -= input_begin_;
    input_begin_ = 0;
    bool waiting = input_end_ == 0;
    stream_->set_deadline(SteadyClock::now() + (waiting ? shared_->limits.idle_timeout : shared_->limits.header_timeout));
    for (;;) {
        if (!waiting) {
            const auto text = as_text(ByteView(input_).first(input_end_));
            auto used = parser_->read_header(text);
            if (!used) {
                co_await refuse(used.error(), parser_->status());
                co_return false;
            }
            if (*used > 0) {
                input_begin_ = *used;
                co_return true;
            }
        }
        idle_since_ = waiting ? SteadyClock::now().time_since_epoch().count() : 0;
        if (shared_->stopping && waiting) break;
        const auto room = MutableByteView(input_).subspan(input_end_);
        auto got = co_await stream_->read_some(room);
        idle_since_ = 0;
        if (!got && got.error().code == ErrorCode::timeout && !waiting) {
            co_await refuse(got.error(), 408);
            co_return false;
        }
        if (!got || *got == 0) break;
        if (waiting) stream_->set_deadline(SteadyClock::now() + shared_->limits.header_timeout);
        waiting = false;
        input_end_ += *got;
    }
    co_await stream_->finish(0ms);
    co_return false;
}

/// Answers a request that never reaches the handler, and ends the connection.
Task<void> HttpConnection::refuse(Error error, unsigned status) {
    ++shared_->refused;
    log::info("net", "a request was refused", {{"peer", peer()}, {"status", status}, {"why", error.message}});
    std::string body = problem_json(error, "", status);
    std::string text = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_phrase(status)) + "\r\nDate: " + http_date() +
                       "\r\nContent-Type: application/problem+json\r\nContent-Length: " + std::to_string(body.size()) +
                       "\r\nConnection: close\r\n\r\n" + body;
    stream_->set_deadline(SteadyClock::now() + kLinger);
    auto written = co_await stream_->write(as_bytes(text), ByteView());
    if (written) {
        co_await stream_->finish(kLinger);
    } else {
        stream_->close();
    }
}

Task<Result<void>> HttpConnection::call_handler() {
    try {
        co_return co_await shared_->handler->handle(*this, *this);
    } catch (const std::exception& e) {
        co_return fail(ErrorCode::internal, std::string("the handler threw: ") + e.what());
    }
}

Task<bool> HttpConnection::answer_request() {
    ++shared_->requests;
    const auto& head = parser_->head();
    body_ended_ = !head.chunked && head.content_length == 0;
    auto handled = co_await call_handler();
    if (handled && !finished_) handled = fail(ErrorCode::internal, "the handler did not finish its answer");
    if (!handled && !begun_) {
        const auto& row = describe(handled.error().code);
        log::info("net", "a request failed", {{"peer", peer()}, {"status", row.http_status}, {"why", handled.error().message}});
        answer_headers_ = {};
        set_status(row.http_status);
        set_header("Content-Type", "application/problem+json");
        handled = co_await send(problem_json(handled.error(), ""));
    }
    if (!handled || write_failed_) {
        ++shared_->aborted;
        log::warning("net", "an answer was broken off",
                     {{"peer", peer()}, {"why", handled ? std::string("the client went away") : handled.error().message}});
        stream_->close();
        co_return false;
    }
    if (!close_after_ && !body_ended_) close_after_ = !(co_await drain_body());
    if (close_after_) {
        co_await stream_->finish(kLinger);
        co_return false;
    }
    co_return true;
}

/// Reads what the handler left of a body. Returns: whether the next request follows.
Task<bool> HttpConnection::drain_body() {
    Bytes rubbish(16'384);
    body_limit_ = body_read_ + kDrainBytes;
    while (!body_ended_) {
        auto got = co_await read(rubbish);
        if (!got) co_return false;
    }
    co_return true;
}

// ── Request ──

std::optional<std::uint64_t> HttpConnection::content_length() const {
    if (parser_->head().chunked) return std::nullopt;
    return parser_->head().content_length;
}

/// How long to wait for the peer, who has moved so many bytes and made us wait so long already.
std::chrono::milliseconds HttpConnection::patience(std::uint64_t bytes, std::chrono::nanoseconds waited) const {
    const auto earned = std::chrono::milliseconds(bytes * 1000 / std::max<std::uint64_t>(shared_->limits.min_bytes_per_second, 1));
    return shared_->limits.rate_grace + earned - std::chrono::duration_cast<std::chrono::milliseconds>(waited);
}

Task<Result<std::size_t>> HttpConnection::receive(MutableByteView out) {
    const auto left = patience(received_, waited_in_);
    if (left <= 0ms) co_return fail(ErrorCode::timeout, "the body comes too slowly");
    const auto before = SteadyClock::now();
    stream_->set_deadline(before + std::min(left, shared_->limits.idle_timeout));
    auto got = co_await stream_->read_some(out);
    waited_in_ += SteadyClock::now() - before;
    if (got && *got == 0) co_return fail(ErrorCode::malformed, "the connection ended within the body");
    if (got) received_ += *got;
    co_return got;
}

Task<Result<std::size_t>> HttpConnection::read(MutableByteView out) {
    if (body_failed_) co_return fail(ErrorCode::unavailable, "the body could not be read");
    if (body_ended_ || out.empty()) co_return std::size_t{0};
    const auto& head = parser_->head();
    if (!head.chunked && head.content_length > body_limit_) {
        body_failed_ = true;
        co_return fail(ErrorCode::limit_exceeded, "the body is larger than " + std::to_string(body_limit_) + " bytes");
    }
    if (head.expects_continue && !continue_sent_ && input_begin_ == input_end_) {
        auto sent = co_await transmit(as_bytes("HTTP/1.1 100 Continue\r\n\r\n"), ByteView());
        if (!sent) co_return fail(sent.error());
    }
    continue_sent_ = true;
    Result<std::size_t> got = std::size_t{0};
    if (head.chunked) {
        got = co_await read_chunked_piece(out);
    } else {
        got = co_await read_piece(out);
    }
    if (!got) {
        body_failed_ = true;
        co_return got;
    }
    body_read_ += *got;
    if (!head.chunked) body_ended_ = body_read_ == head.content_length;
    if (body_read_ > body_limit_) {
        body_failed_ = true;
        co_return fail(ErrorCode::limit_exceeded, "the body is larger than " + std::to_string(body_limit_) + " bytes");
    }
    co_return got;
}

Task<Result<std::size_t>> HttpConnection::read_piece(MutableByteView out) {
    const auto left = parser_->head().content_length - body_read_;
    out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left)));
    if (input_begin_ < input_end_) {
        const auto count = std::min(out.size(), input_end_ - input_begin_);
        std::copy_n(input_.begin() + static_cast<std::ptrdiff_t>(input_begin_), count, out.begin());
        input_begin_ += count;
        co_return count;
    }
    co_return co_await receive(out);  // no pipelined request can be in there: no more than the body is asked for
}

Task<Result<std::size_t>> HttpConnection::read_chunked_piece(MutableByteView out) {
    for (;;) {
        auto progress = parser_->read_chunked(ByteView(input_).subspan(input_begin_, input_end_ - input_begin_), out);
        if (!progress) co_return fail(progress.error());
        input_begin_ += progress->consumed;
        body_ended_ = progress->ended;
        if (progress->produced > 0 || progress->ended) co_return progress->produced;
        if (input_begin_ > 0) {
            std::copy(input_.begin() + static_cast<std::ptrdiff_t>(input_begin_), input_.begin() + static_cast<std::ptrdiff_t>(input_end_),
                      input_.begin());
            input_end_ -= input_begin_;
            input_begin_ = 0;
        }
        if (input_end_ == input_.size()) co_return fail(ErrorCode::malformed, "a chunk's header or trailer is too large");
        const auto room = MutableByteView(input_).subspan(input_end_);
        auto got = co_await receive(room);
        if (!got) co_return got;
        input_end_ += *got;
    }
}

// ── Response ──

void HttpConnection::set_status(unsigned status) {
    FID_INVARIANT(!begun_ && status >= 200 && status <= 599, "a response's status is set before it begins");
    status_ = status;
}

void HttpConnection::set_header(std::string_view name, std::string value) {
    FID_INVARIANT(!begun_, "a response's header is set before it begins");
    FID_INVARIANT(is_field_value(name), "a header field's name holds no control characters");
    std::replace_if(value.begin(), value.end(), is_control, ' ');  // whatever it came from, it cannot begin a line
    answer_headers_.set(name, std::move(value));
}

bool HttpConnection::body_allowed() const {
    return parser_->head().method != "HEAD" && status_ != 204 && status_ != 304;
}

std::string HttpConnection::header_text(std::optional<std::uint64_t> content_length) {
    const auto& head = parser_->head();
    chunked_ = !content_length && head.http_1_1 && status_ != 204 && status_ != 304;
    close_after_ = !head.keep_alive || shared_->stopping || body_failed_;
    if (!content_length && !head.http_1_1) close_after_ = true;  // the body ends with the connection
    if (!body_ended_) {
        // Where the handler leaves a large body alone, or the client still waits to be told to send it, the connection ends. A handler
        // that answers while it reads is trusted to read on; if it does not, the connection ends without being announced.
        const bool undecided = head.expects_continue && !continue_sent_;
        const bool large = head.chunked || head.content_length > kDrainBytes;
        if (undecided || (large && body_read_ == 0)) close_after_ = true;
    }
    std::string text =
        "HTTP/1.1 " + std::to_string(status_) + " " + std::string(reason_phrase(status_)) + "\r\nDate: " + http_date() + "\r\n";
    for (const auto& [name, value] : answer_headers_) text += name + ": " + value + "\r\n";
    if (content_length && status_ != 204) text += "Content-Length: " + std::to_string(*content_length) + "\r\n";
    if (chunked_) text += "Transfer-Encoding: chunked\r\n";
    if (close_after_) {
        text += "Connection: close\r\n";
    } else if (!head.http_1_1) {
        text += "Connection: keep-alive\r\n";
    }
    return text += "\r\n";
}

Task<Result<void>> HttpConnection::transmit(ByteView first, ByteView second) {
    const std::uint64_t count = first.size() + second.size();
    if (count == 0) co_return Result<void>();
    const auto left = patience(sent_ + count, waited_out_);
    const auto idle = shared_->limits.idle_timeout +
                      std::chrono::milliseconds(count * 1000 / std::max<std::uint64_t>(shared_->limits.min_bytes_per_second, 1));
    if (left <= 0ms) co_return fail(ErrorCode::timeout, "the client reads too slowly");
    const auto before = SteadyClock::now();
    stream_->set_deadline(before + std::min(left, idle));
    auto written = co_await stream_->write(first, second);
    waited_out_ += SteadyClock::now() - before;
    sent_ += count;
    if (!written) write_failed_ = true;
    co_return written;
}

Task<Result<void>> HttpConnection::begin(std::optional<std::uint64_t> content_length) {
    FID_INVARIANT(!begun_, "a response begins once");
    const auto text = header_text(content_length);
    begun_ = true;
    left_to_write_ = content_length;
    append_text(output_, text);
    co_return Result<void>();
}

Task<Result<void>> HttpConnection::send(std::string body) {
    auto started = co_await begin(body.size());
    if (!started) co_return started;
    auto written = co_await write(as_bytes(body));
    if (!written) co_return written;
    co_return co_await finish();
}

Task<Result<void>> HttpConnection::write(ByteView bytes) {
    FID_INVARIANT(begun_ && !finished_, "a response is written between its beginning and its end");
    if (write_failed_) co_return fail(ErrorCode::unavailable, "the connection broke before");
    if (bytes.empty()) co_return Result<void>();
    if (left_to_write_) {
        if (bytes.size() > *left_to_write_) co_return fail(ErrorCode::invalid_argument, "more is written than the response announced");
        *left_to_write_ -= bytes.size();
    }
    if (!body_allowed()) co_return Result<void>();
    if (chunked_) append_text(output_, chunk_head(bytes.size()));
    if (output_.size() + bytes.size() < kGatherBytes) {
        append(output_, bytes);
    } else {
        auto sent = co_await transmit(output_, bytes);
        if (!sent) co_return sent;
        output_.clear();
    }
    if (chunked_) append_text(output_, "\r\n");
    co_return Result<void>();
}

Task<Result<void>> HttpConnection::flush() {
    auto sent = co_await transmit(output_, ByteView());
    output_.clear();
    co_return sent;
}

Task<Result<void>> HttpConnection::finish() {
    FID_INVARIANT(begun_ && !finished_, "a response ends once");
    if (write_failed_) co_return fail(ErrorCode::unavailable, "the connection broke before");
    if (left_to_write_.value_or(0) != 0 && body_allowed())
        co_return fail(ErrorCode::internal, "less was written than the response announced");
    if (chunked_ && body_allowed()) append_text(output_, "0\r\n\r\n");
    finished_ = true;
    co_return co_await flush();
}

}  // namespace fiducial::net::impl
