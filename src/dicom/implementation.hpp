#pragma once
#include <string_view>

namespace fiducial::dicom {

/// Who wrote a file's group 0002, or speaks at the other end of an association. Spec: PS3.7 §D.3.3.2, PS3.10 §7.1
inline constexpr std::string_view kImplementationClassUid = "2.25.286217063906530373474026318764160741409";
inline constexpr std::string_view kImplementationVersion = "FIDUCIAL";

}  // namespace fiducial::dicom
