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

unsigned long long count(const boost::json::object& object, std::string_view key) {
    return number(object, key);
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
    return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string padded(std::string text, std::size_t columns) {
    std::size_t taken = 0;
    for (std::size_t at = 0; at < text.size();) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        char32_t point = lead & (size == 1 ? 0x7fU : 0x7fU >> size);
        for (std::size_t i = 1; i < size && at + i < text.size(); ++i)
            point = point << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fU);
        at += size;
        const bool combining = point >= 0x300 && point <= 0x36f;
        const bool wide = (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
                          (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
                          (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
                          (point >= 0xffe0 && point <= 0xffe6) || (point >= 0x20000 && point <= 0x3fffd);
        taken += combining ? 0 : wide ? 2 : 1;
    }
    if (taken < columns) text.append(columns - taken, ' ');
    return text;
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
