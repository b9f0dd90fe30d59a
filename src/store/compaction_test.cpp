#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <set>
#include <thread>

#include "base/faulty_disk.hpp"
#include "store/impl/segment_format.hpp"
#include "store/impl/statement.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class CompactionTest : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        options_.vault.segment_bytes = 1'000'000;
        options_.vault.own_file_bytes = 3'000'000;
        rules_.dead_percent = 20;
        rules_.least_dead_bytes = 10'000;
    }
    static TestInstance numbered(int study, int number, std::size_t size = 120'000) {
        TestInstance i;
        i.study = "1.2." + std::to_string(study);
        i.patient_id = "P" + std::to_string(study);
        i.series = i.study + ".1";
        i.sop = i.series + "." + std::to_string(number);
        i.bytes = random_bytes(size, static_cast<std::uint64_t>(study * 1000 + number));
        return i;
    }
    CompactionReport compact() {
        auto report = store_->compact(rules_);
        EXPECT_TRUE(report) << report.error().message;
        return report ? *report : CompactionReport{};
    }
    void expect_clean() {
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    }
    std::vector<std::string> files() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(folder_ / "store" / "segments"))
            names.push_back(entry.path().filename().string());
        std::sort(names.begin(), names.end());
        return names;
    }
    std::uint64_t segment_bytes() { return store_->vault().usage()->bytes; }
    std::optional<InstanceRow> find(const TestInstance& instance) {
        return *reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(instance.sop)); });
    }
    void expect_stored(const TestInstance& instance) {
        const auto row = find(instance);
        ASSERT_TRUE(row) << instance.sop;
        const auto bytes = get(*store_, row->object.ref);
        ASSERT_TRUE(bytes) << bytes.error().message;
        EXPECT_EQ(*bytes, instance.bytes) << instance.sop;
    }
    // Every row of every object and instance, by its meaning: without what a rebuild numbers anew.
    std::vector<std::string> index() {
        std::vector<std::string> lines;
        const auto objects = reading([&](database::Transaction& t) { return store_->index().list_objects(t, "", 100'000); });
        EXPECT_TRUE(objects) << objects.error().message;
        for (const auto& o : *objects) {
            lines.push_back(to_hex(o.ref.id) + " " + std::string(name_of(o.state)) + " " + describe(o.ref.location) + " " +
                            std::to_string(o.ref.slot) + " " + std::to_string(o.ref.size) + " " + std::to_string(o.stored_size) + " " +
                            o.study_uid.text() + " " + to_hex(o.ref.header_hash) + " " + to_hex(o.ref.chunk_root) + " " + to_hex(o.sha256));
        }
        return lines;
    }
    void expect_the_same_index_after_a_rebuild() {
        const auto before = index();
        const auto rebuilt = store_->rebuild_index();
        ASSERT_TRUE(rebuilt) << rebuilt.error().message;
        EXPECT_EQ(index(), before);
    }

    CompactionOptions rules_;
};

TEST_F(CompactionTest, AnErasedStudysRoomIsFreedAndNothingElseChanges) {
    open();
    std::vector<StoredObject> stored;
    for (int n = 0; n < 24; ++n) stored.push_back(put(numbered(n % 3, n)));
    const auto before = files();
    ASSERT_GE(before.size(), 3u);
    EXPECT_EQ(compact().segments, 0u) << "nothing is dead";
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    const auto bytes = segment_bytes();
    const auto report = compact();
    EXPECT_GE(report.segments, 2u);
    EXPECT_TRUE(report.left.empty()) << report.left.front();
    EXPECT_EQ(segment_bytes(), bytes - report.freed_bytes);
    EXPECT_LT(segment_bytes(), bytes * 4 / 5);
    EXPECT_EQ(store_->compaction_status().segments, report.segments);
    for (const bool again : {false, true}) {
        if (again) open();
        for (int n = 0; n < 24; ++n) {
            if (n % 3 == 1) continue;
            expect_stored(numbered(n % 3, n));
            const auto row = find(numbered(n % 3, n));
            EXPECT_EQ(row->object.ref.id, stored[static_cast<std::size_t>(n)].ref.id);
            EXPECT_EQ(row->object.ref.header_hash, stored[static_cast<std::size_t>(n)].ref.header_hash);
            EXPECT_EQ(get(*store_, stored[static_cast<std::size_t>(n)].ref), numbered(n % 3, n).bytes)
                << "who has read the row before still finds it";
        }
        expect_clean();
        expect_the_same_index_after_a_rebuild();
        EXPECT_EQ(compact().segments, 0u) << "once is enough";
    }
    EXPECT_EQ(store_->open_object(stored[1].ref).error().code, ErrorCode::not_found);
    // What is rewritten can be rewritten again, and found under every place that it had.
    ASSERT_TRUE(store_->erase_study(uid("1.2.2")));
    put(numbered(9, 1, 900'000));
    EXPECT_GE(compact().segments, 2u);
    put(numbered(9, 2));
    for (int n = 0; n < 24; n += 3) {
        expect_stored(numbered(0, n));
        EXPECT_EQ(get(*store_, stored[static_cast<std::size_t>(n)].ref), numbered(0, n).bytes);
    }
    expect_clean();
    expect_the_same_index_after_a_rebuild();
    open();
    expect_clean();
}

TEST_F(CompactionTest, TheOrderStaysSoThatARebuildDecidesAsBefore) {
    open();
    auto first = numbered(1, 1);
    first.pixel_sha256.fill(7);
    auto second = first;
    second.bytes = random_bytes(110'000, 77);
    put(first);  // superseded by
    put(numbered(2, 1));
    put(numbered(2, 2, 800'000));  // (the next segment)
    ASSERT_EQ(put(second).admission, Admission::new_version);
    auto aside = numbered(3, 1);
    put(aside);
    aside.bytes = random_bytes(130'000, 78);
    const auto waiting = put(aside);
    ASSERT_EQ(waiting.admission, Admission::set_aside);
    ASSERT_TRUE(store_->change_state(waiting.ref.id, ObjectState::discarded, "no"));
    for (int n = 0; n < 9; ++n) put(numbered(4, n));
    ASSERT_TRUE(store_->erase_study(uid("1.2.2")));
    rules_.dead_percent = 10;
    const auto report = compact();
    EXPECT_GE(report.segments, 3u);
    expect_stored(second);
    expect_clean();
    expect_the_same_index_after_a_rebuild();
    expect_clean();
    EXPECT_EQ(put(aside).admission, Admission::set_aside);
    const auto objects = *reading([&](database::Transaction& t) { return store_->index().find_object(t, waiting.ref.id); });
    ASSERT_TRUE(objects);
    EXPECT_EQ(objects->state, ObjectState::discarded) << "what a custodian said is still known";
    EXPECT_EQ(objects->stored_size, 0u);
    EXPECT_EQ(store_->open_object(objects->ref).error().code, ErrorCode::not_found);
    store_.reset();
    for (const auto* name : {"index.db", "index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    open();
    expect_stored(second);
    expect_clean();
}

// An object whose bytes begin in one segment and whose record stands in another.
TEST_F(CompactionTest, ObjectsThatStraddleSegmentsStayWhole) {
    options_.vault.segment_bytes = 4'000'000;
    options_.vault.own_file_bytes = 50'000'000;
    open();
    put(numbered(1, 1, 1'500'000));
    auto writer = store_->begin_object(uid("1.2.5"));
    ASSERT_TRUE(writer);
    auto straddling = numbered(5, 1, 6'000'000);
    ASSERT_TRUE(writer->write(ByteView(straddling.bytes).first(2'500'000)));
    put(numbered(1, 2, 1'500'000));
    put(numbered(2, 1, 1'000'000));
    ASSERT_TRUE(writer->write(ByteView(straddling.bytes).subspan(2'500'000)));
    rules_.dead_percent = 10;
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    EXPECT_EQ(compact().segments, 0u) << "an upload that is not finished has bytes there";
    const auto stored = store_->commit({*std::move(writer), straddling.description(), {}, {}});
    ASSERT_TRUE(stored) << stored.error().message;
    ASSERT_FALSE(stored->elsewhere.empty());
    for (int n = 0; n < 6; ++n) put(numbered(6, n, 900'000));
    const auto bytes = segment_bytes();
    const auto report = compact();
    EXPECT_GE(report.segments, 1u) << (report.left.empty() ? "" : report.left.front());
    EXPECT_LT(segment_bytes(), bytes);
    for (const bool again : {false, true}) {
        if (again) open();
        expect_stored(straddling);
        expect_stored(numbered(2, 1, 1'000'000));
        expect_clean();
        expect_the_same_index_after_a_rebuild();
    }
    ASSERT_TRUE(store_->erase_study(uid("1.2.2")));  // both segments once more
    ASSERT_TRUE(store_->erase_study(uid("1.2.6")));
    put(numbered(7, 1, 3'900'000));
    put(numbered(7, 2, 900'000));
    EXPECT_GE(compact().segments, 2u);
    expect_stored(straddling);
    expect_clean();
    ASSERT_TRUE(store_->erase_study(uid("1.2.5")));
    EXPECT_GE(compact().segments, 1u);
    expect_clean();
    open();
    expect_clean();
}

TEST_F(CompactionTest, ALargeObjectsSegmentGoesWithIt) {
    open();
    put(numbered(1, 1));
    auto large = numbered(2, 1, 4'000'000);
    auto writer = store_->begin_object(uid(large.study), ObjectKind::instance, large.bytes.size());
    ASSERT_TRUE(writer->write(large.bytes));
    ASSERT_TRUE(store_->commit({*std::move(writer), large.description(), {}, {}}));
    for (int n = 2; n < 12; ++n) put(numbered(1, n));
    const auto bytes = segment_bytes();
    EXPECT_EQ(compact().segments, 0u);
    ASSERT_TRUE(store_->erase_study(uid("1.2.2")));
    compact();
    EXPECT_LT(segment_bytes(), bytes - 3'900'000);
    expect_clean();
    open();
    for (int n = 2; n < 12; ++n) expect_stored(numbered(1, n));
    expect_clean();
}

TEST_F(CompactionTest, AReaderUnderWayFinishes) {
    open();
    const auto kept = numbered(1, 1, 700'000);
    const auto stored = put(kept);
    put(numbered(2, 1, 250'000));
    for (int n = 2; n < 8; ++n) put(numbered(3, n));
    auto reader = store_->open_object(stored.ref);
    ASSERT_TRUE(reader);
    Bytes bytes(kept.bytes.size());
    ASSERT_EQ(*reader->read(0, MutableByteView(bytes).first(40'000)), 40'000u);
    ASSERT_TRUE(store_->erase_study(uid("1.2.2")));
    ASSERT_GE(compact().segments, 1u);
    EXPECT_FALSE(std::filesystem::exists(segment_path(1)));
    ASSERT_EQ(*reader->read(40'000, MutableByteView(bytes).subspan(40'000)), bytes.size() - 40'000);
    EXPECT_EQ(bytes, kept.bytes);
}

TEST_F(CompactionTest, DamageIsNeverCopiedNorDropped) {
    open();
    const auto damaged = put(numbered(1, 1));
    put(numbered(2, 1, 700'000));
    for (int n = 2; n < 12; ++n) put(numbered(3, n));
    ASSERT_TRUE(store_->erase_study(uid("1.2.2")));
    const auto place = store_->open_object(damaged.ref)->place_of(50'000);
    flip(segment_path(place.segment), place.offset);
    const auto before = files();
    const auto report = compact();
    EXPECT_EQ(report.segments, 0u);
    ASSERT_EQ(report.left.size(), 1u);
    EXPECT_NE(report.left[0].find("segment 1: object " + to_hex(damaged.ref.id)), std::string::npos) << report.left[0];
    EXPECT_EQ(files(), before);
    // Nor is anything dropped because its row was taken away.
    flip(segment_path(place.segment), place.offset);
    ASSERT_TRUE(store_->database().write(database::Durability::full, [&](database::Transaction& t) {
        return execute(t, "DELETE FROM objects WHERE object_id = '" + to_hex(damaged.ref.id) + "'");
    }));
    const auto missing = compact();
    EXPECT_EQ(missing.segments, 0u);
    ASSERT_EQ(missing.left.size(), 1u);
    EXPECT_NE(missing.left[0].find("is not in the index: run fsck"), std::string::npos) << missing.left[0];
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(compact().segments, 1u);
    expect_stored(numbered(1, 1));
    expect_clean();
}

TEST_F(CompactionTest, WithAnOlderIndexEverythingIsStillFound) {
    open();
    for (int n = 0; n < 16; ++n) put(numbered(n % 2, n));
    ASSERT_TRUE(store_->database().checkpoint());
    store_.reset();
    const auto older = read_file(folder_ / "store" / "index.db", 1 << 30);
    open();
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    ASSERT_GE(compact().segments, 1u);
    put(numbered(5, 1));
    store_.reset();
    for (const auto* name : {"index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", *older));
    open();
    for (int n = 0; n < 16; n += 2) expect_stored(numbered(0, n));
    expect_stored(numbered(5, 1));
}

// A power cut takes the index's last commits, and comes between a rewritten segment and the end of the former one: the older index had
// seen only a part of that.
TEST_F(CompactionTest, WhatTheIndexHadNotSeenYetIsFoundInTheRewrittenSegment) {
    open();
    for (int n = 0; n < 4; ++n) put(numbered(n % 2, n));
    ASSERT_TRUE(store_->database().checkpoint());
    store_.reset();
    const auto older = read_file(folder_ / "store" / "index.db", 1 << 30);
    open();
    for (int n = 4; n < 16; ++n) put(numbered(n % 2, n));
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    const auto former = folder_ / "store" / "segments" / "00000001.segment";
    const auto kept = read_file(former, 1 << 30);
    ASSERT_GE(compact().segments, 1u);
    ASSERT_FALSE(std::filesystem::exists(former));
    store_.reset();
    for (const auto* name : {"index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", *older));
    ASSERT_TRUE(write_file_atomically(former, *kept));
    open();
    EXPECT_FALSE(std::filesystem::exists(former));
    for (int n = 0; n < 16; n += 2) expect_stored(numbered(0, n));
}

TEST_F(CompactionTest, ATruncatedSegmentIsNamedAlsoWhereItWasRewritten) {
    open();
    for (int n = 0; n < 16; ++n) put(numbered(n % 2, n));
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    ASSERT_GE(compact().segments, 1u);
    const auto names = files();
    const auto rewritten =
        std::find_if(names.begin(), names.end(), [](const std::string& name) { return name.find('-') != std::string::npos; });
    ASSERT_NE(rewritten, names.end());
    const auto path = folder_ / "store" / "segments" / *rewritten;
    store_.reset();
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 512);
    open();
    EXPECT_NE(text_of(fsck()).find("at its end are not readable"), std::string::npos) << text_of(fsck());
    EXPECT_FALSE(store_->rebuild_index());
}

TEST_F(CompactionTest, InTheBackgroundItKeepsToItsRateAndStopsAtOnce) {
    open();
    for (int n = 0; n < 16; ++n) put(numbered(n % 2, n));
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    {
        Compactor::Settings slow{rules_, 100'000, std::chrono::milliseconds(1)};
        const Compactor compactor(*store_, slow);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        EXPECT_EQ(store_->compaction_status().segments, 0u) << "1 MB at 100 kB/s";
        EXPECT_NE(store_->compaction_status().segment, 0u);
    }
    for (const auto& name : files()) EXPECT_TRUE(name.ends_with(".segment")) << "a draft is left: " << name;
    Compactor::Settings fast{rules_, std::uint64_t{1} << 40, std::chrono::milliseconds(1)};
    const Compactor compactor(*store_, fast);
    for (int n = 0; n < 500 && store_->compaction_status().segments < 1; ++n) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_GE(store_->compaction_status().segments, 1u);
    expect_clean();
}

TEST_F(CompactionTest, AnInterruptedErasureIsFinishedAtTheNextStart) {
    open();
    put(numbered(1, 1));
    put(numbered(2, 1));
    const auto study = *reading([&](database::Transaction& t) { return store_->index().find_study(t, uid("1.2.1")); });
    const Index::Erasure begun{uid("1.2.1"), study->patient.slot};
    ASSERT_TRUE(store_->database().write(database::Durability::full, [&](database::Transaction& t) {
        return store_->index().set_erasures(t, {&begun, 1});
    }));
    ASSERT_TRUE(store_->secrets().destroy_study(study->slot));
    open();
    EXPECT_FALSE(*reading([&](database::Transaction& t) { return store_->index().find_study(t, uid("1.2.1")); }));
    EXPECT_FALSE(store_->secrets().patient_secret(study->patient.slot));
    EXPECT_TRUE(reading([&](database::Transaction& t) { return store_->index().erasures(t); })->empty());
    expect_stored(numbered(2, 1));
    expect_clean();
}

// Every single step that compaction takes on the disk (segments and index) is the last one, as for a process that ends there; or the disk
// refuses that one alone and the process goes on.
TEST_F(CompactionTest, StoppedAtOrRefusedEachSingleStepEverythingIsThereAfterwards) {
    options_.vault.segment_bytes = 50'000;
    rules_.least_dead_bytes = 1'000;
    const auto image = [](int n) { return numbered(n % 3, n, 20'000); };
    open();
    for (int n = 0; n < 6; ++n) put(image(n));
    ASSERT_TRUE(store_->erase_study(uid("1.2.1")));
    store_.reset();
    const auto expect_all = [&] {
        for (int n = 0; n < 6; ++n) {
            if (n % 3 != 1) expect_stored(image(n));
        }
        expect_clean();
    };
    const auto before = folder_ / "before";
    std::filesystem::copy(folder_ / "store", before, std::filesystem::copy_options::recursive);
    for (const bool stopped : {true, false}) {
        std::set<FaultyDisk::Call> met;
        for (int step = 0;; ++step) {
            SCOPED_TRACE((stopped ? "stopped at step " : "refused step ") + std::to_string(step));
            store_.reset();
            std::filesystem::remove_all(folder_ / "store");
            std::filesystem::copy(before, folder_ / "store", std::filesystem::copy_options::recursive);
            open();
            bool reached = false;
            {
                int steps = 0;
                const FaultyDisk disk(folder_ / "store", [&](const FaultyDisk::Operation& operation) {
                    const bool refused = stopped ? steps >= step : steps == step;
                    if (refused && !reached) met.insert(operation.call);
                    reached = reached || refused;
                    ++steps;
                    return refused ? EIO : 0;
                });
                const auto report = store_->compact(rules_);
                if (!reached) {
                    ASSERT_TRUE(report) << report.error().message;
                    EXPECT_GE(report->segments, 1u) << "nothing was compacted";
                    break;
                }
                if (stopped) store_.reset();
            }
            if (!stopped) expect_all();
            open();
            expect_all();
            if (stopped) expect_the_same_index_after_a_rebuild();
        }
        using Call = FaultyDisk::Call;
        for (const auto call : {Call::create, Call::write, Call::sync, Call::rename, Call::sync_folder, Call::remove})
            EXPECT_TRUE(met.contains(call)) << static_cast<int>(call);
    }
}

// A process that stores, discards, erases and compacts, and says what it was told. Killed between any two steps.
class CompactionCrashTest : public CompactionTest {
protected:
    enum Said : std::int32_t { stored = 1, erasing = 2, erased = 3, compacted = 4 };
    [[noreturn]] void be_the_child(int out, int round) {
        auto opened = try_open();
        if (!opened) ::_exit(3);
        auto& store = **opened;
        const auto say = [&](Said what, int study, int number) {
            const std::int32_t said[3] = {what, study, number};
            if (::write(out, said, sizeof(said)) != sizeof(said)) ::_exit(5);
        };
        std::thread compactor([&] {
            for (int n = 0;; ++n) {
                const auto done = store.compact(rules_);
                if (!done) ::_exit(7);  // what is left was being stored or erased just then
                if (done->segments > 0) say(compacted, 0, static_cast<int>(done->segments));
            }
        });
        for (int s = 0;; ++s) {
            const int study = round * 1000 + s;
            for (int n = 0; n < 5; ++n) {
                const auto instance = numbered(study, n, static_cast<std::size_t>(10'000 + (study * 37 + n * 101) % 150'000));
                if (!put(store, instance)) ::_exit(4);
                say(stored, study, n);
            }
            auto other = numbered(study, 0);
            other.bytes = random_bytes(60'000, static_cast<std::uint64_t>(study));
            const auto aside = put(store, other);
            if (!aside || !store.change_state(aside->ref.id, ObjectState::discarded, "no")) ::_exit(8);
            if (s % 3 == 0) continue;
            say(erasing, study, 0);
            if (!store.erase_study(uid("1.2." + std::to_string(study)))) ::_exit(9);
            say(erased, study, 0);
        }
    }
    /// Stores, erases and compacts in a process that is killed at a random moment, and looks at what is left; `rounds` times.
    void run(int rounds, const std::function<void()>& before_the_kill, const std::function<void()>& after_it);
};

void CompactionCrashTest::run(int rounds, const std::function<void()>& before_the_kill, const std::function<void()>& after_it) {
    options_.vault.segment_bytes = 400'000;
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::map<int, int> held;   // study → images acknowledged
    std::map<int, bool> gone;  // study → erased for sure (or perhaps)
    int compactions = 0;
    for (int round = 0; round < rounds; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::close(ends[0]);
            be_the_child(ends[1], round + 1);
        }
        ::close(ends[1]);
        std::int32_t said[3];
        const auto hear = [&] {
            if (::read(ends[0], said, sizeof(said)) != static_cast<ssize_t>(sizeof(said))) return false;
            if (said[0] == stored) held[said[1]] = said[2] + 1;
            if (said[0] == erasing) gone[said[1]] = false;
            if (said[0] == erased) gone[said[1]] = true;
            if (said[0] == compacted) ++compactions;
            return true;
        };
        const int wanted = static_cast<int>(10 + random() % 60);
        for (int i = 0; i < wanted; ++i) ASSERT_TRUE(hear()) << "the child died by itself in round " << round;
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
        if (before_the_kill) before_the_kill();
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(before_the_kill || WIFSIGNALED(status)) << "the child left with " << WEXITSTATUS(status) << " in round " << round;
        while (hear()) {
        }
        ::close(ends[0]);
        if (after_it) after_it();
        open();
        ASSERT_TRUE(store_);
        const auto report = fsck();
        ASSERT_TRUE(report.clean()) << "round " << round << "\n" << text_of(report);
        for (const auto& [study, images] : held) {
            const auto erasure = gone.find(study);
            for (int n = 0; n < images; ++n) {
                const auto instance = numbered(study, n, static_cast<std::size_t>(10'000 + (study * 37 + n * 101) % 150'000));
                const auto row = find(instance);
                ASSERT_FALSE(row && erasure != gone.end() && erasure->second) << instance.sop << " was erased";
                if (erasure != gone.end()) continue;
                ASSERT_TRUE(row) << instance.sop << " was acknowledged and is missing after round " << round;
                if (round % 5 != 4 && study / 1000 != round + 1) continue;
                ASSERT_EQ(get(*store_, row->object.ref), instance.bytes) << instance.sop;
            }
        }
        if (round % 5 == 4) expect_the_same_index_after_a_rebuild();
        store_.reset();
    }
    EXPECT_GT(compactions, rounds / 2) << "hardly anything was compacted";
    open();
    compact();
    expect_clean();
    std::uint64_t needed = 0;
    const auto by_segment = reading([&](database::Transaction& t) { return store_->index().bytes_in_segments(t); });
    for (const auto& [segment, bytes] : *by_segment) needed += bytes;
    EXPECT_LT(segment_bytes(), needed * 2 + 2'000'000) << "the room of what was erased and discarded is free again";
}

int faults(int fewest, int otherwise) {
    const auto* wanted = std::getenv("FIDUCIAL_FAULTS");
    return wanted == nullptr ? otherwise : std::max(fewest, std::atoi(wanted));
}

TEST_F(CompactionCrashTest, KilledAtAnyMomentNothingIsLostAndNothingComesBack) {
    run(faults(15, 15), {}, {});
}

// On an ext4 of its own, which is cut off without its journal: all that was not synced is gone, as in a power cut.
class PowerCutTest : public CompactionCrashTest {
protected:
    void SetUp() override {
        CompactionCrashTest::SetUp();
        whole_folder_ = folder_;
        image_ = folder_ / "image";
        folder_ = folder_ / "disk";
        std::filesystem::create_directory(folder_);
        const auto make = "truncate -s 512M " + image_.string() + " 2>/dev/null && mkfs.ext4 -q -F " + image_.string() + " 2>/dev/null";
        if (std::system(make.c_str()) != 0 || !mount())
            GTEST_SKIP() << "not tested here: it takes the right to mount an ext4 of its own (root, a loop device, mkfs.ext4)";
    }
    void TearDown() override {
        store_.reset();
        ::umount2(folder_.c_str(), MNT_DETACH);
        folder_ = whole_folder_;
        CompactionCrashTest::TearDown();
    }
    bool mount() const { return std::system(("mount -o loop " + image_.string() + " " + folder_.string() + " 2>/dev/null").c_str()) == 0; }
    void cut() const {
        constexpr unsigned long kShutdown = 0x8004587d;  // EXT4_IOC_SHUTDOWN
        std::uint32_t without_flushing_the_log = 2;      // EXT4_GOING_FLAGS_NOLOGFLUSH
        const int fd = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ASSERT_GE(fd, 0);
        ASSERT_EQ(::ioctl(fd, kShutdown, &without_flushing_the_log), 0);
        ::close(fd);
    }
    std::filesystem::path whole_folder_, image_;
};

TEST_F(PowerCutTest, AtAnyMomentNothingAcknowledgedIsLost) {
    run(
        faults(10, 10), [this] { cut(); },
        [this] {
            ASSERT_EQ(::umount(folder_.c_str()), 0) << std::strerror(errno);
            ASSERT_TRUE(mount());
        });
}

}  // namespace
}  // namespace fiducial::store
