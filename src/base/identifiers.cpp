#include "base/identifiers.hpp"

namespace fiducial {

Result<Uid> Uid::parse(std::string_view text) {
    while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
    if (text.empty()) return fail(ErrorCode::malformed, "a UID is empty");
    if (text.size() > 64) return fail(ErrorCode::malformed, "a UID has " + std::to_string(text.size()) + " characters, more than 64");
    if (text.find_first_not_of("0123456789.") != std::string_view::npos) {
        return fail(ErrorCode::malformed, "a UID holds a character other than digits and dots");
    }
    Uid uid;
    uid.text_ = text;
    return uid;
}

}  // namespace fiducial
