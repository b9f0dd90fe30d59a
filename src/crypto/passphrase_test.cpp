#include "crypto/passphrase.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

constexpr Argon2Parameters kQuick{.memory_kib = 8, .passes = 1};  // the least that Argon2id takes
Secret phrase(std::string_view text) {
    return Secret::copy_of(as_bytes(text));
}

SealedKey sample(std::string_view label = "site") {
    return seal_key(Secret::copy_of(Bytes(32, 9)), phrase("correct horse"), label, kQuick).value();
}

Bytes with_new_checksum(const Bytes& changed) {  // as someone would write it who wants the file to be read
    Bytes file = to_bytes(ByteView(changed).first(changed.size() - 8));
    const Hash checksum = tagged_sha256("fid.keysum1", {file});
    append(file, ByteView(checksum).first(8));
    return file;
}
ErrorCode refusal(ByteView file) {
    const auto parsed = SealedKey::parse(file);
    EXPECT_FALSE(parsed);
    return parsed ? ErrorCode::internal : parsed.error().code;
}

TEST(Argon2id, Rfc9106AgreesWithAnotherImplementation) {
    // Computed by OpenSSL's Argon2id: password "password", 2 passes, 1024 KiB, 1 lane.
    const auto key = derive_from_passphrase(phrase("password"), as_bytes("somesalt16bytes!"), {.memory_kib = 1024, .passes = 2});
    ASSERT_TRUE(key);
    EXPECT_EQ(to_hex(key->view()), "d6650e90c7310ea75c86bd61088cb266f070fc5ff0dc2a17e4197c1566a18f88");
}

TEST(Argon2id, EveryInputMatters) {
    const Bytes salt(16, 1);
    const auto key = [&](std::string_view text, ByteView with, Argon2Parameters parameters) {
        return to_hex(derive_from_passphrase(phrase(text), with, parameters)->view());
    };
    const std::string base = key("a", salt, kQuick);
    EXPECT_EQ(base, key("a", salt, kQuick));
    EXPECT_NE(base, key("b", salt, kQuick));
    EXPECT_NE(base, key("a", Bytes(16, 2), kQuick));
    EXPECT_NE(base, key("a", salt, {.memory_kib = 16, .passes = 1}));
    EXPECT_NE(base, key("a", salt, {.memory_kib = 8, .passes = 2}));
}

TEST(Argon2id, RefusesWhatMakesNoSense) {
    const Bytes salt(16, 1);
    EXPECT_EQ(derive_from_passphrase(Secret(), salt, kQuick).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(derive_from_passphrase(phrase("a"), Bytes(15, 1), kQuick).error().code, ErrorCode::invalid_argument);
    for (const Argon2Parameters bad :
         {Argon2Parameters{7, 1}, Argon2Parameters{8, 0}, Argon2Parameters{8, 65}, Argon2Parameters{4 * 1024 * 1024 + 1, 1}}) {
        EXPECT_EQ(derive_from_passphrase(phrase("a"), salt, bad).error().code, ErrorCode::invalid_argument);
    }
}

/// "name = value" lines that a second implementation wrote (test/vectors/keys/generate.py).
std::map<std::string, std::string> vectors() {
    std::map<std::string, std::string> out;
    std::ifstream file(FIDUCIAL_SOURCE_DIR "/test/vectors/keys/vectors.txt");
    for (std::string name, equals, value; file >> name >> equals && std::getline(file >> std::ws, value);) out[name] = value;
    return out;
}

TEST(SealedKey, FileOfASecondImplementationOpens) {
    auto golden = vectors();
    ASSERT_TRUE(golden.contains("key_file"));
    const Bytes file = from_hex(golden["key_file"]).value();
    const auto sealed = SealedKey::parse(file);
    ASSERT_TRUE(sealed) << sealed.error().message;
    const auto key = open_key(*sealed, Secret::copy_of(from_hex(golden["passphrase"]).value()));
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(to_hex(key->view()), golden["key"]);
}

TEST(SealedKey, RoundTripThroughAFile) {
    const SealedKey sealed = sample("gateway-1");
    const auto parsed = SealedKey::parse(sealed.serialise());
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->serialise(), sealed.serialise());
    EXPECT_EQ(parsed->label, "gateway-1");
    EXPECT_EQ(parsed->parameters, kQuick);
    const auto key = open_key(*parsed, phrase("correct horse"));
    ASSERT_TRUE(key);
    EXPECT_EQ(to_bytes(key->view()), Bytes(32, 9));
}

TEST(SealedKey, WrongPassphraseIsSaidSo) {
    const auto key = open_key(sample(), phrase("correct horze"));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, ErrorCode::wrong_passphrase);
    EXPECT_EQ(key.error().message, "the passphrase does not open the key \"site\"");
}

TEST(SealedKey, EveryFlippedBitIsRefusedAndNeverTakenForAWrongPassphrase) {
    const Bytes file = sample().serialise();
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
        Bytes changed = file;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        EXPECT_NE(refusal(changed), ErrorCode::wrong_passphrase) << "bit " << bit;
    }
    Bytes changed = file;
    changed[file.size() - 20] ^= 1;
    EXPECT_EQ(refusal(changed), ErrorCode::corrupt);
}

TEST(SealedKey, EveryTruncationIsMalformed) {
    const Bytes file = sample().serialise();
    for (std::size_t size = 0; size < file.size(); ++size) EXPECT_EQ(refusal(ByteView(file).first(size)), ErrorCode::malformed) << size;
    Bytes longer = file;
    longer.push_back(0);
    EXPECT_EQ(refusal(longer), ErrorCode::malformed);
    EXPECT_EQ(refusal(Bytes(300, 0)), ErrorCode::malformed);
}

TEST(SealedKey, UnknownAlgorithmsAndVersionsAreUnsupported) {
    const Bytes file = sample().serialise();
    Bytes version = file;
    version[8] = '2';  // "fid.key2"
    EXPECT_EQ(refusal(with_new_checksum(version)), ErrorCode::unsupported);
    Bytes derivation = file;
    derivation[9] = 2;
    EXPECT_EQ(refusal(with_new_checksum(derivation)), ErrorCode::unsupported);
    Bytes cipher = file;
    cipher[10] = 2;
    EXPECT_EQ(refusal(with_new_checksum(cipher)), ErrorCode::unsupported);
}

TEST(SealedKey, ParametersOfAForgedFileAreBounded) {
    SealedKey forged = sample();
    forged.parameters.memory_kib = 0xffffffff;
    EXPECT_EQ(refusal(forged.serialise()), ErrorCode::limit_exceeded);
    forged.parameters = {.memory_kib = 8, .passes = 1000000};
    EXPECT_EQ(refusal(forged.serialise()), ErrorCode::limit_exceeded);
}

TEST(SealedKey, TheHeadIsBoundToTheKey) {
    SealedKey other = sample();
    other.label = "gateway";  // the same sealed bytes under another name
    EXPECT_EQ(open_key(other, phrase("correct horse")).error().code, ErrorCode::wrong_passphrase);
}

TEST(SealedKey, RefusesBadKeysAndLabels) {
    const auto code = [](const Secret& key, std::string_view pass, std::string_view label) {
        return seal_key(key, phrase(pass), label, kQuick).error().code;
    };
    EXPECT_EQ(code(Secret(31), "p", "site"), ErrorCode::invalid_argument);
    EXPECT_EQ(code(Secret(32), "", "site"), ErrorCode::invalid_argument);
    for (const std::string& label : {std::string(), std::string("Site"), std::string("a b"), std::string(65, 'a')}) {
        EXPECT_EQ(code(Secret(32), "p", label), ErrorCode::invalid_argument);
    }
    EXPECT_LE(sample(std::string(64, 'a')).serialise().size(), SealedKey::kLongest);
    EXPECT_TRUE(SealedKey::parse(sample(std::string(64, 'a')).serialise()));
}

}  // namespace
}  // namespace fiducial::crypto
