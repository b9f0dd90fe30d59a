#include "store/worklist.hpp"

#include "dicom/worklist.hpp"
#include "store/impl/statement.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

namespace tags = dicom::tags;

class WorklistTest : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        open();
        worklist_ = std::make_unique<Worklist>(store_->keyring());
    }
    template <typename Body>
    auto writing(Body&& body) {
        return store_->database().write(database::Durability::full, std::forward<Body>(body));
    }
    template <typename Body>
    auto reading(Body&& body) {
        return store_->database().read(std::forward<Body>(body));
    }
    static ScheduledStep step(std::string accession, std::string step_id, std::string date) {
        ScheduledStep out{0, std::move(accession), std::move(step_id), StepState::scheduled, {}, "test", 1};
        out.attributes.set(tags::kScheduledStartDate, {std::move(date)});
        out.attributes.set(tags::kPatientName, {"Müller^Jürgen"});
        return out;
    }
    Result<void> save(ScheduledStep step) {
        return writing([&](database::Transaction& t) { return worklist_->save(t, step); });
    }
    std::vector<std::string> listed(const WorklistRange& range, std::size_t most = 100) {
        const auto steps = reading([&](database::Transaction& t) { return worklist_->list(t, range, most); });
        EXPECT_TRUE(steps) << steps.error().message;
        std::vector<std::string> out;
        for (const auto& one : steps.value_or(std::vector<ScheduledStep>())) out.push_back(one.accession_number + "/" + one.step_id);
        return out;
    }
    std::vector<Error> damage() {
        return reading([&](database::Transaction& t) { return worklist_->check_all(t); }).value();
    }
    std::unique_ptr<Worklist> worklist_;
};

TEST_F(WorklistTest, EntriesAreKeptChangedAndListedByStart) {
    ASSERT_TRUE(save(step("A2", "1", "20261202")));
    ASSERT_TRUE(save(step("A1", "1", "20261201")));
    ASSERT_TRUE(save(step("A1", "2", "20261203")));
    EXPECT_EQ(listed({}), (std::vector<std::string>{"A1/1", "A2/1", "A1/2"}));
    EXPECT_EQ(listed({true, "20261202", "20261202"}), std::vector<std::string>{"A2/1"});
    EXPECT_EQ(listed({}, 2).size(), 2u);
    EXPECT_EQ(save(step("A1", "2", "20261203")).error().code, ErrorCode::conflict);

    open();  // durable
    worklist_ = std::make_unique<Worklist>(store_->keyring());
    auto found = *reading([&](database::Transaction& t) { return worklist_->find(t, "A1", "2"); });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->attributes.first(tags::kPatientName), "Müller^Jürgen");
    found->state = StepState::cancelled;
    ASSERT_TRUE(save(*found));
    EXPECT_EQ(listed({}), (std::vector<std::string>{"A1/1", "A2/1"}));
    EXPECT_EQ(listed({false, "", ""}).size(), 3u);
    EXPECT_EQ(reading([&](database::Transaction& t) { return worklist_->of_order(t, "A1"); })->size(), 2u);
    EXPECT_TRUE(damage().empty());

    const auto forgotten = writing([&](database::Transaction& t) { return worklist_->forget(t, "20261203", 0); });
    EXPECT_EQ(*forgotten, 2u);
    EXPECT_EQ(listed({false, "", ""}), std::vector<std::string>{"A1/2"});
}

TEST_F(WorklistTest, WhatModalitiesSaidIsKept) {
    PerformedStep performed{0, "1.2.3", StepState::started, R"({"00400252":{"vr":"CS","Value":["IN PROGRESS"]}})", "CT1", 5};
    ASSERT_TRUE(writing([&](database::Transaction& t) { return worklist_->save(t, performed); }));
    performed.state = StepState::completed;
    ASSERT_TRUE(writing([&](database::Transaction& t) { return worklist_->save(t, performed); }));
    const auto found = *reading([&](database::Transaction& t) { return worklist_->find_performed(t, "1.2.3"); });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->state, StepState::completed);
    EXPECT_EQ(found->document, performed.document);
    EXPECT_FALSE(*reading([&](database::Transaction& t) { return worklist_->find_performed(t, "1.2.4"); }));
    EXPECT_EQ(*writing([&](database::Transaction& t) { return worklist_->forget(t, "", 6); }), 1u);
}

TEST_F(WorklistTest, AChangedRowIsFound) {
    ASSERT_TRUE(save(step("A1", "1", "20261201")));
    ASSERT_TRUE(writing([&](database::Transaction& t) { return execute(t, "UPDATE worklist SET state = 2"); }));
    const auto found = reading([&](database::Transaction& t) { return worklist_->find(t, "A1", "1"); });
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::corrupt);
    EXPECT_EQ(damage().size(), 1u);
    const auto report = store_->fsck({});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->findings.size(), 1u);
    EXPECT_EQ(report->findings.front().subject, "worklist");

    ASSERT_TRUE(save(step("A2", "1", "20261202"))) << "another order";
    EXPECT_FALSE(reading([&](database::Transaction& t) { return worklist_->list(t, {}, 10); }));
    FsckOptions repair;
    repair.repair = true;
    ASSERT_TRUE(store_->fsck(repair));
    EXPECT_EQ(listed({}), std::vector<std::string>{"A2/1"});
    EXPECT_TRUE(damage().empty());
}

}  // namespace
}  // namespace fiducial::store
