#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "evidence/file_fingerprint.hpp"

namespace fiducial::evidence {

/// What a verification says in one word, worst first where several would fit. Also the exit code of fiducial-verify.
enum class Verdict : std::uint8_t {
    verified = 0,            // all that was asked is established, settled under the trust file
    mismatch = 10,           // the file is not what the bundle speaks of
    refused = 11,            // the bundle (or trust file) is malformed, or contradicts itself or the trust file
    trust_unverified = 12,   // consistent in itself, and no trust file was given
    development_chain = 13,  // consistent, on a chain whose blocks carry no seals
    not_settled = 14,        // consistent, but too few blocks or signers are shown
};
std::string_view name_of(Verdict verdict);

enum class StatementState : std::uint8_t {
    established,
    consistent,  // fits together within the bundle, but no settled block of a trusted chain vouches for it
    not_established,
    refuted,
    not_asked,  // no file was given
};
std::string_view name_of(StatementState state);

/// One thing that the verifier says, apart from the others.
struct Statement {
    std::string id;  // bytes_match, corrected (where an overlay was given), in_study_version, anchored, settled, latest
    StatementState state = StatementState::not_established;
    std::string text;  // a sentence for people
    bool operator==(const Statement&) const = default;
};

struct Report {
    Verdict verdict = Verdict::refused;
    std::string summary;                       // one sentence
    std::vector<Statement> statements;         // empty when refused
    std::vector<std::string> not_established;  // what no bundle can prove; always said
    std::string problem;                       // why refused or mismatched; else empty

    // Facts, for programs. Only meaningful when not refused.
    std::string study_instance_uid;
    std::uint64_t version = 0;
    std::vector<std::string> sop_instance_uids;
    std::uint64_t chain_id = 0;
    Address contract{};
    Bytes32 institution{};
    std::string institution_name;
    std::uint64_t block = 0;       // whose state was proven
    std::uint64_t block_time = 0;  // seconds, by its sealer's clock
    Hash block_hash{};
    Hash record_hash{};
    std::uint32_t signers = 0;  // in force at the block, by the trust file
    bool self_sealed = false;   // one signer: proves what the holder of one key sealed
    bool operator==(const Report&) const = default;

    std::string to_text() const;
    std::string to_json() const;
};

/// Checks an evidence bundle, as far as possible with what is given. `overlay`: the correction that is in force beside the images
/// (docs/formats/overlay.md); the file is then the original.
/// Security: never says more than follows from the trust file; the bundle's own hint about a trust file changes no statement.
/// Threads: safe, pure.
Report verify(std::string_view bundle, std::optional<std::string_view> trust_file, const std::optional<FileFingerprint>& file,
              std::optional<ByteView> overlay = {});

}  // namespace fiducial::evidence
