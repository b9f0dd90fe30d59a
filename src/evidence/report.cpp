#include "base/clock.hpp"
#include "base/hex.hpp"
#include "evidence/canonical_json.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::evidence {

namespace {

/// Texts of a report are ours, but an error may quote what was read.
std::string plain(std::string_view text) {
    std::string out(text);
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    return out;
}

std::string time_text(std::uint64_t seconds) {
    if (seconds > 253402300799) return std::to_string(seconds) + " s after 1970";  // beyond the year 9999
    return to_rfc3339(SystemTime(std::chrono::seconds(static_cast<std::int64_t>(seconds))));
}

std::string_view mark(StatementState state) {
    switch (state) {
        case StatementState::established: return "[yes]        ";
        case StatementState::consistent: return "[consistent] ";
        case StatementState::not_established: return "[open]       ";
        case StatementState::refuted: return "[NO]         ";
        case StatementState::not_asked: return "[not asked]  ";
    }
    return "";
}

}  // namespace

std::string_view name_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::verified: return "verified";
        case Verdict::mismatch: return "mismatch";
        case Verdict::refused: return "refused";
        case Verdict::trust_unverified: return "trust_unverified";
        case Verdict::development_chain: return "development_chain";
        case Verdict::not_settled: return "not_settled";
    }
    return "";
}

std::string_view name_of(StatementState state) {
    switch (state) {
        case StatementState::established: return "established";
        case StatementState::consistent: return "consistent";
        case StatementState::not_established: return "not_established";
        case StatementState::refuted: return "refuted";
        case StatementState::not_asked: return "not_asked";
    }
    return "";
}

std::string Report::to_text() const {
    std::string out = summary + "\n";
    if (!problem.empty()) out += "  " + plain(problem) + "\n";
    if (!statements.empty()) {
        out += "\nWhat was found:\n";
        for (const auto& statement : statements) out += "  " + std::string(mark(statement.state)) + statement.text + "\n";
        out += "  Block " + std::to_string(block) + " is dated " + time_text(block_time) + " by its sealer's clock.\n";
    }
    out += "\nNot established by this or any evidence bundle:\n";
    for (const auto& text : not_established) out += "  - " + text + "\n";
    return out;
}

std::string Report::to_json() const {
    JsonValue::Array said, open;
    for (const auto& statement : statements) {
        said.emplace_back(JsonValue::Object{{"id", statement.id}, {"state", name_of(statement.state)}, {"text", plain(statement.text)}});
    }
    for (const auto& text : not_established) open.emplace_back(text);
    JsonValue::Object out{{"not_established", std::move(open)},
                          {"problem", plain(problem)},
                          {"statements", std::move(said)},
                          {"summary", summary},
                          {"verdict", name_of(verdict)}};
    if (!statements.empty()) {
        JsonValue::Array uids;
        for (const auto& uid : sop_instance_uids) uids.emplace_back(uid);
        out.emplace("facts", JsonValue::Object{{"block", block},
                                               {"block_hash", to_0x(block_hash)},
                                               {"block_time", block_time},
                                               {"chain_id", chain_id},
                                               {"contract", to_0x(contract)},
                                               {"institution", to_0x(institution)},
                                               {"institution_name", institution_name},
                                               {"record_hash", to_0x(record_hash)},
                                               {"self_sealed", self_sealed},
                                               {"signers", std::uint64_t{signers}},
                                               {"sop_instance_uids", std::move(uids)},
                                               {"study_instance_uid", study_instance_uid},
                                               {"version", version}});
    }
    return write_canonical(JsonValue(std::move(out)));
}

}  // namespace fiducial::evidence
