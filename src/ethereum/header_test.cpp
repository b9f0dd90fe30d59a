#include "ethereum/header.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

using test::hash_of_hex;
using test::hex;

// Ethereum's first block.
BlockHeader mainnet_genesis() {
    BlockHeader out;
    out.ommers_hash = kEmptyOmmersHash;
    out.state_root = hash_of_hex("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544");
    out.transactions_root = hash_of_hex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
    out.receipts_root = out.transactions_root;
    out.difficulty = Uint256(0x400000000);
    out.gas_limit = 5000;
    out.extra_data = hex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa");
    out.nonce = {0, 0, 0, 0, 0, 0, 0, 0x42};
    return out;
}

BlockHeader london() {
    auto out = mainnet_genesis();
    out.base_fee_per_gas = Uint256(7);
    return out;
}

TEST(Header, MainnetGenesisHash) {
    const auto header = mainnet_genesis();
    EXPECT_EQ(to_hex(header.hash()), "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    EXPECT_EQ(decode_header(header.encode(), {.require_base_fee = false}).value(), header);
    EXPECT_EQ(decode_header(header.encode()).error().code, ErrorCode::malformed) << "before London";
    EXPECT_EQ(crypto::keccak256(rlp::ListWriter().finish()), kEmptyOmmersHash);
}

TEST(Header, LondonAndLaterFieldsRoundTrip) {
    auto header = london();
    EXPECT_EQ(decode_header(header.encode()).value(), header);
    header.withdrawals_root = Hash{};
    header.blob_gas_used = 131072;
    header.excess_blob_gas = 0;
    header.parent_beacon_block_root = Hash{};
    header.requests_hash = hash_of_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(decode_header(header.encode(), {.allow_later_fields = true}).value(), header);
    EXPECT_EQ(decode_header(header.encode()).error().code, ErrorCode::unsupported);
}

TEST(Header, FieldsMustBeInOrder) {
    auto header = london();
    EXPECT_TRUE(header.fields_in_order());
    header.blob_gas_used = 1;
    EXPECT_FALSE(header.fields_in_order());
    header.withdrawals_root = Hash{};
    EXPECT_TRUE(header.fields_in_order());
    header.base_fee_per_gas.reset();
    EXPECT_FALSE(header.fields_in_order());
}

TEST(Header, OtherShapesAreRefused) {
    const auto encoded = london().encode();
    for (std::size_t size = 0; size < encoded.size(); ++size) EXPECT_FALSE(decode_header(ByteView(encoded).first(size)));
    auto longer = encoded;
    longer.push_back(0);
    EXPECT_FALSE(decode_header(longer));
    EXPECT_FALSE(decode_header(hex("c0")));
    EXPECT_FALSE(decode_header(hex("80")));
    auto fat = london();
    fat.extra_data.resize(10000);
    EXPECT_EQ(decode_header(fat.encode()).error().code, ErrorCode::limit_exceeded);
    fat.extra_data.resize(100);
    EXPECT_EQ(decode_header(fat.encode(), {.max_extra_data = 97}).error().code, ErrorCode::limit_exceeded);
}

TEST(Header, AFieldTooManyIsRefused) {
    auto header = london();
    header.withdrawals_root = Hash{};
    header.blob_gas_used = 0;
    header.excess_blob_gas = 0;
    header.parent_beacon_block_root = Hash{};
    header.requests_hash = Hash{};
    const auto encoded = header.encode();
    rlp::ListWriter more;
    const auto items = rlp::decode(encoded)->items("header").value();
    for (const auto& item : items) more.encoded(item.encoded());
    more.u64(1);
    EXPECT_EQ(decode_header(more.finish(), {.allow_later_fields = true}).error().code, ErrorCode::malformed);
}

// The figures of geth's own test of the rule (CalcBaseFee).
TEST(Header, Eip1559NextBaseFee) {
    auto parent = london();
    parent.gas_limit = 20'000'000;
    parent.base_fee_per_gas = Uint256(1'000'000'000);
    const auto next = [&](std::uint64_t used) {
        parent.gas_used = used;
        return next_base_fee(parent).value().to_decimal();
    };
    EXPECT_EQ(next(10'000'000), "1000000000");
    EXPECT_EQ(next(9'000'000), "987500000");
    EXPECT_EQ(next(11'000'000), "1012500000");
    parent.base_fee_per_gas = Uint256(0);
    EXPECT_EQ(next(10'000'001), "1") << "it rises by one at least";
    EXPECT_EQ(next(0), "0");
    parent.gas_limit = 1;
    parent.gas_used = 1;
    EXPECT_FALSE(next_base_fee(parent));
}

}  // namespace
}  // namespace fiducial::ethereum
