#include "store/store.hpp"

#include <sqlite3.h>

#include <thread>

#include "crypto/hash.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

TEST_F(StoreTest, GivesBackWhatItWasGiven) {
    open();
    TestInstance instance;
    const auto stored = put(instance);
    EXPECT_EQ(stored.admission, Admission::stored);
    EXPECT_EQ(stored.sha256, crypto::sha256(instance.bytes));
    const auto row = reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(instance.sop)); });
    ASSERT_TRUE(row) << row.error().message;
    ASSERT_TRUE(*row);
    EXPECT_EQ((*row)->object.sha256, stored.sha256);
    EXPECT_EQ((*row)->number, "7");
    auto reader = store_->open_object((*row)->object.ref);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ(get(*store_, (*row)->object.ref), instance.bytes);
    EXPECT_EQ(reader->fragment(), to_bytes(as_bytes(instance.fragment)));
    EXPECT_EQ(reader->prefix(), to_bytes(as_bytes(instance.prefix)));
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    EXPECT_EQ(report.objects, 1u);

    open();  // and after a restart
    EXPECT_EQ(store_->recovered(), 0u);
    EXPECT_EQ(get(*store_, stored.ref), instance.bytes);
}

TEST_F(StoreTest, ADamagedDatabaseIsReplacedOnlyWhenAskedFor) {
    open();
    const auto stored = put(TestInstance{});
    for (const bool garbage : {true, false}) {
        if (garbage) {
            store_.reset();
            ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", random_bytes(40'000, 5)));
        } else {
            ASSERT_TRUE(store_->database().checkpoint());
            store_.reset();
            sqlite3* database = nullptr;
            ASSERT_EQ(sqlite3_open((folder_ / "store" / "index.db").c_str(), &database), SQLITE_OK);
            ASSERT_EQ(sqlite3_exec(database, "DROP TABLE instances", nullptr, nullptr, nullptr), SQLITE_OK);
            sqlite3_close(database);
        }
        const auto refused = try_open();
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
        EXPECT_NE(refused.error().message.find("fsck --rebuild-index"), std::string::npos) << refused.error().message;
        options_.replace_damaged_index = true;
        open();
        options_.replace_damaged_index = false;
        EXPECT_EQ(store_->recovered(), 1u);
        EXPECT_EQ(get(*store_, stored.ref), TestInstance{}.bytes);
        EXPECT_TRUE(fsck().clean());
        open();
        EXPECT_EQ(store_->recovered(), 0u);
    }
    const std::filesystem::directory_iterator files(folder_ / "store");
    EXPECT_EQ(std::count_if(begin(files), end(files),
                            [](const auto& file) { return file.path().filename().string().starts_with("index.db.damaged-"); }),
              2);
}

TEST_F(StoreTest, FsckFindsNothingWhileObjectsCome) {
    open();
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (int i = 0; !stop; ++i) {
            TestInstance instance;
            instance.sop = "1.2.3.4." + std::to_string(i);
            instance.bytes = random_bytes(3000, static_cast<std::uint32_t>(i));
            put(instance);
        }
    });
    for (int i = 0; i < 20; ++i) {
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    }
    stop = true;
    writer.join();
}

class SecretsLostTest : public StoreTest {
protected:
    std::filesystem::path secrets() const { return folder_ / "store" / "secrets"; }
    void lose_index() {
        for (const auto* name : {"index.db", "index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    }
    void expect_refused() {
        const auto opened = try_open();
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
        EXPECT_NE(opened.error().message.find("restore store/secrets"), std::string::npos) << opened.error().message;
    }
};

TEST_F(SecretsLostTest, AllOfThemAreNotMadeAnew) {
    open();
    const auto stored = put(TestInstance{});
    store_.reset();
    std::filesystem::rename(secrets(), folder_ / "kept");
    for (const bool index_too : {false, true}) {
        if (index_too) lose_index();
        expect_refused();
        EXPECT_TRUE(std::filesystem::is_empty(secrets()));
    }
    std::filesystem::remove(secrets());
    std::filesystem::rename(folder_ / "kept", secrets());
    open();
    EXPECT_EQ(get(*store_, stored.ref), TestInstance{}.bytes);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(SecretsLostTest, TheLastPageIsNotMadeAnew) {
    open();
    store_->secrets().mark_study_slots_used(kSlotsPerPage - 1);
    store_->secrets().mark_patient_slots_used(kSlotsPerPage - 1);
    const auto stored = put(TestInstance{});
    ASSERT_EQ(stored.ref.slot, kSlotsPerPage);
    store_.reset();
    for (const bool index_too : {false, true}) {
        if (index_too) lose_index();
        for (const auto* page : {"study-000001.page", "patient-000001.page"}) {
            std::filesystem::rename(secrets() / page, folder_ / "kept");
            expect_refused();
            EXPECT_FALSE(std::filesystem::exists(secrets() / page));
            std::filesystem::rename(folder_ / "kept", secrets() / page);
        }
    }
    open();
    EXPECT_EQ(store_->recovered(), 1u);
    EXPECT_EQ(get(*store_, stored.ref), TestInstance{}.bytes);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(SecretsLostTest, OtherOnesAreNamedByFsckAndNothingIsQuarantined) {
    open();
    const auto stored = put(TestInstance{});
    ASSERT_TRUE(ShredStore::open(folder_ / "other", store_->keyring()));
    store_.reset();
    const auto page = secrets() / "study-000000.page";
    std::filesystem::rename(page, folder_ / "kept");
    std::filesystem::rename(folder_ / "other" / "study-000000.page", page);
    open();
    const auto report = fsck(true);
    ASSERT_EQ(report.findings.size(), 1u) << text_of(report);
    EXPECT_EQ(report.findings[0].kind, Finding::Kind::damaged_secrets);
    EXPECT_EQ(report.findings[0].advice, "restore store/secrets from a backup");
    store_.reset();
    std::filesystem::rename(folder_ / "kept", page);
    open();
    EXPECT_EQ(get(*store_, stored.ref), TestInstance{}.bytes);
    EXPECT_TRUE(fsck().clean());
}

}  // namespace
}  // namespace fiducial::store
