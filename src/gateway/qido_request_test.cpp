#include "gateway/impl/qido_request.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "dicom/matching.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::QueryLevel;
using dicom::Tag;
namespace tags = dicom::tags;

QidoRequest read(std::string_view query, QueryLevel level = QueryLevel::study, const std::string& study = "",
                 const std::string& series = "") {
    const auto parameters = net::parse_query(query);
    EXPECT_TRUE(parameters) << query;
    auto request = read_qido_request(*parameters, level, study, series);
    EXPECT_TRUE(request) << query << ": " << request.error().message;
    return request ? *std::move(request) : QidoRequest{};
}
std::string refusal(std::string_view query) {
    const auto request = read_qido_request(*net::parse_query(query), QueryLevel::study, "", "");
    EXPECT_FALSE(request) << query;
    return request ? std::string() : request.error().message;
}
std::string value_of(const QidoRequest& request, Tag tag) {
    for (const auto& key : request.query.keys) {
        if (key.tag == tag) return key.value;
    }
    return "(none)";
}

TEST(PS3_18_8_3_4, KeysByKeywordByTagAndInASequence) {
    const auto request =
        read("PatientName=Doe%5EJ%2A&00100020=P+1&00400275.00401001=R1&RequestAttributesSequence.00400009=S1&0020000D=1.2,1.3");
    EXPECT_EQ(value_of(request, tags::kPatientName), "Doe^J*");
    EXPECT_EQ(value_of(request, tags::kPatientId), "P 1");
    EXPECT_EQ(value_of(request, 0x00401001), "R1");
    EXPECT_EQ(value_of(request, 0x00400009), "S1");
    EXPECT_EQ(value_of(request, tags::kStudyInstanceUid), "1.2,1.3");
    EXPECT_TRUE(request.query.combined_date_time);
    EXPECT_TRUE(request.ignored.empty());
}

TEST(PS3_18_8_3_4, OtherParametersAndTheirBounds) {
    const auto request = read("limit=10&offset=20&fuzzymatching=true&includefield=PatientComments,00081030&includefield=all&accept=x");
    EXPECT_EQ(request.limit, 10u);
    EXPECT_EQ(request.query.offset, 20u);
    EXPECT_TRUE(request.query.fuzzy_names);
    EXPECT_TRUE(request.include_all);
    EXPECT_EQ(request.include, (std::vector<Tag>{0x00104000, 0x00081030}));
    EXPECT_EQ(read("limit=99999999999999999999").limit, kMostResults);
    EXPECT_EQ(read("").limit, kMostResults);
}

TEST(PS3_4_C_2_2_2_5, AnOffsetIsTheTimezoneOfTheKeysAndNoKey) {
    const auto request = read("StudyDate=20240101&TimezoneOffsetFromUTC=%2B0900");
    EXPECT_EQ(request.query.utc_offset, std::chrono::minutes(540));
    EXPECT_EQ(request.query.keys.size(), 1u);
    EXPECT_EQ(read("StudyDate=20240101&00080201=-0330").query.utc_offset, std::chrono::minutes(-210));
    EXPECT_EQ(read("TimezoneOffsetFromUTC=").query.utc_offset, std::nullopt);
    EXPECT_EQ(refusal("TimezoneOffsetFromUTC=+0900"), "TimezoneOffsetFromUTC: wanted is +HHMM or -HHMM, where an address writes + as %2B");
}

TEST(PS3_18_8_3_4, RefusalsNameTheParameterAndNotItsValue) {
    EXPECT_EQ(refusal("limit=many"), "limit: wanted is a number");
    EXPECT_EQ(refusal("limit=-1"), "limit: wanted is a number");
    EXPECT_EQ(refusal("offset="), "offset: wanted is a number");
    EXPECT_EQ(refusal("fuzzymatching=yes"), "fuzzymatching: wanted is true or false");
    EXPECT_EQ(refusal("PatientID=secret&PatientID=other"), "PatientID: given twice");
    std::string many = "a=1";
    for (int i = 0; i < 129; ++i) many += "&0011" + std::to_string(1000 + i) + "=1";
    EXPECT_EQ(refusal(many), "a query has at most 128 keys");
}

TEST(PS3_18_8_3_4, WhatNamesNoAttributeIsIgnoredAndSaid) {
    const auto request = read("Patientname=x&SharedFunctionalGroupsSequence.00080060=CT&<b>=1&includefield=nonsense,PatientID");
    EXPECT_TRUE(request.query.keys.empty());
    EXPECT_EQ(request.ignored, (std::vector<std::string>{"Patientname", "SharedFunctionalGroupsSequence.00080060", "?b?", "nonsense"}));
}

TEST(PS3_18_10_6_1, ThePathIsAKeyLikeOthers) {
    const auto request = read("InstanceNumber=1", QueryLevel::instance, "1.2", "1.2.3");
    EXPECT_EQ(value_of(request, tags::kStudyInstanceUid), "1.2");
    EXPECT_EQ(value_of(request, tags::kSeriesInstanceUid), "1.2.3");
}

/// A row with a value for everything that an index can hold.
dicom::Attributes full_row(QueryLevel level) {
    dicom::Attributes row;
    for (const auto rows : {dicom::query_attributes(), dicom::computed_query_attributes()}) {
        for (const auto& one : rows) {
            if (one.level <= level) row.set(one.tag, {"1"});
        }
    }
    row.set(tags::kSpecificCharacterSet, {"ISO_IR 192"});
    row.set(tags::kInstanceAvailability, {"ONLINE"});
    return row;
}
std::vector<Tag> tags_of(const dicom::Attributes& attributes) {
    std::vector<Tag> out;
    for (const auto& [tag, values] : attributes) out.push_back(tag);
    return out;
}

// PS3.18 (2024) table 10.6.3-3, but for Retrieve URL, which the door adds.
const std::vector<Tag> kTable3 = {0x00080005, 0x00080020, 0x00080030, 0x00080050, 0x00080056, 0x00080061, 0x00080090, 0x00080201,
                                  0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x0020000d, 0x00200010, 0x00201206, 0x00201208};
// Table 10.6.3-4, with the study's UID; (0040,0275) is given by its two.
const std::vector<Tag> kTable4 = {0x00080005, 0x00080060, 0x00080201, 0x0008103e, 0x0020000d, 0x0020000e,
                                  0x00200011, 0x00201209, 0x00400009, 0x00400244, 0x00400245, 0x00401001};
// Table 10.6.3-5, with the UIDs of study and series.
const std::vector<Tag> kTable5 = {0x00080005, 0x00080016, 0x00080018, 0x00080056, 0x00080201, 0x0020000d,
                                  0x0020000e, 0x00200013, 0x00280008, 0x00280010, 0x00280011, 0x00280100};

std::vector<Tag> merged(std::initializer_list<std::vector<Tag>> tables) {
    std::vector<Tag> out;
    for (const auto& table : tables) out.insert(out.end(), table.begin(), table.end());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

TEST(PS3_18_10_6_3_3, EachResourceGivesItsTables) {
    const auto given = [](QueryLevel level, const std::string& study = "", const std::string& series = "") {
        return tags_of(select_attributes(read("", level, study, series), full_row(level)));
    };
    EXPECT_EQ(given(QueryLevel::study), kTable3);
    EXPECT_EQ(given(QueryLevel::series, "1.2"), kTable4);
    EXPECT_EQ(given(QueryLevel::instance, "1.2", "1.3"), kTable5);
    EXPECT_EQ(given(QueryLevel::series), merged({kTable3, kTable4}));
    EXPECT_EQ(given(QueryLevel::instance), merged({kTable3, kTable4, kTable5}));
    EXPECT_EQ(given(QueryLevel::instance, "1.2"), merged({kTable4, kTable5}));
}

TEST(PS3_18_10_6_3_3, WhatWasAskedForComesToo) {
    const auto row = full_row(QueryLevel::study);
    auto expected = kTable3;
    expected.push_back(0x00101010);
    expected.push_back(0x00104000);
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(tags_of(select_attributes(read("PatientAge=045Y&includefield=PatientComments,Modality"), row)), expected);
    EXPECT_EQ(tags_of(select_attributes(read("includefield=all"), row)), tags_of(row));
    const auto within = select_attributes(read("includefield=all", QueryLevel::series, "1.2"), full_row(QueryLevel::series));
    EXPECT_FALSE(within.has(tags::kPatientName)) << "a study's attributes are not its series'";
    EXPECT_TRUE(within.has(0x00180015));
}

TEST(PS3_18_10_6_3_3, WhatIsMissingIsEmpty) {
    dicom::Attributes row;
    row.set(tags::kStudyInstanceUid, {"1.2"});
    const auto given = select_attributes(read(""), row);
    EXPECT_TRUE(given.has(tags::kStudyDate));
    EXPECT_TRUE(given.all(tags::kStudyDate).empty());
    EXPECT_FALSE(given.has(0x00080201)) << "Timezone Offset From UTC where it is known";
}

}  // namespace
}  // namespace fiducial::gateway::impl
