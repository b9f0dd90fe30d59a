// Disks that fill up, fail and lose what was not synced.
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <thread>
#include <type_traits>

#include "base/faulty_disk.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(DiskWatch, AMarkIsTheLesserOfBytesAndPercentAndNeverBelowTheReserve) {
    DiskMarks marks{{100 * kMiB, 10}, {50 * kMiB, 5}, 8 * kMiB};
    DiskWatch::Space space{0, 10'000 * kMiB};
    const DiskWatch watch({"a", "b"}, marks, [&](const std::filesystem::path& folder) -> Result<DiskWatch::Space> {
        if (folder == "b") return fail(ErrorCode::not_found, "not there yet");
        return space;
    });
    const auto state_at = [&](std::uint64_t free_bytes, std::uint64_t total) {
        space = {free_bytes, total};
        const auto room = watch.look();
        EXPECT_TRUE(room) << room.error().message;
        return room->state;
    };
    EXPECT_EQ(state_at(100 * kMiB, 10'000 * kMiB), DiskState::ample) << "bytes: 10 % would be 1,000 MiB";
    EXPECT_EQ(state_at(100 * kMiB - 1, 10'000 * kMiB), DiskState::low);
    EXPECT_EQ(state_at(50 * kMiB - 1, 10'000 * kMiB), DiskState::full);
    EXPECT_EQ(state_at(20 * kMiB, 200 * kMiB), DiskState::ample) << "per cent: 10 % are 20 MiB";
    EXPECT_EQ(state_at(20 * kMiB - 1, 200 * kMiB), DiskState::low);
    EXPECT_EQ(state_at(10 * kMiB - 1, 200 * kMiB), DiskState::full);
    EXPECT_EQ(state_at(8 * kMiB, 16 * kMiB), DiskState::ample);
    EXPECT_EQ(state_at(8 * kMiB - 1, 16 * kMiB), DiskState::full) << "the reserve";
    const auto refused = watch.admit();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::no_space);
    EXPECT_NE(refused.error().message.find("8.0 MiB of 16.0 MiB are free where a lies"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("refuse_free_mib"), std::string::npos);
    state_at(8 * kMiB, 16 * kMiB);
    EXPECT_TRUE(watch.admit());
}

TEST(DiskWatch, TheFullestOfSeveralDisksCounts) {
    DiskMarks marks{{100, 100}, {50, 100}, 0};
    const DiskWatch watch({"store", "trace"}, marks, [](const std::filesystem::path& folder) -> Result<DiskWatch::Space> {
        return DiskWatch::Space{folder == "trace" ? std::uint64_t{10} : std::uint64_t{1000}, 10'000};
    });
    EXPECT_EQ(watch.look()->folder, "trace");
    EXPECT_FALSE(watch.admit());
    EXPECT_TRUE(DiskWatch({"/"}, {}).admit());
    EXPECT_GT(DiskWatch::measure_space("/")->total_bytes, 0u);
}

class DiskTest : public StoreTest {
protected:
    static TestInstance numbered(int n, std::size_t size = 50'000) {
        TestInstance i;
        i.study = "1.2.3." + std::to_string(n % 3 + 1);
        i.patient_id = "P" + i.study;
        i.series = i.study + ".1";
        i.sop = i.series + "." + std::to_string(n + 1);
        i.bytes = random_bytes(size, static_cast<std::uint64_t>(n));
        return i;
    }
    void expect_stored(const TestInstance& instance) {
        const auto row = reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(instance.sop)); });
        ASSERT_TRUE(row && *row) << instance.sop << " was acknowledged and is missing";
        EXPECT_EQ(get(*store_, (*row)->object.ref), instance.bytes);
    }
    void expect_clean() {
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    }
};

TEST_F(DiskTest, BelowTheMarkNewObjectsAreRefusedAndEverythingElseGoesOn) {
    std::uint64_t free_bytes = 1000 * kMiB;
    options_.disk = std::make_shared<DiskWatch>(std::vector{folder_}, DiskMarks{{20 * kMiB, 50}, {10 * kMiB, 50}, 0},
                                                [&](const std::filesystem::path&) -> Result<DiskWatch::Space> {
                                                    return DiskWatch::Space{free_bytes, 1000 * kMiB};
                                                });
    open();
    const auto first = put(numbered(1));
    auto begun = store_->begin_object(uid("1.2.3.9"));
    ASSERT_TRUE(begun);
    free_bytes = 10 * kMiB - 1;
    const auto refused = put(*store_, numbered(2));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::no_space) << refused.error().message;
    ASSERT_FALSE(begun->write(random_bytes(5'000'000, 1))) << "one that was begun before is not let in either";
    EXPECT_EQ(get(*store_, first.ref), numbered(1).bytes);
    auto manifest = store_->begin_object(uid("1.2.3.2"), ObjectKind::manifest);
    ASSERT_TRUE(manifest) << "what is there is anchored all the same";
    ASSERT_TRUE(manifest->write(random_bytes(1000, 2)));
    PendingObject pending{*std::move(manifest), {}, {}, {}};
    pending.description.kind = ObjectKind::manifest;
    pending.description.study_uid = uid("1.2.3.2");
    EXPECT_TRUE(store_->commit(std::move(pending)));
    EXPECT_TRUE(store_->quarantine(first.ref.id, "a test"));
    EXPECT_TRUE(store_->restore(first.ref.id));
    free_bytes = 10 * kMiB;
    put(numbered(2));
    expect_stored(numbered(2));
    expect_clean();
}

// A file system of a few MiB of its own. Where that may not be made, the test says so and is skipped.
class FullDiskTest : public DiskTest {
protected:
    void SetUp() override {
        DiskTest::SetUp();
        disk_ = folder_ / "disk";
        std::filesystem::create_directory(disk_);
        if (::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=12m,mode=0700") != 0) {
            GTEST_SKIP() << "not tested here: a file system that fills up needs the right to mount one (" << std::strerror(errno) << ")";
        }
        mounted_ = true;
    }
    void TearDown() override {
        store_.reset();
        if (mounted_) ::umount2(disk_.c_str(), MNT_DETACH);
        DiskTest::TearDown();
    }
    void open_there() {
        store_.reset();
        auto opened = Store::open(disk_ / "store", test_site_key(), options_);
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = *std::move(opened);
    }
    void fill(std::uint64_t but) {
        const auto space = *DiskWatch::measure_space(disk_);
        std::ofstream ballast(disk_ / "ballast", std::ios::binary);
        const std::string piece(4096, 'b');
        for (std::uint64_t n = 0; n + piece.size() + but <= space.free_bytes; n += piece.size()) ballast << piece;
    }
    std::filesystem::path disk_;
    bool mounted_ = false;
};

TEST_F(FullDiskTest, NothingAcknowledgedIsLostAndItGoesOnOnceThereIsRoom) {
    options_.vault.segment_bytes = kMiB;
    open_there();
    std::vector<TestInstance> acknowledged;
    std::vector<TestInstance> failed;
    int next = 0;
    for (const std::uint64_t left : {std::uint64_t{2'000'000}, std::uint64_t{300'000}, std::uint64_t{40'000}, std::uint64_t{0}}) {
        fill(left);
        const auto failed_before = failed.size();
        for (int n = 0; n < 30; ++n) {
            const auto instance = numbered(next++, static_cast<std::size_t>(20'000 + n * 13'000));
            const auto stored = put(*store_, instance);
            if (stored) {
                acknowledged.push_back(instance);
                continue;
            }
            EXPECT_EQ(stored.error().code, ErrorCode::no_space) << stored.error().message;
            failed.push_back(instance);
        }
        EXPECT_GT(failed.size(), failed_before) << "the disk was not full";
        for (const auto& instance : acknowledged) expect_stored(instance);
        std::filesystem::remove(disk_ / "ballast");
        const auto after = numbered(next++);
        const auto stored = put(*store_, after);  // without being opened again
        ASSERT_TRUE(stored) << stored.error().message;
        acknowledged.push_back(after);
        expect_clean();
    }
    EXPECT_GT(acknowledged.size(), 8u);
    for (int pass = 0; pass < 2; ++pass) {
        for (const auto& instance : acknowledged) expect_stored(instance);
        expect_clean();
        open_there();
    }
    ASSERT_TRUE(store_->rebuild_index());
    for (const auto& instance : acknowledged) expect_stored(instance);
    expect_clean();
}

TEST_F(FullDiskTest, ManyWritersAtOnce) {
    options_.vault.segment_bytes = 2 * kMiB;
    open_there();
    fill(3'000'000);
    std::mutex mutex;
    std::vector<TestInstance> acknowledged;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int n = 0; n < 15; ++n) {
                const auto instance = numbered(t * 100 + n, 150'000);
                if (!put(*store_, instance)) continue;
                const std::lock_guard lock(mutex);
                acknowledged.push_back(instance);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_LT(acknowledged.size(), 60u);
    std::filesystem::remove(disk_ / "ballast");
    const auto after = numbered(999);
    ASSERT_TRUE(put(*store_, after));
    acknowledged.push_back(after);
    for (int pass = 0; pass < 2; ++pass) {
        for (const auto& instance : acknowledged) expect_stored(instance);
        expect_clean();
        open_there();
    }
}

// A disk that fails when told to. As with Linux' page cache, a failed sync drops what was written since the last one, and the next sync
// succeeds.
struct Faults {
    std::mutex mutex;
    std::function<bool(std::uint32_t segment, std::uint64_t offset, std::size_t size)> read, write;
    std::function<bool(std::uint32_t segment)> sync, truncate;
    std::atomic<bool> writes_all_the_same{false};  // what fails is there nevertheless
    ErrorCode code = ErrorCode::io;

    template <typename Wanted, typename... Place>
    Result<void> check(Wanted Faults::*which, std::string_view action, const std::string& name, Place... place) {
        std::unique_lock lock(mutex);
        const auto fault = this->*which;
        lock.unlock();  // a fault may take its time
        if (!fault || !fault(place...)) return {};
        return fail(code, std::string(action) + " " + name + ": Input/output error");
    }
};

class FaultySegment final : public Segment {
public:
    FaultySegment(std::shared_ptr<Segment> real, std::shared_ptr<Faults> faults) : real_(std::move(real)), faults_(std::move(faults)) {}
    std::uint32_t number() const override { return real_->number(); }
    std::string name() const override { return real_->name(); }
    Result<std::uint64_t> size() const override { return real_->size(); }
    Result<void> read_exactly_at(std::uint64_t offset, MutableByteView out) const override {
        FID_CHECK(
            faults_->check(&Faults::read, "reading", name() + " (at byte " + std::to_string(offset) + ")", number(), offset, out.size()));
        return real_->read_exactly_at(offset, out);
    }
    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        const auto outcome = faults_->check(&Faults::write, "writing", name(), number(), offset, bytes.size());
        if (!outcome && faults_->writes_all_the_same) FID_CHECK(real_->write_at(offset, bytes));
        FID_CHECK(outcome);
        const std::lock_guard lock(mutex_);
        const auto size = *real_->size();
        Bytes before(offset < size ? std::min<std::uint64_t>(bytes.size(), size - offset) : 0);
        if (!before.empty()) FID_CHECK(real_->read_exactly_at(offset, before));
        unsynced_.push_back({offset, std::move(before), bytes.size()});
        return real_->write_at(offset, bytes);
    }
    Result<void> sync() override {
        auto done = faults_->check(&Faults::sync, "syncing", name(), number());
        const std::lock_guard lock(mutex_);
        if (done) done = real_->sync();
        while (!unsynced_.empty()) {
            auto [offset, before, size] = std::move(unsynced_.back());
            unsynced_.pop_back();
            if (done) continue;
            before.resize(size);  // what was never on the disk reads as zeros
            FID_CHECK(real_->write_at(offset, before));
        }
        return done;
    }
    Result<void> truncate(std::uint64_t size) override {
        FID_CHECK(faults_->check(&Faults::truncate, "truncating", name(), number()));
        return real_->truncate(size);
    }

private:
    struct Unsynced {
        std::uint64_t offset = 0;
        Bytes before;
        std::size_t size = 0;
    };
    std::shared_ptr<Segment> real_;
    std::shared_ptr<Faults> faults_;
    std::mutex mutex_;
    std::vector<Unsynced> unsynced_;
};

class FaultySegments final : public SegmentBackend {
public:
    FaultySegments(std::unique_ptr<SegmentBackend> real, std::shared_ptr<Faults> faults)
        : real_(std::move(real)), faults_(std::move(faults)) {}
    Result<std::vector<SegmentName>> list() const override { return real_->list(); }
    Result<std::shared_ptr<Segment>> create(std::uint32_t number) override { return wrapped(real_->create(number)); }
    Result<std::shared_ptr<Segment>> create_draft(SegmentName name) override { return wrapped(real_->create_draft(name)); }
    Result<void> publish_draft(SegmentName name) override { return real_->publish_draft(name); }
    Result<void> remove_draft(SegmentName name) override { return real_->remove_draft(name); }
    Result<std::shared_ptr<Segment>> open(std::uint32_t number, bool writable) override { return wrapped(real_->open(number, writable)); }
    Result<void> remove(std::uint32_t number) override { return real_->remove(number); }

private:
    Result<std::shared_ptr<Segment>> wrapped(Result<std::shared_ptr<Segment>> real) const {
        FID_TRY(auto segment, std::move(real));
        return std::make_shared<FaultySegment>(std::move(segment), faults_);
    }
    std::unique_ptr<SegmentBackend> real_;
    std::shared_ptr<Faults> faults_;
};

class FaultyDiskTest : public DiskTest {
protected:
    void SetUp() override {
        DiskTest::SetUp();
        options_.wrap_segments = [faults = faults_](std::unique_ptr<SegmentBackend> real) {
            return std::make_unique<FaultySegments>(std::move(real), faults);
        };
        open();
    }
    template <typename Fault>
    void set(Fault Faults::*which, std::type_identity_t<Fault> fault) {
        const std::lock_guard lock(faults_->mutex);
        (*faults_).*which = std::move(fault);
    }
    std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

TEST_F(FaultyDiskTest, AfterAFailedSyncNothingIsTakenForDurable) {
    for (const auto code : {ErrorCode::io, ErrorCode::no_space}) {
        faults_->code = code;
        const int base = code == ErrorCode::io ? 0 : 100;
        put(numbered(base + 1));
        const auto unfinished = numbered(base + 2, 3'000'000);
        auto under_way = store_->begin_object(uid(unfinished.study));
        ASSERT_TRUE(under_way->write(ByteView(unfinished.bytes).first(2'500'000)));
        set(&Faults::sync, [](std::uint32_t) { return true; });
        const auto failed = put(*store_, numbered(base + 3));
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, code) << failed.error().message;
        set(&Faults::sync, {});
        // Whose bytes were dropped does not come through with a sync that succeeds.
        auto written = under_way->write(ByteView(unfinished.bytes).subspan(2'500'000));
        const auto lost = store_->commit({*std::move(under_way), unfinished.description(), {}, {}});
        ASSERT_FALSE(lost);
        EXPECT_NE(lost.error().message.find("send it again"), std::string::npos) << lost.error().message;
        for (int n = 2; n <= 4; ++n) {  // without being opened again
            const auto again = put(*store_, numbered(base + n));
            ASSERT_TRUE(again) << again.error().message;
            EXPECT_EQ(again->admission, Admission::stored);
        }
        EXPECT_FALSE(store_->vault().failure());
        for (int pass = 0; pass < 2; ++pass) {
            for (int n = 1; n <= 4; ++n) expect_stored(numbered(base + n));
            expect_clean();
            open();
        }
        ASSERT_TRUE(store_->rebuild_index());
        expect_clean();
    }
}

TEST_F(FaultyDiskTest, WhatCannotBeCutOffYetIsCutOffBeforeAnythingElseIsTaken) {
    put(numbered(1));
    set(&Faults::sync, [](std::uint32_t) { return true; });
    set(&Faults::truncate, [](std::uint32_t) { return true; });
    EXPECT_EQ(put(*store_, numbered(2)).error().code, ErrorCode::io);
    EXPECT_EQ(put(*store_, numbered(3)).error().code, ErrorCode::unavailable);
    ASSERT_TRUE(store_->vault().failure());
    EXPECT_NE(store_->vault().failure()->message.find("cannot be cut off yet"), std::string::npos);
    expect_stored(numbered(1));
    set(&Faults::sync, {});
    set(&Faults::truncate, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    put(numbered(2));
    expect_stored(numbered(2));
    expect_clean();
    open();
    expect_clean();
}

TEST_F(FaultyDiskTest, WhatIsCopiedOfAFormerSegmentHoldsNoBlockOnItsWay) {
    options_.vault.segment_bytes = 6u << 20;
    options_.vault.own_file_bytes = 2u << 20;
    open();
    put(numbered(1));
    std::promise<void> begun, go_on;
    std::atomic<bool> first{true};
    const auto segment = store_->vault().highest_segment();
    set(&Faults::sync, [&, wait = go_on.get_future().share()](std::uint32_t number) {
        if (number != segment) return false;
        if (first.exchange(false)) {
            begun.set_value();
            wait.wait();
        }
        return true;
    });
    auto failing = std::async(std::launch::async, [&] { return put(*store_, numbered(2)); });
    begun.get_future().wait();
    std::vector<ObjectWriter> uploads;
    while (store_->vault().highest_segment() == segment) {  // the block's segment becomes a former one
        uploads.push_back(store_->begin_object(uid("1.2.3")).value());
        EXPECT_TRUE(uploads.back().write(random_bytes(1'500'000, 9)));
    }
    auto asked = std::async(std::launch::async, [&] { return store_->vault().committed_parts(); });
    EXPECT_EQ(asked.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout) << "the block may still be taken back";
    go_on.set_value();
    EXPECT_EQ(failing.get().error().code, ErrorCode::io);
    const auto parts = asked.get().value();
    const auto part = std::find_if(parts.begin(), parts.end(), [&](const auto& one) { return one.segment.number == segment; });
    ASSERT_NE(part, parts.end());
    EXPECT_EQ(part->bytes, std::filesystem::file_size(segment_path(segment))) << "as it was cut off";
    set(&Faults::sync, {});
}

TEST_F(FaultyDiskTest, AFailedWriteFailsOneObjectAndNoOther) {
    put(numbered(1));
    set(&Faults::write, [](std::uint32_t, std::uint64_t, std::size_t size) { return size > 40'000; });
    EXPECT_EQ(put(*store_, numbered(2)).error().code, ErrorCode::io);
    EXPECT_TRUE(put(*store_, numbered(3, 1000)));
    set(&Faults::write, [](std::uint32_t, std::uint64_t, std::size_t size) { return size < 40'000; });  // the block, not the bytes
    EXPECT_EQ(put(*store_, numbered(4)).error().code, ErrorCode::io);
    set(&Faults::write, {});
    put(numbered(2));
    put(numbered(4));
    for (int pass = 0; pass < 2; ++pass) {
        for (const int n : {1, 2, 4}) expect_stored(numbered(n));
        expect_stored(numbered(3, 1000));
        expect_clean();
        open();
    }
}

TEST_F(FaultyDiskTest, ABlockThatFailedAndIsThereAllTheSameTakesNobodysPlace) {
    put(numbered(1));
    faults_->writes_all_the_same = true;
    set(&Faults::write, [](std::uint32_t, std::uint64_t, std::size_t size) { return size < 40'000; });  // the block, not the bytes
    EXPECT_EQ(put(*store_, numbered(2)).error().code, ErrorCode::io);
    set(&Faults::write, {});
    put(numbered(3));
    for (int pass = 0; pass < 2; ++pass) {
        for (const int n : {1, 3}) expect_stored(numbered(n));
        expect_clean();
        open();
    }
    ASSERT_TRUE(store_->rebuild_index());
    for (const int n : {1, 3}) expect_stored(numbered(n));
}

// Its header could not be made durable, nor its removal before a power cut; the process went on in the next one.
TEST_F(FaultyDiskTest, ASegmentThatWasNeverBegunBetweenTwoOthersIsNoDamage) {
    for (const int n : {1, 2, 3}) put(numbered(n));
    set(&Faults::sync, [](std::uint32_t segment) { return segment < 3; });
    for (const int n : {4, 5, 6}) {
        if (put(*store_, numbered(n))) break;
    }
    set(&Faults::sync, {});
    put(numbered(7));
    ASSERT_TRUE(std::filesystem::exists(segment_path(3)));
    ASSERT_FALSE(std::filesystem::exists(segment_path(2)));
    store_.reset();
    ASSERT_TRUE(write_file_atomically(segment_path(2), random_bytes(512, 7)));
    for (int pass = 0; pass < 2; ++pass) {
        open();
        for (const int n : {1, 2, 3, 7}) expect_stored(numbered(n));
        expect_clean();
    }
    ASSERT_TRUE(store_->rebuild_index());
    for (const int n : {1, 2, 3, 7}) expect_stored(numbered(n));
}

// A process that was killed leaves blocks that stand in the system's memory alone; a power cut would take them after their rows were made.
TEST_F(FaultyDiskTest, WhatAStartFindsIsDurableBeforeItCounts) {
    for (const int n : {1, 2}) put(numbered(n));
    store_.reset();
    for (const auto* name : {"index.db", "index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    set(&Faults::sync, [](std::uint32_t) { return true; });
    const auto refused = try_open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::io) << refused.error().message;
    set(&Faults::sync, {});
    open();
    for (const int n : {1, 2}) expect_stored(numbered(n));
    expect_clean();
}

TEST_F(FaultyDiskTest, ADiskThatDoesNotReadIsNotTakenForADamagedObject) {
    const auto stored = put(numbered(1, 200'000));
    put(numbered(2));
    const auto place = store_->open_object(stored.ref)->place_of(100'000);
    set(&Faults::read, [place](std::uint32_t segment, std::uint64_t offset, std::size_t size) {
        return segment == place.segment && offset <= place.offset && place.offset < offset + size &&
               size < 230'000;  // the chunks, not the search for blocks
    });
    const auto got = get(*store_, stored.ref);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::io);
    EXPECT_NE(got.error().message.find("chunk 3 (segment 1 offset "), std::string::npos) << got.error().message;
    EXPECT_NE(got.error().message.find("00000001.segment (at byte "), std::string::npos) << got.error().message;
    auto report = fsck(true);
    ASSERT_EQ(report.findings.size(), 1u) << text_of(report);
    EXPECT_EQ(report.findings[0].kind, Finding::Kind::unreadable);
    EXPECT_NE(report.findings[0].what.find("Input/output error"), std::string::npos);
    const auto row = *reading([&](database::Transaction& t) { return store_->index().find_object(t, stored.ref.id); });
    EXPECT_EQ(row->state, ObjectState::current) << "nothing was put into quarantine";
    EXPECT_FALSE(store_->compact({1, 1, {}})->segments);
    // Nor where whole segments cannot be looked through.
    set(&Faults::read, [](std::uint32_t, std::uint64_t, std::size_t) { return true; });
    report = fsck(true);
    ASSERT_FALSE(report.clean());
    for (const auto& finding : report.findings) EXPECT_EQ(finding.kind, Finding::Kind::unreadable) << text_of(report);
    EXPECT_FALSE(store_->rebuild_index());
    set(&Faults::read, {});
    expect_stored(numbered(1, 200'000));
    expect_clean();
}

TEST_F(FaultyDiskTest, ASiteOnADiskThatDoesNotReadIsNotOpenedAndNothingIsCutOff) {
    put(numbered(1));
    store_.reset();
    for (const auto* name : {"index.db", "index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    set(&Faults::read, [](std::uint32_t, std::uint64_t offset, std::size_t) { return offset >= 512; });
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::io) << opened.error().message;
    EXPECT_NE(opened.error().message.find("00000001.segment"), std::string::npos) << opened.error().message;
    set(&Faults::read, {});
    open();
    expect_stored(numbered(1));
    expect_clean();
}

// The object's block is durable, but the disk refuses one step of its row: whoever sent it is refused, and nothing that was acknowledged is
// lost.
TEST_F(DiskTest, WhatTheIndexCouldNotTakeIsTakenLater) {
    using Call = FaultyDisk::Call;
    for (const int error : {EIO, ENOSPC}) {
        for (const auto call : {Call::write, Call::sync}) {
            SCOPED_TRACE(std::to_string(error) + (call == Call::write ? ", write" : ", sync"));
            store_.reset();
            std::filesystem::remove_all(folder_ / "store");
            open();
            FaultyDisk disk(folder_ / "store", {});
            put(numbered(1));  // its study and patient have their slots
            disk.set([&](const FaultyDisk::Operation& operation) {
                return operation.call == call && operation.path.filename() == "index.db-wal" ? error : 0;
            });
            const auto refused =
                call == Call::write ? put(*store_, numbered(4)) : Result<StoredObject>(fail(store_->database().checkpoint().error()));
            ASSERT_FALSE(refused);
            EXPECT_TRUE(refused.error().code == ErrorCode::io || refused.error().code == ErrorCode::no_space) << refused.error().message;
            disk.set({});
            const auto later = put(*store_, numbered(3));
            if (call == Call::write) {  // with the next object, without being opened again
                ASSERT_TRUE(later) << later.error().message;
                expect_stored(numbered(1));
                expect_stored(numbered(4));
                EXPECT_EQ(put(numbered(4)).admission, Admission::duplicate);
            } else {  // nobody knows what is left of the log
                EXPECT_EQ(later.error().code, ErrorCode::unavailable) << later.error().message;
                EXPECT_TRUE(store_->database().failure());
                open();  // the segments know all that was acknowledged
                put(numbered(3));
            }
            for (int pass = 0; pass < 2; ++pass) {
                expect_stored(numbered(1));
                expect_stored(numbered(3));
                expect_clean();
                open();
            }
        }
    }
}

}  // namespace
}  // namespace fiducial::store
