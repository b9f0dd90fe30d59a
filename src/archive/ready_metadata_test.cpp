#include "archive/ready_metadata.hpp"

#include <gtest/gtest.h>

#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

crypto::Secret secret(std::string_view text) {
    const auto hash = crypto::sha256(as_bytes(text));
    return crypto::Secret::copy_of(hash);
}
Hash hash(std::string_view text) {
    return crypto::sha256(as_bytes(text));
}
const ReadyMetadata::Documents kDocuments{"{}", "", R"({"00100010":{"vr":"PN"}})"};

TEST(ReadyMetadata, GivesWhatWasKeptToWhoHasTheStudysSecret) {
    ReadyMetadata ready(10'000);
    EXPECT_FALSE(ready.find(secret("a"), hash("1")));
    ready.keep(secret("a"), hash("1"), kDocuments);
    EXPECT_EQ(ready.find(secret("a"), hash("1")), kDocuments);
    EXPECT_FALSE(ready.find(secret("a"), hash("2")));
    EXPECT_FALSE(ready.find(secret("b"), hash("1")));
    ready.keep(secret("b"), hash("1"), kDocuments);  // encrypted anew
    EXPECT_EQ(ready.find(secret("b"), hash("1")), kDocuments);
    EXPECT_FALSE(ready.find(secret("a"), hash("1")));
}

TEST(ReadyMetadata, WhatWasAskedForLongestAgoGoesFirst) {
    ReadyMetadata ready(10'000);
    const ReadyMetadata::Documents large{std::string(2'000, 'x')};
    for (const auto* what : {"1", "2", "3", "4"}) ready.keep(secret("a"), hash(what), large);
    EXPECT_TRUE(ready.find(secret("a"), hash("1")));
    ready.keep(secret("a"), hash("5"), large);
    EXPECT_TRUE(ready.find(secret("a"), hash("1")));
    EXPECT_FALSE(ready.find(secret("a"), hash("2")));
    EXPECT_TRUE(ready.find(secret("a"), hash("5")));
    ready.keep(secret("a"), hash("6"), {std::string(2'000, 'x'), std::string(2'000, 'x')});  // more than a quarter: not kept
    EXPECT_FALSE(ready.find(secret("a"), hash("6")));
}

}  // namespace
}  // namespace fiducial::archive
