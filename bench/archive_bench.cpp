// A whole site as it runs in a hospital: a chain of its own on a real geth, contracts, store, trace. What a decision costs, remembered and
// asked; what making and checking a bundle of one image in a study of 300 costs.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdio>
#include <optional>
#include <thread>

#include "archive/access.hpp"
#include "archive/rights_sink.hpp"
#include "archive/service.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "dicom/test_data_sets.hpp"
#include "evidence/trust_file.hpp"
#include "evidence/verifier.hpp"
#include "ledger/node/local_node.hpp"
#include "net/client.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::archive;
namespace fs = std::filesystem;

template <typename T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().message.c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Bytes file_of(const std::string& study, std::uint64_t instance, std::size_t pixel_bytes) {
    using namespace dicom::test;
    Bytes pixels(pixel_bytes);
    crypto::fill_random(pixels);
    Builder b(Form::explicit_le);
    b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2")
        .text(0x00080018, "UI", study + ".1." + std::to_string(instance))
        .text(0x00080060, "CS", "CT");
    b.text(0x00100010, "PN", "Bench^Mark")
        .text(0x00100020, "LO", "P" + study)
        .text(0x0020000d, "UI", study)
        .text(0x0020000e, "UI", study + ".1")
        .raw(0x7fe00010, "OW", pixels);
    return joined(prefix("1.2.840.10008.1.2.1"), b.out);
}

struct Running {
    Running() {
        log::set_level(log::Level::error);
        const char* base = std::getenv("FIDUCIAL_BENCH_DIR");
        std::string name =
            (fs::path(base != nullptr ? base : fs::temp_directory_path().c_str()) / "fiducial-archive-bench-XXXXXX").string();
        FID_INVARIANT(::mkdtemp(name.data()) != nullptr, "no folder for the benchmark");
        folder = name;
        InitOptions options;
        options.folder = folder / "site";
        options.argon2.memory_kib = 8192;
        const auto passphrase = crypto::Secret::copy_of(as_bytes("benchmark"));
        must(init_site(options, passphrase));
        auto site = must(Site::open(options.folder, passphrase));
        facts = site.facts();
        trust_text = as_text(must(read_file(site.layout().trust_file(), 1 << 20)));
        socket = must(ledger::socket_path_for(site.layout().ledger())).string();
        service = must(Service::open(std::move(site), Service::Ledger::required));
    }
    ~Running() {
        service.reset();
        std::error_code ec;
        fs::remove_all(folder, ec);
    }
    Requester custodian() const { return service->command_requester(); }
    /// Stores a study and completes it: its record goes to the outbox.
    void import(const std::string& study, std::uint64_t instances, std::size_t pixel_bytes) {
        const auto session = must(service->begin_ingest(custodian(), "benchmark"));
        for (std::uint64_t i = 0; i < instances; ++i) {
            must(session->begin_instance({}));
            must(session->write(file_of(study, i, pixel_bytes)));
            const auto outcome = must(session->finish_instance());
            FID_INVARIANT(outcome.outcome == Outcome::stored, "the archive takes nothing");
        }
        must(session->complete());
    }
    double metric(std::string_view name) const {
        for (const auto& one : service->metrics()) {
            if (one.name == name) return one.value;
        }
        FID_INVARIANT(false, "there is no such metric");
        return 0;
    }
    void wait_until_settled() const {
        while (metric("fiducial_outbox_unsettled") > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    fs::path folder;
    SiteFacts facts;
    std::string trust_text, socket;
    std::unique_ptr<Service> service;
};
std::unique_ptr<Running> running;

/// Decisions of their own on the site's chain: Access as the archive uses it, with nothing around it.
struct Decisions {
    Decisions() {
        std::vector<database::Migration> all(store::index_migrations().begin(), store::index_migrations().end());
        all.insert(all.end(), ledger::migrations().begin(), ledger::migrations().end());
        all.insert(all.end(), migrations().begin(), migrations().end());
        database = must(database::Database::open({.path = running->folder / "decisions.db"}, all));
        rights.emplace(store::Keyring(crypto::Secret(32), running->facts.institution));
        for (auto* one : {&rpc, &follower_rpc}) *one = std::make_unique<ledger::Rpc>(net::transport_to(running->socket));
        const auto trust = must(evidence::TrustFile::parse(running->trust_text));
        ledger::FollowerSettings settings;
        settings.chain_id = running->facts.chain_id;
        settings.genesis_hash = running->facts.genesis_hash;
        settings.from_block = running->facts.from_block;
        settings.filter.addresses = {running->facts.members, running->facts.consents};
        settings.clique = ethereum::CliqueConfig{trust.period, trust.epoch};
        settings.seals = std::make_shared<ethereum::CliqueRules>(*settings.clique);
        settings.signer_sets = trust.signer_sets;
        sink.emplace(*database, *rights, *follower_rpc, running->facts);
        access.emplace(*rpc, running->facts, *database, *rights);
        follower.emplace(*database, *follower_rpc, settings, std::vector<ledger::LedgerChanges*>{&*sink, &*access});
        must(follower->load());
        while (must(follower->step())) {
        }
        access->set_follower(&*follower);
        must(follower->start());
    }
    ~Decisions() { follower->stop(); }
    void decide(benchmark::State& state, const Subject& about) {
        const auto decision = access->decide(running->custodian(), about, Operation::read);
        if (!decision || !decision->allowed || decision->node_away)
            state.SkipWithError(decision ? "not allowed, or the node is away" : decision.error().message.c_str());
    }
    std::unique_ptr<database::Database> database;
    std::optional<store::Rights> rights;
    std::unique_ptr<ledger::Rpc> rpc, follower_rpc;
    std::optional<RightsSink> sink;
    std::optional<Access> access;
    std::optional<ledger::Follower> follower;
};

void decision_cached(benchmark::State& state) {
    Decisions decisions;
    const Subject about{crypto::random_bytes32(), crypto::random_bytes32()};
    decisions.decide(state, about);
    for (auto _ : state) decisions.decide(state, about);
}
void decision_cold(benchmark::State& state) {
    Decisions decisions;
    for (auto _ : state) decisions.decide(state, {crypto::random_bytes32(), crypto::random_bytes32()});
}
BENCHMARK(decision_cached)->Unit(benchmark::kMicrosecond)->UseRealTime();
BENCHMARK(decision_cold)->Unit(benchmark::kMicrosecond)->UseRealTime();

const std::string kStudy = "1.2.826.0.1.3680043.10.999";

void bundle_made(benchmark::State& state) {
    for (auto _ : state) {
        auto bundle = running->service->evidence(running->custodian(), {Level::instance, kStudy, kStudy + ".1", kStudy + ".1.0"});
        if (!bundle) state.SkipWithError(bundle.error().message.c_str());
    }
}
void bundle_checked(benchmark::State& state) {
    const auto bundle = must(running->service->evidence(running->custodian(), {Level::instance, kStudy, kStudy + ".1", kStudy + ".1.0"}));
    for (auto _ : state) {
        auto report = evidence::verify(bundle, running->trust_text, std::nullopt);
        benchmark::DoNotOptimize(report);
    }
    state.counters["bytes"] = static_cast<double>(bundle.size());
}
BENCHMARK(bundle_made)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(bundle_checked)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    running = std::make_unique<Running>();
    running->import(kStudy, 300, 20'000);  // slices of a CT
    running->wait_until_settled();
    benchmark::RunSpecifiedBenchmarks();
    running.reset();
}
