// The disk keeps what it owes and nothing more. Through the calls of the C library, as the archive makes them.
#include "simulated_disk.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <set>

#include "base/file.hpp"
#include "interposed.hpp"
#include "store/segment_backend.hpp"

namespace fiducial::simulation {
namespace {

/// One disk for one seed.
class Bench {
public:
    explicit Bench(std::uint64_t seed) : random_(seed, "machine") {
        std::string name = (std::filesystem::temp_directory_path() / "fiducial-disk-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        root_ = std::filesystem::canonical(name);
        std::filesystem::create_directory(root_ / "site");
        std::filesystem::create_directory(root_ / "kept");
        disk.emplace(root_ / "site", root_ / "kept", Random(seed, "disk"), fate, journal);
        machine_.emplace(Machine{*disk, clock_, random_});
        run_on(&*machine_);
    }
    ~Bench() {
        run_on(nullptr);
        disk.reset();
        std::filesystem::remove_all(root_);
    }
    std::filesystem::path path(const std::string& name) const { return root_ / "site" / name; }
    std::string text(const std::string& name) const {
        const auto bytes = read_file(path(name), 1 << 20);
        return bytes ? std::string(as_text(*bytes)) : bytes.error().code == ErrorCode::not_found ? "(none)" : bytes.error().message;
    }
    void write(const std::string& name, const std::string& bytes, bool sync = true) {
        auto file = File::open(path(name), File::Mode::read_write_create);
        ASSERT_TRUE(file) << file.error().message;
        ASSERT_TRUE(file->write_at(0, as_bytes(bytes)));
        ASSERT_TRUE(!sync || file->sync_data());
    }
    void keep(const std::string& name, const std::string& bytes) {
        write(name, bytes);
        ASSERT_TRUE(sync_folder(root_ / "site"));
    }

    Fate fate;
    Journal journal{Journal::Shown::nothing};
    std::optional<SimulatedDisk> disk;

private:
    std::filesystem::path root_;
    SimulatedClock clock_;
    Random random_;
    std::optional<Machine> machine_;
};

/// What a file holds after a power cut, over many seeds.
std::set<std::string> after_power_cut(const std::string& name, const std::function<void(Bench&)>& before) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        Bench bench(seed);
        before(bench);
        bench.disk->power_cut();
        seen.insert(bench.text(name));
    }
    return seen;
}

using Texts = std::set<std::string>;

TEST(SimulatedDisk, WhatWasSyncedStaysAndWhatWasNotMayBeGone) {
    EXPECT_EQ(after_power_cut("a", [](Bench& b) { b.keep("a", "old"); }), Texts{"old"});
    EXPECT_EQ(after_power_cut("a",
                              [](Bench& b) {
                                  b.keep("a", "old");
                                  b.write("a", "new", false);
                              }),
              (Texts{"old", "new"}));
}

TEST(SimulatedDisk, SectorsComeEachByItself) {
    const auto seen = after_power_cut("a", [](Bench& b) {
        b.keep("a", std::string(1024, 'o'));
        b.write("a", std::string(1024, 'n'), false);
    });
    const auto half = [](char first, char second) { return std::string(512, first) + std::string(512, second); };
    EXPECT_EQ(seen, (Texts{half('o', 'o'), half('o', 'n'), half('n', 'o'), half('n', 'n')}));
}

TEST(SimulatedDisk, AnEntryNeedsItsFolderToBeSynced) {
    EXPECT_EQ(after_power_cut("a", [](Bench& b) { b.write("a", "new"); }), (Texts{"(none)", "new"}));
    const auto replaced = [](Bench& b, bool sync) {
        b.keep("a", "old");
        b.write("b", "new");
        ASSERT_EQ(::rename(b.path("b").c_str(), b.path("a").c_str()), 0);
        ASSERT_TRUE(!sync || sync_folder(b.path("a").parent_path()));
    };
    EXPECT_EQ(after_power_cut("a", [&](Bench& b) { replaced(b, false); }), (Texts{"old", "new"}));
    EXPECT_EQ(after_power_cut("a", [&](Bench& b) { replaced(b, true); }), Texts{"new"});
    EXPECT_EQ(after_power_cut("a",
                              [](Bench& b) {
                                  b.keep("a", "old");
                                  ASSERT_EQ(::unlink(b.path("a").c_str()), 0);
                              }),
              (Texts{"old", "(none)"}));
    EXPECT_EQ(after_power_cut("a", [](Bench& b) { ASSERT_TRUE(write_file_atomically(b.path("a"), as_bytes("whole"))); }), Texts{"whole"});
}

TEST(SimulatedDisk, AFailedSyncIsNotMendedByTheNextOne) {
    const auto seen = after_power_cut("a", [](Bench& b) {
        b.keep("a", "old");
        auto file = File::open(b.path("a"), File::Mode::read_write);
        ASSERT_TRUE(file->write_at(0, as_bytes("new")));
        b.disk->faults.syncs = 1;
        ASSERT_FALSE(file->sync_data());
        b.disk->faults.syncs = 0;
        ASSERT_TRUE(file->sync_data());
    });
    EXPECT_EQ(seen, (Texts{"old", "new"}));
}

TEST(SimulatedDisk, SizesMayBeOldOnes) {
    const auto seen = after_power_cut("a", [](Bench& b) {
        b.keep("a", "old");
        auto file = File::open(b.path("a"), File::Mode::read_write);
        ASSERT_TRUE(file->truncate(0));
    });
    EXPECT_EQ(seen, (Texts{"old", "", std::string(3, '\0')}));
}

TEST(SimulatedDisk, NothingThatAKilledProcessDoesHasAnEffect) {
    Bench bench(1);
    bench.keep("a", "old");
    bench.fate.begin(1, false);
    {
        auto file = File::open(bench.path("a"), File::Mode::read_write);
        EXPECT_FALSE(file->write_at(0, as_bytes("new"))) << "killed at this call";
        EXPECT_TRUE(bench.fate.dead());
        EXPECT_FALSE(file->write_at(0, as_bytes("new")));
        EXPECT_NE(::unlink(bench.path("a").c_str()), 0);
    }
    bench.fate.begin(0, false);
    EXPECT_EQ(bench.text("a"), "old");
    bench.fate.begin(1, true);
    {
        auto file = File::open(bench.path("a"), File::Mode::read_write);
        EXPECT_FALSE(file->write_at(0, as_bytes("new"))) << "killed right after this call";
    }
    bench.fate.begin(0, false);
    EXPECT_EQ(bench.text("a"), "new");
}

TEST(SimulatedDisk, AFullDiskTakesNothingBeyondTheEnd) {
    Bench bench(1);
    bench.keep("a", "old");
    bench.disk->faults.full = true;
    auto file = File::open(bench.path("a"), File::Mode::read_write);
    EXPECT_TRUE(file->write_at(0, as_bytes("new")));
    const auto beyond = file->write_at(3, as_bytes("more"));
    ASSERT_FALSE(beyond);
    EXPECT_EQ(beyond.error().code, ErrorCode::no_space);
    EXPECT_EQ(File::open(bench.path("b"), File::Mode::create_new).error().code, ErrorCode::no_space);
}

// A process that is killed between giving a rewritten segment its name and seeing that durable: the next start moves rows to it and removes
// the former one.
TEST(SegmentNames, WhatAKilledProcessGaveIsDurableOnceTheSegmentsAreOpen) {
    const auto seen = after_power_cut("segments/00000001-00000002.segment", [](Bench& b) {
        const auto folder = b.path("segments");
        auto segments = store::open_local_segments(folder);
        ASSERT_TRUE(segments && sync_folder(folder.parent_path()));
        auto draft = (*segments)->create_draft({2, 1});
        ASSERT_TRUE(draft && (*draft)->write_at(0, as_bytes("moved")) && (*draft)->sync());
        draft->reset();
        ASSERT_EQ(::rename((folder / "00000001-00000002.segment.draft").c_str(), (folder / "00000001-00000002.segment").c_str()), 0);
        ASSERT_TRUE(store::open_local_segments(folder));
    });
    EXPECT_EQ(seen, Texts{"moved"});
}

TEST(SegmentNames, OneThatCouldNotBeMadeDurableIsNotGiven) {
    Bench bench(3);
    const auto folder = bench.path("segments");
    auto segments = store::open_local_segments(folder);
    ASSERT_TRUE(segments);
    auto draft = (*segments)->create_draft({2, 1});
    ASSERT_TRUE(draft && (*draft)->write_at(0, as_bytes("moved")) && (*draft)->sync());
    bench.disk->faults.syncs = 1;
    const auto published = (*segments)->publish_draft({2, 1});
    bench.disk->faults.syncs = 0;
    ASSERT_FALSE(published);
    EXPECT_EQ(published.error().code, ErrorCode::io);
    EXPECT_TRUE((*segments)->list()->empty());
    EXPECT_TRUE((*segments)->publish_draft({2, 1})) << "once the disk is well again";
    EXPECT_EQ((*segments)->list()->size(), 1U);
}

}  // namespace
}  // namespace fiducial::simulation
