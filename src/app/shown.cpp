#include "app/shown.hpp"

#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "base/json.hpp"

namespace fiducial::app {
namespace shown {

std::uint64_t number(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_number()) return 0;
    if (value->is_uint64()) return value->get_uint64();
    return value->is_int64() && value->get_int64() > 0 ? static_cast<std::uint64_t>(value->get_int64()) : 0;
}

unsigned long long count(const boost::json::object& object, std::string_view key) { return number(object, key); }

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
    return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string text(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace shown

void print_json(const boost::json::object& object) {
    const auto text = json::pretty(object) + "\n";
    std::fputs(text.c_str(), stdout);
}

}  // namespace fiducial::app
