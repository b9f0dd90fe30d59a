#include "archive/site.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"

namespace fiducial::archive {
namespace {

class SiteTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("fiducial-site-test-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_ / "keys");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    static crypto::Secret secret(std::string_view text) { return crypto::Secret::copy_of(as_bytes(text)); }
    std::filesystem::path folder_;
};

TEST_F(SiteTest, FactsAreReadBack) {
    SiteFacts facts;
    facts.site_id = crypto::random_bytes32();
    facts.chain_id = 12345;
    facts.members[3] = 7;
    facts.demo = true;
    facts.operator_name = "op1";
    const auto read = SiteFacts::parse(facts.to_json());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->to_json(), facts.to_json());
    EXPECT_EQ(read->operator_name, "op1");
    EXPECT_EQ(SiteFacts::parse("{}").error().code, ErrorCode::malformed);
    EXPECT_EQ(SiteFacts::parse(R"({"format":2})").error().code, ErrorCode::unsupported);
    EXPECT_EQ(SiteFacts::parse("no JSON").error().code, ErrorCode::malformed);
}

TEST_F(SiteTest, KeyFileOpensWithItsPassphraseOnly) {
    const KeyFile keys{crypto::random_secret(32), crypto::random_secret(32)};
    const auto path = folder_ / "keys" / "site.key";
    ASSERT_TRUE(keys.write(path, secret("one"), {8, 1}));
    const auto opened = KeyFile::open(path, secret("one"));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(to_bytes(opened->root_key.view()), to_bytes(keys.root_key.view()));
    EXPECT_EQ(KeyFile::open(path, secret("two")).error().code, ErrorCode::wrong_passphrase);

    auto bytes = *read_file(path, 4096);
    bytes.back() ^= 1;
    ASSERT_TRUE(write_file_atomically(path, bytes));
    EXPECT_EQ(KeyFile::open(path, secret("one")).error().code, ErrorCode::corrupt);
    bytes.resize(10);
    ASSERT_TRUE(write_file_atomically(path, bytes));
    EXPECT_EQ(KeyFile::open(path, secret("one")).error().code, ErrorCode::malformed);
}

TEST_F(SiteTest, RotationKeepsTheRootKeyAndChangesTheRest) {
    const KeyFile keys{crypto::random_secret(32), crypto::random_secret(32)};
    const auto path = folder_ / "keys" / "site.key";
    ASSERT_TRUE(keys.write(path, secret("one"), {8, 1}));
    EXPECT_EQ(rotate_site_key(folder_, secret("wrong"), secret("two"), 2, 3).error().code, ErrorCode::wrong_passphrase);
    const auto rotated = rotate_site_key(folder_, secret("one"), secret("two"), 2, 3);
    ASSERT_TRUE(rotated) << rotated.error().message;
    EXPECT_EQ(rotated->shares.size(), 3u);
    EXPECT_EQ(KeyFile::open(path, secret("one")).error().code, ErrorCode::wrong_passphrase);
    const auto opened = KeyFile::open(path, secret("two"));
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_bytes(opened->root_key.view()), to_bytes(keys.root_key.view()));
    EXPECT_NE(to_bytes(opened->site_key.view()), to_bytes(keys.site_key.view()));
    EXPECT_EQ(opened->argon2, (crypto::Argon2Parameters{8, 1}));  // what the passphrase costs stays as it was
}

TEST(RecoveryShares, AreRefusedWhereTheyMakeNoSense) {
    EXPECT_EQ(make_tested_shares(crypto::random_secret(32), 4, 3).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(make_tested_shares(crypto::random_secret(32), 2, 3)->size(), 3u);
}

}  // namespace
}  // namespace fiducial::archive
