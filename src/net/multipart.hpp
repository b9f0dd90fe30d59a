#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::net {

struct MultipartLimits {
    std::size_t max_parts = 100'000;
    std::size_t max_header_bytes = 8'192;    // of one part, all lines
    std::size_t max_preamble_bytes = 4'096;  // before the first boundary
};

/// Reads a multipart body as a state machine: bytes in as they come, events out, nothing of a part's data kept or copied.
///
///     reader.feed(bytes);
///     for (;;) { FID_TRY(auto event, reader.next()); if (event == Event::need_more || event == Event::end) break; … }
///
/// Spec:     RFC 2046 §5.1.1, RFC 2387; lines end with CRLF only
/// Requires: bytes given to feed() stay in place until next() answers need_more or end; data() is valid until the next call
/// Errors:   malformed, limit_exceeded; afterwards every next() gives the same error
class MultipartReader {
public:
    enum class Event : std::uint8_t {
        need_more,   // the bytes given are used up
        part_begin,  // headers() are those of a new part
        part_data,   // data() is a piece of it, never empty
        part_end,
        end,  // the closing boundary; what follows it is ignored
    };

    /// Errors: malformed for a boundary that RFC 2046 does not allow (1 to 70 characters of its set, no space at the end).
    static Result<MultipartReader> create(std::string_view boundary, MultipartLimits limits = {});

    /// Requires: the last next() answered need_more or end, or none was called yet.
    void feed(ByteView bytes);
    Result<Event> next();
    /// To be asked when the input ends. Errors: malformed unless the closing boundary was seen.
    Result<void> finish() const;

    const HeaderFields& headers() const { return headers_; }
    ByteView data() const { return data_; }
    std::size_t parts() const { return parts_; }

private:
    enum class State : std::uint8_t { preamble, body, after_boundary, headers, held_back, ended, failed };

    MultipartReader(std::string delimiter, MultipartLimits limits);
    Result<Event> fail_with(ErrorCode code, std::string message);
    Result<Event> read_content();
    Result<Event> content(ByteView bytes);
    Result<Event> boundary_found(ByteView before);
    Result<Event> read_after_boundary();
    Result<Event> read_headers();
    Result<void> parse_headers();

    std::string delimiter_;  // CR LF "--" boundary
    MultipartLimits limits_;
    State state_ = State::preamble;
    ByteView input_;
    ByteView data_;
    std::size_t matched_ = 2;  // bytes of delimiter_ seen so far: the very first one needs no CR LF before it
    std::size_t preamble_ = 0;
    std::string line_;  // what follows a boundary, or the header lines
    HeaderFields headers_;
    std::size_t parts_ = 0;
    Error error_;
};

/// Returns: 32 hex digits from the system's random source.
std::string make_boundary();
/// What goes before a part's data; first: whether it is the first part.
std::string multipart_part_head(std::string_view boundary, bool first, const HeaderFields& headers);
/// What goes after the last part's data. A body without parts is this alone, with none_written set.
std::string multipart_close(std::string_view boundary, bool none_written = false);

}  // namespace fiducial::net
