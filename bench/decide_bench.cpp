// One decision: by the rule in C++ (`evaluate`), by how much a patient has decided, and beside it by the contract itself through
// a real geth, which a single retrieval asks.
#include <benchmark/benchmark.h>

#include "archive/access/evaluate.hpp"
#include "ledger/ledger_test_support.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::archive;
namespace contracts = fiducial::ledger::contracts;

Bytes32 id(std::uint32_t n) {
    Bytes32 out{};
    for (std::size_t i = 0; i < 4; ++i) out[31 - i] = static_cast<std::uint8_t>(n >> (8 * i));
    return out;
}

RightsSnapshot doctor(std::uint32_t institution) {
    RightsSnapshot snapshot;
    snapshot.subject_id = id(10);
    snapshot.subject = {SubjectKind::person, true, true, id(institution), roles::kDoctor, 0};
    snapshot.holder_id = id(1);
    snapshot.holder = {SubjectKind::institution, true, true, id(1), 0, 0};
    return snapshot;
}

const Question kQuestion{id(60), Operation::read, Purpose::treatment, 1'800'000'000};

void own_doctor(benchmark::State& state) {
    const auto snapshot = doctor(1);
    for (auto _ : state) benchmark::DoNotOptimize(evaluate(snapshot, kQuestion));
}
BENCHMARK(own_doctor);

/// An outsider whose grant is the last of `range` grants and as many restrictions of others.
void outsider(benchmark::State& state) {
    auto snapshot = doctor(2);
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(state.range(0)); ++i) {
        snapshot.patient.grants.push_back({{TargetKind::subject, id(1000 + i), 0}, {}, Purpose::treatment, 0, kForEver, 0, 0});
        snapshot.patient.restrictions.push_back({{TargetKind::subject, id(1000 + i), 0}, {}});
    }
    snapshot.patient.grants.push_back({{TargetKind::subject, id(10), 0}, {}, Purpose::treatment, 0, kForEver, 0, 0});
    if (!evaluate(snapshot, kQuestion).allowed) state.SkipWithError("not allowed");
    for (auto _ : state) benchmark::DoNotOptimize(evaluate(snapshot, kQuestion));
}
BENCHMARK(outsider)->Arg(0)->Arg(10)->Arg(100)->Arg(1000);

/// The institution asks for its own store, which costs the node as many reads as a doctor's question.
void contract_through_geth(benchmark::State& state) {
    ledger::testing::Site site(ledger::testing::NodeKind::geth);
    if (!site.skip.empty()) {
        state.SkipWithError(site.skip.c_str());
        return;
    }
    contracts::DecideQuestion question;
    question.subject = question.holder = site.institution;
    question.patient_key = id(50);
    question.scope_ref = id(60);
    question.operation = static_cast<std::uint8_t>(Operation::store);
    question.at = kQuestion.at;
    for (auto _ : state) {
        const auto decision = contracts::decide(*site.rpc, site.deployment.consents.address, question);
        if (!decision || !decision->allowed) {
            state.SkipWithError(decision ? "not allowed" : decision.error().message.c_str());
            break;
        }
    }
}
BENCHMARK(contract_through_geth)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
