// The trace against the disk's own rate: what does an entry cost beside a plain write and fdatasync of as many bytes?
// Set FIDUCIAL_BENCH_DIR to measure another disk than that of the temporary folder.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>

#include "audit/trace.hpp"
#include "base/file.hpp"

namespace {

using namespace fiducial;
namespace fs = std::filesystem;

constexpr std::size_t kEntryBytes = 400;  // about what an entry with both parts takes

struct Folder {
    Folder() {
        const char* base = std::getenv("FIDUCIAL_BENCH_DIR");
        std::string name = (fs::path(base != nullptr ? base : fs::temp_directory_path().c_str()) / "fiducial-audit-bench-XXXXXX").string();
        FID_INVARIANT(::mkdtemp(name.data()) != nullptr, "no folder for the benchmark");
        path = name;
    }
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

/// The floor: one writer that writes 400 bytes at the file's end and syncs, as dd oflag=dsync does.
void write_and_fdatasync(benchmark::State& state) {
    const Folder folder;
    auto file = File::open(folder.path / "plain", File::Mode::create_new).value();
    const Bytes block(kEntryBytes, 1);
    std::uint64_t offset = 0;
    for (auto _ : state) {
        if (!file.write_at(offset, block) || !file.sync_data()) state.SkipWithError("the disk fails");
        offset += block.size();
    }
    state.SetItemsProcessed(state.iterations());
}

struct Setup {
    Folder folder;
    crypto::Secret staff_key = crypto::random_secret(32);
    crypto::Secret patient_key = crypto::random_secret(32);
    std::unique_ptr<audit::Trace> trace = *audit::Trace::create(folder.path, crypto::Secret(32));
    audit::Entry entry;
    audit::EntryKeys keys{{Bytes32{1}, &staff_key}, {Bytes32{2}, &patient_key}};

    Setup() {
        entry.time = system_clock().now();
        entry.staff = audit::StaffPart{Bytes32{3}, "192.0.2.7:4711"};
        entry.patient = audit::PatientPart{Bytes32{4}, Bytes32{5}, Bytes32{6}};
    }
};
std::unique_ptr<Setup> shared;

/// Each thread is a request that waits for its entry; how many share one sync shows in the rate.
void append_durable(benchmark::State& state) {
    for (auto _ : state) {
        if (!shared->trace->append_durable(shared->entry, shared->keys)) state.SkipWithError("an entry fails");
    }
    state.SetItemsProcessed(state.iterations());
}

/// Entries queued without waiting, as by doors that call back when durable: the most that the writer manages.
void append_queued(benchmark::State& state) {
    Setup setup;
    for (auto _ : state) {
        audit::Trace::Ticket last;
        for (int i = 0; i < 1000; ++i) last = setup.trace->append(setup.entry, setup.keys).value();
        if (!setup.trace->wait_durable(last)) state.SkipWithError("an entry fails");
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}

void encode(benchmark::State& state) {
    const Setup setup;
    for (auto _ : state) benchmark::DoNotOptimize(audit::encode_entry(setup.entry, setup.keys));
    state.SetItemsProcessed(state.iterations());
}

void check(benchmark::State& state) {
    Setup setup;
    audit::Trace::Ticket last;
    for (int i = 0; i < 20000; ++i) last = setup.trace->append(setup.entry, setup.keys).value();
    if (!setup.trace->wait_durable(last)) state.SkipWithError("an entry fails");
    for (auto _ : state) {
        if (!setup.trace->check()->clean()) state.SkipWithError("not clean");
    }
    state.SetItemsProcessed(state.iterations() * 20000);
}

void make_shared(const benchmark::State&) {
    shared = std::make_unique<Setup>();
}
void drop_shared(const benchmark::State&) {
    shared.reset();
}

BENCHMARK(write_and_fdatasync)->UseRealTime();
BENCHMARK(append_durable)->Setup(make_shared)->Teardown(drop_shared)->Threads(1)->Threads(8)->Threads(16)->Threads(64)->UseRealTime();
BENCHMARK(append_queued)->UseRealTime();
BENCHMARK(encode);
BENCHMARK(check)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
