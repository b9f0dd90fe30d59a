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
        i.bytes = random_bytes(static_cast<std::size_t>(1 + (writer * 7919 + number * 104'729) % 300'000), static_cast<std::uint64_t>(writer * 10'000 + number));
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
    for (const std::string& tail : {std::string(70'000, 'x'), std::string(1024 - size % 512, '\0') + "FIDBLOCK and then nothing that fits", std::string(3, '\0')}) {
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
    const auto named = [&](Finding::Kind kind) { return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& f) { return f.kind == kind; }); };
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
    const bool named = std::any_of(report.findings.begin(), report.findings.end(), [](const Finding& f) { return f.kind == Finding::Kind::damaged_segment; });
    EXPECT_TRUE(named) << text_of(report);
    EXPECT_NE(text_of(report).find("blocks 2 to 2 are not readable"), std::string::npos) << text_of(report);
}

// The index lags behind the segments after a power cut, by as much as SQLite had not synced.
TEST_F(CrashTest, AnIndexFromBeforeIsBroughtUpToDate) {
    open();
    TestInstance i;
    put(i);
    ASSERT_TRUE(store_->database().checkpoint());
    store_.reset();
    const auto older = read_file(folder_ / "store" / "index.db", 1 << 30);
    ASSERT_TRUE(older);
    open();
    std::vector<StoredObject> later;
    for (int n = 2; n < 6; ++n) {
        i.sop = "1.2.3.1." + std::to_string(n);
        i.bytes = random_bytes(1000, static_cast<std::uint64_t>(n));
        later.push_back(put(i));
    }
    ASSERT_TRUE(store_->quarantine(later[1].ref.id, "a test"));
    store_.reset();
    std::filesystem::remove(folder_ / "store" / "index.db-wal");
    std::filesystem::remove(folder_ / "store" / "index.db-shm");
    ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", *older));
    // One of them was torn: its extent's bytes never reached the disk.
    flip(segment_path(), later[3].ref.location.offset - kBlockHeaderSize - 600);
    open();
    EXPECT_EQ(store_->recovered(), 4u);
    const auto rows = reading([&](database::Transaction& t) { return store_->index().instances_of_study(t, uid("1.2.3")); });
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->size(), 4u);
    const auto state = [&](const StoredObject& o) { return (*reading([&](database::Transaction& t) { return store_->index().find_object(t, o.ref.id); }))->state; };
    EXPECT_EQ(state(later[0]), ObjectState::current);
    EXPECT_EQ(state(later[1]), ObjectState::quarantined);
    EXPECT_EQ(state(later[3]), ObjectState::discarded);
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
