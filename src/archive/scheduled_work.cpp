#include "archive/scheduled_work.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "dicom/image_import.hpp"
#include "evidence/study_record.hpp"

namespace fiducial::archive {
namespace {

namespace tags = dicom::tags;
using store::StepState;

constexpr std::size_t kMostDocumentBytes = std::size_t{8} << 20;

// Spec: PS3.4 table F.7.2-1
constexpr dicom::Tag kScheduledStepAttributesSequence = 0x00400270;
constexpr dicom::Tag kPerformedStatus = 0x00400252;
constexpr dicom::Tag kPerformedSeriesSequence = 0x00400340;
constexpr std::array<dicom::Tag, 6> kNeededAtBegin{
    tags::kModality,
    0x00400241,  // Performed Station AE Title
    0x00400244,  // Performed Procedure Step Start Date
    0x00400245,  // … Time
    0x00400253,  // Performed Procedure Step ID
    kScheduledStepAttributesSequence,
};
constexpr std::array<dicom::Tag, 2> kNeededAtEnd{0x00400250, 0x00400251};  // Performed Procedure Step End Date, Time

std::uint64_t now_ms() {
    return static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
}

bool same(const dicom::Attributes& a, const dicom::Attributes& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

/// Of an order that is named: what the message may hold of it.
std::string step_text(const store::ScheduledStep& step) {
    return "step " + step.step_id + " of order " + step.accession_number;
}

/// The values of an element of a DICOM JSON object; nothing where it is missing or empty.
const boost::json::array* values_of(const boost::json::object& data_set, dicom::Tag tag) {
    const auto* element = data_set.if_contains(dicom::tag_text(tag));
    const auto* object = element != nullptr ? element->if_object() : nullptr;
    const auto* values = object != nullptr ? object->if_contains("Value") : nullptr;
    return values != nullptr && values->is_array() && !values->get_array().empty() ? &values->get_array() : nullptr;
}
std::string text_of(const boost::json::object& data_set, dicom::Tag tag) {
    const auto* values = values_of(data_set, tag);
    return values != nullptr && values->front().is_string() ? std::string(values->front().get_string()) : std::string();
}

template <std::size_t N>
Result<void> need(const boost::json::object& data_set, const std::array<dicom::Tag, N>& needed) {
    for (const auto tag : needed) {
        if (values_of(data_set, tag) == nullptr) return fail(ErrorCode::malformed, dicom::keyword_of(tag) + " is missing");
    }
    return {};
}

Result<boost::json::object> parse_document(std::string_view document) {
    FID_TRY(auto parsed, json::parse(document, kMostDocumentBytes));
    if (!parsed.is_object()) return fail(ErrorCode::malformed, "a performed procedure step is no DICOM JSON object");
    return std::move(parsed.get_object());
}

/// What the status says; what was over stays so. Errors: invalid_argument.
Result<StepState> performed_state(const boost::json::object& data_set) {
    const auto status = text_of(data_set, kPerformedStatus);
    if (status == "IN PROGRESS") return StepState::started;
    if (status == "COMPLETED") return StepState::completed;
    if (status == "DISCONTINUED") return StepState::discontinued;
    return fail(ErrorCode::invalid_argument, "PerformedProcedureStepStatus is none of IN PROGRESS, COMPLETED, DISCONTINUED");
}

std::set<std::string> studies_of(const boost::json::object& data_set) {
    std::set<std::string> studies;
    if (const auto* steps = values_of(data_set, kScheduledStepAttributesSequence)) {
        for (const auto& step : *steps) {
            if (step.is_object()) studies.insert(text_of(step.get_object(), tags::kStudyInstanceUid));
        }
    }
    return studies;
}

}  // namespace

/// Whose entries they are: whether they may be shown, and what the trace says of it.
struct ScheduledWork::Patient {
    bool shown = true;
    TracedLook look;
};

/// A patient of whom nothing is kept yet has no secret, hence no key that a right or a trace entry could name.
Result<ScheduledWork::Patient> ScheduledWork::patient_of(const Requester& who, const Decision& in_general, const dicom::Attributes& entry) {
    PatientText id, issuer;
    id.value = entry.first(tags::kPatientId);
    issuer.value = entry.first(tags::kIssuerOfPatientId);
    FID_TRY(const auto row, store_.database().read([&](database::Transaction& t) { return store_.index().find_patient(t, id, issuer); }));
    Patient patient{true, {in_general, std::nullopt}};
    if (!row) return patient;
    StudyIdentity identity;
    identity.row.patient = *row;
    const auto secret = store_.secrets().patient_secret(row->slot);
    if (!secret && secret.error().code == ErrorCode::not_found) return patient;  // erased at this moment
    if (!secret) return fail(secret.error());
    FID_TRY(identity.patient_key, evidence::patient_key(*secret, issuer, id));
    FID_TRY(patient.look.decision, access_.decide_listed(who, {identity.patient_key, {}}, Operation::identify));
    patient.shown = patient.look.decision.allowed && patient.look.decision.obligation == 0;
    patient.look.study = std::move(identity);
    return patient;
}

Result<std::vector<WorklistEntry>> ScheduledWork::find(const Requester& who, const dicom::WorklistCriteria& criteria, bool only_open) {
    FID_TRY(const auto in_general, permit_(who, Operation::identify));
    const auto [from, to] = criteria.dates();
    const store::WorklistRange range{only_open, from, to};
    FID_TRY(auto steps,
            store_.database().read([&](database::Transaction& t) { return rows_.list(t, range, dicom::kMostWorklistEntries + 1); }));
    if (steps.size() > dicom::kMostWorklistEntries)
        return fail(ErrorCode::limit_exceeded, "more than " + std::to_string(dicom::kMostWorklistEntries) +
                                                   " entries of the worklist: ask for a range of start dates");
    std::map<std::pair<std::string, std::string>, Patient> patients;
    std::vector<WorklistEntry> found;
    for (auto& step : steps) {
        auto& attributes = step.attributes;
        attributes.set(tags::kScheduledStepStatus, {step.state == StepState::started ? "STARTED" : "SCHEDULED"});
        if (!criteria.fit(attributes)) continue;
        const std::pair key(attributes.first(tags::kIssuerOfPatientId), attributes.first(tags::kPatientId));
        auto at = patients.find(key);
        if (at == patients.end()) {
            FID_TRY(auto patient, patient_of(who, in_general, attributes));
            at = patients.emplace(key, std::move(patient)).first;
        }
        if (at->second.shown) found.push_back({std::move(attributes), std::string(store::name_of(step.state)), std::move(step.source)});
    }
    std::vector<TracedLook> looks;
    bool unknown = found.empty();  // one entry stands for all patients without a key, and for an empty list
    for (auto& [key, patient] : patients) {
        if (patient.shown && patient.look.study)
            looks.push_back(std::move(patient.look));
        else
            unknown = unknown || patient.shown;
    }
    if (unknown) looks.push_back({in_general, std::nullopt});
    FID_CHECK(tracer_.write_all(who, Operation::identify, looks));
    return found;
}

Result<void> ScheduledWork::permit_change(const Requester& who) {
    FID_CHECK(permit_(who, who.purpose == Purpose::administration ? Operation::identify : Operation::store));
    return {};
}

/// What an entry may leave out. A study's UID is made once for each requested procedure, and stays.
Result<void> ScheduledWork::complete(database::Transaction& transaction, dicom::Attributes& entry) const {
    FID_CHECK(dicom::check_worklist_entry(entry));
    const auto or_else = [&](dicom::Tag tag, const std::string& value) {
        if (entry.first(tag).empty() && !value.empty()) entry.set(tag, {value});
    };
    const auto accession_number = entry.first(tags::kAccessionNumber);
    or_else(tags::kScheduledStepId, accession_number);
    or_else(tags::kRequestedProcedureId, accession_number);
    or_else(tags::kRequestedProcedureDescription, entry.first(tags::kScheduledStepDescription));
    or_else(tags::kScheduledStepDescription, entry.first(tags::kRequestedProcedureDescription));
    if (entry.has(tags::kStudyInstanceUid)) return {};
    FID_TRY(const auto steps, rows_.of_order(transaction, accession_number));
    for (const auto& step : steps) {
        const bool same_procedure = step.attributes.first(tags::kRequestedProcedureId) == entry.first(tags::kRequestedProcedureId) &&
                                    step.attributes.first(tags::kPatientId) == entry.first(tags::kPatientId);
        if (same_procedure) or_else(tags::kStudyInstanceUid, step.attributes.first(tags::kStudyInstanceUid));
    }
    Bytes named;
    for (const auto tag : {tags::kIssuerOfPatientId, tags::kPatientId, tags::kAccessionNumber, tags::kRequestedProcedureId})
        append_lp(named, as_bytes(entry.first(tag)));
    const auto uid = dicom::uid_from_hash(crypto::tagged_hmac_sha256(store_.keyring().uid_key().view(), "fid.worklist-study1", {named}));
    or_else(tags::kStudyInstanceUid, uid.text());
    return {};
}

Result<void> ScheduledWork::schedule_one(database::Transaction& transaction, dicom::Attributes entry, std::string_view source,
                                         ScheduleOutcome& outcome) {
    FID_CHECK(complete(transaction, entry));
    const auto& accession_number = entry.first(tags::kAccessionNumber);
    const auto& step_id = entry.first(tags::kScheduledStepId);
    FID_TRY(auto known, rows_.find(transaction, accession_number, step_id));
    if (known && same(known->attributes, entry) && known->state != StepState::cancelled) {
        outcome.same += 1;
        return {};
    }
    if (known && (known->state == StepState::started || known->state == StepState::completed))
        return fail(ErrorCode::conflict, step_text(*known) + " is " + std::string(store::name_of(known->state)) + " and stays as it is");
    store::ScheduledStep step{known ? known->id : 0, accession_number,    step_id, StepState::scheduled,
                              std::move(entry),      std::string(source), now_ms()};
    FID_CHECK(rows_.save(transaction, step));
    (known ? outcome.changed : outcome.added) += 1;
    return {};
}

Result<ScheduleOutcome> ScheduledWork::schedule(const Requester& who, std::vector<dicom::Attributes> entries, std::string_view source) {
    FID_CHECK(permit_change(who));
    ScheduleOutcome outcome;
    std::size_t number = 0;
    FID_CHECK(store_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        for (auto& entry : entries) {
            ++number;
            auto scheduled = schedule_one(t, std::move(entry), source, outcome);
            if (!scheduled && entries.size() > 1) return fail(scheduled.error().with("entry " + std::to_string(number)));
            if (!scheduled) return scheduled;
        }
        return {};
    }));
    return outcome;
}

Result<std::uint64_t> ScheduledWork::cancel(const Requester& who, std::string_view accession_number, std::string_view step_id) {
    FID_CHECK(permit_change(who));
    std::uint64_t cancelled = 0;
    FID_CHECK(store_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto steps, rows_.of_order(t, accession_number));
        if (!step_id.empty()) std::erase_if(steps, [&](const auto& step) { return step.step_id != step_id; });
        if (steps.empty()) return fail(ErrorCode::not_found, "there is no such order or step on the worklist");
        for (auto& step : steps) {
            if (step.state == StepState::cancelled) continue;
            if (step.state != StepState::scheduled)
                return fail(ErrorCode::conflict,
                            step_text(step) + " is " + std::string(store::name_of(step.state)) + " and cannot be cancelled any more");
            step.state = StepState::cancelled;
            step.changed_ms = now_ms();
            FID_CHECK(rows_.save(t, step));
            cancelled += 1;
        }
        return {};
    }));
    return cancelled;
}

Result<std::uint64_t> ScheduledWork::forget(std::chrono::days after) {
    const auto before = system_clock().now() - after;
    auto date = to_rfc3339(before).substr(0, 10);
    std::erase(date, '-');
    return store_.database().write(database::Durability::full, [&](database::Transaction& t) {
        return rows_.forget(t, date, static_cast<std::uint64_t>(before.time_since_epoch().count()));
    });
}

/// Entries that a performed step names follow its state. Those that it does not name, or that are over, stay.
Result<void> ScheduledWork::move_entries(database::Transaction& transaction, const std::string& document, StepState state) {
    FID_TRY(const auto data_set, parse_document(document));
    const auto* steps = values_of(data_set, kScheduledStepAttributesSequence);
    if (steps == nullptr) return {};
    for (const auto& item : *steps) {
        if (!item.is_object()) continue;
        const auto& named = item.get_object();
        FID_TRY(auto step, rows_.find(transaction, text_of(named, tags::kAccessionNumber), text_of(named, tags::kScheduledStepId)));
        if (!step || !store::is_open(step->state) || step->state == state) continue;
        step->state = state;
        step->changed_ms = now_ms();
        FID_CHECK(rows_.save(transaction, *step));
    }
    return {};
}

Result<void> ScheduledWork::begin_performed(const Requester& who, const PerformedReport& report) {
    FID_CHECK(permit_(who, Operation::store));
    FID_TRY(const auto data_set, parse_document(report.document));
    FID_CHECK(need(data_set, kNeededAtBegin));
    FID_TRY(const auto state, performed_state(data_set));
    if (state != StepState::started) return fail(ErrorCode::invalid_argument, "a step begins IN PROGRESS");
    if (studies_of(data_set).contains(""))
        return fail(ErrorCode::malformed, "StudyInstanceUID is missing in ScheduledStepAttributesSequence");
    return store_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const auto known, rows_.find_performed(t, report.sop_uid));
        if (known) return fail(ErrorCode::conflict, "there is a performed procedure step of this UID already");
        store::PerformedStep step{0, report.sop_uid, state, report.document, who.address, now_ms()};
        FID_CHECK(rows_.save(t, step));
        return move_entries(t, step.document, state);
    });
}

Result<void> ScheduledWork::change_performed(const Requester& who, const PerformedReport& report) {
    FID_CHECK(permit_(who, Operation::store));
    FID_TRY(const auto changes, parse_document(report.document));
    std::set<std::string> studies;
    bool completed = false;
    FID_CHECK(store_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto step, rows_.find_performed(t, report.sop_uid));
        if (!step) return fail(ErrorCode::not_found, "there is no performed procedure step of this UID");
        if (step->state != StepState::started) return fail(ErrorCode::conflict, "Performed Procedure Step Object may no longer be updated");
        FID_TRY(auto data_set, parse_document(step->document));
        for (const auto& [tag, element] : changes) data_set[tag] = element;
        FID_TRY(step->state, performed_state(data_set));
        completed = step->state == StepState::completed;
        if (step->state != StepState::started) FID_CHECK(need(data_set, kNeededAtEnd));
        if (completed) FID_CHECK(need(data_set, std::array{kPerformedSeriesSequence}));
        studies = studies_of(data_set);
        step->document = boost::json::serialize(data_set);
        if (step->document.size() > kMostDocumentBytes)
            return fail(ErrorCode::limit_exceeded, "more was said of this performed procedure step than is kept");
        step->source = who.address;
        step->changed_ms = now_ms();
        FID_CHECK(rows_.save(t, *step));
        return move_entries(t, step->document, step->state);
    }));
    for (const auto& text : completed ? studies : std::set<std::string>()) {
        const auto uid = Uid::parse(text);
        const auto done = uid ? exams_.complete(*uid) : Result<bool>(false);
        const bool not_here = !done && done.error().code == ErrorCode::not_found;  // its images come later, or elsewhere
        if (!done && !not_here)
            log::warning("archive", "an exam that a modality completed could not be put into its record yet",
                         {{"why", done.error().message}});
    }
    return {};
}

}  // namespace fiducial::archive
