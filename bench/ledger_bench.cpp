// What the chain costs: anchoring records through the outbox, asking `decide`, and gathering a proof, all on a real geth that
// seals on demand, as a site of its own runs it. The peer to compare anchoring with: bare one-slot transactions, design.md's
// "2,700–3,900/s in batches of 200 over IPC".
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "crypto/hash.hpp"
#include "crypto/secp256k1.hpp"
#include "ledger/contracts.hpp"
#include "ledger/follower.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/local_node.hpp"
#include "ledger/outbox.hpp"
#include "ledger/proofs.hpp"
#include "net/client.hpp"
#include "store/store.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::ledger;

template <typename T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().message.c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct Bench {
    Bench() {
        log::set_level(log::Level::warning);
        folder = std::filesystem::temp_directory_path() / ("fiducial-ledger-bench-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder);
        const auto sealer = crypto::generate_private_key();
        const auto password = crypto::random_secret(16);
        const auto deployer = crypto::generate_private_key();
        auto gateway = crypto::generate_private_key();
        LocalNodeSettings settings;
        settings.folder = folder / "node";
        settings.chain_id = random_chain_id();
        settings.sealer = must(crypto::address_of(sealer));
        const auto gateway_address = must(crypto::address_of(gateway));
        // Hex, so that the password is a line of text.
        const auto text = crypto::Secret::copy_of(as_bytes(std::to_string(read_be<std::uint64_t>(password.view()))));
        must(create_chain(
            must(find_geth({})), settings.folder,
            {.chain_id = settings.chain_id, .signers = {settings.sealer}, .funded = {must(crypto::address_of(deployer)), gateway_address}},
            sealer, text));
        node = std::make_unique<LocalNode>(settings, text.clone());
        must(node->start());
        for (auto* rpc : {&rpc_, &outbox_rpc, &follower_rpc})
            *rpc = std::make_unique<Rpc>(std::make_shared<net::UnixSocketJson>(node->socket_path()));
        institution = crypto::random_bytes32();
        contracts::DeployRequest request;
        request.chain_id = settings.chain_id;
        request.institution = institution;
        request.gateway = gateway_address;
        request.institution_name = "bench";
        request.endpoint = "https://bench.example.org";
        deployment = must(contracts::deploy_all(*rpc_, deployer, request));
        database = must(database::Database::open({.path = folder / "index.db"}, migrations()));
        OutboxSettings outbox_settings;
        outbox_settings.chain_id = chain_id = settings.chain_id;
        outbox_settings.studies = deployment.studies.address;
        outbox_settings.institution = institution;
        outbox = std::make_unique<Outbox>(*database, *outbox_rpc, outbox_settings, std::move(gateway), crypto::random_secret(32));
        FollowerSettings follower_settings;
        follower_settings.chain_id = chain_id;
        follower_settings.genesis_hash = node->genesis_hash();
        follower_settings.from_block = deployment.members.from_block;
        follower_settings.filter.addresses = {deployment.members.address, deployment.studies.address, deployment.consents.address};
        follower_settings.seals = seals = std::make_shared<ethereum::CliqueRules>(ethereum::CliqueConfig{});
        follower_settings.signer_sets = signers = {{0, std::nullopt, {settings.sealer}}};
        follower = std::make_unique<Follower>(*database, *follower_rpc, follower_settings, std::vector<LedgerChanges*>{outbox.get()});
        outbox->on_included([this] { follower->wake(); });
        must(follower->start());
        outbox->start();
    }
    ~Bench() {
        outbox->stop();
        follower->stop();
        node->stop();
        std::error_code error;
        std::filesystem::remove_all(folder, error);
    }
    evidence::StudyRecord record(std::uint64_t number) const {
        Bytes seed;
        append_be(seed, number);
        evidence::StudyRecord out;
        out.chain_id = chain_id;
        out.contract = deployment.studies.address;
        out.institution = institution;
        out.study_key = crypto::sha256(seed);
        out.root = out.patient_ref = out.meta = out.study_key;
        out.count = 1;
        return out;
    }
    std::filesystem::path folder;
    std::uint64_t chain_id = 0;
    Bytes32 institution{};
    std::unique_ptr<LocalNode> node;
    std::unique_ptr<Rpc> rpc_;
    std::unique_ptr<Rpc> outbox_rpc;
    std::unique_ptr<Rpc> follower_rpc;
    contracts::Deployment deployment;
    std::unique_ptr<database::Database> database;
    std::unique_ptr<Outbox> outbox;
    std::unique_ptr<Follower> follower;
    std::shared_ptr<const ethereum::SealRules> seals;
    std::vector<evidence::SignerSet> signers;
    std::uint64_t next = 0;
};

std::unique_ptr<Bench> bench;

// From the commit of the study's version to settled, many at once.
void anchor_records(benchmark::State& state) {
    for (auto _ : state) {
        const auto count = state.range(0);
        for (std::int64_t done = 0; done < count;) {
            must(bench->database->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
                for (int i = 0; i < 100 && done < count; ++i, ++done) FID_CHECK(bench->outbox->enqueue(t, bench->record(bench->next++)));
                return {};
            }));
        }
        bench->outbox->wake(true);
        if (!bench->outbox->wait_until_settled(std::chrono::minutes(5))) state.SkipWithError("not settled");
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(anchor_records)->Arg(1)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

/// Images come in: so many a second, or (0) one after the other, as from a scanner that never waits.
class Importing {
public:
    explicit Importing(std::int64_t per_second)
        : per_second_(per_second),
          store_(must(store::Store::open(bench->folder / "store", crypto::Secret(32)))),
          thread_([this](std::stop_token stop) { run(stop); }) {}
    std::uint64_t stored() const { return stored_; }

private:
    void run(const std::stop_token& stop) {
        Bytes bytes(524'288);  // a CT slice
        crypto::fill_random(bytes);
        store::ObjectDescription description;
        description.study_uid = must(Uid::parse("1.2.826.0.1"));
        description.series_uid = must(Uid::parse("1.2.826.0.1.1"));
        description.transfer_syntax_uid = must(Uid::parse("1.2.840.10008.1.2.1"));
        description.sop_class_uid = must(Uid::parse("1.2.840.10008.5.1.4.1.1.2"));
        while (!stop.stop_requested()) {
            description.sop_uid = must(Uid::parse("1.2.826.0.1.1." + std::to_string(stored_.load())));
            auto writer = must(store_->begin_object(description.study_uid));
            must(writer.write(bytes));
            must(store_->commit({std::move(writer), description, {}, {}}));
            stored_ += 1;
            if (per_second_ != 0)
                std::this_thread::sleep_until(began_ + std::chrono::microseconds(1'000'000 / per_second_) * stored_.load());
        }
    }
    std::int64_t per_second_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    std::unique_ptr<store::Store> store_;
    std::atomic<std::uint64_t> stored_{0};
    std::jthread thread_;
};

/// As many as settle in a minute, never more than so many waiting, so that each one's time from its commit to settled says something.
void settle_while_importing(benchmark::State& state) {
    constexpr std::uint64_t kMostWaiting = 2000, kAtOnce = 20;
    using Clock = std::chrono::steady_clock;
    std::vector<Clock::time_point> queued, settled;
    for (auto _ : state) {
        Importing importing(state.range(0));
        const auto end = Clock::now() + std::chrono::minutes(1);
        while (Clock::now() < end) {
            const auto status = bench->outbox->status();
            const auto now = Clock::now();
            const auto waiting = status.stored + status.submitted + status.included;
            settled.resize(queued.size() - std::min<std::uint64_t>(waiting, queued.size()), now);  // in the order of their commits
            if (waiting + kAtOnce > kMostWaiting) {
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                continue;
            }
            must(bench->database->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
                for (std::uint64_t i = 0; i < kAtOnce; ++i) FID_CHECK(bench->outbox->enqueue(t, bench->record(bench->next++)));
                return {};
            }));
            queued.resize(queued.size() + kAtOnce, now);
            bench->outbox->wake();
        }
        state.counters["imported_per_s"] = static_cast<double>(importing.stored()) / 60;
    }
    std::vector<double> waited;
    for (std::size_t i = 0; i < settled.size(); ++i) waited.push_back(std::chrono::duration<double>(settled[i] - queued[i]).count());
    std::sort(waited.begin(), waited.end());
    state.counters["settled_per_s"] = static_cast<double>(settled.size()) / 60;
    state.counters["p50_s"] = waited.empty() ? 60 : waited[waited.size() / 2];
    if (!bench->outbox->wait_until_settled(std::chrono::minutes(1))) state.SkipWithError("not settled");
}
BENCHMARK(settle_while_importing)->ArgName("images_per_s")->Arg(50)->Arg(0)->Unit(benchmark::kSecond)->UseRealTime()->Iterations(1);

void decide_on_the_node(benchmark::State& state) {
    const contracts::DecideQuestion question{
        crypto::random_bytes32(), bench->institution, crypto::random_bytes32(), {}, 0, 0, 1'800'000'000};
    for (auto _ : state) benchmark::DoNotOptimize(must(contracts::decide(*bench->rpc_, bench->deployment.consents.address, question)));
}
BENCHMARK(decide_on_the_node)->Unit(benchmark::kMicrosecond)->UseRealTime();

void gather_a_proof(benchmark::State& state) {
    const auto record = bench->record(0);
    ProofQuestion question;
    question.contract = record.contract;
    question.slot_key = evidence::slot_key(record.institution, record.study_key, 1);
    question.next_slot_key = evidence::slot_key(record.institution, record.study_key, 2);
    question.record = record.hash();
    question.from_block = bench->follower->status().settled;
    question.seals = bench->seals.get();
    question.signer_sets = bench->signers;
    for (auto _ : state) benchmark::DoNotOptimize(must(gather_proof(*bench->rpc_, question)));
}
BENCHMARK(gather_a_proof)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    bench = std::make_unique<Bench>();
    benchmark::RunSpecifiedBenchmarks();
    bench.reset();
    return 0;
}
