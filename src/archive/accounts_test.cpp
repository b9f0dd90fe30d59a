#include "archive/accounts.hpp"

#include <gtest/gtest.h>

#include <soci/soci.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/secret.hpp"

namespace fiducial::archive {
namespace {

class AccountsTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("fiducial-accounts-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        database::Options options;
        options.path = folder_ / "db";
        auto opened = database::Database::open(options, migrations());
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
        accounts_ = std::make_unique<Accounts>(*database_, crypto::random_secret(32));
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    Result<void> add(const Person& person) {
        return database_->write(database::Durability::full, [&](database::Transaction& t) { return accounts_->add(t, person); });
    }
    std::filesystem::path folder_;
    std::unique_ptr<database::Database> database_;
    std::unique_ptr<Accounts> accounts_;
};

TEST_F(AccountsTest, PeopleAreFoundByNameAndIdAndNamesAreUnique) {
    const Person ada{crypto::random_bytes32(), "ada", kDoctor | kTechnologist, 5}, eve{crypto::random_bytes32(), "eve", kDesk, 6};
    ASSERT_TRUE(add(ada));
    ASSERT_TRUE(add(eve));
    EXPECT_EQ(add({crypto::random_bytes32(), "ada", kDesk, 7}).error().code, ErrorCode::conflict);
    EXPECT_EQ(add({crypto::random_bytes32(), "", kDesk, 7}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(accounts_->by_name("ada")->id, ada.id);
    EXPECT_EQ(accounts_->by_id(eve.id)->name, "eve");
    EXPECT_EQ(accounts_->by_name("nobody").error().code, ErrorCode::not_found);
    const auto all = accounts_->all();
    ASSERT_TRUE(all) << all.error().message;
    ASSERT_EQ(all->size(), 2u);
    EXPECT_EQ(all->front().roles, ada.roles);
}

TEST_F(AccountsTest, TokensOpenUntilTheyExpireOrAreTakenBack) {
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5};
    ASSERT_TRUE(add(ada));
    const auto token = accounts_->make_token(ada.id, 3600, "test");
    ASSERT_TRUE(token);
    const std::string text(as_text(token->view()));
    EXPECT_EQ(accounts_->check_token(text).value(), ada.id);
    EXPECT_EQ(accounts_->check_token(text + "0").error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(accounts_->check_token(std::string(1000, 'x')).error().code, ErrorCode::unauthenticated);
    const auto change = [&](const std::string& statement) {
        ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) { return database::attempt("tampering", [&] { t.sql() << statement; }); }));
    };
    change("CREATE TABLE kept AS SELECT * FROM tokens");
    EXPECT_EQ(accounts_->revoke_tokens(ada.id).value(), 1u);
    EXPECT_EQ(accounts_->check_token(text).error().code, ErrorCode::unauthenticated);
    change("INSERT INTO tokens SELECT * FROM kept");
    EXPECT_EQ(accounts_->check_token(text).error().code, ErrorCode::unauthenticated) << "put back behind our back";
    EXPECT_TRUE(accounts_->check_token(as_text(accounts_->make_token(ada.id, 3600, "")->view())));
    EXPECT_EQ(accounts_->make_token(crypto::random_bytes32(), 1, "").error().code, ErrorCode::not_found);
    EXPECT_EQ(accounts_->revoke_tokens(crypto::random_bytes32()).error().code, ErrorCode::not_found);
}

TEST_F(AccountsTest, RowsChangedBehindOurBackAreFound) {
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5}, eve{crypto::random_bytes32(), "eve", kDesk, 6};
    ASSERT_TRUE(add(ada));
    ASSERT_TRUE(add(eve));
    const auto token = accounts_->make_token(eve.id, 0, "test");
    ASSERT_TRUE(token);
    const auto change = [&](const std::string& statement) {
        ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) { return database::attempt("tampering", [&] { t.sql() << statement; }); }));
    };
    change("UPDATE tokens SET person = '" + to_hex(ada.id) + "'");
    EXPECT_EQ(accounts_->check_token(as_text(token->view())).error().code, ErrorCode::corrupt);
    const std::string forged = to_hex(crypto::sha256(as_bytes("fid_forged")));
    change("INSERT INTO tokens (hash, person, epoch, created_ms, expires_ms, note, mac) VALUES ('" + forged + "', '" + to_hex(ada.id) + "', 0, 0, 0, '', '')");
    EXPECT_EQ(accounts_->check_token("fid_forged").error().code, ErrorCode::corrupt);
    change("UPDATE people SET roles = 256 WHERE name = 'eve'");
    EXPECT_EQ(accounts_->by_name("eve").error().code, ErrorCode::corrupt);
    EXPECT_EQ(accounts_->all().error().code, ErrorCode::corrupt);
    EXPECT_TRUE(accounts_->by_name("ada"));
}

TEST(Roles, AreReadByName) {
    EXPECT_EQ(parse_roles("doctor,privacy-officer").value(), static_cast<std::uint32_t>(kDoctor | kPrivacyOfficer));
    EXPECT_EQ(roles_text(kDoctor | kCustodian), "doctor, custodian");
    EXPECT_EQ(parse_roles("surgeon").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_roles("").error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace fiducial::archive
