#include "dicom/query_retrieve.hpp"

#include <algorithm>
#include <array>

namespace fiducial::dicom {
namespace {

constexpr std::array kModels{
    QueryModel{"1.2.840.10008.5.1.4.1.2.1.1", QueryLevel::patient, CommandField::c_find_rq},
    QueryModel{"1.2.840.10008.5.1.4.1.2.1.2", QueryLevel::patient, CommandField::c_move_rq},
    QueryModel{"1.2.840.10008.5.1.4.1.2.1.3", QueryLevel::patient, CommandField::c_get_rq},
    QueryModel{"1.2.840.10008.5.1.4.1.2.2.1", QueryLevel::study, CommandField::c_find_rq},
    QueryModel{"1.2.840.10008.5.1.4.1.2.2.2", QueryLevel::study, CommandField::c_move_rq},
    QueryModel{"1.2.840.10008.5.1.4.1.2.2.3", QueryLevel::study, CommandField::c_get_rq},
};

struct LevelRow {
    std::string_view text;
    Tag unique_key;
};
constexpr std::array<LevelRow, 4> kLevels{{
    // in order of QueryLevel
    {"PATIENT", tags::kPatientId},
    {"STUDY", tags::kStudyInstanceUid},
    {"SERIES", tags::kSeriesInstanceUid},
    {"IMAGE", tags::kSopInstanceUid},
}};

}  // namespace

const QueryModel* find_query_model(std::string_view sop_class) {
    const auto found = std::find_if(kModels.begin(), kModels.end(), [&](const QueryModel& model) { return model.uid == sop_class; });
    return found == kModels.end() ? nullptr : &*found;
}

std::optional<QueryLevel> parse_query_level(std::string_view text) {
    const auto found = std::find_if(kLevels.begin(), kLevels.end(), [&](const LevelRow& row) { return row.text == text; });
    if (found == kLevels.end()) return std::nullopt;
    return static_cast<QueryLevel>(found - kLevels.begin());
}

std::string_view text_of(QueryLevel level) {
    return kLevels[static_cast<std::size_t>(level)].text;
}

Tag unique_key_of(QueryLevel level) {
    return kLevels[static_cast<std::size_t>(level)].unique_key;
}

}  // namespace fiducial::dicom
