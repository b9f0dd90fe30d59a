#include "archive/requester.hpp"

#include <algorithm>
#include <array>

namespace fiducial::archive {
namespace {

constexpr std::array<std::string_view, 5> kPurposes{"treatment", "emergency", "research", "administration", "personal"};

}  // namespace

Result<Purpose> parse_purpose(std::string_view name) {
    const auto found = std::find(kPurposes.begin(), kPurposes.end(), name);
    if (found != kPurposes.end()) return static_cast<Purpose>(found - kPurposes.begin());
    std::string names;
    for (const auto one : kPurposes) names += (names.empty() ? "" : ", ") + std::string(one);
    return fail(ErrorCode::invalid_argument, "there is no such purpose; purposes are: " + names);
}

std::string_view name_of(Purpose purpose) {
    const auto index = static_cast<std::size_t>(purpose);
    return index < kPurposes.size() ? kPurposes[index] : "unknown purpose";
}

}  // namespace fiducial::archive
