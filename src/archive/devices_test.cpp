#include "archive/devices.hpp"

#include <gtest/gtest.h>

#include <soci/soci.h>

#include "archive/accounts.hpp"
#include "archive/requester.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

constexpr std::uint32_t kStore = 1U << static_cast<unsigned>(Operation::store);
constexpr std::uint32_t kQueryAndRetrieve = 1U << static_cast<unsigned>(Operation::identify) | 1U << static_cast<unsigned>(Operation::read);

class DevicesTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("fiducial-devices-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        auto opened = database::Database::open({.path = folder_ / "db"}, migrations());
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    void change(const std::string& statement) {
        ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) {
            return database::attempt("tampering", [&] { t.sql() << statement; });
        }));
    }
    std::filesystem::path folder_;
    crypto::Secret key_ = crypto::random_secret(32);
    std::unique_ptr<database::Database> database_;
};

TEST_F(DevicesTest, AreFoundByNameAndIdInOrderAndAfterARestart) {
    const Device ct{"ct1", crypto::random_bytes32(), kStore}, viewer{"alpha.viewer", crypto::random_bytes32(), kQueryAndRetrieve};
    {
        Devices devices(*database_, key_.clone());
        EXPECT_TRUE(devices.all()->empty());
        ASSERT_TRUE(devices.add(ct));
        ASSERT_TRUE(devices.add(viewer));
        EXPECT_EQ(devices.add({"ct1", crypto::random_bytes32(), kStore}).error().code, ErrorCode::conflict);
    }
    Devices devices(*database_, key_.clone());
    const auto all = devices.all();
    ASSERT_TRUE(all && all->size() == 2);
    EXPECT_EQ((*all)[0].name, "alpha.viewer");
    EXPECT_EQ((*all)[0].operations, kQueryAndRetrieve);
    EXPECT_EQ(devices.by_name("ct1")->id, ct.id);
    EXPECT_EQ(devices.by_id(viewer.id)->name, "alpha.viewer");
    EXPECT_EQ(devices.by_name("CT1").error().code, ErrorCode::not_found);
    ASSERT_TRUE(devices.remove("ct1"));
    EXPECT_EQ(devices.remove("ct1").error().code, ErrorCode::not_found);
    EXPECT_EQ(devices.by_id(ct.id).error().code, ErrorCode::not_found);
}

TEST_F(DevicesTest, ANameGivenToAnotherDeviceBehindOurBackIsFound) {
    Devices devices(*database_, key_.clone());
    ASSERT_TRUE(devices.add({"ct1", crypto::random_bytes32(), kStore}));
    change("UPDATE archive_facts SET value = REPLACE(value, 'ct1', 'ct2')");
    EXPECT_EQ(devices.by_name("ct2").error().code, ErrorCode::corrupt);
    EXPECT_EQ(devices.all().error().code, ErrorCode::corrupt);
    ASSERT_TRUE(devices.forget());
    EXPECT_TRUE(devices.all()->empty());
}

TEST_F(DevicesTest, GoOnUnderAnotherKey) {
    const auto now = crypto::random_secret(32);
    const Device ct{"ct1", crypto::random_bytes32(), kStore};
    ASSERT_TRUE(Devices(*database_, key_.clone()).add(ct));
    ASSERT_TRUE(
        database_->write(database::Durability::full, [&](database::Transaction& t) { return Accounts::rekey(*database_, t, key_, now); }));
    EXPECT_EQ(Devices(*database_, key_.clone()).all().error().code, ErrorCode::corrupt);
    EXPECT_EQ(Devices(*database_, now.clone()).by_name("ct1")->id, ct.id);
}

TEST(Device, WhatItMayIsSaidInWords) {
    EXPECT_EQ(parse_device_duties("store").value(), kStore);
    EXPECT_EQ(parse_device_duties("retrieve,query").value(), kQueryAndRetrieve);
    EXPECT_EQ(device_duties_text(kStore | kQueryAndRetrieve), "store, query, retrieve");
    for (const auto* wrong : {"", "echo", "store,", ",store", "store query", "STORE"}) {
        EXPECT_EQ(parse_device_duties(wrong).error().code, ErrorCode::invalid_argument) << wrong;
    }
}

TEST(Device, NamesAreWordsOfTheSettings) {
    EXPECT_TRUE(Devices::is_name("MR_2.north-wing"));
    for (const auto* wrong : {"", "two words", "tab\t", "ä", "a=b"}) EXPECT_FALSE(Devices::is_name(wrong)) << wrong;
    EXPECT_FALSE(Devices::is_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace fiducial::archive
