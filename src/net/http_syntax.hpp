#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

// The texts of HTTP, apart from any socket. All of it is bounded by the caller's header limit and never throws.
namespace fiducial::net {

/// ASCII comparison without case, as field names and media types want it.
bool equals_ignoring_case(std::string_view a, std::string_view b);

/// Header fields in the order they came; names compare without case.
class HeaderFields {
public:
    void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
    /// Replaces every field of that name.
    void set(std::string_view name, std::string value);
    /// Returns: the first value, or nothing.
    std::optional<std::string_view> find(std::string_view name) const;
    /// Returns: the values of all fields of that name, joined by ", " (RFC 9110 §5.3), or nothing.
    std::optional<std::string> joined(std::string_view name) const;
    std::size_t size() const { return fields_.size(); }
    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

/// type/subtype; name=value. Type, subtype and parameter names are lower-case; values stay as they came, without quotes.
struct MediaType {
    std::string type;
    std::string subtype;
    std::vector<std::pair<std::string, std::string>> parameters;

    std::string essence() const { return type + "/" + subtype; }
    std::optional<std::string_view> parameter(std::string_view name) const;
};

/// Spec: RFC 9110 §8.3.1. Values may be tokens or quoted strings; a bare value with '/' (type=application/dicom) occurs in the field and is
/// let pass. Errors: malformed, with the offset.
Result<MediaType> parse_media_type(std::string_view text);

/// One element of Accept. A range may be */* or type/*; q is in thousandths, 0 meaning "not this".
struct AcceptItem {
    MediaType range;
    std::uint16_t q = 1000;
};
/// Spec: RFC 9110 §12.5.1. Returns: in the order of preference: highest q first, then more specific, then as written. At most 64 items.
/// Errors: malformed; limit_exceeded for more items.
Result<std::vector<AcceptItem>> parse_accept(std::string_view text);

/// Spec: RFC 3986 §2.1. plus_is_space: as in queries (application/x-www-form-urlencoded).
/// Errors: malformed for a bad escape or for an octet 0.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
/// Escapes all but unreserved characters.
std::string percent_encode(std::string_view text);

using Query = std::vector<std::pair<std::string, std::string>>;
/// Reads name=value&name=value, both decoded, in order. Errors: malformed; limit_exceeded beyond 256 pairs.
Result<Query> parse_query(std::string_view text);

/// A request target, taken apart. Segments are split before they are decoded, so that %2F never becomes a separator.
struct Target {
    std::string path;                   // as it came, without the query
    std::vector<std::string> segments;  // decoded; "/studies/1.2/" gives {"studies", "1.2", ""}; "/" gives {""}
    Query query;

    std::optional<std::string_view> query_value(std::string_view name) const;
};
/// Spec: RFC 9112 §3.2, origin-form and absolute-form. Segments "." and ".." are refused rather than resolved.
/// Errors: malformed; limit_exceeded beyond 64 segments.
Result<Target> parse_target(std::string_view text);

/// first..last, both included.
struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};
/// Spec: RFC 9110 §14.1.2, unit bytes. Returns: the ranges that can be satisfied for a representation of size bytes, in the order asked;
///     empty when none can be (416).
/// Errors: malformed (the field is then to be ignored); unsupported for another unit; limit_exceeded beyond 16 ranges.
Result<std::vector<ByteRange>> parse_range(std::string_view text, std::uint64_t size);

/// Authorization: scheme and what follows. The credentials are a secret: the caller wraps them before anything else sees them.
struct Credentials {
    std::string_view scheme;
    std::string_view value;
};
/// Spec: RFC 9110 §11.4; token68 form only. Requires: text outlives the answer. Errors: malformed, never quoting the text.
Result<Credentials> parse_authorization(std::string_view text);

/// Whether a list of entity tags (If-None-Match) names this one, or any. Spec: RFC 9110 §8.8.3.2. Requires: the tag holds no comma.
bool names_entity_tag(std::string_view list, std::string_view tag);

/// The value of a cookie in a Cookie field, or nothing. Spec: RFC 6265 §4.2.1. Of several of that name the first.
std::optional<std::string_view> find_cookie(std::string_view field, std::string_view name);

/// The reason phrase of a status code, "" where we know none.
std::string_view reason_phrase(unsigned status);

}  // namespace fiducial::net
