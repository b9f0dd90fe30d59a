// The simulated node is held to a real one: the same questions to both, the same answers.
#include "simulated_node.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "ledger/contracts.hpp"
#include "ledger/ledger_test_support.hpp"

namespace fiducial::simulation {
namespace {

namespace contracts = ledger::contracts;
using ethereum::Uint256;
using ledger::SendOutcome;
using ledger::testing::must;
using ledger::testing::NodeKind;

/// Straight to the node.
struct Straight final : net::JsonTransport {
    explicit Straight(SimulatedNode& n) : node(n) {}
    Result<std::string> exchange(std::string_view request, std::chrono::milliseconds) override { return node.answer(request); }
    SimulatedNode& node;
};

/// A real geth with the real contracts, and the simulated one beside it.
class TwoNodes : public ::testing::Test {
protected:
    void SetUp() override {
        site_.emplace(NodeKind::geth);
        FID_SKIP_WITHOUT(*site_);
        SimulatedNode::Settings settings;
        settings.chain_id = site_->chain->chain_id;
        settings.signers.push_back(crypto::generate_private_key());
        settings.studies = site_->deployment.studies.address;
        settings.institution = site_->institution;
        settings.gateway = site_->chain->gateway_address;
        node_.emplace(std::move(settings), clock_);
        simulated_.emplace(std::make_shared<Straight>(*node_));
    }
    ledger::Rpc& real() { return *site_->rpc; }
    ledger::Rpc& simulated() { return *simulated_; }

    ethereum::SignedTransaction transaction(std::uint64_t nonce, Bytes data, std::uint64_t fee = 10'000'000'000) const {
        ethereum::Transaction out;
        out.chain_id = site_->chain->chain_id;
        out.nonce = nonce;
        out.gas_limit = 1'000'000;
        out.to = data.empty() ? site_->chain->gateway_address : site_->deployment.studies.address;
        out.data = std::move(data);
        out.max_fee_per_gas = fee;
        out.max_priority_fee_per_gas = fee / 10;
        return must(ethereum::sign(out, site_->chain->gateway));
    }
    /// Returns: what both answer.
    SendOutcome send(const ethereum::SignedTransaction& transaction) {
        const auto one = must(real().send_raw_transaction(transaction.encode()));
        const auto other = must(simulated().send_raw_transaction(transaction.encode()));
        EXPECT_EQ(name_of(one.outcome), name_of(other.outcome)) << one.text << "; simulated: " << other.text;
        return one.outcome;
    }
    ledger::Receipt real_receipt(const Hash& hash) {
        for (int i = 0; i < 1000; ++i) {
            if (auto receipt = must(real().receipt(hash))) return *receipt;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        throw std::runtime_error("geth does not seal");
    }
    /// Both seal what they hold; the receipts and the blocks that hold it must say the same.
    void expect_same_receipt(const Hash& hash) {
        const auto one = real_receipt(hash);
        while (node_->seal(1)) {
        }
        const auto found = must(simulated().receipt(hash));
        ASSERT_TRUE(found);
        const auto& other = *found;
        EXPECT_EQ(one.success, other.success);
        ASSERT_EQ(one.logs.size(), other.logs.size());
        for (std::size_t i = 0; i < one.logs.size(); ++i) {
            EXPECT_EQ(one.logs[i].address, other.logs[i].address);
            EXPECT_EQ(one.logs[i].topics, other.logs[i].topics);
            EXPECT_EQ(one.logs[i].data, other.logs[i].data);
            EXPECT_EQ(one.logs[i].transaction_hash, hash);
            EXPECT_EQ(other.logs[i].transaction_hash, hash);
        }
        const auto real_block = must(real().block(one.block_hash));
        const auto block = must(simulated().block(other.block_hash));  // its hash is checked in there
        ASSERT_TRUE(real_block && block);
        EXPECT_EQ(real_block->header.logs_bloom, block->header.logs_bloom);
        EXPECT_EQ(real_block->header.transactions_root, block->header.transactions_root);
        const ledger::LogFilter filter{{site_->deployment.studies.address}, {}};
        EXPECT_EQ(must(real().logs_of_block(one.block_hash, filter)).size(),
                  must(simulated().logs_of_block(other.block_hash, filter)).size());
    }
    void anchor(std::uint64_t nonce, const std::vector<evidence::StudyRecord>& records) {
        const auto sent = transaction(nonce, contracts::anchor_call(records));
        ASSERT_EQ(send(sent), SendOutcome::accepted);
        expect_same_receipt(sent.hash());
        for (const auto& record : records) {
            const ledger::CallRequest question{site_->deployment.studies.address,
                                               contracts::record_of_call(site_->institution, record.study_key, record.version),
                                               std::nullopt};
            EXPECT_EQ(must(real().call(question)).data, must(simulated().call(question)).data);
        }
    }

    std::optional<ledger::testing::Site> site_;
    SimulatedClock clock_;
    std::optional<SimulatedNode> node_;
    std::optional<ledger::Rpc> simulated_;
};

TEST_F(TwoNodes, TheContractStudiesDoesTheSame) {
    const auto first = site_->record(1);
    auto other = first;
    other.count += 1;
    auto next = site_->record(1, 2, first.hash());
    auto orphan = site_->record(2, 2, first.hash());
    auto odd = site_->record(3, 1, {});
    odd.previous = first.hash();
    anchor(0, {first, site_->record(4)});
    anchor(1, {first, other, orphan, odd});
    anchor(2, {next, site_->record(5)});
    auto wrong_previous = site_->record(1, 3, first.hash());
    anchor(3, {wrong_previous});
    anchor(4, {});  // reverts
    EXPECT_EQ(must(real().transaction_count(site_->chain->gateway_address)), 5u);
    EXPECT_EQ(must(simulated().transaction_count(site_->chain->gateway_address)), 5u);
}

TEST_F(TwoNodes, ThePoolTakesAndRefusesTheSame) {
    const auto first = transaction(0, contracts::anchor_call(std::vector{site_->record(1)}));
    EXPECT_EQ(send(first), SendOutcome::accepted);
    expect_same_receipt(first.hash());
    const auto again = send(first);
    EXPECT_TRUE(again == SendOutcome::nonce_too_low || again == SendOutcome::already_known);
    EXPECT_EQ(send(transaction(0, {})), SendOutcome::nonce_too_low);

    // A nonce ahead waits for the one before it, and gives way to a dearer one.
    const auto ahead = transaction(2, contracts::anchor_call(std::vector{site_->record(2)}));
    EXPECT_EQ(send(ahead), SendOutcome::accepted);
    EXPECT_EQ(send(ahead), SendOutcome::already_known);
    EXPECT_EQ(send(transaction(2, {}, 10'500'000'000)), SendOutcome::underpriced);
    const auto dearer = transaction(2, contracts::anchor_call(std::vector{site_->record(3)}), 11'000'000'000);
    EXPECT_EQ(send(dearer), SendOutcome::accepted);
    EXPECT_FALSE(node_->seal()) << "there is nothing that can be in a block";
    const auto between = transaction(1, {});
    EXPECT_EQ(send(between), SendOutcome::accepted);
    real_receipt(dearer.hash());
    while (node_->seal(1)) {
    }
    EXPECT_TRUE(must(simulated().receipt(dearer.hash())));
    EXPECT_FALSE(must(real().receipt(ahead.hash())));
    EXPECT_FALSE(must(simulated().receipt(ahead.hash())));

    auto poor = transaction(3, contracts::anchor_call(std::vector{site_->record(6)})).transaction;
    poor.gas_limit = 21'000;
    EXPECT_EQ(send(must(ethereum::sign(poor, site_->chain->gateway))), SendOutcome::rejected);
    auto elsewhere = transaction(3, {}).transaction;
    elsewhere.chain_id += 1;
    EXPECT_EQ(send(must(ethereum::sign(elsewhere, site_->chain->gateway))), SendOutcome::rejected);
    EXPECT_EQ(send(must(ethereum::sign(transaction(0, {}).transaction, crypto::generate_private_key()))), SendOutcome::insufficient_funds);
}

TEST_F(TwoNodes, WhatThereIsNotIsAnsweredTheSame) {
    const Hash nothing{1};
    for (auto* rpc : {&real(), &simulated()}) {
        EXPECT_FALSE(must(rpc->receipt(nothing)));
        EXPECT_FALSE(must(rpc->block(nothing)));
        EXPECT_FALSE(must(rpc->block(std::uint64_t{1'000'000})));
        EXPECT_FALSE(must(rpc->is_syncing()));
        EXPECT_EQ(must(rpc->chain_id()), site_->chain->chain_id);
        EXPECT_EQ(must(rpc->transaction_count(Address{1})), 0u);
        const auto logs = rpc->logs_of_block(nothing, {{site_->deployment.studies.address}, {}});
        ASSERT_FALSE(logs);
        EXPECT_EQ(logs.error().code, ErrorCode::not_found);
        EXPECT_EQ(rpc->raw("fid_nothing", "[]").error().code, ErrorCode::unsupported);
    }
}

}  // namespace
}  // namespace fiducial::simulation
