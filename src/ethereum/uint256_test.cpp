#include "ethereum/uint256.hpp"

#include <gtest/gtest.h>

#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::string_view kMaxDecimal = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

TEST(Uint256, ReadsAndWritesDecimalAndHex) {
    EXPECT_EQ(Uint256::parse("0")->to_decimal(), "0");
    EXPECT_EQ(Uint256::parse(kMaxDecimal).value(), Uint256::max());
    EXPECT_EQ(Uint256::max().to_decimal(), kMaxDecimal);
    EXPECT_EQ(Uint256::parse("0x1f")->to_quantity(), "0x1f");
    EXPECT_EQ(Uint256().to_quantity(), "0x0");
    EXPECT_EQ(Uint256(0x0123).to_quantity(), "0x123");
    EXPECT_EQ(Uint256::from_be(Uint256::max().to_be()), Uint256::max());
    EXPECT_TRUE(Uint256().to_minimal_be().empty());
    EXPECT_EQ(Uint256(256).to_minimal_be(), (Bytes{1, 0}));
    EXPECT_EQ(Uint256::max().bit_length(), 256u);
    EXPECT_EQ(Uint256(8).bit_length(), 4u);
}

TEST(Uint256, RefusesWhatIsNoInteger) {
    for (const auto* text :
         {"", "0x", "12a", " 1", "-1", "0xg", "0x0x12", "0x00000000000000000000000000000000000000000000000000000000000000001"}) {
        EXPECT_EQ(Uint256::parse(text).error().code, ErrorCode::malformed) << text;
    }
    EXPECT_EQ(Uint256::parse("115792089237316195423570985008687907853269984665640564039457584007913129639936").error().code,
              ErrorCode::limit_exceeded);
    EXPECT_EQ(Uint256::from_be_view(Bytes(33)).error().code, ErrorCode::malformed);
    EXPECT_EQ(Uint256::max().to_u64("it").error().code, ErrorCode::limit_exceeded);
}

TEST(Uint256, CalculatesWithoutWrapping) {
    const auto big = Uint256::parse("340282366920938463463374607431768211456").value();             // 2^128
    EXPECT_EQ(big.minus(Uint256(1))->times(big.plus(Uint256(1)).value()).value(), Uint256::max());  // (2^128 - 1)(2^128 + 1)
    EXPECT_EQ(Uint256::max().plus(Uint256(1)).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(Uint256().minus(Uint256(1)).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(big.times(big).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(Uint256(1).divided_by(Uint256()).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(big.minus(Uint256(1))->to_decimal(), "340282366920938463463374607431768211455");
    EXPECT_EQ(Uint256::max().minus(Uint256::max()).value(), Uint256());
    const auto division = Uint256::max().divided_by(Uint256(10)).value();
    EXPECT_EQ(division.quotient.to_decimal(), "11579208923731619542357098500868790785326998466564056403945758400791312963993");
    EXPECT_EQ(division.remainder, Uint256(5));
    EXPECT_EQ(Uint256::max().divided_by(Uint256::max())->quotient, Uint256(1));
    EXPECT_EQ(Uint256(7).divided_by(big)->remainder, Uint256(7));
    EXPECT_LT(Uint256(7), big);
}

TEST(Uint256, QuotientTimesDivisorPlusRemainderIsTheDividend) {
    auto value = Uint256::max();
    for (std::uint64_t divisor = 3; divisor < 1'000'000'000'000; divisor = divisor * 7 + 1) {
        const auto division = value.divided_by(Uint256(divisor)).value();
        EXPECT_LT(division.remainder, Uint256(divisor));
        EXPECT_EQ(division.quotient.times(Uint256(divisor))->plus(division.remainder).value(), value);
        value = division.quotient;
    }
}

TEST(Uint256, JsonRpcQuantitiesHaveOneForm) {
    EXPECT_EQ(parse_quantity_u64("0x0", "q").value(), 0u);
    EXPECT_EQ(parse_quantity_u64("0xffffffffffffffff", "q").value(), ~std::uint64_t{0});
    for (const auto* text : {"", "0x", "12", "0x01", "0x00", "0xzz"})
        EXPECT_EQ(parse_quantity_u64(text, "q").error().code, ErrorCode::malformed) << text;
    EXPECT_EQ(parse_quantity_u64("0x10000000000000000", "q").error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace fiducial::ethereum
