#pragma once
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dicom/query_retrieve.hpp"
#include "dimse/query_user.hpp"
#include "dimse/user.hpp"

// The Study Root Query/Retrieve Information Model, as a user of it. Spec: PS3.4 §C.6.2
namespace fiducial::dimse {

inline constexpr std::string_view kStudyRootFind = "1.2.840.10008.5.1.4.1.2.2.1";
inline constexpr std::string_view kStudyRootMove = "1.2.840.10008.5.1.4.1.2.2.2";
inline constexpr std::string_view kStudyRootGet = "1.2.840.10008.5.1.4.1.2.2.3";

/// Keys with values; those without are universal: they are wanted in the answers.
using QueryKeys = std::vector<std::pair<dicom::Tag, std::string>>;
QueryAsk study_root_ask(std::string_view sop_class, dicom::QueryLevel level, const QueryKeys& keys);

/// One presentation context, in Implicit VR Little Endian.
void propose(UserSettings& settings, std::string_view sop_class);
/// C-GET, and to take these storage classes in what an archive is likely to keep them in, the likeliest first, each in a presentation
/// context of its own (the peer chooses one of each), as far as 128 go.
void propose_get(UserSettings& settings, const std::set<std::string>& storage_classes);

}  // namespace fiducial::dimse
