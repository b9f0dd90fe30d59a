#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "dicom/pdu.hpp"

namespace fiducial::dicom {

inline constexpr std::string_view kVerificationSopClass = "1.2.840.10008.1.1";

/// Whether a UID names a class of composite objects that are stored with C-STORE and belong to a study.
/// Spec: PS3.4 table B.5-1 with its retired rows: everything below 1.2.840.10008.5.1.4.1.1, and what the standard put elsewhere
bool is_storage_sop_class(std::string_view uid);

/// Answers the presentation contexts of a request, in their order. Of the transfer syntaxes offered the first that is known here counts, so
/// that an object comes as its sender keeps it; but Explicit VR Little Endian before Implicit, in which private attributes lose their VR.
/// Spec: PS3.8 §9.3.3.2, PS3.5 §10.1
std::vector<AnsweredContext> negotiate(const std::vector<ProposedContext>& proposed,
                                       const std::function<bool(std::string_view abstract_syntax)>& is_served);

}  // namespace fiducial::dicom
