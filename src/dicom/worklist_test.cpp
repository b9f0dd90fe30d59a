#include "dicom/worklist.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

namespace fiducial::dicom {
namespace {

const std::vector<NamedText> kFields{{"PatientName", "Müller^Jürgen"},
                                     {"PatientID", "P1"},
                                     {"AccessionNumber", "A1"},
                                     {"Modality", "CT"},
                                     {"ScheduledStationAETitle", "CT1\\CT2"},
                                     {"ScheduledProcedureStepStartDate", "2026-12-01"},
                                     {"ScheduledProcedureStepStartTime", "08:30"},
                                     {"CodeValue", "CTTHX"},
                                     {"RequestingPhysician", ""}};

Attributes entry_with(const std::vector<NamedText>& more) {
    auto fields = kFields;
    for (const auto& one : more) {
        std::erase_if(fields, [&](const auto& field) { return field.first == one.first; });
        fields.push_back(one);
    }
    auto entry = read_worklist_entry(fields);
    EXPECT_TRUE(entry) << entry.error().message;
    return entry.value_or(Attributes());
}

bool fits(const std::vector<std::pair<Tag, std::string>>& keys, const Attributes& entry) {
    WorklistCriteria criteria;
    for (const auto& [tag, value] : keys) EXPECT_TRUE(criteria.add(tag, value));
    criteria.combine_moments();
    return criteria.fit(entry);
}

TEST(Worklist, Ps34_K_6_TheTableIsInOrderAndOfTheDictionary) {
    for (const auto& row : worklist_attributes()) {
        EXPECT_NE(dictionary_vr(row.tag), "UN") << tag_text(row.tag);
        EXPECT_NE(dictionary_vr(row.tag), "SQ") << tag_text(row.tag);
        EXPECT_EQ(find_worklist_attribute(row.tag), &row) << "each stands there once";
    }
    EXPECT_TRUE(std::is_sorted(worklist_attributes().begin(), worklist_attributes().end(),
                               [](const auto& a, const auto& b) { return std::pair(a.sequence, a.tag) < std::pair(b.sequence, b.tag); }));
}

TEST(Worklist, OperatorsReadOfEachAttributeAndOfNoOther) {
    std::ostringstream text;
    text << std::ifstream(std::string(FIDUCIAL_SOURCE_DIR) + "/docs/operating/worklist.md").rdbuf();
    const std::string page = text.str();
    std::size_t rows = 0;
    for (auto at = page.find("\n| `"); at != std::string::npos; at = page.find("\n| `", at + 1)) ++rows;
    EXPECT_EQ(rows, worklist_attributes().size());
    for (const auto& row : worklist_attributes()) {
        const auto wanted = "\n| `" + keyword_of(row.tag) + "` | " + tag_name(row.tag) + " | " + (row.required ? "needed" : "");
        EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
    }
}

TEST(Worklist, EntriesComeAsKeywordsAndText) {
    const auto entry = entry_with({});
    EXPECT_TRUE(check_worklist_entry(entry));
    EXPECT_EQ(entry.first(tags::kScheduledStartDate), "20261201");
    EXPECT_EQ(entry.first(tags::kScheduledStartTime), "083000");
    EXPECT_EQ(entry.all(tags::kScheduledStationAeTitle).size(), 2u);
    EXPECT_FALSE(entry.has(0x00321032)) << "what is empty is not there";
}

TEST(Worklist, WhatIsWrongIsNamedWithoutItsValue) {
    const std::vector<std::pair<NamedText, std::string>> wrong{
        {{"PatientBirthDate", "Secret"}, "PatientBirthDate is not a date YYYYMMDD"},
        {{"ScheduledProcedureStepEndTime", "2500"}, "ScheduledProcedureStepEndTime is not a time HHMMSS"},
        {{"StudyInstanceUID", "1.x"}, "StudyInstanceUID is not a UID"},
        {{"PatientSex", "f"}, "PatientSex is not a code: capitals, digits, spaces and underscores"},
        {{"RequestedProcedureID", "12345678901234567"}, "RequestedProcedureID is longer than 16 characters"},
        {{"RequestingService", "a\\b"}, "RequestingService has one value, without a backslash"},
        {{"PatientWeight", "heavy"}, "PatientWeight is not a number"},
        {{"PatientComments", "x"}, "an entry of the worklist has no attribute 'PatientComments'"},
        {{"ScheduledProcedureStepStatus", "READY"}, "an entry of the worklist has no attribute 'ScheduledProcedureStepStatus'"},
        {{"AdmissionID", "a\nb"}, "AdmissionID holds control characters, or is not UTF-8"}};
    for (const auto& [field, message] : wrong) {
        const auto entry = read_worklist_entry(std::vector{field});
        ASSERT_FALSE(entry) << field.first;
        EXPECT_EQ(entry.error().message, message);
        EXPECT_EQ(entry.error().code, ErrorCode::invalid_argument);
    }
    EXPECT_FALSE(read_worklist_entry(std::vector<NamedText>{{"PatientID", "1"}, {"00100020", "2"}}));
    auto incomplete = entry_with({});
    incomplete.erase(tags::kModality);
    EXPECT_EQ(check_worklist_entry(incomplete).error().message, "Modality is missing");
}

TEST(Worklist, TablesHaveKeywordsInTheirFirstLine) {
    const auto read =
        read_worklist_table("\xef\xbb\xbfPatientID;PatientName;AccessionNumber\r\nP1;\"Doe^Jane\";A1\r\n\r\nP2;Roe^Jo;A2\r\n");
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(read->size(), 2u);
    EXPECT_EQ((*read)[1].first(tags::kPatientName), "Roe^Jo");
    EXPECT_EQ(read_worklist_table("PatientID,Modality\nP1\n").error().message, "line 2 of the worklist's table: 1 fields instead of 2");
    EXPECT_EQ(read_worklist_table("PatientID,Modality\nP1,ct\n").error().message,
              "line 2 of the worklist's table: Modality is not a code: capitals, digits, spaces and underscores");
    EXPECT_FALSE(read_worklist_table(""));
}

TEST(Worklist, JsonHoldsTheSame) {
    const auto read =
        read_worklist(R"( [{"PatientID": "P1", "PatientWeight": 70, "ScheduledStationAETitle": ["CT1", "CT2"]}, {"PatientID": "P2"}])");
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(read->size(), 2u);
    EXPECT_EQ((*read)[0].first(0x00101030), "70");
    EXPECT_EQ((*read)[0].all(tags::kScheduledStationAeTitle).size(), 2u);
    EXPECT_EQ(boost::json::serialize(worklist_entry_json((*read)[1])), R"({"PatientID":"P2"})");
    EXPECT_EQ(read_worklist(R"({"PatientID": "P1"})")->size(), 1u);
    EXPECT_EQ(read_worklist("PatientID\nP1\n")->size(), 1u);
    EXPECT_EQ(read_worklist(R"([{"PatientID": "P1"}, {"PatientID": {}}])").error().message,
              "entry 2: PatientID is no text, no number and no list of texts");
    EXPECT_EQ(read_worklist("[1]").error().message, "entry 1 is no JSON object");
}

TEST(Worklist, Ps34_K_6_1_2_2_KeysAreMatched) {
    const auto entry = entry_with({});
    EXPECT_TRUE(fits({}, entry));
    EXPECT_TRUE(fits({{tags::kScheduledStationAeTitle, "CT2"}, {tags::kModality, "CT"}}, entry));
    EXPECT_FALSE(fits({{tags::kScheduledStationAeTitle, "CT3"}}, entry));
    EXPECT_TRUE(fits({{tags::kPatientName, "muller^*"}}, entry));
    EXPECT_FALSE(fits({{tags::kPatientId, "P2"}}, entry));
    EXPECT_TRUE(fits({{0x00080100, "CTTHX"}}, entry));
    EXPECT_TRUE(fits({{tags::kScheduledStartDate, "20261130-20261202"}}, entry));
    EXPECT_FALSE(fits({{tags::kScheduledStartDate, "20261201"}, {tags::kScheduledStartTime, "0900-1000"}}, entry));
    // One range of moments: from the 30th at 18:00 to the 1st at 09:00.
    EXPECT_TRUE(fits({{tags::kScheduledStartDate, "20261130-20261201"}, {tags::kScheduledStartTime, "1800-0900"}}, entry));
    EXPECT_FALSE(fits({{tags::kScheduledStartDate, "20261130-20261201"}, {tags::kScheduledStartTime, "1800-0800"}}, entry));

    auto anywhere = entry;
    anywhere.erase(tags::kScheduledStationAeTitle);
    EXPECT_TRUE(fits({{tags::kScheduledStationAeTitle, "CT3"}}, anywhere)) << "an entry without a station is anybody's";
    WorklistCriteria wrong;
    EXPECT_EQ(wrong.add(tags::kScheduledStartDate, "soon").error().message.find("ScheduledProcedureStepStartDate"), 0u);
}

TEST(Worklist, Ps34_K_4_1_AnswersHoldWhatWasAskedFor) {
    Identifier asked;
    asked.character_set = "ISO_IR 100";
    for (const Tag tag : {tags::kPatientName, tags::kAccessionNumber, Tag{0x00104000}}) asked.attributes.set(tag, {});
    asked.items[tags::kScheduledProcedureStepSequence].set(tags::kModality, {"CT"});
    asked.items[tags::kScheduledProcedureStepSequence].set(tags::kScheduledStationAeTitle, {});
    asked.items[tags::kRequestedProcedureCodeSequence] = {};
    asked.items[0x00081110] = {};  // Referenced Study Sequence
    const auto request = read_worklist_request(asked);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->ignored, std::vector<Tag>{0x00104000});
    auto entry = entry_with({});
    EXPECT_TRUE(request->criteria.fit(entry));
    entry.erase(tags::kScheduledStationAeTitle);
    const auto answer = worklist_answer(*request, entry, "CT9");
    EXPECT_EQ(answer.character_set, "ISO_IR 100");
    EXPECT_EQ(answer.attributes.first(tags::kPatientName), "Müller^Jürgen");
    EXPECT_FALSE(answer.attributes.has(0x00104000));
    const auto& step = answer.items.at(tags::kScheduledProcedureStepSequence);
    EXPECT_EQ(step.size(), 2u);
    EXPECT_EQ(step.first(tags::kScheduledStationAeTitle), "CT9") << "scheduled for whoever asks";
    EXPECT_EQ(answer.items.at(tags::kRequestedProcedureCodeSequence).first(0x00080100), "CTTHX") << "without keys: all of it";
    EXPECT_TRUE(answer.items.at(0x00081110).empty());
}

TEST(Worklist, Ps34_K_6_1_1_SequencesThatAreNotKeptComeEmptyOrAreIgnored) {
    constexpr Tag kProtocol = 0x00400008, kReferencedStudy = 0x00081110;  // Scheduled Protocol Code Sequence
    Identifier asked;
    asked.items[tags::kScheduledProcedureStepSequence].set(tags::kModality, {});
    asked.items[tags::kScheduledProcedureStepSequence].set(kProtocol, {});
    asked.items[kReferencedStudy].set(0x00081155, {""});
    const auto universal = read_worklist_request(asked);
    ASSERT_TRUE(universal);
    EXPECT_TRUE(universal->ignored.empty());
    const auto answer = worklist_answer(*universal, entry_with({}), "CT1");
    const auto& step = answer.items.at(tags::kScheduledProcedureStepSequence);
    EXPECT_TRUE(step.has(kProtocol));
    EXPECT_TRUE(step.all(kProtocol).empty());

    asked.nested_keys.insert(kProtocol);
    asked.items[kReferencedStudy].set(0x00081155, {"1.2"});
    const auto valued = read_worklist_request(asked);
    ASSERT_TRUE(valued);
    EXPECT_EQ(valued->ignored, (std::vector<Tag>{kReferencedStudy, kProtocol}));
    EXPECT_TRUE(valued->criteria.fit(entry_with({}))) << "what is not kept keeps nothing out";
    EXPECT_FALSE(worklist_answer(*valued, entry_with({}), "CT1").items.at(tags::kScheduledProcedureStepSequence).has(kProtocol));
}

}  // namespace
}  // namespace fiducial::dicom
