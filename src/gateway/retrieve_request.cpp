#include "gateway/impl/retrieve_request.hpp"

#include "base/identifiers.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::QueryLevel;
namespace tags = dicom::tags;

Result<std::vector<std::string>> uids(const dicom::Identifier& identifier, dicom::Tag tag) {
    const auto values = identifier.attributes.all(tag);
    const auto name = dicom::keyword_of(tag) + " " + dicom::tag_name(tag);
    if (values.empty()) return fail(ErrorCode::malformed, name + " is missing");
    if (values.size() > kMostSelected)
        return fail(ErrorCode::limit_exceeded, name + ": a list has at most " + std::to_string(kMostSelected) + " UIDs");
    for (const auto& value : values) {
        if (!Uid::parse(value)) return fail(ErrorCode::malformed, name + " is not a UID or a list of them");
    }
    return std::vector<std::string>(values.begin(), values.end());
}

Result<std::string> one_uid(const dicom::Identifier& identifier, dicom::Tag tag) {
    FID_TRY(auto values, uids(identifier, tag));
    if (values.size() != 1) return fail(ErrorCode::malformed, dicom::keyword_of(tag) + " " + dicom::tag_name(tag) + ": wanted is one UID");
    return std::move(values.front());
}

}  // namespace

Result<RetrieveRequest> read_retrieve_request(const dicom::Identifier& identifier, QueryLevel root) {
    const auto level = dicom::parse_query_level(identifier.attributes.first(tags::kQueryRetrieveLevel));
    if (!level || *level < root) return fail(ErrorCode::malformed, "Query/Retrieve Level (0008,0052) is not one of this SOP class");
    RetrieveRequest request;
    if (*level == QueryLevel::patient) {
        request.patient_id = identifier.attributes.joined(tags::kPatientId);
        if (request.patient_id.empty()) return fail(ErrorCode::malformed, "PatientID (0010,0020) is missing");
        if (request.patient_id.find_first_of("*?") != std::string::npos)
            return fail(ErrorCode::malformed, "PatientID (0010,0020): wanted is a value or a list of them");
        return request;
    }
    archive::Selector above;
    above.level = *level == QueryLevel::study    ? archive::Level::study
                  : *level == QueryLevel::series ? archive::Level::series
                                                 : archive::Level::instance;
    if (*level > QueryLevel::study) {
        FID_TRY(above.study_uid, one_uid(identifier, tags::kStudyInstanceUid));
    }
    if (*level > QueryLevel::series) {
        FID_TRY(above.series_uid, one_uid(identifier, tags::kSeriesInstanceUid));
    }
    FID_TRY(const auto wanted, uids(identifier, dicom::unique_key_of(*level)));
    for (const auto& uid : wanted) {
        auto selector = above;
        (*level == QueryLevel::study ? selector.study_uid : *level == QueryLevel::series ? selector.series_uid : selector.sop_uid) = uid;
        request.selectors.push_back(std::move(selector));
    }
    return request;
}

}  // namespace fiducial::gateway::impl
