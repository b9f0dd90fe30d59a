#include "gateway/impl/retrieve_request.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway::impl {
namespace {

using archive::Level;
using dicom::QueryLevel;
namespace tags = dicom::tags;

struct Uids {
    std::vector<std::string> study{}, series{}, sop{};
};
Result<RetrieveRequest> read(std::string level, Uids uids, QueryLevel root = QueryLevel::study, std::vector<std::string> patient = {}) {
    dicom::Identifier identifier;
    identifier.attributes.set(tags::kQueryRetrieveLevel, {std::move(level)});
    const auto set = [&](dicom::Tag tag, std::vector<std::string> values) {
        if (!values.empty()) identifier.attributes.set(tag, std::move(values));
    };
    set(tags::kPatientId, std::move(patient));
    set(tags::kStudyInstanceUid, std::move(uids.study));
    set(tags::kSeriesInstanceUid, std::move(uids.series));
    set(tags::kSopInstanceUid, std::move(uids.sop));
    return read_retrieve_request(identifier, root);
}

TEST(RetrieveRequest, Ps34_C_4_2_2_1_AListAtItsLevelUnderOneOfEachAbove) {
    const auto studies = read("STUDY", {{"1.2", "1.3"}});
    ASSERT_TRUE(studies) << studies.error().message;
    ASSERT_EQ(studies->selectors.size(), 2u);
    EXPECT_EQ(studies->selectors[1].level, Level::study);
    EXPECT_EQ(studies->selectors[1].study_uid, "1.3");
    const auto series = read("SERIES", {{"1.2"}, {"1.2.1", "1.2.2"}});
    ASSERT_TRUE(series && series->selectors.size() == 2);
    EXPECT_EQ(series->selectors[0].level, Level::series);
    EXPECT_EQ(series->selectors[0].study_uid + " " + series->selectors[0].series_uid, "1.2 1.2.1");
    const auto images = read("IMAGE", {{"1.2"}, {"1.2.1"}, {"1.2.1.7"}}, QueryLevel::patient);
    ASSERT_TRUE(images && images->selectors.size() == 1);
    EXPECT_EQ(images->selectors[0].level, Level::instance);
    EXPECT_EQ(images->selectors[0].series_uid + " " + images->selectors[0].sop_uid, "1.2.1 1.2.1.7");
    const auto patients = read("PATIENT", {}, QueryLevel::patient, {"P1", "P2"});
    ASSERT_TRUE(patients && patients->selectors.empty());
    EXPECT_EQ(patients->patient_id, "P1\\P2");
}

TEST(RetrieveRequest, Rejections) {
    const auto code = [](const Result<RetrieveRequest>& request) { return request ? ErrorCode::internal : request.error().code; };
    EXPECT_EQ(code(read("", {{"1.2"}})), ErrorCode::malformed);
    EXPECT_EQ(code(read("PATIENT", {}, QueryLevel::study, {"P1"})), ErrorCode::malformed) << "not of this root";
    EXPECT_EQ(code(read("PATIENT", {}, QueryLevel::patient)), ErrorCode::malformed) << "whom";
    EXPECT_EQ(code(read("PATIENT", {}, QueryLevel::patient, {"P*"})), ErrorCode::malformed) << "nobody is fetched by a wildcard";
    EXPECT_EQ(code(read("STUDY", {})), ErrorCode::malformed);
    EXPECT_EQ(code(read("STUDY", {{"1.2*"}})), ErrorCode::malformed);
    EXPECT_EQ(code(read("SERIES", {{"1.2", "1.3"}, {"1.4"}})), ErrorCode::malformed) << "under which study";
    EXPECT_EQ(code(read("SERIES", {{}, {"1.4"}})), ErrorCode::malformed);
    EXPECT_EQ(code(read("IMAGE", {{"1.2"}, {}, {"1.4"}})), ErrorCode::malformed);
    EXPECT_EQ(code(read("STUDY", {std::vector<std::string>(kMostSelected + 1, "1.2")})), ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace fiducial::gateway::impl
