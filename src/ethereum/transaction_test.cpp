#include "ethereum/transaction.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

using test::hex;

TEST(Transaction, Eip155Example) {
    Transaction tx;
    tx.type = TransactionType::legacy;
    tx.chain_id = 1;
    tx.nonce = 9;
    tx.max_fee_per_gas = Uint256(20'000'000'000);
    tx.gas_limit = 21000;
    tx.to = parse_address("0x3535353535353535353535353535353535353535").value();
    tx.value = Uint256::parse("1000000000000000000").value();
    EXPECT_EQ(to_hex(signing_hash(tx)), "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    const auto signed_tx = sign(tx, test::key_of_hex("4646464646464646464646464646464646464646464646464646464646464646"));
    ASSERT_TRUE(signed_tx);
    EXPECT_EQ(signed_tx->signature.v, 0);  // v = 37
    EXPECT_EQ(Uint256::from_be(signed_tx->signature.r).to_decimal(),
              "18515461264373351373200002665853028612451056578545711640558177340181847433846");
    EXPECT_EQ(Uint256::from_be(signed_tx->signature.s).to_decimal(),
              "46948507304638947509940763649030358759909902576025900602547168820602576006531");
    EXPECT_EQ(
        to_hex(signed_tx->encode()),
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d"
        "3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83");
    EXPECT_EQ(decode_transaction(signed_tx->encode())->transaction, tx);
}

TEST(Transaction, EthereumTests) {
    const auto file = test::load_vectors("transactions.json");
    for (const auto& [name, vector] : file.as_object()) {
        const auto raw = hex(vector.at("rlp").as_string());
        const auto decoded = decode_transaction(raw);
        const bool valid = vector.as_object().contains("hash");
        const bool gas_only = vector.as_object().contains("gas");
        if (!valid && !gas_only) {
            EXPECT_FALSE(decoded && decoded->sender()) << name;
            continue;
        }
        ASSERT_TRUE(decoded) << name << ": " << decoded.error().message;
        EXPECT_EQ(decoded->encode(), raw) << name;
        EXPECT_EQ(intrinsic_gas(decoded->transaction).value() > decoded->transaction.gas_limit, gas_only) << name;
        if (gas_only) continue;
        EXPECT_EQ(to_0x(decoded->hash()), vector.at("hash").as_string()) << name;
        EXPECT_EQ(to_0x(decoded->sender().value()), vector.at("sender").as_string()) << name;
    }
}

Transaction from_vector(const boost::json::object& vector) {
    Transaction tx;
    tx.type = vector.contains("legacy") ? TransactionType::legacy : TransactionType::dynamic_fee;
    tx.chain_id = vector.at("chain").to_number<std::uint64_t>();
    tx.nonce = vector.at("nonce").to_number<std::uint64_t>();
    tx.gas_limit = vector.at("gas").to_number<std::uint64_t>();
    tx.max_fee_per_gas = Uint256::parse(vector.at("price").as_string()).value();
    if (vector.contains("tip")) tx.max_priority_fee_per_gas = Uint256::parse(vector.at("tip").as_string()).value();
    tx.value = Uint256::parse(vector.at("value").as_string()).value();
    if (!vector.at("to").is_null()) tx.to = parse_address(vector.at("to").as_string()).value();
    tx.data = hex(vector.at("data").as_string());
    if (!vector.contains("access")) return tx;
    for (const auto& entry : vector.at("access").as_array()) {
        AccessListEntry out{parse_address(entry.at("address").as_string()).value(), {}};
        for (const auto& key : entry.at("storageKeys").as_array()) out.storage_keys.push_back(test::hash_of_hex(key.as_string()));
        tx.access_list.push_back(out);
    }
    return tx;
}

TEST(Transaction, SignsAsCastDoes) {
    const auto vectors = test::load_vectors("generated.json");
    for (const auto& vector : vectors.at("transactions").as_array()) {
        const auto tx = from_vector(vector.as_object());
        const auto signed_tx = sign(tx, test::key_of_hex(vector.at("key").as_string()));
        ASSERT_TRUE(signed_tx);
        EXPECT_EQ(to_0x(signed_tx->encode()), vector.at("raw").as_string());
        EXPECT_EQ(to_0x(signed_tx->hash()), vector.at("hash").as_string());
        EXPECT_EQ(to_checksum(signed_tx->sender().value()), vector.at("sender").as_string());
        const auto decoded = decode_transaction(signed_tx->encode());
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->transaction, tx);
    }
}

class SignedExample : public ::testing::Test {
protected:
    void SetUp() override {
        tx_.chain_id = 1337;
        tx_.max_fee_per_gas = Uint256(100);
        tx_.max_priority_fee_per_gas = Uint256(1);
        tx_.gas_limit = 21000;
        tx_.to = Address{};
    }
    Transaction tx_;
    crypto::Secret key_ = test::key_named("sender");
};

TEST_F(SignedExample, EveryChangedByteChangesTheSenderOrIsRefused) {
    const auto signed_tx = sign(tx_, key_).value();
    const auto sender = signed_tx.sender().value();
    const auto raw = signed_tx.encode();
    for (std::size_t i = 0; i < raw.size(); ++i) {
        auto changed = raw;
        changed[i] ^= 1;
        const auto decoded = decode_transaction(changed);
        if (!decoded) continue;
        const auto other = decoded->sender();
        EXPECT_TRUE(!other || *other != sender) << i;
    }
    for (std::size_t size = 0; size < raw.size(); ++size) EXPECT_FALSE(decode_transaction(ByteView(raw).first(size))) << size;
}

TEST_F(SignedExample, SignRefusesWhatNoNodeTakes) {
    auto greedy = tx_;
    greedy.max_priority_fee_per_gas = Uint256(101);
    EXPECT_EQ(sign(greedy, key_).error().code, ErrorCode::invalid_argument);
    auto last = tx_;
    last.nonce = ~std::uint64_t{0};
    EXPECT_EQ(sign(last, key_).error().code, ErrorCode::invalid_argument);
    auto legacy = tx_;
    legacy.type = TransactionType::legacy;
    legacy.chain_id = ~std::uint64_t{0};
    EXPECT_EQ(sign(legacy, key_).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(sign(tx_, crypto::Secret(32)).error().code, ErrorCode::invalid_argument);
}

TEST_F(SignedExample, DecodeRefusals) {
    const auto raw = sign(tx_, key_).value().encode();
    auto type1 = raw;
    type1[0] = 1;
    EXPECT_EQ(decode_transaction(type1).error().code, ErrorCode::unsupported);
    EXPECT_EQ(decode_transaction({}).error().code, ErrorCode::malformed);
    EXPECT_EQ(decode_transaction(Bytes(129 * 1024, 0xc0)).error().code, ErrorCode::limit_exceeded);
    auto longer = raw;
    longer.push_back(0);
    EXPECT_EQ(decode_transaction(longer).error().code, ErrorCode::malformed);
}

TEST_F(SignedExample, HighSIsRefused) {
    auto signed_tx = sign(tx_, key_).value();
    const auto order = Uint256::parse("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
    signed_tx.signature.s = order.minus(Uint256::from_be(signed_tx.signature.s)).value().to_be();
    signed_tx.signature.v ^= 1;
    EXPECT_EQ(decode_transaction(signed_tx.encode()).error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::ethereum
