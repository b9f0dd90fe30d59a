// What an archive decides about its patients, on a real chain: it counts here at once, and gets there once.
#include "archive/consents.hpp"

#include <soci/soci.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <thread>

#include "archive/access_test_support.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

class ConsentsOnChain : public RightsOnChain {
protected:
    void SetUp() override {
        RightsOnChain::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        doctor_ = person(1, roles::kDoctor);
        other_doctor_ = person(2, roles::kDoctor);
        technologist_ = person(3, roles::kTechnologist);
        follow();
    }
    /// Everything that waits gets into blocks, and the follower tells of them.
    void settle() {
        for (int i = 0; i < 200; ++i) {
            must(outbox_->step(true));
            follow();
            if (outbox_->wait_until_settled(std::chrono::milliseconds(0))) return;
        }
        FAIL() << "it does not settle: " << outbox_->status().problem;
    }
    /// The follower polls no more for a while: it is behind.
    void be_away(std::chrono::seconds time) { clock_.ahead += time; }
    store::LocalChange break_glass(const Bytes32& who) {
        return must(consents_->open_emergency(patient_, {who, "1.2.3", "other", "came in at night"}));
    }
    bool reads(const Bytes32& who, Purpose purpose = Purpose::treatment) {
        const auto answer = decide(who, Operation::read, purpose);
        return answer && answer->allowed;
    }
    std::vector<store::LocalChange> waiting() {
        auto all = must(consents_->all());
        std::erase_if(all, [](const store::LocalChange& one) { return one.settled_block != 0; });
        return all;
    }
    ledger::OutboxItem sent(const store::LocalChange& local) {
        return must(database_->read([&](database::Transaction& t) { return consents_->sent(t, local); }));
    }
    std::size_t events_of(store::RightsFact fact) {
        const auto told = must(database_->read(
            [&](database::Transaction& t) { return rights_->about_patient(t, facts_.institution, patient_, ~std::uint64_t{0} >> 1); }));
        return static_cast<std::size_t>(std::count_if(told.begin(), told.end(), [&](const auto& one) { return one.fact == fact; }));
    }
    /// On the chain, past this archive: it learns of it when it follows.
    void restrict_for_everybody(std::uint64_t serial, bool on = true) {
        ASSERT_TRUE(consents(contracts::restrict_call({facts_.institution, patient_, {}, {}, on, serial})));
    }

    Bytes32 doctor_{}, other_doctor_{}, technologist_{};
};

TEST_F(ConsentsOnChain, a_broken_glass_opens_at_once_and_is_anchored_once) {
    restrict_for_everybody(1);
    follow();
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    expect_denied(decide(doctor_, Operation::read, Purpose::emergency), Reason::restricted);
    const auto opened = break_glass(doctor_);
    EXPECT_EQ(opened.change.until - opened.change.from, kEmergency_s);
    EXPECT_EQ(waiting().size(), 1U);
    const auto before = decide(doctor_, Operation::read, Purpose::emergency);  // the chain does not know of it
    ASSERT_TRUE(before);
    EXPECT_TRUE(before->allowed);
    EXPECT_FALSE(before->node_away);
    EXPECT_EQ(static_cast<Reason>(before->reason), Reason::emergency_opened);
    EXPECT_EQ(before->valid_until, opened.change.until);
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);  // an emergency is asked for as one
    expect_denied(decide(other_doctor_, Operation::read, Purpose::emergency), Reason::restricted);
    expect_denied(decide(technologist_, Operation::read, Purpose::emergency), Reason::restricted);

    // Who looks at the moment in which the ledger takes it over is not denied either.
    std::atomic<bool> settled{false};
    std::atomic<int> denied{0};
    std::thread looking([&] {
        do {
            if (!reads(doctor_, Purpose::emergency)) ++denied;
        } while (!settled);
    });
    settle();
    settled = true;
    looking.join();
    EXPECT_EQ(denied, 0);
    EXPECT_TRUE(waiting().empty());
    EXPECT_EQ(sent(opened).state, ledger::OutboxState::settled);
    EXPECT_TRUE(reads(doctor_, Purpose::emergency));
    EXPECT_EQ(must(consents_->send_again()), 0U);
    EXPECT_EQ(events_of(store::RightsFact::emergency_opened), 1U);
    // Closed on the chain: nothing here opens it again.
    ASSERT_TRUE(consents(contracts::close_emergency_call(facts_.institution, patient_, doctor_)));
    must(site_->rpc->raw("evm_increaseTime", "[2]"));
    must(site_->rpc->raw("evm_mine", "[]"));
    follow();
    EXPECT_FALSE(reads(doctor_, Purpose::emergency));
}

TEST_F(ConsentsOnChain, a_glass_that_is_broken_with_the_node_away_is_open_and_sent_when_it_is_back) {
    be_away(std::chrono::hours(25));
    expect_unavailable(decide(doctor_, Operation::read));
    expect_unavailable(decide(doctor_, Operation::read, Purpose::emergency));
    expect_flagged(decide(doctor_, Operation::break_glass, Purpose::emergency));
    const auto opened = break_glass(doctor_);
    expect_flagged(decide(doctor_, Operation::read, Purpose::emergency));
    expect_flagged(decide(doctor_, Operation::identify, Purpose::emergency));
    expect_unavailable(decide(other_doctor_, Operation::read, Purpose::emergency));

    be_away(std::chrono::seconds(kEmergency_s + 1));
    expect_unavailable(decide(doctor_, Operation::read, Purpose::emergency));  // the hour is over
    start();                                                                   // killed
    EXPECT_EQ(waiting().size(), 1U);
    clock_.ahead = std::chrono::seconds(0);
    must(site_->rpc->raw("evm_increaseTime", "[90000]"));  // the time at which it was opened
    settle();
    EXPECT_TRUE(waiting().empty());
    EXPECT_EQ(events_of(store::RightsFact::emergency_opened), 1U);
    EXPECT_EQ(sent(opened).state, ledger::OutboxState::settled);
}

TEST_F(ConsentsOnChain, an_emergency_that_the_ledger_refuses_stays_listed) {
    const auto opened = break_glass(doctor_);
    ASSERT_TRUE(members(contracts::set_person_active_call(doctor_, false)));
    settle();
    EXPECT_EQ(sent(opened).state, ledger::OutboxState::failed);
    EXPECT_EQ(waiting().size(), 1U);
    expect_denied(decide(doctor_, Operation::read, Purpose::emergency), Reason::subject_inactive);
    ASSERT_TRUE(members(contracts::set_person_active_call(doctor_, true)));
    ASSERT_TRUE(members(contracts::set_roles_call(doctor_, roles::kDesk)));
    expect_denied(decide(doctor_, Operation::read, Purpose::emergency), Reason::role_not_allowed);  // before it is followed, and after
    follow();
    expect_denied(decide(doctor_, Operation::read, Purpose::emergency), Reason::role_not_allowed);
}

TEST_F(ConsentsOnChain, what_takes_away_counts_at_once_and_what_gives_once_settled) {
    const auto outsider = person(4, roles::kPatient);
    const Target to{TargetKind::subject, outsider, 0};
    const Consents::By by{other_doctor_, "", "", "asked for at the desk"};
    const auto until = now() + 1'000'000;
    const auto ask = [&] { return decide(outsider, Operation::read, Purpose::personal); };
    const auto grant = [&] { return must(consents_->grant(patient_, to, scope_, Purpose::personal, until, by)); };
    settle();

    grant();
    expect_denied(ask(), Reason::not_granted);
    settle();
    EXPECT_TRUE(ask()->allowed);
    EXPECT_FALSE(access_->decide({outsider, Purpose::personal, "", "test"}, {patient_, id(161)}, Operation::read)->allowed);

    const auto grant_id = Consents::grant_id(to, scope_, Purpose::personal);
    must(consents_->revoke(patient_, grant_id, by));
    expect_denied(ask(), Reason::grant_revoked);
    grant();  // in the next epoch; behind the revocation in the outbox
    expect_denied(ask(), Reason::grant_revoked);
    settle();
    EXPECT_TRUE(ask()->allowed);
    must(consents_->revoke(patient_, {}, by));
    expect_denied(ask(), Reason::grant_revoked);
    settle();
    expect_denied(ask(), Reason::grant_revoked);

    must(consents_->restrict(patient_, {TargetKind::subject, doctor_, 0}, scope_, by));
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    EXPECT_TRUE(reads(other_doctor_));
    const auto restriction = Consents::restriction_id({TargetKind::subject, doctor_, 0}, scope_);
    must(consents_->lift(patient_, restriction, by));  // both wait: nothing is open before the chain says so
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    settle();
    EXPECT_TRUE(reads(doctor_));
    must(consents_->restrict(patient_, {TargetKind::subject, doctor_, 0}, scope_, by));
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    settle();
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    EXPECT_TRUE(waiting().empty());
    EXPECT_EQ(events_of(store::RightsFact::grant), 2U);
    EXPECT_EQ(events_of(store::RightsFact::revocation), 2U);
    EXPECT_EQ(events_of(store::RightsFact::restriction), 3U);

    EXPECT_EQ(must(consents_->find(patient_, store::RightsFact::grant, to_hex(grant_id).substr(0, 10))), grant_id);
    EXPECT_EQ(consents_->find(patient_, store::RightsFact::grant, "no").error().code, ErrorCode::not_found);
    EXPECT_EQ(consents_->find(id(151), store::RightsFact::grant, "").error().code, ErrorCode::not_found);
    EXPECT_EQ(consents_->revoke(patient_, id(99), by).error().code, ErrorCode::not_found);
    EXPECT_EQ(consents_->lift(patient_, id(99), by).error().code, ErrorCode::not_found);
    EXPECT_EQ(consents_->grant(patient_, {}, scope_, Purpose::personal, until, by).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(consents_->grant(patient_, to, scope_, Purpose::emergency, until, by).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(consents_->grant(patient_, to, scope_, Purpose::personal, now() - 1, by).error().code, ErrorCode::invalid_argument);
}

TEST_F(ConsentsOnChain, what_is_taken_away_with_the_node_away_stays_so_over_a_reorganisation) {
    const Consents::By by{other_doctor_, "", "", ""};
    be_away(std::chrono::seconds(11));
    expect_flagged(decide(doctor_, Operation::read));
    must(consents_->restrict(patient_, {}, {}, by));
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    be_away(std::chrono::hours(25));
    expect_unavailable(decide(doctor_, Operation::read));
    start();  // killed
    clock_.ahead = std::chrono::seconds(0);
    settle();
    EXPECT_TRUE(waiting().empty());
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);

    must(site_->rpc->raw("anvil_rollback", "[1]"));  // its block goes, and its effect here does not
    must(site_->rpc->raw("evm_increaseTime", "[30]"));
    must(site_->rpc->raw("evm_mine", "[]"));
    follow();
    EXPECT_EQ(waiting().size(), 1U);
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    settle();
    EXPECT_TRUE(waiting().empty());
    expect_denied(decide(doctor_, Operation::read), Reason::restricted);
    EXPECT_EQ(events_of(store::RightsFact::restriction), 1U);
}

TEST_F(ConsentsOnChain, a_patient_who_decides_alone_is_not_overruled) {
    const auto patient = person(5, roles::kPatient);
    ASSERT_TRUE(consents(contracts::set_controller_call(facts_.institution, patient_, patient, contracts::ControllerKind::custodial)));
    follow();
    const auto institution = [&](ConsentChange change) {
        return decide(facts_.institution, Operation::consent, Purpose::administration, change);
    };
    expect_denied(institution(ConsentChange::revoke_or_restrict), Reason::not_own_record);
    expect_denied(institution(ConsentChange::grant), Reason::not_own_record);
    // Epochs go on where the change of who decides left them.
    ASSERT_TRUE(consents(contracts::set_controller_call(facts_.institution, patient_, {}, contracts::ControllerKind::institution)));
    follow();
    EXPECT_TRUE(institution(ConsentChange::grant)->allowed);
    const auto granted = must(consents_->grant(patient_, {TargetKind::institution, facts_.institution, 0}, {}, Purpose::research,
                                               now() + 1000, {other_doctor_, "", "", ""}));
    EXPECT_EQ(granted.change.epoch, 2U);
    settle();
    EXPECT_EQ(sent(granted).state, ledger::OutboxState::settled);
}

TEST_F(ConsentsOnChain, what_the_outbox_lost_is_sent_again) {
    const auto opened = break_glass(doctor_);
    must(database_->write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("taking away", [&] { t.sql() << "DELETE FROM ledger_outbox"; });
    }));
    EXPECT_EQ(must(consents_->send_again()), 1U);
    EXPECT_EQ(must(consents_->send_again()), 0U);
    settle();
    EXPECT_EQ(sent(opened).state, ledger::OutboxState::settled);
}

TEST_F(ConsentsOnChain, a_ground_says_something) {
    EXPECT_TRUE(Consents::check_ground("other", "words"));
    for (const auto& [reason, words] :
         {std::pair<std::string, std::string>{"", "words"}, {"curious", "words"}, {"other", ""}, {"other", std::string(901, 'x')}})
        EXPECT_EQ(Consents::check_ground(reason, words).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace fiducial::archive
