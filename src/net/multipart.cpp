#include "net/multipart.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "base/hex.hpp"

namespace fiducial::net {
namespace {

/// Spec: RFC 2046 §5.1.1, bchars.
bool is_boundary_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace

Result<MultipartReader> MultipartReader::create(std::string_view boundary, MultipartLimits limits) {
    if (boundary.empty() || boundary.size() > 70 || boundary.back() == ' ' ||
        !std::all_of(boundary.begin(), boundary.end(), is_boundary_character)) {
        return fail(ErrorCode::malformed, "the multipart boundary must be 1 to 70 characters of RFC 2046's set");
    }
    return MultipartReader("\r\n--" + std::string(boundary), limits);
}

MultipartReader::MultipartReader(std::string delimiter, MultipartLimits limits) : delimiter_(std::move(delimiter)), limits_(limits) {}

void MultipartReader::feed(ByteView bytes) {
    FID_INVARIANT(input_.empty() || state_ == State::ended || state_ == State::failed,
                  "a multipart reader is fed before it has used up what it had");
    input_ = bytes;
}

Result<MultipartReader::Event> MultipartReader::fail_with(ErrorCode code, std::string message) {
    error_ = Error{code, std::move(message)};
    state_ = State::failed;
    input_ = {};
    return fail(error_);
}

Result<MultipartReader::Event> MultipartReader::next() {
    data_ = {};
    for (;;) {
        switch (state_) {
            case State::failed: return fail(error_);
            case State::ended: input_ = {}; return Event::end;
            case State::held_back: state_ = State::after_boundary; return Event::part_end;
            default: break;
        }
        if (input_.empty()) return Event::need_more;
        Result<Event> event = Event::need_more;
        switch (state_) {
            case State::preamble:
            case State::body: event = read_content(); break;
            case State::after_boundary: event = read_after_boundary(); break;
            default: event = read_headers(); break;
        }
        if (!event || *event != Event::need_more) return event;
    }
}

/// Looks for the delimiter. It begins with CR and has no other CR in it, so that a match that fails can only begin anew where it failed.
/// Returns: part_data or part_end, or need_more when there is nothing to hand out (yet).
Result<MultipartReader::Event> MultipartReader::read_content() {
    const auto matches = [this](std::size_t at, std::size_t known) {  // how many bytes of input_ from at go on the delimiter from known
        std::size_t count = 0;
        while (at + count < input_.size() && known + count < delimiter_.size() &&
               input_[at + count] == static_cast<std::uint8_t>(delimiter_[known + count])) {
            ++count;
        }
        return count;
    };
    if (matched_ > 0) {  // earlier input ended in what may be a delimiter
        const std::size_t more = matches(0, matched_);
        const std::size_t known = matched_ + more;
        if (known < delimiter_.size() && more == input_.size()) {
            matched_ = known;
            input_ = {};
            return Event::need_more;
        }
        const auto held = as_bytes(std::string_view(delimiter_).substr(0, matched_));
        matched_ = 0;
        if (known < delimiter_.size()) return content(held);  // it was data after all, and stands in the delimiter itself
        input_ = input_.subspan(more);
        return boundary_found({});
    }
    for (std::size_t at = 0;;) {
        const void* found = std::memchr(input_.data() + at, '\r', input_.size() - at);
        at = found ? static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - input_.data()) : input_.size();
        const std::size_t known = matches(at, 0);
        const auto before = input_.first(at);
        if (known == delimiter_.size()) {
            input_ = input_.subspan(at + known);
            return boundary_found(before);
        }
        if (at + known == input_.size()) {
            matched_ = known;
            input_ = {};
            return content(before);
        }
        ++at;
    }
}

Result<MultipartReader::Event> MultipartReader::content(ByteView bytes) {
    if (bytes.empty()) return Event::need_more;
    if (state_ == State::preamble) {
        preamble_ += bytes.size();
        if (preamble_ > limits_.max_preamble_bytes)
            return fail_with(ErrorCode::limit_exceeded, "the multipart body does not begin with its boundary");
        return Event::need_more;
    }
    data_ = bytes;
    return Event::part_data;
}

Result<MultipartReader::Event> MultipartReader::boundary_found(ByteView before) {
    if (state_ == State::preamble) {
        FID_TRY(auto event, content(before));
        state_ = State::after_boundary;
        return event;
    }
    state_ = before.empty() ? State::after_boundary : State::held_back;
    data_ = before;
    return before.empty() ? Event::part_end : Event::part_data;
}

Result<MultipartReader::Event> MultipartReader::read_after_boundary() {
    while (!input_.empty()) {
        const char c = static_cast<char>(input_.front());
        input_ = input_.subspan(1);
        const bool ended_by_cr = !line_.empty() && line_.back() == '\r';
        const bool dashes = c == '-' && (line_.empty() || line_ == "-");
        const bool padding = (is_blank(c) || c == '\r') && !ended_by_cr && (line_.empty() || line_[0] != '-');
        if (!dashes && !padding && !(c == '\n' && ended_by_cr)) {
            return fail_with(ErrorCode::malformed, "a multipart boundary is followed by neither a line end nor \"--\"");
        }
        line_ += c;
        if (line_.size() > limits_.max_header_bytes)
            return fail_with(ErrorCode::limit_exceeded, "a multipart boundary is followed by too much white space");
        if (line_ == "--") {
            line_.clear();
            state_ = State::ended;
            return Event::end;
        }
        if (c == '\n') {
            line_.clear();
            state_ = State::headers;
            return Event::need_more;
        }
    }
    return Event::need_more;
}

Result<MultipartReader::Event> MultipartReader::read_headers() {
    while (!input_.empty()) {
        line_ += static_cast<char>(input_.front());
        input_ = input_.subspan(1);
        if (line_ == "\r\n" || line_.ends_with("\r\n\r\n")) {
            if (auto parsed = parse_headers(); !parsed) return fail_with(parsed.error().code, std::move(parsed.error().message));
            if (++parts_ > limits_.max_parts) {
                return fail_with(ErrorCode::limit_exceeded,
                                 "more than " + std::to_string(limits_.max_parts) + " parts in a multipart body");
            }
            line_.clear();
            state_ = State::body;
            return Event::part_begin;
        }
        if (line_.size() >= limits_.max_header_bytes) return fail_with(ErrorCode::limit_exceeded, "a part's header is too large");
    }
    return Event::need_more;
}

/// Requires: line_ ends with an empty line.
Result<void> MultipartReader::parse_headers() {
    headers_ = {};
    std::string_view rest = std::string_view(line_).substr(0, line_.size() - 2);
    std::string name;
    std::string value;
    const auto store = [&] {
        if (!name.empty()) headers_.add(std::move(name), std::move(value));
        name.clear();
        value.clear();
    };
    while (!rest.empty()) {
        const auto end = rest.find("\r\n");
        const auto line = rest.substr(0, end);
        rest.remove_prefix(end + 2);
        const auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
        if (std::any_of(line.begin(), line.end(), is_control)) return fail(ErrorCode::malformed, "a control character in a part's header");
        if (is_blank(line.front())) {  // RFC 5322 §2.2.3: a folded line goes on
            if (name.empty()) return fail(ErrorCode::malformed, "a part's header begins with white space");
            value += ' ';
            value += trim(line);
            continue;
        }
        store();
        const auto colon = line.find(':');
        if (colon == 0 || colon == std::string_view::npos) return fail(ErrorCode::malformed, "a line without a name in a part's header");
        name = trim(line.substr(0, colon));
        value = trim(line.substr(colon + 1));
    }
    store();
    return {};
}

Result<void> MultipartReader::finish() const {
    if (state_ == State::failed) return fail(error_);
    if (state_ != State::ended) return fail(ErrorCode::malformed, "the multipart body ends before its closing boundary");
    return {};
}

std::string make_boundary() {
    std::array<std::uint8_t, 16> random{};
    FID_INVARIANT(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()), "the system gives no randomness");
    return to_hex(random);
}

std::string multipart_part_head(std::string_view boundary, bool first, const HeaderFields& headers) {
    std::string out = first ? "--" : "\r\n--";
    out += boundary;
    out += "\r\n";
    for (const auto& [name, value] : headers) out += name + ": " + value + "\r\n";
    return out += "\r\n";
}

std::string multipart_close(std::string_view boundary, bool none_written) {
    return (none_written ? "--" : "\r\n--") + std::string(boundary) + "--\r\n";
}

}  // namespace fiducial::net
