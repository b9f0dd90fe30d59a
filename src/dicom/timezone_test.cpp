#include "dicom/timezone.hpp"

#include <gtest/gtest.h>

#include "dicom/matching.hpp"

namespace fiducial::dicom {
namespace {

using std::chrono::minutes;

TEST(PS3_3_C_12_1_1_8, OffsetsFromUtc) {
    EXPECT_EQ(parse_utc_offset("+0100"), minutes(60));
    EXPECT_EQ(parse_utc_offset("-0330 "), minutes(-210));
    EXPECT_EQ(parse_utc_offset("+0000"), minutes(0));
    EXPECT_EQ(parse_utc_offset("+1400"), minutes(840));
    for (const auto* wrong : {"", "0100", "+100", "+01:00", "+0160", "+1401", "-1201", " +0100", "+01000", "CET", "+1x00", "+-100"})
        EXPECT_EQ(parse_utc_offset(wrong), std::nullopt) << wrong;
}

TEST(Timezone, MomentsCrossMidnightMonthsAndLeapDays) {
    const auto text = [](const LocalDateTime& at) { return at.date + " " + at.time; };
    EXPECT_EQ(text(moved({"20240101", "003000.000000"}, minutes(-60))), "20231231 233000.000000");
    EXPECT_EQ(text(moved({"20240228", "235960.250000"}, minutes(1))), "20240229 000060.250000") << "a leap second stays one";
    EXPECT_EQ(text(moved({"20230228", "200000.000000"}, minutes(840))), "20230301 100000.000000");
    EXPECT_EQ(text(moved({"20239999", "200000.000000"}, minutes(60))), "20239999 200000.000000") << "no date of the calendar";
}

Criteria criteria_of(std::vector<std::pair<Tag, std::string>> keys) {
    Criteria out;
    for (const auto& [tag, value] : keys) out.add(*Matcher::compile(tag, value));
    return out;
}

Attributes study_at(std::string date, std::string time) {
    Attributes out;
    out.set(tags::kStudyDate, {std::move(date)});
    out.set(tags::kStudyTime, {std::move(time)});
    return out;
}

TEST(PS3_4_C_2_2_2_5, DatesAndTimesOfAKeyStandInTheTimezoneThatTheQueryNames) {
    // Asked from Tokyo; the images were taken in London's winter.
    auto day = criteria_of({{tags::kStudyDate, "20240102"}});
    day.in_timezone(minutes(540));
    EXPECT_TRUE(day.fit(QueryLevel::study, study_at("20240101", "1500"), "+0000")) << "it was midnight there";
    EXPECT_TRUE(day.fit(QueryLevel::study, study_at("20240102", "1459"), "+0000"));
    EXPECT_FALSE(day.fit(QueryLevel::study, study_at("20240102", "1500"), "+0000"));
    EXPECT_FALSE(day.fit(QueryLevel::study, study_at("20240101", "1459"), "+0000"));
    EXPECT_TRUE(day.fit(QueryLevel::study, study_at("20240102", "2300"), "+0900")) << "taken in Tokyo as well";
    EXPECT_TRUE(day.fit(QueryLevel::study, study_at("20240102", ""), "+0000")) << "a day without a time is that day everywhere";
    EXPECT_FALSE(day.fit(QueryLevel::study, study_at("20240101", ""), "+0000"));
    // An index narrows by no less than what may fit.
    const auto* narrowed = day.find(tags::kStudyDate);
    ASSERT_NE(narrowed, nullptr);
    EXPECT_EQ(narrowed->alternatives().front().from, "20240101");
    EXPECT_EQ(narrowed->alternatives().front().to, "20240103");

    auto time = criteria_of({{tags::kStudyTime, "0000-0100"}});
    time.in_timezone(minutes(540));
    EXPECT_TRUE(time.fit(QueryLevel::study, study_at("20240101", "1530"), "+0000"));
    EXPECT_FALSE(time.fit(QueryLevel::study, study_at("20240101", "0030"), "+0000"));
    EXPECT_TRUE(time.asks_of(QueryLevel::study));

    auto moments = criteria_of({{tags::kStudyDate, "20240102-20240103"}, {tags::kStudyTime, "0800-0200"}});
    moments.combine_moments();
    moments.in_timezone(minutes(540));
    EXPECT_TRUE(moments.fit(QueryLevel::study, study_at("20240101", "2300"), "+0000"));
    EXPECT_FALSE(moments.fit(QueryLevel::study, study_at("20240101", "2259"), "+0000"));
    EXPECT_TRUE(moments.fit(QueryLevel::study, study_at("20240102", "1700"), "+0000"));
    EXPECT_FALSE(moments.fit(QueryLevel::study, study_at("20240102", "1702"), "+0000"));

    auto open = criteria_of({{tags::kStudyDate, "20240102-"}, {tags::kPatientBirthDate, "19700101"}});
    open.in_timezone(minutes(-300));
    EXPECT_TRUE(open.fit(QueryLevel::study, study_at("20240102", "0500"), "+0000"));
    EXPECT_FALSE(open.fit(QueryLevel::study, study_at("20240102", "0459"), "+0000"));
    Attributes born;
    born.set(tags::kPatientBirthDate, {"19700101"});
    EXPECT_TRUE(open.fit(QueryLevel::patient, born, "+0900")) << "a birthday is the same everywhere";
}

TEST(Timezone, WithoutOneOfItsOwnARowStandsInThisMachines) {
    const char* was = std::getenv("TZ");
    const std::string before = was == nullptr ? "" : was;
    ::setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    ::tzset();
    EXPECT_EQ(local_utc_offset({"20240115", "120000.000000"}), minutes(60));
    EXPECT_EQ(local_utc_offset({"20240715", "120000.000000"}), minutes(120));
    auto day = criteria_of({{tags::kStudyDate, "20240714"}});
    day.in_timezone(minutes(0));
    EXPECT_TRUE(day.fit(QueryLevel::study, study_at("20240715", "0159")));
    EXPECT_FALSE(day.fit(QueryLevel::study, study_at("20240715", "0200")));
    was == nullptr ? ::unsetenv("TZ") : ::setenv("TZ", before.c_str(), 1);
    ::tzset();
}

}  // namespace
}  // namespace fiducial::dicom
