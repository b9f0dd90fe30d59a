// Who looked at what: searched, shown, proved and checked.
#include <algorithm>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/finding.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "archive/trace_desk.hpp"
#include "archive/trace_reader.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::chrono::seconds kClockTolerance{5};
constexpr std::size_t kMostBackDated = 100, kExportedAtOnce = 256;

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

/// For whose token is given; else for the custodian, as all commands.
Result<TraceDesk> Operations::trace_desk(const Arguments& arguments) {
    auto who = service_.command_requester();
    if (const auto token = argument::text(arguments, "token"); !token.empty()) {
        FID_TRY(who, service_.authenticate(token));
        who.door = "command";
        who.address = service_.command_requester().address;
        who.purpose = Purpose::administration;
    }
    return TraceDesk(service_, who);
}

Result<json::object> Operations::search_trace(const Arguments& arguments) {
    FID_TRY(auto desk, trace_desk(arguments));
    return desk.search(arguments);
}

Result<json::object> Operations::show_entry(const Arguments& arguments) {
    FID_TRY(auto desk, trace_desk(arguments));
    return desk.show(arguments);
}

Result<json::object> Operations::prove_entry(const Arguments& arguments) {
    FID_TRY(auto desk, trace_desk(arguments));
    return desk.prove(arguments);
}

Result<json::object> Operations::prove_growth(const Arguments& arguments) {
    FID_TRY(auto desk, trace_desk(arguments));
    return desk.prove_growth(arguments);
}

/// In pieces, each of its own event: an export may be long.
Result<json::object> Operations::export_trace(const Arguments& arguments) {
    FID_TRY(const auto format, argument::required_text(arguments, "format"));
    if (format != "fhir" && format != "dicom") return fail(ErrorCode::invalid_argument, "formats are: fhir, dicom");
    FID_TRY(const auto from, argument::number(arguments, "from", 0, 0, std::numeric_limits<std::int64_t>::max()));
    FID_TRY(const auto to, argument::number(arguments, "to", -1, -1, std::numeric_limits<std::int64_t>::max()));
    FID_TRY(auto desk, trace_desk(arguments));
    FID_CHECK(desk.look());
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
    FID_TRY(auto desk, trace_desk(arguments));
    FID_CHECK(desk.look());
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
