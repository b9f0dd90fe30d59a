#include "audit/trace.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "audit/impl/trace_format.hpp"
#include "base/faulty_disk.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"

namespace fiducial::audit {
namespace {

namespace fs = std::filesystem;

class TraceTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "fiducial-trace-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { fs::remove_all(folder_); }

    static crypto::Secret mac_key() { return crypto::Secret::copy_of(Bytes(32, 0x4d)); }
    std::unique_ptr<Trace> open(TraceOptions options = {}) {
        auto trace = Trace::create(folder_, mac_key(), std::move(options));
        EXPECT_TRUE(trace) << trace.error().message;
        return trace ? *std::move(trace) : nullptr;
    }
    Error refusal() {
        const auto trace = Trace::open(folder_, mac_key());
        EXPECT_FALSE(trace);
        return trace ? Error{} : trace.error();
    }
    TraceReport checked() { return Trace::check_folder(folder_, mac_key()).value(); }

    /// An entry that can be told from others by its block number.
    static Entry numbered(std::uint64_t number) {
        Entry entry;
        entry.time = SystemTime(std::chrono::milliseconds(1795377600000 + static_cast<std::int64_t>(number)));
        entry.operation = 1;
        entry.allowed = true;
        entry.block_number = number;
        return entry;
    }
    static void add(Trace& trace, std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t i = from; i < to; ++i) ASSERT_EQ(trace.append_durable(numbered(i), {}).value(), i);
    }
    /// Appends entries so that they are written as one group: the writer is kept busy until all are queued.
    static void add_group(Trace& trace, std::uint64_t from, std::uint64_t to) {
        std::promise<void> busy, go_on;
        auto released = go_on.get_future().share();
        const auto first = trace.append(numbered(from), {}).value();
        trace.when_durable(first, [&busy, released](const Result<std::uint64_t>&) {
            busy.set_value();
            released.wait();
        });
        busy.get_future().wait();
        std::vector<Trace::Ticket> tickets;
        for (std::uint64_t i = from + 1; i < to; ++i) tickets.push_back(trace.append(numbered(i), {}).value());
        go_on.set_value();
        for (const auto& ticket : tickets) ASSERT_TRUE(trace.wait_durable(ticket));
    }

    /// It mends itself, every second.
    static void wait_until_mended(const Trace& trace) {
        for (int i = 0; i < 200 && trace.failure(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        ASSERT_FALSE(trace.failure());
    }
    Bytes log_bytes() const { return read_file(folder_ / impl::kLogName, 1 << 30).value(); }
    Bytes head_bytes() const { return read_file(folder_ / impl::kHeadName, 1 << 20).value(); }
    void put_log(ByteView bytes) const { put(impl::kLogName, bytes); }
    void put_head(ByteView bytes) const { put(impl::kHeadName, bytes); }
    void put(std::string_view name, ByteView bytes) const {  // without a sync: these tests stage what a disk may hold
        auto file = File::open(folder_ / name, File::Mode::read_write_create);
        ASSERT_TRUE(file && file->write_at(0, bytes) && file->truncate(bytes.size()));
    }
    static constexpr std::size_t kRecord = impl::kFrameSize + 72 + impl::kMacSize;  // all entries here have the same size
    static std::size_t offset_of(std::size_t index) { return impl::kHeaderSize + index * kRecord; }

    fs::path folder_;
};

TEST_F(TraceTest, ANewLogIsEmptyAndCleanAndStaysSo) {
    {
        const auto trace = open();
        EXPECT_EQ(trace->size(), 0U);
        EXPECT_EQ(trace->root(), crypto::merkle_empty_root());
        EXPECT_TRUE(trace->check()->clean());
        EXPECT_EQ(trace->read(0).error().code, ErrorCode::not_found);
    }
    EXPECT_TRUE(checked().clean());
    EXPECT_EQ(open()->size(), 0U);
}

TEST_F(TraceTest, Rfc6962RootOverAllEntriesAcrossReopening) {
    std::vector<Hash> leaves;
    for (std::uint64_t i = 0; i < 300; ++i) leaves.push_back(entry_leaf_hash(encode_entry(numbered(i), {}).value()));
    for (std::uint64_t round = 0; round < 10; ++round) {
        const auto trace = open();
        ASSERT_EQ(trace->size(), round * 30);
        add(*trace, round * 30, round * 30 + 30);
        EXPECT_EQ(trace->root(), crypto::merkle_root(std::span(leaves).first(round * 30 + 30)));
        const auto report = trace->check();
        ASSERT_TRUE(report);
        EXPECT_TRUE(report->clean());
        EXPECT_EQ(report->root, trace->root());
    }
    const auto report = checked();
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(report.size, 300U);
    EXPECT_EQ(report.root, crypto::merkle_root(leaves));
}

/// "name = value" lines that a second implementation wrote (test/vectors/keys/generate.py).
std::map<std::string, std::string> vectors() {
    std::map<std::string, std::string> out;
    std::ifstream file(FIDUCIAL_SOURCE_DIR "/test/vectors/trace/vectors.txt");
    for (std::string name, equals, value; file >> name >> equals && std::getline(file >> std::ws, value);) out[name] = value;
    return out;
}

TEST_F(TraceTest, FilesOfASecondImplementationAreTakenAsTheyAre) {
    auto golden = vectors();
    ASSERT_TRUE(golden.contains("trace_log"));
    const auto secret = [&](const char* name) { return crypto::Secret::copy_of(from_hex(golden[name]).value()); };
    const Bytes log = from_hex(golden["trace_log"]).value();
    put_log(log);
    put_head(from_hex(golden["trace_head"]).value());
    const auto report = Trace::check_folder(folder_, secret("mac_key"));
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->clean()) << report->faults.at(0).message;
    EXPECT_EQ(report->size, 5U);
    EXPECT_EQ(report->torn_tail_bytes, 0U);
    EXPECT_EQ(to_hex(report->root), golden["root"]);

    const auto trace = *Trace::open(folder_, secret("mac_key"));
    EXPECT_EQ(to_hex(trace->root()), golden["root"]);
    EXPECT_EQ(log_bytes(), log);
    const auto entry = trace->read(1).value();
    EXPECT_EQ(entry.clear.block_number, 1U);
    EXPECT_EQ(entry.clear.flags, node_away);
    EXPECT_EQ(entry.open_staff(secret("staff_key"))->remote_address, "192.0.2.7:4711");
    EXPECT_EQ(entry.open_patient(secret("patient_key"))->study_key[0], 7);
    EXPECT_FALSE(trace->read(2)->clear.allowed);
    EXPECT_EQ(trace->append_durable(numbered(5), {}).value(), 5U);
    EXPECT_TRUE(trace->check()->clean());
}

TEST_F(TraceTest, ReadsAnyEntryAndInOrderFromAnyIndex) {
    const auto trace = open();
    add_group(*trace, 0, 700);
    for (const std::uint64_t index : {699U, 0U, 127U, 128U, 129U, 500U, 256U}) {
        const auto entry = trace->read(index);
        ASSERT_TRUE(entry) << entry.error().message;
        EXPECT_EQ(entry->clear, numbered(index));
    }
    std::uint64_t due = 130;
    ASSERT_TRUE(trace->for_each(130, [&](std::uint64_t index, const StoredEntry& entry) {
        EXPECT_EQ(index, due);
        EXPECT_EQ(entry.clear.block_number, due);
        return ++due < 400;
    }));
    EXPECT_EQ(due, 400U);
    EXPECT_TRUE(trace->for_each(700, [](std::uint64_t, const StoredEntry&) { return false; }));
    EXPECT_EQ(trace->read(700).error().code, ErrorCode::not_found);
}

TEST_F(TraceTest, ThreadsShareTheLogAndEachLearnsItsOwnIndex) {
    const auto trace = open();
    constexpr std::uint64_t kThreads = 8, kEach = 100;
    std::vector<std::thread> threads;
    std::vector<std::vector<std::uint64_t>> indexes(kThreads);
    for (std::uint64_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (std::uint64_t i = 0; i < kEach; ++i) indexes[t].push_back(trace->append_durable(numbered(t * kEach + i), {}).value());
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(trace->size(), kThreads * kEach);
    for (std::uint64_t t = 0; t < kThreads; ++t) {
        for (std::uint64_t i = 0; i < kEach; ++i) EXPECT_EQ(trace->read(indexes[t][i])->clear.block_number, t * kEach + i);
    }
    EXPECT_TRUE(trace->check()->clean());
}

TEST_F(TraceTest, AFullQueueIsUnavailableAndAppendDurableWaitsForRoom) {
    const auto trace = open({.most_queued = 3});
    std::promise<void> busy, go_on;
    auto released = go_on.get_future().share();
    trace->when_durable(trace->append(numbered(0), {}).value(), [&busy, released](const Result<std::uint64_t>&) {
        busy.set_value();
        released.wait();
    });
    busy.get_future().wait();
    std::vector<Trace::Ticket> tickets;
    for (std::uint64_t i = 1; i <= 3; ++i) tickets.push_back(trace->append(numbered(i), {}).value());
    EXPECT_EQ(trace->append(numbered(4), {}).error().code, ErrorCode::unavailable);
    auto waiting = std::async(std::launch::async, [&] { return trace->append_durable(numbered(4), {}); });
    go_on.set_value();
    for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(trace->wait_durable(tickets[i - 1]).value(), i);
    EXPECT_EQ(waiting.get().value(), 4U);
    bool called = false;
    trace->when_durable(tickets[0], [&called](const Result<std::uint64_t>& index) { called = index.value() == 1; });
    EXPECT_TRUE(called) << "a settled ticket calls back at once";
    EXPECT_EQ(trace->wait_durable({}).error().code, ErrorCode::invalid_argument);
}

TEST_F(TraceTest, WhatIsQueuedIsWrittenBeforeTheLogCloses) {
    std::vector<Trace::Ticket> tickets;
    {
        const auto trace = open();
        for (std::uint64_t i = 0; i < 5000; ++i) ASSERT_TRUE(trace->append(numbered(i), {}));
    }
    EXPECT_EQ(checked().size, 5000U);
}

TEST_F(TraceTest, ASecondOpeningIsRefused) {
    const auto trace = open();
    EXPECT_EQ(refusal().code, ErrorCode::locked);
    EXPECT_EQ(Trace::check_folder(folder_, mac_key()).error().code, ErrorCode::locked);
}

TEST_F(TraceTest, RefusesBadKeysAndMissingFolders) {
    EXPECT_EQ(Trace::create(folder_, crypto::Secret(31)).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(Trace::create(folder_ / "nothing", mac_key()).error().code, ErrorCode::not_found);
    EXPECT_EQ(Trace::check_folder(folder_, mac_key()).error().code, ErrorCode::not_found);
    open();
    const auto other = Trace::open(folder_, crypto::Secret(32));
    EXPECT_EQ(other.error().code, ErrorCode::corrupt);
    EXPECT_FALSE(Trace::check_folder(folder_, crypto::Secret(32))->clean());
}

TEST_F(TraceTest, OnlyCreateMakesALog) {
    const auto lost = [&](const char* what) {
        const Error error = refusal();
        EXPECT_EQ(error.code, ErrorCode::corrupt);
        EXPECT_NE(error.message.find(what), std::string::npos) << error.message;
        EXPECT_NE(error.message.find("from the backup"), std::string::npos) << error.message;
    };
    lost("trace.log is missing");
    EXPECT_FALSE(fs::exists(folder_ / impl::kLogName)) << "a refusal leaves nothing behind";
    EXPECT_FALSE(fs::exists(folder_ / impl::kHeadName));
    add(*open(), 0, 3);
    const auto log = log_bytes();
    fs::remove(folder_ / impl::kHeadName);
    put_log({});
    lost("trace.log is empty");
    put_log(ByteView(log).first(impl::kHeaderSize));
    fs::remove(folder_ / impl::kHeadName);
    lost("trace.head is missing or damaged");
}

TEST_F(TraceTest, HeadsAreToldAndFitWhatIsThereLater) {
    std::vector<TraceHead> told;
    {
        const auto trace = open({.on_head = [&](const TraceHead& head) { told.push_back(head); }, .tell_head_every = 10});
        EXPECT_TRUE(told.empty()) << "who opens compares first";
        add(*trace, 0, 25);
    }
    ASSERT_EQ(told.size(), 3U);
    EXPECT_EQ(told[0].size, 10U);
    EXPECT_EQ(told[1].size, 20U);
    EXPECT_EQ(told[2].size, 25U);
    const auto trace = open();
    for (const auto& head : told) EXPECT_EQ(trace->root_at(head.size).value(), head.root);
    EXPECT_EQ(trace->root_at(0).value(), crypto::merkle_empty_root());
    EXPECT_EQ(trace->root_at(26).error().code, ErrorCode::not_found);
}

TEST_F(TraceTest, ErasingAPatientsKeyLeavesTheTreeAndTheOtherPart) {
    const crypto::Secret staff = crypto::random_secret(32);
    Hash root;
    {
        const auto trace = open();
        const crypto::Secret patient = crypto::random_secret(32);  // gone after this block, as after an erasure
        Entry entry = numbered(0);
        entry.staff = StaffPart{Bytes32{1}, "192.0.2.1"};
        entry.patient = PatientPart{Bytes32{2}, Bytes32{3}, Bytes32{4}};
        const EntryKeys keys{{Bytes32{5}, &staff}, {Bytes32{6}, &patient}};
        ASSERT_TRUE(trace->append_durable(entry, keys));
        root = trace->root();
        EXPECT_EQ(*trace->read(0)->open_patient(patient), *entry.patient);
    }
    const auto trace = open();
    EXPECT_TRUE(trace->check()->clean());
    EXPECT_EQ(trace->root(), root);
    EXPECT_EQ(trace->read(0)->open_staff(staff)->remote_address, "192.0.2.1");
    EXPECT_EQ(trace->read(0)->open_patient(crypto::random_secret(32)).error().code, ErrorCode::corrupt);
}

TEST_F(TraceTest, KilledProcessLosesNoAcknowledgedEntry) {
    std::uint64_t acknowledged_before = 0;
    for (int round = 0; round < 6; ++round) {
        int pipe_ends[2];
        ASSERT_EQ(::pipe(pipe_ends), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {  // four threads append and report each acknowledged index with its content
            ::close(pipe_ends[0]);
            auto trace = Trace::create(folder_, mac_key());
            if (!trace) ::_exit(3);
            std::vector<std::thread> threads;
            for (std::uint64_t t = 0; t < 4; ++t) {
                threads.emplace_back([&trace, t, &pipe_ends] {
                    for (std::uint64_t i = 0;; ++i) {
                        const std::uint64_t content = t << 32 | i;
                        const auto index = (*trace)->append_durable(numbered(content), {});
                        const std::uint64_t report[2] = {index.value_or(~std::uint64_t{0}), content};
                        if (::write(pipe_ends[1], report, sizeof(report)) != sizeof(report)) ::_exit(4);
                    }
                });
            }
            for (auto& thread : threads) thread.join();
        }
        ::close(pipe_ends[1]);
        std::vector<std::pair<std::uint64_t, std::uint64_t>> acknowledged;
        std::uint64_t report[2];
        bool killed = false;
        while (::read(pipe_ends[0], report, sizeof(report)) ==
               sizeof(report)) {  // what was written into the pipe before the kill still comes
            acknowledged.emplace_back(report[0], report[1]);
            if (!killed && acknowledged.size() >= 50U * static_cast<unsigned>(round + 1)) {
                ASSERT_EQ(::kill(child, SIGKILL), 0);
                killed = true;
            }
        }
        ::close(pipe_ends[0]);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(killed && WIFSIGNALED(status)) << "the child ended by itself: " << status;

        const auto before_opening = checked();
        EXPECT_TRUE(before_opening.clean()) << before_opening.faults[0].message;
        const auto trace = open();
        ASSERT_NE(trace, nullptr);
        EXPECT_TRUE(trace->check()->clean());
        EXPECT_GE(trace->size(), acknowledged_before + acknowledged.size());
        for (const auto& [index, content] : acknowledged) {
            const auto entry = trace->read(index);
            ASSERT_TRUE(entry) << entry.error().message;
            ASSERT_EQ(entry->clear, numbered(content));
        }
        acknowledged_before = trace->size();
    }
}

TEST_F(TraceTest, ACopyIsAWholeTraceOfItsMoment) {
    const auto there = folder_ / "copy";
    fs::create_directory(there);
    {
        const auto trace = open();
        add(*trace, 0, 5);
        const auto copy = trace->copy();
        add(*trace, 5, 9);
        const auto log = log_bytes();
        ASSERT_LT(copy.log_bytes, log.size());
        ASSERT_TRUE(write_file_atomically(there / Trace::kLogFile, ByteView(log).first(copy.log_bytes)));
        ASSERT_TRUE(write_file_atomically(there / Trace::kHeadFile, copy.head_file));
        EXPECT_EQ(copy.head.root, trace->root_at(5).value());
    }
    const auto opened = Trace::open(there, mac_key());
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->size(), 5U);
    EXPECT_TRUE((*opened)->check()->clean());
    EXPECT_EQ((*opened)->append_durable(numbered(5), {}).value(), 5U);
}

TEST_F(TraceTest, AWriteThatFailsIsReportedAndTheLogGoesOn) {
    const auto trace = open();
    add(*trace, 0, 3);
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit tight = before;
    tight.rlim_cur = offset_of(3) + 10;  // the next record fits only in part
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    const auto refused = trace->append_durable(numbered(99), {});
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, SIG_DFL);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().code, ErrorCode::unavailable);
    EXPECT_EQ(trace->size(), 3U);
    EXPECT_EQ(log_bytes().size(), offset_of(3));
    wait_until_mended(*trace);  // the head, too, lay beyond the limit
    add(*trace, 3, 5);
    EXPECT_TRUE(trace->check()->clean());
}

// One entry fails at each step of its way to the disk and of what is done about it, with each error, once and for longer.
TEST_F(TraceTest, AfterAFailedWriteOrSyncNothingThatFollowedTheLastGoodOneIsTrusted) {
    using Call = FaultyDisk::Call;
    struct Step {
        Call call;
        std::string_view file;
        bool refused;  // the entry; else it is durable, and only the head is not written
    };
    const Step steps[] = {{Call::write, impl::kLogName, true},
                          {Call::sync, impl::kLogName, true},
                          {Call::write, impl::kHeadName, false},
                          {Call::sync, impl::kHeadName, false}};
    std::vector<std::string> told;
    std::uint64_t expected = 0, next = 0;
    auto trace = open({.sync_head_every = 1, .on_failure = [&](const Error& why) { told.push_back(why.message); }});
    std::vector<std::uint64_t> acknowledged;
    const auto append = [&](bool refused) {
        const auto index = trace->append_durable(numbered(next), {});
        EXPECT_EQ(!index, refused) << (index ? "was taken" : index.error().message);
        if (index) {
            EXPECT_EQ(*index, expected++);
            acknowledged.push_back(next);
        }
        ++next;
    };
    const auto expect_all = [&] {
        ASSERT_EQ(trace->size(), acknowledged.size());
        for (std::size_t i = 0; i < acknowledged.size(); ++i) EXPECT_EQ(trace->read(i)->clear, numbered(acknowledged[i])) << i;
        const auto report = trace->check();
        ASSERT_TRUE(report && report->clean());
        const auto log = log_bytes();
        const auto left = ByteView(log).subspan(offset_of(acknowledged.size()));
        EXPECT_TRUE(std::all_of(left.begin(), left.end(), [](std::uint8_t byte) { return byte == 0; }))
            << "nothing that was refused is left";
    };
    for (const int error : {EIO, ENOSPC}) {
        for (const Step& step : steps) {
            append(false);
            told.clear();
            {
                std::atomic<bool> once{true};
                const FaultyDisk disk(folder_, [&](const FaultyDisk::Operation& operation) {
                    return operation.call == step.call && operation.path.filename() == step.file && once.exchange(false) ? error : 0;
                });
                append(step.refused);
                EXPECT_FALSE(once) << "the fault was not met";
                append(false);  // without being opened again
                EXPECT_FALSE(trace->failure());
                expect_all();
            }
            ASSERT_EQ(told.size(), 1U);
            EXPECT_NE(told[0].find(step.file), std::string::npos) << told[0];
        }
    }
    trace.reset();
    EXPECT_TRUE(checked().clean());
    trace = open();
    expect_all();
}

TEST_F(TraceTest, WhatCannotBeCutOffYetIsCutOffBeforeAnythingElseIsTaken) {
    using Call = FaultyDisk::Call;
    for (const auto stuck : {Call::truncate, Call::sync, Call::write}) {  // of the log: cutting, syncing the cut; then the head
        auto trace = open();
        const auto size = trace->size();
        add(*trace, size, size + 2);
        std::atomic<bool> failing{true};
        const FaultyDisk disk(folder_, [&](const FaultyDisk::Operation& operation) {
            if (!failing) return 0;
            const bool of_log = operation.path.filename() == impl::kLogName;
            return (of_log && operation.call == Call::sync) || (operation.call == stuck && (of_log || stuck == Call::write)) ? EIO : 0;
        });
        EXPECT_EQ(trace->append_durable(numbered(99), {}).error().code, ErrorCode::io);
        ASSERT_TRUE(trace->failure());
        EXPECT_NE(trace->failure()->message.find("cannot be cut off yet"), std::string::npos) << trace->failure()->message;
        EXPECT_EQ(trace->append_durable(numbered(99), {}).error().code, ErrorCode::unavailable);
        EXPECT_EQ(trace->append(numbered(99), {}).error().code, ErrorCode::unavailable);
        EXPECT_EQ(trace->read(size + 1)->clear, numbered(size + 1)) << "what is there is read all the same";
        if (stuck == Call::sync) {  // it ends without having been able to: the next start finds the end
            trace.reset();
            failing = false;
            trace = open();
        } else {
            failing = false;
            wait_until_mended(*trace);
        }
        const auto taken = trace->append_durable(numbered(size + 2), {});
        ASSERT_TRUE(taken) << taken.error().message;
        EXPECT_GE(*taken, size + 2);
        EXPECT_TRUE(trace->check()->clean());
    }
    EXPECT_TRUE(checked().clean());
}

TEST_F(TraceTest, FailuresAtRandomLoseNothingThatWasAcknowledged) {
    std::mt19937 dice(7);
    std::map<std::uint64_t, std::uint64_t> acknowledged;
    std::mutex mutex;
    std::uint64_t next = 0;
    int failures = 0;
    for (int round = 0; round < 10; ++round) {
        auto trace = open({.sync_head_every = 3});
        {
            const FaultyDisk disk(folder_, [&](const FaultyDisk::Operation&) {  // one at a time: under the disk's lock
                const bool fails = dice() % 20 == 0;
                failures += fails ? 1 : 0;
                return fails ? (dice() % 2 == 0 ? EIO : ENOSPC) : 0;
            });
            std::vector<std::thread> threads;
            for (int t = 0; t < 3; ++t) {
                threads.emplace_back([&] {
                    for (int i = 0; i < 100; ++i) {
                        std::unique_lock lock(mutex);
                        const auto content = next++;
                        lock.unlock();
                        const auto index = trace->append_durable(numbered(content), {});
                        if (index) {
                            lock.lock();
                            EXPECT_TRUE(acknowledged.emplace(*index, content).second) << "entry " << *index << " a second time";
                        } else if (trace->failure()) {
                            break;
                        }
                    }
                });
            }
            for (auto& thread : threads) thread.join();
            if (round % 2 == 0) trace.reset();  // it ends on the disk that fails
        }
        trace.reset();
        trace = open();
        ASSERT_NE(trace, nullptr);
        const auto report = trace->check();
        ASSERT_TRUE(report && report->clean());
        for (const auto& [index, content] : acknowledged) ASSERT_EQ(trace->read(index)->clear, numbered(content)) << index;
    }
    EXPECT_GT(acknowledged.size(), 100U);
    EXPECT_GT(failures, 20);
}

TEST_F(TraceTest, ATornTailIsCutAtEveryLength) {
    open();
    Bytes old_head, old_log, new_log;
    {
        const auto trace = open();
        add(*trace, 0, 4);
    }
    old_head = head_bytes();
    old_log = log_bytes();
    add(*open(), 4, 5);
    new_log = log_bytes();
    ASSERT_EQ(new_log.size(), old_log.size() + kRecord);
    for (std::size_t size = old_log.size(); size <= new_log.size(); ++size) {
        put_head(old_head);
        put_log(ByteView(new_log).first(size));
        const auto report = checked();
        EXPECT_TRUE(report.clean()) << size;
        const bool whole = size == new_log.size();
        const auto tail = ByteView(new_log).first(size).subspan(old_log.size());
        const bool is_room = std::all_of(tail.begin(), tail.end(), [](std::uint8_t byte) { return byte == 0; });
        EXPECT_EQ(report.torn_tail_bytes, whole || is_room ? 0 : size - old_log.size());
        const auto trace = open();
        ASSERT_NE(trace, nullptr) << size;
        EXPECT_EQ(trace->size(), whole ? 5U : 4U) << size;
        EXPECT_EQ(log_bytes().size(), whole ? new_log.size() : old_log.size());
        EXPECT_TRUE(trace->check()->clean());
    }
}

TEST_F(TraceTest, RoomThatWasMadeForEntriesIsNoTail) {
    Bytes open_log, open_head;
    {
        const auto trace = open();
        add(*trace, 0, 3);
        open_log = log_bytes();
        open_head = head_bytes();
        EXPECT_GT(open_log.size(), offset_of(3));
        add(*trace, 3, 5);
        EXPECT_EQ(log_bytes().size(), open_log.size()) << "there is room for them";
    }
    EXPECT_EQ(log_bytes().size(), offset_of(5)) << "cut when it is closed";
    // Killed while it was open.
    put_log(open_log);
    put_head(open_head);
    const auto report = checked();
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(report.torn_tail_bytes, 0U);
    EXPECT_EQ(open()->size(), 3U);
    EXPECT_EQ(log_bytes().size(), offset_of(3));
}

TEST_F(TraceTest, AGroupOfWhichOnlyLaterPartsReachedTheDiskIsCut) {
    add(*open(), 0, 2);
    const Bytes old_head = head_bytes();
    {
        const auto trace = open();
        add_group(*trace, 2, 6);  // entry 2 alone, then 3, 4 and 5 together
    }
    Bytes log = log_bytes();
    std::fill_n(log.begin() + static_cast<std::ptrdiff_t>(offset_of(3)), kRecord, std::uint8_t{0});  // a page that a power cut lost
    put_log(log);
    put_head(old_head);
    const auto trace = open();
    ASSERT_NE(trace, nullptr);
    EXPECT_EQ(trace->size(), 3U);
    add(*trace, 3, 4);
    EXPECT_TRUE(trace->check()->clean());
}

TEST_F(TraceTest, DamageBeforeALaterGroupIsCorruptionEvenBehindTheHead) {
    add(*open(), 0, 2);
    const Bytes old_head = head_bytes();
    add(*open(), 2, 5);
    const Bytes good = log_bytes();
    for (std::size_t at = offset_of(2); at < offset_of(4); ++at) {  // entries 2 and 3; entry 4 is whole and of a later group
        Bytes log = good;
        log[at] ^= 0x20;
        put_log(log);
        put_head(old_head);
        const Error error = refusal();
        EXPECT_EQ(error.code, ErrorCode::corrupt) << at;
        EXPECT_NE(error.message.find("entry " + std::to_string(at < offset_of(3) ? 2 : 3)), std::string::npos) << error.message;
        EXPECT_FALSE(checked().clean());
        EXPECT_EQ(log_bytes(), log) << "nothing was cut";
    }
}

TEST_F(TraceTest, EveryAlteredByteIsFoundAndItsEntryNamed) {
    add(*open(), 0, 5);
    const Bytes good = log_bytes();
    ASSERT_EQ(good.size(), offset_of(5));
    for (std::size_t at = 0; at < good.size(); ++at) {
        Bytes log = good;
        log[at] ^= 1;
        put_log(log);
        const auto report = checked();
        ASSERT_FALSE(report.clean()) << at;
        if (at < impl::kHeaderSize) continue;
        const std::size_t index = (at - impl::kHeaderSize) / kRecord;
        ASSERT_EQ(report.faults.size(), 1U) << at << ": " << report.faults[1].message;
        EXPECT_EQ(report.faults[0].index, index) << at;
        EXPECT_EQ(report.faults[0].offset, offset_of(index)) << at;
        EXPECT_NE(report.faults[0].message.find("entry " + std::to_string(index)), std::string::npos);
        EXPECT_EQ(report.size, 4U) << "the others are right";
    }
    put_log(good);
    EXPECT_TRUE(checked().clean());
}

TEST_F(TraceTest, ReadAndCheckOfAnOpenLogNameTheAlteredEntry) {
    const auto trace = open();
    add(*trace, 0, 5);
    {
        auto file = File::open(folder_ / impl::kLogName, File::Mode::read_write);
        ASSERT_TRUE(file->write_at(offset_of(3) + 40, Bytes{0xff}));
    }
    EXPECT_TRUE(trace->read(2));
    EXPECT_TRUE(trace->read(4));
    const auto entry = trace->read(3);
    ASSERT_FALSE(entry);
    EXPECT_EQ(entry.error().code, ErrorCode::corrupt);
    EXPECT_NE(entry.error().message.find("entry 3"), std::string::npos);
    EXPECT_EQ(trace->for_each(0, [](std::uint64_t, const StoredEntry&) { return true; }).error().code, ErrorCode::corrupt);
    EXPECT_EQ(trace->check()->faults.at(0).index, 3U);
}

TEST_F(TraceTest, DroppedReorderedAndRepeatedEntriesAreNamed) {
    add(*open(), 0, 6);
    const Bytes good = log_bytes();
    const auto record = [&](std::size_t index) { return ByteView(good).subspan(offset_of(index), kRecord); };
    const auto built = [&](std::initializer_list<std::size_t> order) {
        Bytes log(good.begin(), good.begin() + impl::kHeaderSize);
        for (const std::size_t index : order) append(log, record(index));
        put_log(log);
        return checked();
    };
    EXPECT_TRUE(built({0, 1, 2, 3, 4, 5}).clean());

    const auto dropped = built({0, 1, 4, 5});
    ASSERT_FALSE(dropped.clean());
    EXPECT_EQ(dropped.faults[0].message, "entry 2 to 3 is missing at byte " + std::to_string(offset_of(2)) + ": entry 4 follows");

    const auto reordered = built({0, 2, 1, 3, 4, 5});
    ASSERT_EQ(reordered.faults.size(), 2U);
    EXPECT_EQ(reordered.faults[0].index, 1U);
    EXPECT_EQ(reordered.faults[1].message, "entry 1 at byte " + std::to_string(offset_of(2)) + " stands where entry 3 belongs");

    const auto repeated = built({0, 1, 1, 2, 3, 4, 5});
    ASSERT_FALSE(repeated.clean());
    EXPECT_EQ(repeated.faults[0].message, "entry 1 at byte " + std::to_string(offset_of(2)) + " stands where entry 2 belongs");

    const auto cut = built({0, 1, 2, 3});
    ASSERT_FALSE(cut.clean());
    EXPECT_EQ(cut.faults[0].message, "the log ends before entry 4, but its head says 6 entries");
    EXPECT_EQ(refusal().code, ErrorCode::corrupt);

    const auto none = built({});
    ASSERT_FALSE(none.clean());
    EXPECT_EQ(refusal().code, ErrorCode::corrupt);
}

TEST_F(TraceTest, ARecordForgedWithTheKeyStillDoesNotGiveTheRoot) {
    add(*open(), 0, 6);
    Bytes log = log_bytes();
    const auto key = impl::parse_header(ByteView(log).first(impl::kHeaderSize), mac_key()).value();
    Entry lie = numbered(3);
    lie.allowed = false;
    const Bytes entry = encode_entry(lie, {}).value();
    Bytes record;
    impl::append_record(record, key, 3, 0, entry, entry_leaf_hash(entry));
    std::copy(record.begin(), record.end(), log.begin() + static_cast<std::ptrdiff_t>(offset_of(3)));
    put_log(log);
    const auto report = checked();
    ASSERT_EQ(report.faults.size(), 1U);
    EXPECT_EQ(report.faults[0].message, "the entries do not give the root of the head at size 6");
}

TEST_F(TraceTest, ARecordOfAnotherLogIsAltered) {
    add(*open(), 0, 3);
    const Bytes first = log_bytes();
    fs::remove(folder_ / impl::kLogName);
    fs::remove(folder_ / impl::kHeadName);
    add(*open(), 0, 3);
    Bytes second = log_bytes();
    std::copy_n(first.begin() + static_cast<std::ptrdiff_t>(offset_of(1)), kRecord,
                second.begin() + static_cast<std::ptrdiff_t>(offset_of(1)));
    put_log(second);
    EXPECT_EQ(checked().faults.at(0).index, 1U);
}

TEST_F(TraceTest, OneHeadSlotIsEnough) {
    {
        const auto trace = open();
        add(*trace, 0, 3);
    }
    const Bytes head = head_bytes();
    for (const std::size_t slot : {std::size_t{0}, impl::kHeadSlotSize}) {
        Bytes torn = head;
        std::fill_n(torn.begin() + static_cast<std::ptrdiff_t>(slot), 100, std::uint8_t{0xee});
        put_head(torn);
        const auto report = checked();
        EXPECT_TRUE(report.clean());
        EXPECT_EQ(report.size, 3U);
        const auto trace = open();
        ASSERT_NE(trace, nullptr);
        EXPECT_EQ(trace->size(), 3U);
    }
}

TEST_F(TraceTest, MissingFilesAreNamed) {
    add(*open(), 0, 3);
    const Bytes head = head_bytes();
    const Bytes log = log_bytes();
    fs::remove(folder_ / impl::kHeadName);
    EXPECT_FALSE(checked().clean());
    EXPECT_EQ(refusal().code, ErrorCode::corrupt);
    fs::remove(folder_ / impl::kHeadName);
    put_head(Bytes(2 * impl::kHeadSlotSize, 0));
    EXPECT_EQ(refusal().code, ErrorCode::corrupt);
    put_head(head);
    EXPECT_NE(open(), nullptr);
    fs::remove(folder_ / impl::kLogName);
    EXPECT_EQ(refusal().code, ErrorCode::corrupt);
    put_log(Bytes(impl::kHeaderSize + 5, 'x'));
    EXPECT_EQ(refusal().code, ErrorCode::malformed);
    Bytes later = log;
    later[13] = '2';
    put_log(later);
    EXPECT_EQ(refusal().code, ErrorCode::unsupported);
    put_log(log);
    EXPECT_NE(open(), nullptr);
}

TEST_F(TraceTest, AnInterruptedCreationIsMadeAgain) {
    open();
    const Bytes log = log_bytes();
    fs::remove(folder_ / impl::kHeadName);
    for (std::size_t size = 0; size <= log.size(); ++size) {
        put_log(ByteView(log).first(size));
        const auto trace = open();
        ASSERT_NE(trace, nullptr) << size;
        EXPECT_EQ(trace->size(), 0U);
        fs::remove(folder_ / impl::kHeadName);
    }
}

}  // namespace
}  // namespace fiducial::audit
