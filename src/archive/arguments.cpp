#include "archive/arguments.hpp"

#include <boost/json.hpp>

namespace fiducial::archive::argument {

std::string text(const boost::json::object& arguments, std::string_view name) {
    const auto* value = arguments.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<std::string> required_text(const boost::json::object& arguments, std::string_view name) {
    auto value = text(arguments, name);
    if (value.empty()) return fail(ErrorCode::invalid_argument, "'" + std::string(name) + "' is needed");
    return value;
}

Result<std::vector<std::string>> texts(const boost::json::object& arguments, std::string_view name) {
    std::vector<std::string> out;
    const auto* value = arguments.if_contains(name);
    if (value == nullptr) return out;
    if (!value->is_array()) return fail(ErrorCode::invalid_argument, "'" + std::string(name) + "' must be a list");
    for (const auto& item : value->get_array()) {
        if (!item.is_string()) return fail(ErrorCode::invalid_argument, "'" + std::string(name) + "' must be a list of texts");
        out.emplace_back(item.get_string());
    }
    return out;
}

bool flag(const boost::json::object& arguments, std::string_view name) {
    const auto* value = arguments.if_contains(name);
    return value != nullptr && value->is_bool() && value->get_bool();
}

Result<std::int64_t> number(const boost::json::object& arguments, std::string_view name, std::int64_t otherwise, std::int64_t least,
                            std::int64_t most) {
    const auto* value = arguments.if_contains(name);
    if (value == nullptr) return otherwise;
    if (value->is_int64() && value->get_int64() >= least && value->get_int64() <= most) return value->get_int64();
    return fail(ErrorCode::invalid_argument,
                "'" + std::string(name) + "' must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace fiducial::archive::argument
