#include "shadow/journal.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace fiducial::shadow {
namespace {

class JournalTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "fiducial-shadow-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        open();
    }
    void TearDown() override {
        journal_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open() {
        journal_.reset();
        auto opened = Journal::open(folder_ / "journal.db");
        ASSERT_TRUE(opened) << opened.error().message;
        journal_ = *std::move(opened);
    }
    static SystemTime at(long long s) { return SystemTime(std::chrono::seconds(s)); }
    static ListedInstance instance(const std::string& number) { return {"1.2", "1.2.3", "1.2.3." + number, "1.2.840.10008.5.1.4.1.1.2"}; }
    shadow::Run begin(long long s) {
        auto run = journal_->begin_or_continue(at(s));
        EXPECT_TRUE(run) << run.error().message;
        EXPECT_TRUE(journal_->note_study(*run, Side::old, {"1.2", "20260101", "CT"}));
        EXPECT_TRUE(journal_->note_study(*run, Side::here, {"1.2", "20260101", "CT"}));
        EXPECT_TRUE(journal_->all_studies_noted(*run));
        return *run;
    }
    std::vector<std::string> findings(const shadow::Run& run) {
        std::vector<std::string> out;
        EXPECT_TRUE(journal_->each_finding(run, [&](const JournalRow& row, const std::string& what) -> Result<void> {
            out.push_back(row.instance.sop_uid + ": " + what);
            return {};
        }));
        return out;
    }

    std::filesystem::path folder_;
    std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, ARunGoesOnAfterAStopAndEndsOnce) {
    const auto first = begin(1'790'000'000);
    EXPECT_EQ(first.number, 1);
    open();
    const auto again = journal_->begin_or_continue(at(2000));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->number, 1);
    EXPECT_EQ(again->begun, at(1'790'000'000)) << "in milliseconds that is more than 32 bits hold";
    EXPECT_TRUE(again->listed);
    ASSERT_TRUE(journal_->end(*again, at(3000)));
    EXPECT_TRUE((*journal_->last_run())->ended);
    EXPECT_EQ(journal_->begin_or_continue(at(4000))->number, 2);
}

TEST_F(JournalTest, WhatOneHasAndTheOtherHasNotIsFound) {
    auto run = begin(1000);
    EXPECT_EQ(*journal_->studies_due(run), 1u);
    const auto due = journal_->next_study(run);
    ASSERT_TRUE(due && *due);
    EXPECT_TRUE((*due)->old && (*due)->here);
    const auto missing = journal_->note_instances(run, {instance("1"), instance("2")}, {instance("1"), instance("9")});
    ASSERT_TRUE(missing) << missing.error().message;
    ASSERT_EQ(missing->size(), 1u);
    EXPECT_EQ((*missing)[0].sop_uid, "1.2.3.2");
    EXPECT_TRUE(*journal_->next_study(run)) << "what is missing here is still to be copied";
    ASSERT_TRUE(journal_->note_looked(run, "1.2"));
    EXPECT_FALSE(*journal_->next_study(run));
    EXPECT_EQ(findings(run), (std::vector<std::string>{"1.2.3.2: missing here", "1.2.3.9: never listed by the old archive"}));
    ASSERT_TRUE(journal_->note_copy(run, instance("2"), 1234));
    auto seen_figures = journal_->figures(run);
    ASSERT_TRUE(seen_figures) << seen_figures.error().message;
    auto figures = *seen_figures;
    EXPECT_EQ(figures.copied, 1u);
    EXPECT_EQ(figures.copied_bytes, 1234u);
    EXPECT_EQ(figures.missing_here, 0u);
    EXPECT_EQ(figures.missing_old, 1u);
    EXPECT_EQ(figures.vanished, 0u);

    ASSERT_TRUE(journal_->end(run, at(2000)));
    run = begin(3000);
    ASSERT_TRUE(journal_->note_instances(run, {instance("1")}, {instance("1"), instance("2"), instance("9")}));
    ASSERT_TRUE(journal_->note_looked(run, "1.2"));
    figures = *journal_->figures(run);
    EXPECT_EQ(figures.missing_old, 2u);
    EXPECT_EQ(figures.vanished, 1u) << "2 was there";
    EXPECT_EQ(findings(run)[0], "1.2.3.2: missing in the old archive, which listed it before");
}

TEST_F(JournalTest, WhoeverWaitedLongestIsComparedNext) {
    const auto run = begin(1000);
    ASSERT_TRUE(journal_->note_instances(run, {instance("1"), instance("2"), instance("3")}, {instance("1"), instance("2")}));
    ASSERT_TRUE(journal_->note_looked(run, "1.2"));
    EXPECT_EQ(*journal_->comparisons_due(run, at(500)), 2u) << "the third is not here";
    Seen seen;
    seen.took = std::chrono::microseconds(7);
    ASSERT_TRUE(journal_->note_comparison(run, instance("1"), at(1100), {Outcome::same, ""}, &seen, &seen));
    EXPECT_EQ((*journal_->next_comparison(run, at(500)))->sop_uid, "1.2.3.2");
    ASSERT_TRUE(journal_->note_comparison(run, instance("2"), at(1101), {Outcome::pixels_changed, "PixelData"}, &seen, &seen));
    EXPECT_FALSE(*journal_->next_comparison(run, at(500)));
    EXPECT_EQ((*journal_->next_comparison(run, at(5000)))->sop_uid, "1.2.3.1") << "again, a month later";
    const auto seen_figures = journal_->figures(run);
    ASSERT_TRUE(seen_figures) << seen_figures.error().message;
    auto figures = *seen_figures;
    EXPECT_EQ(figures.compared, 2u);
    EXPECT_EQ(figures.outcomes[static_cast<int>(Outcome::pixels_changed)], 1u);
    EXPECT_EQ(figures.times_us.size(), 2u);
    EXPECT_EQ(findings(run), (std::vector<std::string>{"1.2.3.2: pixels changed", "1.2.3.3: missing here"}));
}

}  // namespace
}  // namespace fiducial::shadow
