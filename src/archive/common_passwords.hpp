#pragma once
#include <string_view>

namespace fiducial::archive {

/// Whether it stands among the 20,000 passwords that most people choose.
bool is_common_password(std::string_view lower_case);

}  // namespace fiducial::archive
