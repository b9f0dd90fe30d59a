#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "crypto/secret.hpp"

namespace fiducial::evidence {

/// What a leaf of a study's tree says about one instance.
/// Spec: docs/formats/record.md
struct InstanceBody {
    Uid sop_instance_uid;
    Uid transfer_syntax_uid;
    std::uint64_t size = 0;  // of the data set's bytes
    Hash sha256{};           // of the data set's bytes
    Hash chunk_root{};
    Hash source_sha256{};   // of the file as it was brought, where that was not DICOM; else zeros
    Hash overlay_sha256{};  // of the correction in force; else zeros

    Bytes encode() const;
    /// Errors: malformed for bytes that encode() does not make.
    static Result<InstanceBody> decode(ByteView bytes);
    bool operator==(const InstanceBody&) const = default;
};

/// What is derived from a study's secret K. Whoever learns one of the values learns none of the others.
/// Security: `blind` is given away in evidence bundles, `link` and `scope` to auditors only.
class StudySecrets {
public:
    /// Requires: k has 32 bytes.
    explicit StudySecrets(const crypto::Secret& k);

    Hash blind() const;                              // b = HMAC(K, "study")
    Hash link() const;                               // l = HMAC(K, "link")
    Hash scope() const;                              // HMAC(K, "scope")
    Hash meta_key() const;                           // HMAC(K, "meta")
    Hash upload_key() const;                         // HMAC(K, "upload")
    Hash leaf_salt(const InstanceBody& body) const;  // s = HMAC(K, tag "fid.leaf1" ‖ body)
    Hash leaf(const InstanceBody& body) const;

private:
    crypto::Secret k_;
};

/// H(0x00 ‖ tag "fid.leaf1" ‖ s ‖ body).
Hash instance_leaf(const Hash& salt, const InstanceBody& body);

/// The study's pseudonym on the chain: H(tag "fid.study1" ‖ b ‖ lp(StudyInstanceUID)).
Hash study_key(const Hash& blind, const Uid& study_instance_uid);
/// H(tag "fid.patient1" ‖ P ‖ lp(issuer) ‖ lp(PatientID)), both UTF-8, spaces at both ends dropped.
/// Requires: p has 32 bytes. Errors: limit_exceeded when a text is longer than 65535 bytes.
Result<Hash> patient_key(const crypto::Secret& p, const PatientText& issuer, const PatientText& patient_id);
/// H(tag "fid.link1" ‖ l ‖ patientKey).
Hash patient_ref(const Hash& link, const Hash& patient_key);
/// What a grant for one study names: H(tag "fid.scope1" ‖ scope).
Hash scope_ref(const Hash& scope);
/// H(tag "fid.meta1" ‖ HMAC(K,"meta") ‖ H(manifest bytes)).
Hash meta_hash(const StudySecrets& secrets, ByteView manifest_bytes);

/// A person's or device's own signature over what it sent.
struct Upload {
    std::string person_or_device;  // id in Members, as text
    Hash digest{};
    Bytes signature;
};
/// H(tag "fid.upload1" ‖ HMAC(K,"upload") ‖ each lp(id) ‖ digest ‖ lp(signature)), or zeros for no uploads.
/// Errors: limit_exceeded when an id or a signature is longer than 65535 bytes.
Result<Hash> uploads_hash(const StudySecrets& secrets, std::span<const Upload> uploads);

/// The leaves of one study version and their root.
struct StudyTree {
    std::vector<Hash> leaves;
    Hash root{};
    std::uint32_t count = 0;
};
/// Requires: bodies strictly ascending by the bytes of their SOP Instance UID.
/// Errors: invalid_argument when they are not; limit_exceeded beyond 2^32-1.
Result<StudyTree> study_tree(const StudySecrets& secrets, std::span<const InstanceBody> bodies);

/// Why a version was made. A version may have several reasons.
enum Reason : std::uint16_t {
    kReasonNew = 1,
    kReasonAdded = 2,
    kReasonCorrected = 4,
    kReasonRemoved = 8,
    kReasonErased = 16,
};
inline constexpr std::uint16_t kAllReasons = 31;
inline constexpr std::uint16_t kRecordFormat = 1;
/// Returns: as "new, added".
std::string reasons_text(std::uint16_t reasons);

/// One version of a study, as the contract Studies hashes it.
struct StudyRecord {
    std::uint64_t chain_id = 0;
    Address contract{};
    Bytes32 institution{};  // its id in Members
    Hash study_key{};
    std::uint64_t version = 1;
    Hash previous{};  // record hash of version - 1; zeros for version 1
    Hash root{};
    std::uint32_t count = 0;
    Hash patient_ref{};
    Hash meta{};
    Hash uploads{};
    std::uint16_t format = kRecordFormat;
    std::uint16_t reasons = kReasonNew;

    /// The 14 words of abi.encode, 448 bytes.
    Bytes abi_encoded() const;
    /// keccak256 of them: what the slot holds.
    Hash hash() const;
    bool operator==(const StudyRecord&) const = default;
};
/// Whether the fields fit together: version ≥ 1; previous zero exactly for version 1; count 0 with the root of no leaves, and only when
/// erased or removed; erased exactly with meta zero; reasons known and not none. Errors: malformed, naming the field.
Result<void> check_record(const StudyRecord& record);
/// The last version of a study that is erased: signed before its secrets are destroyed.
StudyRecord erasure_record(const StudyRecord& last);

/// keccak256(abi.encode(institution, studyKey, version)): the key in Studies.anchors.
Hash slot_key(const Bytes32& institution, const Hash& study_key, std::uint64_t version);
/// Where the contract keeps anchors[slot_key]: keccak256(slot_key ‖ uint256 mapping slot).
Hash storage_key(const Hash& slot_key, std::uint64_t mapping_slot);

}  // namespace fiducial::evidence
