#pragma once
#include <string_view>

namespace fiducial::archive {

/// What a national number looks like behind a country calling code ("43"), as an ECMAScript regular expression for all of it.
/// Returns: empty for a code that is not assigned.
std::string_view national_number_pattern(std::string_view calling_code);

}  // namespace fiducial::archive
