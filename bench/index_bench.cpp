// The index as it grows: rows inserted durably, and how long opening it takes after a clean stop and after a process that was suddenly
// gone, at 1,000 to 10 million instances. What else a start of the archive opens does not grow with them. The sizes: FIDUCIAL_BENCH_ROWS
// (default "1000 1000000"). Databases are filled once, in bulk, and kept below build/bench/index (or FIDUCIAL_BENCH_DIR): 10 million
// instances take some 20 GB and the better part of an hour.
#include <benchmark/benchmark.h>
#include <soci/soci.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/file.hpp"
#include "base/log.hpp"
#include "database/database.hpp"
#include "store/impl/vault_state.hpp"
#include "store/store.hpp"

namespace {

using namespace fiducial;
namespace fs = std::filesystem;

constexpr std::int64_t kInstancesOfAStudy = 300;  // a CT
constexpr std::int64_t kFilledAtOnce = 3000;
constexpr std::int64_t kInsertedAtOnce = 100;  // what a group of commits shares

template <typename T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().message.c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

fs::path folder_of(std::int64_t rows) {
    const char* base = std::getenv("FIDUCIAL_BENCH_DIR");
    return fs::path(base != nullptr ? base : "build/bench/index") / std::to_string(rows);
}

/// Instances first … first + count - 1 of an archive: what the vault would tell of them.
std::vector<store::StoredObject> objects(store::Store& store, std::int64_t first, std::int64_t count) {
    std::vector<store::StoredObject> out;
    out.reserve(static_cast<std::size_t>(count));
    for (auto i = first; i < first + count; ++i) {
        const auto study_number = i / kInstancesOfAStudy;
        const std::string study = "1.2.826.0.1.3680043.10.999." + std::to_string(study_number);
        store::StoredObject object;
        object.ref.id = store::new_object_id();
        object.ref.header_hash = object.ref.chunk_root = object.sha256 = crypto::random_bytes32();
        object.ref.size = 524'288;
        auto& description = object.description;
        description.study_uid = must(Uid::parse(study));
        description.series_uid = must(Uid::parse(study + ".1"));
        description.sop_uid = must(Uid::parse(study + ".1." + std::to_string(i % kInstancesOfAStudy)));
        description.sop_class_uid = must(Uid::parse("1.2.840.10008.5.1.4.1.1.2"));
        description.transfer_syntax_uid = must(Uid::parse("1.2.840.10008.1.2.1"));
        description.patient_id.value = "P" + std::to_string(study_number / 3);
        description.arrival_ms = 1'750'000'000'000 + static_cast<std::uint64_t>(i);
        description.attributes.set(dicom::tags::kModality, {"CT"});
        description.attributes.set(dicom::tags::kPatientName, {"Bench^Mark " + std::to_string(study_number / 3)});
        object.ref.slot = must(store.study_slot(description.study_uid));
        out.push_back(std::move(object));
    }
    return out;
}

void insert(store::Store& store, database::Durability durability, std::int64_t first, std::int64_t count) {
    auto group = objects(store, first, count);
    must(store.database().write(durability, [&](database::Transaction& t) -> Result<void> {
        for (auto& object : group) {
            FID_TRY(object.description.patient_slot,
                    store.index().patient_slot(t, object.description.patient_id, object.description.issuer, object.description.study_uid));
        }
        return store.index().insert(t, group, 0);
    }));
}

std::unique_ptr<store::Store> open(std::int64_t rows) {
    return must(store::Store::open(folder_of(rows), crypto::Secret(32)));
}

/// By the number of the last row: counting would read all of it.
std::int64_t instances_in(store::Store& store) {
    long long last = 0;
    must(store.database().read([&](database::Transaction& t) {
        return database::attempt("the last instance", [&] { t.sql() << "SELECT COALESCE(MAX(id), 0) FROM instances", soci::into(last); });
    }));
    return last;
}

/// Goes on where an earlier run was ended.
void fill(std::int64_t rows) {
    fs::create_directories(folder_of(rows));
    const auto store = open(rows);
    for (auto done = instances_in(*store); done < rows;) {
        const auto count = std::min(kFilledAtOnce, rows - done);
        insert(*store, database::Durability::rebuildable, done, count);
        done += count;
        if (done % (100 * kFilledAtOnce) < kFilledAtOnce)
            std::fprintf(stderr, "filling: %lld of %lld\n", static_cast<long long>(done), static_cast<long long>(rows));
    }
}

void insert_durably(benchmark::State& state) {
    const auto store = open(state.range(0));
    auto next = instances_in(*store);
    for (auto _ : state) {
        insert(*store, database::Durability::full, next, kInsertedAtOnce);
        next += kInsertedAtOnce;
    }
    state.SetItemsProcessed(state.iterations() * kInsertedAtOnce);
}

void start_after_a_clean_stop(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(open(state.range(0)));
}

/// A child inserts and is gone without a word; then the start.
void start_after_a_kill(benchmark::State& state) {
    for (auto _ : state) {
        state.PauseTiming();
        const auto child = ::fork();
        if (child == 0) {
            const auto store = open(state.range(0));
            const auto there = instances_in(*store);
            for (int i = 0; i < 20; ++i) insert(*store, database::Durability::full, there + i * kInsertedAtOnce, kInsertedAtOnce);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        if (status != 0) state.SkipWithError("the child failed");
        state.ResumeTiming();
        auto store = open(state.range(0));
        state.PauseTiming();
        store.reset();
        state.ResumeTiming();
    }
}

}  // namespace

int main(int argc, char** argv) {
    fiducial::log::set_level(fiducial::log::Level::error);
    const char* sizes = std::getenv("FIDUCIAL_BENCH_ROWS");
    std::istringstream list(sizes != nullptr ? sizes : "1000 1000000");
    for (std::int64_t rows = 0; list >> rows;) {
        fill(rows);
        benchmark::RegisterBenchmark("insert_durably", insert_durably)->Arg(rows)->UseRealTime();
        benchmark::RegisterBenchmark("start_after_a_clean_stop", start_after_a_clean_stop)
            ->Arg(rows)
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime()
            ->Iterations(3);
        benchmark::RegisterBenchmark("start_after_a_kill", start_after_a_kill)
            ->Arg(rows)
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime()
            ->Iterations(3);
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
