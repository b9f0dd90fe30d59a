#include "audit/note.hpp"

#include <gtest/gtest.h>

#include "base/base64.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::audit {
namespace {

// The example of golang.org/x/mod/sumdb/note, which made the format.
constexpr std::string_view kKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const std::string kNote =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

TEST(Note, C2spSignedNoteVectorOfSumdb) {
    const auto key = NoteKey::parse(kKey);
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(key->text(), kKey);
    const auto note = Note::parse(kNote);
    ASSERT_TRUE(note) << note.error().message;
    EXPECT_TRUE(note->verify(*key));
    EXPECT_EQ(note->serialise(), kNote);
    auto changed = *note;
    changed.text[0] = 'i';
    EXPECT_EQ(changed.verify(*key).error().code, ErrorCode::unverified);
}

/// The example in tlog-cosignature; its keys are not given, so that only its shape is looked at.
TEST(Note, C2spCosignatureVectorIsRead) {
    const auto note = Note::parse(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\u2014 witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n");
    ASSERT_TRUE(note) << note.error().message;
    const auto checkpoint = Checkpoint::parse(note->text);
    ASSERT_TRUE(checkpoint);
    EXPECT_EQ(checkpoint->origin, "example.com/behind-the-sofa");
    EXPECT_EQ(checkpoint->head.size, 20852163U);
    EXPECT_EQ(checkpoint->text(), note->text);
    ASSERT_EQ(note->signatures.size(), 2U);
    EXPECT_EQ(note->signatures[1].bytes.size(), 72U);
    EXPECT_EQ(read_be<std::uint64_t>(note->signatures[1].bytes), 1679315147U);
}

TEST(Note, WhatIsNoNoteIsRefused) {
    for (const std::string_view text :
         {"", "text\n", "text\n\n", "text\n\nno dash\n", "text\n\n\u2014 name\n", "text\n\n\u2014 name AAAA\n",
          "text\n\n\u2014 name AAAAAAA\n", "te\rxt\n\n\u2014 name AAAAAAAA\n", "text\n\n\u2014 name AAAAAAAA",
          "te\xfft\n\n\u2014 name AAAAAAAA\n", "text\n\n\u2014 na+me AAAAAAAA\n"})
        EXPECT_EQ(Note::parse(text).error().code, ErrorCode::malformed) << text;
    EXPECT_TRUE(Note::parse("text\n\n\u2014 name AAAAAAAA\n"));
    std::string many = "text\n\n";
    for (std::size_t i = 0; i <= Note::kMostSignatures; ++i) many += "\u2014 name AAAAAAAA\n";
    EXPECT_EQ(Note::parse(many).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(Note::parse(std::string(Note::kLongest + 1, 'x')).error().code, ErrorCode::limit_exceeded);
    for (const std::string_view text :
         {"", "name", "name+c74f20a3", "+c74f20a3+AAAA", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"})
        EXPECT_EQ(NoteKey::parse(text).error().code, ErrorCode::malformed) << text;
    EXPECT_EQ(NoteKey::parse("name+00000000+" + to_base64(Bytes(33, 2))).error().code, ErrorCode::unsupported);
    for (const std::string_view text :
         {"", "origin\n", "\n1\n\n", "origin\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", "origin\n1\nAAAA\n",
          "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"})
        EXPECT_EQ(Checkpoint::parse(text).error().code, ErrorCode::malformed) << text;
}

TEST(Checkpoint, IsOpenedWithItsLogsKeyOnly) {
    const auto seed = crypto::random_secret(32);
    const Checkpoint checkpoint{"fiducial/trace/00", {7, crypto::merkle_empty_root()}};
    const auto note = sign_checkpoint(checkpoint, seed).serialise();
    const auto key = log_key(checkpoint.origin, seed);
    const auto opened = open_checkpoint(note, key);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->head.size, 7U);
    EXPECT_EQ(opened->head.root, checkpoint.head.root);
    EXPECT_EQ(open_checkpoint(note, log_key(checkpoint.origin, crypto::random_secret(32))).error().code, ErrorCode::unverified);
    EXPECT_EQ(open_checkpoint(note, log_key("another", seed)).error().code, ErrorCode::unverified);
    // Another log's text signed by this key: its name and the origin differ.
    const Checkpoint others{"another", checkpoint.head};
    Note mixed{others.text(), {}};
    mixed.signatures.push_back({key.name, key.id(), to_bytes(crypto::ed25519_sign(seed, as_bytes(mixed.text)))});
    EXPECT_EQ(open_checkpoint(mixed.serialise(), key).error().code, ErrorCode::unverified);
}

TEST(Checkpoint, IsCosignedWithATime) {
    const auto log_seed = crypto::random_secret(32), witness_seed = crypto::random_secret(32);
    auto note = sign_checkpoint({"log", {1, {}}}, log_seed);
    const NoteKey witness{"witness", NoteAlgorithm::cosignature, crypto::ed25519_public_key(witness_seed)};
    EXPECT_EQ(note.cosigned_at(witness).error().code, ErrorCode::unverified);
    note.signatures.push_back(cosign(note.text, "witness", witness_seed, SystemTime(std::chrono::seconds(1679315147))));
    ASSERT_TRUE(note.verify(witness));
    EXPECT_EQ(note.cosigned_at(witness), 1679315147U);
    EXPECT_TRUE(note.verify(log_key("log", log_seed)));
    note.signatures[1].bytes[7] ^= 1;  // another time
    EXPECT_EQ(note.verify(witness).error().code, ErrorCode::unverified);
    EXPECT_EQ(note.cosigned_at(log_key("log", log_seed)).error().code, ErrorCode::unverified);
}

}  // namespace
}  // namespace fiducial::audit
