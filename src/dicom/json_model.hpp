#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom {

/// Attributes as a DICOM JSON object. Those that stand in a request's sequence (QueryAttribute::in_request) are put back into it, one item.
/// Spec: PS3.18 Annex F. Numbers that are none are left out; UTF-8.
std::string to_dicom_json(const Attributes& attributes);

/// A DICOM JSON object as a Native DICOM Model. Spec: PS3.19 Annex A.1. Errors: malformed, naming the tag, for what is no such object.
Result<std::string> to_native_model(std::string_view dicom_json);

}  // namespace fiducial::dicom
