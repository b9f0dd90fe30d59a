#include "dicom/matching.hpp"

#include <gtest/gtest.h>

#include <random>
#include <regex>

namespace fiducial::dicom {
namespace {

bool fits(Tag tag, std::string_view wanted, std::vector<std::string> values, bool fuzzy = false) {
    const auto key = Matcher::compile(tag, wanted, fuzzy);
    EXPECT_TRUE(key) << wanted << ": " << key.error().message;
    return key && key->matches(values);
}
ErrorCode refused(Tag tag, std::string_view wanted) {
    const auto key = Matcher::compile(tag, wanted);
    EXPECT_FALSE(key) << wanted;
    if (key) return ErrorCode::internal;
    EXPECT_EQ(key.error().message.find(wanted), std::string::npos) << "values may be names";
    return key.error().code;
}

struct Row {
    Tag tag;
    std::string_view wanted, value;
    bool expected;
};

TEST(PS3_4_C_2_2_2, TableOfMatches) {
    const Row rows[] = {
        // C.2.2.2.1 single value; identifiers and codes as they are written
        {tags::kPatientId, "P1", "P1", true},
        {tags::kPatientId, "P1", "p1", false},
        {tags::kPatientId, " P1 ", "P1", true},
        {tags::kAccessionNumber, "A,1", "A,1", true},
        {tags::kModalitiesInStudy, "CT", "CT", true},
        {tags::kModality, "CT", "MR", false},
        {tags::kStudyDescription, "THORAX ap", "Thorax AP", true},
        {tags::kStudyDescription, "thorax", "Thorax AP", false},
        {tags::kInstanceNumber, "7", "007", true},
        {tags::kInstanceNumber, "7", "70", false},
        {0x00101030, "70", "70.0", true},  // a decimal string
        {0x00101030, "70", "70.5", false},
        // C.2.2.2.2 lists
        {tags::kStudyInstanceUid, "1.2,1.3", "1.3", true},
        {tags::kStudyInstanceUid, "1.2\\1.3", "1.2", true},
        {tags::kStudyInstanceUid, "1.2,1.3", "1.33", false},
        {tags::kModality, "CT,MR", "MR", true},
        {tags::kModality, "CT\\MR", "US", false},
        // C.2.2.2.4 wildcards
        {tags::kPatientId, "P*", "P1234", true},
        {tags::kPatientId, "P?", "P12", false},
        {tags::kPatientId, "*2?", "P123", true},
        {tags::kPatientId, "P%", "P1", false},
        {tags::kStudyDescription, "*ap*", "Thorax AP stehend", true},
        {tags::kModality, "C?", "CR", true},
        {0x00101010, "04?Y", "045Y", false},  // an age takes no wildcards
        {tags::kPatientName, "山?*", "山田^太郎", true},
        // C.2.2.2.3 universal
        {tags::kPatientId, "", "", true},
        {tags::kPatientName, "*", "Doe", true},
        {tags::kStudyDate, "", "20240101", true},
        // C.2.2.2.5 ranges
        {tags::kStudyDate, "20240131", "20240131", true},
        {tags::kStudyDate, "20240131", "2024.01.31", true},
        {tags::kStudyDate, "20240101-20240131", "20240131", true},
        {tags::kStudyDate, "20240101-20240131", "20240201", false},
        {tags::kStudyDate, "-20240131", "19700101", true},
        {tags::kStudyDate, "-20240131", "", false},
        {tags::kStudyDate, "20240101-", "20231231", false},
        {tags::kStudyDate, "20240101 - 20240102", "20240102", true},
        {tags::kStudyTime, "10", "105959.9", true},
        {tags::kStudyTime, "1000-1059", "105959", true},
        {tags::kStudyTime, "1000-1059", "110000", false},
        {tags::kStudyTime, "100000-", "0959", false},
        {tags::kStudyTime, "10:00:00.5", "100000.500000", true},
        {tags::kStudyTime, "100000.5", "100000.59", true},
        // C.2.2.2.1.1 and PS3.5 §6.2.1: names
        {tags::kPatientName, "doe^jane", "Doe^Jane", true},
        {tags::kPatientName, "DOE^JANE^^", "Doe^Jane", true},
        {tags::kPatientName, "doe", "Doe^Jane", false},
        {tags::kPatientName, "doe*", "Doe^Jane", true},
        {tags::kPatientName, "*jane", "Doe^Jane", true},
        {tags::kPatientName, "muller*", "Müller^Jörg", true},
        {tags::kPatientName, "MÜLLER^JÖRG", "Muller^Jorg", true},
        {tags::kPatientName, "山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", true},
        {tags::kPatientName, "=山田*", "Yamada^Tarou=山田^太郎", true},
        {tags::kPatientName, "山田*=", "Yamada^Tarou=山田^太郎", true},  // a last '=' is padding
        {tags::kPatientName, "yamada*=*=やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", true},
        {tags::kPatientName, "tanaka*=山田*", "Yamada^Tarou=山田^太郎", false},
        {tags::kPatientName, "Smith*\\Doe*", "Doe^Jane", true},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(fits(row.tag, row.wanted, {std::string(row.value)}), row.expected)
            << keyword_of(row.tag) << "=" << row.wanted << " and " << row.value;
    }
}

TEST(PS3_4_C_2_2_2, ValuesOfOneAttributeAreAlternatives) {
    EXPECT_TRUE(fits(tags::kModalitiesInStudy, "MR", {"CT", "MR"}));
    EXPECT_FALSE(fits(tags::kModalitiesInStudy, "MR", {}));
    EXPECT_TRUE(fits(tags::kModalitiesInStudy, "*", {})) << "universal: also what has none";
    EXPECT_TRUE(fits(tags::kPatientId, "", {}));
}

TEST(PS3_18_8_3_4_2, FuzzyNamesAreWordsInAnyOrder) {
    EXPECT_TRUE(fits(tags::kPatientName, "jane do", {"Doe^Jane^Mary"}, true));
    EXPECT_TRUE(fits(tags::kPatientName, "Jürg mull", {"Müller^Jurgen"}, true));
    EXPECT_TRUE(fits(tags::kPatientName, "太郎", {"Yamada^Tarou=山田^太郎"}, true));
    EXPECT_FALSE(fits(tags::kPatientName, "jane roe", {"Doe^Jane"}, true));
    EXPECT_FALSE(fits(tags::kPatientName, "ane", {"Doe^Jane"}, true));
    EXPECT_TRUE(fits(tags::kPatientName, "*", {}, true));
}

TEST(PS3_4_C_2_2_2, WhatIsNoValueIsRefused) {
    for (const auto* wanted : {"2024013", "20240230", "-", "20240101-2024013", "today", "20240101-20240102-20240103"})
        EXPECT_EQ(refused(tags::kStudyDate, wanted), ErrorCode::malformed);
    for (const auto* wanted : {"25", "1", "10-99", "noon"}) EXPECT_EQ(refused(tags::kStudyTime, wanted), ErrorCode::malformed);
    for (const auto* wanted : {"1.2.x", "1.2,,1.3", "1.2*"}) EXPECT_EQ(refused(tags::kStudyInstanceUid, wanted), ErrorCode::malformed);
    EXPECT_EQ(refused(tags::kInstanceNumber, "seven"), ErrorCode::malformed);
    EXPECT_EQ(refused(0x00101030, "heavy"), ErrorCode::malformed);
    EXPECT_EQ(refused(tags::kPatientId, std::string(Matcher::kLongest + 1, 'x')), ErrorCode::limit_exceeded);
    std::string list = "1";
    for (std::size_t i = 0; i < Matcher::kMostAlternatives; ++i) list += ",1";
    EXPECT_EQ(refused(tags::kStudyInstanceUid, list), ErrorCode::limit_exceeded);
}

Criteria criteria_of(std::vector<std::pair<Tag, std::string>> keys) {
    Criteria out;
    for (const auto& [tag, value] : keys) out.add(*Matcher::compile(tag, value));
    return out;
}

TEST(PS3_4_C_2_2_2_5, DateAndTimeTogetherAreOneRangeOfMoments) {
    auto apart = criteria_of({{tags::kStudyDate, "20240101-20240103"}, {tags::kStudyTime, "1200-1300"}});
    auto together = apart;
    together.combine_moments();
    const auto at = [](std::string date, std::string time) {
        Attributes out;
        out.set(tags::kStudyDate, {std::move(date)});
        out.set(tags::kStudyTime, {std::move(time)});
        return out;
    };
    const auto both = [&](const Attributes& attributes) {
        return std::pair(apart.fit(QueryLevel::study, attributes), together.fit(QueryLevel::study, attributes));
    };
    EXPECT_EQ(both(at("20240101", "1230")), std::pair(true, true));
    EXPECT_EQ(both(at("20240101", "1130")), std::pair(false, false));
    EXPECT_EQ(both(at("20240102", "0300")), std::pair(false, true));
    EXPECT_EQ(both(at("20240103", "1301")), std::pair(false, false));
    EXPECT_EQ(both(at("20240101", "")), std::pair(false, true)) << "some moment of that day";
    EXPECT_EQ(both(at("20240104", "1230")), std::pair(false, false));
    // One day, and times that belong to another date, stay as they are.
    auto one_day = criteria_of({{tags::kStudyDate, "20240101"}, {tags::kStudyTime, "1200-1300"}, {0x00080031, "1200-1300"}});
    one_day.combine_moments();
    EXPECT_FALSE(one_day.fit(QueryLevel::study, at("20240101", "1430")));
    EXPECT_EQ(one_day.keys().size(), 3u);
}

TEST(Criteria, EachLevelLooksAtItsOwnKeys) {
    const auto criteria = criteria_of({{tags::kPatientId, "P1"}, {tags::kModality, "CT"}, {tags::kModalitiesInStudy, "MR"}});
    Attributes attributes;
    attributes.set(tags::kPatientId, {"P1"});
    attributes.set(tags::kModalitiesInStudy, {"MR", "CT"});
    EXPECT_TRUE(criteria.fit(QueryLevel::patient, attributes));
    EXPECT_TRUE(criteria.fit(QueryLevel::study, attributes));
    EXPECT_FALSE(criteria.fit(QueryLevel::series, attributes));
    EXPECT_TRUE(criteria.asks_of(QueryLevel::series));
    EXPECT_FALSE(criteria.asks_of(QueryLevel::instance));
}

// The rule of wildcards once more, as a regular expression.
TEST(PS3_4_C_2_2_2_4, WildcardsFitWhatARegularExpressionDoes) {
    std::mt19937 random(20260101);
    const auto word = [&](std::string_view letters) {
        std::string out;
        for (auto n = random() % 9; n > 0; --n) out += letters[random() % letters.size()];
        return out;
    };
    int fitted = 0;
    for (int i = 0; i < 2'000; ++i) {
        const auto text = word("aab.");
        const auto pattern = word("aab.**?");
        std::string expression;
        for (const char c : pattern)
            expression += c == '*' ? std::string(".*") : c == '?' ? std::string(".") : "[" + std::string(1, c) + "]";
        const bool expected = std::regex_match(text, std::regex(expression));
        EXPECT_EQ(matches_wildcards(text, pattern), expected) << text << " " << pattern;
        fitted += expected;
    }
    EXPECT_GT(fitted, 100);
}

}  // namespace
}  // namespace fiducial::dicom
