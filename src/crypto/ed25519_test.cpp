#include "crypto/ed25519.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"

namespace fiducial::crypto {
namespace {

struct Vector {
    std::string_view seed, public_key, message, signature;
};
constexpr Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
     "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
     "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
     "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(Ed25519, Rfc8032Section7_1) {
    for (const auto& vector : kVectors) {
        const auto seed = Secret::copy_of(from_hex(vector.seed).value());
        const auto message = from_hex(vector.message).value();
        const auto key = ed25519_public_key(seed);
        EXPECT_EQ(to_hex(key), vector.public_key);
        const auto signature = ed25519_sign(seed, message);
        EXPECT_EQ(to_hex(signature), vector.signature);
        EXPECT_TRUE(ed25519_verify(key, message, signature));
    }
}

TEST(Ed25519, WhatWasChangedIsRefused) {
    const auto seed = random_secret(32);
    const auto key = ed25519_public_key(seed);
    const Bytes message{1, 2, 3};
    auto signature = ed25519_sign(seed, message);
    EXPECT_EQ(ed25519_verify(key, Bytes{1, 2, 4}, signature).error().code, ErrorCode::unverified);
    EXPECT_EQ(ed25519_verify(ed25519_public_key(random_secret(32)), message, signature).error().code, ErrorCode::unverified);
    EXPECT_EQ(ed25519_verify(key, message, ByteView(signature).first(63)).error().code, ErrorCode::unverified);
    signature[7] ^= 1;
    EXPECT_EQ(ed25519_verify(key, message, signature).error().code, ErrorCode::unverified);
}

}  // namespace
}  // namespace fiducial::crypto
