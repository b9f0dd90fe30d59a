#include "gateway/impl/find_request.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>

#include "dicom/attributes.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::QueryLevel;
using dicom::Tag;
namespace tags = dicom::tags;

constexpr Tag kStepId = 0x00400009, kProcedureId = 0x00401001, kProcedureCodeSequence = 0x00081032;

dicom::Identifier asked(std::string level) {
    dicom::Identifier out;
    out.attributes.set(tags::kQueryRetrieveLevel, {std::move(level)});
    out.attributes.set(tags::kSpecificCharacterSet, {"ISO_IR 192"});
    return out;
}
FindRequest must(dicom::Identifier identifier, QueryLevel root = QueryLevel::study) {
    auto read = read_find_request(std::move(identifier), root, {});
    EXPECT_TRUE(read) << read.error().message;
    return read.value_or(FindRequest());
}
std::string key(const FindRequest& request, Tag tag) {
    for (const auto& one : request.query.keys) {
        if (one.tag == tag) return "=" + one.value;
    }
    return "";
}

TEST(FindRequest, Ps34_C_6_LevelsOfEachRoot) {
    EXPECT_EQ(must(asked("PATIENT"), QueryLevel::patient).query.level, QueryLevel::patient);
    EXPECT_EQ(must(asked("STUDY")).query.level, QueryLevel::study);
    EXPECT_EQ(must(asked("SERIES")).query.level, QueryLevel::series);
    EXPECT_EQ(must(asked("IMAGE"), QueryLevel::patient).query.level, QueryLevel::instance);
    for (const auto* wrong : {"PATIENT", "", "study", "INSTANCE"})
        EXPECT_EQ(read_find_request(asked(wrong), QueryLevel::study, {}).error().code, ErrorCode::malformed) << wrong;
    EXPECT_EQ(read_find_request({}, QueryLevel::patient, {}).error().code, ErrorCode::malformed);
}

TEST(FindRequest, Ps34_C_4_1_1_3_KeysAreWhatIsNoControl) {
    auto identifier = asked("STUDY");
    identifier.attributes.set(tags::kStudyInstanceUid, {"1.2", "1.3"});
    identifier.attributes.set(tags::kPatientName, {});
    identifier.attributes.set(tags::kRetrieveAeTitle, {"SOMEBODY"});
    identifier.attributes.set(tags::kTimezoneOffsetFromUtc, {"+0900"});
    const auto request = must(std::move(identifier));
    EXPECT_EQ(request.query.keys.size(), 2u);
    EXPECT_EQ(key(request, tags::kStudyInstanceUid), "=1.2\\1.3");
    EXPECT_EQ(key(request, tags::kPatientName), "=");
    EXPECT_EQ(request.query.utc_offset, std::chrono::minutes(540));
    auto nowhere = asked("STUDY");
    nowhere.attributes.set(tags::kTimezoneOffsetFromUtc, {"JST"});
    EXPECT_EQ(read_find_request(std::move(nowhere), QueryLevel::study, {}).error().code, ErrorCode::malformed);
    EXPECT_FALSE(request.query.combined_date_time || request.query.fuzzy_names);
    const auto with_options = read_find_request(asked("STUDY"), QueryLevel::study, {true, true, true});
    EXPECT_TRUE(with_options->query.combined_date_time && with_options->query.fuzzy_names);
}

TEST(FindRequest, Ps34_C_2_2_2_6_KeysInASequence) {
    auto identifier = asked("SERIES");
    identifier.items[tags::kRequestAttributesSequence].set(kStepId, {"S*"});
    identifier.items[tags::kRequestAttributesSequence].set(0x00400007, {"not indexed"});
    identifier.items[kProcedureCodeSequence].set(0x00080100, {"CODE"});
    const auto request = must(std::move(identifier));
    EXPECT_EQ(request.query.keys.size(), 1u);
    EXPECT_EQ(key(request, kStepId), "=S*");
    EXPECT_EQ(request.ignored, (std::vector<Tag>{0x00080100, kProcedureCodeSequence, 0x00400007}));
}

/// Each that docs/reference/dimse.md names as neither matched nor given out.
TEST(FindRequest, Ps34_C_2_2_2_6_OtherSequencesAreIgnoredAndTheWarningSaysSo) {
    std::ostringstream text;
    text << std::ifstream(std::string(FIDUCIAL_SOURCE_DIR) + "/docs/reference/dimse.md").rdbuf();
    const auto page = text.str();
    const auto begin = page.find("**Sequences**"), end = page.find("**Answers**");
    ASSERT_LT(begin, end);
    const auto plain = [](std::string words) {
        std::erase_if(words, [](char c) { return c == ' ' || c == '\n'; });
        std::transform(words.begin(), words.end(), words.begin(),
                       [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
        return words;
    };
    const auto said = plain(page.substr(begin, end - begin));
    struct Row {
        const char* level;
        Tag sequence, key;
    };
    constexpr Row kRows[] = {
        {"STUDY", 0x00081032, 0x00080100}, {"STUDY", 0x00081110, 0x00081155},  {"STUDY", 0x00081120, 0x00081155},
        {"STUDY", 0x00080063, 0x00080100}, {"STUDY", 0x00080051, 0x00400031},  {"STUDY", 0x00100024, 0x00400032},
        {"STUDY", 0x00101002, 0x00100020}, {"SERIES", 0x00081111, 0x00081155}, {"IMAGE", 0x00083001, 0x0020000e},
        {"IMAGE", 0x0040a043, 0x00080100}, {"IMAGE", 0x0040a504, 0x0040db00},  {"IMAGE", 0x00400560, 0x00400551},
        {"IMAGE", 0x0040a370, 0x00080050}, {"IMAGE", 0x00540220, 0x00080100},
    };
    for (const auto& row : kRows) {
        SCOPED_TRACE(dicom::keyword_of(row.sequence));
        EXPECT_NE(said.find(plain(dicom::keyword_of(row.sequence))), std::string::npos);
        auto identifier = asked(row.level);
        identifier.attributes.set(tags::kStudyInstanceUid, {"1.2"});
        identifier.items[row.sequence].set(row.key, {"X"});
        const auto request = must(std::move(identifier));
        EXPECT_EQ(request.query.keys.size(), 1u) << "the others count";
        EXPECT_NE(std::find(request.ignored.begin(), request.ignored.end(), row.sequence), request.ignored.end());
        EXPECT_FALSE(find_answer(request, request.ignored, {}, "FIDUCIAL").items.contains(row.sequence));
    }
    for (const Tag nested : {Tag{0x00321064}, Tag{0x00400008}}) {  // in Request Attributes Sequence
        auto identifier = asked("SERIES");
        identifier.items[tags::kRequestAttributesSequence].set(nested, {});
        EXPECT_NE(said.find(plain(dicom::keyword_of(nested))), std::string::npos);
        EXPECT_EQ(must(std::move(identifier)).ignored, std::vector<Tag>{nested});
    }
}

TEST(FindRequest, Ps34_C_4_1_1_3_2_AnAnswerHoldsWhatWasAskedForAndIsKnown) {
    auto identifier = asked("SERIES");
    identifier.character_set = "ISO_IR 192";
    identifier.attributes.set(tags::kModality, {"CT"});
    identifier.attributes.set(tags::kSeriesDescription, {});
    identifier.attributes.set(0x00400280, {});  // not indexed
    identifier.items[tags::kRequestAttributesSequence].set(kStepId, {});
    const auto request = must(std::move(identifier));
    dicom::Attributes row;
    row.set(tags::kModality, {"CT"});
    row.set(tags::kSeriesNumber, {"3"});
    row.set(kStepId, {"S1"});
    row.set(kProcedureId, {"P1"});
    const auto answer = find_answer(request, {0x00400280}, row, "FIDUCIAL");
    EXPECT_EQ(answer.character_set, "ISO_IR 192");
    EXPECT_EQ(answer.attributes.first(tags::kQueryRetrieveLevel), "SERIES");
    EXPECT_EQ(answer.attributes.first(tags::kRetrieveAeTitle), "FIDUCIAL");
    EXPECT_EQ(answer.attributes.first(tags::kModality), "CT");
    EXPECT_TRUE(answer.attributes.has(tags::kSeriesDescription));
    EXPECT_FALSE(answer.attributes.has(tags::kSeriesNumber)) << "it was not asked for";
    EXPECT_FALSE(answer.attributes.has(0x00400280)) << "it is not known here";
    const auto& item = answer.items.at(tags::kRequestAttributesSequence);
    EXPECT_EQ(item.first(kStepId), "S1");
    EXPECT_FALSE(item.has(kProcedureId));
    EXPECT_TRUE(find_answer(request, {}, {}, "FIDUCIAL").items.at(tags::kRequestAttributesSequence).empty());
}

}  // namespace
}  // namespace fiducial::gateway::impl
