#include "crypto/timestamp.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

// Answers of an authority are checked where one answers: test/system/audit_test.py, by `openssl ts`.

TEST(Timestamp, Rfc3161Section2_4_1_TheRequestIsItsDer) {
    const auto hash = sha256(as_bytes("checkpoint"));
    // SEQUENCE { version 1, messageImprint { { sha-256, NULL }, hash }, nonce, certReq TRUE }
    EXPECT_EQ(to_hex(timestamp_request(hash, 0x1122334455667788)),
              "3043020101"
              "3031"
              "300d06096086480165030402010500"
              "0420" +
                  to_hex(hash) +
                  "0208"
                  "1122334455667788"
                  "0101ff");
}

TEST(Timestamp, WhatIsNoAnswerIsRefused) {
    const Hash hash{};
    for (const std::string_view text : {"", "00", "3000", "30030201", "300530030201020500"}) {
        const auto bytes = from_hex(text).value();
        EXPECT_EQ(verify_timestamp(bytes, hash, 1, "/nowhere").error().code, ErrorCode::malformed) << text;
    }
    // TimeStampResp { status { rejection } }
    EXPECT_EQ(verify_timestamp(from_hex("30053003020102").value(), hash, 1, "/nowhere").error().code, ErrorCode::denied);
    // granted, without a stamp
    EXPECT_EQ(verify_timestamp(from_hex("30053003020100").value(), hash, 1, "/nowhere").error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::crypto
