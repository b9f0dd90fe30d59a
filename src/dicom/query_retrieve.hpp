#pragma once
#include <optional>
#include <string_view>

#include "dicom/attributes.hpp"
#include "dicom/command_set.hpp"

// The Query/Retrieve service class. Spec: PS3.4 Annex C.
namespace fiducial::dicom {

namespace tags {
inline constexpr Tag kQueryRetrieveLevel = 0x00080052;
inline constexpr Tag kRetrieveAeTitle = 0x00080054;
inline constexpr Tag kFailedSopInstanceUidList = 0x00080058;
inline constexpr Tag kTimezoneOffsetFromUtc = 0x00080201;
}  // namespace tags

/// One SOP class of the service: where its levels begin, and the command that it is for.
/// Spec: PS3.4 table C.6-1 ff. Patient/Study Only, which is retired, is not among them.
struct QueryModel {
    std::string_view uid;
    QueryLevel root;  // patient or study
    CommandField command;
};
const QueryModel* find_query_model(std::string_view sop_class);

/// Query/Retrieve Level (0008,0052): PATIENT, STUDY, SERIES, IMAGE. Returns: nothing for anything else.
std::optional<QueryLevel> parse_query_level(std::string_view text);
std::string_view text_of(QueryLevel level);
/// The attribute that tells the entities of a level apart. Spec: PS3.4 §C.2.2.1.1, §C.6
Tag unique_key_of(QueryLevel level);

}  // namespace fiducial::dicom
