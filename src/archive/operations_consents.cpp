#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <thread>

#include "archive/access/snapshot.hpp"
#include "archive/arguments.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "archive/trace_desk.hpp"
#include "base/hex.hpp"
#include "dicom/matching.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kSettlePatience{30};  // of what counts only then
constexpr std::chrono::seconds kSeenPatience{3};     // of what counts here already

std::string time_text(std::uint64_t seconds) {
    return to_rfc3339(SystemTime(std::chrono::seconds(seconds)));
}

}  // namespace

/// Whom a command is about.
struct Operations::Named {
    StudyIdentity identity;  // of the study, or of any of the patient's
    std::string study_uid;   // empty: the patient was named
    Hash scope() const { return study_uid.empty() ? Hash{} : identity.scope_ref; }
};

/// A UID that is a study here names it; anything else is a PatientID.
Result<Operations::Named> Operations::patient_or_study(const Arguments& arguments) {
    FID_TRY(const auto text, argument::required_text(arguments, "who"));
    if (Uid::parse(text)) {
        auto study = service_.identify(text);
        if (study) return Named{std::move(*study), text};
        if (study.error().code != ErrorCode::not_found) return fail(study.error());
    }
    FID_TRY(auto key, dicom::Matcher::compile(dicom::tags::kPatientId, text));
    dicom::Criteria criteria;
    criteria.add(std::move(key));
    FID_TRY(auto page, service_.store_->database().read(
                           [&](database::Transaction& t) { return service_.store_->index().list_studies(t, criteria, "", 1000); }));
    // What matching knows as a wildcard is a letter like any other in an ID that is meant.
    std::erase_if(page.studies, [&](const store::StudyRow& study) { return study.patient.patient_id.value != text; });
    if (page.studies.empty()) return fail(ErrorCode::not_found, "there is no study and no patient " + text);
    const auto& first = page.studies.front();
    const bool one = std::all_of(page.studies.begin(), page.studies.end(),
                                 [&](const store::StudyRow& study) { return study.patient.id == first.patient.id; });
    if (!one) return fail(ErrorCode::conflict, "several patients have the ID " + text + ": name a study of the one who is meant");
    FID_TRY(auto identity, identify_study(*service_.store_, first));
    identity.study_key = {};
    identity.scope_ref = {};
    return Named{std::move(identity), {}};
}

Result<json::object> Operations::break_glass(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "as"));
    FID_TRY(const auto person, service_.accounts_->by_name(name));
    FID_TRY(const auto about, patient_or_study(arguments));
    auto who = service_.command_requester(Purpose::emergency);
    who.subject = person.id;
    FID_TRY(const auto opened,
            service_.open_emergency(who, about.identity, {argument::text(arguments, "reason"), argument::text(arguments, "text")}));
    return json::object{{"person", name}, {"until", time_text(opened.until)}, {"nodeAway", opened.node_away}};
}

Result<json::object> Operations::list_emergencies(const Arguments&) {
    return TraceDesk(service_, service_.command_requester()).list_emergencies();
}

// ---- what the institution decides for patients without a wallet

/// A decision under way that the contracts, or the node-away table, allowed.
struct Operations::Deciding {
    Named about;
    Decision decision;
    Consents::By by;
};

Result<Operations::Deciding> Operations::as_institution(const Arguments& arguments, bool gives) {
    FID_TRY(auto about, patient_or_study(arguments));
    auto institution = service_.command_requester();
    institution.subject = service_.site_.facts().institution;
    auto decision =
        service_.permit(institution, &about.identity, Operation::consent, gives ? ConsentChange::grant : ConsentChange::revoke_or_restrict);
    if (!decision && gives && decision.error().code == ErrorCode::unavailable) {
        return fail(ErrorCode::unavailable, decision.error().message +
                                                ". Nothing was changed: a grant, or lifting a restriction, counts only once it is settled; "
                                                "run this again when the node is back");
    }
    if (!decision && decision.error().code == ErrorCode::denied)
        return fail(ErrorCode::denied, "the institution does not decide for this patient: " + decision.error().message);
    FID_CHECK(decision);
    Consents::By by{service_.command_requester().subject, about.study_uid, {}, argument::text(arguments, "note")};
    return Deciding{std::move(about), *decision, std::move(by)};
}

Result<void> Operations::trace_consent(const Deciding& deciding, const Hash& item) {
    FID_CHECK(
        service_.tracer_->write(service_.command_requester(), Operation::consent, deciding.decision, &deciding.about.identity, item, {}));
    return {};
}

/// Waits a while for the ledger, longer for what counts only then.
Result<json::object> Operations::decided(const Deciding& deciding, const store::LocalChange& local) {
    const bool gives =
        local.change.fact == store::RightsFact::grant || (local.change.fact == store::RightsFact::restriction && !local.change.on);
    const auto deadline = std::chrono::steady_clock::now() + (gives ? kSettlePatience : kSeenPatience);
    ledger::OutboxItem item;
    for (;;) {
        FID_TRY(item, service_.store_->database().read([&](database::Transaction& t) { return service_.consents_->sent(t, local); }));
        const bool ended = item.state == ledger::OutboxState::settled || item.state == ledger::OutboxState::failed ||
                           item.state == ledger::OutboxState::incident;
        if (ended || stop_.load() || (deciding.decision.node_away && !gives) || std::chrono::steady_clock::now() >= deadline) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    if (item.state == ledger::OutboxState::failed)
        return fail(ErrorCode::conflict,
                    "the ledger refused it: " + item.problem + (gives ? "" : "; here it counts all the same (fiducial consent show)"));
    json::object out{{"id", to_hex(local.change.item)},
                     {"nodeAway", deciding.decision.node_away},
                     {"settled", item.state == ledger::OutboxState::settled}};
    if (local.change.fact == store::RightsFact::grant) out["until"] = time_text(local.change.until);
    return out;
}

Result<Target> Operations::target_of(const Arguments& arguments) {
    const auto person = argument::text(arguments, "person"), role = argument::text(arguments, "role"),
               institution = argument::text(arguments, "institution");
    Target target;
    if (!institution.empty() && institution != "any") {
        FID_TRY(target.id, fixed_from_hex<32>(institution, "--institution"));
        target.kind = TargetKind::institution;
    }
    if (!role.empty()) {
        FID_TRY(target.role, parse_roles(role));
        if ((target.role & (target.role - 1)) != 0) return fail(ErrorCode::invalid_argument, "name one role");
        target.kind = TargetKind::role;
        if (institution.empty()) target.id = service_.site_.facts().institution;
    }
    if (!person.empty()) {
        if (target.kind != TargetKind::everyone || !institution.empty())
            return fail(ErrorCode::invalid_argument, "name a person, or a role, or an institution");
        target.kind = TargetKind::subject;
        if (const auto id = fixed_from_hex<32>(person, "person")) {
            target.id = *id;  // of another institution
        } else {
            FID_TRY(const auto known, service_.accounts_->by_name(person));
            target.id = known.id;
        }
    }
    if (target.kind == TargetKind::everyone && !institution.empty())
        return fail(ErrorCode::invalid_argument, "any institution, of which role?");
    return target;
}

Result<json::object> Operations::grant(const Arguments& arguments) {
    FID_TRY(const auto to, target_of(arguments));
    const auto purpose_name = argument::text(arguments, "purpose");
    FID_TRY(const auto purpose, parse_purpose(purpose_name.empty() ? "treatment" : purpose_name));
    FID_TRY(const auto days, argument::number(arguments, "days", 30, 1, 36500));
    FID_TRY(const auto deciding, as_institution(arguments, true));
    const auto scope = deciding.about.scope();
    FID_CHECK(trace_consent(deciding, Consents::grant_id(to, scope, purpose)));
    const auto until = unix_seconds(system_clock().now()) + static_cast<std::uint64_t>(days) * 86400;
    FID_TRY(const auto local, service_.consents_->grant(deciding.about.identity.patient_key, to, scope, purpose, until, deciding.by));
    return decided(deciding, local);
}

Result<json::object> Operations::revoke(const Arguments& arguments) {
    const auto begins = argument::text(arguments, "grant");
    if (begins.empty() != argument::flag(arguments, "all")) return fail(ErrorCode::invalid_argument, "name one grant, or ask for all");
    FID_TRY(const auto deciding, as_institution(arguments, false));
    const auto& patient_key = deciding.about.identity.patient_key;
    Hash item{};
    if (!begins.empty()) {
        FID_TRY(item, service_.consents_->find(patient_key, store::RightsFact::grant, begins));
    }
    FID_CHECK(trace_consent(deciding, item));
    FID_TRY(const auto local, service_.consents_->revoke(patient_key, item, deciding.by));
    return decided(deciding, local);
}

Result<json::object> Operations::restrict(const Arguments& arguments) {
    FID_TRY(const auto whom, target_of(arguments));
    FID_TRY(const auto deciding, as_institution(arguments, false));
    const auto scope = deciding.about.scope();
    FID_CHECK(trace_consent(deciding, Consents::restriction_id(whom, scope)));
    FID_TRY(const auto local, service_.consents_->restrict(deciding.about.identity.patient_key, whom, scope, deciding.by));
    return decided(deciding, local);
}

Result<json::object> Operations::lift(const Arguments& arguments) {
    FID_TRY(const auto begins, argument::required_text(arguments, "restriction"));
    FID_TRY(const auto deciding, as_institution(arguments, true));
    const auto& patient_key = deciding.about.identity.patient_key;
    FID_TRY(const auto item, service_.consents_->find(patient_key, store::RightsFact::restriction, begins));
    FID_CHECK(trace_consent(deciding, item));
    FID_TRY(const auto local, service_.consents_->lift(patient_key, item, deciding.by));
    return decided(deciding, local);
}

/// What is settled, and what was decided here and is not yet.
Result<json::object> Operations::show_consents(const Arguments& arguments) {
    FID_TRY(const auto about, patient_or_study(arguments));
    const auto& identity = about.identity;
    const auto who = service_.command_requester();
    FID_TRY(const auto decision, service_.permit(who, &identity, Operation::identify));
    FID_CHECK(service_.tracer_->write(who, Operation::identify, decision, &identity, identity.study_key, {}));
    FID_TRY(const auto everybody, service_.accounts_->all());
    FID_TRY(auto transaction, service_.store_->database().begin_read());
    FID_TRY(const auto state, service_.rights_->state(transaction));
    FID_TRY(const auto told,
            service_.rights_->about_patient(transaction, service_.site_.facts().institution, identity.patient_key, state.settled_block));
    const auto facts = patient_facts(told);
    const auto now = std::max(unix_seconds(system_clock().now()), state.latest_time);

    const auto name_of_subject = [&](const Bytes32& id) {
        const auto found = std::find_if(everybody.people.begin(), everybody.people.end(), [&](const Person& one) { return one.id == id; });
        return found != everybody.people.end() ? found->name : to_hex(id);
    };
    const auto target_text = [&](const Target& target) -> std::string {
        const auto institution = target.id == kZero32                              ? std::string("any institution")
                                 : target.id == service_.site_.facts().institution ? std::string("this institution")
                                                                                   : "institution " + to_hex(target.id);
        switch (target.kind) {
            case TargetKind::everyone: return "everyone";
            case TargetKind::subject: return name_of_subject(target.id);
            case TargetKind::role: return roles_text(target.role) + " of " + institution;
            case TargetKind::institution: return institution;
        }
        return "unknown";
    };
    const auto scope_text = [&](const Hash& scope) -> std::string {
        if (scope == kZero32) return "all studies";
        return !about.study_uid.empty() && scope == identity.scope_ref ? "study " + about.study_uid
                                                                       : "one study (" + to_hex(scope).substr(0, 16) + ")";
    };
    const auto grant_state = [&](const GrantFacts& grant) {
        if (grant.epoch < std::max(facts.void_below, grant.void_below)) return "revoked";
        if (now < grant.from) return "not yet in force";
        return now >= grant.until ? "expired" : "in force";
    };
    json::array grants, restrictions, emergencies, waiting;
    for (const auto& grant : facts.grants) {
        if (grant.until == 0) continue;  // a revocation of one that never came
        grants.push_back({{"id", to_hex(Consents::grant_id(grant.target, grant.scope, grant.purpose))},
                          {"to", target_text(grant.target)},
                          {"scope", scope_text(grant.scope)},
                          {"purpose", std::string(name_of(grant.purpose))},
                          {"until", time_text(grant.until)},
                          {"state", grant_state(grant)}});
    }
    for (const auto& one : facts.restrictions)
        restrictions.push_back({{"id", to_hex(Consents::restriction_id(one.target, one.scope))},
                                {"whom", target_text(one.target)},
                                {"scope", scope_text(one.scope)}});
    for (const auto& one : facts.emergencies) {
        if (now < one.until) emergencies.push_back({{"person", name_of_subject(one.person)}, {"until", time_text(one.until)}});
    }
    FID_TRY(const auto here, service_.rights_->local_changes(transaction));
    for (const auto& local : here) {
        if (local.settled_block != 0 || local.change.patient_key != identity.patient_key) continue;
        const auto& change = local.change;
        const Target target{static_cast<TargetKind>(change.detail), change.other, change.bits};
        json::object item{{"id", to_hex(change.item)}, {"by", name_of_subject(local.person)}, {"at", time_text(local.made)}};
        switch (change.fact) {
            case store::RightsFact::grant: item["what"] = "grant to " + target_text(target) + ", " + scope_text(change.scope); break;
            case store::RightsFact::revocation: item["what"] = change.item == kZero32 ? "all grants revoked" : "grant revoked"; break;
            case store::RightsFact::restriction:
                item["what"] = std::string(change.on ? "restricted for " : "no longer restricted for ") + target_text(target) + ", " +
                               scope_text(change.scope);
                break;
            default: item["what"] = "emergency of " + name_of_subject(change.other) + " until " + time_text(change.until); break;
        }
        const auto sent = service_.consents_->sent(transaction, local);
        item["state"] = sent ? std::string(ledger::name_of(sent->state)) : std::string("not queued");
        if (sent && !sent->problem.empty()) item["problem"] = sent->problem;
        waiting.push_back(std::move(item));
    }
    static constexpr std::array<std::string_view, 3> kDeciders{"the institution", "the patient, with a key kept here",
                                                               "the patient's wallet"};
    return json::object{{"patientKey", to_hex(identity.patient_key)},
                        {"decides", std::string(kDeciders.at(static_cast<std::size_t>(facts.kind)))},
                        {"grants", std::move(grants)},
                        {"restrictions", std::move(restrictions)},
                        {"emergencies", std::move(emergencies)},
                        {"waiting", std::move(waiting)}};
}

}  // namespace fiducial::archive
