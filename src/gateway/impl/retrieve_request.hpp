#pragma once
#include <vector>

#include "archive/archive.hpp"
#include "dicom/identifier.hpp"
#include "dicom/query_retrieve.hpp"

namespace fiducial::gateway::impl {

/// What a C-GET or C-MOVE names: studies, series or instances; or patients, whose studies are to be found first.
struct RetrieveRequest {
    std::vector<archive::Selector> selectors;
    std::string patient_id;  // where patients are named; may be a list
};

/// Reads the identifier of a C-GET or C-MOVE: a list of UIDs at its level, one UID at each level above down from the study.
/// Spec: PS3.4 §C.4.2.2.1, §C.4.3.2.1. Errors: malformed, naming the key and nothing of its value.
Result<RetrieveRequest> read_retrieve_request(const dicom::Identifier& identifier, dicom::QueryLevel root);

inline constexpr std::size_t kMostSelected = 10'000;  // UIDs in a list

}  // namespace fiducial::gateway::impl
