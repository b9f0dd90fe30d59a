// The second table of docs/design/rights.md, cell by cell.
#include <gtest/gtest.h>

#include "archive/access/evaluate.hpp"

namespace fiducial::archive {
namespace {

using Answer = AwayDecision::Answer;

Bytes32 id(std::uint8_t n) {
    Bytes32 out{};
    out[31] = n;
    return out;
}
const Bytes32 kSubject = id(10);
constexpr std::uint64_t kNow = 1'800'000'000;

RightsSnapshot person(std::uint32_t role, std::uint8_t institution = 1) {
    RightsSnapshot snapshot;
    snapshot.subject_id = kSubject;
    snapshot.subject = {SubjectKind::person, true, true, id(institution), role, 0};
    snapshot.holder_id = id(1);
    snapshot.holder = {SubjectKind::institution, true, true, id(1), 0, 0};
    return snapshot;
}
RightsSnapshot own_record() {
    auto snapshot = person(roles::kPatient);
    snapshot.patient.controller = kSubject;
    return snapshot;
}

struct Cell {
    Answer answer;
    bool flagged;
    bool anchor_later;
};
constexpr Cell kYes{Answer::allowed, false, false};
constexpr Cell kDenied{Answer::denied, false, false};
constexpr Cell kFlagged{Answer::allowed, true, false};
constexpr Cell kAnchoredLater{Answer::allowed, true, true};
constexpr Cell kUnavailable{Answer::unavailable, true, false};
constexpr Cell kDeniedAway{Answer::denied, true, false};

/// Away longer, and gone, are one row but for the custodian who moves out.
void expect_row(const RightsSnapshot& snapshot, Operation operation, Purpose purpose, Cell answering, Cell away, Cell away_longer,
                ConsentChange change = ConsentChange::none, std::optional<Cell> gone = {}) {
    const Question question{id(60), operation, purpose, kNow};
    const auto check = [&](NodeState state, Cell expected, const char* name) {
        const AwayDecision answer = decide_while_node_away(snapshot, question, change, state);
        EXPECT_EQ(answer.answer, expected.answer) << name << ": " << text_of(answer.decision.reason);
        EXPECT_EQ(answer.flagged, expected.flagged) << name;
        EXPECT_EQ(answer.anchor_later, expected.anchor_later) << name;
    };
    check(NodeState::answering, answering, "answering");
    check(NodeState::away, away, "away");
    check(NodeState::away_longer, away_longer, "away longer");
    check(NodeState::gone, gone.value_or(away_longer), "gone");
}

TEST(NodeAway, own_staff_treatment) {
    expect_row(person(roles::kDoctor), Operation::read, Purpose::treatment, kYes, kFlagged, kUnavailable);
    expect_row(person(roles::kTechnologist), Operation::read, Purpose::treatment, kYes, kFlagged, kUnavailable);
    expect_row(person(roles::kDesk), Operation::identify, Purpose::treatment, kYes, kFlagged, kUnavailable);
    expect_row(person(roles::kTechnologist), Operation::correct, Purpose::treatment, kYes, kFlagged, kUnavailable);
}

TEST(NodeAway, local_denials_stand) {
    auto doctor = person(roles::kDoctor);
    doctor.locally_denied = true;
    expect_row(doctor, Operation::read, Purpose::treatment, kDenied, kDeniedAway, kDeniedAway);
    expect_row(doctor, Operation::break_glass, Purpose::emergency, kDenied, kDeniedAway, kDeniedAway);
}

TEST(NodeAway, patients_own_trace_and_administration) {
    expect_row(own_record(), Operation::read, Purpose::personal, kYes, kFlagged, kUnavailable);
    expect_row(own_record(), Operation::trace, Purpose::personal, kYes, kFlagged, kUnavailable);
    expect_row(person(roles::kAuditor), Operation::trace, Purpose::administration, kYes, kFlagged, kUnavailable);
    expect_row(person(roles::kAdministrator), Operation::inventory, Purpose::administration, kYes, kFlagged, kUnavailable);
    for (const auto operation : {Operation::read, Operation::erase}) {
        expect_row(person(roles::kCustodian), operation, Purpose::administration, kYes, kFlagged, kUnavailable, ConsentChange::none,
                   kFlagged);
    }
}

TEST(NodeAway, store) {
    expect_row(person(roles::kTechnologist), Operation::store, Purpose::treatment, kYes, kAnchoredLater, kAnchoredLater);
    expect_row(person(roles::kCustodian), Operation::store, Purpose::administration, kYes, kAnchoredLater, kAnchoredLater);
    auto device = person(0);
    device.subject.kind = SubjectKind::device;
    device.subject.operations = 1u << static_cast<unsigned>(Operation::store) | 1u << static_cast<unsigned>(Operation::read);
    expect_row(device, Operation::store, Purpose::treatment, kYes, kAnchoredLater, kAnchoredLater);
    expect_row(device, Operation::read, Purpose::treatment, kYes, kFlagged, kUnavailable);
    auto institution = person(0);
    institution.subject.kind = SubjectKind::institution;
    expect_row(institution, Operation::store, Purpose::treatment, kYes, kAnchoredLater, kAnchoredLater);
}

TEST(NodeAway, outsiders_grants) {
    auto doctor = person(roles::kDoctor, 2);
    doctor.patient.grants.push_back({{TargetKind::subject, kSubject, 0}, {}, Purpose::treatment, kNow - 1, kNow + 1, 0, 0});
    expect_row(doctor, Operation::read, Purpose::treatment, kYes, kUnavailable, kUnavailable);
}

TEST(NodeAway, break_glass) {
    expect_row(person(roles::kDoctor), Operation::break_glass, Purpose::emergency, kYes, kAnchoredLater, kAnchoredLater);
    auto doctor = person(roles::kDoctor, 2);
    doctor.patient.restrictions.push_back({{TargetKind::everyone, {}, 0}, {}});
    expect_row(doctor, Operation::break_glass, Purpose::emergency, kYes, kAnchoredLater, kAnchoredLater);
    expect_row(doctor, Operation::read, Purpose::emergency, kDenied, kDeniedAway, kUnavailable);
    doctor.patient.emergencies.push_back({kSubject, kNow, kNow + 1});  // as opened here
    expect_row(doctor, Operation::read, Purpose::emergency, kYes, kAnchoredLater, kAnchoredLater);
    expect_row(doctor, Operation::identify, Purpose::emergency, kYes, kAnchoredLater, kAnchoredLater);
    auto own = person(roles::kDoctor);
    expect_row(own, Operation::identify, Purpose::emergency, kYes, kFlagged, kUnavailable);
    own.patient.emergencies = doctor.patient.emergencies;
    expect_row(own, Operation::read, Purpose::emergency, kYes, kAnchoredLater, kAnchoredLater);
    expect_row(own, Operation::identify, Purpose::emergency, kYes, kAnchoredLater, kAnchoredLater);
    expect_row(own, Operation::read, Purpose::treatment, kYes, kFlagged, kUnavailable);
}

TEST(NodeAway, revoke_and_restrict_at_once_grant_not) {
    expect_row(own_record(), Operation::consent, Purpose::personal, kYes, kAnchoredLater, kAnchoredLater,
               ConsentChange::revoke_or_restrict);
    expect_row(own_record(), Operation::consent, Purpose::personal, kYes, kUnavailable, kUnavailable, ConsentChange::grant);
    expect_row(own_record(), Operation::consent, Purpose::personal, kYes, kUnavailable, kUnavailable, ConsentChange::none);
}

TEST(NodeAway, what_needs_the_chain_waits) {
    expect_row(person(0), Operation::ask, Purpose::personal, kYes, kUnavailable, kUnavailable);
}

TEST(NodeAway, denials_of_the_last_state) {
    expect_row(person(roles::kDesk), Operation::read, Purpose::treatment, kDenied, kDeniedAway, kUnavailable);
    auto gone = person(roles::kDoctor);
    gone.subject.active = false;
    expect_row(gone, Operation::break_glass, Purpose::emergency, kDenied, kDeniedAway, kDeniedAway);
}

}  // namespace
}  // namespace fiducial::archive
