// The trace for people: searched, shown and proved, and who looked at a study.
#include "archive/trace_desk.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <limits>
#include <map>

#include "archive/arguments.hpp"
#include "archive/service.hpp"
#include "archive/trace_reader.hpp"
#include "audit/proof.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/merkle.hpp"
#include "ethereum/message.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::int64_t kMostShown = 100'000;
constexpr std::int64_t kMostLooks = 1'000;

/// A day, or a moment. `until`: the end of it.
Result<SystemTime> read_time(const std::string& text, bool until) {
    const bool day = text.size() == 10;
    auto time = ethereum::parse_rfc3339(day ? text + "T00:00:00Z" : text);
    if (!time) return fail(ErrorCode::invalid_argument, "'" + text + "' is no time: wanted is 2026-11-30 or 2026-11-30T08:00:00Z");
    return day && until ? *time + std::chrono::hours(24) : *time;
}

json::object shown(const ReadEntry& entry) {
    const auto& clear = entry.clear;
    json::object out{{"index", entry.index},
                     {"time", to_rfc3339(clear.time)},
                     {"who", entry.who},
                     {"from", entry.from},
                     {"action", std::string(name_of(static_cast<Operation>(clear.operation)))},
                     {"purpose", std::string(name_of(static_cast<Purpose>(clear.purpose)))},
                     {"allowed", clear.allowed},
                     {"reason", std::string(text_of(static_cast<Reason>(clear.reason)))},
                     {"result", std::string(entry.result())},
                     {"block", clear.block_number},
                     {"blockHash", to_0x(clear.block_hash)},
                     {"flags", clear.flags},
                     {"words", entry.sentence()}};
    if (entry.staff_sealed) out["staffSealed"] = true;
    if (entry.patient_sealed) out["patientSealed"] = true;
    if (!entry.patient) return out;
    out["patientId"] = entry.patient_id;
    out["patientKey"] = to_hex(entry.patient->patient_key);
    out["studyKey"] = to_hex(entry.patient->study_key);
    out["studyInstanceUid"] = entry.study_uid;
    if (entry.patient->object != kZero32) out["object"] = entry.object.empty() ? to_hex(entry.patient->object) : entry.object;
    return out;
}

std::string time_text(std::uint64_t seconds) {
    return to_rfc3339(SystemTime(std::chrono::seconds(seconds)));
}

/// Security: whoever is let in as the patient learns nothing of another one's, and no addresses.
bool is_own(const Decision& decision) {
    const auto reason = static_cast<Reason>(decision.reason);
    return reason == Reason::own_record || reason == Reason::guardianship;
}

Result<std::uint64_t> index_from(const json::object& arguments) {
    FID_TRY(const auto number, argument::number(arguments, "index", -1, 0, std::numeric_limits<std::int64_t>::max()));
    if (number < 0) return fail(ErrorCode::invalid_argument, "'index' is needed: the entry's number");
    return static_cast<std::uint64_t>(number);
}

}  // namespace

Result<Decision> TraceDesk::look(const StudyIdentity* study) {
    FID_TRY(auto decision, service_.permit(who_, study, Operation::trace));
    FID_CHECK(service_.tracer_->write(who_, Operation::trace, decision, study, study != nullptr ? study->study_key : kZero32, {}));
    return decision;
}

Result<json::object> TraceDesk::search(const json::object& arguments) {
    TraceFilter filter;
    auto& database = service_.store_->database();
    const auto& index = service_.store_->index();
    std::optional<StudyIdentity> study;
    if (const auto uid = argument::text(arguments, "study"); !uid.empty()) {
        FID_TRY(study, service_.identify(uid));
        filter.study_key = study->study_key;
        filter.patients.push_back(study->row.patient);
    }
    FID_TRY(const auto decision, look(study ? &*study : nullptr));
    if (study && !is_own(decision)) {
        FID_TRY(const auto before, service_.patient_in_data_sets(*study));  // under whom it stood before it was corrected
        FID_TRY(const auto former, database.read([&](database::Transaction& t) {
            return index.find_patient(t, before.patient_id, before.issuer, study->row.study_uid);
        }));
        if (former && former->slot != study->row.patient.slot) filter.patients.push_back(*former);
    }
    if (const auto patient = argument::text(arguments, "patient"); !patient.empty()) {
        FID_TRY(const auto known, database.read([&](database::Transaction& t) {
            return index.patients_with_id(t, PatientText{{}, patient});
        }));
        if (known.empty()) return fail(ErrorCode::not_found, "there is no patient with this ID here");
        if (study && std::none_of(known.begin(), known.end(), [&](const auto& one) { return one.slot == study->row.patient.slot; }))
            return fail(ErrorCode::invalid_argument, "the study is of another patient");
        if (!study) filter.patients = known;
    }
    if (const auto person = argument::text(arguments, "person"); !person.empty()) {
        const auto known = service_.accounts_->by_name(person);
        if (known) filter.subject = known->id;
        if (!known) {
            const auto device = service_.devices_->by_name(person);
            if (!device) return fail(ErrorCode::not_found, "there is no person or device of this name here");
            filter.subject = device->id;
        }
    }
    if (const auto action = argument::text(arguments, "action"); !action.empty()) {
        FID_TRY(filter.operation, parse_operation(action));
    }
    if (const auto result = argument::text(arguments, "result"); !result.empty()) filter.result = result;
    if (const auto from = argument::text(arguments, "from"); !from.empty()) {
        FID_TRY(filter.from, read_time(from, false));
    }
    if (const auto to = argument::text(arguments, "to"); !to.empty()) {
        FID_TRY(filter.to, read_time(to, true));
    }
    FID_TRY(const auto limit, argument::number(arguments, "limit", 100, 1, kMostShown));
    filter.limit = static_cast<std::size_t>(limit);
    FID_TRY(const auto before, argument::number(arguments, "before", -1, -1, std::numeric_limits<std::int64_t>::max()));
    if (before >= 0) filter.before = static_cast<std::uint64_t>(before);
    FID_TRY(auto reader, service_.open_trace_reader());
    FID_TRY(auto found, reader.search(*service_.trace_, filter));
    json::array entries;
    for (auto& entry : found) {
        if (is_own(decision)) entry.from.clear();
        entries.push_back(shown(entry));
    }
    const bool more = found.size() == filter.limit && found.front().index > 0;
    json::object answer{{"entries", std::move(entries)}, {"size", service_.trace_->size()}};
    if (more) answer["before"] = found.front().index;
    return answer;
}

Result<json::object> TraceDesk::show(const json::object& arguments) {
    FID_TRY(const auto index, index_from(arguments));
    FID_CHECK(look());
    FID_TRY(const auto entry, service_.trace_->read(index));
    FID_TRY(auto reader, service_.open_trace_reader());
    FID_TRY(const auto read, reader.read(index, entry));
    auto answer = shown(read);
    answer["leafHash"] = to_hex(audit::entry_leaf_hash(entry.bytes));
    answer["bytes"] = entry.bytes.size();
    return answer;
}

Result<json::object> TraceDesk::prove(const json::object& arguments) {
    FID_TRY(const auto index, index_from(arguments));
    FID_CHECK(look());
    audit::InclusionProof proof;
    proof.index = index;
    FID_TRY(const auto entry, service_.trace_->read(proof.index));
    proof.entry = entry.bytes;
    FID_TRY(proof.checkpoint, service_.checkpoints_->sign());
    FID_TRY(const auto key, service_.checkpoints_->key());
    FID_TRY(const auto checkpoint, audit::open_checkpoint(proof.checkpoint, key));
    FID_TRY(proof.path, service_.checkpoints_->inclusion_path(proof.index, checkpoint.head.size));
    if (const auto holds = proof.verify(key); !holds)
        return fail(ErrorCode::corrupt, "the trace's tiles are damaged: " + holds.error().message);
    return json::object{{"proof", proof.text()}, {"key", key.text()}, {"size", checkpoint.head.size}};
}

/// The path is that of the tree which the ledger has the root of, so that whoever reads it there checks it without us.
Result<json::object> TraceDesk::prove_on_ledger(const json::object& arguments) {
    FID_TRY(auto answer, prove(arguments));
    FID_TRY(const auto index, index_from(arguments));
    const auto kept = service_.checkpoints_->compare();
    if (!kept) {
        const auto code = kept.error().code;
        if (code != ErrorCode::unavailable && code != ErrorCode::timeout) return fail(kept.error());
        answer["notCompared"] = service_.with_nodes_reason(kept.error()).message;
        return answer;
    }
    if (!kept->problem.empty()) return fail(ErrorCode::corrupt, kept->problem);
    json::object ledger{{"size", kept->size}, {"covers", index < kept->size}};
    if (kept->size > 0) ledger["time"] = time_text(kept->at);
    if (index < kept->size) {
        FID_TRY(const auto entry, service_.trace_->read(index));
        const auto leaf = audit::entry_leaf_hash(entry.bytes);
        FID_TRY(const auto path, service_.checkpoints_->inclusion_path(index, kept->size));
        if (!crypto::merkle_verify_inclusion(leaf, index, kept->size, path, kept->root))
            return fail(ErrorCode::corrupt, "the trace's tiles are damaged");
        json::array siblings;
        for (const auto& hash : path) siblings.emplace_back(to_0x(hash));
        const auto& facts = service_.site_.facts();
        ledger["leafHash"] = to_0x(leaf);
        ledger["path"] = std::move(siblings);
        ledger["root"] = to_0x(kept->root);
        ledger["contract"] = to_0x(facts.checkpoints);
        ledger["institution"] = to_0x(facts.institution);
        ledger["origin"] = to_0x(kept->origin);
    }
    answer["ledger"] = std::move(ledger);
    return answer;
}

Result<json::object> TraceDesk::prove_growth(const json::object& arguments) {
    FID_TRY(const auto earlier, argument::required_text(arguments, "checkpoint"));
    FID_CHECK(look());
    FID_TRY(const auto key, service_.checkpoints_->key());
    FID_TRY(const auto old, audit::open_checkpoint(earlier, key));
    audit::ConsistencyProof proof;
    proof.old_size = old.head.size;
    FID_TRY(proof.checkpoint, service_.checkpoints_->sign());
    FID_TRY(const auto now, audit::open_checkpoint(proof.checkpoint, key));
    if (old.head.size > now.head.size)
        return fail(ErrorCode::corrupt, "a checkpoint of " + std::to_string(old.head.size) + " entries was signed, and the trace holds " +
                                            std::to_string(now.head.size) + ": it was cut back, or put back from an earlier time");
    FID_TRY(proof.path, service_.checkpoints_->consistency_path(old.head.size, now.head.size));
    if (!proof.verify(key, old.head)) {
        FID_TRY(const auto root, service_.trace_->root_at(old.head.size));
        return fail(ErrorCode::corrupt, root == old.head.root
                                            ? "the trace's tiles are damaged"
                                            : "the trace does not go on from that checkpoint: its first entries are others");
    }
    return json::object{{"proof", proof.text()}, {"key", key.text()}, {"oldSize", old.head.size}, {"size", now.head.size}};
}

/// Those that the ledger does not have yet first, then the newest.
Result<json::object> TraceDesk::list_emergencies() {
    FID_CHECK(look());
    FID_TRY(const auto everybody, service_.accounts_->all());
    std::map<Bytes32, std::string> names;
    for (const auto& person : everybody.people) names.emplace(person.id, person.name);
    FID_TRY(auto changes, service_.consents_->all());
    std::erase_if(changes, [](const store::LocalChange& one) { return one.change.fact != store::RightsFact::emergency_opened; });
    std::sort(changes.begin(), changes.end(), [](const store::LocalChange& a, const store::LocalChange& b) {
        const bool a_waits = a.settled_block == 0, b_waits = b.settled_block == 0;
        return a_waits != b_waits ? a_waits : a.id > b.id;
    });
    FID_TRY(auto transaction, service_.store_->database().begin_read());
    json::array out;
    for (const auto& one : changes) {
        const auto name = names.find(one.person);
        json::object item{{"id", one.id},
                          {"person", name != names.end() ? name->second : to_hex(one.person)},
                          {"from", time_text(one.change.from)},
                          {"until", time_text(one.change.until)},
                          {"reason", one.reason},
                          {"text", one.note},
                          {"patientKey", to_hex(one.change.patient_key)},
                          {"studyInstanceUid", one.study_uid},
                          {"anchored", one.settled_block != 0}};
        if (const auto uid = Uid::parse(one.study_uid)) {  // a damaged row of a patient hinders no list
            const auto study = service_.store_->index().find_study(transaction, *uid);
            if (study && *study) item["patientId"] = (*study)->patient.patient_id.value;
        }
        if (one.settled_block != 0) {
            item["block"] = one.settled_block;
        } else if (const auto sent = service_.consents_->sent(transaction, one)) {
            item["state"] = std::string(ledger::name_of(sent->state));
            if (!sent->problem.empty()) item["problem"] = sent->problem;
        } else {
            item["state"] = "not queued";
        }
        out.push_back(std::move(item));
    }
    return json::object{{"emergencies", std::move(out)}};
}

Result<json::object> TraceDesk::list_looks(const json::object& arguments) {
    FID_TRY(const auto uid, argument::required_text(arguments, "study"));
    FID_TRY(const auto limit, argument::number(arguments, "limit", 200, 1, kMostLooks));
    FID_TRY(const auto study, service_.identify(uid));
    FID_CHECK(look(&study));
    TraceFilter filter;
    filter.study_key = study.study_key;
    filter.patients.push_back(study.row.patient);  // Security: of this patient alone, whoever's it was before it was corrected
    filter.limit = static_cast<std::size_t>(limit);
    FID_TRY(auto reader, service_.open_trace_reader());
    FID_TRY(const auto found, reader.search(*service_.trace_, filter));
    json::array looks;
    for (const auto& entry : found) {
        auto all = shown(entry);
        json::object one;
        for (const auto* name : {"index", "time", "who", "action", "purpose", "allowed", "reason", "result"}) one[name] = all[name];
        one["emergency"] = (entry.clear.flags & audit::emergency) != 0;
        looks.push_back(std::move(one));
    }
    return json::object{{"looks", std::move(looks)}, {"more", found.size() == filter.limit}};
}

}  // namespace fiducial::archive
