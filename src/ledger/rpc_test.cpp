#include "ledger/rpc.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ledger/impl/rpc_answers.hpp"
#include "ledger/ledger_test_support.hpp"
#include "net/client.hpp"

namespace fiducial::ledger {
namespace {

using testing::must;
using testing::NodeKind;
using testing::Site;

TEST(RpcErrors, WhatNodesSayToATransactionIsTold) {
    using enum SendOutcome;
    // geth 1.13.15
    EXPECT_EQ(classify_send_error(-32000, "already known"), already_known);
    EXPECT_EQ(classify_send_error(-32000, "nonce too low: next nonce 5, tx nonce 4"), nonce_too_low);
    EXPECT_EQ(classify_send_error(-32000, "replacement transaction underpriced"), underpriced);
    EXPECT_EQ(classify_send_error(-32000, "transaction underpriced: tip needed 1, tip permitted 0"), underpriced);
    EXPECT_EQ(classify_send_error(-32000, "txpool is full"), try_again);
    EXPECT_EQ(classify_send_error(-32000, "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1"),
              insufficient_funds);
    EXPECT_EQ(classify_send_error(-32000, "transaction indexing is in progress"), try_again);
    EXPECT_EQ(classify_send_error(-32000, "exceeds block gas limit"), rejected);
    // anvil 1.7.1
    EXPECT_EQ(classify_send_error(-32003, "transaction already imported"), already_known);
    EXPECT_EQ(classify_send_error(-32003, "nonce too low"), nonce_too_low);
    EXPECT_EQ(classify_send_error(-32003, "max fee per gas less than block base fee"), underpriced);
    // Ganache 7.9.2
    EXPECT_EQ(classify_send_error(-32000, "the tx doesn't have the correct nonce. account has nonce of: 5 tx has nonce of: 4"),
              nonce_too_low);
}

struct Seen final : AnswerVisitor {
    Result<void> on_result(std::uint64_t id, const boost::json::value&) override {
        results.push_back(id);
        return {};
    }
    Result<void> on_error(std::optional<std::uint64_t>, RpcError error) override {
        errors.push_back(std::move(error));
        return {};
    }
    std::vector<std::uint64_t> results;
    std::vector<RpcError> errors;
};

TEST(RpcAnswers, Rfc_JsonRpc20_Section5AnswersAndErrorsAreRead) {
    Seen seen;
    must(visit_answers(
        R"([{"jsonrpc":"2.0","id":2,"result":null},{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution\nreverted","data":"0x08c379a0"}},
                           {"jsonrpc":"2.0","id":4,"error":{"code":-32000,"message":"revert","data":{"result":"0x01"}}}])",
        seen));
    EXPECT_EQ(seen.results, std::vector<std::uint64_t>{2});
    ASSERT_EQ(seen.errors.size(), 2U);
    EXPECT_EQ(seen.errors[0].code, 3);
    EXPECT_EQ(seen.errors[0].message, "execution reverted");
    EXPECT_EQ(to_hex(seen.errors[0].data), "08c379a0");
    EXPECT_EQ(to_hex(seen.errors[1].data), "01");
}

TEST(RpcAnswers, WhatIsNoAnswerIsRefused) {
    for (const char* text : {"", "7", "[7]", "{}", R"({"jsonrpc":"1.0","id":1,"result":1})", R"({"jsonrpc":"2.0","id":"1","result":1})",
                             R"({"jsonrpc":"2.0","id":-1,"result":1})", R"({"jsonrpc":"2.0","result":1})", R"({"jsonrpc":"2.0","id":1})",
                             R"({"jsonrpc":"2.0","id":1,"error":7})"}) {
        Seen seen;
        EXPECT_EQ(visit_answers(text, seen).error().code, ErrorCode::malformed) << text;
    }
}

TEST(RpcAnswers, QuantitiesAndDataKeepToTheirForms) {
    EXPECT_EQ(must(quantity("0x1f", "x")), 31U);
    for (const char* text : {"", "0x", "1f", "0x01", "0x10000000000000000"}) EXPECT_FALSE(quantity(text, "x").has_value()) << text;
    EXPECT_FALSE(quantity(7, "x").has_value());
    EXPECT_EQ(must(data_bytes("0x00ff", "x")), (Bytes{0, 255}));
    for (const char* text : {"00ff", "0x0", "0xzz"}) EXPECT_FALSE(data_bytes(text, "x").has_value()) << text;
}

// Whatever a peer on the other end may do; the transport is real, the node is not there.
TEST(Rpc, ANodeThatIsAwayIsUnavailableAndNotAskedAgainAtOnce) {
    testing::TemporaryFolder folder;
    Rpc rpc(std::make_shared<net::UnixSocketJson>(folder.path() / "nobody.ipc"),
            {.first_backoff = std::chrono::milliseconds(60'000), .last_backoff = std::chrono::milliseconds(60'000)});
    EXPECT_EQ(rpc.chain_id().error().code, ErrorCode::unavailable);
    const auto again = rpc.chain_id();
    EXPECT_EQ(again.error().code, ErrorCode::unavailable);
    EXPECT_NE(again.error().message.find("away"), std::string::npos);
    const auto sent = must(rpc.send_raw_transaction(Bytes{1}));
    EXPECT_EQ(sent.outcome, SendOutcome::try_again);
}

// A node whose answers may hold so many logs and no more; each block holds one.
class Terse final : public net::JsonTransport {
public:
    explicit Terse(std::size_t most, bool slow) : most_(most), slow_(slow) {}
    Result<std::string> exchange(std::string_view request, std::chrono::milliseconds) override {
        const auto value = must(json::parse(request, 1 << 20));
        const auto asked = value.is_array() ? value.get_array() : boost::json::array{value};
        boost::json::array answers;
        std::size_t given = 0;
        for (const auto& one : asked) {
            const auto& filter = one.at("params").at(0).as_object();
            const auto* hash = filter.if_contains("blockHash");
            const auto number = [&](const char* name) { return must(quantity(filter.at(name), name)); };
            const auto first = hash != nullptr ? must(from_hex(std::string_view(hash->as_string()).substr(2)))[31] : number("fromBlock");
            const auto last = hash != nullptr ? first : number("toBlock");
            boost::json::array logs;
            for (auto block = first; block <= last; ++block, ++given) {
                Hash name{};
                name[31] = static_cast<std::uint8_t>(block);
                logs.push_back({{"address", to_0x(Address{1})},
                                {"topics", boost::json::array{to_0x(Hash{})}},
                                {"data", "0x"},
                                {"blockNumber", ethereum::Uint256(block).to_quantity()},
                                {"transactionHash", to_0x(Hash{})},
                                {"transactionIndex", "0x0"},
                                {"blockHash", to_0x(name)},
                                {"logIndex", "0x0"},
                                {"removed", false}});
            }
            answers.push_back({{"jsonrpc", "2.0"}, {"id", one.at("id")}, {"result", std::move(logs)}});
        }
        if (given > most_) return fail(slow_ ? ErrorCode::timeout : ErrorCode::limit_exceeded, "too much");
        return boost::json::serialize(value.is_array() ? boost::json::value(answers) : answers[0]);
    }

private:
    std::size_t most_;
    bool slow_;
};

TEST(Rpc, LogsThatAreTooManyForOneAnswerAreAskedForByHalves) {
    for (const bool slow : {false, true}) {
        Rpc rpc(std::make_shared<Terse>(3, slow),
                {.first_backoff = std::chrono::milliseconds(60'000), .last_backoff = std::chrono::milliseconds(60'000)});
        const LogFilter filter{{Address{1}}, {}};
        const auto range = must(rpc.logs_in_range(1, 100, filter));
        ASSERT_EQ(range.size(), 100U);
        for (std::size_t i = 0; i < range.size(); ++i) EXPECT_EQ(range[i].block_number, i + 1);
        std::vector<Hash> hashes(64);
        for (std::size_t i = 0; i < hashes.size(); ++i) hashes[i][31] = static_cast<std::uint8_t>(i);
        const auto each = must(rpc.logs_of_blocks(hashes, filter));
        ASSERT_EQ(each.size(), 64U);
        for (std::size_t i = 0; i < each.size(); ++i) EXPECT_EQ(each[i].at(0).block_number, i);
    }
    Rpc none(std::make_shared<Terse>(0, false));
    EXPECT_EQ(none.logs_in_range(1, 4, {{Address{1}}, {}}).error().code, ErrorCode::limit_exceeded);
}

TEST(Rpc, AsksAnvilEverything) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    auto& rpc = *site.rpc;
    EXPECT_EQ(must(rpc.chain_id()), site.chain->chain_id);
    EXPECT_NE(must(rpc.client_version()).find("anvil"), std::string::npos);
    EXPECT_FALSE(must(rpc.is_syncing()));
    const auto number = must(rpc.block_number());
    EXPECT_EQ(number, site.deployment.last_block);
    const auto head = must(rpc.block(Latest{}));
    ASSERT_TRUE(head.has_value());
    EXPECT_EQ(must(rpc.block(head->hash))->header, head->header);
    EXPECT_EQ(must(rpc.block(number))->hash, head->hash);
    EXPECT_FALSE(must(rpc.block(number + 1)).has_value());
    EXPECT_FALSE(must(rpc.block(Hash{1})).has_value());
    EXPECT_EQ(must(rpc.blocks(1, 300)).size(), number);  // more than one batch, and beyond the end
    EXPECT_FALSE(must(rpc.balance(site.chain->gateway_address)).is_zero());
    EXPECT_EQ(must(rpc.transaction_count(site.chain->gateway_address)), 0U);
    EXPECT_EQ(must(rpc.transaction_count(must(crypto::address_of(site.chain->deployer)), Pending{})), number);
    EXPECT_FALSE(must(rpc.code(site.deployment.studies.address)).empty());
    EXPECT_TRUE(must(rpc.code(site.chain->gateway_address)).empty());
    EXPECT_FALSE(must(rpc.gas_price()).is_zero());
    EXPECT_TRUE(must(rpc.base_fee()).fits_u64());
    EXPECT_FALSE(must(rpc.receipt(Hash{1})).has_value());
    const auto logs = must(rpc.logs_in_range(1, number, {{site.deployment.members.address}, {}}));
    ASSERT_FALSE(logs.empty());
    EXPECT_EQ(must(rpc.logs_of_block(logs.back().block_hash, {{site.deployment.members.address}, {logs.back().topics[0]}})).size(), 1U);
    EXPECT_TRUE(must(rpc.logs_of_block(logs.back().block_hash, {{site.deployment.studies.address}, {}})).empty());
    ASSERT_GT(logs.back().topics.size(), 1U);
    EXPECT_FALSE(must(rpc.logs_in_range(1, number, {{site.deployment.members.address}, {}, {logs.back().topics[1]}})).empty());
    EXPECT_TRUE(must(rpc.logs_in_range(1, number, {{site.deployment.members.address}, {}, {Hash{9}}})).empty());
    // A call of somebody who may not: the reason comes back.
    const auto data = contracts::anchor_call(std::vector{site.record(1)});
    const auto denied = must(rpc.call({site.deployment.studies.address, data, Address{1}}));
    EXPECT_TRUE(denied.reverted);
    EXPECT_GE(denied.data.size(), 4U);
    EXPECT_EQ(rpc.estimate_gas(Address{1}, site.deployment.studies.address, data).error().code, ErrorCode::invalid_argument);
    EXPECT_GT(must(rpc.estimate_gas(site.chain->gateway_address, site.deployment.studies.address, data)), 21'000U);
    EXPECT_EQ(rpc.raw("no_such_method", "[]").error().code, ErrorCode::unsupported);
    EXPECT_EQ(rpc.raw("eth_chainId", "{}").error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace fiducial::ledger
