#include "ethereum/address.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

// The examples of EIP-55.
constexpr const char* kChecksummed[] = {"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
                                        "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
                                        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
                                        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"};

TEST(Address, Eip55ExamplesReadAndWrite) {
    for (const auto* text : kChecksummed) {
        const auto address = parse_address(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(to_checksum(*address), text);
        EXPECT_EQ(parse_address(to_0x(*address)).value(), *address) << "lower case carries no checksum";
    }
}

TEST(Address, Eip55RefusesAWrongChecksum) {
    EXPECT_EQ(parse_address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed").error().code, ErrorCode::malformed);
    EXPECT_EQ(parse_address("0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED")->at(0), 0x5a) << "upper case carries no checksum";
}

TEST(Address, RefusesOtherForms) {
    for (const auto* text : {"", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
                             "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed00", "0x0xaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                             "0xgaaeb6053f3e94c9b9a09f33669435e7ef1beaed"}) {
        EXPECT_EQ(parse_address(text).error().code, ErrorCode::malformed) << text;
    }
}

TEST(Address, ContractAddressesAreThoseOfCast) {
    const auto vectors = test::load_vectors("generated.json");
    for (const auto& vector : vectors.at("creations").as_array()) {
        const auto sender = parse_address(vector.at("sender").as_string()).value();
        EXPECT_EQ(to_checksum(create_address(sender, vector.at("nonce").to_number<std::uint64_t>())), vector.at("address").as_string());
    }
    const auto& create2 = vectors.at("create2");
    const auto address =
        create2_address(parse_address(create2.at("deployer").as_string()).value(), test::hash_of_hex(create2.at("salt").as_string()),
                        test::hash_of_hex(create2.at("initCodeHash").as_string()));
    EXPECT_EQ(to_checksum(address), create2.at("address").as_string());
}

// The examples of EIP-1014.
TEST(Address, Eip1014Examples) {
    const auto empty = test::hash_of_hex("bc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a");  // keccak256(0x00)
    EXPECT_EQ(to_checksum(create2_address(Address{}, Bytes32{}, empty)), "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38");
    const auto deployer = parse_address("0xdeadbeef00000000000000000000000000000000").value();
    EXPECT_EQ(to_checksum(create2_address(deployer, Bytes32{}, empty)), "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3");
}

}  // namespace
}  // namespace fiducial::ethereum
