// What evidence costs: checking a bundle, and opening an image in a study of many (the archive's part; the node's is asked for proofs).
#include <benchmark/benchmark.h>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "crypto/merkle.hpp"
#include "evidence/data_set_hash.hpp"
#include "evidence/study_record.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::evidence {
namespace {

struct Sample {
    std::string bundle, trust;
};
Sample sample(std::size_t which) {
    const auto bytes = read_file(FIDUCIAL_SOURCE_DIR "/test/vectors/evidence/vectors.json", std::uint64_t{64} << 20);
    FID_INVARIANT(bytes.has_value(), "test/vectors/evidence/vectors.json is missing");
    const auto value = json::parse(as_text(*bytes), bytes->size());
    FID_INVARIANT(value.has_value(), "test/vectors/evidence/vectors.json is no JSON");
    const auto& bundles = value->at("bundles").as_array();
    const auto& item = bundles.at(which % bundles.size());
    return {std::string(item.at("bundle").as_string()), std::string(item.at("trust").as_string())};
}

void check_bundle(benchmark::State& state) {
    const auto one = sample(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        auto report = verify(one.bundle, one.trust, std::nullopt);
        benchmark::DoNotOptimize(report);
    }
    state.counters["bytes"] = static_cast<double>(one.bundle.size());
}
BENCHMARK(check_bundle)->Arg(0)->Arg(1)->Arg(2)->Unit(benchmark::kMicrosecond);

void study_tree_of(benchmark::State& state) {
    const StudySecrets secrets(crypto::random_secret(32));
    std::vector<InstanceBody> bodies;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        InstanceBody body;
        body.sop_instance_uid = *Uid::parse("1.2.826." + std::to_string(100'000 + i));
        body.transfer_syntax_uid = *Uid::parse("1.2.840.10008.1.2.1");
        body.size = 524'288;
        bodies.push_back(body);
    }
    for (auto _ : state) {
        auto tree = study_tree(secrets, bodies);
        auto path = crypto::merkle_inclusion_path(tree->leaves, 0);
        benchmark::DoNotOptimize(path);
    }
}
BENCHMARK(study_tree_of)->Arg(1)->Arg(300)->Arg(4000)->Unit(benchmark::kMicrosecond);

void fingerprint(benchmark::State& state) {
    Bytes data(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        DataSetHasher hasher;
        hasher.update(data);
        auto done = hasher.finish();
        benchmark::DoNotOptimize(done);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(fingerprint)->Arg(32 << 10)->Arg(512 << 10)->Arg(2500 << 10);

}  // namespace
}  // namespace fiducial::evidence

BENCHMARK_MAIN();
