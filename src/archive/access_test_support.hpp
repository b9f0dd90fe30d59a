#pragma once
// Contracts on a real chain, one archive's table of rights, and a clock that can be set: for the tests of who may what.
#include <gtest/gtest.h>

#include "archive/access.hpp"
#include "archive/access/snapshot.hpp"
#include "archive/consents.hpp"
#include "archive/rights_sink.hpp"
#include "ledger/ledger_test_support.hpp"

namespace fiducial::archive {

namespace contracts = ledger::contracts;
using ledger::testing::must;
using ledger::testing::NodeKind;

struct Clocked final : Clock {
    SystemTime now() const override { return system_clock().now() + std::chrono::duration_cast<std::chrono::milliseconds>(ahead); }
    SteadyTime steady_now() const override { return system_clock().steady_now() + ahead; }
    std::chrono::seconds ahead{0};
};

/// Contracts on a chain, one archive's database, and what follows the chain into it.
class RightsOnChain : public ::testing::Test {
protected:
    void SetUp() override {
        site_.emplace(NodeKind::anvil);
        FID_SKIP_WITHOUT(*site_);
        facts_.institution = site_->institution;
        facts_.members = site_->deployment.members.address;
        facts_.consents = site_->deployment.consents.address;
        facts_.from_block = site_->deployment.members.from_block;
        std::vector<database::Migration> all(store::index_migrations().begin(), store::index_migrations().end());
        all.insert(all.end(), ledger::migrations().begin(), ledger::migrations().end());
        all.insert(all.end(), migrations().begin(), migrations().end());
        database_ = must(database::Database::open({.path = site_->folder.path() / "archive.db"}, all));
        crypto::Secret key(32);
        rights_.emplace(store::Keyring(key, id(200)));
        gateway_ = site_->chain->gateway.clone();
        start();
    }
    /// New objects on the same database: a restart of the archive.
    void start() {
        follower_.reset();
        consents_.reset();
        access_.reset();
        sink_.emplace(*database_, *rights_, *site_->follower_rpc, facts_);
        access_ = std::make_unique<Access>(*site_->rpc, facts_, *database_, *rights_, clock_);
        outbox_ =
            std::make_unique<ledger::Outbox>(*database_, *site_->outbox_rpc, site_->outbox_settings, gateway_.clone(), crypto::Secret(32));
        consents_ = std::make_unique<Consents>(*database_, *rights_, *access_, *outbox_, facts_, clock_);
        auto settings = site_->follower_settings;
        follower_ =
            std::make_unique<ledger::Follower>(*database_, *site_->follower_rpc, settings,
                                               std::vector<ledger::LedgerChanges*>{outbox_.get(), &*sink_, access_.get(), &stuck_}, clock_);
        must(follower_->load());
        access_->set_follower(follower_.get());
    }
    void follow() {
        while (must(follower_->step())) {
        }
    }
    void stop_node() {
        site_->chain.reset();
        EXPECT_FALSE(follower_->step());
    }
    static Bytes32 id(std::uint8_t n) {
        Bytes32 out{};
        out[0] = 7;
        out[31] = n;
        return out;
    }

    /// Returns: whether it was taken; a refused call changes nothing.
    bool send(bool by_gateway, const Address& to, Bytes data) {
        contracts::DirectTransaction transaction{.chain_id = site_->chain->chain_id, .to = to, .data = std::move(data)};
        return contracts::send_and_wait(*site_->rpc, by_gateway ? site_->chain->gateway : site_->chain->deployer, transaction).has_value();
    }
    bool members(Bytes data) { return send(false, facts_.members, std::move(data)); }
    bool consents(Bytes data, bool by_gateway = true) { return send(by_gateway, facts_.consents, std::move(data)); }
    Bytes32 person(std::uint8_t n, std::uint32_t roles, std::optional<Bytes32> institution = {}) {
        Address account{};
        account[0] = n;
        EXPECT_TRUE(members(
            contracts::register_person_call(id(n), institution.value_or(facts_.institution), account, roles, contracts::Custody::kept)));
        return id(n);
    }
    /// Another hospital, administered by the same account.
    Bytes32 other_institution(std::uint8_t n) {
        const contracts::Founder administrator{id(static_cast<std::uint8_t>(n + 1)), must(crypto::address_of(site_->chain->deployer)),
                                               roles::kAdministrator, contracts::Custody::kept};
        Address gateway{};
        gateway[19] = n;
        EXPECT_TRUE(members(
            contracts::register_institution_call(id(n), gateway, {}, "Other", "https://other.example.org", std::vector{administrator})));
        return id(n);
    }
    std::uint64_t now() const { return unix_seconds(clock_.now()); }
    store::RightsState state() {
        return must(database_->read([&](database::Transaction& t) { return rights_->state(t); }));
    }
    Result<Decision> decide(const Bytes32& who, Operation operation, Purpose purpose = Purpose::treatment,
                            ConsentChange change = ConsentChange::none) {
        return access_->decide({who, purpose, "127.0.0.1:1", "test"}, {patient_, scope_}, operation, change);
    }

    static void expect_flagged(const Result<Decision>& answer) {
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_TRUE(answer->allowed) << reason_text(answer->reason);
        EXPECT_TRUE(answer->node_away);
    }
    static void expect_denied(const Result<Decision>& answer, Reason reason) {
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_FALSE(answer->allowed);
        EXPECT_EQ(static_cast<Reason>(answer->reason), reason) << reason_text(answer->reason);
    }
    static void expect_unavailable(const Result<Decision>& answer) {
        ASSERT_FALSE(answer) << reason_text(answer->reason);
        EXPECT_EQ(answer.error().code, ErrorCode::unavailable) << answer.error().message;
    }

    struct Stuck final : ledger::LedgerChanges {
        Result<void> apply(database::Transaction&, const ledger::Block&, std::span<const ledger::Log>) override {
            return refuse ? Result<void>(fail(ErrorCode::internal, "the sink does not take it")) : Result<void>();
        }
        Result<void> undo(database::Transaction&, const ledger::Block&, bool) override { return {}; }
        Result<void> settle(database::Transaction&, const ledger::Block&) override { return {}; }
        bool refuse = false;
    };

    std::optional<ledger::testing::Site> site_;
    SiteFacts facts_;
    Clocked clock_;
    Stuck stuck_;
    std::unique_ptr<database::Database> database_;
    std::optional<store::Rights> rights_;
    std::optional<RightsSink> sink_;
    std::unique_ptr<Access> access_;
    crypto::Secret gateway_;
    std::unique_ptr<ledger::Outbox> outbox_;
    std::unique_ptr<Consents> consents_;
    std::unique_ptr<ledger::Follower> follower_;
    Hash patient_ = id(150);
    Hash scope_ = id(160);
};

}  // namespace fiducial::archive
