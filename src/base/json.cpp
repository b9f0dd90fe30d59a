#include "base/json.hpp"

#include <boost/json.hpp>

namespace fiducial::json {

Result<boost::json::value> parse(std::string_view text, std::size_t max_bytes) {
    if (text.size() > max_bytes) {
        return fail(ErrorCode::limit_exceeded, "JSON of " + std::to_string(text.size()) + " bytes, more than " + std::to_string(max_bytes));
    }
    boost::json::parse_options options;
    options.max_depth = 64;
    boost::json::stream_parser parser({}, options);
    boost::system::error_code ec;
    const auto used = parser.write_some(text.data(), text.size(), ec);
    if (!ec && used < text.size()) return fail(ErrorCode::malformed, "JSON: more text after the value, at byte " + std::to_string(used));
    if (!ec) parser.finish(ec);
    if (ec) return fail(ErrorCode::malformed, "JSON: " + ec.message() + " at byte " + std::to_string(used));
    return parser.release();
}

namespace {

void write(std::string& out, const boost::json::value& value, std::size_t depth) {
    const std::string indent((depth + 1) * 2, ' ');
    if (value.is_object() && !value.get_object().empty()) {
        out += "{\n";
        bool first = true;
        for (const auto& [key, member] : value.get_object()) {
            if (!first) out += ",\n";
            first = false;
            out += indent + boost::json::serialize(boost::json::value(key)) + ": ";
            write(out, member, depth + 1);
        }
        out += "\n" + std::string(depth * 2, ' ') + "}";
    } else if (value.is_array() && !value.get_array().empty()) {
        out += "[\n";
        bool first = true;
        for (const auto& member : value.get_array()) {
            if (!first) out += ",\n";
            first = false;
            out += indent;
            write(out, member, depth + 1);
        }
        out += "\n" + std::string(depth * 2, ' ') + "]";
    } else {
        out += boost::json::serialize(value);
    }
}

}  // namespace

std::string pretty(const boost::json::value& value) {
    std::string out;
    write(out, value, 0);
    return out;
}

}  // namespace fiducial::json
