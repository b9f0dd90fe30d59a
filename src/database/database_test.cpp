#include "database/database.hpp"

#include <gtest/gtest.h>
#include <soci/soci.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <thread>

#include "base/faulty_disk.hpp"
#include "database/dialect.hpp"
#include "database/remembered.hpp"

namespace fiducial::database {
namespace {

constexpr Migration kFirst{"test", 1,
                           "CREATE TABLE things (id {id}, name {text} NOT NULL UNIQUE, size {int}); -- a comment; with a semicolon\nCREATE "
                           "INDEX things_size ON things (size);"};
constexpr Migration kSecond{"test", 2, "ALTER TABLE things ADD COLUMN note {text};"};

class DatabaseTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "fiducial-database-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    Result<std::unique_ptr<Database>> open(std::vector<Migration> migrations = {kFirst, kSecond}) {
        Options options;
        options.path = folder_ / "site.db";
        options.busy_timeout_ms = 2'000;
        options.readers = 4;
        return Database::open(options, migrations);
    }
    static Result<long long> count(Transaction& transaction) {
        return attempt("counting", [&] {
            long long n = 0;
            transaction.sql() << "SELECT COUNT(*) FROM things", soci::into(n);
            return n;
        });
    }
    static Result<void> add(Transaction& transaction, const std::string& name) {
        return attempt("adding a thing", [&] { transaction.sql() << "INSERT INTO things (name) VALUES (:name)", soci::use(name, "name"); });
    }
    std::filesystem::path folder_;
};

TEST_F(DatabaseTest, KeepsWhatIsCommittedAndForgetsTheRest) {
    {
        auto database = open();
        ASSERT_TRUE(database) << database.error().message;
        ASSERT_TRUE((*database)->write(Durability::full, [&](Transaction& t) { return add(t, "kept"); }));
        {
            auto dropped = (*database)->begin_write(Durability::rebuildable);
            ASSERT_TRUE(dropped);
            ASSERT_TRUE(add(*dropped, "dropped"));
        }
        const auto failed = (*database)->write(Durability::full, [&](Transaction& t) -> Result<void> {
            FID_CHECK(add(t, "refused"));
            return fail(ErrorCode::denied, "no");
        });
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, ErrorCode::denied);
    }
    auto again = open();
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ((*again)->read([&](Transaction& t) { return count(t); }), 1);
    EXPECT_TRUE((*again)->check_integrity());
    EXPECT_TRUE((*again)->checkpoint());
}

TEST_F(DatabaseTest, ACopyIsWhatTheTransactionSeesWhileOthersGoOn) {
    const auto database = open().value();
    const auto add_many = [&](int from, int to) {
        return database->write(Durability::full, [&](Transaction& t) -> Result<void> {
            for (int i = from; i < to; ++i) FID_CHECK(add(t, "thing " + std::to_string(i) + std::string(500, '.')));
            return {};
        });
    };
    ASSERT_TRUE(add_many(0, 40'000));
    auto reading = database->begin_read().value();
    ASSERT_EQ(count(reading), 40'000);
    ASSERT_TRUE(add_many(40'000, 40'010));
    int steps = 0;
    const auto copied = database->copy(reading, folder_ / "copy.db", [&](std::uint64_t left, std::uint64_t pages) {
        EXPECT_LE(left, pages);
        ++steps;
        return add_many(50'000 + steps * 10, 50'010 + steps * 10);
    });
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_GT(steps, 1);
    Options options;
    options.path = folder_ / "copy.db";
    const std::vector<Migration> migrations{kFirst, kSecond};
    const auto copy = Database::open(options, migrations).value();
    EXPECT_EQ(copy->read([&](Transaction& t) { return count(t); }), 40'000);
    EXPECT_TRUE(copy->check_integrity());
    EXPECT_EQ(database->copy(reading, folder_ / "copy.db", [](auto, auto) { return Result<void>(); }).error().code, ErrorCode::conflict);
    const auto stopped =
        database->copy(reading, folder_ / "other.db", [](auto, auto) -> Result<void> { return fail(ErrorCode::cancelled, "no more"); });
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
    EXPECT_EQ(count(reading), 40'000);
}

TEST_F(DatabaseTest, WhatWasReadIsRememberedUntilAnyoneWrites) {
    auto opened = open();
    ASSERT_TRUE(opened) << opened.error().message;
    auto& database = **opened;
    Remembered<std::string, long long> remembered(2);
    int reads = 0;
    const auto things = [&](const std::string& key) {
        return remembered
            .get(database, key,
                 [&] {
                     ++reads;
                     return database.read(count);
                 })
            .value();
    };
    EXPECT_EQ(things("all"), 0);
    EXPECT_EQ(things("all"), 0);
    EXPECT_EQ(reads, 1);
    // By a session of ours, whatever it promises of the disk.
    ASSERT_TRUE(database.write(Durability::rebuildable, [&](Transaction& t) { return add(t, "one"); }));
    EXPECT_EQ(things("all"), 1);
    ASSERT_TRUE(database.write(Durability::full, [&](Transaction& t) { return add(t, "two"); }));
    EXPECT_EQ(things("all"), 2);
    EXPECT_EQ(things("all"), 2);
    EXPECT_EQ(reads, 3);
    // What is rolled back was never written.
    {
        auto transaction = database.begin_write(Durability::full);
        ASSERT_TRUE(transaction);
        ASSERT_TRUE(add(*transaction, "never"));
    }
    EXPECT_EQ(things("all"), 2);
    // By another, which knows nothing of us, as another process's would be.
    {
        auto other = open();
        ASSERT_TRUE(other) << other.error().message;
        ASSERT_TRUE((*other)->write(Durability::full, [&](Transaction& t) { return add(t, "three"); }));
    }
    EXPECT_EQ(things("all"), 3);
    // No more are kept than were said; all are right.
    reads = 0;
    for (const auto* key : {"all", "more", "most", "most"}) EXPECT_EQ(things(key), 3);
    EXPECT_EQ(reads, 3);
    // Failures are not remembered.
    const auto fails = [] { return Result<long long>(fail(ErrorCode::io, "for once")); };
    EXPECT_FALSE((Remembered<std::string, long long>(2).get(database, "all", fails)));
}

TEST_F(DatabaseTest, FileIsPrivate) {
    ASSERT_TRUE(open());
    struct stat info {};
    ASSERT_EQ(::stat((folder_ / "site.db").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(DatabaseTest, ReadersSeeTheirSnapshotWhileAWriterCommits) {
    auto database = open();
    ASSERT_TRUE(database);
    auto reader = (*database)->begin_read();
    ASSERT_TRUE(reader);
    EXPECT_EQ(count(*reader), 0);
    ASSERT_TRUE((*database)->write(Durability::rebuildable, [&](Transaction& t) { return add(t, "new"); }));
    EXPECT_EQ(count(*reader), 0);
    EXPECT_EQ((*database)->read([&](Transaction& t) { return count(t); }), 1);
}

TEST_F(DatabaseTest, WritersTakeTurns) {
    auto database = open();
    ASSERT_TRUE(database);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 25; ++i) {
                const auto done = (*database)->write(Durability::rebuildable,
                                                     [&](Transaction& tx) { return add(tx, std::to_string(t) + "/" + std::to_string(i)); });
                EXPECT_TRUE(done) << done.error().message;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ((*database)->read([&](Transaction& t) { return count(t); }), 200);
}

TEST_F(DatabaseTest, ABusyWriterOrAnEmptyPoolTimesOut) {
    Options options;
    options.path = folder_ / "site.db";
    options.busy_timeout_ms = 20;
    options.readers = 1;
    auto database = Database::open(options, std::vector<Migration>{kFirst});
    ASSERT_TRUE(database);
    auto writer = (*database)->begin_write(Durability::full);
    ASSERT_TRUE(writer);
    const auto second = (*database)->begin_write(Durability::full);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::timeout);
    auto reader = (*database)->begin_read();
    ASSERT_TRUE(reader);
    const auto none_left = (*database)->begin_read();
    ASSERT_FALSE(none_left);
    EXPECT_EQ(none_left.error().code, ErrorCode::timeout);
}

TEST_F(DatabaseTest, ErrorsNameTheActionButNoBoundValue) {
    auto database = open();
    ASSERT_TRUE(database);
    const auto twice = (*database)->write(Durability::full, [&](Transaction& t) -> Result<void> {
        FID_CHECK(add(t, "Doe^Jane"));
        return add(t, "Doe^Jane");
    });
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().code, ErrorCode::conflict);
    EXPECT_NE(twice.error().message.find("adding a thing"), std::string::npos);
    EXPECT_EQ(twice.error().message.find("Doe"), std::string::npos) << twice.error().message;
}

TEST_F(DatabaseTest, AStatementIsRememberedWithoutItsVariablesAndHoldsNoLock) {
    auto database = open();
    ASSERT_TRUE(database);
    const std::string insert = "INSERT INTO things (name) VALUES (:name)",
                      select = "SELECT name FROM things WHERE name >= :from ORDER BY name";
    const auto add_prepared = [&](Transaction& t, std::string name) {
        PreparedStatement statement(t, insert);
        statement->exchange(soci::use(name));
        auto done = attempt("adding a thing", [&] {
            statement.prepare();
            statement->execute(true);
        });
        if (!done) statement.forget();
        return done;
    };
    const auto first_from = [&](Transaction& t, std::string from) {
        std::string name;
        PreparedStatement statement(t, select);
        statement->exchange(soci::into(name));
        statement->exchange(soci::use(from));
        statement.prepare();
        statement->execute();
        return statement->fetch() ? name : std::string();  // the rest is left unread
    };
    ASSERT_TRUE((*database)->write(Durability::full, [&](Transaction& t) -> Result<void> {
        for (const auto* name : {"a", "b", "c"}) FID_CHECK(add_prepared(t, name));
        const auto twice = add_prepared(t, "b");
        EXPECT_EQ(twice ? ErrorCode::internal : twice.error().code, ErrorCode::conflict);
        return add_prepared(t, "d");
    }));
    for (const std::string from : {"a", "c", "e", "b"}) {
        auto reading = (*database)->begin_read();
        ASSERT_TRUE(reading);
        EXPECT_EQ(first_from(*reading, from), from == "e" ? "" : from);
    }
    ASSERT_TRUE((*database)->write(Durability::full, [&](Transaction& t) { return add_prepared(t, "e"); }));
    EXPECT_EQ((*database)->read([&](Transaction& t) -> Result<std::string> { return first_from(t, "e"); }).value(), "e")
        << "an earlier snapshot is still open";
    ASSERT_TRUE((*database)->checkpoint());
    EXPECT_EQ(std::filesystem::file_size(folder_ / "site.db-wal"), 0u) << "somebody still reads the log";
}

TEST_F(DatabaseTest, ANewerSchemaIsRefused) {
    ASSERT_TRUE(open());
    const auto older = open({kFirst});
    ASSERT_FALSE(older);
    EXPECT_EQ(older.error().code, ErrorCode::unsupported);
    EXPECT_NE(older.error().message.find("newer version"), std::string::npos);
}

TEST_F(DatabaseTest, AChangedMigrationIsRefused) {
    ASSERT_TRUE(open({kFirst}));
    const auto changed = open({{"test", 1, "CREATE TABLE others (id {id});"}});
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().code, ErrorCode::corrupt);
}

TEST_F(DatabaseTest, AFailingMigrationLeavesNothingBehind) {
    const auto broken = open({kFirst, {"test", 2, "CREATE TABLE half (id {id}); INSERT INTO nowhere VALUES (1);"}});
    ASSERT_FALSE(broken);
    EXPECT_NE(broken.error().message.find("test 2"), std::string::npos);
    auto fixed = open({kFirst, {"test", 2, "CREATE TABLE half (id {id});"}});
    EXPECT_TRUE(fixed) << fixed.error().message;
}

TEST_F(DatabaseTest, MigrationsMustBeNumberedWithoutGaps) {
    const auto gap = open({kFirst, {"test", 3, "CREATE TABLE t (id {id});"}});
    ASSERT_FALSE(gap);
    EXPECT_EQ(gap.error().code, ErrorCode::invalid_argument);
    const auto unknown = open({{"test", 1, "CREATE TABLE t (id {serial});"}});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::invalid_argument);
}

TEST_F(DatabaseTest, OtherRoomsAreLeftAlone) {
    ASSERT_TRUE(open({kFirst, {"other", 1, "CREATE TABLE more (id {id});"}}));
    EXPECT_TRUE(open({kFirst}));
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsCorrupt) {
    std::ofstream(folder_ / "site.db") << std::string(8192, 'x');
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::corrupt) << opened.error().message;
}

TEST_F(DatabaseTest, AFolderWithoutPermissionIsNamed) {
    Options options;
    options.path = folder_ / "missing" / "site.db";
    const auto opened = Database::open(options, {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::not_found);
}

TEST(Dialect, SplitsStatementsOutsideQuotesAndComments) {
    const auto parts = split_statements("A 'x;y'; -- c;d\n ; B \"q;r\" ;C");
    ASSERT_EQ(parts.size(), 3u);
    EXPECT_EQ(parts[0], "A 'x;y'");
    EXPECT_NE(parts[1].find("B \"q;r\""), std::string::npos);
    EXPECT_EQ(parts[2], "C");
}

/// A disk that refuses one step of what is written to the file, the log or their folder; what was not synced before goes with a refused
/// sync.
class RefusedStepTest : public DatabaseTest {
protected:
    using Call = FaultyDisk::Call;
    void SetUp() override {
        DatabaseTest::SetUp();
        start();
    }
    void start() {
        database_.reset();
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directory(folder_);
        reopen();
        ASSERT_TRUE(database_->write(Durability::full, [&](Transaction& t) { return add(t, "acknowledged"); }));
    }
    void reopen() {
        database_.reset();
        auto opened = open();
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = *std::move(opened);
    }
    std::set<std::string> names() {
        std::set<std::string> out;
        const auto read = database_->read([&](Transaction& t) {
            return attempt("reading", [&] {
                const soci::rowset<std::string> rows = (t.sql().prepare << "SELECT name FROM things");
                for (const auto& name : rows) out.insert(name.substr(0, 20));
            });
        });
        EXPECT_TRUE(read) << read.error().message;
        return out;
    }
    /// Fails the n-th operation that `counts`. Returns: what it was, once it was met.
    struct Refusal {
        int left = 0, error = 0;
        std::optional<Call> met;
    };
    static FaultyDisk::Fault refuse(Refusal& refusal) {
        return [&refusal](const FaultyDisk::Operation& operation) {
            if (refusal.left-- != 0) return 0;
            refusal.met = operation.call;
            return refusal.error;
        };
    }
    /// After a refused sync nothing is written before the database is opened again; after anything else it goes on.
    void expect_sound(const Refusal& refusal, const std::set<std::string>& kept) {
        const bool stopped = refusal.met == Call::sync;
        EXPECT_EQ(database_->failure().has_value(), stopped);
        const auto after = database_->write(Durability::full, [&](Transaction& t) { return add(t, "after"); });
        EXPECT_EQ(!after, stopped) << (after ? "was written" : after.error().message);
        if (stopped) {
            EXPECT_EQ(after.error().code, ErrorCode::unavailable);
        }
        reopen();
        const auto wal = folder_ / "site.db-wal";
        EXPECT_TRUE(!std::filesystem::exists(wal) || std::filesystem::file_size(wal) == 0)
            << "what was read and believed is not on the disk yet";
        const auto there = names();
        EXPECT_TRUE(there.contains("acknowledged"));
        if (!stopped) {
            for (const auto& name : kept) EXPECT_TRUE(there.contains(name)) << name;
            EXPECT_TRUE(there.contains("after"));
        }
        EXPECT_TRUE(database_->check_integrity());
        EXPECT_TRUE(database_->write(Durability::full, [&](Transaction& t) { return add(t, "later"); }));
    }
    std::unique_ptr<Database> database_;
};

TEST_F(RefusedStepTest, OfACommitNothingAcknowledgedIsLost) {
    std::set<Call> refused;
    for (const int error : {EIO, ENOSPC}) {
        for (int step = 0;; ++step) {
            SCOPED_TRACE("step " + std::to_string(step) + ", error " + std::to_string(error));
            start();
            Refusal refusal{step, error, {}};
            FaultyDisk disk(folder_, {});
            ASSERT_TRUE(database_->write(Durability::rebuildable, [&](Transaction& t) { return add(t, "rebuildable"); }));
            disk.set(refuse(refusal));
            const auto done = database_->write(Durability::full, [&](Transaction& t) { return add(t, "new"); });
            disk.set({});
            if (!refusal.met) {
                EXPECT_TRUE(done);
                break;
            }
            refused.insert(*refusal.met);
            ASSERT_FALSE(done);
            EXPECT_TRUE(done.error().code == ErrorCode::io || done.error().code == ErrorCode::no_space) << done.error().message;
            expect_sound(refusal, {"rebuildable"});
        }
    }
    EXPECT_TRUE(refused.contains(Call::write) && refused.contains(Call::sync));
}

TEST_F(RefusedStepTest, OfFoldingTheLogNothingAcknowledgedIsLost) {
    std::set<Call> refused;
    for (int step = 0;; ++step) {
        SCOPED_TRACE("step " + std::to_string(step));
        start();
        Refusal refusal{step, EIO, {}};
        FaultyDisk disk(folder_, {});
        ASSERT_TRUE(database_->write(Durability::rebuildable, [&](Transaction& t) { return add(t, "rebuildable"); }));
        disk.set(refuse(refusal));
        const auto done = database_->checkpoint();
        disk.set({});
        if (!refusal.met) {
            EXPECT_TRUE(done);
            break;
        }
        refused.insert(*refusal.met);
        EXPECT_FALSE(done);
        expect_sound(refusal, {"rebuildable"});
    }
    EXPECT_TRUE(refused.contains(Call::write) && refused.contains(Call::sync) && refused.contains(Call::truncate));
}

// SQLite folds the log after a commit by itself, and says nothing of what fails then.
TEST_F(RefusedStepTest, OfFoldingAfterACommitNothingAcknowledgedIsLost) {
    for (const std::string_view file : {"site.db-wal", "site.db"}) {
        for (const auto call : {Call::sync, Call::write}) {
            if (file == "site.db-wal" && call == Call::write) continue;  // that is the commit itself
            SCOPED_TRACE(file);
            start();
            Refusal refusal{0, EIO, {}};
            FaultyDisk disk(folder_, [&](const FaultyDisk::Operation& operation) {
                if (operation.path.filename() != file || operation.call != call || refusal.met) return 0;
                refusal.met = call;
                return EIO;
            });
            const auto done = database_->write(Durability::rebuildable, [&](Transaction& t) -> Result<void> {
                const std::string note(100'000, 'x');
                return attempt("adding much", [&] {
                    for (int i = 0; i < 200; ++i) {
                        const auto name = std::to_string(i);
                        t.sql() << "INSERT INTO things (name, note) VALUES (:name, :note)", soci::use(name, "name"),
                            soci::use(note, "note");
                    }
                });
            });
            disk.set({});
            EXPECT_TRUE(done) << done.error().message;
            ASSERT_TRUE(refusal.met) << "the log was not folded";
            expect_sound(refusal, {});
        }
    }
}

}  // namespace
}  // namespace fiducial::database
