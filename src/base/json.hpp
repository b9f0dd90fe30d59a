#pragma once
// JSON is Boost.JSON. Public headers pass our own structs; .cpp files that read or write JSON include <boost/json.hpp>.
#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace fiducial::json {

/// Parses one JSON text (RFC 8259). Errors: malformed with the position; limit_exceeded beyond max_bytes or 64 levels.
Result<boost::json::value> parse(std::string_view text, std::size_t max_bytes);

/// Returns: text indented for people.
std::string pretty(const boost::json::value& value);

}  // namespace fiducial::json
