// Who looked at what: searched, shown, proved and checked.
#include <algorithm>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/finding.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "archive/trace_reader.hpp"
#include "audit/proof.hpp"
#include "base/hex.hpp"
#include "crypto/merkle.hpp"
#include "ethereum/message.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::int64_t kMostShown = 100'000;
constexpr std::chrono::seconds kClockTolerance{5};
constexpr std::size_t kMostBackDated = 100, kExportedAtOnce = 256;

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

/// Entries that say they are older than one before them. One clock writes them, in order.
Result<json::array> find_back_dated(const audit::Trace& trace) {
    json::array findings;
    SystemTime latest{};
    FID_CHECK(trace.for_each(0, [&](std::uint64_t index, const audit::StoredEntry& entry) {
        const auto time = entry.clear.time;
        if (time + kClockTolerance < latest) {
            findings.push_back(finding("back_dated", "entry " + std::to_string(index),
                                       "it says " + to_rfc3339(time) + " and stands behind one of " + to_rfc3339(latest),
                                       "the machine's clock was set back, or somebody wrote what was not so: look at its time service"));
        }
        latest = std::max(latest, time);
        return findings.size() < kMostBackDated;
    }));
    return findings;
}

}  // namespace

Result<void> Operations::look_into_trace(const Arguments& arguments, const StudyIdentity* study) {
    auto who = service_.command_requester();
    if (const auto token = argument::text(arguments, "token"); !token.empty()) {
        FID_TRY(who, service_.authenticate(token));
        who.door = "command";
        who.address = service_.command_requester().address;
        who.purpose = Purpose::administration;
    }
    FID_TRY(const auto decision, service_.permit(who, study, Operation::trace));
    FID_CHECK(service_.tracer_->write(who, Operation::trace, decision, study, study != nullptr ? study->study_key : kZero32, {}));
    return {};
}

Result<json::object> Operations::search_trace(const Arguments& arguments) {
    TraceFilter filter;
    auto& database = service_.store_->database();
    const auto& index = service_.store_->index();
    std::optional<StudyIdentity> study;
    if (const auto uid = argument::text(arguments, "study"); !uid.empty()) {
        FID_TRY(study, service_.identify(uid));
        filter.study_key = study->study_key;
        filter.patients.push_back(study->row.patient);
        FID_TRY(const auto before, service_.patient_in_data_sets(*study));  // under whom it stood before it was corrected
        FID_TRY(const auto former, database.read([&](database::Transaction& t) {
            return index.find_patient(t, before.patient_id, before.issuer, study->row.study_uid);
        }));
        if (former && former->slot != study->row.patient.slot) filter.patients.push_back(*former);
    }
    FID_CHECK(look_into_trace(arguments, study ? &*study : nullptr));
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
    FID_TRY(const auto found, reader.search(*service_.trace_, filter));
    json::array entries;
    for (const auto& entry : found) entries.push_back(shown(entry));
    const bool more = found.size() == filter.limit && found.front().index > 0;
    json::object answer{{"entries", std::move(entries)}, {"size", service_.trace_->size()}};
    if (more) answer["before"] = found.front().index;
    return answer;
}

Result<json::object> Operations::show_entry(const Arguments& arguments) {
    FID_TRY(const auto number, argument::number(arguments, "index", -1, 0, std::numeric_limits<std::int64_t>::max()));
    FID_CHECK(look_into_trace(arguments));
    FID_TRY(const auto entry, service_.trace_->read(static_cast<std::uint64_t>(number)));
    FID_TRY(auto reader, service_.open_trace_reader());
    FID_TRY(const auto read, reader.read(static_cast<std::uint64_t>(number), entry));
    auto answer = shown(read);
    answer["leafHash"] = to_hex(audit::entry_leaf_hash(entry.bytes));
    answer["bytes"] = entry.bytes.size();
    return answer;
}

Result<json::object> Operations::prove_entry(const Arguments& arguments) {
    FID_TRY(const auto number, argument::number(arguments, "index", -1, 0, std::numeric_limits<std::int64_t>::max()));
    FID_CHECK(look_into_trace(arguments));
    audit::InclusionProof proof;
    proof.index = static_cast<std::uint64_t>(number);
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

Result<json::object> Operations::prove_growth(const Arguments& arguments) {
    FID_TRY(const auto earlier, argument::required_text(arguments, "checkpoint"));
    FID_CHECK(look_into_trace(arguments));
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

/// In pieces, each of its own event: an export may be long.
Result<json::object> Operations::export_trace(const Arguments& arguments) {
    FID_TRY(const auto format, argument::required_text(arguments, "format"));
    if (format != "fhir" && format != "dicom") return fail(ErrorCode::invalid_argument, "formats are: fhir, dicom");
    FID_TRY(const auto from, argument::number(arguments, "from", 0, 0, std::numeric_limits<std::int64_t>::max()));
    FID_TRY(const auto to, argument::number(arguments, "to", -1, -1, std::numeric_limits<std::int64_t>::max()));
    FID_CHECK(look_into_trace(arguments));
    FID_TRY(auto reader, service_.open_trace_reader());
    const auto source = service_.audit_source();
    std::uint64_t count = 0;
    json::array lines;
    const auto give = [&] {
        if (!lines.empty()) emit_({{"entries", std::move(lines)}});
        lines = json::array();
    };
    Result<void> done;
    FID_CHECK(service_.trace_->for_each(static_cast<std::uint64_t>(from), [&](std::uint64_t index, const audit::StoredEntry& entry) {
        if (stop_.load() || (to >= 0 && index >= static_cast<std::uint64_t>(to))) return false;
        const auto read = reader.read(index, entry);
        if (!read) {
            done = fail(read.error());
            return false;
        }
        lines.emplace_back(format == "fhir" ? fhir_audit_event(*read, source) : dicom_audit_message(*read, source));
        ++count;
        if (lines.size() == kExportedAtOnce) give();
        return true;
    }));
    FID_CHECK(done);
    give();
    return json::object{{"exported", count}, {"interrupted", stop_.load()}};
}

Result<std::uint64_t> Operations::check_trace(json::array& findings, bool repair) {
    FID_TRY(const auto trace, service_.trace_->check());
    for (const auto& fault : trace.faults) {
        findings.push_back(finding("trace", "entry " + std::to_string(fault.index), fault.message,
                                   "the trace was altered behind our back: keep the file and tell the privacy officer"));
    }
    if (!service_.lost_trace_.empty()) {
        findings.push_back(finding("lost_trace", "the trace", "a new one was begun " + service_.lost_trace_,
                                   "tell the privacy officer; what is left of the old one lies beside it, keep it; give out tokens again"));
        service_.lost_trace_.clear();
    }
    if (const auto problem = service_.trace_witness_->problem(); !problem.empty()) {
        findings.push_back(finding(
            "older_trace", "the trace", problem,
            "find out who can write to it and put the newest trace/ there is back; fsck --repair goes on from the one that is there"));
        if (repair) FID_CHECK(service_.trace_witness_->accept(*service_.trace_));
    }
    return trace.size;
}

Result<json::array> Operations::check_trace_on_ledger(bool repair) {
    FID_TRY(const auto compared, service_.checkpoints_->compare());
    json::array findings;
    if (compared.problem.empty()) return findings;
    findings.push_back(finding("trace_on_ledger", "the trace", compared.problem,
                               "somebody with the site's keys changed it, or a backup was put back: tell the privacy officer, keep what is "
                               "there; fsck --repair goes on under another name, and the ledger keeps both"));
    if (repair) FID_CHECK(service_.checkpoints_->accept());
    return findings;
}

Result<json::object> Operations::check_whole_trace(const Arguments& arguments) {
    FID_CHECK(look_into_trace(arguments));
    json::array findings;
    FID_TRY(const auto entries, check_trace(findings, false));
    const bool readable = findings.empty();
    if (readable) {
        FID_TRY(auto back_dated, find_back_dated(*service_.trace_));
        for (auto& item : back_dated) findings.push_back(std::move(item));
        FID_TRY(const auto tile, service_.checkpoints_->first_damaged_tile());
        if (tile)
            findings.push_back(
                finding("tile", *tile, "it is not what the trace's entries give",
                        "only a copy for others is damaged; it is made anew with the next checkpoint once trace/tiles is removed"));
    }
    json::object answer;
    const auto on_ledger = service_.checkpoints_->compare();
    if (on_ledger) {
        answer["ledger"] = json::object{{"size", on_ledger->size}};
        if (on_ledger->size > 0) answer["ledger"].as_object()["time"] = to_rfc3339(SystemTime(std::chrono::seconds(on_ledger->at)));
        if (!on_ledger->problem.empty())
            findings.push_back(finding("trace_on_ledger", "the trace", on_ledger->problem, "run fsck, which says what to do"));
    } else if (on_ledger.error().code == ErrorCode::unavailable || on_ledger.error().code == ErrorCode::timeout) {
        answer["notCompared"] = service_.with_nodes_reason(on_ledger.error()).message;
    } else if (on_ledger.error().code != ErrorCode::corrupt) {  // what cannot be read of it was found already
        return fail(on_ledger.error());
    }
    const auto head = service_.trace_->head();
    answer["entries"] = entries;
    answer["root"] = to_hex(head.root);
    answer["clean"] = findings.empty() && !answer.contains("notCompared");
    answer["findings"] = std::move(findings);
    return answer;
}

Result<json::object> Operations::publish_checkpoint(const Arguments& arguments) {
    FID_CHECK(administer({}, false));
    FID_TRY(const auto wait_seconds, argument::number(arguments, "waitSeconds", 30, 0, 3600));
    FID_TRY(const auto key, service_.checkpoints_->key());
    json::object answer{
        {"key", key.text()}, {"witnessKey", service_.witness_->key().text()}, {"folder", service_.site_.layout().trace_tiles().string()}};
    const auto published = service_.checkpoints_->publish();
    const bool away = !published && (published.error().code == ErrorCode::unavailable || published.error().code == ErrorCode::timeout);
    if (!published && !away) return fail(published.error());
    FID_TRY(const auto note, service_.checkpoints_->sign());
    FID_TRY(const auto checkpoint, audit::open_checkpoint(note, key));
    answer["checkpoint"] = note;
    answer["size"] = checkpoint.head.size;
    if (away) {
        answer["notSent"] = service_.with_nodes_reason(published.error()).message;
        return answer;
    }
    answer["unsettled"] = wait_until_settled(std::chrono::seconds(wait_seconds));
    FID_TRY(const auto on_ledger, service_.checkpoints_->compare());
    answer["onLedger"] = on_ledger.size;
    return answer;
}

}  // namespace fiducial::archive
