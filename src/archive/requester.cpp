#include "archive/requester.hpp"

#include <algorithm>
#include <array>

namespace fiducial::archive {
namespace {

constexpr std::array<std::string_view, 5> kPurposes{"treatment", "emergency", "research", "administration", "personal"};
constexpr std::array<std::string_view, 3> kScopes{"all", "read", "store"};

}  // namespace

Result<Purpose> parse_purpose(std::string_view name) {
    const auto found = std::find(kPurposes.begin(), kPurposes.end(), name);
    if (found != kPurposes.end()) return static_cast<Purpose>(found - kPurposes.begin());
    std::string names;
    for (const auto one : kPurposes) names += (names.empty() ? "" : ", ") + std::string(one);
    return fail(ErrorCode::invalid_argument, "there is no such purpose; purposes are: " + names);
}

Result<TokenScope> parse_token_scope(std::string_view name) {
    const auto found = std::find(kScopes.begin(), kScopes.end(), name);
    if (found == kScopes.end()) return fail(ErrorCode::invalid_argument, "a token's scope is all, read or store");
    return static_cast<TokenScope>(found - kScopes.begin());
}

std::string_view name_of(TokenScope scope) {
    return kScopes.at(static_cast<std::size_t>(scope));
}

std::string_view name_of(Purpose purpose) {
    const auto index = static_cast<std::size_t>(purpose);
    return index < kPurposes.size() ? kPurposes[index] : "unknown purpose";
}

}  // namespace fiducial::archive
