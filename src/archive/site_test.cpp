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

TEST_F(SiteTest, FormerKeysAndAChangeThatWasBegunGoWithTheKeyFile) {
    KeyFile keys{crypto::random_secret(32), crypto::random_secret(32)};
    const auto path = folder_ / "keys" / "site.key";
    keys.former.image_uid = crypto::random_secret(32);
    for (const std::uint64_t entries : {7, 12})
        keys.former.eras.push_back({entries, crypto::random_secret(32), crypto::random_secret(32), crypto::random_secret(32)});
    keys.change = KeyFile::Change{crypto::random_secret(32), {3, 4, 5}};
    ASSERT_TRUE(keys.write(path, secret("one"), {8, 1}));
    ASSERT_TRUE(rotate_site_key(folder_, secret("one"), secret("two"), 2, 3));
    for (const bool finished : {false, true}) {
        auto opened = KeyFile::open(path, secret("two"));
        ASSERT_TRUE(opened) << opened.error().message;
        ASSERT_EQ(opened->former.eras.size(), 2u);
        EXPECT_EQ(opened->former.eras[1].trace_entries, 12u);
        for (int n = 0; n < 2; ++n) {
            const auto &is = opened->former.eras[static_cast<std::size_t>(n)], &was = keys.former.eras[static_cast<std::size_t>(n)];
            EXPECT_EQ(to_bytes(is.trace.view()), to_bytes(was.trace.view()));
            EXPECT_EQ(to_bytes(is.trace_staff.view()), to_bytes(was.trace_staff.view()));
            EXPECT_EQ(to_bytes(is.backup.view()), to_bytes(was.backup.view()));
        }
        EXPECT_EQ(to_bytes(opened->former.image_uid.view()), to_bytes(keys.former.image_uid.view()));
        ASSERT_EQ(opened->change.has_value(), !finished);
        if (finished) break;
        EXPECT_EQ(to_bytes(opened->change->former_root.view()), to_bytes(keys.change->former_root.view()));
        EXPECT_EQ(opened->change->used.study_slots, 3u);
        EXPECT_EQ(opened->change->used.patient_slots, 4u);
        EXPECT_EQ(opened->change->used.segment, 5u);
        opened->change.reset();
        ASSERT_TRUE(opened->write_rest(path));
    }
    auto bytes = *read_file(path, 4096);
    bytes.back() ^= 1;
    ASSERT_TRUE(write_file_atomically(path, bytes));
    EXPECT_EQ(KeyFile::open(path, secret("two")).error().code, ErrorCode::corrupt);
}

TEST(RecoveryShares, AreRefusedWhereTheyMakeNoSense) {
    EXPECT_EQ(make_tested_shares(crypto::random_secret(32), 4, 3).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(make_tested_shares(crypto::random_secret(32), 2, 3)->size(), 3u);
}

}  // namespace
}  // namespace fiducial::archive
