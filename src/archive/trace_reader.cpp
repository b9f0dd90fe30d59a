#include "archive/trace_reader.hpp"

#include <algorithm>
#include <array>
#include <deque>

#include "archive/access/evaluate.hpp"
#include "archive/retrieve.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

constexpr std::array<std::string_view, 10> kOperations{"read",  "identify", "store", "correct",     "inventory",
                                                       "trace", "consent",  "ask",   "break-glass", "erase"};
constexpr std::size_t kShortId = 12;  // digits that tell ids apart for people

/// What was done, as in "ada looked at images of …".
std::string_view verb_of(std::uint8_t operation) {
    static constexpr std::array<std::string_view, 10> kVerbs{
        "looked at images",      "looked at names and lists", "stored",           "corrected",       "administered",
        "looked into the trace", "decided about access",      "asked for access", "broke the glass", "erased"};
    return operation < kVerbs.size() ? kVerbs[operation] : "did what this version does not know";
}

std::string short_hex(ByteView bytes) {
    return to_hex(bytes).substr(0, kShortId) + "…";
}

}  // namespace

std::string_view name_of(Operation operation) {
    const auto index = static_cast<std::size_t>(operation);
    return index < kOperations.size() ? kOperations[index] : "unknown";
}

Result<Operation> parse_operation(std::string_view name) {
    const auto found = std::find(kOperations.begin(), kOperations.end(), name);
    if (found != kOperations.end()) return static_cast<Operation>(found - kOperations.begin());
    std::string names;
    for (const auto one : kOperations) names += (names.empty() ? "" : ", ") + std::string(one);
    return fail(ErrorCode::invalid_argument, "there is no such action; actions are: " + names);
}

TracePartKey trace_staff_key(const crypto::Secret& staff_key, const Bytes32& subject) {
    return {crypto::tagged_hmac_sha256(staff_key.view(), "fid.trace-staff-id1", {subject}),
            crypto::Secret::copy_of(crypto::tagged_hmac_sha256(staff_key.view(), "fid.trace-staff-key1", {subject}))};
}

TracePartKey trace_patient_key(const crypto::Secret& patient_secret) {
    return {crypto::tagged_hmac_sha256(patient_secret.view(), "fid.trace-patient-id1", {}),
            crypto::Secret::copy_of(crypto::tagged_hmac_sha256(patient_secret.view(), "fid.trace-patient1", {}))};
}

std::string_view ReadEntry::result() const {
    return clear.result == 0 ? "success" : fiducial::name_of(static_cast<ErrorCode>(clear.result - 1));
}

std::string ReadEntry::sentence() const {
    std::string out = to_rfc3339(clear.time) + "  " + who;
    if (!from.empty()) out += " (" + from + ")";
    out += " " + std::string(clear.allowed ? "" : "was denied: ") + std::string(verb_of(clear.operation));
    if (patient) {
        if (patient->object != kZero32) out += object.empty() ? ", object " + short_hex(patient->object) : ", instance " + object;
        if (patient->study_key == kZero32)
            out += ", several studies";
        else
            out += ", study " + (study_uid.empty() ? short_hex(patient->study_key) : study_uid);
        out += " of patient " + (patient_id.empty() ? short_hex(patient->patient_key) : patient_id);
    } else if (patient_sealed) {
        out += ", of a patient whose key is destroyed";
    }
    out += "; purpose " + std::string(name_of(static_cast<Purpose>(clear.purpose))) + "; " +
           std::string(text_of(static_cast<Reason>(clear.reason)));
    if (clear.block_number != 0) out += " (block " + std::to_string(clear.block_number) + ")";
    if ((clear.flags & audit::node_away) != 0) out += "; the ledger's node was away";
    if ((clear.flags & audit::emergency) != 0) out += "; emergency";
    if ((clear.flags & audit::people) != 0) out += "; people or tokens changed";
    if ((clear.flags & audit::counted) != 0) out += "; counted together";
    if ((clear.flags & audit::begun_anew) != 0) out += "; first entry after a trace that was lost";
    if (!succeeded()) out += "; " + std::string(result());
    return out;
}

Result<TraceReader> TraceReader::open(const Site& site, store::Store& store, Accounts& accounts, Devices& devices) {
    TraceReader reader(store);
    const auto staff_keys = site.trace_staff_keys();
    const auto learn = [&](const Bytes32& id, const std::string& name) {
        for (const auto& staff_key : staff_keys) {
            auto part = trace_staff_key(staff_key, id);
            reader.staff_.insert_or_assign(part.id, Subject{id, name, std::move(part.key)});
        }
    };
    learn(site.facts().institution, "this institution");
    learn(site.facts().operator_person, site.facts().operator_name);
    learn(kZero32, "nobody known");
    // A table that was altered names nobody; the trace tells all else.
    if (const auto people = accounts.all()) {
        for (const auto& person : people->people) learn(person.id, person.name);
    } else if (people.error().code != ErrorCode::corrupt) {
        return fail(people.error());
    }
    if (const auto all = devices.all()) {
        for (const auto& device : *all) learn(device.id, device.name);
    } else if (all.error().code != ErrorCode::corrupt) {
        return fail(all.error());
    }
    return reader;
}

Result<void> TraceReader::learn(const store::PatientRow& patient) {
    const auto secret = store_.secrets().patient_secret(patient.slot);
    if (!secret) return {};  // destroyed
    auto part = trace_patient_key(*secret);
    patients_.try_emplace(part.id, Patient{patient, std::move(part.key)});
    return {};
}

Result<void> TraceReader::learn_all_patients() {
    if (knows_all_patients_) return {};
    knows_all_patients_ = true;
    std::string cursor;
    do {
        FID_TRY(const auto page,
                store_.database().read([&](database::Transaction& t) { return store_.index().list_studies(t, {}, cursor, 1000); }));
        for (const auto& study : page.studies) {
            FID_CHECK(learn(study.patient));
            if (const auto identity = identify_study(store_, study)) studies_.emplace(identity->study_key, study.study_uid.text());
        }
        cursor = page.next;
    } while (!cursor.empty());
    return {};
}

Result<ReadEntry> TraceReader::read(std::uint64_t index, const audit::StoredEntry& entry) {
    ReadEntry out;
    out.index = index;
    out.clear = entry.clear;
    if (entry.staff) {
        const auto known = staff_.find(entry.staff->key_id);
        if (known != staff_.end()) {
            FID_TRY(const auto part, entry.open_staff(known->second.key));
            out.who = known->second.name;
            out.from = part.remote_address;
        } else {
            out.staff_sealed = true;
            out.who = "somebody who is not known here (" + short_hex(entry.staff->key_id) + ")";
        }
    }
    if (!entry.patient) return out;
    auto known = patients_.find(entry.patient->key_id);
    if (known == patients_.end()) {
        FID_CHECK(learn_all_patients());
        known = patients_.find(entry.patient->key_id);
    }
    if (known == patients_.end()) {
        out.patient_sealed = true;
        return out;
    }
    FID_TRY(out.patient, entry.open_patient(known->second.key));
    out.patient_id = known->second.row.patient_id.value;
    FID_CHECK(name_study(out));
    return out;
}

Result<void> TraceReader::name_study(ReadEntry& entry) {
    if (entry.patient->study_key != kZero32) {
        if (!studies_.contains(entry.patient->study_key)) FID_CHECK(learn_all_patients());
        if (const auto found = studies_.find(entry.patient->study_key); found != studies_.end()) entry.study_uid = found->second;
    }
    if (entry.patient->object == kZero32 || entry.patient->object == entry.patient->study_key) return {};
    const auto instance =
        store_.database().read([&](database::Transaction& t) { return store_.index().find_instance_of(t, entry.patient->object); });
    if (instance && *instance) entry.object = (*instance)->sop_uid.text();
    return {};
}

Result<std::vector<ReadEntry>> TraceReader::search(const audit::Trace& trace, const TraceFilter& filter) {
    for (const auto& patient : filter.patients) FID_CHECK(learn(patient));
    const auto wanted_patient = [&](const audit::StoredEntry& entry) {
        if (filter.patients.empty()) return true;
        if (!entry.patient) return false;
        const auto known = patients_.find(entry.patient->key_id);
        if (known == patients_.end()) return false;
        const bool listed = std::any_of(filter.patients.begin(), filter.patients.end(),
                                        [&](const store::PatientRow& patient) { return patient.slot == known->second.row.slot; });
        if (!listed || !filter.study_key) return listed;
        const auto part = entry.open_patient(known->second.key);
        return part && (part->study_key == *filter.study_key || part->study_key == kZero32);
    };
    const auto wanted_subject = [&](const audit::StoredEntry& entry) {
        if (!filter.subject) return true;
        const auto known = entry.staff ? staff_.find(entry.staff->key_id) : staff_.end();
        return known != staff_.end() && known->second.id == *filter.subject;
    };
    struct Found {
        std::uint64_t index = 0;
        audit::StoredEntry entry;
    };
    std::deque<Found> last;
    FID_CHECK(trace.for_each(0, [&](std::uint64_t index, const audit::StoredEntry& entry) {
        if (index >= filter.before) return false;
        const auto& clear = entry.clear;
        const ReadEntry plain{index, clear, {}, {}, {}, {}, {}, {}};
        const bool fits = clear.time >= filter.from && clear.time < filter.to &&
                          (!filter.operation || clear.operation == static_cast<std::uint8_t>(*filter.operation)) &&
                          (!filter.result || plain.result() == *filter.result) && wanted_subject(entry) && wanted_patient(entry);
        if (!fits) return true;
        last.push_back({index, entry});
        if (last.size() > filter.limit) last.pop_front();
        return true;
    }));
    std::vector<ReadEntry> out;
    for (const auto& found : last) {
        FID_TRY(auto read, this->read(found.index, found.entry));
        out.push_back(std::move(read));
    }
    return out;
}

}  // namespace fiducial::archive
