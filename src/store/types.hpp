#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::store {

using ObjectId = Bytes32;    // random, made when an object is begun
using Slot = std::uint32_t;  // of study secrets (K, D) or, separately numbered, patient secrets (P)

/// What an object in the vault is. The numbers are stored.
enum class ObjectKind : std::uint8_t {
    instance = 1,  // a data set as it came
    manifest = 2,  // of a study version
    source = 3,    // the file as it was brought, where that was not DICOM
    overlay = 4,   // a correction: of no effect until it is accepted, which the one before it is superseded by
    hold = 5,      // nothing may be taken out of the study while it is current
};
std::string_view name_of(ObjectKind kind);

/// What became of an object. The numbers are stored.
enum class ObjectState : std::uint8_t {
    current = 1,      // what is served
    superseded = 2,   // an earlier version's
    set_aside = 3,    // another object under a known UID, or a second patient in a study: waits for a custodian
    duplicate = 4,    // the same data set came twice at one moment; the other one is served
    quarantined = 5,  // found damaged; never served
    discarded = 6,    // a custodian said no
    torn = 7,         // never acknowledged, and a power cut left it in pieces; the same bytes sent again are new
    removed = 8,      // taken out of its study, which earlier versions still hold; a hold that was lifted
};
std::string_view name_of(ObjectState state);
/// Whether a mark may make this of an object that is not in quarantine. (From quarantine it goes back to what it was, or is torn.)
bool may_become(ObjectState from, ObjectState to);

/// What the index made of a new object; decided in the transaction that inserts it, so that racing writers agree.
enum class Admission : std::uint8_t {
    stored,       // nothing stood under its SOP Instance UID, or only a damaged copy of it
    duplicate,    // the same data set stands there already
    new_version,  // the same pixel data under another header: took the place of what stood there
    set_aside,    // anything else under a known UID, or another patient than the study's
};
std::string_view name_of(Admission admission);

/// Where a record lies.
struct Location {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;  // bytes from the segment's start
    auto operator<=>(const Location&) const = default;
};
/// Returns: "segment 3 offset 4096".
std::string describe(const Location& location);

/// How many bytes of an object lie in a segment.
struct SegmentPart {
    std::uint32_t segment = 0;
    std::uint64_t bytes = 0;
};

/// Where an object's record and bytes lie, and how much they take.
struct ObjectPlace {
    Location location;
    std::uint64_t record_size = 0, stored_size = 0;
    std::vector<SegmentPart> elsewhere;  // of it in other segments
    Hash header_hash{};                  // another one where it was encrypted anew
};

/// All that it takes to read one object and to know that it is this one and no other. Comes from an index row whose MAC was checked.
struct ObjectRef {
    ObjectId id{};
    Hash header_hash{};  // so that an older object cannot take its place
    Hash chunk_root{};
    std::uint64_t size = 0;
    Slot slot = 0;
    Location location;
};

/// What the caller knows about an object and the index is to know. Sealed with the object, so that the index can be made again.
struct ObjectDescription {
    ObjectKind kind = ObjectKind::instance;
    Uid study_uid;
    Uid series_uid;                // instances
    Uid sop_uid;                   // instances; for others the instance that they belong to, or empty
    Uid sop_class_uid;             // may be empty
    Uid transfer_syntax_uid;       // instances
    Hash pixel_sha256{};           // zeros: no pixel data
    Hash source_sha256{};          // zeros: brought as DICOM
    std::uint64_t arrival_ms = 0;  // since 1970-01-01 UTC
    PatientText source;            // a peer, a person, a path; at most 1024 bytes
    PatientText patient_id;        // UTF-8 without outer spaces, may be empty
    PatientText issuer;
    std::optional<Slot> patient_slot;  // of instances: filled in by Store
    dicom::Attributes attributes;      // top level, UTF-8; only what query_attributes() and the configuration name is kept
};

}  // namespace fiducial::store
