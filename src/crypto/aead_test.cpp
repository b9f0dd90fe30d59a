#include "crypto/aead.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"

namespace fiducial::crypto {
namespace {

Bytes hex(std::string_view text) {
    return from_hex(text).value();
}
AeadNonce nonce_of(std::string_view text) {
    return fixed_from_hex<12>(text, "nonce").value();
}

struct GcmVector {
    std::string_view key, nonce, associated, plain, sealed;
};
// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16 (AES-256), submitted to NIST.
constexpr GcmVector kVectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(Aes256Gcm, Sp800_38dVectors) {
    for (const GcmVector& vector : kVectors) {
        const Bytes plain = hex(vector.plain);
        const Bytes expected = hex(vector.sealed);
        Aes256Gcm gcm(hex(vector.key));
        for (int round = 0; round < 2; ++round) {  // the object can be used again
            Bytes sealed(plain.size() + kAeadTagSize);
            gcm.seal(nonce_of(vector.nonce), hex(vector.associated), plain, sealed);
            EXPECT_EQ(to_hex(sealed), vector.sealed);
            Bytes opened(plain.size());
            ASSERT_TRUE(gcm.open(nonce_of(vector.nonce), hex(vector.associated), expected, opened));
            EXPECT_EQ(opened, plain);
        }
    }
}

TEST(Aes256Gcm, SealsAndOpensInPlace) {
    const GcmVector& vector = kVectors[3];
    Bytes buffer = hex(vector.plain);
    const Bytes plain = buffer;
    const std::size_t size = buffer.size();
    buffer.resize(size + kAeadTagSize);
    Aes256Gcm gcm(hex(vector.key));
    gcm.seal(nonce_of(vector.nonce), hex(vector.associated), ByteView(buffer).first(size), buffer);
    EXPECT_EQ(to_hex(buffer), vector.sealed);
    ASSERT_TRUE(gcm.open(nonce_of(vector.nonce), hex(vector.associated), buffer, MutableByteView(buffer).first(size)));
    buffer.resize(size);
    EXPECT_EQ(buffer, plain);
}

TEST(Aes256Gcm, AnyChangedBitIsCorruptAndLeavesZeros) {
    const GcmVector& vector = kVectors[3];
    const Bytes sealed = hex(vector.sealed);
    Aes256Gcm gcm(hex(vector.key));
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        Bytes changed = sealed;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        Bytes plain(sealed.size() - kAeadTagSize, 0x55);
        const auto opened = gcm.open(nonce_of(vector.nonce), hex(vector.associated), changed, plain);
        ASSERT_FALSE(opened) << bit;
        EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
        EXPECT_EQ(plain, Bytes(plain.size(), 0));
    }
    Bytes plain(sealed.size() - kAeadTagSize);
    EXPECT_FALSE(gcm.open(nonce_of("cafebabefacedbaddecaf889"), hex(vector.associated), sealed, plain)) << "other nonce";
    EXPECT_FALSE(gcm.open(nonce_of(vector.nonce), hex("feedfacedeadbeef"), sealed, plain)) << "other associated data";
    EXPECT_TRUE(gcm.open(nonce_of(vector.nonce), hex(vector.associated), sealed, plain)) << "still works after failures";
}

TEST(HkdfSha256, Rfc5869Vectors) {
    Bytes out(42);
    hkdf_sha256(Bytes(22, 0x0b), hex("000102030405060708090a0b0c"), as_text(hex("f0f1f2f3f4f5f6f7f8f9")), out);
    EXPECT_EQ(to_hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    Bytes ikm, salt, info;
    for (unsigned i = 0; i < 80; ++i) {
        ikm.push_back(static_cast<std::uint8_t>(i));
        salt.push_back(static_cast<std::uint8_t>(0x60 + i));
        info.push_back(static_cast<std::uint8_t>(0xb0 + i));
    }
    out.assign(82, 0);
    hkdf_sha256(ikm, salt, as_text(info), out);
    EXPECT_EQ(
        to_hex(out),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
        "cc30c58179ec3e87c14c01d5c1f3434f1d87");
    out.assign(42, 0);
    hkdf_sha256(Bytes(22, 0x0b), {}, "", out);
    EXPECT_EQ(to_hex(out), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(HkdfSha256, LongestOutputStartsLikeAShortOne) {
    Bytes longest(255 * 32), shorter(64);
    hkdf_sha256(Bytes(32, 1), Bytes(32, 2), "fid.object1", longest);
    hkdf_sha256(Bytes(32, 1), Bytes(32, 2), "fid.object1", shorter);
    EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longest.begin()));
    EXPECT_NE(Bytes(longest.end() - 32, longest.end()), Bytes(32, 0));
}

TEST(SealSmall, RoundTripUnderAFreshNonce) {
    const Secret key = random_secret(32);
    const Bytes one = seal_small(key.view(), as_bytes("about"), as_bytes("secret"));
    const Bytes two = seal_small(key.view(), as_bytes("about"), as_bytes("secret"));
    EXPECT_NE(one, two);
    EXPECT_EQ(one.size(), 12U + 6U + 16U);
    const auto opened = open_small(key.view(), as_bytes("about"), one);
    ASSERT_TRUE(opened);
    EXPECT_EQ(as_text(opened->view()), "secret");
}

TEST(SealSmall, RefusesOtherKeyOtherContextAndShortBytes) {
    const Secret key = random_secret(32);
    const Bytes sealed = seal_small(key.view(), as_bytes("about"), as_bytes("secret"));
    EXPECT_EQ(open_small(random_secret(32).view(), as_bytes("about"), sealed).error().code, ErrorCode::corrupt);
    EXPECT_EQ(open_small(key.view(), as_bytes("other"), sealed).error().code, ErrorCode::corrupt);
    EXPECT_EQ(open_small(key.view(), as_bytes("about"), ByteView(sealed).first(27)).error().code, ErrorCode::malformed);
    EXPECT_EQ(open_small(key.view(), as_bytes("about"), ByteView(sealed).first(28)).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace fiducial::crypto
