#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::net::impl {

struct RequestHead {
    std::string method;
    Target target;
    HeaderFields headers;
    bool http_1_1 = true;
    bool keep_alive = false;
    bool chunked = false;
    bool expects_continue = false;
    std::uint64_t content_length = 0;  // where not chunked
};

struct HeaderLimits {
    std::size_t max_bytes = 16'384;
    std::size_t max_fields = 100;
};

/// Reads one request without touching a socket: its header, then a chunked body.
/// Spec:   RFC 9112 §2 to §7
/// Errors: malformed (400), unsupported (501: a transfer coding or expectation; 505: another version), limit_exceeded (431, 414)
class HttpRequestParser {
public:
    explicit HttpRequestParser(HeaderLimits limits);
    ~HttpRequestParser();
    HttpRequestParser(HttpRequestParser&&) noexcept;

    /// Looks for a whole header at the beginning of bytes. Requires: bytes begin as before, and may have grown.
    /// Returns: its length, with head() then valid; 0 when more is needed.
    Result<std::size_t> read_header(std::string_view bytes);
    const RequestHead& head() const { return head_; }

    struct Progress {
        std::size_t consumed = 0;
        std::size_t produced = 0;
        bool ended = false;
    };
    /// Decodes a chunked body. Requires: head().chunked, a whole header was read, out is not empty.
    /// Returns: what was used and made; neither: more input is needed.
    Result<Progress> read_chunked(ByteView in, MutableByteView out);

    /// The HTTP status for an error that one of the two gave.
    unsigned status() const { return status_; }

private:
    tl::unexpected<Error> refuse(unsigned status, ErrorCode code, std::string message);
    Result<void> read_head();
    Result<void> read_framing();

    struct Impl;
    HeaderLimits limits_;
    std::unique_ptr<Impl> impl_;
    RequestHead head_;
    std::size_t searched_ = 0;
    unsigned status_ = 400;
};

}  // namespace fiducial::net::impl
