#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "store/impl/segment_format.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class CrashTest : public StoreTest {
protected:
    static TestInstance numbered(int writer, int number) {
        TestInstance i;
        i.study = "1.2.3." + std::to_string(writer * 100 + number % 3 + 1);
        i.patient_id = "P" + i.study;
        i.series = i.study + ".1";
        i.sop = i.series + "." + std::to_string(number + 1);
        i.bytes = random_bytes(static_cast<std::size_t>(1 + (writer * 7919 + number * 104'729) % 300'000),
                               static_cast<std::uint64_t>(writer * 10'000 + number));
        return i;
    }
    // A process that stores in two threads and says after each acknowledgement which one it was.
    [[noreturn]] void be_the_child(int out, int round) {
        auto opened = try_open();
        if (!opened) ::_exit(3);
        auto& store = **opened;
        std::vector<std::thread> threads;
        for (int w = 0; w < 2; ++w) {
            threads.emplace_back([&, w] {
                for (int n = 0;; ++n) {
                    const int writer = round * 2 + w;
                    if (n % 3 == 0) {  // given up, as a duplicate is: its place is taken again
                        auto writer_of_none = store.begin_object(uid("1.2.3"));
                        if (!writer_of_none || !writer_of_none->write(random_bytes(1'200'000, 1))) ::_exit(6);
                    }
                    if (!put(store, numbered(writer, n))) ::_exit(4);
                    const std::int32_t said[2] = {writer, n};
                    if (::write(out, said, sizeof(said)) != sizeof(said)) ::_exit(5);
                }
            });
        }
        for (auto& thread : threads) thread.join();
        ::_exit(0);
    }
};

TEST_F(CrashTest, NothingAcknowledgedIsLostWhenKilledAtAnyMoment) {
    options_.vault.segment_bytes = 3'000'000;
    constexpr int kRounds = 30;
    std::mt19937 random(11);
    std::map<int, int> acknowledged;  // writer → how many
    for (int round = 0; round < kRounds; ++round) {
        int pipe_ends[2];
        ASSERT_EQ(::pipe(pipe_ends), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::close(pipe_ends[0]);
            be_the_child(pipe_ends[1], round);
        }
        ::close(pipe_ends[1]);
        // Killed after a random number of acknowledgements and a random moment more, so also between any two steps of a commit.
        const int wanted = static_cast<int>(random() % 12);
        std::int32_t said[2];
        const auto hear = [&] {
            if (::read(pipe_ends[0], said, sizeof(said)) != static_cast<ssize_t>(sizeof(said))) return false;
            acknowledged[said[0]] = std::max(acknowledged[said[0]], said[1] + 1);
            return true;
        };
        for (int i = 0; i < wanted; ++i) ASSERT_TRUE(hear()) << "the child died by itself in round " << round;
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 5000);
        while (std::chrono::steady_clock::now() < until) {
        }
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child left with " << WEXITSTATUS(status) << " in round " << round;
        while (hear()) {
        }
        ::close(pipe_ends[0]);
        if (round % 5 == 4) {
            open();
            const auto report = fsck();
            ASSERT_TRUE(report.clean()) << "round " << round << "\n" << text_of(report);
            store_.reset();
        }
    }
    open();
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    int objects = 0;
    for (const auto& [writer, count] : acknowledged) {
        for (int n = 0; n < count; ++n, ++objects) {
            const auto instance = numbered(writer, n);
            const auto row = reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(instance.sop)); });
            ASSERT_TRUE(row && *row) << "writer " << writer << " number " << n << " was acknowledged and is missing";
            ASSERT_EQ(get(*store_, (*row)->object.ref), instance.bytes);
        }
    }
    EXPECT_GT(objects, kRounds);
}

TEST_F(CrashTest, ASecondOpenerIsToldWhoHasIt) {
    open();
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::locked);
    EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())), std::string::npos) << second.error().message;
    store_.reset();
    EXPECT_TRUE(try_open());
}

TEST_F(CrashTest, AWrongKeyIsSaidToBeOneAndHarmsNothing) {
    open();
    const auto stored = put(TestInstance{});
    store_.reset();
    const auto wrong = try_open(2);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, ErrorCode::wrong_passphrase);
    open();
    EXPECT_EQ(get(*store_, stored.ref), TestInstance{}.bytes);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(CrashTest, AMissingSiteIdIsNotMadeAnew) {
    open();
    store_.reset();
    std::filesystem::remove(folder_ / "store" / "site.id");
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
}

TEST_F(CrashTest, AFolderThatMayNotBeWrittenIsNamed) {
    if (::geteuid() == 0) {
        // root may write anywhere: a file in the folder's place stands for it
        ASSERT_TRUE(write_file_atomically(folder_ / "store", Bytes(1)));
        const auto opened = try_open();
        ASSERT_FALSE(opened);
        EXPECT_NE(opened.error().message.find("store"), std::string::npos);
        return;
    }
    std::filesystem::create_directory(folder_ / "store");
    std::filesystem::permissions(folder_ / "store", std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::permission);
}

// A tail as a power cut leaves it: bytes of extents, half a block.
TEST_F(CrashTest, ATornTailBeyondTheIndexIsCut) {
    open();
    const auto stored = put(TestInstance{});
    store_.reset();
    const auto size = std::filesystem::file_size(segment_path());
    for (const std::string& tail :
         {std::string(70'000, 'x'), std::string(1024 - size % 512, '\0') + "FIDBLOCK and then nothing that fits", std::string(3, '\0')}) {
        auto file = File::open(segment_path(), File::Mode::read_write);
        ASSERT_TRUE(file);
        ASSERT_TRUE(file->write_at(size, as_bytes(tail)));
        file->close();
        open();
        EXPECT_EQ(std::filesystem::file_size(segment_path()), size);
        EXPECT_EQ(get(*store_, stored.ref), TestInstance{}.bytes);
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
        store_.reset();
    }
    open();
    TestInstance next;
    next.sop = "1.2.3.1.2";
    put(next);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(CrashTest, DamageThatTheIndexKnowsIsNamedAndNeverCut) {
    open();
    const auto first = put(TestInstance{});
    TestInstance next;
    next.sop = "1.2.3.1.2";
    next.bytes = random_bytes(1000, 3);
    const auto second = put(next);
    store_.reset();
    const auto size = std::filesystem::file_size(segment_path());
    // The last block's header is torn: it was acknowledged, so this is damage and no tail.
    flip(segment_path(), second.ref.location.offset - kBlockHeaderSize + 20);
    open();
    EXPECT_EQ(std::filesystem::file_size(segment_path()), size);
    auto report = fsck();
    const auto named = [&](Finding::Kind kind) {
        return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& f) { return f.kind == kind; });
    };
    EXPECT_TRUE(named(Finding::Kind::missing_object)) << text_of(report);
    TestInstance third;
    third.sop = "1.2.3.1.3";
    third.bytes = random_bytes(1000, 4);
    const auto later = put(third);
    EXPECT_EQ(later.ref.location.segment, 2u) << "new objects go elsewhere";
    EXPECT_EQ(get(*store_, first.ref), TestInstance{}.bytes);
    // Mended, all is well again.
    flip(segment_path(), second.ref.location.offset - kBlockHeaderSize + 20);
    open();
    report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
}

TEST_F(CrashTest, AMissingBlockInTheMiddleIsNamed) {
    open();
    std::vector<StoredObject> all;
    for (int n = 0; n < 3; ++n) {
        TestInstance i;
        i.sop = "1.2.3.1." + std::to_string(n + 1);
        i.bytes = random_bytes(1000, static_cast<std::uint64_t>(n));
        all.push_back(put(i));
    }
    const auto at = all[1].ref.location.offset - kBlockHeaderSize;
    auto file = File::open(segment_path(), File::Mode::read_write);
    ASSERT_TRUE(file->write_at(at, Bytes(512, 0)));
    const auto report = fsck();
    const bool named = std::any_of(report.findings.begin(), report.findings.end(),
                                   [](const Finding& f) { return f.kind == Finding::Kind::damaged_segment; });
    EXPECT_TRUE(named) << text_of(report);
    EXPECT_NE(text_of(report).find("blocks 2 to 2 are not readable"), std::string::npos) << text_of(report);
}

// The index lags behind the segments after a power cut, by as much as SQLite had not synced, or comes from a backup.
class OldIndexTest : public CrashTest {
protected:
    void SetUp() override {
        CrashTest::SetUp();
        open();
        put(numbered_sop(1));
        keep_index();
    }
    static TestInstance numbered_sop(int n) {
        TestInstance i;
        i.sop = "1.2.3.1." + std::to_string(n);
        i.bytes = random_bytes(1000, static_cast<std::uint64_t>(n));
        return i;
    }
    void keep_index() {
        ASSERT_TRUE(store_->database().checkpoint());
        store_.reset();
        const auto bytes = read_file(folder_ / "store" / "index.db", 1 << 30);
        ASSERT_TRUE(bytes);
        older_ = *bytes;
        open();
    }
    void put_index_back() {
        store_.reset();
        std::filesystem::remove(folder_ / "store" / "index.db-wal");
        std::filesystem::remove(folder_ / "store" / "index.db-shm");
        ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", older_));
    }
    // A bit of an object's extent, which stands right before the block that names it.
    void damage(const StoredObject& o) { flip(segment_path(), o.ref.location.offset - kBlockHeaderSize - 600); }
    ObjectState state(const StoredObject& o) {
        return (*reading([&](database::Transaction& t) { return store_->index().find_object(t, o.ref.id); }))->state;
    }
    std::vector<InstanceRow> rows() {
        auto found = reading([&](database::Transaction& t) { return store_->index().instances_of_study(t, uid("1.2.3")); });
        EXPECT_TRUE(found) << found.error().message;
        return found ? *found : std::vector<InstanceRow>();
    }

    Bytes older_;
};

TEST_F(OldIndexTest, IsBroughtUpToDate) {
    std::vector<StoredObject> later;
    for (int n = 2; n < 6; ++n) later.push_back(put(numbered_sop(n)));
    ASSERT_TRUE(store_->quarantine(later[1].ref.id, "a test"));
    put_index_back();
    open();
    EXPECT_EQ(store_->recovered(), 4u);
    EXPECT_EQ(rows().size(), 5u);
    EXPECT_EQ(state(later[0]), ObjectState::current);
    EXPECT_EQ(state(later[1]), ObjectState::quarantined);
}

TEST_F(OldIndexTest, WhatWasAcknowledgedIsNeverTakenForTorn) {
    const auto rotten = put(numbered_sop(2));
    put(numbered_sop(3));
    damage(rotten);
    put_index_back();
    open();
    EXPECT_EQ(state(rotten), ObjectState::quarantined);
    EXPECT_EQ(rows().size(), 3u) << "its study misses it";
    damage(rotten);  // the bit flips back: mended from a backup
    EXPECT_TRUE(store_->restore(rotten.ref.id));
    EXPECT_EQ(state(rotten), ObjectState::current);
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(state(rotten), ObjectState::current);
}

TEST_F(OldIndexTest, AnObjectThatAPowerCutToreIsNewWhenSentAgain) {
    auto instance = numbered_sop(1);
    instance.pixel_sha256.fill(7);
    instance.sop = "1.2.3.1.9";
    const auto former = put(instance);
    keep_index();
    instance.bytes = random_bytes(1000, 99);
    const auto torn = put(instance);  // a new version of it
    damage(torn);
    put_index_back();
    open();
    const auto check = [&] {
        EXPECT_EQ(state(torn), ObjectState::torn);
        EXPECT_EQ(state(former), ObjectState::current) << "what it had superseded stands again";
        EXPECT_EQ(rows().size(), 2u);
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    };
    check();
    open();
    check();
    ASSERT_TRUE(store_->rebuild_index());
    check();
    EXPECT_EQ(store_->change_state(torn.ref.id, ObjectState::current, "no").error().code, ErrorCode::conflict);
    EXPECT_EQ(put(instance).admission, Admission::new_version);
    EXPECT_EQ(state(former), ObjectState::superseded);
}

// Killed after the mark and before the rows: the next start comes to the same.
TEST_F(OldIndexTest, TheMarkOfATornObjectStandsBeforeItsRow) {
    const auto torn = put(numbered_sop(2));
    damage(torn);
    put_index_back();
    open();
    put_index_back();
    open();
    EXPECT_EQ(state(torn), ObjectState::torn);
    EXPECT_EQ(rows().size(), 1u);
    EXPECT_EQ(put(numbered_sop(2)).admission, Admission::stored);
}

TEST_F(OldIndexTest, ABlockThatIsLookedAtAgainChangesNothing) {
    const auto first = put(numbered_sop(2));
    auto other = numbered_sop(2);
    other.bytes = random_bytes(500, 7);
    other.pixel_sha256.fill(7);
    const auto accepted = put(other);
    ASSERT_TRUE(store_->change_state(accepted.ref.id, ObjectState::current, "the newer one is right"));
    ASSERT_TRUE(store_->quarantine(accepted.ref.id, "a test"));
    ASSERT_TRUE(store_->restore(accepted.ref.id));
    other.bytes = random_bytes(500, 8);
    ASSERT_EQ(put(other).admission, Admission::new_version);
    ASSERT_TRUE(
        store_->database().write(database::Durability::full, [&](database::Transaction& t) { return store_->index().set_known(t, {}); }));
    open();
    EXPECT_EQ(state(first), ObjectState::superseded);
    EXPECT_EQ(state(accepted), ObjectState::superseded);
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    EXPECT_EQ(rows().size(), 2u);
}

// The lost segment may come back from a backup: nothing else may have its name by then.
TEST_F(CrashTest, TheNumberOfALostSegmentIsNotUsedAgain) {
    options_.vault.segment_bytes = 100'000;
    options_.vault.own_file_bytes = 300'000;
    open();
    std::vector<StoredObject> all;
    const auto put_one = [&](std::size_t size) {
        TestInstance i;
        i.sop = "1.2.3.1." + std::to_string(all.size() + 1);
        i.bytes = random_bytes(size, all.size());
        all.push_back(put(i));
    };
    for (const std::size_t size : {60'000, 60'000, 60'000}) put_one(size);
    const auto lost = all.back().ref.location.segment;
    ASSERT_EQ(lost, 3u);
    const auto backup = [&](std::uint32_t number) { return folder_ / ("backup" + std::to_string(number)); };
    store_.reset();
    std::filesystem::rename(segment_path(lost), backup(lost));
    open();
    put_one(60'000);
    EXPECT_EQ(all.back().ref.location.segment, 4u);
    // Also that of a large object's file, which no row names.
    auto writer = store_->begin_object(uid("1.2.3"), ObjectKind::instance, 400'000);
    ASSERT_TRUE(writer);
    TestInstance large;
    large.sop = "1.2.3.1.99";
    ASSERT_TRUE(writer->write(random_bytes(400'000, 99)));
    ASSERT_TRUE(store_->commit({*std::move(writer), large.description(), {}, {}}));
    store_.reset();
    ASSERT_TRUE(std::filesystem::exists(segment_path(5)));
    std::filesystem::rename(segment_path(5), backup(5));
    open();
    put_one(90'000);
    EXPECT_EQ(all.back().ref.location.segment, 6u);
    EXPECT_FALSE(fsck().clean());
    store_.reset();
    for (const std::uint32_t number : {3u, 5u}) std::filesystem::rename(backup(number), segment_path(number));
    open();
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
}

TEST_F(CrashTest, ASegmentThatWasOnlyBegunIsNoHindrance) {
    open();
    put(TestInstance{});
    store_.reset();
    ASSERT_TRUE(File::open(segment_path(2), File::Mode::create_new));
    open();
    TestInstance next;
    next.sop = "1.2.3.1.2";
    put(next);
    EXPECT_TRUE(fsck().clean());
    open();
    EXPECT_TRUE(fsck().clean());
}

}  // namespace
}  // namespace fiducial::store
