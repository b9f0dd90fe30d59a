#include "archive/access/evaluate.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "archive/access/snapshot.hpp"

namespace fiducial::archive {
namespace {

Bytes32 id(std::uint8_t n) {
    Bytes32 out{};
    out[31] = n;
    return out;
}
const Bytes32 kOwnHospital = id(1);
const Bytes32 kOtherHospital = id(2);
const Bytes32 kSubject = id(10);
const Bytes32 kScope = id(60);
const Bytes32 kOtherScope = id(61);
constexpr std::uint64_t kNow = 1'800'000'000;

RightsSnapshot person(std::uint32_t role, const Bytes32& institution = kOwnHospital) {
    RightsSnapshot snapshot;
    snapshot.subject_id = kSubject;
    snapshot.subject = {SubjectKind::person, true, true, institution, role, 0};
    snapshot.holder_id = kOwnHospital;
    snapshot.holder = {SubjectKind::institution, true, true, kOwnHospital, 0, 0};
    return snapshot;
}

Question asks(Operation operation, Purpose purpose = Purpose::treatment) {
    return {kScope, operation, purpose, kNow};
}

GrantFacts grant(Target target, Purpose purpose = Purpose::treatment) {
    return {target, kZero32, purpose, kNow - 10, kNow + 10, 0, 0};
}
Target to_subject() {
    return {TargetKind::subject, kSubject, 0};
}

void expect_allowed(const RightsSnapshot& snapshot, const Question& question, Reason reason, std::uint64_t until = kForEver) {
    const Verdict decision = evaluate(snapshot, question);
    EXPECT_TRUE(decision.allowed) << text_of(decision.reason);
    EXPECT_EQ(decision.reason, reason) << text_of(decision.reason);
    EXPECT_EQ(decision.valid_until, until);
}
void expect_denied(const RightsSnapshot& snapshot, const Question& question, Reason reason) {
    const Verdict decision = evaluate(snapshot, question);
    EXPECT_FALSE(decision.allowed) << text_of(decision.reason);
    EXPECT_EQ(decision.reason, reason) << text_of(decision.reason);
    EXPECT_EQ(decision.valid_until, 0u);
    EXPECT_EQ(decision.obligation, Obligation::none);
}

// ---- the table of who may what: one row each, own hospital's studies and others

TEST(WhoMayWhat, doctor) {
    expect_allowed(person(roles::kDoctor), asks(Operation::read), Reason::staff_treatment);
    expect_allowed(person(roles::kDoctor), asks(Operation::break_glass), Reason::may_break_glass);
    expect_denied(person(roles::kDoctor), asks(Operation::read, Purpose::administration), Reason::purpose_not_allowed);
    auto elsewhere = person(roles::kDoctor, kOtherHospital);
    expect_denied(elsewhere, asks(Operation::read), Reason::not_granted);
    expect_allowed(elsewhere, asks(Operation::break_glass), Reason::may_break_glass);
    elsewhere.patient.grants.push_back(grant(to_subject()));
    expect_allowed(elsewhere, asks(Operation::read), Reason::granted, kNow + 10);
}

TEST(WhoMayWhat, technologist) {
    for (const auto operation : {Operation::store, Operation::correct}) {
        expect_allowed(person(roles::kTechnologist), asks(operation), Reason::staff_store);
        expect_denied(person(roles::kTechnologist, kOtherHospital), asks(operation), Reason::not_own_studies);
    }
    expect_allowed(person(roles::kTechnologist), asks(Operation::read), Reason::staff_treatment);
    expect_denied(person(roles::kTechnologist, kOtherHospital), asks(Operation::read), Reason::role_not_allowed);
}

TEST(WhoMayWhat, device) {
    auto device = person(0);
    device.subject.kind = SubjectKind::device;
    device.subject.operations = 1u << static_cast<unsigned>(Operation::store);
    expect_allowed(device, asks(Operation::store), Reason::device_listed);
    expect_denied(device, asks(Operation::read), Reason::device_not_listed);
    device.subject.institution = kOtherHospital;
    expect_denied(device, asks(Operation::store), Reason::not_own_studies);
}

TEST(WhoMayWhat, desk_identities_and_no_images) {
    expect_allowed(person(roles::kDesk), asks(Operation::identify), Reason::staff_identities);
    expect_denied(person(roles::kDesk), asks(Operation::read), Reason::role_not_allowed);
    expect_denied(person(roles::kDesk, kOtherHospital), asks(Operation::identify), Reason::role_not_allowed);
}

TEST(WhoMayWhat, privacy_officer_and_auditor_the_trace_and_no_images) {
    for (const auto role : {roles::kPrivacyOfficer, roles::kAuditor}) {
        expect_allowed(person(role), asks(Operation::trace), Reason::staff_trace);
        expect_denied(person(role), asks(Operation::read), Reason::role_not_allowed);
        expect_denied(person(role, kOtherHospital), asks(Operation::trace), Reason::not_own_studies);
    }
}

TEST(WhoMayWhat, custodian_everything_for_administration_alone) {
    for (const auto operation : {Operation::read, Operation::identify, Operation::store, Operation::correct, Operation::inventory,
                                 Operation::trace, Operation::erase}) {
        expect_allowed(person(roles::kCustodian), asks(operation, Purpose::administration), Reason::custodian);
    }
    expect_denied(person(roles::kCustodian), asks(Operation::erase), Reason::purpose_not_allowed);
    expect_denied(person(roles::kCustodian), asks(Operation::consent, Purpose::administration), Reason::not_own_record);
    expect_denied(person(roles::kCustodian, kOtherHospital), asks(Operation::erase, Purpose::administration), Reason::not_own_studies);
}

TEST(WhoMayWhat, administrator_rows_without_names_or_pixels) {
    expect_allowed(person(roles::kAdministrator), asks(Operation::inventory, Purpose::administration), Reason::staff_inventory);
    expect_denied(person(roles::kAdministrator), asks(Operation::identify, Purpose::administration), Reason::role_not_allowed);
    expect_denied(person(roles::kAdministrator), asks(Operation::read, Purpose::administration), Reason::role_not_allowed);
}

TEST(WhoMayWhat, researcher_only_granted_and_deidentified) {
    for (const auto& institution : {kOwnHospital, kOtherHospital}) {
        auto researcher = person(roles::kResearcher, institution);
        expect_denied(researcher, asks(Operation::read, Purpose::research), Reason::not_granted);
        researcher.patient.grants.push_back(grant(to_subject(), Purpose::research));
        expect_allowed(researcher, asks(Operation::read, Purpose::research), Reason::granted, kNow + 10);
        EXPECT_EQ(evaluate(researcher, asks(Operation::read, Purpose::research)).obligation, Obligation::deidentify);
        expect_denied(researcher, asks(Operation::identify, Purpose::research), Reason::identities_withheld);
        expect_denied(researcher, asks(Operation::read), Reason::purpose_not_allowed);
    }
}

TEST(WhoMayWhat, patient_their_own_always) {
    auto patient = person(roles::kPatient);
    patient.patient.controller = kSubject;
    patient.patient.kind = ControllerKind::wallet;
    patient.patient.restrictions.push_back({{TargetKind::everyone, {}, 0}, {}});
    for (const auto operation : {Operation::read, Operation::identify, Operation::trace, Operation::consent}) {
        expect_allowed(patient, asks(operation, Purpose::personal), Reason::own_record);
    }
    expect_denied(patient, asks(Operation::erase, Purpose::personal), Reason::role_not_allowed);
}

TEST(WhoMayWhat, guardian_until_a_date) {
    auto guardian = person(roles::kPatient);
    guardian.patient.guardians.push_back({kSubject, kNow + 1});
    expect_allowed(guardian, asks(Operation::read, Purpose::personal), Reason::guardianship, kNow + 1);
    guardian.patient.guardians[0].until = kNow;
    expect_denied(guardian, asks(Operation::read, Purpose::personal), Reason::guardianship_over);
    expect_denied(guardian, asks(Operation::consent, Purpose::personal), Reason::guardianship_over);
}

TEST(WhoMayWhat, everybody_else_asks) {
    expect_allowed(person(0), asks(Operation::ask), Reason::may_ask);
    expect_denied(person(0), asks(Operation::read, Purpose::personal), Reason::not_granted);
    expect_denied(person(roles::kSecurityOfficer), asks(Operation::trace), Reason::role_not_allowed);
}

TEST(WhoMayWhat, institution_stores_and_reads_by_grant_alone) {
    auto own = person(0);
    own.subject.kind = SubjectKind::institution;
    expect_allowed(own, asks(Operation::store), Reason::institution_itself);
    expect_allowed(own, asks(Operation::consent), Reason::institution_itself);
    expect_denied(own, asks(Operation::read), Reason::role_not_allowed);
    auto other = own;
    other.subject.institution = other.subject_id = kOtherHospital;
    expect_denied(other, asks(Operation::read), Reason::not_granted);
    other.patient.grants.push_back(grant({TargetKind::institution, kOtherHospital, 0}));
    expect_allowed(other, asks(Operation::read), Reason::granted, kNow + 10);
}

// ---- precedence

TEST(Precedence, inactive_first) {
    auto snapshot = person(roles::kDoctor);
    snapshot.locally_denied = true;
    snapshot.patient.controller = kSubject;
    snapshot.holder.institution_active = false;
    snapshot.subject.institution_active = false;
    snapshot.subject.active = false;
    expect_denied(snapshot, asks(Operation::read), Reason::subject_inactive);
    snapshot.subject.active = true;
    expect_denied(snapshot, asks(Operation::read), Reason::institution_inactive);
    snapshot.subject.institution_active = true;
    expect_denied(snapshot, asks(Operation::read), Reason::holder_inactive);
    snapshot.holder.institution_active = true;
    expect_denied(snapshot, asks(Operation::read), Reason::locally_denied);
    snapshot.locally_denied = false;
    expect_allowed(snapshot, asks(Operation::read), Reason::own_record);
    snapshot.holder.kind = SubjectKind::none;
    expect_denied(snapshot, asks(Operation::read), Reason::unknown_holder);
    snapshot.subject.kind = SubjectKind::none;
    expect_denied(snapshot, asks(Operation::read), Reason::unknown_subject);
}

TEST(PatientFacts, emergencies_that_meet_are_one_and_a_late_one_shortens_nothing) {
    const auto opened = [](std::vector<std::pair<std::uint64_t, std::uint64_t>> spans) {
        std::vector<store::RightsChange> changes;
        for (const auto& [from, until] : spans) {
            store::RightsChange change;
            change.fact = store::RightsFact::emergency_opened;
            change.other = kSubject;
            change.from = kNow + from;
            change.until = kNow + until;
            changes.push_back(change);
        }
        const auto found = patient_facts(changes).emergencies.at(0);
        return std::pair(found.from - kNow, found.until - kNow);
    };
    using Span = std::pair<std::uint64_t, std::uint64_t>;
    EXPECT_EQ(opened({{0, 600}, {300, 900}}), Span(0, 900));
    EXPECT_EQ(opened({{300, 900}, {0, 600}}), Span(0, 900));
    EXPECT_EQ(opened({{0, 600}, {600, 900}}), Span(0, 900));
    EXPECT_EQ(opened({{0, 900}, {100, 200}}), Span(0, 900));
    EXPECT_EQ(opened({{0, 600}, {601, 900}}), Span(601, 900));
    EXPECT_EQ(opened({{601, 900}, {0, 600}}), Span(601, 900));
}

TEST(Precedence, restriction_beats_grant_and_emergency_beats_restriction) {
    auto doctor = person(roles::kDoctor, kOtherHospital);
    doctor.patient.grants.push_back(grant(to_subject()));
    doctor.patient.restrictions.push_back({{TargetKind::role, {}, roles::kDoctor}, {}});
    expect_denied(doctor, asks(Operation::read), Reason::restricted);
    doctor.patient.emergencies.push_back({kSubject, kNow - 1, kNow + 5});
    expect_allowed(doctor, asks(Operation::read, Purpose::emergency), Reason::emergency_opened, kNow + 5);
    expect_denied(doctor, asks(Operation::read), Reason::restricted);
    doctor.subject.roles = roles::kTechnologist;
    expect_denied(doctor, asks(Operation::read, Purpose::emergency), Reason::role_not_allowed);
}

TEST(Precedence, emergencies_of_outsiders) {
    auto doctor = person(roles::kDoctor, kOtherHospital);
    expect_denied(doctor, asks(Operation::read, Purpose::emergency), Reason::emergency_not_opened);
    doctor.patient.emergencies.push_back({kSubject, kNow - 10, kNow});
    expect_denied(doctor, asks(Operation::read, Purpose::emergency), Reason::emergency_over);
    doctor.patient.emergencies[0] = {kSubject, kNow + 1, kNow + 2};
    expect_denied(doctor, asks(Operation::read, Purpose::emergency), Reason::emergency_not_opened);
}

TEST(Restrictions, targets_and_scopes) {
    const auto restricted = [](const Target& target, const Bytes32& scope, const Bytes32& asked) {
        auto doctor = person(roles::kDoctor);
        doctor.patient.restrictions.push_back({target, scope});
        Question question = asks(Operation::read);
        question.scope = asked;
        return !evaluate(doctor, question).allowed;
    };
    const Target everyone{TargetKind::everyone, {}, 0};
    EXPECT_TRUE(restricted(everyone, kZero32, kScope));
    EXPECT_TRUE(restricted(everyone, kScope, kScope));
    EXPECT_FALSE(restricted(everyone, kOtherScope, kScope));
    EXPECT_TRUE(restricted({TargetKind::subject, kSubject, 0}, kZero32, kScope));
    EXPECT_FALSE(restricted({TargetKind::subject, id(11), 0}, kZero32, kScope));
    EXPECT_TRUE(restricted({TargetKind::institution, kOwnHospital, 0}, kZero32, kScope));
    EXPECT_FALSE(restricted({TargetKind::institution, kOtherHospital, 0}, kZero32, kScope));
    EXPECT_TRUE(restricted({TargetKind::role, kOwnHospital, roles::kDoctor}, kZero32, kScope));
    EXPECT_FALSE(restricted({TargetKind::role, kOtherHospital, roles::kDoctor}, kZero32, kScope));
    EXPECT_FALSE(restricted({TargetKind::role, {}, roles::kDesk}, kZero32, kScope));
    // all studies: closed as soon as anything is restricted for one of them
    EXPECT_TRUE(restricted({TargetKind::subject, id(11), 0}, kOtherScope, kZero32));
}

TEST(Grants, targets_scopes_times_and_epochs) {
    const auto reason = [](GrantFacts given, std::uint64_t void_below = 0) {
        auto doctor = person(roles::kDoctor, kOtherHospital);
        doctor.patient.void_below = void_below;
        doctor.patient.grants.push_back(given);
        return evaluate(doctor, asks(Operation::read)).reason;
    };
    EXPECT_EQ(reason(grant({TargetKind::role, {}, roles::kDoctor})), Reason::granted);
    EXPECT_EQ(reason(grant({TargetKind::role, kOtherHospital, roles::kDoctor})), Reason::granted);
    EXPECT_EQ(reason(grant({TargetKind::role, kOwnHospital, roles::kDoctor})), Reason::not_granted);
    EXPECT_EQ(reason(grant({TargetKind::role, {}, roles::kResearcher})), Reason::not_granted);
    EXPECT_EQ(reason(grant({TargetKind::institution, kOtherHospital, 0})), Reason::granted);
    EXPECT_EQ(reason(grant({TargetKind::everyone, {}, 0})), Reason::not_granted);
    EXPECT_EQ(reason(grant(to_subject(), Purpose::research)), Reason::not_granted);
    auto given = grant(to_subject());
    given.scope = kOtherScope;
    EXPECT_EQ(reason(given), Reason::not_granted);
    given.scope = kScope;
    EXPECT_EQ(reason(given), Reason::granted);
    given.from = kNow + 1;
    EXPECT_EQ(reason(given), Reason::grant_not_yet);
    given.from = kNow - 2;
    given.until = kNow;
    EXPECT_EQ(reason(given), Reason::grant_expired);
    given.void_below = 1;
    EXPECT_EQ(reason(given), Reason::grant_revoked);
    given = grant(to_subject());
    given.epoch = 3;
    EXPECT_EQ(reason(given, 4), Reason::grant_revoked);
    EXPECT_EQ(reason(given, 3), Reason::granted);
}

TEST(Grants, the_longest_counts) {
    auto doctor = person(roles::kDoctor, kOtherHospital);
    for (const std::uint64_t until : {kNow + 5, kNow + 20, kNow + 10}) {
        doctor.patient.grants.push_back(grant(to_subject()));
        doctor.patient.grants.back().until = until;
    }
    doctor.patient.grants.push_back(grant(to_subject()));
    doctor.patient.grants.back().void_below = 1;  // a denial beside an allowance says nothing
    expect_allowed(doctor, asks(Operation::read), Reason::granted, kNow + 20);
}

TEST(Grants, of_several_that_do_not_hold_the_one_that_says_most) {
    auto doctor = person(roles::kDoctor, kOtherHospital);
    auto expired = grant(to_subject());
    expired.until = kNow;
    auto not_yet = grant(to_subject());
    not_yet.from = kNow + 1;
    doctor.patient.grants = {expired, not_yet};
    expect_denied(doctor, asks(Operation::read), Reason::grant_expired);
    doctor.patient.grants = {not_yet, expired};
    expect_denied(doctor, asks(Operation::read), Reason::grant_expired);
}

TEST(Grants, no_grant_gives_an_office_more_than_its_table_says) {
    for (const auto role : {roles::kDesk, roles::kTechnologist, roles::kAuditor, roles::kAdministrator}) {
        auto subject = person(role, kOtherHospital);
        subject.patient.grants.push_back(grant(to_subject()));
        expect_denied(subject, asks(Operation::read), Reason::role_not_allowed);
    }
}

TEST(AllowedByBoth, only_if_the_settled_and_the_latest_state_allow) {
    const Verdict granted{true, Reason::granted, Obligation::none, kNow + 10};
    const Verdict sooner{true, Reason::granted, Obligation::deidentify, kNow + 5};
    const Verdict revoked{false, Reason::grant_revoked, Obligation::none, 0};
    const Verdict none{false, Reason::not_granted, Obligation::none, 0};
    EXPECT_EQ(allowed_by_both(granted, revoked), revoked);  // a revocation counts once seen
    EXPECT_EQ(allowed_by_both(none, granted), none);        // a grant only once settled
    const Verdict both = allowed_by_both(sooner, granted);
    EXPECT_TRUE(both.allowed);
    EXPECT_EQ(both.valid_until, kNow + 5);
    EXPECT_EQ(both.obligation, Obligation::deidentify);
}

TEST(TextOf, each_reason_has_its_own) {
    std::set<std::string_view> texts;
    for (int reason = 0; reason <= static_cast<int>(Reason::grant_expired); ++reason) texts.insert(text_of(static_cast<Reason>(reason)));
    EXPECT_EQ(texts.size(), static_cast<std::size_t>(Reason::grant_expired) + 1);
    EXPECT_EQ(text_of(Reason::none), "not decided");
    EXPECT_EQ(text_of(Reason::institution_itself), "the institution itself");
    EXPECT_EQ(text_of(Reason::locally_denied), "denied by this archive");
    EXPECT_EQ(text_of(Reason::grant_expired), "the grant has expired");
    EXPECT_EQ(text_of(static_cast<Reason>(200)), "unknown reason");
}

}  // namespace
}  // namespace fiducial::archive
