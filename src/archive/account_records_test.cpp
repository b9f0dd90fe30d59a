#include "archive/account_records.hpp"

#include <gtest/gtest.h>
#include <soci/soci.h>
#include <unistd.h>

#include <filesystem>

#include "archive/accounts.hpp"
#include "archive/facts.hpp"
#include "base/file.hpp"

namespace fiducial::archive {
namespace {

using database::Durability;
using database::Transaction;

class AccountRecordsTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directories(folder_);
        database::Options options;
        options.path = folder_ / "index.db";
        auto opened = database::Database::open(options, migrations());
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
        records_ = std::make_unique<AccountRecords>(*database_, key_.clone());
    }
    Result<void> put(const AccountRecord& record) {
        return database_->write(Durability::full, [&](Transaction& t) { return records_->put(t, kLogInRecord, record); });
    }
    Result<std::optional<AccountRecord>> find(std::string_view id) {
        return database_->read([&](Transaction& t) { return records_->find(t, kLogInRecord, id); });
    }
    Result<std::optional<AccountRecord>> find_by(std::string_view lookup) {
        return database_->read([&](Transaction& t) { return records_->find_by(t, kLogInRecord, lookup); });
    }
    void sql(const std::string& text) {
        ASSERT_TRUE(
            database_->write(Durability::full, [&](Transaction& t) { return database::attempt("test", [&] { t.sql() << text; }); }));
    }

    void TearDown() override {
        records_.reset();
        database_.reset();
        std::filesystem::remove_all(folder_);
    }

    const std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("fiducial-records-" + std::to_string(::getpid()));
    crypto::Secret key_ = crypto::random_secret(32);
    std::unique_ptr<database::Database> database_;
    std::unique_ptr<AccountRecords> records_;
};

TEST_F(AccountRecordsTest, what_is_kept_is_found_by_either_name_and_stands_nowhere_in_clear) {
    ASSERT_TRUE(put({"01", "ada@example.org", R"({"phone":"+431234567"})"}));
    ASSERT_TRUE(put({"02", "", "{}"}));
    ASSERT_TRUE(put({"03", "", "{}"})) << "those without a second name do not hinder each other";
    EXPECT_EQ(find("01").value()->content, R"({"phone":"+431234567"})");
    EXPECT_EQ(find_by("ada@example.org").value()->id, "01");
    EXPECT_FALSE(find_by("eve@example.org").value());
    EXPECT_EQ(put({"04", "ada@example.org", "{}"}).error().code, ErrorCode::conflict);
    ASSERT_TRUE(put({"01", "ada@example.net", "{}"}));
    EXPECT_FALSE(find_by("ada@example.org").value());
    EXPECT_EQ(find_by("ada@example.net").value()->content, "{}");
    ASSERT_TRUE(database_->checkpoint());
    const auto bytes = read_file(folder_ / "index.db", std::size_t{1} << 24);
    ASSERT_TRUE(bytes);
    for (const std::string needle : {"ada@example", "431234567"}) EXPECT_EQ(as_text(*bytes).find(needle), std::string_view::npos) << needle;
    EXPECT_TRUE(database_->write(Durability::full, [&](Transaction& t) { return records_->erase(t, kLogInRecord, "01"); }).value());
    EXPECT_FALSE(find("01").value());
}

TEST_F(AccountRecordsTest, what_was_changed_put_back_or_deleted_behind_our_back_is_named_and_hinders_no_other) {
    ASSERT_TRUE(put({"01", "ada@example.org", R"({"password":"old"})"}));
    ASSERT_TRUE(put({"02", "eve@example.org", "{}"}));
    sql("CREATE TABLE kept AS SELECT * FROM account_records WHERE id = '01'");
    sql("CREATE TABLE kept_facts AS SELECT * FROM archive_facts");
    ASSERT_TRUE(put({"01", "ada@example.org", R"({"password":"new"})"}));
    ASSERT_TRUE(find("01"));
    sql("DELETE FROM account_records WHERE id = '01'");
    sql("INSERT INTO account_records SELECT * FROM kept");
    EXPECT_EQ(find("01").error().code, ErrorCode::corrupt) << "put back";
    EXPECT_TRUE(find("02"));
    sql("DELETE FROM archive_facts");
    sql("INSERT INTO archive_facts SELECT * FROM kept_facts");
    EXPECT_EQ(find("01").error().code, ErrorCode::corrupt) << "put back with its register, while we live";
    sql("UPDATE account_records SET sealed = substr(sealed, 1, 40) || 'ff' || substr(sealed, 43) WHERE id = '02'");
    EXPECT_EQ(find("02").error().code, ErrorCode::corrupt) << "changed";
    const auto all = database_->read([&](Transaction& t) { return records_->all(t, kLogInRecord); });
    ASSERT_TRUE(all);
    EXPECT_EQ(all->damaged, (std::vector<std::string>{"02"}));
    sql("DELETE FROM account_records WHERE id = '01'");
    EXPECT_FALSE(find("01").value());
}

TEST_F(AccountRecordsTest, under_another_key_it_opens_with_that_alone) {
    ASSERT_TRUE(put({"01", "ada@example.org", R"({"a":1})"}));
    const auto now = crypto::random_secret(32);
    ASSERT_TRUE(database_->write(Durability::full, [&](Transaction& t) -> Result<void> {
        FID_CHECK(rekey_facts(t, key_, now));
        return AccountRecords::rekey(*database_, t, key_, now);
    }));
    EXPECT_FALSE(find("01"));
    records_ = std::make_unique<AccountRecords>(*database_, now.clone());
    EXPECT_EQ(find_by("ada@example.org").value()->content, R"({"a":1})");
}

}  // namespace
}  // namespace fiducial::archive
