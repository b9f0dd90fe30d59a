#include "crypto/one_time_code.hpp"

#include <gtest/gtest.h>

#include <array>

namespace fiducial::crypto {
namespace {

const ByteView kKey = as_bytes("12345678901234567890");

TEST(OneTimeCode, Rfc4226AppendixD) {
    constexpr std::array<const char*, 10> kCodes{"755224", "287082", "359152", "969429", "338314",
                                                 "254676", "287922", "162583", "399871", "520489"};
    for (std::size_t counter = 0; counter < kCodes.size(); ++counter) EXPECT_EQ(hotp(kKey, counter), kCodes.at(counter));
}

TEST(OneTimeCode, Rfc6238AppendixB) {
    struct Vector {
        std::uint64_t time;
        const char* code;  // the last six of its eight digits
    };
    for (const auto& [time, code] : {Vector{59, "287082"}, Vector{1111111109, "081804"}, Vector{1111111111, "050471"},
                                     Vector{1234567890, "005924"}, Vector{2000000000, "279037"}, Vector{20000000000, "353130"}}) {
        EXPECT_EQ(hotp(kKey, time / kTotpStep_s), code);
        EXPECT_EQ(totp_step(kKey, code, time, 0), time / kTotpStep_s);
    }
}

TEST(OneTimeCode, Rfc6238CountsOnceAndForOneStepOnEitherSide) {
    const std::uint64_t now = 1111111109, step = now / kTotpStep_s;
    EXPECT_EQ(totp_step(kKey, "081804", now + kTotpStep_s, 0), step);
    EXPECT_EQ(totp_step(kKey, "081804", now - kTotpStep_s, 0), step);
    EXPECT_FALSE(totp_step(kKey, "081804", now + 2 * kTotpStep_s, 0));
    EXPECT_FALSE(totp_step(kKey, "081804", now - 2 * kTotpStep_s, 0));
    EXPECT_FALSE(totp_step(kKey, "081804", now, step)) << "it was used";
    for (const char* wrong : {"081805", "81804", "0081804", "", "08180a"}) EXPECT_FALSE(totp_step(kKey, wrong, now, 0)) << wrong;
}

TEST(OneTimeCode, Rfc4648Base32) {
    EXPECT_EQ(to_base32(as_bytes("")), "");
    EXPECT_EQ(to_base32(as_bytes("f")), "MY");
    EXPECT_EQ(to_base32(as_bytes("fo")), "MZXQ");
    EXPECT_EQ(to_base32(as_bytes("foo")), "MZXW6");
    EXPECT_EQ(to_base32(as_bytes("foob")), "MZXW6YQ");
    EXPECT_EQ(to_base32(as_bytes("fooba")), "MZXW6YTB");
    EXPECT_EQ(to_base32(as_bytes("foobar")), "MZXW6YTBOI");
}

}  // namespace
}  // namespace fiducial::crypto
