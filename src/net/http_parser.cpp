#include "net/impl/http_parser.hpp"

#include <algorithm>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>

namespace fiducial::net::impl {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

struct HttpRequestParser::Impl {
    http::request_parser<http::buffer_body> parser;
};

HttpRequestParser::HttpRequestParser(HeaderLimits limits) : limits_(limits), impl_(std::make_unique<Impl>()) {
    impl_->parser.header_limit(static_cast<std::uint32_t>(limits.max_bytes));
    impl_->parser.body_limit(boost::none);
}
HttpRequestParser::~HttpRequestParser() = default;
HttpRequestParser::HttpRequestParser(HttpRequestParser&&) noexcept = default;

tl::unexpected<Error> HttpRequestParser::refuse(unsigned status, ErrorCode code, std::string message) {
    status_ = status;
    return fail(code, std::move(message));
}

Result<std::size_t> HttpRequestParser::read_header(std::string_view bytes) {
    std::size_t start = 0;  // empty lines before a request are passed over (RFC 9112 §2.2)
    while (start < 4 && bytes.substr(start).starts_with("\r\n")) start += 2;
    const auto from = std::max(start, searched_ < 3 ? 0 : searched_ - 3);
    const auto end = bytes.find("\r\n\r\n", std::min(from, bytes.size()));
    if (std::min(end, bytes.size()) > limits_.max_bytes) {
        const bool no_line = bytes.find('\n') == std::string_view::npos;
        return refuse(no_line ? 414 : 431, ErrorCode::limit_exceeded,
                      "the request's header is larger than " + std::to_string(limits_.max_bytes) + " bytes");
    }
    if (end == std::string_view::npos) {
        searched_ = bytes.size();
        return std::size_t{0};
    }
    const auto header = bytes.substr(start, end + 4 - start);
    for (std::size_t i = 0; (i = header.find('\n', i)) != std::string_view::npos; ++i) {
        if (i == 0 || header[i - 1] != '\r') return refuse(400, ErrorCode::malformed, "a bare line feed in the request's header");
        if (i + 1 < header.size() && (header[i + 1] == ' ' || header[i + 1] == '\t')) {
            return refuse(400, ErrorCode::malformed, "a folded line in the request's header");
        }
    }
    error_code error;
    const auto used = impl_->parser.put(asio::buffer(header.data(), header.size()), error);
    if (error == http::error::bad_version) return refuse(505, ErrorCode::unsupported, "only HTTP/1.1 and HTTP/1.0 are spoken");
    if (error == http::error::header_limit) return refuse(431, ErrorCode::limit_exceeded, "the request's header is too large");
    if (error || used != header.size() || !impl_->parser.is_header_done()) {
        return refuse(400, ErrorCode::malformed, "the request's header is malformed: " + error.message());
    }
    FID_CHECK(read_head());
    return start + used;
}

Result<void> HttpRequestParser::read_head() {
    const auto& message = impl_->parser.get();
    head_ = {};
    head_.method = std::string(message.method_string());
    head_.http_1_1 = message.version() == 11;
    std::size_t hosts = 0;
    for (const auto& field : message) {
        if (head_.headers.size() == limits_.max_fields) {
            return refuse(431, ErrorCode::limit_exceeded, "more than " + std::to_string(limits_.max_fields) + " header fields");
        }
        hosts += field.name() == http::field::host;
        head_.headers.add(std::string(field.name_string()), std::string(field.value()));
    }
    if (hosts > 1 || (hosts == 0 && head_.http_1_1)) return refuse(400, ErrorCode::malformed, "a request must have one Host field");
    FID_CHECK(read_framing());
    const auto target = message.target();
    if (target == "*" && head_.method == "OPTIONS") {
        head_.target.path = "*";
    } else {
        auto parsed = parse_target(std::string_view(target.data(), target.size()));
        if (!parsed) return refuse(400, parsed.error().code, std::move(parsed).error().message);
        head_.target = *std::move(parsed);
    }
    head_.keep_alive = impl_->parser.keep_alive();
    if (const auto expect = head_.headers.find("Expect"); expect && head_.http_1_1) {
        if (!equals_ignoring_case(*expect, "100-continue"))
            return refuse(417, ErrorCode::unsupported, "an expectation other than 100-continue");
        head_.expects_continue = true;
    }
    return {};
}

/// Spec: RFC 9112 §6.3. What could be read in two ways is refused, since a proxy in front may read it the other way.
Result<void> HttpRequestParser::read_framing() {
    const auto& parser = impl_->parser;
    if (const auto coding = head_.headers.joined("Transfer-Encoding")) {
        if (!head_.http_1_1) return refuse(400, ErrorCode::malformed, "a transfer coding in HTTP/1.0");
        if (!equals_ignoring_case(*coding, "chunked")) return refuse(501, ErrorCode::unsupported, "a transfer coding other than chunked");
        if (!parser.chunked() || head_.headers.find("Content-Length")) {
            return refuse(400, ErrorCode::malformed, "both a transfer coding and a length");
        }
        head_.chunked = true;
        return {};
    }
    if (parser.chunked()) return refuse(400, ErrorCode::malformed, "an unclear body length");
    if (head_.headers.find("Content-Length")) {
        const auto length = parser.content_length();
        if (!length) return refuse(400, ErrorCode::malformed, "an unclear body length");
        head_.content_length = *length;
    }
    return {};
}

Result<HttpRequestParser::Progress> HttpRequestParser::read_chunked(ByteView in, MutableByteView out) {
    FID_INVARIANT(head_.chunked && !out.empty(), "a chunked body is read without a header or a place to put it");
    auto& parser = impl_->parser;
    Progress progress;
    if (parser.is_done()) {
        progress.ended = true;
        return progress;
    }
    if (in.empty()) return progress;
    auto& body = parser.get().body();
    body.data = out.data();
    body.size = out.size();
    parser.eager(true);
    error_code error;
    progress.consumed = parser.put(asio::buffer(in.data(), in.size()), error);
    progress.produced = out.size() - body.size;
    progress.ended = parser.is_done();
    body.data = nullptr;
    if (error && error != http::error::need_more && error != http::error::need_buffer) {
        return refuse(400, ErrorCode::malformed, "the chunked body is malformed: " + error.message());
    }
    return progress;
}

}  // namespace fiducial::net::impl
