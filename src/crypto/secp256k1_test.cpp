#include "crypto/secp256k1.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

Secret key_of(std::string_view text) {
    return Secret::copy_of(from_hex(text).value());
}
Bytes32 value_of(std::string_view text) {
    return fixed_from_hex<32>(text, "value").value();
}
constexpr std::string_view kOne = "0000000000000000000000000000000000000000000000000000000000000001";
constexpr std::string_view kOrder = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

Bytes32 subtract_from_order(const Bytes32& value) {
    Bytes32 order = value_of(kOrder), out{};
    int borrow = 0;
    for (std::size_t i = 32; i-- > 0;) {
        const int digit = order[i] - value[i] - borrow;
        borrow = digit < 0 ? 1 : 0;
        out[i] = static_cast<std::uint8_t>(digit + 256 * borrow);
    }
    return out;
}

TEST(Secp256k1, KnownAddresses) {
    EXPECT_EQ(to_0x(address_of(key_of(kOne)).value()), "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    EXPECT_EQ(to_0x(address_of(key_of("4646464646464646464646464646464646464646464646464646464646464646")).value()),
              "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
}

TEST(Secp256k1, Rfc6979DeterministicSignature) {
    const auto signature = sign_recoverable(key_of(kOne), sha256(as_bytes("Satoshi Nakamoto")));
    ASSERT_TRUE(signature);
    EXPECT_EQ(to_hex(signature->r), "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8");
    EXPECT_EQ(to_hex(signature->s), "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5");
}

TEST(Secp256k1, Eip155ExampleTransaction) {
    const Secret key = key_of("4646464646464646464646464646464646464646464646464646464646464646");
    const Hash digest = value_of("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    const auto signature = sign_recoverable(key, digest);
    ASSERT_TRUE(signature);
    EXPECT_EQ(to_hex(signature->r), "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276");
    EXPECT_EQ(to_hex(signature->s), "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83");
    EXPECT_EQ(signature->v, 0);  // 37 = 35 + 2 × chain id 1 + 0
    EXPECT_EQ(recover_address(digest, *signature).value(), address_of(key).value());
}

TEST(Secp256k1, WhatIsSignedIsRecoveredAndRoundTrips) {
    for (int round = 0; round < 50; ++round) {
        const Secret key = generate_private_key();
        const Hash digest = random_bytes32();
        const auto signature = sign_recoverable(key, digest);
        ASSERT_TRUE(signature);
        EXPECT_EQ(recover_address(digest, *signature).value(), address_of(key).value());
        auto bytes = signature->serialised();
        const auto again = RecoverableSignature::parse(bytes);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->serialised(), bytes);
        bytes[64] = static_cast<std::uint8_t>(bytes[64] + 27);
        EXPECT_EQ(RecoverableSignature::parse(bytes)->v, signature->v);
        Hash other = digest;
        other[0] ^= 1;
        const auto stranger = recover_address(other, *signature);
        EXPECT_TRUE(!stranger || *stranger != address_of(key).value());
    }
}

TEST(Secp256k1, Eip2HighSIsRefused) {
    const Secret key = key_of(kOne);
    const Hash digest = sha256(as_bytes("x"));
    auto signature = sign_recoverable(key, digest).value();
    signature.s = subtract_from_order(signature.s);
    signature.v ^= 1;  // mathematically valid, but not the form that is accepted
    EXPECT_EQ(recover_address(digest, signature).error().code, ErrorCode::malformed);
    EXPECT_EQ(RecoverableSignature::parse(signature.serialised()).error().code, ErrorCode::malformed);
}

TEST(Secp256k1, Eip2BoundaryOfTheLowerHalf) {
    RecoverableSignature signature;
    signature.r = value_of(kOne);
    signature.s = value_of("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");
    EXPECT_TRUE(RecoverableSignature::parse(signature.serialised())) << "(n-1)/2 is low";
    signature.s = value_of("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1");
    EXPECT_FALSE(RecoverableSignature::parse(signature.serialised())) << "(n+1)/2 is high";
}

TEST(Secp256k1, OneRejectionForEachMalformedValue) {
    const auto good = sign_recoverable(key_of(kOne), sha256(as_bytes("x"))).value().serialised();
    const auto refused = [](ByteView bytes) {
        const auto parsed = RecoverableSignature::parse(bytes);
        return !parsed && parsed.error().code == ErrorCode::malformed;
    };
    EXPECT_TRUE(refused(ByteView(good).first(64)));
    Bytes longer(good.begin(), good.end());
    longer.push_back(0);
    EXPECT_TRUE(refused(longer));
    for (const int v : {2, 3, 26, 29, 37, 255}) {
        auto changed = good;
        changed[64] = static_cast<std::uint8_t>(v);
        EXPECT_TRUE(refused(changed)) << v;
    }
    for (const std::size_t at : {std::size_t{0}, std::size_t{32}}) {
        for (const auto& value :
             {kZero32, value_of(kOrder), value_of("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")}) {
            auto changed = good;
            std::copy(value.begin(), value.end(), changed.begin() + static_cast<std::ptrdiff_t>(at));
            EXPECT_TRUE(refused(changed));
        }
    }
}

TEST(Secp256k1, SignatureThatNoKeyFitsIsUnverified) {
    RecoverableSignature signature;
    signature.r = value_of("0000000000000000000000000000000000000000000000000000000000000005");  // 5^3 + 7 is no square: no such point
    signature.s = value_of(kOne);
    EXPECT_EQ(recover_address(sha256(as_bytes("x")), signature).error().code, ErrorCode::unverified);
}

TEST(Secp256k1, InvalidPrivateKeysAreRefused) {
    const Hash digest{};
    for (const std::string_view text :
         {std::string_view("00"), std::string_view("0000000000000000000000000000000000000000000000000000000000000000"), kOrder}) {
        EXPECT_EQ(sign_recoverable(key_of(text), digest).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(address_of(key_of(text)).error().code, ErrorCode::invalid_argument);
    }
    EXPECT_EQ(address_of(Secret()).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace fiducial::crypto
