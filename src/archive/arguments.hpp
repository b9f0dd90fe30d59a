#pragma once
// Reads the JSON arguments of operations.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"

namespace fiducial::archive::argument {

/// Empty where it is missing or no text.
std::string text(const boost::json::object& arguments, std::string_view name);
/// Errors: invalid_argument when missing or empty.
Result<std::string> required_text(const boost::json::object& arguments, std::string_view name);
/// Missing: none. Errors: invalid_argument when it is no list of texts.
Result<std::vector<std::string>> texts(const boost::json::object& arguments, std::string_view name);
bool flag(const boost::json::object& arguments, std::string_view name);
/// Missing: `otherwise`. Errors: invalid_argument when it is no whole number from `least` to `most`.
Result<std::int64_t> number(const boost::json::object& arguments, std::string_view name, std::int64_t otherwise, std::int64_t least,
                            std::int64_t most);

}  // namespace fiducial::archive::argument
