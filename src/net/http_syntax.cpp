#include "net/http_syntax.hpp"

#include <algorithm>
#include <charconv>

namespace fiducial::net {
namespace {

constexpr std::size_t kMaxAcceptItems = 64;
constexpr std::size_t kMaxParameters = 32;
constexpr std::size_t kMaxQueryPairs = 256;
constexpr std::size_t kMaxSegments = 64;
constexpr std::size_t kMaxRanges = 16;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// RFC 9110 §5.6.2
bool is_token_character(char c) {
    return is_digit(c) || is_letter(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

/// A place in a header value; knows how to say where it is.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    bool skip(char c) {
        if (at_end() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    }
    std::string_view token(std::string_view also = {}) {
        const std::size_t start = at_;
        while (!at_end() && (is_token_character(text_[at_]) || also.find(text_[at_]) != std::string_view::npos)) ++at_;
        return text_.substr(start, at_ - start);
    }
    tl::unexpected<Error> expected(std::string_view what) const {
        return fail(ErrorCode::malformed, std::string(what) + " expected at offset " + std::to_string(at_));
    }
    /// Requires: peek() is '"'.
    Result<std::string> quoted_string() {
        std::string out;
        ++at_;
        while (!at_end()) {
            char c = text_[at_++];
            if (c == '"') return out;
            if (c == '\\') {
                if (at_end()) break;
                c = text_[at_++];
            }
            if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return expected("text without control characters");
            out += c;
        }
        return expected("a closing quote");
    }

private:
    std::string_view text_;
    std::size_t at_ = 0;
};

/// Reads *( OWS ";" OWS [ name "=" value ] ).
Result<void> read_parameters(Scanner& scan, std::vector<std::pair<std::string, std::string>>& out) {
    for (;;) {
        scan.skip_space();
        if (!scan.skip(';')) return {};
        scan.skip_space();
        const auto name = scan.token();
        if (name.empty()) continue;  // empty parameters are allowed: "a/b;"
        if (!scan.skip('=')) return scan.expected("'='");
        if (out.size() == kMaxParameters) return fail(ErrorCode::limit_exceeded, "more than 32 parameters");
        if (scan.peek() == '"') {
            FID_TRY(auto value, scan.quoted_string());
            out.emplace_back(lower(name), std::move(value));
        } else {
            const auto value = scan.token("/");
            if (value.empty()) return scan.expected("a parameter's value");
            out.emplace_back(lower(name), std::string(value));
        }
    }
}

Result<MediaType> read_media_type(Scanner& scan) {
    MediaType out;
    scan.skip_space();
    out.type = lower(scan.token());
    if (out.type.empty()) return scan.expected("a media type");
    if (out.type == "*" && scan.peek() != '/') {  // "*" alone is sent by some old clients (java.net)
        out.subtype = "*";
    } else {
        if (!scan.skip('/')) return scan.expected("'/'");
        out.subtype = lower(scan.token());
        if (out.subtype.empty()) return scan.expected("a media subtype");
    }
    FID_CHECK(read_parameters(scan, out.parameters));
    return out;
}

/// Spec: RFC 9110 §12.4.2: at most three decimals.
Result<std::uint16_t> parse_weight(std::string_view text) {
    const auto bad = [] { return fail(ErrorCode::malformed, "a weight must be 0 to 1 with at most three decimals"); };
    if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return bad();
    if (text.size() > 1 && text[1] != '.') return bad();
    unsigned value = text[0] == '1' ? 1000 : 0;
    unsigned place = 100;
    for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
        if (!is_digit(c)) return bad();
        value += place * static_cast<unsigned>(c - '0');
        place /= 10;
    }
    if (value > 1000) return bad();
    return static_cast<std::uint16_t>(value);
}

int specificity(const MediaType& range) {
    if (range.type == "*") return 0;
    if (range.subtype == "*") return 1;
    return 2 + static_cast<int>(range.parameters.size());
}

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

bool is_dots(std::string_view segment) {
    return (segment.size() == 1 || segment.size() == 2) && segment.find_first_not_of('.') == std::string_view::npos;
}

bool is_digits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

/// Requires: digits only. Returns: the largest value where it does not fit, which no representation reaches.
std::uint64_t saturated(std::string_view digits) {
    std::uint64_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return read.ec == std::errc::result_out_of_range ? UINT64_MAX : value;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

void HeaderFields::set(std::string_view name, std::string value) {
    std::erase_if(fields_, [name](const auto& field) { return equals_ignoring_case(field.first, name); });
    fields_.emplace_back(name, std::move(value));
}

std::optional<std::string_view> HeaderFields::find(std::string_view name) const {
    for (const auto& [have, value] : fields_) {
        if (equals_ignoring_case(have, name)) return value;
    }
    return std::nullopt;
}

std::optional<std::string> HeaderFields::joined(std::string_view name) const {
    std::optional<std::string> out;
    for (const auto& [have, value] : fields_) {
        if (!equals_ignoring_case(have, name)) continue;
        if (out) *out += ", ";
        out = out.value_or("") + value;
    }
    return out;
}

std::optional<std::string_view> MediaType::parameter(std::string_view name) const {
    for (const auto& [have, value] : parameters) {
        if (have == name) return value;
    }
    return std::nullopt;
}

Result<MediaType> parse_media_type(std::string_view text) {
    Scanner scan(text);
    FID_TRY(auto out, read_media_type(scan));
    if (!scan.at_end()) return scan.expected("the end of the media type");
    return out;
}

Result<std::vector<AcceptItem>> parse_accept(std::string_view text) {
    std::vector<AcceptItem> items;
    Scanner scan(text);
    for (;;) {
        scan.skip_space();
        if (scan.at_end()) break;
        if (scan.skip(',')) continue;  // empty list elements are allowed (RFC 9110 §5.6.1)
        if (items.size() == kMaxAcceptItems) return fail(ErrorCode::limit_exceeded, "more than 64 media types in Accept");
        AcceptItem item;
        FID_TRY(item.range, read_media_type(scan));
        auto& parameters = item.range.parameters;
        const auto weight = std::find_if(parameters.begin(), parameters.end(), [](const auto& p) { return p.first == "q"; });
        if (weight != parameters.end()) {
            FID_TRY(item.q, parse_weight(weight->second));
            parameters.erase(weight, parameters.end());  // what follows q are extensions, which RFC 9110 took back
        }
        items.push_back(std::move(item));
        scan.skip_space();
        if (!scan.at_end() && scan.peek() != ',') return scan.expected("','");
    }
    std::stable_sort(items.begin(), items.end(), [](const AcceptItem& a, const AcceptItem& b) {
        return a.q != b.q ? a.q > b.q : specificity(a.range) > specificity(b.range);
    });
    return items;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) return fail(ErrorCode::malformed, "bad escape at offset " + std::to_string(i));
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') return fail(ErrorCode::malformed, "octet 0 at offset " + std::to_string(i));
        out += c;
    }
    return out;
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
    }
    return out;
}

Result<Query> parse_query(std::string_view text) {
    Query out;
    while (!text.empty()) {
        const auto end = std::min(text.find('&'), text.size());
        const auto pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty()) continue;
        if (out.size() == kMaxQueryPairs) return fail(ErrorCode::limit_exceeded, "more than 256 query parameters");
        const auto equals = std::min(pair.find('='), pair.size());
        FID_TRY(auto name, percent_decode(pair.substr(0, equals), true));
        FID_TRY(auto value, percent_decode(pair.substr(std::min(equals + 1, pair.size())), true));
        out.emplace_back(std::move(name), std::move(value));
    }
    return out;
}

std::optional<std::string_view> Target::query_value(std::string_view name) const {
    for (const auto& [have, value] : query) {
        if (have == name) return value;
    }
    return std::nullopt;
}

Result<Target> parse_target(std::string_view text) {
    for (const std::string_view scheme : {"http://", "https://"}) {  // absolute-form
        if (text.size() < scheme.size() || !equals_ignoring_case(text.substr(0, scheme.size()), scheme)) continue;
        const auto path = text.find_first_of("/?", scheme.size());
        if (path == std::string_view::npos || text[path] == '?') return fail(ErrorCode::malformed, "the request target has no path");
        text.remove_prefix(path);
        break;
    }
    if (text.empty() || text[0] != '/') return fail(ErrorCode::malformed, "the request target must begin with '/'");
    const auto bad =
        std::find_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '#'; });
    if (bad != text.end()) return fail(ErrorCode::malformed, "the request target holds a character that must be escaped");

    Target out;
    const auto question = std::min(text.find('?'), text.size());
    out.path = text.substr(0, question);
    FID_TRY(out.query, parse_query(text.substr(std::min(question + 1, text.size()))));
    std::string_view rest = std::string_view(out.path).substr(1);
    for (;;) {
        const auto slash = std::min(rest.find('/'), rest.size());
        if (out.segments.size() == kMaxSegments) return fail(ErrorCode::limit_exceeded, "more than 64 path segments");
        FID_TRY(auto segment, percent_decode(rest.substr(0, slash)));
        if (is_dots(segment)) return fail(ErrorCode::malformed, "the request target holds dot segments");
        out.segments.push_back(std::move(segment));
        if (slash == rest.size()) return out;
        rest.remove_prefix(slash + 1);
    }
}

bool names_entity_tag(std::string_view list, std::string_view tag) {
    while (!list.empty()) {
        const auto end = std::min(list.find(','), list.size());
        const auto one = trim(list.substr(0, end));
        if (one == "*" || one == tag) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

std::optional<std::string_view> find_cookie(std::string_view field, std::string_view name) {
    while (!field.empty()) {
        const auto end = std::min(field.find(';'), field.size());
        const auto pair = trim(field.substr(0, end));
        const auto equals = pair.find('=');
        if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
        field.remove_prefix(std::min(end + 1, field.size()));
    }
    return std::nullopt;
}

Result<std::vector<ByteRange>> parse_range(std::string_view text, std::uint64_t size) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return fail(ErrorCode::malformed, "Range has no '='");
    if (!equals_ignoring_case(trim(text.substr(0, equals)), "bytes")) return fail(ErrorCode::unsupported, "only byte ranges are served");
    std::string_view rest = text.substr(equals + 1);
    std::vector<ByteRange> out;
    std::size_t count = 0;
    while (!rest.empty()) {
        const auto comma = std::min(rest.find(','), rest.size());
        const auto item = trim(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        if (item.empty()) continue;
        if (++count > kMaxRanges) return fail(ErrorCode::limit_exceeded, "more than 16 ranges");
        const auto dash = item.find('-');
        if (dash == std::string_view::npos) return fail(ErrorCode::malformed, "a range without '-'");
        const auto first = item.substr(0, dash);
        const auto last = item.substr(dash + 1);
        if (first.empty()) {  // the last n bytes
            if (!is_digits(last)) return fail(ErrorCode::malformed, "a suffix range must be a number");
            const auto wanted = std::min(saturated(last), size);
            if (wanted > 0) out.push_back({size - wanted, size - 1});
            continue;
        }
        if (!is_digits(first) || !(last.empty() || is_digits(last))) return fail(ErrorCode::malformed, "a range must be numbers");
        const auto from = saturated(first);
        const auto to = last.empty() ? UINT64_MAX : saturated(last);
        if (to < from) return fail(ErrorCode::malformed, "a range that ends before it begins");
        if (from < size) out.push_back({from, std::min(to, size - 1)});
    }
    if (count == 0) return fail(ErrorCode::malformed, "Range names no range");
    return out;
}

Result<Credentials> parse_authorization(std::string_view text) {
    text = trim(text);
    const auto space = text.find(' ');
    if (space == std::string_view::npos) return fail(ErrorCode::malformed, "Authorization must be a scheme and credentials");
    Credentials out{text.substr(0, space), trim(text.substr(space + 1))};
    if (out.scheme.empty() || !std::all_of(out.scheme.begin(), out.scheme.end(), is_token_character)) {
        return fail(ErrorCode::malformed, "Authorization has no scheme");
    }
    const auto is_token68 = [](char c) {
        return is_letter(c) || is_digit(c) || std::string_view("-._~+/=").find(c) != std::string_view::npos;
    };
    if (out.value.empty() || !std::all_of(out.value.begin(), out.value.end(), is_token68)) {
        return fail(ErrorCode::malformed, "Authorization's credentials are not one token");
    }
    return out;
}

std::string_view reason_phrase(unsigned status) {
    switch (status) {
        case 100: return "Continue";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        default: return "";
    }
}

}  // namespace fiducial::net
