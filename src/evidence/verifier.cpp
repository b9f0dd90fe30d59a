#include "evidence/verifier.hpp"

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/merkle.hpp"
#include "ethereum/address.hpp"
#include "ethereum/clique.hpp"
#include "ethereum/header.hpp"
#include "ethereum/trie.hpp"
#include "evidence/bundle.hpp"
#include "evidence/overlay.hpp"
#include "evidence/trust_file.hpp"

namespace fiducial::evidence {

namespace {

constexpr std::string_view kStudiesContract = "Studies";
constexpr std::size_t kMostNamed = 12;

/// What no bundle can prove, whatever else it does.
std::vector<std::string> always_open() {
    return {"who the patient is: pseudonyms stand on the chain, and what the data set says of a person is as it came",
            "that the image is clinically true or complete",
            "the time, beyond what the sealers' own clocks said",
            "that a majority of the chain's signers was honest",
            "the order and number of instances of the study other than those shown",
            "that no heavier rival fork of the chain was seen"};
}

/// What the bundle establishes by itself, before anybody is trusted.
struct Consistent {
    Bundle bundle;
    Hash record_hash{};
    std::vector<ethereum::BlockHeader> headers;
    Hash block_hash{};
    Hash code_hash{};
    bool latest = false;
};

Result<void> check_instances(const Bundle& bundle) {
    for (const auto& instance : bundle.instances) {
        auto included = crypto::merkle_verify_inclusion(instance_leaf(instance.salt, instance.body), instance.index, bundle.record.count,
                                                        instance.path, bundle.record.root);
        if (!included) return fail(included.error().with("instance " + std::to_string(instance.index) + " is not in the study version"));
    }
    return {};
}

Result<std::vector<ethereum::BlockHeader>> read_headers(const Bundle& bundle) {
    std::vector<ethereum::BlockHeader> out;
    for (std::size_t i = 0; i < bundle.headers.size(); ++i) {
        ethereum::HeaderRules rules;
        rules.allow_later_fields = true;  // whether this chain may have them is judged with the trust file
        auto header = ethereum::decode_header(bundle.headers[i], rules);
        if (!header) return fail(header.error().with("header " + std::to_string(i)));
        if (header->encode() != bundle.headers[i])
            return fail(ErrorCode::malformed, "header " + std::to_string(i) + " is not in canonical form");
        if (i > 0 && (header->number != out.back().number + 1 || header->parent_hash != out.back().hash())) {
            return fail(ErrorCode::malformed, "header " + std::to_string(i) + " does not follow the one before it");
        }
        out.push_back(*std::move(header));
    }
    return out;
}

Result<void> check_storage(Consistent& out) {
    const auto& bundle = out.bundle;
    const auto& record = bundle.record;
    auto account = ethereum::verify_account_proof(out.headers.front().state_root, record.contract, bundle.account_proof);
    if (!account) return fail(account.error().with("account proof"));
    if (!*account || (*account)->code_hash == ethereum::kEmptyCodeHash)
        return fail(ErrorCode::unverified, "there is no contract at the record's address");
    out.code_hash = (*account)->code_hash;

    const auto slot_of = [&](std::uint64_t version) {
        return storage_key(slot_key(record.institution, record.study_key, version), bundle.slot);
    };
    auto value = ethereum::verify_storage_proof((*account)->storage_root, slot_of(record.version), bundle.storage_proof);
    if (!value) return fail(value.error().with("storage proof"));
    if (value->to_be() != out.record_hash) return fail(ErrorCode::unverified, "the chain does not hold this record in its slot");
    auto next = ethereum::verify_storage_proof((*account)->storage_root, slot_of(record.version + 1), bundle.next_storage_proof);
    if (!next) return fail(next.error().with("proof of the next version's slot"));
    out.latest = next->is_zero();
    return {};
}

Result<Consistent> check_bundle(std::string_view text) {
    Consistent out;
    FID_TRY(out.bundle, Bundle::decode(text));
    FID_CHECK(check_record(out.bundle.record));
    if (out.bundle.record.version == UINT64_MAX) return fail(ErrorCode::malformed, "study record: no version can follow this one");
    out.record_hash = out.bundle.record.hash();
    FID_CHECK(check_instances(out.bundle));
    FID_TRY(out.headers, read_headers(out.bundle));
    out.block_hash = out.headers.front().hash();
    FID_CHECK(check_storage(out));
    return out;
}

/// What the trust file adds.
struct Trusted {
    const TrustedInstitution* institution = nullptr;
    std::size_t signers = 0;
    std::size_t distinct = 0;  // signers on the block and its descendants, as far as shown
    std::size_t depth = 0;
    bool settled = false;
    bool development = false;
};

Result<void> check_seals(const Consistent& found, const TrustFile& trust, Trusted& out) {
    const auto& headers = found.headers;
    const auto* set = trust.signers_at(headers.front().number);
    if (set == nullptr || set != trust.signers_at(headers.back().number)) {
        return fail(ErrorCode::unverified, "the trust file has no one set of signers for blocks " + std::to_string(headers.front().number) +
                                               " to " + std::to_string(headers.back().number));
    }
    for (const auto& header : headers) {
        if (header.withdrawals_root || !header.base_fee_per_gas)
            return fail(ErrorCode::unverified, "a header has other fields than this chain's");
    }
    const ethereum::CliqueRules rules({trust.period, trust.epoch});
    FID_TRY(const auto report, rules.check_span(headers, set->signers));
    out.signers = set->signers.size();
    out.distinct = report.distinct_signers_from(0);
    out.depth = report.depth_of(0);
    out.settled = rules.is_settled(report, 0);
    return {};
}

Result<Trusted> check_trust(const Consistent& found, const TrustFile& trust) {
    const auto& record = found.bundle.record;
    const auto bad = [](std::string_view what) { return fail(ErrorCode::unverified, std::string(what)); };
    if (record.chain_id != trust.chain_id) return bad("the record is of another chain than the trust file's");
    const auto* contract = trust.contract(kStudiesContract, record.contract);
    if (contract == nullptr) return bad("the trust file lists no contract Studies at " + ethereum::to_checksum(record.contract));
    if (contract->code_hash != found.code_hash) return bad("the contract's code is not the one that the trust file pins");
    if (contract->slot != found.bundle.slot) return bad("the record's mapping slot is not the one that the trust file pins");
    if (found.headers.front().number < contract->from_block) return bad("the block is older than the contract");
    Trusted out;
    out.institution = trust.institution(record.institution);
    if (out.institution == nullptr) return bad("the trust file does not list institution " + to_0x(record.institution));
    out.development = trust.client == ClientKind::development;
    if (!out.development) {
        FID_CHECK(check_seals(found, trust, out));
    }
    return out;
}

struct FileMatch {
    bool asked = false;
    bool matches = false;
    std::string text;
    const InstanceBody* body = nullptr;  // of the instance that it is
};

FileMatch match_file(const Bundle& bundle, const std::optional<FileFingerprint>& file) {
    if (!file) return {false, false, "No file was given to compare."};
    for (const auto& instance : bundle.instances) {
        const auto& body = instance.body;
        const std::string which = "SOP instance " + body.sop_instance_uid.text();
        const std::string corrected = body.overlay_sha256 != kZero32 ? " A correction of its attributes is in force beside it." : "";
        if (body.source_sha256 != kZero32 && file->file_sha256 == body.source_sha256) {
            return {true, true, "The file is the one that " + which + " was made from, bit for bit." + corrected, &body};
        }
        if (!file->data_set || file->data_set->size != body.size || file->data_set->sha256 != body.sha256) continue;
        if (file->data_set->chunk_root != body.chunk_root) {
            return {true, false, "The file's data set has the SHA-256 of " + which + ", but not its chunk root."};
        }
        if (!file->transfer_syntax_uid.empty() && file->transfer_syntax_uid != body.transfer_syntax_uid.text()) {
            return {true, false, "The file's data set has the bytes of " + which + ", but the file declares another transfer syntax."};
        }
        return {true, true, "The file's data set is " + which + ", bit for bit (" + std::to_string(body.size) + " bytes)." + corrected,
                &body};
    }
    return {true, false, "The file is none of the instances that the bundle speaks of."};
}

std::string count_of(std::size_t count, std::string_view one, std::string_view many) {
    return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

/// What an overlay does, by tags: its values may name a patient.
std::string changes_of(const Overlay& overlay) {
    if (overlay.edits.empty()) return "it takes an earlier correction back";
    std::string out = "it corrects " + count_of(overlay.edits.size(), "attribute", "attributes") + ":";
    for (std::size_t i = 0; i < overlay.edits.size() && i < kMostNamed; ++i) {
        const auto tag = overlay.edits[i].tag;
        const std::uint8_t bytes[] = {static_cast<std::uint8_t>(tag >> 24), static_cast<std::uint8_t>(tag >> 16),
                                      static_cast<std::uint8_t>(tag >> 8), static_cast<std::uint8_t>(tag)};
        const auto digits = to_hex(bytes);
        out += " (" + digits.substr(0, 4) + "," + digits.substr(4) + ")";
    }
    return out + (overlay.edits.size() > kMostNamed ? " and more" : "");
}

/// Whether the overlay is the one in force beside the file that was given, or beside all images of the bundle.
FileMatch match_overlay(const Bundle& bundle, const FileMatch& file, std::optional<ByteView> bytes) {
    if (!bytes) return {};
    const auto overlay = Overlay::decode(*bytes);
    if (!overlay) return {true, false, "The overlay is none: " + overlay.error().message + "."};
    const auto signer = overlay->signer();
    if (!signer) return {true, false, "The overlay is not signed: " + signer.error().message + "."};
    if (overlay->study_instance_uid != bundle.study_instance_uid) return {true, false, "The overlay corrects another study."};
    const auto sha256 = crypto::sha256(*bytes);
    for (const auto& instance : bundle.instances) {
        const auto& body = instance.body;
        if ((file.body != nullptr && file.body != &body) || body.overlay_sha256 == sha256) continue;
        const std::string named = body.overlay_sha256 == kZero32 ? "no correction is in force" : "another correction is in force";
        return {true, false, "The overlay is not the one: beside SOP instance " + body.sop_instance_uid.text() + " " + named + "."};
    }
    const auto at = to_rfc3339(SystemTime(std::chrono::milliseconds(std::min<std::uint64_t>(overlay->at_ms, 253402300799999))));
    return {true, true,
            "The overlay is the correction in force in that version, signed by " + ethereum::to_checksum(*signer) + ", dated " + at +
                ", asked for by member " + to_0x(overlay->person) + "; " + changes_of(*overlay) + "."};
}

/// The sentences, and how strongly each may be said.
class Speaker {
public:
    Speaker(const Consistent& found, const std::optional<Trusted>& trusted)
        : found_(found), record_(found.bundle.record), trusted_(trusted) {
        // One signer of many can seal a header over any state at all: only a settled one vouches for what it holds.
        vouched_ = trusted && !trusted->development && trusted->settled;
        block_ = std::to_string(found.headers.front().number);
    }

    std::vector<Statement> say(const FileMatch& match, const FileMatch& overlay) const {
        const auto firm = vouched_ ? StatementState::established : StatementState::consistent;
        const auto bytes = !match.asked ? StatementState::not_asked : match.matches ? StatementState::established : StatementState::refuted;
        std::vector<Statement> out{{"bytes_match", bytes, match.text}};
        if (overlay.asked) out.push_back({"corrected", overlay.matches ? firm : StatementState::refuted, overlay.text});
        out.push_back({"in_study_version", firm, in_version()});
        out.push_back({"anchored", firm, anchored()});
        out.push_back(settled());
        out.push_back(latest(firm));
        return out;
    }

private:
    std::string in_version() const {
        const auto& instances = found_.bundle.instances;
        const std::string what = instances.size() == 1 ? "SOP instance " + instances.front().body.sop_instance_uid.text() + " is"
                                                       : count_of(instances.size(), "SOP instance is", "SOP instances are");
        return what + " in version " + std::to_string(record_.version) + " of study " + found_.bundle.study_instance_uid.text() + " (" +
               count_of(record_.count, "instance", "instances") + "; " + reasons_text(record_.reasons) + ").";
    }
    std::string anchored() const {
        std::string who = "institution " + to_0x(record_.institution);
        if (trusted_ && !trusted_->institution->name.empty()) who = trusted_->institution->name + " (" + who + ")";
        return "That version is anchored by " + who + " under contract " + ethereum::to_checksum(record_.contract) + " on chain " +
               std::to_string(record_.chain_id) + ", as of block " + block_ + ".";
    }
    Statement settled() const {
        if (!trusted_)
            return {"settled", StatementState::not_established, "Without a trust file nothing says who sealed block " + block_ + "."};
        if (trusted_->development)
            return {"settled", StatementState::not_established, "This is a development chain: its blocks carry no seals."};
        if (trusted_->signers == 1) {
            return {"settled", StatementState::established,
                    "Block " + block_ + " is self-sealed (1 of 1): it proves what the holder of one key sealed, and no more."};
        }
        const std::size_t majority = ethereum::clique_majority(trusted_->signers);
        if (trusted_->settled) {
            return {"settled", StatementState::established,
                    "Block " + block_ + " is settled: at least " + std::to_string(majority) + " of its " +
                        std::to_string(trusted_->signers) + " signers stand on it or its descendants, and " +
                        count_of(majority, "block", "blocks") + " more follow."};
        }
        return {"settled", StatementState::not_established,
                "Block " + block_ + " is not settled yet: " + count_of(trusted_->distinct, "signer", "signers") + " of " +
                    std::to_string(trusted_->signers) + " and " + count_of(trusted_->depth, "block", "blocks") +
                    " on top of it are shown; " + std::to_string(majority) + " signers, and as many blocks after them, are needed."};
    }
    Statement latest(StatementState firm) const {
        const std::string version = "Version " + std::to_string(record_.version);
        if (found_.latest) return {"latest", firm, version + " is the latest one as of block " + block_ + "."};
        return {"latest", vouched_ ? StatementState::refuted : StatementState::not_established,
                version + " is not the latest one: as of block " + block_ + " there is a later version."};
    }

    const Consistent& found_;
    const StudyRecord& record_;
    const std::optional<Trusted>& trusted_;
    bool vouched_ = false;
    std::string block_;
};

void set_verdict(Report& report, const FileMatch& match, const FileMatch& overlay, const std::optional<Trusted>& trusted, bool latest) {
    const auto set = [&](Verdict verdict, std::string_view summary) {
        report.verdict = verdict;
        report.summary = summary;
    };
    if (match.asked && !match.matches) {
        report.problem = match.text;
        return set(Verdict::mismatch, "The file is not what the evidence speaks of.");
    }
    if (overlay.asked && !overlay.matches) {
        report.problem = overlay.text;
        return set(Verdict::mismatch, "The overlay is not what the evidence speaks of.");
    }
    if (!trusted)
        return set(Verdict::trust_unverified,
                   "Consistent, trust unverified: the evidence fits together, but no trust file says whose chain it is.");
    if (trusted->development) {
        return set(Verdict::development_chain,
                   "Consistent, on a development chain: its blocks carry no seals, so anybody could have made it.");
    }
    if (!trusted->settled)
        return set(Verdict::not_settled, "Consistent, but not settled yet: too few signers or blocks are shown to rely on it.");
    const std::string later = latest ? "" : " A later version of the study exists.";
    if (report.self_sealed) return set(Verdict::verified, "Verified, self-sealed (1 of 1): the chain has one signer." + later);
    set(Verdict::verified, "Verified." + later);
}

Report refused(const Error& error, std::string_view hint = {}) {
    Report report;
    report.summary = "Refused: the evidence is malformed, or contradicts itself or the trust file.";
    report.problem = error.message + std::string(hint);
    report.not_established = always_open();
    return report;
}

/// Says whether another version of the trust file might help. Only ever part of a refusal's text.
std::string trust_hint(const Bundle& bundle, const TrustFile& trust, std::string_view text) {
    if (bundle.trust_sha256 == trust_file_sha256(text)) return {};
    return " (The bundle names trust file version " + std::to_string(bundle.trust_version) + " with SHA-256 " +
           to_hex(bundle.trust_sha256) + "; version " + std::to_string(trust.version) + " was given.)";
}

void fill_facts(Report& report, const Consistent& found, const std::optional<Trusted>& trusted) {
    const auto& bundle = found.bundle;
    report.study_instance_uid = bundle.study_instance_uid.text();
    report.version = bundle.record.version;
    for (const auto& instance : bundle.instances) report.sop_instance_uids.push_back(instance.body.sop_instance_uid.text());
    report.chain_id = bundle.record.chain_id;
    report.contract = bundle.record.contract;
    report.institution = bundle.record.institution;
    report.block = found.headers.front().number;
    report.block_time = found.headers.front().timestamp;
    report.block_hash = found.block_hash;
    report.record_hash = found.record_hash;
    if (!trusted) return;
    report.institution_name = trusted->institution->name;
    report.signers = static_cast<std::uint32_t>(trusted->signers);
    report.self_sealed = trusted->signers == 1;
}

}  // namespace

Report verify(std::string_view bundle, std::optional<std::string_view> trust_file, const std::optional<FileFingerprint>& file,
              std::optional<ByteView> overlay) {
    const auto found = check_bundle(bundle);
    if (!found) return refused(found.error());
    std::optional<TrustFile> trust;
    std::optional<Trusted> trusted;
    if (trust_file) {
        auto parsed = TrustFile::parse(*trust_file);
        if (!parsed) return refused(parsed.error());
        trust = *std::move(parsed);
        auto checked = check_trust(*found, *trust);
        if (!checked) return refused(checked.error(), trust_hint(found->bundle, *trust, *trust_file));
        trusted = *checked;
    }
    const FileMatch match = match_file(found->bundle, file), correction = match_overlay(found->bundle, match, overlay);
    Report report;
    fill_facts(report, *found, trusted);
    report.statements = Speaker(*found, trusted).say(match, correction);
    report.not_established = always_open();
    set_verdict(report, match, correction, trusted, found->latest);
    return report;
}

}  // namespace fiducial::evidence
