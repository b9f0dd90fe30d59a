#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "evidence/study_record.hpp"

namespace fiducial::evidence {

inline constexpr std::size_t kMaxBundleBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxBundleInstances = 4096;
inline constexpr std::size_t kMaxBundleHeaders = 512;
inline constexpr std::size_t kMaxProofNodes = 80;
inline constexpr std::size_t kMaxProofNodeBytes = 1024;
inline constexpr std::size_t kMaxHeaderBytes = 16384;

/// One instance, opened: whoever holds this can compute its leaf and climb to the study's root.
struct BundleInstance {
    InstanceBody body;
    Hash salt{};
    std::uint32_t index = 0;
    std::vector<Hash> path;  // sibling hashes, lowest first
    bool operator==(const BundleInstance&) const = default;
};

/// Everything that one evidence bundle holds.
/// Spec: docs/formats/evidence_bundle.md
struct Bundle {
    std::uint64_t trust_version = 0;  // a hint for error texts
    Hash trust_sha256{};              // the same
    Uid study_instance_uid;
    Hash blind{};  // b
    StudyRecord record;
    std::vector<BundleInstance> instances;  // at least one, ascending by index
    std::uint64_t slot = 0;                 // of the mapping `anchors`
    std::vector<Bytes> headers;             // RLP, consecutive; the proofs are against the first
    std::vector<Bytes> account_proof;
    std::vector<Bytes> storage_proof;       // of this version's slot
    std::vector<Bytes> next_storage_proof;  // of the next version's slot, which is absent when this is the latest
    bool operator==(const Bundle&) const = default;

    /// Errors: invalid_argument beyond the limits.
    Result<std::string> encode() const;
    /// Errors: malformed for anything that encode() would not have written; limit_exceeded. Says nothing of what is true.
    static Result<Bundle> decode(std::string_view text);
};

/// What the archive has at hand when it makes a bundle.
struct BundleInputs {
    std::uint64_t trust_version = 0;
    Hash trust_sha256{};
    Uid study_instance_uid;
    const StudySecrets* secrets = nullptr;  // of the study
    StudyRecord record;
    std::span<const InstanceBody> bodies;  // of the whole version, ascending by UID
    std::span<const std::uint32_t> shown;  // indexes of the instances to open, ascending
    std::uint64_t slot = 0;
    std::vector<Bytes> headers;        // raw RLP
    std::vector<Bytes> account_proof;  // nodes as eth_getProof lists them
    std::vector<Bytes> storage_proof;
    std::vector<Bytes> next_storage_proof;
};
/// Computes salts and paths, and checks before giving anything away that they lead to the record's root.
/// Errors: invalid_argument for an index out of range; corrupt when bodies, secrets and record do not belong together.
Result<std::string> build_bundle(const BundleInputs& inputs);

}  // namespace fiducial::evidence
