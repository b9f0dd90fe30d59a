// Durable import against the disk's own rate: the same bytes appended to a plain file, with fdatasync after each object.
// CT: 0.5 MB; CXR: 2.5 MB; 1 and 4 writers. Set FIDUCIAL_BENCH_DIR to measure another disk than that of the temporary folder.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>

#include "base/file.hpp"
#include "crypto/hash.hpp"
#include "evidence/data_set_hash.hpp"
#include "store/impl/object_cipher.hpp"
#include "store/store.hpp"

namespace {

using namespace fiducial;
namespace fs = std::filesystem;

constexpr std::int64_t kCt = 524'288;
constexpr std::int64_t kCxr = 2'500'000;

struct Folder {
    Folder() {
        const char* base = std::getenv("FIDUCIAL_BENCH_DIR");
        std::string name = (fs::path(base != nullptr ? base : fs::temp_directory_path().c_str()) / "fiducial-store-bench-XXXXXX").string();
        FID_INVARIANT(::mkdtemp(name.data()) != nullptr, "no folder for the benchmark");
        path = name;
    }
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

Bytes incompressible(std::int64_t size) {
    Bytes bytes(static_cast<std::size_t>(size));
    crypto::fill_random(bytes);
    return bytes;
}

void count(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

// What all threads of one run share; made by the first, dropped by the last.
struct Plain {
    Folder folder;
    File file = File::open(folder.path / "plain", File::Mode::create_new).value();
    std::atomic<std::uint64_t> end{0};
};
struct Import {
    Folder folder;
    std::unique_ptr<store::Store> store = store::Store::open(folder.path / "store", crypto::Secret(32)).value();
    std::atomic<std::uint64_t> number{0};
};
std::unique_ptr<Plain> plain;
std::unique_ptr<Import> import_;

/// The floor: as dd conv=fsync for each object, each writer waiting for its own sync.
void append_and_sync(benchmark::State& state) {
    const auto bytes = incompressible(state.range(0));
    for (auto _ : state) {
        const auto at = plain->end.fetch_add(bytes.size());
        if (!plain->file.write_at(at, bytes) || !plain->file.sync_data()) state.SkipWithError("the disk fails");
    }
    count(state);
}

/// The same for bytes that are hashed, whole and in chunks, and encrypted first: what no secured archive on this machine can beat.
void secure_append_and_sync(benchmark::State& state) {
    const auto bytes = incompressible(state.range(0));
    const auto chunks = evidence::chunk_count(bytes.size());
    Bytes sealed(store::sealed_size(bytes.size()));
    store::StreamCipher cipher(crypto::Secret::copy_of(Bytes(32, 7)), Bytes(store::ObjectHeader::kSize, 1));
    for (auto _ : state) {
        evidence::DataSetHasher hasher;
        hasher.update(bytes);
        auto print = hasher.finish();
        benchmark::DoNotOptimize(print);
        for (std::uint64_t i = 0; i < chunks; ++i) {
            const auto plain_at = i * evidence::kChunkSize;
            const auto chunk = ByteView(bytes).subspan(plain_at, std::min<std::size_t>(evidence::kChunkSize, bytes.size() - plain_at));
            cipher.seal(static_cast<std::uint32_t>(i), i + 1 == chunks, chunk,
                        MutableByteView(sealed).subspan(i * store::kSealedChunkSize, chunk.size() + crypto::kAeadTagSize));
        }
        const auto at = plain->end.fetch_add(sealed.size());
        if (!plain->file.write_at(at, sealed) || !plain->file.sync_data()) state.SkipWithError("the disk fails");
    }
    count(state);
}

/// Hashed, encrypted, durable, indexed: what an import waits for.
void import_durably(benchmark::State& state) {
    const auto bytes = incompressible(state.range(0));
    store::ObjectDescription description;
    const std::string study = "1.2.826.0.1." + std::to_string(state.thread_index());
    description.study_uid = *Uid::parse(study);
    description.series_uid = *Uid::parse(study + ".1");
    description.transfer_syntax_uid = *Uid::parse("1.2.840.10008.1.2.1");
    description.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2");
    description.patient_id.value = "P" + std::to_string(state.thread_index());
    description.attributes.set(dicom::tags::kModality, {"CT"});
    description.attributes.set(dicom::tags::kPatientName, {"Bench^Mark"});
    const Bytes fragment(3000, '{');
    const Bytes prefix(350, 1);
    for (auto _ : state) {
        auto writer = import_->store->begin_object(description.study_uid);
        if (!writer || !writer->write(bytes)) {
            state.SkipWithError("the store takes nothing");
            break;
        }
        description.sop_uid = *Uid::parse(study + ".1." + std::to_string(import_->number++));
        const auto stored = import_->store->commit({*std::move(writer), description, fragment, prefix});
        if (!stored || stored->admission != store::Admission::stored) {
            state.SkipWithError(stored ? "the store knows it" : stored.error().message.c_str());
            break;
        }
    }
    count(state);
}

/// Read back: decrypted, each chunk checked.
void read_checked(benchmark::State& state) {
    Import site;
    const auto bytes = incompressible(state.range(0));
    store::ObjectDescription description;
    description.study_uid = *Uid::parse("1.2.3");
    description.series_uid = *Uid::parse("1.2.3.1");
    description.sop_uid = *Uid::parse("1.2.3.1.1");
    auto writer = site.store->begin_object(description.study_uid);
    FID_INVARIANT(writer && writer->write(bytes), "the store takes nothing");
    const auto stored = site.store->commit({*std::move(writer), description, {}, {}});
    FID_INVARIANT(stored.has_value(), "the store takes nothing");
    Bytes out(262'144);
    for (auto _ : state) {
        auto reader = site.store->open_object(stored->ref);
        std::uint64_t at = 0;
        while (reader && at < bytes.size()) {
            const auto got = reader->read(at, out);
            if (!got) break;
            at += *got;
        }
        if (at != bytes.size()) state.SkipWithError("not readable");
    }
    count(state);
}

/// A store of 200 CT slices, warm in the page cache for both.
struct Filled {
    Filled() {
        const auto bytes = incompressible(kCt);
        store::ObjectDescription description;
        description.study_uid = *Uid::parse("1.2.3");
        description.series_uid = *Uid::parse("1.2.3.1");
        for (int i = 0; i < 200; ++i) {
            description.sop_uid = *Uid::parse("1.2.3.1." + std::to_string(i));
            auto writer = site.store->begin_object(description.study_uid);
            FID_INVARIANT(writer && writer->write(bytes), "the store takes nothing");
            FID_INVARIANT(site.store->commit({*std::move(writer), description, {}, {}}).has_value(), "the store takes nothing");
        }
    }
    Import site;
};

void fsck_objects(benchmark::State& state) {
    Filled filled;
    for (auto _ : state) {
        const auto report = filled.site.store->fsck({});
        if (!report || !report->clean() || report->objects != 200) state.SkipWithError("not clean");
    }
    state.SetBytesProcessed(state.iterations() * 200 * kCt);
}

/// The floor: the same files read from one end to the other, and hashed.
void read_and_hash(benchmark::State& state) {
    Filled filled;
    Bytes piece(std::size_t{1} << 20);
    for (auto _ : state) {
        for (const auto& entry : fs::directory_iterator(filled.site.folder.path / "store" / "segments")) {
            const auto file = File::open(entry.path(), File::Mode::read).value();
            const auto size = entry.file_size();
            crypto::Sha256 hash;
            for (std::uint64_t at = 0; at < size; at += piece.size()) {
                const auto part = MutableByteView(piece).first(std::min<std::uint64_t>(piece.size(), size - at));
                if (!file.read_exactly_at(at, part)) state.SkipWithError("not readable");
                hash.update(part);
            }
            auto done = hash.finish();
            benchmark::DoNotOptimize(done);
        }
    }
    state.SetBytesProcessed(state.iterations() * 200 * kCt);
}
BENCHMARK(read_and_hash)->UseRealTime();
BENCHMARK(fsck_objects)->UseRealTime();

/// By 1 and 4 writers, of a CT slice and of a radiograph each; `shared` is what the writers of one run have in common.
template <auto& shared>
void by_writers(benchmark::internal::Benchmark* bench) {
    bench->ArgName("bytes")
        ->Arg(kCt)
        ->Arg(kCxr)
        ->Threads(1)
        ->Threads(4)
        ->UseRealTime()
        ->Setup(
            [](const benchmark::State&) { shared = std::make_unique<typename std::remove_reference_t<decltype(shared)>::element_type>(); })
        ->Teardown([](const benchmark::State&) { shared.reset(); });
}
BENCHMARK(append_and_sync)->Apply(by_writers<plain>);
BENCHMARK(secure_append_and_sync)->Apply(by_writers<plain>);
BENCHMARK(import_durably)->Apply(by_writers<import_>);
BENCHMARK(read_checked)->ArgName("bytes")->Arg(kCt)->Arg(kCxr)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
