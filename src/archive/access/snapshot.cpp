#include "archive/access/snapshot.hpp"

#include <algorithm>
#include <map>

namespace fiducial::archive {
namespace {

using store::RightsChange;
using store::RightsFact;

Target target_of(const RightsChange& change) {
    return {static_cast<TargetKind>(change.detail), change.other, change.bits};
}

void open_emergency(EmergencyFacts& emergency, const RightsChange& change) {
    if (change.from <= emergency.until && emergency.from <= change.until) {  // two that meet are one
        emergency.from = std::min(emergency.from, change.from);
        emergency.until = std::max(emergency.until, change.until);
    } else if (change.until > emergency.until) {  // one written down late never shortens a later one
        emergency.from = change.from;
        emergency.until = change.until;
    }
}
void close_emergency(EmergencyFacts& emergency, std::uint64_t at) {
    if (at < emergency.until) emergency.until = std::max(at, emergency.from);
}

template <typename Map>
auto values_of(const Map& map) {
    std::vector<typename Map::mapped_type> values;
    for (const auto& [key, value] : map) values.push_back(value);
    return values;
}

}  // namespace

SubjectFacts subject_facts(const Bytes32& id, std::span<const RightsChange> changes) {
    SubjectFacts facts;
    for (const auto& change : changes) {
        switch (change.fact) {
            case RightsFact::institution_registered: facts = {SubjectKind::institution, true, true, id, 0, 0}; break;
            case RightsFact::institution_activity: facts.institution_active = change.on; break;
            case RightsFact::person_registered: facts = {SubjectKind::person, true, false, change.other, change.bits, 0}; break;
            case RightsFact::person_roles: facts.roles = change.bits; break;
            case RightsFact::person_activity: facts.active = change.on; break;
            case RightsFact::person_removed:
                facts.active = false;
                facts.roles = 0;
                break;
            case RightsFact::device_registered: facts = {SubjectKind::device, true, false, change.other, 0, change.bits}; break;
            case RightsFact::device_changed:
                facts.operations = change.bits;
                facts.active = change.on;
                break;
            case RightsFact::device_removed: facts = {SubjectKind::device, false, false, Bytes32{}, 0, 0}; break;  // its kind stays
            default: break;  // what a patient of this holder decided
        }
    }
    return facts;
}

PatientFacts patient_facts(std::span<const RightsChange> changes) {
    PatientFacts facts;
    std::map<Bytes32, GrantFacts> grants;
    std::map<Bytes32, RestrictionFacts> restrictions;
    std::map<Bytes32, GuardianFacts> guardians;
    std::map<Bytes32, EmergencyFacts> emergencies;
    for (const auto& change : changes) {
        switch (change.fact) {
            case RightsFact::controller:
                facts.kind = static_cast<ControllerKind>(change.detail);
                facts.controller = change.other;
                break;
            case RightsFact::guardian: guardians[change.other] = {change.other, change.until}; break;
            case RightsFact::grant: {
                auto& grant = grants[change.item];
                grant.target = target_of(change);
                grant.scope = change.scope;
                grant.purpose = static_cast<Purpose>(change.purpose);
                grant.from = change.from;
                grant.until = change.until;
                grant.epoch = change.epoch;
                break;
            }
            case RightsFact::revocation: {
                // One of a single grant holds also for a grant that comes later under the same id.
                auto& bound = change.item == Bytes32{} ? facts.void_below : grants[change.item].void_below;
                bound = std::max(bound, change.epoch + 1);
                break;
            }
            case RightsFact::restriction:
                if (change.on)
                    restrictions[change.item] = {target_of(change), change.scope};
                else
                    restrictions.erase(change.item);
                break;
            case RightsFact::emergency_opened: {
                auto& emergency = emergencies[change.other];
                emergency.person = change.other;
                open_emergency(emergency, change);
                break;
            }
            case RightsFact::emergency_closed: close_emergency(emergencies[change.other], change.until); break;
            default: break;
        }
    }
    facts.grants = values_of(grants);
    facts.restrictions = values_of(restrictions);
    facts.guardians = values_of(guardians);
    facts.emergencies = values_of(emergencies);
    return facts;
}

std::vector<RightsChange> with_local_changes(std::vector<RightsChange> told, std::span<const RightsChange> waiting) {
    const auto is_told = [&](const RightsChange& local) {
        return std::any_of(told.begin(), told.end(), [&](const RightsChange& one) {
            return one.fact == local.fact && one.item == local.item && one.epoch >= local.epoch;
        });
    };
    std::vector<RightsChange> counting;
    for (const auto& local : waiting) {
        // A revocation may be said twice. An emergency that was told of may have been closed since, a restriction lifted.
        const bool takes_away = local.fact == RightsFact::restriction && local.on;
        if (local.fact == RightsFact::revocation || ((takes_away || local.fact == RightsFact::emergency_opened) && !is_told(local)))
            counting.push_back(local);
    }
    told.insert(told.end(), counting.begin(), counting.end());
    return told;
}

namespace {

Result<SubjectFacts> facts_at(database::Transaction& transaction, const store::Rights& rights, const Bytes32& id, std::uint64_t block) {
    FID_TRY(const auto changes, rights.about(transaction, id, block));
    auto facts = subject_facts(id, changes);
    if (facts.kind == SubjectKind::person || facts.kind == SubjectKind::device) {
        FID_TRY(const auto institution, rights.about(transaction, facts.institution, block));
        facts.institution_active = subject_facts(facts.institution, institution).institution_active;
    }
    return facts;
}

}  // namespace

Result<RightsSnapshot> rights_snapshot(database::Transaction& transaction, const store::Rights& rights, const Bytes32& subject,
                                       const Bytes32& holder, const Hash& patient_key, std::uint64_t block,
                                       std::span<const RightsChange> waiting) {
    FID_TRY(const bool unreadable, rights.has_unreadable(transaction, block));
    if (unreadable) return fail(ErrorCode::unavailable, "an event about rights could not be read: what it said is not known here");
    RightsSnapshot snapshot;
    snapshot.subject_id = subject;
    snapshot.holder_id = holder;
    FID_TRY(snapshot.subject, facts_at(transaction, rights, subject, block));
    FID_TRY(snapshot.holder, facts_at(transaction, rights, holder, block));
    FID_TRY(auto told, rights.about_patient(transaction, holder, patient_key, block));
    snapshot.patient = patient_facts(with_local_changes(std::move(told), waiting));
    return snapshot;
}

}  // namespace fiducial::archive
