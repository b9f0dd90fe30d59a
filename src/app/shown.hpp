#pragma once
// Reads an operation's JSON answer for showing it.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace fiducial::app::shown {

std::uint64_t number(const boost::json::object& object, std::string_view key);      // 0 where missing
unsigned long long count(const boost::json::object& object, std::string_view key);  // the same, for printf
std::string text(const boost::json::object& object, std::string_view key);          // empty where missing
/// "1 study", "2 studies"
std::string counted(std::uint64_t count, std::string_view one, std::string_view many);
/// Filled up with spaces to so many columns of a terminal. Spec: Unicode UAX #11 (wide East Asian characters take two).
std::string padded(std::string text, std::size_t columns);

}  // namespace fiducial::app::shown
