#include "archive/deliveries.hpp"

#include <gtest/gtest.h>
#include <soci/soci.h>

#include <unistd.h>

#include <filesystem>

#include "archive/accounts.hpp"
#include "archive/hand_clock.hpp"

namespace fiducial::archive {
namespace {

using namespace std::chrono_literals;

class DeliveriesTest : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("fiducial-deliveries-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        open();
        limits_.refusals = 3;
        limits_.age = 1h;
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }

    void open() {
        database_.reset();
        auto opened = database::Database::open({.path = folder_ / "db"}, migrations());
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
    }
    Deliveries deliveries() { return Deliveries(*database_, key_.clone(), limits_, clock_); }
    Result<void> add(Deliveries& to, DeliveryKind kind, const std::string& peer, const std::string& study, const std::string& subject) {
        Delivery delivery;
        delivery.kind = kind;
        delivery.peer = peer;
        delivery.study_uid = study;
        delivery.subject = subject;
        return database_->write(database::Durability::full, [&](database::Transaction& t) { return to.add(t, delivery); });
    }
    static std::vector<std::string> subjects(const Result<std::vector<Delivery>>& of) {
        std::vector<std::string> out;
        for (const auto& one : of.value()) out.push_back(one.subject);
        return out;
    }
    using Texts = std::vector<std::string>;

    std::filesystem::path folder_;
    const crypto::Secret key_ = crypto::random_secret(32);
    std::unique_ptr<database::Database> database_;
    DeliveryLimits limits_;
    HandClock clock_;
};

TEST_F(DeliveriesTest, OneStudyAfterTheOtherAndCommitmentsFirst) {
    auto all = deliveries();
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1"));
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "2", "2.1"));
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.2"));
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1")) << "waits already";
    ASSERT_TRUE(add(all, DeliveryKind::object, "PACS", "1", "1.1"));
    EXPECT_EQ(all.peers_waiting().value(), (Texts{"PACS", "WS"}));
    EXPECT_EQ(subjects(all.due("WS", 10)), (Texts{"1.1", "1.2"}));
    EXPECT_EQ(subjects(all.due("WS", 1)), (Texts{"1.1"}));
    ASSERT_TRUE(add(all, DeliveryKind::commitment, "WS", "", "9"));
    EXPECT_EQ(subjects(all.due("WS", 10)), (Texts{"9"}));
    ASSERT_TRUE(all.done(all.due("WS", 1)->front()));
    EXPECT_EQ(add(all, DeliveryKind::commitment, "WS", "", "9").error().code, ErrorCode::conflict) << "known after it was answered, too";
    const auto rest = all.due("WS", 10).value();
    for (const auto& one : rest) ASSERT_TRUE(all.done(one));
    open();  // it is in the file
    auto again = deliveries();
    EXPECT_EQ(subjects(again.due("WS", 10)), (Texts{"2.1"}));
}

TEST_F(DeliveriesTest, WhatChangesWhileItIsOnItsWayIsBroughtAgain) {
    auto all = deliveries();
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1"));
    const auto on_its_way = all.due("WS", 1).value();
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1")) << "corrected meanwhile";
    ASSERT_TRUE(all.done(on_its_way.front()));
    const auto corrected = all.due("WS", 1).value();
    EXPECT_EQ(subjects(corrected), (Texts{"1.1"}));
    ASSERT_TRUE(all.done(corrected.front()));
    EXPECT_TRUE(all.peers_waiting().value().empty());
}

TEST_F(DeliveriesTest, WhatIsRefusedWaitsLongerEachTimeAndIsGivenUp) {
    auto all = deliveries();
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1"));
    for (const auto pause : {1'000ms, 2'000ms}) {
        ASSERT_TRUE(all.refused(all.due("WS", 1)->front(), "A700"));
        EXPECT_TRUE(all.peers_waiting()->empty());
        clock_.advance(pause - 1ms);
        EXPECT_TRUE(all.due("WS", 1)->empty());
        clock_.advance(1ms);
        EXPECT_EQ(all.peers_waiting()->size(), 1u);
    }
    ASSERT_TRUE(all.refused(all.due("WS", 1)->front(), "A700"));
    clock_.advance(1h);
    EXPECT_TRUE(all.peers_waiting()->empty());
    const auto listed = all.list(0, 10).value();
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0].state, DeliveryState::failed);
    EXPECT_EQ(listed[0].problem, "A700");
    EXPECT_EQ(all.retry({{}, "OTHER", true}).value(), 0u);
    EXPECT_EQ(all.retry({{listed[0].id}, "", false}).value(), 1u);
    EXPECT_EQ(subjects(all.due("WS", 1)), (Texts{"1.1"}));
    EXPECT_EQ(all.discard({{}, "WS", true}).value(), 0u) << "it is not given up any more";
    EXPECT_EQ(all.discard({{}, "WS", false}).value(), 1u);
    EXPECT_TRUE(all.list(0, 10)->empty());
}

TEST_F(DeliveriesTest, APeerThatIsAwayIsAskedLessAndLessOften) {
    auto all = deliveries();
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1"));
    for (const auto pause : {1'000ms, 2'000ms, 4'000ms}) {
        ASSERT_TRUE(all.pause("WS", "nobody answers"));
        EXPECT_EQ(all.problem_of("WS"), "nobody answers");
        clock_.advance(pause - 1ms);
        EXPECT_TRUE(all.peers_waiting()->empty());
        clock_.advance(1ms);
        EXPECT_EQ(all.peers_waiting()->size(), 1u);
    }
    all.resume("WS");
    EXPECT_EQ(all.problem_of("WS"), "");
    clock_.advance(1h);
    ASSERT_TRUE(all.pause("WS", "nobody answers"));
    EXPECT_EQ(all.list(0, 10)->front().state, DeliveryState::failed) << "after its time";
    const auto counts = all.counts().value();
    ASSERT_EQ(counts.size(), 1u);
    EXPECT_EQ(counts[0].state, DeliveryState::failed);
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1")) << "it came again";
    EXPECT_EQ(all.list(0, 10)->front().state, DeliveryState::waiting);
}

TEST_F(DeliveriesTest, ARowThatWasChangedIsNotSent) {
    auto all = deliveries();
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.1"));
    ASSERT_TRUE(add(all, DeliveryKind::object, "WS", "1", "1.2"));
    ASSERT_TRUE(database_->write(database::Durability::full, [](database::Transaction& t) {
        return database::attempt("tampering", [&] { t.sql() << "UPDATE deliveries SET subject = '6.6' WHERE subject = '1.1'"; });
    }));
    EXPECT_EQ(subjects(all.due("WS", 10)), (Texts{"1.2"}));
    EXPECT_EQ(all.list(0, 10)->front().state, DeliveryState::failed);
    const auto other = crypto::random_secret(32);
    ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) { return Deliveries::rekey(t, key_, other); }));
    Deliveries under_another(*database_, other.clone(), limits_, clock_);
    EXPECT_EQ(subjects(under_another.due("WS", 10)), (Texts{"1.2"}));
}

}  // namespace
}  // namespace fiducial::archive
