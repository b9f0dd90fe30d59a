#include "net/impl/json_framing.hpp"

namespace fiducial::net::impl {

Result<std::size_t> JsonFraming::feed(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const char c = bytes[i];
        if (in_string_) {
            if (escaped_) {
                escaped_ = false;
            } else if (c == '\\') {
                escaped_ = true;
            } else if (c == '"') {
                in_string_ = false;
            }
            continue;
        }
        if (depth_ == 0) {
            if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
            if (c != '{' && c != '[') return fail(ErrorCode::malformed, "the answer does not begin as a JSON object or array");
            outer_ = c;
            depth_ = 1;
        } else if (c == '"') {
            in_string_ = true;
        } else if (c == '{' || c == '[') {
            ++depth_;
        } else if (c == '}' || c == ']') {
            if (--depth_ == 0) {
                if ((outer_ == '{') != (c == '}')) return fail(ErrorCode::malformed, "the answer's outermost brackets do not match");
                return i + 1;
            }
        }
    }
    return npos;
}

}  // namespace fiducial::net::impl
