#include "store/rights.hpp"

#include <sqlite3.h>

#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

Bytes32 id(std::uint8_t n) {
    Bytes32 out{};
    out[31] = n;
    return out;
}

RightsChange change(RightsFact fact, std::uint64_t log_index, const Bytes32& about, const Hash& patient_key = {}) {
    RightsChange out;
    out.fact = fact;
    out.log_index = log_index;
    out.about = about;
    out.patient_key = patient_key;
    return out;
}

class RightsTest : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        open();
        rights_.emplace(store_->keyring());
    }
    template <typename Body>
    auto must_write(Body&& body) {
        auto outcome = store_->database().write(database::Durability::full, std::forward<Body>(body));
        EXPECT_TRUE(outcome) << outcome.error().message;
        return outcome;
    }
    void apply(std::uint64_t block, std::vector<RightsChange> changes) {
        must_write([&](database::Transaction& t) { return rights_->apply(t, block, 1000 + block, changes); });
    }
    void undo(std::uint64_t block) {
        must_write([&](database::Transaction& t) { return rights_->undo(t, block); });
    }
    RightsState state() {
        return reading([&](database::Transaction& t) { return rights_->state(t); }).value();
    }
    Result<std::vector<RightsChange>> about(const Bytes32& who, std::uint64_t height) {
        return reading([&](database::Transaction& t) { return rights_->about(t, who, height); });
    }
    std::vector<Error> problems() {
        return reading([&](database::Transaction& t) { return rights_->check_all(t); }).value();
    }
    void behind_our_back(const std::string& sql) {
        sqlite3* database = nullptr;
        ASSERT_EQ(sqlite3_open((folder_ / "store" / "index.db").c_str(), &database), SQLITE_OK);
        sqlite3_busy_timeout(database, 5000);
        char* message = nullptr;
        EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << (message != nullptr ? message : "");
        EXPECT_GT(sqlite3_changes(database), 0);
        sqlite3_close(database);
    }
    std::optional<Rights> rights_;
};

TEST_F(RightsTest, says_what_held_at_each_height) {
    auto first = change(RightsFact::person_registered, 3, id(1));
    first.other = id(9);
    first.bits = 7;
    first.until = ~std::uint64_t{0};
    first.epoch = std::uint64_t{1} << 63;
    auto second = change(RightsFact::person_activity, 0, id(1));
    second.on = true;
    apply(5, {first, change(RightsFact::person_registered, 4, id(2))});
    apply(6, {});
    apply(7, {second, change(RightsFact::grant, 1, id(1), id(50))});

    EXPECT_EQ(about(id(1), 4).value(), std::vector<RightsChange>{});
    EXPECT_EQ(about(id(1), 6).value(), (std::vector<RightsChange>{first}));
    EXPECT_EQ(about(id(1), 7).value(), (std::vector<RightsChange>{first, second}));
    const auto patient = reading([&](database::Transaction& t) { return rights_->about_patient(t, id(1), id(50), 7); });
    EXPECT_EQ(patient.value().size(), 1u);
    EXPECT_EQ(reading([&](database::Transaction& t) { return rights_->of_block(t, 7); }).value().size(), 2u);
    EXPECT_TRUE(problems().empty());
    const auto now = state();
    EXPECT_EQ(now.first_block, 5u);
    EXPECT_EQ(now.latest_block, 7u);
    EXPECT_EQ(now.latest_time, 1007u);
    EXPECT_EQ(now.changes, 4u);
}

TEST_F(RightsTest, undoing_brings_the_former_state_back) {
    apply(5, {change(RightsFact::person_registered, 0, id(1))});
    apply(6, {change(RightsFact::person_removed, 0, id(1)), change(RightsFact::person_registered, 1, id(2))});
    must_write([&](database::Transaction& t) { return rights_->settle(t, 6); });
    undo(6);
    EXPECT_EQ(about(id(1), 100).value().size(), 1u);
    EXPECT_TRUE(about(id(2), 100).value().empty());
    EXPECT_EQ(state().settled_block, 5u);
    EXPECT_EQ(state().latest_block, 5u);
    EXPECT_EQ(state().changes, 1u);
    EXPECT_TRUE(problems().empty());
    undo(9);  // never applied
    EXPECT_EQ(state().latest_block, 5u);
    apply(6, {change(RightsFact::person_roles, 0, id(1))});
    EXPECT_EQ(about(id(1), 6).value().back().fact, RightsFact::person_roles);
    undo(6);
    undo(5);
    EXPECT_EQ(state().first_block, 0u);
    EXPECT_EQ(state().changes, 0u);
    EXPECT_TRUE(problems().empty());
}

TEST_F(RightsTest, a_block_that_does_not_follow_changes_nothing) {
    apply(5, {change(RightsFact::person_registered, 0, id(1))});
    apply(6, {});
    for (const std::uint64_t block : {5, 6, 8}) {
        const auto outcome =
            store_->database().write(database::Durability::full, [&](database::Transaction& t) { return rights_->apply(t, block, 1, {}); });
        EXPECT_EQ(outcome.error().code, ErrorCode::conflict) << block;
    }
    EXPECT_EQ(state().first_block, 5u);
    EXPECT_EQ(state().latest_block, 6u);
    EXPECT_EQ(about(id(1), 7).value().size(), 1u);
    EXPECT_TRUE(problems().empty());
}

TEST_F(RightsTest, remembers_what_could_not_be_read_until_it_is_undone) {
    const auto unreadable = [&](std::uint64_t height) {
        return reading([&](database::Transaction& t) { return rights_->has_unreadable(t, height); }).value();
    };
    apply(5, {});
    apply(6, {change(RightsFact::unreadable, 2, {})});
    EXPECT_FALSE(unreadable(5));
    EXPECT_TRUE(unreadable(6));
    undo(6);
    EXPECT_FALSE(unreadable(6));
}

TEST_F(RightsTest, finds_rows_that_were_changed_removed_or_cut_off) {
    const auto fill = [&] {
        apply(5, {change(RightsFact::person_registered, 0, id(1)), change(RightsFact::person_roles, 1, id(1)),
                  change(RightsFact::person_activity, 2, id(1))});
    };
    fill();
    ASSERT_TRUE(problems().empty());
    behind_our_back("UPDATE rights_changes SET is_on = 1 WHERE id = 3");
    EXPECT_EQ(about(id(1), 5).error().code, ErrorCode::corrupt);
    EXPECT_EQ(problems().size(), 1u);
    EXPECT_FALSE(fsck().clean());
    behind_our_back("UPDATE rights_changes SET is_on = 0 WHERE id = 3");
    EXPECT_TRUE(problems().empty());
    behind_our_back("DELETE FROM rights_changes WHERE id = 2");
    EXPECT_EQ(about(id(1), 5).error().code, ErrorCode::corrupt);
    EXPECT_EQ(problems().size(), 1u);
    behind_our_back("DELETE FROM rights_changes WHERE id > 1");
    EXPECT_EQ(problems().size(), 1u);
    behind_our_back("UPDATE rights_state SET settled_block = 77");
    EXPECT_EQ(reading([&](database::Transaction& t) { return rights_->state(t); }).error().code, ErrorCode::corrupt);
}

TEST_F(RightsTest, local_denials_come_and_go) {
    const auto add = [&](LocalDenial denial) {
        return store_->database().write(database::Durability::full,
                                        [&](database::Transaction& t) { return rights_->add_denial(t, denial); });
    };
    const auto list = [&] { return reading([&](database::Transaction& t) { return rights_->denials(t); }); };
    EXPECT_TRUE(list().value().empty());
    EXPECT_EQ(add({}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(add({0, id(1), {}, std::string(1001, 'x'), 1}).error().code, ErrorCode::limit_exceeded);
    const auto first = add({0, id(1), {}, "left the house", 100});
    const auto second = add({0, {}, id(50), "court order", 200});
    ASSERT_TRUE(first && second);
    ASSERT_EQ(list().value().size(), 2u);
    EXPECT_EQ(list().value()[1].reason, "court order");
    EXPECT_EQ(list().value()[1].patient_key, id(50));

    const auto remove = [&](std::int64_t which) {
        return store_->database().write(database::Durability::full,
                                        [&](database::Transaction& t) { return rights_->remove_denial(t, which); });
    };
    EXPECT_EQ(remove(99).error().code, ErrorCode::not_found);
    EXPECT_TRUE(remove(*first));
    EXPECT_EQ(list().value().size(), 1u);
    EXPECT_TRUE(problems().empty());

    // A damaged state vouches for nothing; a new one for the denials that are left, and for none that was altered.
    apply(5, {change(RightsFact::person_registered, 0, id(1))});
    const auto replace = [&] {
        const RightsHistory history{5, 6, 1006, 5, {{5, change(RightsFact::person_registered, 0, id(1))}}};
        return store_->database().write(database::Durability::full, [&](database::Transaction& t) { return rights_->replace(t, history); });
    };
    behind_our_back("UPDATE rights_state SET settled_block = 77");
    EXPECT_EQ(list().error().code, ErrorCode::corrupt);
    behind_our_back("UPDATE local_denials SET subject = '" + std::string(64, '2') + "', patient_key = ''");
    EXPECT_EQ(replace().error().code, ErrorCode::corrupt);
    EXPECT_EQ(list().error().code, ErrorCode::corrupt);
    behind_our_back("UPDATE local_denials SET subject = '', patient_key = '" + to_hex(id(50)) + "'");
    ASSERT_TRUE(replace());
    ASSERT_EQ(list().value().size(), 1u);
    EXPECT_EQ(list().value()[0].patient_key, id(50));
    EXPECT_EQ(state().settled_block, 5u);
    EXPECT_EQ(state().latest_block, 6u);
    EXPECT_EQ(about(id(1), 6).value().size(), 1u);
    EXPECT_TRUE(problems().empty());

    behind_our_back("DELETE FROM local_denials");
    EXPECT_EQ(list().error().code, ErrorCode::corrupt);
    EXPECT_EQ(add({0, id(1), {}, "again", 1}).error().code, ErrorCode::corrupt);
    EXPECT_EQ(problems().size(), 1u);
}

TEST_F(RightsTest, local_changes_wait_until_the_chain_has_told_of_them_in_a_settled_block) {
    auto revoked = change(RightsFact::revocation, 0, id(9), id(50));
    revoked.epoch = 3;
    auto opened = change(RightsFact::emergency_opened, 0, id(9), id(50));
    opened.item = id(77);
    opened.other = id(1);
    opened.until = ~std::uint64_t{0};
    const auto add = [&](const LocalChange& local) {
        return store_->database().write(database::Durability::full,
                                        [&](database::Transaction& t) { return rights_->add_local_change(t, local); });
    };
    const auto list = [&] { return reading([&](database::Transaction& t) { return rights_->local_changes(t); }); };
    const auto settled_in = [&] {
        std::vector<std::uint64_t> blocks;
        const auto all = list().value();
        for (const auto& local : all) blocks.push_back(local.settled_block);
        return blocks;
    };
    using Blocks = std::vector<std::uint64_t>;
    EXPECT_EQ(add({0, revoked, id(2), "", "r", std::string(1000, 'x'), {}, 1}).error().code, ErrorCode::limit_exceeded);
    ASSERT_TRUE(add({0, revoked, id(2), "", "", "asked for by letter", {}, 100}));
    ASSERT_TRUE(add({0, opened, id(1), "1.2.3", "unconscious", "came in at night", id(88), 101}));
    const auto both = list().value();
    ASSERT_EQ(both.size(), 2u);
    EXPECT_EQ(both[0].change, revoked);
    EXPECT_EQ(both[1].change, opened);
    EXPECT_EQ(both[1].person, id(1));
    EXPECT_EQ(both[1].study_uid, "1.2.3");
    EXPECT_EQ(both[1].reason, "unconscious");
    EXPECT_EQ(both[1].note, "came in at night");
    EXPECT_EQ(both[1].salt, id(88));
    EXPECT_EQ(both[1].made, 101u);

    auto told = revoked;
    told.log_index = 4;
    auto another = opened;
    another.item = id(78);
    apply(5, {told});
    apply(6, {another});
    EXPECT_EQ(settled_in(), (Blocks{0, 0}));
    const auto settle = [&](std::uint64_t block) { must_write([&](database::Transaction& t) { return rights_->settle(t, block); }); };
    settle(5);
    settle(6);
    EXPECT_EQ(settled_in(), (Blocks{5, 0}));
    undo(6);
    undo(5);
    EXPECT_EQ(settled_in(), (Blocks{0, 0}));
    const auto replace = [&](std::uint64_t settled) {
        const RightsHistory history{5, 8, 1008, settled, {{5, told}, {7, opened}}};
        must_write([&](database::Transaction& t) { return rights_->replace(t, history); });
    };
    replace(6);
    EXPECT_EQ(settled_in(), (Blocks{5, 0}));
    replace(8);
    EXPECT_EQ(settled_in(), (Blocks{5, 7}));
    EXPECT_TRUE(problems().empty());

    // A row that was changed or removed is found; none is signed again.
    behind_our_back("UPDATE local_changes SET until_s = 5 WHERE id = 2");
    EXPECT_EQ(list().error().code, ErrorCode::corrupt);
    EXPECT_EQ(problems().size(), 1u);
    behind_our_back("UPDATE local_changes SET until_s = -1 WHERE id = 2");
    EXPECT_TRUE(problems().empty());
    behind_our_back("DELETE FROM local_changes WHERE id = 2");
    EXPECT_EQ(list().error().code, ErrorCode::corrupt);
    EXPECT_EQ(reading([&](database::Transaction& t) { return rights_->denials(t); }).error().code, ErrorCode::corrupt);
    EXPECT_EQ(add({0, opened, id(1), "", "", "", {}, 1}).error().code, ErrorCode::corrupt);
    EXPECT_EQ(problems().size(), 1u);
    EXPECT_FALSE(fsck().clean());
    // Once a person was told, what is left goes on; a row that was changed does not.
    const auto accept = [&] { must_write([&](database::Transaction& t) { return rights_->accept_local_rows(t); }); };
    accept();
    ASSERT_EQ(list().value().size(), 1u);
    EXPECT_EQ(list().value()[0].change, revoked);
    EXPECT_TRUE(problems().empty());
    behind_our_back("UPDATE local_changes SET epoch = 1");
    accept();
    EXPECT_TRUE(list().value().empty());
    EXPECT_TRUE(problems().empty());
}

}  // namespace
}  // namespace fiducial::store
