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
        accounts_ = std::make_unique<Accounts>(*database_, key_.clone());
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    Result<void> add(const Person& person) {
        return database_->write(database::Durability::full, [&](database::Transaction& t) { return accounts_->add(t, person); });
    }
    void change(const std::string& statement) {
        ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) {
            return database::attempt("tampering", [&] { t.sql() << statement; });
        }));
    }
    std::string damaged() {
        std::string names;
        const auto all = accounts_->all();
        EXPECT_TRUE(all) << all.error().message;
        if (all)
            for (const auto& one : all->damaged) names += one.name;
        return names;
    }
    std::filesystem::path folder_;
    crypto::Secret key_ = crypto::random_secret(32);
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
    ASSERT_EQ(all->people.size(), 2u);
    EXPECT_EQ(all->people.front().roles, ada.roles);
    EXPECT_TRUE(all->damaged.empty());
}

TEST_F(AccountsTest, TokensOpenUntilTheyExpireOrAreTakenBack) {
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5};
    ASSERT_TRUE(add(ada));
    const auto token = accounts_->make_token(ada.id, 3600, "test");
    ASSERT_TRUE(token);
    const std::string text(as_text(token->view()));
    EXPECT_EQ(accounts_->check_token(text).value().person, ada.id);
    EXPECT_EQ(accounts_->check_token(text + "0").error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(accounts_->check_token(std::string(1000, 'x')).error().code, ErrorCode::unauthenticated);
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
    change("UPDATE tokens SET person = '" + to_hex(ada.id) + "'");
    EXPECT_EQ(accounts_->check_token(as_text(token->view())).error().code, ErrorCode::corrupt);
    const std::string forged = to_hex(crypto::sha256(as_bytes("fid_forged")));
    change("INSERT INTO tokens (hash, person, epoch, created_ms, expires_ms, note, mac) VALUES ('" + forged + "', '" + to_hex(ada.id) +
           "', 0, 0, 0, '', '')");
    EXPECT_EQ(accounts_->check_token("fid_forged").error().code, ErrorCode::corrupt);
    change("UPDATE people SET roles = 256 WHERE name = 'eve'");
    EXPECT_EQ(accounts_->by_name("eve").error().code, ErrorCode::corrupt);
    EXPECT_TRUE(accounts_->by_name("ada"));
    EXPECT_EQ(damaged(), "eve");
    ASSERT_TRUE(accounts_->repair(false));
    EXPECT_EQ(damaged(), "");
    EXPECT_EQ(accounts_->by_name("eve").error().code, ErrorCode::not_found);
    EXPECT_TRUE(add(eve));
}

TEST_F(AccountsTest, RowsPutBackFromAnEarlierTimeOpenNothing) {
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5}, eve{crypto::random_bytes32(), "eve", kDesk, 6};
    ASSERT_TRUE(add(ada));
    ASSERT_TRUE(add(eve));
    const std::string hers(as_text(accounts_->make_token(ada.id, 0, "")->view())),
        other(as_text(accounts_->make_token(eve.id, 0, "")->view()));
    for (const std::string table : {"people", "tokens", "archive_facts"})
        change("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table);
    const auto put_back = [&](const std::string& table) {
        change("DELETE FROM " + table);
        change("INSERT INTO " + table + " SELECT * FROM kept_" + table);
    };
    ASSERT_TRUE(accounts_->revoke_tokens(ada.id));
    put_back("people");
    put_back("tokens");
    EXPECT_EQ(accounts_->check_token(hers).error().code, ErrorCode::corrupt);
    EXPECT_EQ(accounts_->by_name("ada").error().code, ErrorCode::corrupt);
    EXPECT_EQ(damaged(), "ada");
    EXPECT_EQ(accounts_->check_token(other).value().person, eve.id) << "one person's row shuts nobody else out";
    put_back("archive_facts");
    EXPECT_EQ(accounts_->check_token(hers).error().code, ErrorCode::corrupt) << "the register was seen to be further";
    EXPECT_EQ(accounts_->all().error().code, ErrorCode::corrupt);
    change("DELETE FROM archive_facts");
    EXPECT_EQ(accounts_->check_token(hers).error().code, ErrorCode::corrupt);
    EXPECT_EQ(accounts_->all().error().code, ErrorCode::corrupt);
    ASSERT_TRUE(accounts_->repair(false));
    for (const auto& token : {hers, other})
        EXPECT_EQ(accounts_->check_token(token).error().code, ErrorCode::unauthenticated) << "nobody knows which were taken back";
    put_back("tokens");
    for (const auto& token : {hers, other}) EXPECT_EQ(accounts_->check_token(token).error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(accounts_->all()->people.size(), 2u);
}

TEST_F(AccountsTest, DeletedPeopleAreMissed) {
    EXPECT_TRUE(accounts_->is_new().value());
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5};
    ASSERT_TRUE(add(ada));
    change("DELETE FROM people");
    EXPECT_FALSE(accounts_->is_new().value()) << "not a lost index";
    ASSERT_EQ(accounts_->all()->damaged.size(), 1u);
    EXPECT_EQ(accounts_->all()->damaged[0].id, to_hex(ada.id));
    ASSERT_TRUE(accounts_->repair(false));
    EXPECT_TRUE(accounts_->all()->damaged.empty());
}

TEST_F(AccountsTest, TheRegisterSaysWhereTheTraceStood) {
    std::uint64_t size = 7;
    accounts_->set_trace_size([&] { return size; });
    EXPECT_EQ(accounts_->changed_at().value(), std::nullopt);
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5};
    ASSERT_TRUE(add(ada));
    EXPECT_EQ(accounts_->changed_at().value(), 7u);
    size = 9;
    ASSERT_TRUE(accounts_->make_token(ada.id, 0, ""));
    EXPECT_EQ(accounts_->changed_at().value(), 7u) << "a new token is no change to people";
    ASSERT_TRUE(accounts_->revoke_tokens(ada.id));
    EXPECT_EQ(accounts_->changed_at().value(), 9u);
}

TEST(Roles, AreReadByName) {
    EXPECT_EQ(parse_roles("doctor,privacy-officer").value(), static_cast<std::uint32_t>(kDoctor | kPrivacyOfficer));
    EXPECT_EQ(roles_text(kDoctor | kCustodian), "doctor, custodian");
    EXPECT_EQ(parse_roles("surgeon").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_roles("").error().code, ErrorCode::invalid_argument);
}

TEST_F(AccountsTest, UnderAnotherKeyEverybodyIsWhoTheyWereAndWhatWasChangedStaysFound) {
    const Person ada{crypto::random_bytes32(), "ada", kDoctor, 5}, eve{crypto::random_bytes32(), "eve", kDesk, 6};
    ASSERT_TRUE(add(ada));
    ASSERT_TRUE(add(eve));
    const auto token = accounts_->make_token(ada.id, 3600, "test"), forged = accounts_->make_token(ada.id, 3600, "test");
    const std::string text(as_text(token->view())), other(as_text(forged->view()));
    change("UPDATE people SET roles = " + std::to_string(kAdministrator) + " WHERE name = 'eve'");
    change("UPDATE tokens SET person = '" + to_hex(eve.id) + "' WHERE hash = '" + to_hex(crypto::sha256(as_bytes(other))) + "'");
    const auto now = crypto::random_secret(32);
    for (int twice = 0; twice < 2; ++twice) {
        ASSERT_TRUE(database_->write(database::Durability::full,
                                     [&](database::Transaction& t) { return Accounts::rekey(*database_, t, key_, now); }));
    }
    accounts_ = std::make_unique<Accounts>(*database_, now.clone());
    EXPECT_EQ(accounts_->by_name("ada")->id, ada.id);
    EXPECT_EQ(damaged(), "eve");
    EXPECT_EQ(accounts_->check_token(text).value().person, ada.id);
    EXPECT_FALSE(accounts_->check_token(other));
    accounts_ = std::make_unique<Accounts>(*database_, key_.clone());
    EXPECT_FALSE(accounts_->by_name("ada")) << "the former key vouches for nobody";
    EXPECT_FALSE(accounts_->check_token(text));
}

}  // namespace
}  // namespace fiducial::archive
