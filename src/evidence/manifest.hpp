#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "evidence/study_record.hpp"

namespace fiducial::evidence {

/// One instance of a study version, with all that its index row needs besides its metadata fragment.
struct ManifestInstance {
    Uid sop_instance_uid;
    Uid series_instance_uid;  // empty where the data set had none
    Uid sop_class_uid;        // empty where the data set had none
    Uid transfer_syntax_uid;
    std::uint64_t size = 0;
    Hash sha256{};
    Hash chunk_root{};
    Hash source_sha256{};          // zeros: brought as DICOM
    Hash overlay_sha256{};         // zeros: no correction in force
    Hash prefix_sha256{};          // of preamble and group 0002 as they came; zeros: there were none
    Hash fragment_sha256{};        // of the metadata fragment's plain bytes
    Hash pixel_sha256{};           // of the value of 7FE0,0008/0009/0010 as encoded; zeros: none
    std::uint64_t arrival_ms = 0;  // since 1970-01-01 UTC
    PatientText source;            // where it came from, UTF-8, at most 1024 bytes: a peer, a person, a path (which may name a patient)

    InstanceBody body() const;
};

struct PatientIdentity {
    PatientText issuer;
    PatientText patient_id;
};

/// The document that is stored, encrypted, with each version of a study; `meta` in the record commits to it.
/// Spec: docs/formats/manifest.md
struct Manifest {
    Uid study_instance_uid;
    std::uint64_t version = 1;
    Hash previous{};  // record hash of the version before; zeros for version 1
    std::uint16_t reasons = kReasonNew;
    std::optional<PatientIdentity> patient;   // whose it is: after a correction not whom the data sets name
    Uid linked_study;                         // the study that this one replaces after a correction of its UID; else empty
    std::vector<ManifestInstance> instances;  // strictly ascending by SOP Instance UID bytes

    /// Errors: invalid_argument for what the format cannot say (order, empty UIDs, texts too long or not UTF-8).
    Result<Bytes> encode() const;
    /// Errors: malformed for any bytes that encode() would not make; limit_exceeded beyond kMaxManifestBytes.
    static Result<Manifest> decode(ByteView bytes);
    std::vector<InstanceBody> bodies() const;
};
inline constexpr std::size_t kMaxManifestBytes = std::size_t{512} << 20;

}  // namespace fiducial::evidence
