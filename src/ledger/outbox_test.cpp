#include "ledger/outbox.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <soci/soci.h>

#include <boost/json.hpp>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/transaction.hpp"
#include "ledger/ledger_test_support.hpp"
#include "ledger/proofs.hpp"
#include "ledger/status.hpp"
#include "net/client.hpp"

namespace fiducial::ledger {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::must;
using testing::NodeKind;
using testing::Site;

std::string quoted(const std::string& text, char mark = '"') {
    return mark + text + mark;
}

bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 3000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
}

// Steps the outbox and the follower in this thread until nothing changes any more.
void settle_by_hand(Site& site) {
    for (int quiet = 0; quiet < 3;) {
        const bool sent = must(site.outbox->step(true));
        const bool followed = must(site.follower->step());
        quiet = sent || followed ? 0 : quiet + 1;
    }
}

TEST(Outbox, TheSameRecordIsStoredOnceAndAnotherOneRefused) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto record = site.record(1);
    const auto id = site.enqueue(record);
    EXPECT_EQ(site.enqueue(record), id);
    auto other = record;
    other.meta = Hash{1};
    const auto refused =
        site.database->write(database::Durability::full, [&](database::Transaction& t) { return site.outbox->enqueue(t, other); });
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
    other = record;
    other.chain_id += 1;
    EXPECT_EQ(site.database->write(database::Durability::full, [&](database::Transaction& t) { return site.outbox->enqueue(t, other); })
                  .error()
                  .code,
              ErrorCode::invalid_argument);
    EXPECT_EQ(must(site.database->read([&](database::Transaction& t) { return site.outbox->record(t, record.study_key, 1); })), record);
    EXPECT_EQ(site.database->read([&](database::Transaction& t) { return site.outbox->anchor(t, record.study_key, 2); }).error().code,
              ErrorCode::not_found);
    EXPECT_EQ(site.database->read([&](database::Transaction& t) { return site.outbox->item(t, 999); }).error().code, ErrorCode::not_found);
}

TEST(Outbox, AnAbortedTransactionLeavesNothing) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto record = site.record(1);
    const auto aborted = site.database->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(site.outbox->enqueue(t, record));
        return fail(ErrorCode::cancelled, "the study version was not stored");
    });
    EXPECT_FALSE(aborted.has_value());
    settle_by_hand(site);
    EXPECT_EQ(site.on_chain(record), Hash{});
}

TEST(Outbox, SignedBytesAreStoredBeforeTheyAreSentAndSentAgainUnchanged) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.raw("evm_setAutomine", "[false]");
    const auto id = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    const auto pending = must(site.rpc->raw("eth_getBlockByNumber", R"(["pending", false])"));
    ASSERT_EQ(pending.at("transactions").as_array().size(), 1U);
    const std::string hash(pending.at("transactions").as_array()[0].as_string());
    EXPECT_EQ(site.item(id).state, OutboxState::submitted);
    // The node forgets it, as one that was killed may; a new outbox on the same database sends the same bytes.
    site.raw("anvil_dropTransaction", "[" + quoted(hash) + "]");
    site.reopen();
    must(site.outbox->step(true));
    const auto again = must(site.rpc->raw("eth_getBlockByNumber", R"(["pending", false])"));
    ASSERT_EQ(again.at("transactions").as_array().size(), 1U);
    EXPECT_EQ(std::string(again.at("transactions").as_array()[0].as_string()), hash);
    site.raw("evm_mine");
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(to_0x(site.item(id).transaction), hash);
}

TEST(Outbox, AStartSaysWhatWaitsBeforeItsFirstRound) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.raw("evm_setAutomine", "[false]");
    site.enqueue(site.record(1));
    must(site.outbox->step(true));
    must(site.database->write(database::Durability::full, [](database::Transaction& t) {
        return database::attempt("half a minute goes by", [&] { t.sql() << "update ledger_outbox set created_ms = created_ms - 31000"; });
    }));
    site.reopen();
    must(site.follower->load());
    must(site.follower->step());
    site.outbox->start();
    const auto status = collect_status(*site.follower, *site.outbox, nullptr);
    EXPECT_EQ(status.outbox.submitted, 1U);
    EXPECT_TRUE(status.chain_stalled);
    EXPECT_FALSE(status.healthy);
}

TEST(Outbox, WhatSomebodyElseWroteIntoTheDatabaseIsNeverSent) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto sql = [&](const std::string& text) {
        must(site.database->write(database::Durability::full,
                                  [&](database::Transaction& t) { return database::attempt("alter", [&] { t.sql() << text; }); }));
    };
    const auto person = crypto::random_bytes32();
    const auto guardian = contracts::set_guardian_call(site.institution, crypto::random_bytes32(), person, 4'000'000'000);
    const auto good = site.enqueue(site.record(1));
    const auto altered = site.enqueue(site.record(2));
    auto other = site.record(2);
    other.meta = Hash{9};
    sql("update ledger_outbox set fields = " + quoted(to_hex(other.abi_encoded()), '\'') + " where id = " + std::to_string(altered));
    sql("insert into ledger_outbox(kind, state, created_ms, not_before_ms, to_address, calldata, tag, gas_limit, problem, mac) values(1, "
        "0, 0, 0, " +
        quoted(to_hex(site.deployment.consents.address), '\'') + ", " + quoted(to_hex(guardian), '\'') + ", 'made up', 300000, '', " +
        quoted(std::string(64, '0'), '\'') + ")");
    const auto inserted = must(site.database->read([&](database::Transaction& t) { return site.outbox->call(t, "made up"); }));
    EXPECT_EQ(inserted.state, OutboxState::incident);  // whatever the row says
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(good).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.outbox->status().incidents, 2U);
    ASSERT_EQ(site.incidents.size(), 2U);
    for (const auto& incident : site.incidents) EXPECT_EQ(incident.kind, LedgerIncident::Kind::altered_row);
    EXPECT_EQ(site.on_chain(other), Hash{});
    EXPECT_EQ(must(site.rpc->transaction_count(site.chain->gateway_address)), 1U);

    const auto enqueue = [&] {
        return site.database->write(database::Durability::full,
                                    [&](database::Transaction& t) { return site.outbox->enqueue(t, site.record(2)); });
    };
    EXPECT_EQ(enqueue().error().code, ErrorCode::corrupt);
    const auto rows = must(site.database->read([&](database::Transaction& t) { return site.outbox->altered_rows(t); }));
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].id, altered);
    EXPECT_FALSE(rows[0].is_call);
    EXPECT_EQ(rows[1].id, inserted.id);
    EXPECT_TRUE(rows[1].is_call);
    must(site.database->write(database::Durability::full, [&](database::Transaction& t) { return site.outbox->remove(t, rows); }));
    const auto again = must(enqueue());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(again).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.outbox->status().incidents, 0U);
    EXPECT_EQ(site.on_chain(site.record(2)), site.record(2).hash());
}

TEST(Outbox, SignedBytesThatSomebodyElseStoredAreNeitherSentNorSignedAgain) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.raw("evm_setAutomine", "[false]");
    const auto id = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    ethereum::Transaction forged;
    forged.chain_id = site.chain->chain_id;
    forged.nonce = must(site.database->read([&](database::Transaction& t) { return site.outbox->item(t, id); })).nonce.value();
    forged.gas_limit = 21'000;
    forged.max_fee_per_gas = forged.max_priority_fee_per_gas = 1'000'000'000;
    forged.to = Address{9};
    const auto raw = to_hex(must(ethereum::sign(forged, crypto::generate_private_key())).encode());
    must(site.database->write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("alter", [&] { t.sql() << "update ledger_transactions set sent_ms = 0, raw = " + quoted(raw, '\''); });
    }));
    const auto found = [&] {
        return must(site.database->read([&](database::Transaction& t) { return site.outbox->altered_transactions(t); }));
    };
    EXPECT_EQ(found(), std::vector<std::uint64_t>{forged.nonce});
    // An incident, and neither this record nor the next waits for what is lost.
    const auto next = site.enqueue(site.record(2));
    must(site.outbox->step(true));
    ASSERT_EQ(site.incidents.size(), 1U);
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::altered_row);
    EXPECT_TRUE(found().empty());
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        site.raw("evm_mine", "[]");
        must(site.follower->step());
        return site.item(id).state == OutboxState::settled && site.item(next).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.on_chain(site.record(1)), site.record(1).hash());
    EXPECT_EQ(site.on_chain(site.record(2)), site.record(2).hash());
    EXPECT_EQ(must(site.rpc->balance(Address{9})), ethereum::Uint256(0));
}

TEST(Outbox, AHashThatCannotBeReadStopsNothing) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.raw("evm_setAutomine", "[false]");
    const auto id = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    must(site.database->write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("alter", [&] { t.sql() << "update ledger_transactions set sent_ms = 0, hash = 'zz'"; });
    }));
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        site.raw("evm_mine", "[]");
        must(site.follower->step());
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.incidents.size(), 1U);
}

TEST(Outbox, AnUnderpricedTransactionIsSignedAgainUnderTheSameNonce) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.raw("evm_setAutomine", "[false]");
    // Somebody else's transaction under our next nonce, dearer than what the outbox asks for first.
    ethereum::Transaction rival;
    rival.chain_id = site.chain->chain_id;
    rival.max_priority_fee_per_gas = 1'300'000'000;
    rival.max_fee_per_gas = 11'000'000'000;
    rival.gas_limit = 21'000;
    rival.to = Address{9};
    const auto signed_rival = must(ethereum::sign(rival, site.chain->gateway));
    ASSERT_EQ(must(site.rpc->send_raw_transaction(signed_rival.encode())).outcome, SendOutcome::accepted);
    const auto id = site.enqueue(site.record(1));
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        const auto pending = must(site.rpc->raw("eth_getBlockByNumber", R"(["pending", false])"));
        const auto& list = pending.at("transactions").as_array();
        return list.size() == 1 && std::string(list[0].as_string()) != to_0x(signed_rival.hash());
    }));
    EXPECT_GE(site.outbox->status().replaced, 1U);
    EXPECT_EQ(site.item(id).nonce, 0U);
    site.raw("evm_mine");
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.on_chain(site.record(1)), site.record(1).hash());
    EXPECT_EQ(must(site.rpc->transaction_count(site.chain->gateway_address)), 1U);
}

TEST(Outbox, ANonceUsedElsewhereCostsNothing) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.raw("evm_setAutomine", "[false]");
    const auto id = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    const auto pending = must(site.rpc->raw("eth_getBlockByNumber", R"(["pending", false])"));
    site.raw("anvil_dropTransaction", "[" + quoted(std::string(pending.at("transactions").as_array()[0].as_string())) + "]");
    ethereum::Transaction rival;
    rival.chain_id = site.chain->chain_id;
    rival.max_priority_fee_per_gas = 1'000'000'000;
    rival.max_fee_per_gas = 5'000'000'000;
    rival.gas_limit = 21'000;
    rival.to = Address{9};
    ASSERT_EQ(must(site.rpc->send_raw_transaction(must(ethereum::sign(rival, site.chain->gateway)).encode())).outcome,
              SendOutcome::accepted);
    site.raw("evm_mine");
    site.raw("evm_setAutomine", "[true]");
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        must(site.follower->step());
        return site.item(id).state == OutboxState::settled;
    })) << site.item(id).problem;
    EXPECT_EQ(site.item(id).nonce, 1U);
    ASSERT_EQ(site.incidents.size(), 1U);  // it costs nothing, and is not kept quiet
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::foreign_transaction);
    EXPECT_EQ(site.outbox->status().foreign_nonce, 0U);
}

TEST(Outbox, ANonceThatNothingHoldsIsFilled) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto snapshot = must(site.rpc->raw("evm_snapshot", "[]"));
    must(contracts::send_and_wait(*site.rpc, site.chain->gateway,
                                  {.chain_id = site.chain->chain_id, .to = Address{9}, .gas_limit = 21'000}));
    site.raw("evm_setAutomine", "[false]");
    const auto id = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    ASSERT_EQ(site.item(id).nonce, 1U);
    site.raw("evm_revert", "[" + quoted(std::string(snapshot.as_string())) + "]");  // nonce 0 is free again, and its transaction gone
    site.raw("evm_setAutomine", "[true]");
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        must(site.follower->step());
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.item(id).nonce, 1U);
    EXPECT_EQ(must(site.rpc->transaction_count(site.chain->gateway_address)), 2U);
}

TEST(Outbox, ANonceThatNothingHoldsIsFilledHoweverMuchWaits) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.outbox_settings.max_open_transactions = 1;
    site.reopen();
    const auto snapshot = must(site.rpc->raw("evm_snapshot", "[]"));
    must(contracts::send_and_wait(*site.rpc, site.chain->gateway,
                                  {.chain_id = site.chain->chain_id, .to = Address{9}, .gas_limit = 21'000}));
    site.raw("evm_setAutomine", "[false]");
    const auto first = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    ASSERT_EQ(site.item(first).nonce, 1U);
    const auto second = site.enqueue(site.record(2));                               // as many are open as may be
    site.raw("evm_revert", "[" + quoted(std::string(snapshot.as_string())) + "]");  // nonce 0 is free again
    site.raw("evm_setAutomine", "[true]");
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        must(site.follower->step());
        return site.item(first).state == OutboxState::settled && site.item(second).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.item(first).nonce, 1U);
    EXPECT_EQ(must(site.rpc->transaction_count(site.chain->gateway_address)), 3U);
}

TEST(Outbox, ANodeOnAnotherChainIsGivenNothing) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto id = site.enqueue(site.record(1));
    site.raw("anvil_setChainId", "[77]");
    EXPECT_EQ(site.outbox->step(true).error().code, ErrorCode::conflict);
    EXPECT_EQ(site.item(id).state, OutboxState::stored);
    EXPECT_NE(site.outbox->status().problem.find("77"), std::string::npos);
}

TEST(Outbox, ASlotThatHoldsThisRecordIsASuccessAndAnotherRecordAnIncident) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto mine = site.record(1);
    auto theirs = site.record(2);
    const auto anchor = [&](const evidence::StudyRecord& record) {
        must(contracts::send_and_wait(*site.rpc, site.chain->gateway,
                                      {.chain_id = site.chain->chain_id,
                                       .to = site.deployment.studies.address,
                                       .data = contracts::anchor_call(std::vector{record})}));
    };
    anchor(mine);
    anchor(theirs);
    theirs.meta = Hash{5};  // what we stored for this version is not what stands on the chain
    const auto same = site.enqueue(mine);
    const auto other = site.enqueue(theirs);
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(same).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.item(other).state, OutboxState::incident);
    ASSERT_EQ(site.incidents.size(), 1U);
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::other_record_in_slot);
    EXPECT_EQ(site.incidents[0].study_key, theirs.study_key);
    EXPECT_EQ(site.outbox->status().incidents, 1U);
    EXPECT_FALSE(collect_status(*site.follower, *site.outbox, nullptr).healthy);
}

TEST(Outbox, AnIncidentWhoseBlockIsUndoneIsTriedAgain) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    auto theirs = site.record(2);
    const auto snapshot = must(site.rpc->raw("evm_snapshot", "[]"));
    must(contracts::send_and_wait(
        *site.rpc, site.chain->gateway,
        {.chain_id = site.chain->chain_id, .to = site.deployment.studies.address, .data = contracts::anchor_call(std::vector{theirs})}));
    auto mine = theirs;
    mine.meta = Hash{5};
    const auto id = site.enqueue(mine);
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::incident;
    }));
    site.raw("evm_revert", "[" + quoted(std::string(snapshot.as_string())) + "]");
    ASSERT_TRUE(eventually([&] {
        must(site.follower->step());
        must(site.outbox->step(true));
        return site.item(id).state == OutboxState::settled;
    })) << site.item(id).problem;
    EXPECT_EQ(site.on_chain(mine), mine.hash());
    EXPECT_EQ(site.outbox->status().incidents, 0U);
}

TEST(Outbox, RecordsThatTheContractRefusesAreAnIncidentAndTriedLessAndLessOften) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    // The deployer's account is no gateway: as after the gateway's was replaced.
    testing::SetClock clock;
    Outbox stranger(*site.database, *site.outbox_rpc, site.outbox_settings, site.chain->deployer.clone(), site.row_key.clone(), clock);
    std::vector<LedgerIncident> incidents;
    stranger.on_incident([&](const LedgerIncident& incident) { incidents.push_back(incident); });
    const auto id = site.enqueue(site.record(1));
    const auto before = must(site.rpc->transaction_count(stranger.account()));
    const auto sent = [&] {
        for (int i = 0; i < 20; ++i) must(stranger.step(true));
        return must(site.rpc->transaction_count(stranger.account())) - before;
    };
    EXPECT_EQ(sent(), 1U);
    EXPECT_NE(stranger.status().problem.find("refuses"), std::string::npos);
    EXPECT_NE(site.item(id).problem.find("refuses"), std::string::npos);
    clock.ahead += milliseconds(900);
    EXPECT_EQ(sent(), 1U);
    clock.ahead += milliseconds(1'100);
    EXPECT_EQ(sent(), 2U);
    clock.ahead += milliseconds(1'500);  // two seconds now
    EXPECT_EQ(sent(), 2U);
    const auto fresh = site.enqueue(site.record(2));  // nor does a fresh one go out meanwhile
    EXPECT_EQ(sent(), 2U);
    clock.ahead += milliseconds(3'000);
    EXPECT_EQ(sent(), 3U);
    EXPECT_EQ(site.item(fresh).state, OutboxState::stored);
    ASSERT_EQ(incidents.size(), 1U);
    EXPECT_EQ(incidents[0].kind, LedgerIncident::Kind::anchors_refused);
    must(site.follower->load());
    while (must(site.follower->step())) {
    }
    EXPECT_TRUE(site.follower->status().current);
    EXPECT_FALSE(collect_status(*site.follower, stranger, nullptr).healthy);
}

TEST(Outbox, NothingStopsBehindACallThatNoNodeTakes) {
    Site site(NodeKind::geth);
    FID_SKIP_WITHOUT(site);
    const auto endless = must(contracts::send_and_wait(
        *site.rpc, site.chain->deployer,
        {.chain_id = site.chain->chain_id, .data = must(from_hex("635b6000566000526004601cf3")), .gas_limit = 1'000'000}));
    const auto call = [&](const Address& to, std::string_view tag, std::uint64_t gas) {
        return must(site.database->write(database::Durability::full,
                                         [&](database::Transaction& t) { return site.outbox->enqueue_call(t, to, Bytes{}, tag, gas); }));
    };
    const auto loops = call(endless.created.value(), "endless", 0);           // "gas required exceeds allowance"
    const auto huge = call(Address{9}, "more than a block", 10'000'000'000);  // more gas than any block has
    const auto id = site.enqueue(site.record(1));
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.item(loops).state, OutboxState::failed) << site.item(loops).problem;
    EXPECT_EQ(site.item(huge).state, OutboxState::failed) << site.item(huge).problem;
    EXPECT_NE(site.item(huge).problem.find("refuses"), std::string::npos);
    EXPECT_EQ(site.incidents.size(), 2U);
    settle_by_hand(site);
    std::string raw = "?";
    must(site.database->read([&](database::Transaction& t) {
        return database::attempt("look", [&] { t.sql() << "select group_concat(raw, '') from ledger_transactions", soci::into(raw); });
    }));
    EXPECT_EQ(raw, "");  // what is settled needs no bytes any more
}

TEST(Outbox, AMissingPredecessorIsSentFirstWhereItIsOurs) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto first = site.record(1);
    const auto second = site.record(1, 2, first.hash());
    const auto orphan = site.record(2, 2, Hash{7});
    const auto second_id = site.enqueue(second);  // the wrong way round
    const auto first_id = site.enqueue(first);
    const auto orphan_id = site.enqueue(orphan);
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        must(site.follower->step());
        return site.item(second_id).state == OutboxState::settled;
    }));
    EXPECT_EQ(site.item(first_id).state, OutboxState::settled);
    EXPECT_EQ(site.on_chain(second), second.hash());
    EXPECT_EQ(site.item(orphan_id).state, OutboxState::incident);
    ASSERT_EQ(site.incidents.size(), 1U);
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::predecessor_missing);
}

TEST(Outbox, CallsShareTheNoncesAndARevertedOneIsReported) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto patient = crypto::random_bytes32();
    const auto consents = site.deployment.consents.address;
    const auto restrict = contracts::restrict_call({site.institution, patient, {contracts::TargetKind::everyone, {}, 0}, {}, true, 1});
    const auto enqueue_call = [&](const Address& to, const Bytes& data, std::string_view tag, std::uint64_t gas = 0) {
        return site.database->write(database::Durability::full,
                                    [&](database::Transaction& t) { return site.outbox->enqueue_call(t, to, data, tag, gas); });
    };
    const auto good = must(enqueue_call(consents, restrict, "restrict-1"));
    EXPECT_EQ(must(enqueue_call(consents, restrict, "restrict-1")), good);
    EXPECT_EQ(enqueue_call(consents, Bytes{1}, "restrict-1").error().code, ErrorCode::conflict);
    EXPECT_EQ(enqueue_call(consents, restrict, "").error().code, ErrorCode::invalid_argument);
    const auto anchor = site.enqueue(site.record(1));
    const auto refused = must(enqueue_call(consents, Bytes{1, 2, 3, 4}, "nonsense"));                 // found out by the estimate
    const auto reverted = must(enqueue_call(consents, Bytes{1, 2, 3, 4}, "nonsense-sent", 100'000));  // found out in the block
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(good).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.item(anchor).state, OutboxState::settled);
    EXPECT_EQ(site.item(refused).state, OutboxState::failed);
    EXPECT_EQ(site.item(reverted).state, OutboxState::failed);
    EXPECT_EQ(site.incidents.size(), 2U);
    EXPECT_EQ(must(site.database->read([&](database::Transaction& t) { return site.outbox->call(t, "restrict-1"); })).id, good);
    const auto state = must(site.rpc->call({consents, contracts::patient_of_call(site.institution, patient), std::nullopt}));
    EXPECT_EQ(must(contracts::decode_patient(state.data)).restrictions, 1U);
    EXPECT_EQ(must(site.rpc->transaction_count(site.chain->gateway_address)), 3U);
}

TEST(Outbox, AReorganisationIsFoundAndItsTransactionsAreSentAgain) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.follower_settings.development_depth = 3;  // so that what is undone was not settled
    site.reopen();
    must(site.follower->load());
    settle_by_hand(site);
    const auto id = site.enqueue(site.record(1));
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::included;
    })) << site.outbox->status().problem;
    const auto before = site.item(id);
    site.raw("anvil_reorg", "[1, []]");  // the newest block is replaced by an empty one
    settle_by_hand(site);
    EXPECT_EQ(site.follower->status().reorganisations, 1U);
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        must(site.follower->step());
        return site.item(id).state == OutboxState::included && site.item(id).block_hash != before.block_hash;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.item(id).transaction, before.transaction);  // the same bytes
    site.raw("anvil_mine", R"(["0x3"])");
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.on_chain(site.record(1)), site.record(1).hash());
    EXPECT_TRUE(site.incidents.empty());
    EXPECT_EQ(site.follower->status().incidents, 0U);
}

// As a power cut does that takes the node's newest blocks: whoever waits behind their nonces waits for them to be sent again.
TEST(Outbox, ABlockThatTheNodeLostBeforeItWasFollowedIsNoticed) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    const auto snapshot = must(site.rpc->raw("evm_snapshot", "[]"));
    const auto first = site.enqueue(site.record(1));
    must(site.outbox->step(true));
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(true));
        return site.item(first).state == OutboxState::included;
    })) << site.outbox->status().problem;
    site.raw("evm_revert", "[" + quoted(std::string(snapshot.as_string())) + "]");
    const auto second = site.enqueue(site.record(2));
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(first).state == OutboxState::settled && site.item(second).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.on_chain(site.record(1)), site.record(1).hash());
    EXPECT_EQ(site.on_chain(site.record(2)), site.record(2).hash());
    EXPECT_TRUE(site.incidents.empty());
}

// Its signed bytes are no longer kept, and the other chain holds the transaction: it is not somebody else's.
TEST(Outbox, ASettledTransactionThatAnotherChainHoldsTooIsNotForeign) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    must(site.follower->load());
    settle_by_hand(site);
    const auto id = site.enqueue(site.record(1));
    const auto snapshot = must(site.rpc->raw("evm_snapshot", "[]"));
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    const auto transaction = must(site.rpc->raw("eth_getRawTransactionByHash", "[" + quoted(to_0x(site.item(id).transaction)) + "]"));
    site.raw("evm_revert", "[" + quoted(std::string(snapshot.as_string())) + "]");
    site.raw("evm_mine");  // another block in the place of the one that held it
    site.raw("eth_sendRawTransaction", "[" + quoted(std::string(transaction.as_string())) + "]");
    ASSERT_TRUE(eventually([&] {
        must(site.follower->step());
        return site.follower->status().reorganisations > 0;
    }));
    site.reopen();  // what was only remembered is forgotten
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    EXPECT_EQ(site.outbox->status().foreign_nonce, std::nullopt);
    ASSERT_EQ(site.incidents.size(), 1U);
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::settled_undone);
}

TEST(Outbox, WhatWasStoredBeforeTheClockWasSetBackIsSentAllTheSame) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    testing::SetClock clock;
    site.outbox = std::make_unique<Outbox>(*site.database, *site.outbox_rpc, site.outbox_settings, site.chain->gateway.clone(),
                                           site.row_key.clone(), clock);
    clock.ahead = std::chrono::hours(48);
    const auto id = site.enqueue(site.record(1));
    clock.ahead = {};
    ASSERT_TRUE(eventually([&] {
        must(site.outbox->step(false));
        return site.item(id).state == OutboxState::included;
    })) << site.outbox->status().problem;
}

TEST(Outbox, UndoingASettledRecordIsAnIncidentAndItIsSentAgain) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    std::vector<std::uint64_t> undone;
    site.follower->on_incident([&](std::uint64_t block) { undone.push_back(block); });
    must(site.follower->load());
    settle_by_hand(site);
    const auto snapshot = must(site.rpc->raw("evm_snapshot", "[]"));
    const auto id = site.enqueue(site.record(1));
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(id).state == OutboxState::settled;
    })) << site.outbox->status().problem;
    const auto block = site.item(id).block_number;
    site.raw("evm_revert", "[" + quoted(std::string(snapshot.as_string())) + "]");
    ASSERT_EQ(site.on_chain(site.record(1)), Hash{});
    ASSERT_TRUE(eventually([&] {
        must(site.follower->step());
        must(site.outbox->step(true));
        return site.item(id).state == OutboxState::settled && site.on_chain(site.record(1)) == site.record(1).hash();
    }));
    EXPECT_EQ(undone, std::vector<std::uint64_t>{block});
    ASSERT_EQ(site.incidents.size(), 1U);
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::settled_undone);
    EXPECT_EQ(site.incidents[0].item, id);
}

TEST(Outbox, ThreeHundredRecordsSurviveTheNodesBeingKilledAndEachHasAProof) {
    Site site(NodeKind::geth, milliseconds(50));
    FID_SKIP_WITHOUT(site);
    site.outbox_settings.max_batch = 16;  // many transactions, so that the kills meet some of them half way
    site.reopen();
    site.run();
    std::vector<std::uint64_t> ids;
    for (std::uint64_t i = 0; i < 300; ++i) {
        ids.push_back(site.enqueue(site.record(i)));
        if (i % 100 == 50) {
            const int pid = site.chain->node->process_id();
            if (pid != 0) ::kill(pid, SIGKILL);
        }
    }
    ids.push_back(site.enqueue(site.record(5, 2, site.record(5).hash())));
    ASSERT_TRUE(site.outbox->wait_until_settled(seconds(120))) << site.outbox->status().problem << " / " << site.follower->status().problem;
    EXPECT_GE(site.chain->node->restarts(), 1U);
    for (const auto id : ids) EXPECT_EQ(site.item(id).state, OutboxState::settled) << site.item(id).problem;
    for (std::uint64_t i = 0; i < 300; ++i) EXPECT_EQ(site.on_chain(site.record(i)), site.record(i).hash());
    EXPECT_TRUE(site.incidents.empty());
    const auto status = collect_status(*site.follower, *site.outbox, site.chain->node);
    EXPECT_EQ(status.outbox.stored + status.outbox.submitted + status.outbox.included, 0U);
    EXPECT_EQ(status.node, NodeState::running);
    EXPECT_TRUE(status.healthy) << status.chain.problem;
    site.stop();

    const auto question = [&](const evidence::StudyRecord& record, std::uint64_t block) {
        ProofQuestion out;
        out.contract = site.deployment.studies.address;
        out.slot_key = evidence::slot_key(record.institution, record.study_key, record.version);
        out.next_slot_key = evidence::slot_key(record.institution, record.study_key, record.version + 1);
        out.record = record.hash();
        out.from_block = block;
        out.seals = site.follower_settings.seals.get();
        out.signer_sets = site.follower_settings.signer_sets;
        return out;
    };
    const auto head = site.follower->status().head;
    const auto latest = must(gather_proof(*site.rpc, question(site.record(7), site.item(ids[7]).block_number)));
    EXPECT_TRUE(latest.is_latest);
    EXPECT_EQ(latest.headers.size(), 1U);
    EXPECT_FALSE(latest.storage_proof.empty());
    EXPECT_FALSE(must(gather_proof(*site.rpc, question(site.record(5), head))).is_latest);
    EXPECT_EQ(gather_proof(*site.rpc, question(site.record(7), head + 1)).error().code, ErrorCode::unavailable);
    EXPECT_EQ(gather_proof(*site.rpc, question(site.record(9999), head)).error().code, ErrorCode::unavailable);
    auto wrong = question(site.record(7), head);
    wrong.record = Hash{1};
    EXPECT_EQ(gather_proof(*site.rpc, wrong).error().code, ErrorCode::conflict);
    wrong = question(site.record(7), head);
    wrong.contract = Address{3};
    EXPECT_EQ(gather_proof(*site.rpc, wrong).error().code, ErrorCode::not_found);
}

TEST(Outbox, ASiteThatWasCopiedAndStartedTwiceIsNoticed) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    site.outbox_settings.look_at_nonces = milliseconds(0);
    site.reopen();
    must(site.follower->load());
    const auto first = site.enqueue(site.record(1));
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(first).state == OutboxState::settled;
    }));
    EXPECT_FALSE(site.outbox->status().foreign_nonce);

    const auto database = must(database::Database::open({.path = site.folder.path() / "copy.db"}, migrations()));
    const auto rpc = site.chain->rpc();
    Outbox copy(*database, *rpc, site.outbox_settings, site.chain->gateway.clone(), site.row_key.clone());
    std::vector<LedgerIncident> of_the_copy;
    copy.on_incident([&](const LedgerIncident& incident) { of_the_copy.push_back(incident); });
    const auto send_from_the_copy = [&](std::uint64_t study) {
        must(database->write(database::Durability::full, [&](database::Transaction& t) { return copy.enqueue(t, site.record(study)); }));
        ASSERT_TRUE(eventually([&] {
            must(copy.step(true));
            return copy.status().included > 0 && site.on_chain(site.record(study)) != Hash{};
        }));
    };
    send_from_the_copy(2);
    EXPECT_TRUE(of_the_copy.empty());  // an index that begins takes the nonces as they are

    must(site.outbox->step(false));  // with nothing to send
    ASSERT_EQ(site.incidents.size(), 1U);
    EXPECT_EQ(site.incidents[0].kind, LedgerIncident::Kind::foreign_transaction);
    EXPECT_NE(site.incidents[0].text.find("a copy of the site is running"), std::string::npos);
    EXPECT_EQ(site.outbox->status().foreign_nonce, 1U);
    EXPECT_FALSE(collect_status(*site.follower, *site.outbox, nullptr).healthy);

    site.reopen();  // said again after a restart, at once and as no new incident
    site.outbox->start();
    EXPECT_EQ(site.outbox->status().foreign_nonce, 1U);
    site.outbox->stop();
    must(site.outbox->step(false));
    EXPECT_EQ(site.outbox->status().foreign_nonce, 1U);
    EXPECT_EQ(site.incidents.size(), 1U);
    const auto second = site.enqueue(site.record(3));  // what is acknowledged is anchored all the same
    must(site.follower->load());
    ASSERT_TRUE(eventually([&] {
        settle_by_hand(site);
        return site.item(second).state == OutboxState::settled;
    }));
    must(copy.step(false));
    ASSERT_EQ(of_the_copy.size(), 1U);  // each of them notices the other
    EXPECT_EQ(of_the_copy[0].kind, LedgerIncident::Kind::foreign_transaction);

    must(site.database->write(database::Durability::full, [&](database::Transaction& t) { return site.outbox->trust_nonces(t); }));
    must(site.outbox->step(false));
    EXPECT_FALSE(site.outbox->status().foreign_nonce);
    send_from_the_copy(4);
    must(site.outbox->step(false));
    EXPECT_EQ(site.outbox->status().foreign_nonce, 3U);  // and it is noticed again
    EXPECT_EQ(site.incidents.size(), 2U);
}

}  // namespace
}  // namespace fiducial::ledger
