#include "archive/access/evaluate.hpp"

#include <algorithm>
#include <array>

namespace fiducial::archive {
namespace {

constexpr std::uint32_t kGrantable = roles::kDoctor | roles::kResearcher | roles::kPatient;
constexpr std::uint32_t kReads = roles::kDoctor | roles::kTechnologist;
constexpr std::uint32_t kIdentifies = kReads | roles::kDesk;

Verdict allow(Reason reason, std::uint64_t until = kForEver) {
    return {true, reason, Obligation::none, until};
}
Verdict deny(Reason reason) {
    return {false, reason, Obligation::none, 0};
}

bool is_zero(const Bytes32& id) {
    return id == kZero32;
}
bool is_care(Purpose purpose) {
    return purpose == Purpose::treatment || purpose == Purpose::emergency;
}

/// One decision under way: the facts, the question and what follows from both.
class Case {
public:
    Case(const RightsSnapshot& snapshot, const Question& question)
        : snapshot_(snapshot),
          patient_(snapshot.patient),
          question_(question),
          roles_(snapshot.subject.roles == 0 ? roles::kPatient : snapshot.subject.roles),
          home_(snapshot.subject.institution == snapshot.holder_id) {}

    Verdict decide() const {
        switch (snapshot_.subject.kind) {
            case SubjectKind::device: return device();
            case SubjectKind::institution: return institution();
            case SubjectKind::person: return person();
            case SubjectKind::none: break;
        }
        return deny(Reason::unknown_subject);
    }

private:
    bool has(std::uint32_t any_of) const { return (roles_ & any_of) != 0; }
    bool covers(const Bytes32& scope) const { return is_zero(scope) || scope == question_.scope; }

    Verdict device() const {
        if (!home_) return deny(Reason::not_own_studies);
        if ((snapshot_.subject.operations >> static_cast<unsigned>(question_.operation) & 1u) == 0) return deny(Reason::device_not_listed);
        if (question_.operation == Operation::read && restricted()) return deny(Reason::restricted);
        return allow(Reason::device_listed);
    }

    Verdict institution() const {
        switch (question_.operation) {
            case Operation::ask: return allow(Reason::may_ask);
            case Operation::consent:
                return home_ && patient_.kind == ControllerKind::institution ? allow(Reason::institution_itself)
                                                                             : deny(Reason::not_own_record);
            case Operation::store:
            case Operation::inventory: return home_ ? allow(Reason::institution_itself) : deny(Reason::not_own_studies);
            case Operation::read:
            case Operation::identify:
                if (home_) return deny(Reason::role_not_allowed);  // its own pixels are read by people
                return restricted() ? deny(Reason::restricted) : by_grant();
            default: return deny(home_ ? Reason::role_not_allowed : Reason::not_own_studies);
        }
    }

    Verdict person() const {
        const Operation operation = question_.operation;
        if (operation == Operation::ask) return allow(Reason::may_ask);
        if (operation == Operation::break_glass)
            return has(roles::kDoctor) ? allow(Reason::may_break_glass) : deny(Reason::role_not_allowed);

        std::uint64_t guardian_until = 0;
        if (operation == Operation::read || operation == Operation::identify || operation == Operation::trace ||
            operation == Operation::consent) {
            if (patient_.controller == snapshot_.subject_id) return allow(Reason::own_record);
            for (const auto& guardian : patient_.guardians) {
                if (guardian.person == snapshot_.subject_id) guardian_until = guardian.until;
            }
            if (question_.at < guardian_until) return allow(Reason::guardianship, guardian_until);
        }
        if (operation == Operation::consent) return deny(guardian_until != 0 ? Reason::guardianship_over : Reason::not_own_record);
        if (home_ && has(roles::kCustodian) && question_.purpose == Purpose::administration) return allow(Reason::custodian);

        Verdict decision = operation == Operation::read ? read() : operation == Operation::identify ? identify() : duty();
        const bool never_had = decision.reason == Reason::role_not_allowed || decision.reason == Reason::purpose_not_allowed ||
                               decision.reason == Reason::not_granted;
        if (!decision.allowed && guardian_until != 0 && never_had) decision.reason = Reason::guardianship_over;
        return decision;
    }

    Verdict read() const {
        const EmergencyFacts* emergency = open_emergency();
        if (emergency != nullptr && question_.at < emergency->until) return allow(Reason::emergency_opened, emergency->until);
        if (restricted()) return deny(Reason::restricted);
        if (home_ && has(kReads) && is_care(question_.purpose)) return allow(Reason::staff_treatment);
        return outsider(emergency);
    }

    Verdict identify() const {
        const bool duty =
            (has(kIdentifies) && is_care(question_.purpose)) || (has(roles::kDesk) && question_.purpose == Purpose::administration);
        if (home_ && duty) return allow(Reason::staff_identities);
        const EmergencyFacts* emergency = open_emergency();
        if (emergency != nullptr && question_.at < emergency->until) return allow(Reason::emergency_opened, emergency->until);
        if (restricted()) return deny(Reason::restricted);
        return outsider(emergency);
    }

    Verdict outsider(const EmergencyFacts* emergency) const {
        Verdict decision = by_grant();
        if (!decision.allowed && question_.purpose == Purpose::emergency && has(roles::kDoctor)) {
            decision.reason = emergency != nullptr ? Reason::emergency_over : Reason::emergency_not_opened;
        }
        return decision;
    }

    /// What only an office gives: nothing of a patient's own, no grants.
    Verdict duty() const {
        struct Office {
            std::uint32_t roles;
            Reason reason;
        };
        const Office office = [&]() -> Office {
            switch (question_.operation) {
                case Operation::store:
                case Operation::correct: return {roles::kTechnologist, Reason::staff_store};
                case Operation::inventory: return {roles::kAdministrator, Reason::staff_inventory};
                case Operation::trace: return {roles::kPrivacyOfficer | roles::kAuditor, Reason::staff_trace};
                default: return {0, Reason::none};
            }
        }();
        if (has(office.roles)) return home_ ? allow(office.reason) : deny(Reason::not_own_studies);
        if (has(roles::kCustodian)) return deny(home_ ? Reason::purpose_not_allowed : Reason::not_own_studies);
        return deny(Reason::role_not_allowed);
    }

    Verdict by_grant() const {
        const Purpose purpose = question_.purpose == Purpose::emergency ? Purpose::treatment : question_.purpose;
        const bool is_person = snapshot_.subject.kind == SubjectKind::person;
        std::uint32_t role = 0;  // by which a person uses grants to a role or institution
        if (is_person) {
            if (!has(kGrantable)) return deny(Reason::role_not_allowed);
            if (purpose == Purpose::research) {
                if (!has(roles::kResearcher)) return deny(Reason::role_not_allowed);
                role = roles::kResearcher;
            } else if (!has(roles::kDoctor | roles::kPatient)) {
                return deny(Reason::purpose_not_allowed);  // a researcher researches
            } else if (purpose == Purpose::treatment) {
                role = roles_ & roles::kDoctor;
            }
        }
        if (purpose == Purpose::administration) return deny(Reason::purpose_not_allowed);
        if (purpose == Purpose::research && question_.operation == Operation::identify) return deny(Reason::identities_withheld);

        Verdict best = deny(Reason::not_granted);
        for (const auto& grant : patient_.grants) {
            if (grant.until == 0 || grant.purpose != purpose || !covers(grant.scope) || !is_for(grant.target, is_person, role)) continue;
            consider(best, grant);
        }
        if (best.allowed && purpose == Purpose::research) best.obligation = Obligation::deidentify;
        return best;
    }

    bool is_for(const Target& target, bool is_person, std::uint32_t role) const {
        switch (target.kind) {
            case TargetKind::subject: return target.id == snapshot_.subject_id;
            case TargetKind::role:
                return role != 0 && target.role == role && (is_zero(target.id) || target.id == snapshot_.subject.institution);
            case TargetKind::institution: return (role != 0 || !is_person) && target.id == snapshot_.subject.institution;
            case TargetKind::everyone: return false;  // nothing is granted to everyone
        }
        return false;
    }

    /// Keeps the longest allowance, or of the denials the one that says most.
    void consider(Verdict& best, const GrantFacts& grant) const {
        Reason reason = Reason::granted;
        if (grant.epoch < std::max(patient_.void_below, grant.void_below)) {
            reason = Reason::grant_revoked;
        } else if (question_.at < grant.from) {
            reason = Reason::grant_not_yet;
        } else if (question_.at >= grant.until) {
            reason = Reason::grant_expired;
        } else {
            best = allow(Reason::granted, std::max(best.valid_until, grant.until));
            return;
        }
        if (!best.allowed) best.reason = std::max(best.reason, reason);
    }

    bool restricted() const {
        return std::any_of(patient_.restrictions.begin(), patient_.restrictions.end(), [&](const RestrictionFacts& restriction) {
            // A question about all studies is restricted if any restriction, whomever it is about, is for one of them.
            if (is_zero(question_.scope) && !is_zero(restriction.scope)) return true;
            return covers(restriction.scope) && is_restricted_by(restriction.target);
        });
    }

    bool is_restricted_by(const Target& target) const {
        switch (target.kind) {
            case TargetKind::everyone: return true;
            case TargetKind::subject: return target.id == snapshot_.subject_id;
            case TargetKind::institution: return target.id == snapshot_.subject.institution;
            case TargetKind::role:
                return snapshot_.subject.kind == SubjectKind::person && has(target.role) &&
                       (is_zero(target.id) || target.id == snapshot_.subject.institution);
        }
        return true;  // unknown: closed
    }

    /// The emergency that is, or was, open for the doctor who asks.
    const EmergencyFacts* open_emergency() const {
        if (question_.purpose != Purpose::emergency || !has(roles::kDoctor)) return nullptr;
        for (const auto& emergency : patient_.emergencies) {
            if (emergency.person == snapshot_.subject_id && question_.at >= emergency.from && emergency.until != 0) return &emergency;
        }
        return nullptr;
    }

    const RightsSnapshot& snapshot_;
    const PatientFacts& patient_;
    const Question& question_;
    std::uint32_t roles_;
    bool home_;
};

}  // namespace

Verdict evaluate(const RightsSnapshot& snapshot, const Question& question) {
    if (snapshot.subject.kind == SubjectKind::none) return deny(Reason::unknown_subject);
    if (!snapshot.subject.active) return deny(Reason::subject_inactive);
    if (!snapshot.subject.institution_active) return deny(Reason::institution_inactive);
    if (snapshot.holder.kind != SubjectKind::institution) return deny(Reason::unknown_holder);
    if (!snapshot.holder.institution_active) return deny(Reason::holder_inactive);
    if (snapshot.locally_denied) return deny(Reason::locally_denied);
    return Case(snapshot, question).decide();
}

Verdict allowed_by_both(const Verdict& settled, const Verdict& latest) {
    if (!latest.allowed) return latest;
    if (!settled.allowed) return settled;
    Verdict both = latest;
    both.obligation = std::max(settled.obligation, latest.obligation);
    both.valid_until = std::min(settled.valid_until, latest.valid_until);
    return both;
}

std::string_view text_of(Reason reason) {
    static constexpr std::array<std::string_view, 35> kTexts = {
        "not decided",
        "own record",
        "guardian of the patient",
        "custodian, for administration",
        "opened in an emergency",
        "staff of the hospital, for treatment",
        "staff of the hospital, identities",
        "staff of the hospital, storing",
        "administrator of the hospital, inventory",
        "privacy officer or auditor of the hospital",
        "granted by the patient",
        "doctors may open in an emergency",
        "everyone may ask",
        "listed for this device",
        "the institution itself",
        "nobody known by this id",
        "the person or device is inactive",
        "the institution of the person or device is inactive",
        "the institution that keeps the study is unknown",
        "the institution that keeps the study is inactive",
        "denied by this archive",
        "restricted by the patient",
        "the role does not allow it",
        "not for this purpose",
        "only for studies of the own hospital",
        "only for the patient",
        "the guardianship is over",
        "not listed for this device",
        "research gets no identities",
        "no emergency has been opened",
        "the emergency is over",
        "not granted by the patient",
        "the grant does not hold yet",
        "the grant was revoked",
        "the grant has expired",
    };
    const auto index = static_cast<std::size_t>(reason);
    return index < kTexts.size() ? kTexts[index] : "unknown reason";
}

}  // namespace fiducial::archive
