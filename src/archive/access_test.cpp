// Access and the table of rights on a real chain: the rule here answers what the contract answers, and the second table of
// docs/design/rights.md holds when the node is away.
#include "archive/access.hpp"

#include <gtest/gtest.h>
#include <soci/soci.h>

#include <algorithm>
#include <boost/json.hpp>
#include <random>

#include "archive/access_test_support.hpp"

namespace fiducial::archive {
namespace {

constexpr std::uint32_t kEveryRole = roles::kPatient * 2 - 1;

// ---- the same answers as the contract, after a random history and after a reorganisation

class RandomRights : public RightsOnChain {
protected:
    template <typename T>
    const T& one_of(const std::vector<T>& all) {
        return all[random_() % all.size()];
    }
    std::uint64_t below(std::uint64_t n) { return random_() % n; }

    void prepare() {
        other_ = other_institution(100);
        institutions_ = {facts_.institution, other_, id(99)};
        for (std::uint8_t n = 1; n <= 8; ++n) {
            subjects_.push_back(person(n, static_cast<std::uint32_t>(1u << (n - 1)) & ~roles::kCustodian,
                                       n % 2 == 0                        ? facts_.institution
                                       : one_of(institutions_) == other_ ? other_
                                                                         : facts_.institution));
        }
        subjects_.push_back(person(9, roles::kDoctor, other_));
        subjects_.push_back(id(30));
        EXPECT_TRUE(members(contracts::register_device_call(id(30), facts_.institution, 0b1101, {})));
        subjects_.insert(subjects_.end(), institutions_.begin(), institutions_.end());
        for (std::uint8_t n = 150; n < 154; ++n) patients_.push_back(id(n));
        scopes_ = {Hash{}, id(160), id(161)};
    }
    contracts::Target target(bool grant) {
        switch (below(grant ? 3 : 4)) {
            case 0: return {contracts::TargetKind::subject, one_of(subjects_), 0};
            case 1:
                return {contracts::TargetKind::role, below(2) == 0 ? Bytes32{} : one_of(institutions_),
                        static_cast<std::uint32_t>(1u << below(10))};
            case 2: return {contracts::TargetKind::institution, one_of(institutions_), 0};
            default: return {};
        }
    }
    std::uint8_t purpose() { return static_cast<std::uint8_t>(one_of(std::vector<int>{0, 0, 2, 4})); }
    bool anything() {
        const auto& who = one_of(subjects_);
        const auto& patient = one_of(patients_);
        const auto at = now();
        const bool by_gateway = below(5) != 0;
        switch (below(16)) {
            case 0: return members(contracts::set_person_active_call(who, below(3) != 0));
            case 1: return members(contracts::set_roles_call(who, static_cast<std::uint32_t>(below(kEveryRole + 1)) & ~roles::kCustodian));
            case 2: return members(contracts::set_device_call(id(30), static_cast<std::uint32_t>(below(1024)), {}, below(3) != 0));
            case 3: return below(8) == 0 && members(contracts::remove_person_call(who));
            case 4:
                return consents(contracts::set_controller_call(facts_.institution, patient, below(2) == 0 ? Bytes32{} : who,
                                                               static_cast<contracts::ControllerKind>(below(2))),
                                by_gateway);
            case 5: return consents(contracts::set_guardian_call(facts_.institution, patient, who, at + below(2000) - 500), by_gateway);
            case 6:
            case 7:
                return consents(
                    contracts::restrict_call({facts_.institution, patient, target(false), one_of(scopes_), below(2) == 0, ++serial_}),
                    by_gateway);
            case 8:
                return consents(
                    contracts::revoke_call(facts_.institution, patient, below(2) == 0 ? Hash{} : last_grant_, epoch_of(patient)),
                    by_gateway);
            case 9:
                return consents(contracts::open_emergency_call(facts_.institution, patient, who, at - below(900), at + below(900) + 1, {}),
                                true);
            case 10: return consents(contracts::close_emergency_call(facts_.institution, patient, who), true);
            default: {
                contracts::GrantTerms terms{facts_.institution,     patient,          target(true),
                                            one_of(scopes_),        purpose(),        at - 500 + below(700),
                                            at + below(1500) + 250, epoch_of(patient)};
                if (!consents(contracts::grant_call(terms), by_gateway)) return false;
                last_grant_ = contracts::grant_id(terms.target, terms.scope, terms.purpose);
                if (terms.target.kind == contracts::TargetKind::subject) granted_.push_back(terms);
                return true;
            }
        }
    }
    std::uint64_t epoch_of(const Hash& patient) {
        const auto answer =
            must(site_->rpc->call({facts_.consents, contracts::patient_of_call(facts_.institution, patient), std::nullopt}));
        return must(contracts::decode_patient(answer.data)).epoch;
    }
    /// Asks contract and table the same questions at a block. Returns: how many were allowed.
    std::size_t compare(std::uint64_t block, int questions) {
        std::size_t allowed = 0;
        for (int i = 0; i < questions; ++i) {
            // Half of them about somebody to whom something was granted at some time.
            const auto* grant = !granted_.empty() && below(2) == 0 ? &one_of(granted_) : nullptr;
            const auto& subject = grant != nullptr ? grant->target.id : one_of(subjects_);
            const auto& patient = grant != nullptr ? grant->patient_key : one_of(patients_);
            const auto& holder = below(12) == 0 ? one_of(institutions_) : facts_.institution;
            const auto purpose = below(3) == 0 ? below(5) : below(2);
            const contracts::DecideQuestion asked{subject,
                                                  holder,
                                                  patient,
                                                  one_of(scopes_),
                                                  static_cast<std::uint8_t>(below(3) == 0 ? below(10) : below(2)),
                                                  static_cast<std::uint8_t>(purpose),
                                                  now() - 600 + below(2200)};
            const auto said = must(contracts::decide(*site_->rpc, facts_.consents, asked, block));
            const auto snapshot = must(
                database_->read([&](database::Transaction& t) { return rights_snapshot(t, *rights_, subject, holder, patient, block); }));
            const auto here = evaluate(
                snapshot, {asked.scope_ref, static_cast<Operation>(asked.operation), static_cast<Purpose>(asked.purpose), asked.at});
            EXPECT_EQ(here.allowed, said.allowed)
                << "block " << block << ": " << text_of(here.reason) << " here, " << text_of(static_cast<Reason>(said.reason)) << " there";
            EXPECT_EQ(static_cast<int>(here.reason), said.reason);
            EXPECT_EQ(static_cast<int>(here.obligation), said.obligation);
            EXPECT_EQ(here.valid_until, said.valid_until);
            reasons_.insert(said.reason);
            allowed += said.allowed ? 1 : 0;
        }
        return allowed;
    }

    std::mt19937_64 random_{20261122};
    Bytes32 other_{};
    std::vector<Bytes32> institutions_, subjects_;
    std::vector<Hash> patients_, scopes_;
    Hash last_grant_{};
    std::vector<contracts::GrantTerms> granted_;
    std::uint64_t serial_ = 0;
    std::set<int> reasons_;
};

TEST_F(RandomRights, table_answers_what_the_contract_answers_at_every_height_and_after_a_reorganisation) {
    prepare();
    int taken = 0;
    for (int i = 0; i < 250; ++i) taken += anything() ? 1 : 0;
    EXPECT_GE(taken, 60);
    follow();
    const auto head = state().latest_block;
    EXPECT_EQ(head, follower_->status().head);
    EXPECT_EQ(state().settled_block, head);
    EXPECT_GE(compare(head, 300), 10u);
    for (std::uint64_t back = 4; back < 60; back += 4) compare(head - back, 40);

    // The last blocks go, others come.
    const auto before = state();
    must(site_->rpc->raw("anvil_rollback", "[8]"));
    must(site_->rpc->raw("evm_increaseTime", "[30]"));
    taken = 0;
    for (int i = 0; i < 60 && taken < 12; ++i) taken += anything() ? 1 : 0;
    follow();
    EXPECT_GT(follower_->status().reorganisations, 0u);
    EXPECT_EQ(state().first_block, before.first_block);
    compare(state().latest_block, 200);
    compare(head - 12, 40);
    EXPECT_TRUE(must(database_->read([&](database::Transaction& t) { return rights_->check_all(t); })).empty());
    for (const Reason reason : {Reason::granted, Reason::grant_revoked, Reason::not_granted, Reason::restricted, Reason::staff_treatment,
                                Reason::subject_inactive, Reason::device_listed, Reason::unknown_holder}) {
        EXPECT_TRUE(reasons_.contains(static_cast<int>(reason))) << text_of(reason);
    }
}

// ---- while the node is away

class NodeAwayOnChain : public RightsOnChain {
protected:
    void SetUp() override {
        RightsOnChain::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        doctor_ = person(1, roles::kDoctor);
        technologist_ = person(2, roles::kTechnologist);
        desk_ = person(3, roles::kDesk);
        auditor_ = person(4, roles::kAuditor);
        patient_person_ = person(5, roles::kPatient);
        administrator_ = person(6, roles::kAdministrator);
        left_ = person(8, roles::kDoctor);
        ASSERT_TRUE(members(contracts::set_person_active_call(left_, false)));
        outsider_ = person(7, roles::kDoctor, other_institution(100));
        ASSERT_TRUE(consents(contracts::grant_call(
            {facts_.institution, patient_, {contracts::TargetKind::subject, outsider_, 0}, {}, 0, now() - 100, now() + 1'000'000, 0})));
        own_ = id(151);
        ASSERT_TRUE(
            consents(contracts::set_controller_call(facts_.institution, own_, patient_person_, contracts::ControllerKind::custodial)));
        follow();
        EXPECT_TRUE(decide(doctor_, Operation::read)->allowed);
        EXPECT_FALSE(decide(doctor_, Operation::read)->node_away);
    }
    Result<Decision> own(Operation operation, ConsentChange change = ConsentChange::none) {
        return access_->decide({patient_person_, Purpose::personal, "", "test"}, {own_, scope_}, operation, change);
    }
    void expect_a_day_s_row() {
        expect_flagged(decide(doctor_, Operation::read));
        expect_flagged(decide(desk_, Operation::identify));
        expect_flagged(own(Operation::read));
        expect_flagged(own(Operation::trace));
        expect_flagged(decide(auditor_, Operation::trace, Purpose::administration));
        expect_flagged(decide(administrator_, Operation::inventory, Purpose::administration));
        expect_flagged(decide(technologist_, Operation::store));
        expect_unavailable(decide(outsider_, Operation::read));
        expect_flagged(decide(doctor_, Operation::break_glass, Purpose::emergency));
        expect_flagged(decide(outsider_, Operation::break_glass, Purpose::emergency));
        expect_flagged(own(Operation::consent, ConsentChange::revoke_or_restrict));
        expect_unavailable(own(Operation::consent, ConsentChange::grant));
        expect_denied(decide(desk_, Operation::read), Reason::role_not_allowed);
        expect_denied(decide(left_, Operation::read), Reason::subject_inactive);
        expect_denied(decide(id(90), Operation::read), Reason::unknown_subject);
    }
    void expect_the_row_after_a_day() {
        expect_unavailable(decide(doctor_, Operation::read));
        expect_unavailable(decide(desk_, Operation::identify));
        expect_unavailable(own(Operation::read));
        expect_unavailable(own(Operation::trace));
        expect_unavailable(decide(auditor_, Operation::trace, Purpose::administration));
        expect_unavailable(decide(administrator_, Operation::inventory, Purpose::administration));
        expect_unavailable(decide(outsider_, Operation::read));
        expect_unavailable(own(Operation::consent, ConsentChange::grant));
        expect_flagged(decide(technologist_, Operation::store));
        expect_flagged(decide(doctor_, Operation::break_glass, Purpose::emergency));
        expect_flagged(own(Operation::consent, ConsentChange::revoke_or_restrict));
        expect_denied(decide(left_, Operation::break_glass, Purpose::emergency), Reason::subject_inactive);
    }

    Bytes32 doctor_{}, technologist_{}, desk_{}, auditor_{}, patient_person_{}, administrator_{}, outsider_{}, left_{};
    Hash own_{};
};

TEST_F(NodeAwayOnChain, table_holds_row_by_row_and_over_a_restart) {
    stop_node();
    clock_.ahead = std::chrono::seconds(11);  // behind
    EXPECT_TRUE(follower_->status().behind);
    expect_a_day_s_row();
    clock_.ahead = std::chrono::hours(23);
    expect_a_day_s_row();

    // A restart with the node still away: what was written down stands, and the day goes on from the last answer.
    start();
    EXPECT_FALSE(follower_->step());
    EXPECT_FALSE(follower_->status().last_answer);
    expect_a_day_s_row();
    clock_.ahead = std::chrono::hours(24) + std::chrono::seconds(60);
    expect_the_row_after_a_day();
    // A clock that was set back does not give the day anew.
    clock_.ahead = -std::chrono::hours(1);
    expect_the_row_after_a_day();
}

TEST_F(NodeAwayOnChain, where_the_site_s_own_chain_is_gone_the_custodian_moves_out_and_nobody_else_sees_more) {
    const auto custodian = site_->founder;
    stop_node();
    clock_.ahead = std::chrono::hours(24) + std::chrono::seconds(60);
    expect_unavailable(decide(custodian, Operation::read, Purpose::administration));
    bool gone = false;
    access_->set_chain_gone([&] { return gone; });
    expect_unavailable(decide(custodian, Operation::read, Purpose::administration));
    gone = true;
    expect_flagged(decide(custodian, Operation::read, Purpose::administration));
    expect_the_row_after_a_day();
    must(access_->add_denial(custodian, {}, "left in anger"));
    expect_denied(decide(custodian, Operation::read, Purpose::administration), Reason::locally_denied);
}

TEST_F(NodeAwayOnChain, lists_are_decided_as_the_contract_would_and_ask_the_node_nothing) {
    const auto listed = [&](const Bytes32& who) {
        return access_->decide_listed({who, Purpose::treatment, "", "test"}, {patient_, scope_}, Operation::identify);
    };
    for (const auto& who : {doctor_, technologist_, desk_, auditor_, patient_person_, left_, outsider_, id(90)}) {
        const auto asked = must(decide(who, Operation::identify));
        const auto by_table = must(listed(who));
        EXPECT_EQ(std::tuple(by_table.allowed, by_table.reason, by_table.obligation, by_table.valid_until, by_table.block_number),
                  std::tuple(asked.allowed, asked.reason, asked.obligation, asked.valid_until, asked.block_number))
            << reason_text(by_table.reason) << ", " << reason_text(asked.reason);
    }
    start();  // nothing is remembered
    follow();
    EXPECT_TRUE(must(listed(technologist_)).allowed);
    ASSERT_TRUE(members(contracts::set_person_active_call(technologist_, false)));
    follow();
    expect_denied(listed(technologist_), Reason::subject_inactive);

    site_->chain.reset();  // and nobody has noticed
    for (const auto& who : {doctor_, desk_, outsider_, doctor_}) EXPECT_TRUE(must(listed(who)).allowed);
    EXPECT_FALSE(must(listed(doctor_)).node_away);
    EXPECT_FALSE(decide(doctor_, Operation::read) && !decide(doctor_, Operation::read)->node_away) << "what is read is confirmed";
    const auto denial = must(access_->add_denial(doctor_, {}, "left in anger"));
    expect_denied(listed(doctor_), Reason::locally_denied);
    must(access_->remove_denial(denial));
    clock_.ahead = std::chrono::seconds(11);  // behind
    expect_flagged(listed(doctor_));
    expect_unavailable(listed(outsider_));
}

TEST_F(NodeAwayOnChain, local_denials_hold_with_and_without_the_node) {
    const auto denial = must(access_->add_denial(doctor_, {}, "left in anger"));
    expect_denied(decide(doctor_, Operation::read), Reason::locally_denied);
    EXPECT_TRUE(decide(technologist_, Operation::read)->allowed);
    start();  // it is durable
    follow();
    expect_denied(decide(doctor_, Operation::read), Reason::locally_denied);
    const auto of_patient = must(access_->add_denial({}, patient_, "court order"));
    expect_denied(decide(technologist_, Operation::read), Reason::locally_denied);
    expect_denied(decide(left_, Operation::read), Reason::subject_inactive);

    stop_node();
    clock_.ahead = std::chrono::seconds(11);
    expect_denied(decide(doctor_, Operation::break_glass, Purpose::emergency), Reason::locally_denied);
    expect_denied(decide(technologist_, Operation::read), Reason::locally_denied);
    must(access_->remove_denial(of_patient));
    expect_flagged(decide(technologist_, Operation::read));
    must(access_->remove_denial(denial));
    expect_flagged(decide(doctor_, Operation::read));
    EXPECT_EQ(access_->remove_denial(denial).error().code, ErrorCode::not_found);
    EXPECT_EQ(access_->add_denial({}, {}, "").error().code, ErrorCode::invalid_argument);
}

TEST_F(NodeAwayOnChain, nothing_is_served_from_a_table_with_a_gap_or_an_event_that_could_not_be_read) {
    const auto head = state().latest_block;
    stop_node();
    clock_.ahead = std::chrono::seconds(11);
    const auto write = [&](auto&& body) { must(database_->write(database::Durability::full, body)); };
    const std::vector<store::RightsChange> unreadable(1);
    write([&](database::Transaction& t) { return rights_->apply(t, head + 1, now(), unreadable); });
    expect_unavailable(decide(doctor_, Operation::read));
    write([&](database::Transaction& t) { return rights_->undo(t, head + 1); });
    expect_flagged(decide(doctor_, Operation::read));
    // Seen, though not settled: taken away already.
    store::RightsChange gone;
    gone.fact = store::RightsFact::person_activity;
    gone.about = doctor_;
    write([&](database::Transaction& t) { return rights_->apply(t, head + 1, now(), std::vector{gone}); });
    expect_denied(decide(doctor_, Operation::read), Reason::subject_inactive);
    expect_flagged(decide(technologist_, Operation::read));
    write([&](database::Transaction& t) { return rights_->replace(t, {facts_.from_block + 1, head + 1, now(), head, {}}); });
    expect_unavailable(decide(technologist_, Operation::read));
}

TEST_F(NodeAwayOnChain, a_follower_that_begins_anew_leaves_the_table_as_it_was_until_it_is_at_the_head) {
    const auto before = state();
    ASSERT_TRUE(members(contracts::set_person_active_call(doctor_, false)));
    must(site_->rpc->raw("anvil_mine", "[\"0x80\"]"));
    must(database_->write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("damage", [&] { t.sql() << "update ledger_blocks set header = 'zz'"; });
    }));
    clock_.ahead = std::chrono::hours(23);
    site_->follower_settings.blocks_at_once = 4;
    start();
    must(follower_->step());
    // The node answers, and nothing is judged at the old block that was followed.
    EXPECT_EQ(follower_->status().settled, facts_.from_block + 3);
    EXPECT_TRUE(follower_->status().behind);
    expect_flagged(decide(technologist_, Operation::read));
    EXPECT_EQ(state().latest_block, before.latest_block);
    EXPECT_EQ(state().changes, before.changes);
    EXPECT_EQ(state().answered, before.answered);
    // Should it go away now, the day counts from when the table was at its head.
    clock_.ahead = std::chrono::hours(24) + std::chrono::seconds(60);
    must(follower_->step());
    expect_unavailable(decide(technologist_, Operation::read));
    follow();
    EXPECT_EQ(state().latest_block, follower_->status().head);
    EXPECT_EQ(state().changes, before.changes + 1);
    EXPECT_GT(state().answered, before.answered);
    EXPECT_FALSE(decide(doctor_, Operation::read)->allowed);
    EXPECT_TRUE(decide(technologist_, Operation::read)->allowed);
}

TEST_F(NodeAwayOnChain, nobody_is_served_from_a_table_that_has_not_reached_the_head_yet) {
    must(database_->write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("a new database", [&] {
            for (const char* table : {"ledger_blocks", "rights_changes", "rights_state"}) t.sql() << "delete from " + std::string(table);
        });
    }));
    site_->follower_settings.blocks_at_once = 4;
    start();
    must(follower_->step());
    EXPECT_GT(state().settled_block, 0U);
    EXPECT_EQ(state().answered, 0U);
    expect_unavailable(decide(technologist_, Operation::read));
    expect_unavailable(decide(id(90), Operation::read));
    stop_node();
    expect_unavailable(decide(technologist_, Operation::break_glass, Purpose::emergency));
}

TEST_F(NodeAwayOnChain, storing_goes_on_by_the_accounts_where_the_table_knows_nothing) {
    Accounts accounts(*database_, crypto::Secret(32));
    const auto add = [&](const Bytes32& who, std::string name, std::uint32_t with_roles) {
        must(database_->write(database::Durability::full, [&](database::Transaction& t) {
            return accounts.add(t, {who, std::move(name), with_roles, 1});
        }));
    };
    add(technologist_, "tech", roles::kTechnologist);
    add(doctor_, "doctor", roles::kDoctor);
    const auto head = state().latest_block;
    stop_node();
    clock_.ahead = std::chrono::hours(30);
    must(database_->write(database::Durability::full, [&](database::Transaction& t) {
        return rights_->replace(t, {head, head + 3, now(), head, {}});
    }));  // a gap
    expect_unavailable(decide(technologist_, Operation::store));
    Devices devices(*database_, crypto::Secret(32));
    must(devices.add({"ct1", id(91), 1U << static_cast<unsigned>(Operation::store)}));
    access_->set_accounts(&accounts, &devices);
    expect_flagged(decide(technologist_, Operation::store));
    expect_unavailable(decide(technologist_, Operation::read));
    expect_unavailable(decide(doctor_, Operation::store));
    EXPECT_FALSE(decide(outsider_, Operation::store));
    const auto by_device = [&](const Bytes32& who, Operation operation) {
        return access_->decide({who, Purpose::treatment, "127.0.0.1:1", "test", true}, {patient_, scope_}, operation);
    };
    expect_flagged(by_device(id(91), Operation::store));
    expect_unavailable(by_device(id(91), Operation::read));
    EXPECT_EQ(by_device(id(92), Operation::store).error().code, ErrorCode::not_found);
    const auto denial = must(access_->add_denial(technologist_, {}, "left"));
    expect_denied(decide(technologist_, Operation::store), Reason::locally_denied);
    must(access_->remove_denial(denial));
    expect_flagged(decide(technologist_, Operation::store));
}

TEST_F(NodeAwayOnChain, a_table_that_is_not_whole_is_read_from_the_chain_again) {
    const auto before = state();
    const auto write = [&](auto&& body) { must(database_->write(database::Durability::full, body)); };
    const auto sound = [&] { return must(database_->read([&](database::Transaction& t) { return rights_->check_all(t); })).empty(); };
    const auto same = [&] {
        const auto after = state();
        return after.first_block == before.first_block && after.latest_block >= before.latest_block && after.changes == before.changes;
    };
    // A row taken away behind our back: found at the next start.
    write([&](database::Transaction& t) {
        return database::attempt("test", [&]() -> Result<void> {
            t.sql() << "delete from rights_changes where id = 2";
            return {};
        });
    });
    EXPECT_FALSE(sound());
    start();
    follow();
    EXPECT_TRUE(sound());
    EXPECT_TRUE(same());
    // A gap.
    write([&](database::Transaction& t) {
        return rights_->replace(t, {before.latest_block, before.latest_block, now(), before.latest_block, {}});
    });
    EXPECT_EQ(state().changes, 0u);
    start();
    follow();
    EXPECT_EQ(state().first_block, before.first_block);
    EXPECT_EQ(state().changes, before.changes);
    ASSERT_TRUE(members(contracts::set_person_active_call(doctor_, false)));
    follow();
    EXPECT_EQ(state().changes, before.changes + 1);
    EXPECT_TRUE(sound());
    stop_node();
    clock_.ahead = std::chrono::seconds(11);
    expect_denied(decide(doctor_, Operation::read), Reason::subject_inactive);
    expect_flagged(decide(technologist_, Operation::read));
}

TEST_F(NodeAwayOnChain, a_damaged_state_of_the_table_is_mended_with_pauses_and_keeps_the_denials) {
    const auto before = state();
    must(access_->add_denial(doctor_, {}, "left in anger"));
    const auto alter = [&](const std::string& sql) {
        must(database_->write(database::Durability::full,
                              [&](database::Transaction& t) { return database::attempt("alter", [&] { t.sql() << sql; }); }));
    };
    alter("update rights_state set settled_block = settled_block + 1");
    alter("update local_denials set since_s = since_s + 1");
    start();
    EXPECT_EQ(decide(technologist_, Operation::read).error().code, ErrorCode::corrupt);
    ASSERT_TRUE(members(contracts::set_roles_call(desk_, roles::kAuditor)));
    for (int i = 0; i < 9; ++i) {  // a denial is damaged too: each attempt fails, and the next comes later
        clock_.ahead += std::chrono::seconds(300);
        follow();
    }
    alter("update local_denials set since_s = since_s - 1");
    follow();
    EXPECT_EQ(decide(technologist_, Operation::read).error().code, ErrorCode::corrupt);
    clock_.ahead += std::chrono::seconds(301);
    follow();
    EXPECT_EQ(state().first_block, before.first_block);
    EXPECT_EQ(state().changes, before.changes + 1);
    EXPECT_TRUE(must(database_->read([&](database::Transaction& t) { return rights_->check_all(t); })).empty());
    expect_denied(decide(doctor_, Operation::read), Reason::locally_denied);
    EXPECT_TRUE(decide(technologist_, Operation::read)->allowed);
    stop_node();
    clock_.ahead += std::chrono::seconds(11);
    expect_denied(decide(doctor_, Operation::read), Reason::locally_denied);
    expect_flagged(decide(technologist_, Operation::read));
}

TEST_F(NodeAwayOnChain, an_allowance_of_the_latest_block_alone_does_not_count) {
    auto database = must(database::Database::open({.path = site_->folder.path() / "other.db"}, [] {
        std::vector<database::Migration> all(store::index_migrations().begin(), store::index_migrations().end());
        all.insert(all.end(), ledger::migrations().begin(), ledger::migrations().end());
        return all;
    }()));
    Access access(*site_->rpc, facts_, *database, *rights_, clock_);
    auto settings = site_->follower_settings;
    settings.from_block = 1'000'000;
    ledger::Follower nothing_yet(*database, *site_->follower_rpc, settings, {&access}, clock_);
    must(nothing_yet.load());
    must(nothing_yet.step());
    access.set_follower(&nothing_yet);
    ASSERT_TRUE(nothing_yet.status().current);
    expect_unavailable(access.decide({doctor_, Purpose::treatment, "127.0.0.1:1", "test"}, {patient_, scope_}, Operation::read));
    EXPECT_EQ(access.cached(), 0u);
}

// ---- the cache

TEST_F(NodeAwayOnChain, a_follower_that_is_stuck_leaves_no_old_answer_standing) {
    EXPECT_EQ(access_->cached(), 1u);
    stuck_.refuse = true;
    ASSERT_TRUE(members(contracts::set_person_active_call(doctor_, false)));
    EXPECT_FALSE(follower_->step());  // the revocation's block is never told
    expect_denied(decide(doctor_, Operation::read), Reason::subject_inactive);
    EXPECT_TRUE(decide(technologist_, Operation::read)->allowed);
    EXPECT_EQ(access_->cached(), 0u);
}

TEST_F(NodeAwayOnChain, an_answer_is_forgotten_by_what_touches_it_and_by_nothing_else) {
    EXPECT_EQ(access_->cached(), 1u);
    EXPECT_TRUE(decide(technologist_, Operation::read)->allowed);
    EXPECT_TRUE(own(Operation::read)->allowed);
    EXPECT_EQ(access_->cached(), 3u);
    // Another patient's, another person's affair.
    ASSERT_TRUE(members(contracts::set_roles_call(desk_, roles::kAuditor)));
    ASSERT_TRUE(consents(contracts::restrict_call({facts_.institution, id(152), {}, {}, true, 1})));
    follow();
    EXPECT_EQ(access_->cached(), 3u);
    // The doctor's.
    ASSERT_TRUE(members(contracts::set_person_active_call(doctor_, false)));
    follow();
    EXPECT_EQ(access_->cached(), 2u);
    expect_denied(decide(doctor_, Operation::read), Reason::subject_inactive);
    // The patient's.
    ASSERT_TRUE(consents(contracts::restrict_call({facts_.institution, patient_, {}, {}, true, 1})));
    follow();
    EXPECT_EQ(access_->cached(), 1u);
    expect_denied(decide(technologist_, Operation::read), Reason::restricted);
    // A reorganisation takes all.
    must(site_->rpc->raw("anvil_rollback", "[1]"));
    must(site_->rpc->raw("evm_increaseTime", "[30]"));
    must(site_->rpc->raw("evm_mine", "[]"));
    follow();
    EXPECT_EQ(access_->cached(), 0u);
    EXPECT_TRUE(decide(technologist_, Operation::read)->allowed);  // the restriction went with its block
}

TEST_F(NodeAwayOnChain, a_clock_that_is_set_back_makes_nothing_last_longer) {
    const auto patient = id(160);
    ASSERT_TRUE(consents(contracts::grant_call(
        {facts_.institution, patient, {contracts::TargetKind::subject, outsider_, 0}, {}, 0, now() - 100, now() + 600, 0})));
    follow();
    const auto ask = [&] { return access_->decide({outsider_, Purpose::treatment, "", "test"}, {patient, scope_}, Operation::read); };
    EXPECT_TRUE(ask()->allowed);
    const auto cached = access_->cached();
    clock_.ahead = std::chrono::seconds(-3600);
    EXPECT_TRUE(ask()->allowed);
    must(site_->rpc->raw("evm_increaseTime", "[1000]"));
    must(site_->rpc->raw("evm_mine", "[]"));
    follow();
    EXPECT_EQ(access_->cached(), cached) << "nothing touched the answer";
    expect_denied(ask(), Reason::grant_expired);
}

}  // namespace
}  // namespace fiducial::archive
